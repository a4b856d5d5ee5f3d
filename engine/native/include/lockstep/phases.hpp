// What follows from time and from trades: phases and their auctions, breakers, and stops that are set off.
//
// `aftermath` is called at the end of every command that may have moved a price. It sets off one stop at a time, so
// that each sees the prices that the one before it has made, and it ends because each of them waits only once.
#pragma once

#include "lockstep/barring.hpp"
#include "lockstep/limit_state.hpp"

namespace lockstep::endings {

// The last thing that a command does (`endings.hpp`).
inline void finish(State& state, Step& step);

}  // namespace lockstep::endings

namespace lockstep::phases {

inline bool is_auction(u8 phase) {
    return phase == phase::OPENING_AUCTION || phase == phase::VOLATILITY_AUCTION || phase == phase::CLOSING_AUCTION;
}

// Whether any order of a level has its price from its client, and not from what holds market orders.
inline bool is_named(const State& state, const Level& level) {
    for (const Queue& queue : level.queues) {
        for (Handle at = queue.head; at != kNone; at = state.links[at].next) {
            if (state.orders[at].is_named()) return true;
        }
    }
    return false;
}

// What stands at one price of an auction; it is a candidate only if somebody named it.
struct Gathered {
    i64 bid_lots = 0;
    i64 ask_lots = 0;
    bool named = false;
};

struct Equilibrium {
    i64 price;
    i64 volume;
    i64 imbalance;  // demand - supply
};

// The auction's result as the book stands; all 0 if nothing would trade. Its price is one that somebody named: a limit,
// a protection, or the reference price; market orders alone don't trade where there is none (Xetra, see docs/engine.md).
inline Equilibrium equilibrium(const State& state, const Book& book) {
    const i64 reference = book.last != 0 ? book.last : book.reference;
    std::map<i64, Gathered> prices;
    i64 demand = 0;
    for (const u8 side : {u8{side::BUY}, u8{side::SELL}}) {
        const Half& half = book.halves[side - 1];
        for (Handle at = half.best; at != kNone; at = state.levels[at].worse) {
            const Level& level = state.levels[at];
            Gathered& here = prices[level.price];
            (side == side::BUY ? here.bid_lots : here.ask_lots) = level.quantity;
            here.named = here.named || is_named(state, level);
            if (side == side::BUY) demand += level.quantity;
        }
    }
    if (reference != 0) prices[reference].named = true;
    Equilibrium best = {};
    i64 supply = 0;
    const auto rank = [reference](const Equilibrium& one) {
        return std::tuple(-one.volume, Position::magnitude(one.imbalance), Position::magnitude(one.price - reference),
                          one.price);
    };
    // Upwards: supply grows with each ask level reached, demand falls behind each bid level passed.
    for (const auto& [price, gathered] : prices) {
        supply += gathered.ask_lots;
        const Equilibrium here = {price, std::min(demand, supply), demand - supply};
        if (gathered.named && here.volume != 0 && (best.volume == 0 || rank(here) < rank(best))) best = here;
        demand -= gathered.bid_lots;
    }
    return best;
}

// Trade the book at its equilibrium; it is not crossed afterwards. The price; 0: nothing trades.
inline i64 uncross(State& state, Book& book, const Asker& asker, Step& step) {
    const Equilibrium at = equilibrium(state, book);
    if (at.volume == 0) return 0;
    while (true) {
        const Handle bids = book.halves[0].best;
        const Handle asks = book.halves[1].best;
        if (bids == kNone || asks == kNone) break;
        if (state.levels[bids].price < at.price || state.levels[asks].price > at.price) break;
        const Handle buying = state.levels[bids].front();
        const Handle selling = state.levels[asks].front();
        Order& sell = state.orders[selling];
        const i64 lots = std::min(state.orders[buying].leaves, sell.leaves);
        const Account& seller = state.accounts[sell.account];
        const i128 proceeds = i128{at.price} * lots * book.unit_micros;
        const i128 due = i128{seller.receivable} - i128{sell.lot_micros} * lots + proceeds;
        if (std::max<i64>(seller.cash, 0) + due > kI64Max) {
            state.displace(selling);
            report::taken_off(step, state, asker, sell, sell.leaves, code::OVERFLOW_);
            state.forget(selling);
            continue;
        }
        matching::trade_in_auction(state, book, buying, selling, lots, at.price, step);
    }
    book.last = book.reference = at.price;
    if (book.index_weight != 0) state.market.reindex(book);
    return at.price;
}

inline void set_off_stops(State& state, Book& book, Step& step);

using Chosen = std::vector<std::pair<u64, Handle>>;

// An instrument's live orders that `is_chosen`, by exchange id.
template <class IsChosen>
Chosen orders_of_book(const State& state, Handle number, IsChosen&& is_chosen) {
    Chosen chosen;
    const auto consider = [&](Handle at) {
        if (is_chosen(state.orders[at])) chosen.emplace_back(state.orders[at].order_id, at);
    };
    for (const u8 side : {u8{side::BUY}, u8{side::SELL}}) {
        const Half& half = state.books[number].halves[side - 1];
        for (Handle level = half.best; level != kNone; level = state.levels[level].worse) {
            for (const Queue& queue : state.levels[level].queues) {
                for (Handle at = queue.head; at != kNone; at = state.links[at].next) consider(at);
            }
        }
        for (const auto& [_, at] : state.waiting[number]->stops[side - 1]) {
            if (state.orders[at].place == kWaitsForStop) consider(at);
        }
    }
    for (const auto& [_, at] : state.waiting[number]->for_close) consider(at);
    for (const auto& [_, at] : state.waiting[number]->for_parent) consider(at);
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

// The code with which a change between these phases ends orders of a time in force; OK if it doesn't.
inline Code ending(u8 previous, u8 phase, u8 tif) {
    const bool closed = phase == phase::CLOSED;
    if (tif == tif::AT_OPEN && (phase == phase::CONTINUOUS || phase == phase::CLOSING_AUCTION || closed)) {
        return code::AUCTION_ENDED;
    }
    const bool closing_over = previous == phase::CLOSING_AUCTION && phase != phase::CLOSING_AUCTION;
    if (tif == tif::AT_CLOSE && (closed || closing_over)) return code::AUCTION_ENDED;
    return tif == tif::DAY && closed ? code::EXPIRED : code::OK;
}

// The same of an order, which may also be for one auction alone, or end when trading is paused.
inline Code ending_of(u8 previous, u8 phase, const Order& order) {
    const bool paused = phase == phase::HALT || phase == phase::VOLATILITY_AUCTION;
    if (paused && (order.flags & order_flag::CANCEL_ON_HALT) != 0) return code::HALTED;
    if (order.tif != tif::GOOD_FOR_AUCTION) return ending(previous, phase, order.ends_as());
    const bool over = phase == phase::CLOSED || (phase == phase::CONTINUOUS && order.place == kInBook);
    return over ? Code{code::AUCTION_ENDED} : Code{code::OK};
}

// Cancel the orders whose time in force ends with the change from `previous` to the present phase.
inline void end_orders(State& state, const Book& book, Handle number, u8 previous, const Asker& asker, Step& step) {
    const u8 phase = book.phase;
    const bool any = ending(previous, phase, tif::AT_OPEN) != 0 || ending(previous, phase, tif::AT_CLOSE) != 0 ||
                     ending(previous, phase, tif::DAY) != 0 || state.waiting[number]->end_at_halt != 0;
    if (!any || book.live == 0) return;
    const auto ended = orders_of_book(
        state, number, [&](const Order& order) { return ending_of(previous, phase, order) != code::OK; });
    for (const auto& [_, at] : ended) {
        const Order& order = state.orders[at];
        const Code why = ending_of(previous, phase, order);
        state.displace(at);
        report::taken_off(step, state, asker, order, order.leaves, why);
        state.forget(at);
    }
}

// Orders that waited for this auction come to rest in the book. What they bind stays bound.
inline void let_in(State& state, Handle number, u8 phase) {
    std::map<u64, Handle>& waiting = state.waiting[number]->for_close;
    for (auto next = waiting.begin(); next != waiting.end();) {
        const Handle at = next->second;
        const bool now = phase == phase::CLOSING_AUCTION || state.orders[at].tif == tif::GOOD_FOR_AUCTION;
        next = now ? waiting.erase(next) : std::next(next);
        if (now) state.join(at);
    }
}

struct Schedule {
    u8 phase;
    u8 next_phase;
    i64 until_ns;
};

// Bring an instrument into a phase, with everything that this entails, in the documented order.
inline void change_phase(State& state, Book& book, const Schedule& schedule, const Asker& asker, Step& step) {
    const Handle number = state.find_book(book.instrument);
    const u8 previous = book.phase;
    const u8 phase = schedule.phase;
    book.phase = phase;
    book.next_phase = schedule.next_phase;
    book.until_ns = schedule.until_ns;
    state.waiting[number]->span.clear();
    state.waiting[number]->bands.begin_anew();
    state.touch(number);
    state.look_at_released(number);
    report::phase_changed(step, asker, book, previous);
    i64 opening = 0;
    if (phase == phase::CONTINUOUS || (phase == phase::CLOSED && is_auction(previous))) {
        opening = uncross(state, book, asker, step);
    }
    if (opening != 0) barring::look_at_fall(book, opening, step);
    end_orders(state, book, number, previous, asker, step);
    if (is_auction(phase) || phase == phase::PRE_OPEN) {
        let_in(state, number, phase);
    } else if (phase == phase::CLOSED && previous != phase::CLOSED) {
        if (book.last != 0) book.close = book.last;
        if (book.index_weight != 0) state.market.reindex(book);
    } else if (phase == phase::CONTINUOUS) {
        bands::open(state, number, opening, step);
        set_off_stops(state, book, step);
    }
}

// A matching step that traded: the last price before it (0: none), and the price of its first trade.
struct Traded {
    i64 before;
    i64 first;
};

// The prices that a step made stand from now on. They go one way: its first and its last are its extremes.
template <bool kHighest>
void remember(Extremes<kHighest>& extremes, const Book& book, const Traded& traded, i64 now_ns) {
    if (extremes.empty() && traded.before != 0) extremes.stand(traded.before, now_ns);
    extremes.forget(now_ns, book.breaker_window_ns);
    extremes.stand(traded.first, now_ns);
    extremes.stand(book.last, now_ns);
}

// Pause an instrument whose price has moved too far within the span.
inline void check_breaker(State& state, Book& book, const Traded& traded, Step& step) {
    if (book.watches == 0 || book.phase != phase::CONTINUOUS) return;
    const Handle number = state.find_book(book.instrument);
    if (book.is_banded()) bands::note_trades(state, number, step);
    barring::look_at_fall(book, std::min(traded.first, book.last), step);
    if (book.breaker_ppm == 0) return;
    Span& span = state.waiting[number]->span;
    remember(span.highest, book, traded, step.now_ns);
    remember(span.lowest, book, traded, step.now_ns);
    const i64 high = span.highest.furthest();
    const i64 low = span.lowest.furthest();
    const i128 ppm = book.breaker_ppm;
    if (i128{high - book.last} * kPpm > ppm * high || i128{book.last - low} * kPpm > ppm * low) {
        const i64 until_ns = step.now_ns + book.breaker_pause_ns;
        change_phase(state, book, {book.breaker_phase, phase::CONTINUOUS, until_ns}, kNobody, step);
    }
}

// Handles of all books in order of instrument id.
inline std::vector<Handle> books_by_id(const State& state) {
    std::vector<Handle> books;
    for (Handle at = 1; at < state.books.end(); ++at) books.push_back(at);
    std::sort(books.begin(), books.end(),
              [&](Handle a, Handle b) { return state.books[a].instrument < state.books[b].instrument; });
    return books;
}

// Halt or close the whole market, if this instrument's trade took the index down to a level not reached before.
inline void check_market(State& state, Book& book, Step& step) {
    if (!book.is_in_index()) return;
    Market& market = state.market;
    market.reindex(book);
    if (!market.is_set()) return;
    const u8 level = market.level_now();
    const u8 previous = market.level_reached(step.now_ns);
    if (level <= previous) return;
    market.level = level;
    market.day = Limits::day_of(step.now_ns);
    constexpr u8 kClosingLevel = 3;
    if (level == kClosingLevel) {
        report::notice(step, event_kind::MARKET_HALTED, 0, level, previous, 0);
        for (const Handle at : books_by_id(state)) {
            Book& one = state.books[at];
            if (one.phase != phase::CLOSED) change_phase(state, one, {phase::CLOSED, 0, 0}, kNobody, step);
        }
        return;
    }
    market.until_ns = step.now_ns + market.pause_ns;
    report::notice(step, event_kind::MARKET_HALTED, 0, level, previous, market.until_ns);
    for (const Handle at : books_by_id(state)) {
        Book& one = state.books[at];
        if (one.phase != phase::CONTINUOUS && one.phase != phase::VOLATILITY_AUCTION) continue;
        change_phase(state, one, {phase::HALT, phase::CONTINUOUS, market.until_ns}, kNobody, step);
    }
}

// Let a waiting stop order go; the price of its first trade, 0 if there was none.
inline i64 trigger(State& state, Handle at, Step& step) {
    Order& order = state.orders[at];
    const bool limited = order.order_type == order_type::STOP_LIMIT;
    state.displace(at);
    state.leave_stops(at);
    state.touch(order.book);
    report::triggered(step, state, order, limited ? u32{event_flag::BOOKS} : 0, order.stop);
    if (order.is_oco()) {
        // Its limit is over: what is left of it is a market order.
        order.order_type = order_type::STOP;
        order.price = order.held = 0;
    }
    const i128 worth = limited ? i128{order.lot_micros} * order.leaves : funds::market_worth(state, order);
    Code code = limited ? bands::refusal(state.books[order.book], order.side, order.price) : Code{code::OK};
    if (code == code::OK && worth <= kI64Max && state.books[order.book].is_restrained()) {
        code = barring::short_refusal(state, order, limited ? order.price : 0, order.leaves, 0, step.now_ns);
    }
    if (code == code::OK) code = funds::funds_refusal(state, order, order.price, order.leaves, worth, {});
    if (code != code::OK) {
        report::taken_off(step, state, {order.session_id, 0}, order, order.leaves, code);
        state.forget(at);
        return 0;
    }
    return matching::enter(state, order, at, 0, step);
}

// Move the trailing stop prices after the last price; they never move away from it.
inline void follow(State& state, Waiting& waiting, i64 last) {
    std::vector<Handle> trailing;
    for (const auto& [_, at] : waiting.trailing) trailing.push_back(at);
    for (const Handle at : trailing) {
        Order& order = state.orders[at];
        const i64 stop = order.side == side::BUY ? std::min(order.stop, last + order.trail)
                                                 : std::max(order.stop, last - order.trail);
        if (stop == order.stop) continue;
        state.remove_stop(at);
        order.stop = stop;
        state.add_stop(at);
    }
}

// The order that is set off next at this last price.
inline Handle next_stop(const Waiting& waiting, i64 last) {
    const auto& buys = waiting.stops[0];
    if (!buys.empty() && last >= buys.begin()->first.first) return buys.begin()->second;
    const auto& sells = waiting.stops[1];
    if (!sells.empty() && last <= -sells.begin()->first.first) return sells.begin()->second;
    return kNone;
}

// The cascade: set off waiting stops one at a time while the last price reaches one.
inline void set_off_stops(State& state, Book& book, Step& step) {
    while (book.stops != 0 && book.phase == phase::CONTINUOUS && book.last != 0) {
        Waiting& waiting = *state.waiting[state.find_book(book.instrument)];
        if (!waiting.trailing.empty()) follow(state, waiting, book.last);
        const Handle at = next_stop(waiting, book.last);
        if (at == kNone) return;
        const i64 before = book.last;
        const i64 first = trigger(state, at, step);
        if (first == 0) continue;
        check_breaker(state, book, {before, first}, step);
        check_market(state, book, step);
    }
}

// After a matching step that traded: breaker, then stops.
inline void aftermath(State& state, Book& book, const Traded& traded, Step& step) {
    check_breaker(state, book, traded, step);
    check_market(state, book, step);
    set_off_stops(state, book, step);
}

// TICK: whatever is due by its stamp.
inline void tick(State& state, Step& step) {
    while (!state.expiries.empty() && state.expiries.begin()->first.first <= step.now_ns) {
        const Handle at = state.expiries.begin()->second;
        const Order& order = state.orders[at];
        state.displace(at);
        report::taken_off(step, state, kNobody, order, order.leaves, code::EXPIRED);
        state.forget(at);
    }
    const std::vector<Handle> books = books_by_id(state);
    for (const Handle at : books) {
        Book& book = state.books[at];
        // A schedule does not bring an instrument out of a halt of the whole market.
        const bool held = book.next_phase == phase::CONTINUOUS && step.now_ns < state.market.until_ns;
        if (book.next_phase != 0 && book.until_ns <= step.now_ns && !held) {
            change_phase(state, book, {book.next_phase, 0, 0}, kNobody, step);
        }
    }
    for (const Handle at : books) {
        Book& book = state.books[at];
        if (!book.is_banded()) continue;
        const Bands& bands = *book.bands;
        if (bands.until_ns != 0 && bands.until_ns <= step.now_ns) {
            const i64 until_ns = step.now_ns + bands.terms.pause_ns;
            change_phase(state, book, {phase::VOLATILITY_AUCTION, phase::CONTINUOUS, until_ns}, kNobody, step);
        }
        state.touch(at);
    }
    margin::call(state, step);
    for (const Handle at : books) {
        const Book& book = state.books[at];
        if (!is_auction(book.phase)) continue;
        const Equilibrium now = equilibrium(state, book);
        report::indicative(step, book, now.price, now.volume, now.imbalance);
    }
    endings::finish(state, step);
    report::control(step, event_kind::TICKED);
}

}  // namespace lockstep::phases
