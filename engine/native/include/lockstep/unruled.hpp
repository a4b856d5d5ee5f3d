// The early outs: plain orders of accounts and in books that no rule restricts (`Account::is_unruled`,
// `Book::is_unruled`), with no more work than they need.
//
// Nothing here is a rule of its own, so that the rules and their order stand in one place. These functions find out
// whether all checks of `docs/engine.md` pass, in 64 bits, and without those that can't fail then. Where one might
// fail, or the order may trade, they say no and have changed nothing, and the caller goes the long way.
#pragma once

#include "lockstep/phases.hpp"

namespace lockstep::unruled {

inline bool is_price(i64 ticks) {
    return ticks >= 1 && ticks <= kMaxPriceTicks;
}
inline bool is_quantity(i64 lots) {
    return lots >= 1 && lots <= kMaxQuantityLots;
}

// A limit order that rests or ends at once, without an option (`bare` says it of the terms).
inline bool is_plain(const CommandHead& head, bool bare) {
    static_assert(side::BUY == 1 && side::SELL == 2 && tif::DAY == 1 && tif::GTC == 2 && tif::IOC == 3);
    return head.order_type == order_type::LIMIT && u8(head.side - side::BUY) <= side::SELL - side::BUY &&
           u8(head.tif - tif::DAY) <= tif::IOC - tif::DAY && (head.stp | head.flags) == 0 && bare;
}

// What an order at this price is worth to the funds of its account; whether that is within 64 bits.
inline bool is_worth(const Book& book, i64 price, i64 lots, i64& lot_micros, i64& worth) {
    return !__builtin_mul_overflow(price, book.unit_micros, &lot_micros) &&
           !__builtin_mul_overflow(lot_micros, lots, &worth);
}

// Whether the funds are there, and the balances stay in range (`funds::range_refusal`).
[[gnu::always_inline]] inline bool is_covered(const State& state, const Book& book, const Account& account,
                                              const Position& position, u8 side, i64 price, i64 lots, i64 worth,
                                              const funds::Freed& freed) {
    if (side == side::BUY) return funds::buy_refusal(account, worth, lots, position, freed) == code::OK;
    const Handle best = book.halves[0].best;
    i64 lot_micros = 0;
    if (best != kNone && state.levels[best].price > price &&
        !is_worth(book, state.levels[best].price, lots, lot_micros, worth)) {
        return false;
    }
    return funds::sell_refusal(account, worth, lots, position, freed) == code::OK;
}

inline bool crosses(const State& state, const Book& book, u8 side, i64 price) {
    const Handle best = book.halves[side::SELL - side].best;
    return best != kNone && reaches(side, price, state.levels[best].price);
}

// NEW_ORDER that meets nobody: it rests, or ends at once.
inline bool new_order(State& state, Step& step, bool bare) {
    const CommandHead& head = step.head();
    if (!is_plain(head, bare) || state.is_closed(head.session_id)) return false;
    const i64 price = step.command.order.price_ticks;
    const i64 lots = step.command.order.quantity_lots;
    const Handle owner = state.find_account(head.account);
    const Handle number = state.find_book(head.instrument);
    if (owner == kNone || number == kNone || !is_price(price) || !is_quantity(lots)) return false;
    Account& account = state.accounts[owner];
    Book& book = state.books[number];
    if (!account.is_unruled() || !book.is_unruled() || crosses(state, book, head.side, price)) return false;
    i64 lot_micros = 0;
    i64 worth = 0;
    if (!is_worth(book, price, lots, lot_micros, worth)) return false;
    const u32 client_hash = hash_pair(head.account, head.client_order_id);
    if (state.find_client_order(owner, head.client_order_id, client_hash) != kNone) return false;
    Handle held = state.find_position(owner, number);
    if (!is_covered(state, book, account, margin::position_at(state, held), head.side, price, lots, worth, {})) {
        return false;
    }
    if (held == kNone) held = state.position_of(owner, number);
    Order& order = state.draft();
    std::memset(static_cast<void*>(&order), 0, sizeof order);
    order.order_id = step.seq;
    order.client_order_id = head.client_order_id;
    order.session_id = head.session_id;
    order.price = order.held = price;
    order.leaves = order.quantity = lots;
    order.account = owner;
    order.position = held;
    order.book = number;
    order.side = head.side;
    order.order_type = order_type::LIMIT;
    order.tif = head.tif;
    order.lot_micros = lot_micros;
    const report::Numbers numbers = {head.instrument, head.account};
    const bool stays = head.tif != tif::IOC;
    report::reported(step, numbers, order, event_kind::ACCEPTED, head.session_no, lots,
                     stays ? u32{event_flag::BOOKS} : 0, {head.session_id, 0, 0});
    if (stays) {
        const State::Home home = {account, state.positions[held], book};
        state.place(state.file(home, client_hash), home);
    } else {
        report::taken_off(step, numbers, asker_of(step), order, lots, code::IOC_REMAINDER);
    }
    return true;
}

// REPLACE of an order in the book, without options, that meets nobody at its new price.
inline bool replace(State& state, Step& step, Handle at) {
    const CommandHead& head = step.head();
    const OrderTerms& terms = step.command.order;
    const i64 price = terms.price_ticks;
    const i64 lots = terms.quantity_lots;
    Order& order = state.orders[at];
    if (head.flags != 0 || terms.stop_price_ticks != 0 || !is_price(price) || !is_quantity(lots)) return false;
    if ((order.place | order.marked | order.flags | order.display) != kInBook) return false;
    if (!rests(order.order_type, order.tif)) return false;
    const State::Home home = state.home_of(order);
    const Account& account = home.account;
    const Book& book = home.book;
    if (!account.is_unruled() || !book.is_unruled() || crosses(state, book, order.side, price)) return false;
    i64 lot_micros = 0;
    i64 worth = 0;
    if (!is_worth(book, price, lots, lot_micros, worth)) return false;
    const funds::Freed freed = {order.leaves, order.lot_micros * order.leaves};
    if (!is_covered(state, book, account, home.position, order.side, price, lots, worth, freed)) return false;
    const report::Numbers numbers = {book.instrument, account.account};
    const report::Previous before = {order.session_id, order.price, order.leaves};
    const bool lessens = price == order.price && lots <= order.leaves;
    order.session_id = head.session_id;
    order.quantity = lots;
    if (lessens) {
        state.reserve(order, lots - order.leaves, home);
        state.reduce(order, lots);
    } else {
        state.displace(at, home);
        order.price = order.held = price;
        order.leaves = lots;
        order.lot_micros = lot_micros;
        state.place(at, home);
    }
    report::reported(step, numbers, order, event_kind::REPLACED, head.session_no, lots,
                     event_flag::BOOKS | (lessens ? 0 : u32{event_flag::LOST_PRIORITY}), before);
    return true;
}

}  // namespace lockstep::unruled
