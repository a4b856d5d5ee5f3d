// What there is, for those who embed the core: best bid and offer, depth, the queue of one price; an order, an account,
// the latest number of a session.
//
//     const queries::Best best = queries::best(engine.state(), instrument);
//     if (best.ask) std::printf("%lld\n", static_cast<long long>(best.ask->price_ticks));
//
// Nothing here changes anything or is kept between two calls. Where a side of a book has icebergs, hidden or gathering
// orders, the displayed lots of its levels are added up when they are asked for, so that trading pays nothing for it. Prices are in ticks and quantities in lots, as in the records.
#pragma once

#include <optional>

#include "lockstep/state.hpp"

namespace lockstep::queries {

// One price. Displayed: plain orders and the peaks of icebergs. Hidden: what icebergs have behind their peaks, hidden
// orders, and market orders that gather for an auction; `hidden_orders` are those of which nothing is displayed.
struct DepthLevel {
    i64 price_ticks;
    i64 displayed_lots;
    u32 displayed_orders;
    u32 hidden_orders;
    i64 hidden_lots;
};

// The best price of each side at which something is displayed; where a book has round lots, so many whole ones.
struct Best {
    std::optional<DepthLevel> bid;
    std::optional<DepthLevel> ask;
};

// The orders at one price, the next one to trade first: those in `hidden` come after all of `orders`. Market orders that
// gather for an auction are among `orders`, though nobody is shown them. Valid until the next command.
struct Queue {
    std::vector<const Order*> orders;
    std::vector<const Order*> hidden;
};

inline constexpr std::size_t kAll = SIZE_MAX;

inline DepthLevel depth_of(const State& state, const Half& half, const Level& level) {
    DepthLevel found = {level.price, 0, 0, 0, 0};
    if (half.unseen == 0) {
        found.displayed_lots = level.quantity;
        found.displayed_orders = level.orders;
        return found;
    }
    for (Handle at = level.queues[0].head; at != kNone; at = state.links[at].next) {
        const Order& order = state.orders[at];
        if (order.is_market()) continue;
        found.displayed_lots += order.shown != 0 ? order.shown : order.leaves;
        ++found.displayed_orders;
    }
    found.hidden_lots = level.quantity - found.displayed_lots;
    found.hidden_orders = level.orders - found.displayed_orders;
    return found;
}

namespace detail {

// Up to `count` levels of a side, best first; those that display nothing are passed over where `displayed` is set.
template <class Take>
void each_level(const State& state, const Half& half, std::size_t count, bool displayed, Take&& take) {
    for (Handle at = half.best; at != kNone && count != 0; at = state.levels[at].worse) {
        const DepthLevel found = depth_of(state, half, state.levels[at]);
        if (displayed && found.displayed_orders == 0) continue;
        take(found);
        --count;
    }
}

// The best price at which a side shows something: of a book with round lots, so many whole ones.
inline std::optional<DepthLevel> best_shown(const State& state, const Book& book, const Half& half) {
    const bool all = book.round_lots == 0 || book.lot_display == odd_lot_display::SHOWN;
    const bool together = book.lot_display == odd_lot_display::AGGREGATED;
    i64 lots = 0;
    u32 orders = 0;
    for (Handle at = half.best; at != kNone; at = state.levels[at].worse) {
        DepthLevel level = depth_of(state, half, state.levels[at]);
        if (level.displayed_orders == 0) continue;
        if (all) return level;
        level.displayed_lots += together ? lots : 0;
        level.displayed_orders += together ? orders : 0;
        lots = level.displayed_lots;
        orders = level.displayed_orders;
        if (lots < book.round_lots) continue;
        level.displayed_lots -= lots % book.round_lots;
        return level;
    }
    return std::nullopt;
}

inline const Half* half_of(const State& state, u32 instrument, u8 side) {
    const Handle at = state.find_book(instrument);
    if (at == kNone || (side != side::BUY && side != side::SELL)) return nullptr;
    return &state.books[at].halves[side - 1];
}

}  // namespace detail

// What is displayed: the best `count` levels that show something. None of an unknown instrument.
inline std::vector<DepthLevel> book(const State& state, u32 instrument, u8 side, std::size_t count = kAll) {
    std::vector<DepthLevel> levels;
    if (const Half* half = detail::half_of(state, instrument, side)) {
        detail::each_level(state, *half, count, true, [&](const DepthLevel& level) { levels.push_back(level); });
    }
    return levels;
}

// All that stands in the book: the best `count` levels, those that display nothing too. None of an unknown instrument.
inline std::vector<DepthLevel> depth(const State& state, u32 instrument, u8 side, std::size_t count = kAll) {
    std::vector<DepthLevel> levels;
    if (const Half* half = detail::half_of(state, instrument, side)) {
        detail::each_level(state, *half, count, false, [&](const DepthLevel& level) { levels.push_back(level); });
    }
    return levels;
}

// Neither of an unknown instrument.
inline Best best(const State& state, u32 instrument) {
    Best found;
    const Handle at = state.find_book(instrument);
    if (at == kNone) return found;
    const Half(&halves)[2] = state.books[at].halves;
    found.bid = detail::best_shown(state, state.books[at], halves[0]);
    found.ask = detail::best_shown(state, state.books[at], halves[1]);
    return found;
}

// The first `count` orders at a price. Empty where there is no such level.
inline Queue queue(const State& state, u32 instrument, u8 side, i64 price_ticks, std::size_t count = kAll) {
    Queue found;
    const Half* half = detail::half_of(state, instrument, side);
    const Handle level = half != nullptr ? half->index.find(state.nodes, price_ticks) : kNone;
    if (level == kNone) return found;
    for (const bool hidden : {false, true}) {
        std::vector<const Order*>& part = hidden ? found.hidden : found.orders;
        Handle at = state.levels[level].queues[hidden ? 1 : 0].head;
        for (; at != kNone && count != 0; at = state.links[at].next, --count) part.push_back(&state.orders[at]);
    }
    return found;
}

// A live order by its exchange id, an account by its number; nullptr if there is none. Valid until the next command.
inline const Order* order(const State& state, u64 order_id) {
    const Handle at = state.find_order(order_id);
    return at != kNone ? &state.orders[at] : nullptr;
}
inline const Account* account(const State& state, u32 number) {
    const Handle at = state.find_account(number);
    return at != kNone ? &state.accounts[at] : nullptr;
}

// The latest number of a session that was executed, 0 if none: its next command has the one after it.
inline u64 session_last_no(const State& state, u64 session_id) {
    const Handle at = state.find_session(session_id);
    return at != kNone ? state.sessions[at].last_no : 0;
}

}  // namespace lockstep::queries
