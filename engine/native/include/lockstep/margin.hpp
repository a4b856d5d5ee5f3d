// Margin: what an account is worth, what its positions and orders require, and whether an order may be added to them.
//
// Everything is valued at the mark of the moment, from scratch. Values of positions are held within 64 bits, so that
// sums of them fit 128.
#pragma once

#include <algorithm>

#include "lockstep/events.hpp"

namespace lockstep::margin {

inline constexpr i64 kDayTraderEquityMicros = 25'000'000'000;
inline constexpr i64 kBusinessDays = 5;

inline i64 clamp(i128 value) {
    return static_cast<i64>(std::clamp<i128>(value, -kI64Max, kI64Max));
}

// Worth of lots at the mark, held within 64 bits.
inline i64 value_of(const Book& book, i128 lots) {
    const i128 lot = i128{book.mark()} * book.unit_micros;
    const i128 size = lots < 0 ? -lots : lots;
    if (lot != 0 && size > kI64Max / lot) return lots < 0 ? -kI64Max : kI64Max;
    return static_cast<i64>(lots * lot);
}

// `ppm` millionths, rounded up.
inline i128 share(i64 value, u32 ppm) {
    return (i128{value} * ppm + (kPpm - 1)) / kPpm;
}

// Cash and the value of all positions.
inline i128 equity(const State& state, const Account& account) {
    i128 worth = account.cash;
    for (Handle at = account.positions; at != kNone; at = state.positions[at].account_next) {
        const Position& position = state.positions[at];
        worth += value_of(state.books[position.book], position.quantity);
    }
    return worth;
}

// What equity must not fall below.
inline i128 maintenance(const State& state, const Account& account) {
    i128 required = 0;
    for (Handle at = account.positions; at != kNone; at = state.positions[at].account_next) {
        const Position& position = state.positions[at];
        const Book& book = state.books[position.book];
        required += share(value_of(book, Position::magnitude(position.quantity)), book.maintenance_ppm);
    }
    return required;
}

// Worth of the largest position that open orders may make of this one.
inline i64 at_most(const Book& book, const Position& position, i64 buying, i64 selling) {
    const i128 up = i128{position.quantity} + buying;
    const i128 down = i128{position.quantity} - selling;
    return value_of(book, std::max(up < 0 ? -up : up, down < 0 ? -down : down));
}

// Initial margin of all positions and open orders, except in one instrument.
inline i128 initial(const State& state, const Account& account, Handle but = kNone) {
    i128 required = 0;
    for (Handle at = account.positions; at != kNone; at = state.positions[at].account_next) {
        const Position& position = state.positions[at];
        if (position.book == but) continue;
        const Book& book = state.books[position.book];
        required += share(at_most(book, position, position.buying, position.reserved), book.initial_ppm);
    }
    return required;
}

// A position, or an empty one if there is none yet.
inline const Position& position_at(const State& state, Handle at) {
    static constexpr Position kEmpty = {};
    return at != kNone ? state.positions[at] : kEmpty;
}
// The position of an order's account.
inline const Position& position_of(const State& state, const Order& order) {
    return position_at(state, order.position);
}

// The position on an order's own side if all live orders of that side are filled; it opens if that is above 0.
inline i128 after(const Position& position, u8 side, i64 lots, i64 freed_lots) {
    return side == side::BUY ? i128{position.quantity} + position.buying - freed_lots + lots
                             : i128{position.reserved} - freed_lots + lots - position.quantity;
}

// Worth of the position that an order of `lots`, worth at most 64 bits, leads to.
inline i64 exposure(const Book& book, i64 lots, i128 worth, i128 lots_after) {
    const i128 marked = i128{lots} * book.mark() * book.unit_micros;
    if (worth <= marked) return std::max<i64>(0, value_of(book, lots_after));
    return std::max<i64>(0, clamp(value_of(book, lots_after - lots) + worth));
}

// Why a margin account can't have an order.
inline Code refusal(const State& state, const Order& order, i64 lots, i128 worth, i64 freed_lots) {
    const Account& account = state.accounts[order.account];
    const Book& book = state.books[order.book];
    const Position& position = position_of(state, order);
    const bool buys = order.side == side::BUY;
    const i64 buying = position.buying - (buys ? freed_lots : 0);
    const i64 selling = position.reserved - (buys ? 0 : freed_lots);
    if (!buys && !account.goes_short() && lots > i128{position.quantity} - selling) return code::SHORT_SALE;
    const i128 lots_after = after(position, order.side, lots, freed_lots);
    if (lots_after <= 0) return code::OK;
    const i128 worth_now = equity(state, account);
    if (worth_now < maintenance(state, account)) return code::MARGIN_CALL;
    const i128 marked = i128{lots} * book.mark() * book.unit_micros;
    const i128 loss = marked == 0 ? 0 : std::max<i128>(0, buys ? worth - marked : marked - worth);
    const i64 own = std::max(at_most(book, position, buying, selling), exposure(book, lots, worth, lots_after));
    const i128 required = share(own, book.initial_ppm) + initial(state, account, order.book);
    return worth_now - loss < required ? code::INSUFFICIENT_MARGIN : code::OK;
}

// Say which accounts have fallen under their maintenance margin, and which are back.
inline void call(State& state, Step& step) {
    for (const auto& [number, at] : state.margin_accounts) {
        Account& account = state.accounts[at];
        const i128 worth = equity(state, account);
        const i128 required = maintenance(state, account);
        if ((worth < required) == account.margin_called) continue;
        account.margin_called = worth < required;
        report::notice(step, event_kind::MARGIN_CALLED, number, clamp(worth), clamp(required), 0);
    }
}

// Number of the business day of a stamp: Mondays to Fridays counted on, a weekend is its Friday.
inline i64 business_day(i64 now_ns) {
    // The epoch began on a Thursday, so that 3 days more make weeks begin on Mondays. Stamps are never negative.
    const i64 days = now_ns / Limits::kDayNs + 3;
    return days / 7 * kBusinessDays + std::min(days % 7, kBusinessDays - 1);
}

// Whether the day-trade rule keeps the account from opening positions.
inline bool is_day_trader(const State& state, const Account& account, i64 now_ns) {
    const i64 fourth = account.day_trades[0];
    if (fourth == 0 || business_day(now_ns) - fourth >= kBusinessDays) return false;
    return equity(state, account) < kDayTraderEquityMicros;
}

// Look for a day trade; `lots` (below 0: sold) are about to be booked to an account that is held to the rule.
inline void note_trade(Account& account, Position& position, i64 lots, i64 now_ns) {
    const i64 today = business_day(now_ns);
    const i64 held = position.quantity;
    const bool closes = held != 0 && (held > 0) != (lots > 0);
    if (closes && position.opened == today) {
        position.opened = 0;
        std::shift_left(std::begin(account.day_trades), std::end(account.day_trades), 1);
        account.day_trades[3] = today;
    }
    if (!closes || Position::magnitude(lots) > Position::magnitude(held)) position.opened = today;
}

// The same for both sides of a trade in which the first buys `lots` (below 0: sells) from the other.
inline void note_trades(Account& one, Position& position, Account& other, Position& others, i64 lots, i64 now_ns) {
    if (((one.flags | other.flags) & account_flag::DAY_TRADE_RULE) == 0) [[likely]]
        return;
    if (other.has_day_trade_rule()) note_trade(other, others, -lots, now_ns);
    if (one.has_day_trade_rule()) note_trade(one, position, lots, now_ns);
}

}  // namespace lockstep::margin
