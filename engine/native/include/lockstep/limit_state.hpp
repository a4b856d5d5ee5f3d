// What becomes of an instrument's bands at the end of a command, and when trading begins.
#pragma once

#include "lockstep/matching.hpp"

namespace lockstep::bands {

// Why an order with such a limit can't trade or rest now.
inline Code refusal(const Book& book, u8 side, i64 price) {
    if (!book.bands_hold()) return code::OK;
    const bool outside = side == side::BUY ? price > book.bands->high : price < book.bands->low;
    return outside ? Code{code::OUTSIDE_BAND} : Code{code::OK};
}

// By the best prices of the book, which trades.
inline u8 state_now(const State& state, const Book& book, const Bands& bands) {
    if (bands.reference == 0) return limit_state::NORMAL;
    const Handle bids = book.halves[0].best;
    const Handle asks = book.halves[1].best;
    const i64 bid = bids != kNone ? state.levels[bids].price : 0;
    const i64 ask = asks != kNone ? state.levels[asks].price : 0;
    if (bid != 0 && bid >= bands.high) return limit_state::LIMIT_UP;
    if (ask != 0 && ask <= bands.low) return limit_state::LIMIT_DOWN;
    const bool straddles = (bid != 0 && bid < bands.low) || (ask != 0 && ask > bands.high);
    return straddles ? limit_state::STRADDLE : limit_state::NORMAL;
}

// The orders of a side that stand beyond its band, by exchange id.
inline void list_outside(const State& state, const Half& half, u8 side, i64 band,
                         std::vector<std::pair<u64, Handle>>& outside) {
    for (Handle at = half.best; at != kNone && State::is_better(side, state.levels[at].price, band);
         at = state.levels[at].worse) {
        for (const Queue& queue : state.levels[at].queues) {
            for (Handle one = queue.head; one != kNone; one = state.links[one].next) {
                outside.emplace_back(state.orders[one].order_id, one);
            }
        }
    }
}

// The bands have moved; if they are in force, the orders outside end.
inline void say_where(State& state, const Book& book, const Bands& bands, Step& step) {
    report::bands_moved(step, book, bands);
    if (book.phase != phase::CONTINUOUS) return;
    std::vector<std::pair<u64, Handle>> outside;
    list_outside(state, book.halves[0], side::BUY, bands.high, outside);
    list_outside(state, book.halves[1], side::SELL, bands.low, outside);
    std::sort(outside.begin(), outside.end());
    for (const auto& [_, at] : outside) {
        const Order& order = state.orders[at];
        state.displace(at);
        report::taken_off(step, state, kNobody, order, order.leaves, code::BAND_MOVED);
        state.forget(at);
    }
}

inline void move(State& state, const Book& book, Bands& bands, i64 reference, Step& step) {
    bands.move(reference, book.close, step.now_ns);
    say_where(state, book, bands, step);
}

// The instrument trades from now on, after an auction that traded at `opening` (0: none did).
inline void open(State& state, Handle number, i64 opening, Step& step) {
    const Book& book = state.books[number];
    if (!book.is_banded()) return;
    Bands& bands = state.waiting[number]->bands;
    if (opening != 0) bands.window.note(opening, step.now_ns, bands.terms.window_ns);
    i64 reference = opening != 0 ? opening : bands.reference;
    if (reference == 0) reference = book.mark() != 0 ? book.mark() : book.close;
    if (reference != 0) move(state, book, bands, reference, step);
}

// At the end of a command that touched the instrument: its reference price and its state.
inline void look(State& state, Handle number, Step& step) {
    const Book& book = state.books[number];
    if (!book.is_banded() || book.phase != phase::CONTINUOUS) return;
    Bands& bands = state.waiting[number]->bands;
    const u8 before = bands.state;
    bands.state = state_now(state, book, bands);
    if (!bands.is_limit()) {
        if (const i64 reference = bands.next_reference(step.now_ns); reference != 0) {
            move(state, book, bands, reference, step);
            bands.state = state_now(state, book, bands);
        }
    }
    if (bands.state == before) return;
    bands.until_ns = bands.is_limit() ? step.now_ns + bands.terms.limit_ns : 0;
    report::limit_state_changed(step, book, bands, before);
}

// The trades of the command's latest matching step. They are read from its events, so that no other trade pays for it.
inline void note_trades(State& state, Handle number, Step& step) {
    Bands& bands = state.waiting[number]->bands;
    const u32 instrument = state.books[number].instrument;
    const Event* const end = step.out.end();
    for (const Event* event = end - (step.index - step.noted); event != end; ++event) {
        if (event->kind != event_kind::TRADE || event->instrument != instrument) continue;
        if ((event->flags & event_flag::AUCTION) != 0) continue;
        bands.window.note(event->price_ticks, step.now_ns, bands.terms.window_ns);
    }
    step.noted = step.index;
}

}  // namespace lockstep::bands
