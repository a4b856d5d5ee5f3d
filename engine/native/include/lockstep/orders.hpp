// Order commands: validate completely, then change state, then say what happened.
//
// The order of the checks is part of the specification (`docs/engine.md`): every engine must refuse the same command
// with the same code.
#pragma once

#include "lockstep/unruled.hpp"

namespace lockstep::orders {

// An iceberg shows at least this part of its quantity.
inline constexpr i64 kDisplayRatio = 1000;

inline bool has_limit(u8 type) {
    return type == order_type::LIMIT || type == order_type::STOP_LIMIT || type == order_type::OCO;
}

inline bool rests_by_tif(u8 tif) {
    return tif == tif::DAY || tif == tif::GTC || tif == tif::GTD;
}

// Whether there is such an order: side, type and time in force.
inline bool has_shape(const CommandHead& head) {
    if (head.side != side::BUY && head.side != side::SELL) return false;
    switch (head.order_type) {
        case order_type::LIMIT: return head.tif >= tif::DAY && head.tif <= tif::AT_CLOSE;
        case order_type::MARKET: return head.tif >= tif::DAY && head.tif <= tif::AT_CLOSE && head.tif != tif::GTD;
        case order_type::STOP:
        case order_type::STOP_LIMIT:
        case order_type::TRAILING_STOP:
        case order_type::OCO: return rests_by_tif(head.tif);
        default: return false;
    }
}

// Whether the optional fields may stand with the type and time in force, and with each other.
inline bool extras_fit(const CommandHead& head, const OrderTerms& terms) {
    const u8 type = head.order_type;
    const bool post_only = (head.flags & order_flag::POST_ONLY) != 0;
    const bool hidden = (head.flags & order_flag::HIDDEN) != 0;
    if (head.stp > stp::DECREMENT || (head.flags & ~(order_flag::POST_ONLY | order_flag::HIDDEN)) != 0) return false;
    if (terms.expire_ns != 0 && head.tif != tif::GTD) return false;
    if (terms.trail_ticks != 0 && type != order_type::TRAILING_STOP) return false;
    if (terms.stop_price_ticks != 0 && (type == order_type::LIMIT || type == order_type::MARKET)) return false;
    if (head.flags != 0 || terms.display_lots != 0) {
        if (type != order_type::LIMIT || !rests_by_tif(head.tif) || (terms.display_lots != 0 && hidden)) return false;
    }
    if (terms.parent_id != 0) {
        const bool may_wait = has_limit(type) || type == order_type::STOP;
        if (!may_wait || !rests_by_tif(head.tif) || (head.flags | terms.display_lots | terms.min_lots) != 0) return false;
    }
    if (terms.min_lots == 0) return true;
    if (type == order_type::MARKET) return head.tif <= tif::IOC;
    return type == order_type::LIMIT && (rests_by_tif(head.tif) || head.tif == tif::IOC) && !post_only;
}

// Whether the instrument's phase takes such an order.
inline Code phase_refusal(u8 phase, const CommandHead& head, const OrderTerms& terms) {
    if (phase == phase::CONTINUOUS) return head.tif == tif::AT_OPEN ? code::WRONG_PHASE : code::OK;
    const bool opening = phase == phase::PRE_OPEN || phase == phase::OPENING_AUCTION;
    if (phase == phase::HALT || phase == phase::CLOSED) return code::WRONG_PHASE;
    if (head.tif == tif::AT_OPEN && !opening) return code::WRONG_PHASE;
    if (head.order_type == order_type::MARKET) {
        const bool at_once = head.tif == tif::IOC || head.tif == tif::FOK;
        return at_once || terms.min_lots != 0 ? code::WRONG_PHASE : code::OK;
    }
    if (head.order_type != order_type::LIMIT) return code::OK;
    const bool stays = rests_by_tif(head.tif) || head.tif == tif::AT_OPEN || head.tif == tif::AT_CLOSE;
    const bool post_only = (head.flags & order_flag::POST_ONLY) != 0;
    return stays && !post_only && terms.min_lots == 0 ? code::OK : code::WRONG_PHASE;
}

// Whether an order that is not a stop order goes into an auction instead of trading at once.
inline bool gathers(const Book& book, u8 tif) {
    return tif == tif::AT_CLOSE || book.phase != phase::CONTINUOUS;
}

// Price at which a market order stands in an auction, 0 if nothing limits what it would cost. It decides at which prices
// the order takes part, and what a buy reserves; it is never an auction's price, unless the client named it.
inline i64 gathering_price(const Book& book, u8 side, i64 protection) {
    const i64 limit = limit_of(book, side, order_type::MARKET, protection);
    if (side == side::SELL) return std::max<i64>(limit, 1);
    return limit == INT64_MAX ? 0 : std::min(limit, kMaxPriceTicks);
}

// Whether the stop price of an OCO order is beyond its limit, where the market goes when it goes away from that.
inline bool is_beyond(u8 side, i64 stop, i64 price) {
    return side == side::BUY ? stop > price : stop < price;
}
using unruled::is_price;
using unruled::is_quantity;

// Stop price to begin with: a trailing stop that came without one takes it from the last price.
inline i64 first_stop(const Book& book, const CommandHead& head, const OrderTerms& terms) {
    if (terms.stop_price_ticks != 0 || terms.trail_ticks == 0) return terms.stop_price_ticks;
    return head.side == side::BUY ? book.last + terms.trail_ticks : book.last - terms.trail_ticks;
}

inline bool stop_is_good(const Book& book, const CommandHead& head, const OrderTerms& terms) {
    if (head.order_type == order_type::TRAILING_STOP) {
        if (!is_price(terms.trail_ticks)) return false;
        if (terms.stop_price_ticks == 0 && book.last == 0) return false;
    }
    if (head.order_type == order_type::OCO && !is_beyond(head.side, terms.stop_price_ticks, terms.price_ticks)) {
        return false;
    }
    return is_price(first_stop(book, head, terms));
}

// Why a limit is too far off: band, then collar.
inline Code price_refusal(const Book& book, u8 side, i64 price) {
    if (book.band_ppm != 0 && book.reference != 0) {
        const Band band = around(book.reference, book.band_ppm);
        if (price < band.low || price > band.high) return code::OUTSIDE_BAND;
    }
    const i64 center = book.last != 0 ? book.last : book.reference;
    if (book.collar_ppm != 0 && center != 0) {
        const Band collar = around(center, book.collar_ppm);
        if (side == side::BUY ? price > collar.high : price < collar.low) return code::PRICE_COLLAR;
    }
    return code::OK;
}

// Quantity, prices and expiry of an order that is not a plain limit order without an end.
inline Code special_terms_refusal(const Book& book, const Step& step) {
    const CommandHead& head = step.head();
    const OrderTerms& terms = step.command.order;
    const i64 lots = terms.quantity_lots;
    const i64 price = terms.price_ticks;
    const u8 type = head.order_type;
    if (has_limit(type) ? !is_price(price) : price != 0 && !(type == order_type::MARKET && is_price(price))) {
        return code::BAD_PRICE;
    }
    if (type == order_type::MARKET && gathers(book, head.tif) && gathering_price(book, head.side, price) == 0) {
        return code::BAD_PRICE;
    }
    if (type >= order_type::STOP && !stop_is_good(book, head, terms)) return code::BAD_STOP_PRICE;
    const i64 display = terms.display_lots;
    if (display != 0 && !(display >= 1 && display <= lots && lots <= i128{kDisplayRatio} * display)) {
        return code::BAD_DISPLAY;
    }
    if (terms.min_lots < 0 || terms.min_lots > lots) return code::BAD_MINIMUM;
    return head.tif == tif::GTD && terms.expire_ns <= step.now_ns ? code::BAD_EXPIRY : code::OK;
}

// Quantity, prices, expiry, and what price limits and the account's order size say to them.
template <bool kPlain>
inline Code terms_refusal(const Book& book, const Account& account, const Step& step) {
    const CommandHead& head = step.head();
    const i64 lots = step.command.order.quantity_lots;
    const i64 price = step.command.order.price_ticks;
    if (!is_quantity(lots)) return code::BAD_QUANTITY;
    if (kPlain && head.order_type == order_type::LIMIT && head.tif != tif::GTD) [[likely]] {
        if (!is_price(price)) return code::BAD_PRICE;
    } else if (const Code code = special_terms_refusal(book, step); code != code::OK) {
        return code;
    }
    if ((book.band_ppm | book.collar_ppm) != 0 && has_limit(head.order_type)) {
        const Code code = price_refusal(book, head.side, price);
        if (code != code::OK) return code;
    }
    if (account.is_limited && account.limits.max_order_lots != 0 && lots > account.limits.max_order_lots) {
        return code::ORDER_TOO_LARGE;
    }
    return code::OK;
}

inline bool crosses(const State& state, const Order& order, i64 price) {
    const Handle best = state.books[order.book].halves[order.side == side::BUY ? 1 : 0].best;
    return best != kNone && reaches(order.side, price, state.levels[best].price);
}

// Whether the instrument, then the market, takes one more order now.
inline Code throttle_refusal(const State& state, const Book& book, i64 now_ns) {
    if (book.throttled == 0) return code::OK;
    if (!book.throttle.has_token(now_ns)) return code::INSTRUMENT_THROTTLED;
    return state.market.throttle.has_token(now_ns) ? Code{code::OK} : Code{code::MARKET_THROTTLED};
}
// It was taken.
inline void take_tokens(State& state, Book& book, i64 now_ns) {
    if (book.throttled == 0) return;
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
    return good ? Code{code::OK} : Code{code::BAD_PARENT};
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
        if (funds::has_exposure_rules(account)) code = funds::exposure_refusal(state, order, lots, worth, 0, now_ns);
        if (code != code::OK) return code;
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
    } else if (order.tif == tif::AT_CLOSE && book.phase != phase::CLOSING_AUCTION) {
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
                take_tokens(state, book, step.now_ns);
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
    if (state.children_due) [[unlikely]]
        families::let_children_go(state, step);
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
    families::let_children_go(state, step);
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
