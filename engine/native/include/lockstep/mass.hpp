// Commands that take off many orders at once: mass cancel with the kill switch, cancel on disconnect.
#pragma once

#include "lockstep/orders.hpp"

namespace lockstep::orders {

// Take off orders; they are in order of exchange id.
inline void cancel_all(State& state, const phases::Chosen& chosen, Code code, Step& step) {
    for (const auto& [_, at] : chosen) {
        const Order& order = state.orders[at];
        state.displace(at);
        report::taken_off(step, state, asker_of(step), order, order.leaves, code);
        state.forget(at);
    }
}

// An account's live orders that `is_chosen`, by exchange id.
template <class IsChosen>
phases::Chosen orders_of_account(const State& state, Handle account, IsChosen&& is_chosen) {
    phases::Chosen chosen;
    for (Handle at = state.accounts[account].orders; at != kNone; at = state.links[at].account_next) {
        if (is_chosen(state.orders[at])) chosen.emplace_back(state.orders[at].order_id, at);
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

// A session's live orders that `is_chosen`, by exchange id. Sessions keep no list of their orders: this reads them all.
template <class IsChosen>
phases::Chosen orders_of_session(const State& state, u64 session_id, IsChosen&& is_chosen) {
    phases::Chosen chosen;
    for (Handle at = 1; at < state.orders.end(); ++at) {
        const Order& order = state.orders[at];
        if (order.place == kGone || order.session_id != session_id || !is_chosen(order)) continue;
        chosen.emplace_back(order.order_id, at);
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

// MASS_CANCEL: all live orders of an account, an instrument, a session, a side, or what these have in common.
inline void mass_cancel(State& state, Step& step) {
    const CommandHead& head = step.head();
    const Handle account = state.find_account(head.account);
    if (account == kNone && (head.account != 0 || (head.instrument == 0 && head.order_id == 0))) {
        report::refused(step, event_kind::REJECTED, code::UNKNOWN_ACCOUNT);
        return;
    }
    if ((head.flags & ~mass_cancel_flag::BLOCK) != 0 || (head.flags != 0 && account == kNone)) {
        report::refused(step, event_kind::REJECTED, code::NOT_SUPPORTED);
        return;
    }
    if (head.flags != 0 && state.accounts[account].status != account_status::BANNED) {
        state.accounts[account].status = account_status::KILLED;
    }
    const Handle book = head.instrument != 0 ? state.find_book(head.instrument) : kNone;
    const auto is_chosen = [&](const Order& order) {
        return (head.side == 0 || order.side == head.side) && (head.instrument == 0 || order.book == book) &&
               (head.order_id == 0 || order.session_id == head.order_id);
    };
    phases::Chosen chosen;
    if (account != kNone) {
        chosen = orders_of_account(state, account, is_chosen);
    } else if (book != kNone) {
        chosen = phases::orders_of_book(state, book, is_chosen);
    } else if (head.instrument == 0) {
        chosen = orders_of_session(state, head.order_id, is_chosen);
    }
    cancel_all(state, chosen, code::MASS_CANCEL, step);
    report::mass_canceled(step, static_cast<u32>(chosen.size()));
}

// SESSION_OPENED: this connection's end is the session's, unless a later one was opened before.
inline void session_opened(State& state, Step& step) {
    const CommandHead& head = step.head();
    const u64 connection = head.client_order_id;
    const auto known = state.owners.find(head.order_id);
    const Owner before = known != state.owners.end() ? known->second : Owner{};
    if (connection > before.connection) {
        state.set_owner(head.order_id, {connection, head.gateway});
        report::session_opened(step, head.gateway, before.gateway, connection);
    } else {
        report::session_opened(step, before.gateway, before.gateway, before.connection);
    }
}

// SESSION_CLOSED: a gateway has lost a session that wants its orders canceled then. It may be elsewhere by now.
// Its latest connection is kept: what is said late of it, or of an earlier one, must not open the session again.
inline void session_closed(State& state, Step& step) {
    const CommandHead& head = step.head();
    phases::Chosen chosen;
    const auto owner = state.owners.find(head.order_id);
    const Owner speaker = {head.client_order_id, head.gateway};
    if (speaker.gateway != 0 && owner != state.owners.end() && owner->second == speaker) {
        state.set_owner(head.order_id, {speaker.connection, 0});
        chosen = orders_of_session(state, head.order_id, [](const Order&) { return true; });
    }
    cancel_all(state, chosen, code::DISCONNECTED, step);
    report::mass_canceled(step, static_cast<u32>(chosen.size()));
}

}  // namespace lockstep::orders
