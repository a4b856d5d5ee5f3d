// REPLACE: new terms for a live order, in the book or waiting. Checks first, as for a new order.
#pragma once

#include "lockstep/orders.hpp"

namespace lockstep::replacing {

struct Wanted {
    i64 price;
    i64 stop;
    i64 lots;
    bool lessens;  // so that the order keeps its place
};

// The open quantity that is asked for. A total that no order may have stays what it is: check 7 refuses it.
inline i64 open_lots(const Order& order, u8 flags, i64 lots) {
    const bool total = (flags & replace_flag::TOTAL) != 0 && orders::is_quantity(lots);
    return total ? lots - (order.quantity - order.leaves) : lots;
}

// The price by which it reserves: its limit if it has one, but of an OCO buy the dearer of the two.
inline i64 valued_at(const Order& order, i64 price, i64 stop) {
    return price == 0 || (order.is_oco() && order.side == side::BUY) ? stop : price;
}

// Quantity and prices by themselves.
inline Code terms_refusal(const Order& order, const Wanted& wanted) {
    const bool limited = orders::has_limit(order.order_type);
    if (!orders::is_quantity(wanted.lots)) return code::BAD_QUANTITY;
    if (limited ? !orders::is_price(wanted.price) : wanted.price != 0) return code::BAD_PRICE;
    if (wanted.stop != 0 && !orders::is_price(wanted.stop)) return code::BAD_STOP_PRICE;
    const i64 stop = wanted.stop != 0 ? wanted.stop : order.stop;
    return order.is_oco() && !orders::is_beyond(order.side, stop, wanted.price) ? code::BAD_STOP_PRICE : code::OK;
}

// Display quantity, price limits and size of an order that asks for more than it has.
inline Code new_terms_refusal(const State& state, const Order& order, const Wanted& wanted) {
    if (order.display != 0 && wanted.lots > i128{orders::kDisplayRatio} * order.display) return code::BAD_DISPLAY;
    if (wanted.price != 0) {
        const bool enters = order.place == kInBook && !orders::gathers(state.books[order.book], order.tif);
        const Code code = orders::price_refusal(state.books[order.book], order.side, wanted.price, enters);
        if (code != code::OK) return code;
    }
    if (!state.books[order.book].takes_lots(wanted.lots)) return code::ODD_LOT;
    const Account& account = state.accounts[order.account];
    const bool too_large =
        account.is_limited && account.limits.max_order_lots != 0 && wanted.lots > account.limits.max_order_lots;
    return too_large ? code::ORDER_TOO_LARGE : code::OK;
}

// Why an order can't have new terms; what it has reserved itself counts as free.
inline Code refusal(const State& state, const Order& order, const Wanted& wanted, i64 now_ns) {
    const Book& book = state.books[order.book];
    const Account& account = state.accounts[order.account];
    Code code = code::OK;
    if (order.is_market() || order.place == kWaitsForParent) return code::NOT_SUPPORTED;
    if (wanted.stop != 0 && order.place != kWaitsForStop && !order.is_oco()) return code::NOT_SUPPORTED;
    if (!wanted.lessens) code = funds::status_refusal(account);
    if (code != code::OK) return code;
    if (book.phase == phase::HALT || book.phase == phase::CLOSED) return code::WRONG_PHASE;
    code = terms_refusal(order, wanted);
    if (code == code::OK && !wanted.lessens) code = new_terms_refusal(state, order, wanted);
    if (code != code::OK) return code;
    const i64 stop = wanted.stop != 0 ? wanted.stop : order.stop;
    const i128 worth = lot_micros_of(book, order.side, valued_at(order, wanted.price, stop)) * wanted.lots;
    const funds::Freed freed = {order.leaves, order.lot_micros * order.leaves};
    if (worth > kI64Max) return code::OVERFLOW_;
    if (wanted.lessens) return funds::range_refusal(state, order, wanted.price, wanted.lots, worth, freed);
    if (orders::is_worth_too_much(account, worth)) return code::ORDER_WORTH_TOO_MUCH;
    if (funds::has_exposure_rules(account)) {
        code = funds::exposure_refusal(state, order, wanted.lots, worth, order.leaves, now_ns);
    }
    if (code == code::OK && book.is_restrained()) {
        const bool enters = order.place == kInBook && !orders::gathers(book, order.tif);
        code = barring::refusal_on_entry(state, order, wanted.price, wanted.lots, order.leaves, enters, now_ns);
    }
    if (code == code::OK) code = funds::funds_refusal(state, order, wanted.price, wanted.lots, worth, freed);
    if (code == code::OK) code = orders::throttle_refusal(state, book, now_ns);
    const bool post_only = (order.flags & order_flag::POST_ONLY) != 0 && book.phase == phase::CONTINUOUS;
    if (code == code::OK && post_only && orders::crosses(state, order, wanted.price)) return code::WOULD_TRADE;
    return code;
}

inline void lessen(State& state, Order& order, i64 lots, const report::Previous& previous, Step& step) {
    const bool resting = order.place == kInBook;
    state.reserve(order, lots - order.leaves);
    if (resting) state.reduce(order, lots);
    order.leaves = lots;
    report::replaced(step, state, order, resting ? event_flag::BOOKS : event_flag::WAITS, previous);
}

// REPLACE with all checks: new price and new open quantity, and for an order that waits for it a new stop price.
//
// Less at the same price keeps the order's place; anything else puts it behind, and may trade. The order belongs to
// the session that replaced it from then on, as that is the one that gets its further reports.
[[gnu::noinline]] inline void checked_replace(State& state, Step& step, Handle at) {
    const CommandHead& head = step.head();
    const OrderTerms& terms = step.command.order;
    Order& order = state.orders[at];
    const i64 lots = open_lots(order, head.flags, terms.quantity_lots);
    const bool cut = (head.flags & replace_flag::CUT) != 0;
    if (cut && lots >= order.leaves) return report::refused(step, event_kind::REPLACE_REJECTED, code::BAD_QUANTITY);
    if (lots < 1 && terms.quantity_lots >= 1) return orders::end_at_request(state, at, step);
    const i64 price = cut ? order.price : terms.price_ticks;
    const i64 stop = cut ? 0 : terms.stop_price_ticks;
    const bool same_stop = stop == 0 || stop == order.stop;
    const bool lessens = price == order.price && lots <= order.leaves && same_stop;
    const Wanted wanted = {price, stop, lots, lessens};
    const Code code = refusal(state, order, wanted, step.now_ns);
    if (code != code::OK) return report::refused(step, event_kind::REPLACE_REJECTED, code);
    const report::Previous previous = {order.session_id, order.price, order.leaves};
    order.session_id = head.session_id;
    state.discount(order, terms.quantity_lots - lots - (order.quantity - order.leaves));
    order.quantity = terms.quantity_lots;
    if (lessens) return lessen(state, order, wanted.lots, previous, step);
    Book& book = state.books[order.book];
    orders::taken(state, book, order, step.now_ns);
    const Place place = static_cast<Place>(order.place);
    state.displace(at);
    state.leave_stops(at);
    order.price = order.held = wanted.price;
    if (wanted.stop != 0) order.stop = wanted.stop;
    order.leaves = wanted.lots;
    order.lot_micros = static_cast<i64>(lot_micros_of(book, order.side, valued_at(order, order.price, order.stop)));
    if (place != kInBook) {
        // Orders for the closing auction are in a queue; those that wait for a stop price are not.
        const u32 lost = place == kWaitsForStop ? 0 : u32{event_flag::LOST_PRIORITY};
        report::replaced(step, state, order, event_flag::WAITS | lost, previous);
        state.wait(at, place);
        if (place == kWaitsForStop) phases::set_off_stops(state, book, step);
        return;
    }
    report::replaced(step, state, order, event_flag::BOOKS | event_flag::LOST_PRIORITY, previous);
    if (book.phase != phase::CONTINUOUS) {
        state.place(at);
        if (order.is_oco()) state.join_stops(at);
        return;
    }
    const i64 before = book.last;
    const i64 first = matching::enter(state, order, at, head.session_no, step);
    if (first != 0) return phases::aftermath(state, book, {before, first}, step);
    if (order.is_oco()) phases::set_off_stops(state, book, step);
}

// REPLACE.
inline void replace(State& state, Step& step) {
    if (state.is_closed(step.head().session_id)) [[unlikely]] {
        return report::refused(step, event_kind::REPLACE_REJECTED, code::SESSION_CLOSED);
    }
    const Handle at = orders::addressed_order(state, step.head());
    if (at == kNone) return report::refused(step, event_kind::REPLACE_REJECTED, code::UNKNOWN_ORDER);
    if (unruled::replace(state, step, at)) return;
    checked_replace(state, step, at);
    if (state.due) [[unlikely]]
        endings::finish(state, step);
}

}  // namespace lockstep::replacing
