// Administrative commands: reference data, deposits and withdrawals; and the sequencer's own words in the stream.
#pragma once

#include <algorithm>
#include <optional>

#include "lockstep/margin.hpp"

namespace lockstep::admin {

// A name without its padding; none unless it is 1 to 32 printable ASCII characters.
inline std::optional<std::string> name_of(const char (&field)[32]) {
    std::size_t length = sizeof field;
    while (length != 0 && field[length - 1] == '\0') --length;
    const bool printable = std::all_of(field, field + length, [](char c) { return c >= 0x20 && c <= 0x7e; });
    if (length == 0 || !printable) return std::nullopt;
    return std::string(field, length);
}

// DEFINE_INSTRUMENT. Defining the same once more is answered as the first time and changes nothing.
inline void define_instrument(State& state, Step& step) {
    const AdminTerms& terms = step.command.admin;
    const u32 id = step.head().instrument;
    std::optional<std::string> symbol = name_of(terms.name);
    const bool good_unit =
        terms.tick_micros >= 1 && terms.lot_units >= 1 && i128{terms.tick_micros} * terms.lot_units <= kMaxUnitMicros;
    Code code = code::OK;
    if (id == 0 || !symbol || !good_unit) {
        code = code::BAD_DEFINITION;
    } else {
        const Handle at = state.find_book(id);
        if (at == kNone && !state.symbols.contains(*symbol)) {
            state.add_book(id, terms.name, *std::move(symbol), terms.tick_micros, terms.lot_units);
        } else if (at == kNone || std::memcmp(state.books[at].symbol, terms.name, sizeof terms.name) != 0 ||
                   state.books[at].tick_micros != terms.tick_micros || state.books[at].lot_units != terms.lot_units) {
            code = code::ALREADY_DEFINED;
        }
    }
    DefinitionEvent event =
        report::definition(step, code != 0 ? event_kind::ADMIN_REJECTED : event_kind::INSTRUMENT_DEFINED, code);
    std::memcpy(event.name, terms.name, sizeof event.name);
    event.tick_micros = terms.tick_micros;
    event.lot_units = terms.lot_units;
    report::emit(step, event);
}

// Whether an account may have these flags together.
inline bool are_flags(u8 flags) {
    constexpr u8 kUnlimited = account_flag::UNLIMITED_CASH | account_flag::UNLIMITED_POSITIONS;
    constexpr u8 kMargin = account_flag::MARGIN | account_flag::SHORT_SALES;
    if ((flags & ~(kUnlimited | kMargin | account_flag::DAY_TRADE_RULE)) != 0) return false;
    if ((flags & account_flag::MARGIN) != 0) return (flags & kUnlimited) == 0;
    return (flags & account_flag::SHORT_SALES) == 0;
}

// DEFINE_ACCOUNT, with the account's flags in the head. Idempotent like DEFINE_INSTRUMENT.
inline void define_account(State& state, Step& step) {
    const AdminTerms& terms = step.command.admin;
    const u32 id = step.head().account;
    const u8 flags = step.head().flags;
    std::optional<std::string> name = name_of(terms.name);
    Code code = code::OK;
    if (id == 0 || !name || !are_flags(flags)) {
        code = code::BAD_DEFINITION;
    } else {
        const Handle at = state.find_account(id);
        if (at == kNone && !state.account_names.contains(*name)) {
            state.add_account(id, terms.name, *std::move(name), flags);
        } else if (at == kNone || std::memcmp(state.accounts[at].name, terms.name, sizeof terms.name) != 0 ||
                   state.accounts[at].flags != flags) {
            code = code::ALREADY_DEFINED;
        }
    }
    DefinitionEvent event =
        report::definition(step, code != 0 ? event_kind::ADMIN_REJECTED : event_kind::ACCOUNT_DEFINED, code);
    std::memcpy(event.name, terms.name, sizeof event.name);
    report::emit(step, event);
}

// ADJUST_CASH: a deposit (positive) or withdrawal (negative), within what is not reserved.
inline void adjust_cash(State& state, Step& step) {
    const i64 amount = step.command.admin.amount_micros;
    const Handle at = state.find_account(step.head().account);
    if (at == kNone) {
        report::emit(step, report::definition(step, event_kind::ADMIN_REJECTED, code::UNKNOWN_ACCOUNT));
        return;
    }
    Account& account = state.accounts[at];
    const i128 cash = i128{account.cash} + amount;
    Code code = code::OK;
    if (cash < account.reserved && !account.borrows()) {
        code = code::INSUFFICIENT_CASH;
    } else if (account.is_on_margin() && amount < 0 &&
               margin::equity(state, account) + amount < margin::initial(state, account)) {
        code = code::INSUFFICIENT_MARGIN;
    } else if (std::max<i128>(cash, 0) + account.receivable > kI64Max ||
               account.reserved - std::min<i128>(cash, 0) > kI64Max) {
        code = code::OVERFLOW_;
    } else {
        account.cash = static_cast<i64>(cash);
    }
    DefinitionEvent event =
        report::definition(step, code != 0 ? event_kind::ADMIN_REJECTED : event_kind::CASH_ADJUSTED, code);
    event.amount_micros = code != 0 ? amount : account.cash;
    report::emit(step, event);
}

// ADJUST_POSITION: lots moved in (positive) or out (negative), within what is not reserved.
inline void adjust_position(State& state, Step& step) {
    const i64 lots = step.command.admin.quantity_lots;
    const Handle owner = state.find_account(step.head().account);
    const Handle book = state.find_book(step.head().instrument);
    Code code = code::OK;
    i128 after = 0;
    if (owner == kNone) {
        code = code::UNKNOWN_ACCOUNT;
    } else if (book == kNone) {
        code = code::UNKNOWN_INSTRUMENT;
    } else {
        const Handle at = state.find_position(owner, book);
        const Position held = at != kNone ? state.positions[at] : Position{};
        after = i128{lots} + held.quantity;
        if (after < held.reserved && !state.accounts[owner].goes_short()) {
            code = code::INSUFFICIENT_POSITION;
        } else if (after > kMaxPositionLots || after < -kMaxPositionLots) {
            code = code::OVERFLOW_;
        } else {
            state.positions[state.position_of(owner, book)].adjust(static_cast<i64>(after));
        }
    }
    DefinitionEvent event =
        report::definition(step, code != 0 ? event_kind::ADMIN_REJECTED : event_kind::POSITION_ADJUSTED, code);
    event.quantity_lots = code != 0 ? lots : static_cast<i64>(after);
    report::emit(step, event);
}

// TRANSFER_POSITION: shares from one account to another, at what they cost the giver.
inline void transfer_position(State& state, Step& step) {
    const TransferTerms& terms = step.command.transfer;
    const i64 lots = terms.quantity_lots;
    const Handle giver = state.find_account(step.head().account);
    const Handle taker = state.find_account(terms.to_account);
    const Handle book = state.find_book(step.head().instrument);
    const bool known = giver != kNone && taker != kNone && book != kNone;
    const Handle from = known ? state.find_position(giver, book) : kNone;
    const Handle to = known ? state.find_position(taker, book) : kNone;
    Code code = code::OK;
    if (giver == kNone || taker == kNone) {
        code = code::UNKNOWN_ACCOUNT;
    } else if (book == kNone) {
        code = code::UNKNOWN_INSTRUMENT;
    } else if (giver == taker) {
        code = code::BAD_DEFINITION;
    } else if (lots < 1 || lots > kMaxPositionLots) {
        code = code::BAD_QUANTITY;
    } else if (from == kNone || lots > state.positions[from].quantity - state.positions[from].reserved) {
        code = code::INSUFFICIENT_POSITION;
    } else if (to != kNone && state.positions[to].quantity + lots > kMaxPositionLots) {
        code = code::OVERFLOW_;
    }
    if (code != code::OK) {
        DefinitionEvent event = report::definition(step, event_kind::ADMIN_REJECTED, code);
        event.quantity_lots = lots;
        report::emit(step, event);
        return;
    }
    Position& given = state.positions[from];
    const i64 cost = Position::share(given.cost, lots, given.quantity);
    given.adjust(given.quantity - lots);
    Position& taken = state.positions[state.position_of(taker, book)];
    taken.trade(lots, cost);
    DefinitionEvent event = report::definition(step, event_kind::POSITION_TRANSFERRED, code::OK);
    event.quantity_lots = given.quantity;
    report::emit(step, event);
    event.index = step.index;
    event.account = terms.to_account;
    event.quantity_lots = taken.quantity;
    report::emit(step, event);
}

}  // namespace lockstep::admin
