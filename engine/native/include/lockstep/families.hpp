// Contingent orders: children that wait for the end of their parent, and go to the market with what it traded.
#pragma once

#include "lockstep/replace.hpp"

namespace lockstep::families {

// Why a child can't go to the market: what was not looked at when it came.
inline Code refusal(const State& state, const Order& order, i64 now_ns) {
    const Account& account = state.accounts[order.account];
    const i128 worth = i128{order.lot_micros} * order.leaves;
    Code code = funds::status_refusal(account);
    if (code != code::OK) return code;
    const bool enters = order.order_type == order_type::LIMIT || order.is_oco();
    if (enters) code = bands::refusal(state.books[order.book], order.side, order.price);
    if (code != code::OK) return code;
    if (worth > kI64Max) return code::OVERFLOW_;
    if (orders::is_worth_too_much(account, worth)) return code::ORDER_WORTH_TOO_MUCH;
    if (funds::has_exposure_rules(account)) code = funds::exposure_refusal(state, order, order.leaves, worth, 0, now_ns);
    if (code == code::OK && state.books[order.book].is_restrained()) {
        code = barring::refusal_on_entry(state, order, order.price, order.leaves, 0, enters, now_ns);
    }
    if (code != code::OK) return code;
    return funds::funds_refusal(state, order, order.price, order.leaves, worth, {});
}

// A child whose parent has ended: it ends too if that has traded nothing, and else has no more lots than that.
inline void settle(State& state, u64 id, Step& step) {
    const Child& child = state.children.at(id);
    const Handle at = child.at;
    Order& order = state.orders[at];
    const i64 lots = std::min(child.lots, order.leaves);
    state.orphans.erase(id);
    if (lots == 0) {
        state.displace(at);
        report::taken_off(step, state, kNobody, order, order.leaves, code::PARENT_ENDED);
        return state.forget(at);
    }
    state.release(order);
    const i64 off = order.leaves - lots;
    // It has traded none of them, and a replace that says a total must not count them.
    order.quantity -= off;
    order.leaves = lots;
    if (off != 0) report::taken_off(step, state, kNobody, order, off, code::PARENT_ENDED, lots);
}

// A child goes to the market, as a new order does.
inline void send(State& state, Handle at, Step& step) {
    Order& order = state.orders[at];
    Book& book = state.books[order.book];
    const bool waits = order.order_type == order_type::STOP || order.order_type == order_type::STOP_LIMIT;
    state.displace(at);
    state.touch(order.book);
    report::triggered(step, state, order, waits ? event_flag::WAITS : event_flag::BOOKS, 0);
    const Code code = refusal(state, order, step.now_ns);
    if (code != code::OK) {
        report::taken_off(step, state, {order.session_id, 0}, order, order.leaves, code);
        return state.forget(at);
    }
    if (waits) {
        state.wait(at, kWaitsForStop);
        return phases::set_off_stops(state, book, step);
    }
    const i64 before = book.last;
    const bool oco = order.is_oco();
    const i64 first = matching::enter(state, order, at, 0, step);
    if (first != 0) return phases::aftermath(state, book, {before, first}, step);
    if (oco) phases::set_off_stops(state, book, step);
}

}  // namespace lockstep::families
