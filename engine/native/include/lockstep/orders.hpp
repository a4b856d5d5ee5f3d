// Order commands: validate completely, then change state, then say what happened.
//
// The order of the checks is part of the specification (`docs/engine.md`): every engine must refuse the same command
// with the same code.
#pragma once

#include "lockstep/terms.hpp"

namespace lockstep::orders {

inline bool crosses(const State& state, const Order& order, i64 price) {
    const Handle best = state.books[order.book].halves[order.side == side::BUY ? 1 : 0].best;
    return best != kNone && reaches(order.side, price, state.levels[best].price);
}

// Whether the instrument, then the market, takes one more order now.
inline Code throttle_refusal(const State& state, const Book& book, i64 now_ns) {
    if (book.ruled == 0) return code::OK;
    if (!book.throttle.has_token(now_ns)) return code::INSTRUMENT_THROTTLED;
    return state.market.throttle.has_token(now_ns) ? Code{code::OK} : Code{code::MARKET_THROTTLED};
}
// It was taken: it needs tokens, and a look at the bands.
inline void taken(State& state, Book& book, Order& order, i64 now_ns) {
    if (book.ruled == 0) return;
    if (book.is_banded()) {
        order.marked |= kIsWatched;
        state.touch(order.book);
    }
    book.throttle.take_token(now_ns);
    state.market.throttle.take_token(now_ns);
}

inline bool is_worth_too_much(const Account& account, i128 worth) {
    return account.is_limited && account.limits.max_order_micros != 0 && worth > account.limits.max_order_micros;
}

// A market order that trades now, so that it reserves nothing.
inline bool is_at_once(const Book& book, const Order& order) {
    return order.is_market() && !gathers(book, order.tif);
}

// The price that an order is valued at before it trades, 0 if it has none. Of an order for an auction: a buy must be able
// to pay what it is held to; what a sell without a protection brings is not known, the mark is the best guess.
inline i64 valued_at(const Book& book, const Order& order) {
    if (order.order_type == order_type::LIMIT) [[likely]]
        return order.price;
    // An OCO buy must be able to pay the dearer of its two prices.
    if (order.is_oco() && order.side == side::BUY) return order.stop;
    if (!order.is_market()) return order.price;
    if (!gathers(book, order.tif)) return 0;
    return order.side == side::BUY || order.is_named() ? order.held : book.mark();
}

// The live order that one names as its parent.
inline Handle parent_of(const State& state, const Order& order, u64 parent_id) {
    return state.find_client_order(order.account, parent_id);
}

// Why an order can't wait for the one that it names.
inline Code parent_refusal(const State& state, const Order& order, u64 parent_id) {
    const Handle at = parent_of(state, order, parent_id);
    if (at == kNone) return code::BAD_PARENT;
    const Order& parent = state.orders[at];
    const bool good = parent.book == order.book && parent.place != kWaitsForParent &&
                      state.children_of(parent.order_id) < Child::kMost;
    if (!good) return code::BAD_PARENT;
    const bool too_many = state.accounts[order.account].children >= Child::kMostOfAccount;
    return too_many ? Code{code::TOO_MANY_CHILDREN} : Code{code::OK};
}

// Why the account may not hold what a new order leads to, or the instrument's restrictions refuse it; one that waits for a
// price or an auction is asked for its price when it goes to the market.
[[gnu::noinline]] inline Code holding_refusal(const State& state, const Order& order, i128 worth, i64 now_ns) {
    if (funds::has_exposure_rules(state.accounts[order.account])) {
        const Code code = funds::exposure_refusal(state, order, order.quantity, worth, 0, now_ns);
        if (code != code::OK) return code;
    }
    if (!state.books[order.book].is_restrained()) return code::OK;
    const bool waits = order.order_type >= order_type::STOP && !order.is_oco();
    const bool enters = !waits && !gathers(state.books[order.book], order.tif);
    const i64 limit = has_limit(order.order_type) ? order.price : 0;
    return barring::refusal_on_entry(state, order, limit, order.quantity, 0, enters, now_ns);
}

// Why an order with good terms can't be taken: its worth, its id, the account's funds and limits.
template <bool kPlain>
inline Code entry_refusal(const State& state, const Order& order, i128 worth, u64 parent_id, i64 now_ns) {
    const Account& account = state.accounts[order.account];
    const i64 lots = order.quantity;
    if (worth > kI64Max) return code::OVERFLOW_;
    if (is_worth_too_much(account, worth)) return code::ORDER_WORTH_TOO_MUCH;
    if (state.find_client_order(order.account, order.client_order_id) != kNone) return code::DUPLICATE_ORDER_ID;
    Code code = code::OK;
    if (!kPlain && parent_id != 0) [[unlikely]] {
        // What it binds and exposes is looked at when it goes to the market.
        code = parent_refusal(state, order, parent_id);
    } else {
        if (funds::has_exposure_rules(account) || state.books[order.book].is_restrained()) [[unlikely]] {
            code = holding_refusal(state, order, worth, now_ns);
            if (code != code::OK) return code;
        }
        code = funds::funds_refusal(state, order, valued_at(state.books[order.book], order), lots, worth, {});
    }
    if (code == code::OK && account.is_limited) code = account.limits.count_refusal(now_ns);
    if (code == code::OK) code = throttle_refusal(state, state.books[order.book], now_ns);
    if (!kPlain && code == code::OK && (order.flags & order_flag::POST_ONLY) != 0 && crosses(state, order, order.price)) {
        code = code::WOULD_TRADE;
    }
    return code;
}

// The order that the command describes, in the state's draft; its account and book are known.
template <bool kPlain>
inline Order& draft_of(State& state, const Step& step, Handle account, Handle book) {
    const CommandHead& head = step.head();
    const OrderTerms& terms = step.command.order;
    Order& order = state.draft();
    order.order_id = step.seq;
    order.client_order_id = head.client_order_id;
    order.session_id = head.session_id;
    order.price = order.held = terms.price_ticks;
    order.leaves = terms.quantity_lots;
    order.level = kNone;
    order.account = account;
    order.position = state.find_position(account, book);
    order.book = book;
    order.side = head.side;
    order.order_type = head.order_type;
    order.tif = head.tif;
    order.stp = kPlain ? u8{0} : head.stp;
    order.flags = kPlain ? u8{0} : head.flags;
    order.lot_micros = 0;
    order.quantity = terms.quantity_lots;
    order.display = kPlain ? 0 : static_cast<i32>(terms.display_lots);
    order.shown = 0;
    order.expire_ns = kPlain ? 0 : terms.expire_ns;
    order.stop = kPlain ? 0 : first_stop(state.books[book], head, terms);
    order.trail = kPlain ? 0 : terms.trail_ticks;
    order.queue_no = 0;
    if (order.is_market() && gathers(state.books[book], order.tif)) {
        order.held = gathering_price(state.books[book], order.side, order.price);
    }
    return order;
}

// An OCO order trades as far as its limit goes; what is left rests, and its stop price may be reached already.
inline void admit_oco(State& state, Order& order, Step& step) {
    Book& book = state.books[order.book];
    report::accepted(step, state, order, event_flag::BOOKS);
    if (book.phase != phase::CONTINUOUS) {
        const Handle at = state.file();
        state.place(at);
        return state.join_stops(at);
    }
    const i64 before = book.last;
    const i64 first = matching::enter(state, order, kNone, step.head().session_no, step);
    if (first != 0) return phases::aftermath(state, book, {before, first}, step);
    phases::set_off_stops(state, book, step);
}

// An order that passed all checks goes where it belongs: to the other side, into the book, or to wait.
template <bool kPlain>
inline void admit(State& state, Order& order, Step& step) {
    Book& book = state.books[order.book];
    if (const u64 parent_id = step.command.order.parent_id; !kPlain && parent_id != 0) {
        report::accepted(step, state, order, event_flag::WAITS);
        const Handle parent = parent_of(state, order, parent_id);
        state.wait_for_parent(state.file(), parent, 0);
    } else if (!kPlain && order.stop != 0) {
        if (order.is_oco()) return admit_oco(state, order, step);
        report::accepted(step, state, order, event_flag::WAITS);
        state.wait(state.file(), kWaitsForStop);
        phases::set_off_stops(state, book, step);
    } else if (order.tif >= tif::AT_CLOSE &&
               (order.tif == tif::AT_CLOSE ? book.phase != phase::CLOSING_AUCTION : book.phase == phase::CONTINUOUS)) {
        report::accepted(step, state, order, event_flag::WAITS);
        state.wait(state.file(), kWaitsForClose);
    } else if (book.phase != phase::CONTINUOUS) {
        report::accepted(step, state, order, event_flag::BOOKS);
        state.place(state.file());
    } else {
        report::accepted(step, state, order, rests(order.order_type, order.tif) ? u32{event_flag::BOOKS} : 0);
        const i64 before = book.last;
        const i64 min_lots = kPlain ? 0 : step.command.order.min_lots;
        const i64 first = matching::enter(state, order, kNone, step.head().session_no, step, min_lots);
        if (first != 0) phases::aftermath(state, book, {before, first}, step);
    }
}

// NEW_ORDER with all checks. A plain one has no flags, no self-trade prevention and no options.
template <bool kPlain>
[[gnu::noinline]] inline void checked_new_order(State& state, Step& step) {
    const CommandHead& head = step.head();
    const OrderTerms& terms = step.command.order;
    const Handle owner = state.find_account(head.account);
    const Handle number = state.find_book(head.instrument);
    Code code = code::OK;
    if (state.is_closed(head.session_id)) [[unlikely]] {
        code = code::SESSION_CLOSED;
    } else if (!has_shape(head) || !(kPlain || extras_fit(head, terms))) {
        code = code::NOT_SUPPORTED;
    } else if (owner == kNone) {
        code = code::UNKNOWN_ACCOUNT;
    } else if (number == kNone) {
        code = code::UNKNOWN_INSTRUMENT;
    } else {
        Account& account = state.accounts[owner];
        Book& book = state.books[number];
        code = funds::status_refusal(account);
        if (code == code::OK) code = phase_refusal(book.phase, head, terms);
        if (code == code::OK) code = terms_refusal<kPlain>(book, account, step);
        if (code == code::OK) {
            Order& order = draft_of<kPlain>(state, step, owner, number);
            i128 worth = 0;
            i128 lot_micros = 0;
            if (is_at_once(book, order)) {
                worth = funds::market_worth(state, order);
            } else {
                const i64 price = valued_at(book, order);
                lot_micros = lot_micros_of(book, order.side, price != 0 ? price : order.stop);
                worth = lot_micros * order.quantity;
            }
            code = entry_refusal<kPlain>(state, order, worth, terms.parent_id, step.now_ns);
            if (code == code::OK) {
                order.lot_micros = static_cast<i64>(lot_micros);
                if (order.position == kNone) order.position = state.position_of(owner, number);
                if (account.is_limited) account.limits.count_order(step.now_ns);
                taken(state, book, order, step.now_ns);
                admit<kPlain>(state, order, step);
                return;
            }
        }
    }
    report::refused(step, event_kind::REJECTED, code);
}

// NEW_ORDER. The exchange id of the order is the seq of this command. `bare`: its terms have no options.
inline void new_order(State& state, Step& step, bool bare) {
    if (unruled::new_order(state, step, bare)) return;
    if (bare && (step.head().stp | step.head().flags) == 0) {
        checked_new_order<true>(state, step);
    } else {
        checked_new_order<false>(state, step);
    }
    if (state.due) [[unlikely]]
        endings::finish(state, step);
}

// The live order of the command's account that it names, by exchange id or else by client id.
[[gnu::always_inline]] inline Handle addressed_order(const State& state, const CommandHead& head) {
    const Handle account = state.find_account(head.account);
    if (account == kNone) return kNone;
    if (head.order_id == 0) return state.find_client_order(account, head.client_order_id);
    const Handle at = state.find_order(head.order_id);
    return at != kNone && state.orders[at].account == account ? at : kNone;
}

// What a cancel does, and a replace that leaves nothing open.
template <bool kMayBeMarked = true>
[[gnu::always_inline]] inline void end_at_request(State& state, Handle at, Step& step) {
    const Order& order = state.orders[at];
    const State::Home home = state.home_of(order);
    state.displace(at, home);
    const report::Numbers numbers = {home.book.instrument, home.account.account};
    report::taken_off(step, numbers, asker_of(step), order, order.leaves, code::CANCEL_REQUESTED);
    state.forget<kMayBeMarked>(at, home);
}

// The same of an order that others know of.
[[gnu::noinline]] inline void end_marked_at_request(State& state, Handle at, Step& step) {
    end_at_request(state, at, step);
    endings::finish(state, step);
}

// CANCEL: take a live order out of its place.
inline void cancel(State& state, Step& step) {
    const Handle at = addressed_order(state, step.head());
    if (at == kNone) {
        report::refused(step, event_kind::CANCEL_REJECTED, code::UNKNOWN_ORDER);
        return;
    }
    if (state.orders[at].marked != 0) [[unlikely]]
        return end_marked_at_request(state, at, step);
    end_at_request<false>(state, at, step);
}

// REFUSED: a gateway said no; the stream keeps its answer, with the code from `tag`.
inline void gateway_refusal(Step& step) {
    const u64 tag = step.command.order.tag;
    // A tag that is no code (they have 16 bits) can't be passed on as one.
    report::refused(step, event_kind::REJECTED,
                    tag >= 1 && tag <= UINT16_MAX ? static_cast<Code>(tag) : Code{code::UNKNOWN_COMMAND});
}

}  // namespace lockstep::orders
