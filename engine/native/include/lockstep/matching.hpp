// Trading: what a taker does to a book, and what each trade does to the two accounts.
//
// Everybody can pay: makers have reserved, and a taker was checked for the whole of what it may cost before it came
// here. Worths are computed in 128 bits and compared before they are narrowed.
#pragma once

#include <algorithm>
#include <deque>

#include "lockstep/margin.hpp"

namespace lockstep {

inline bool reaches(u8 side, i64 limit, i64 price) {
    return side == side::BUY ? price <= limit : price >= limit;
}

struct Band {
    i64 low;
    i64 high;
};
inline Band around(i64 center, u32 ppm) {
    const i64 width = static_cast<i64>(i128{center} * ppm / kPpm);
    return {center - width, center + width};
}

// How far a taker may go: its limit; what has none is held by the band.
inline i64 limit_of(const Book& book, u8 side, u8 type, i64 price) {
    if (type == order_type::LIMIT || type == order_type::STOP_LIMIT || type == order_type::OCO) return price;
    const bool buying = side == side::BUY;
    i64 limit = buying ? INT64_MAX : INT64_MIN;
    if (price != 0) limit = price;
    if (book.band_ppm != 0 && book.reference != 0) {
        const Band band = around(book.reference, book.band_ppm);
        limit = buying ? std::min(limit, band.high) : std::max(limit, band.low);
    }
    if (book.bands_hold()) limit = buying ? std::min(limit, book.bands->high) : std::max(limit, book.bands->low);
    return limit;
}
inline i64 limit_of(const Book& book, const Order& order) {
    return limit_of(book, order.side, order.order_type, order.price);
}

// Whether what is left of an order after matching rests, and nothing else. (An OCO order waits for its stop price, too.)
inline bool rests(u8 type, u8 tif) {
    return (type == order_type::LIMIT || type == order_type::STOP_LIMIT) &&
           (tif == tif::DAY || tif == tif::GTC || tif == tif::GTD);
}

// What one lot of an order at this price reserves: a buy its price and the highest fee, rounded up. Of a sell it is the
// most that it brings in as a maker: its price and the rebate, rounded up.
inline i128 lot_micros_of(const Book& book, u8 side, i64 price) {
    const i128 value = i128{price} * book.unit_micros;
    if (book.fee_ppm == 0) return value;
    const i64 ppm = side == side::BUY ? i64{book.fee_ppm} : std::max<i64>(-i64{book.maker_fee_ppm}, 0);
    if (ppm == 0) return value;
    return value + (value * ppm + (kPpm - 1)) / kPpm;
}

namespace paper {

struct Reach {
    i64 lots;
    i128 worth;  // sum of price * lots
};

struct Maker {
    bool own;
    i64 leaves;
    i64 shown;
    i64 display;
};

inline void list_makers(const State& state, Handle at, Handle account, std::deque<Maker>& makers) {
    for (; at != kNone; at = state.links[at].next) {
        const Order& order = state.orders[at];
        makers.push_back({order.account == account, order.leaves, order.shown != 0 ? order.shown : order.leaves,
                          order.is_hidden() ? 0 : order.display});
    }
}

inline bool has_own(const State& state, const Level& level, Handle account) {
    for (const Queue& queue : level.queues) {
        for (Handle at = queue.head; at != kNone; at = state.links[at].next) {
            if (state.orders[at].account == account) return true;
        }
    }
    return false;
}

// The matching on paper at one level where own orders are. Returns the lots traded; `wanted` is what is left to trade.
inline i64 reach_among_own(const State& state, const Level& level, Handle account, u8 stp, i64& wanted) {
    std::deque<Maker> queues[2];
    for (int kind = 0; kind < 2; ++kind) list_makers(state, level.queues[kind].head, account, queues[kind]);
    i64 filled = 0;
    while (wanted != 0 && !(queues[0].empty() && queues[1].empty())) {
        std::deque<Maker>& queue = queues[0].empty() ? queues[1] : queues[0];
        Maker maker = queue.front();
        queue.pop_front();
        if (!maker.own) {
            const i64 taken = std::min(wanted, maker.shown);
            wanted -= taken;
            filled += taken;
            maker.leaves -= taken;
            if (maker.display != 0 && maker.leaves > 0) {
                maker.shown = std::min(maker.display, maker.leaves);
                queue.push_back(maker);
            }
        } else if (stp == stp::DECREMENT) {
            wanted -= std::min(wanted, maker.leaves);
        } else if (stp != stp::CANCEL_OLDEST) {
            wanted = 0;
        }
    }
    return filled;
}

// What a taker of `lots` would trade now. Changes nothing.
inline Reach reach(const State& state, const Order& taker, i64 limit, i64 lots) {
    const bool buying = taker.side == side::BUY;
    const Half& half = state.books[taker.book].halves[buying ? 1 : 0];
    i64 wanted = lots;
    i64 filled = 0;
    i128 worth = 0;
    for (Handle at = half.best; at != kNone && wanted != 0; at = state.levels[at].worse) {
        const Level& level = state.levels[at];
        if (!reaches(taker.side, limit, level.price)) break;
        i64 taken = 0;
        if (taker.stp != stp::NONE && has_own(state, level, taker.account)) {
            taken = reach_among_own(state, level, taker.account, taker.stp, wanted);
        } else {
            taken = std::min(wanted, level.quantity);
            wanted -= taken;
        }
        filled += taken;
        worth += i128{level.price} * taken;
    }
    return {filled, worth};
}

}  // namespace paper

namespace matching {

// Rounded towards zero; a rebate is a negative fee.
inline i64 fee_of(i64 value, i64 ppm) {
#ifdef LOCKSTEP_PLANTED_BUG
    // Only in a build that a test makes to see it found out: rounded to the nearest.
    return static_cast<i64>((i128{value} * ppm + kPpm / 2) / kPpm);
#else
    return static_cast<i64>(i128{value} * ppm / kPpm);
#endif
}

// Take the fees of a trade of this worth.
inline void charge(State& state, const Order& taker, const Order& maker, i64 value, i64 taker_ppm, i64 maker_ppm,
                   report::Deal& deal) {
    deal.taker_fee = fee_of(value, taker_ppm);
    deal.maker_fee = fee_of(value, maker_ppm);
    state.accounts[taker.account].cash -= deal.taker_fee;
    state.accounts[maker.account].cash -= deal.maker_fee;
    state.fees += static_cast<u128>(i128{deal.taker_fee} + deal.maker_fee);
}

// Book and report a trade at the maker's price, whose lots are off both orders already.
inline void settle(State& state, Book& book, const Order& taker, const Order& maker, i64 lots, u64 session_no,
                   Step& step) {
    const i64 value = maker.price * lots * book.unit_micros;
    Account& owner = state.accounts[maker.account];
    Account& account = state.accounts[taker.account];
    Position& given = state.positions[maker.position];
    Position& taken = state.positions[taker.position];
    margin::note_trades(account, taken, owner, given, taker.side == side::BUY ? lots : -lots, step.now_ns);
    if (taker.side == side::BUY) {
        owner.cash += value;
        owner.receivable -= maker.lot_micros * lots;
        given.reserved -= lots;
        given.trade(-lots, value);
        account.cash -= value;
        taken.trade(lots, value);
    } else {
        owner.cash -= value;
        owner.reserved -= maker.lot_micros * lots;
        given.buying -= lots;
        given.trade(lots, value);
        account.cash += value;
        taken.trade(-lots, value);
    }
    report::Deal deal = {lots, maker.price, 0, 0, 0};
    if (book.fee_ppm != 0) charge(state, taker, maker, value, book.taker_fee_ppm, book.maker_fee_ppm, deal);
    if (owner.is_limited) owner.limits.count_trade(step.now_ns);
    if (account.is_limited) account.limits.count_trade(step.now_ns);
    book.last = maker.price;
    report::trade(step, state, session_no, taker, maker, deal);
}

// Self-trade prevention in place of a trade; the maker's report comes first.
inline void prevent(State& state, Order& taker, Handle at, u64 session_no, Step& step) {
    Order& maker = state.orders[at];
    const Asker asker = {taker.session_id, session_no};
    const bool decrement = taker.stp == stp::DECREMENT;
    i64 lots = decrement ? std::min(taker.leaves, maker.leaves) : maker.leaves;
    if (taker.stp != stp::CANCEL_NEWEST) {
        const i64 left = maker.leaves - lots;
        if (left != 0) {
            state.reserve(maker, -lots);
            state.reduce(maker, left);
            state.discount(maker, lots);
            report::taken_off(step, state, asker, maker, lots, code::SELF_TRADE, left);
        } else {
            state.displace(at);
            report::taken_off(step, state, asker, maker, lots, code::SELF_TRADE);
            state.forget(at);
        }
    }
    if (taker.stp != stp::CANCEL_OLDEST) {
        if (!decrement) lots = taker.leaves;
        taker.leaves -= lots;
        state.discount(taker, lots);
        report::taken_off(step, state, asker, taker, lots, code::SELF_TRADE, taker.leaves);
    }
}

// Match a taker as far as its limit goes; the price of its first trade, 0 if there was none. Each further one is no
// better for it.
inline i64 take(State& state, Order& taker, i64 limit, u64 session_no, Step& step) {
    Book& book = state.books[taker.book];
    Half& half = book.halves[taker.side == side::BUY ? 1 : 0];
    i64 first = 0;
    while (taker.leaves != 0 && half.best != kNone) {
        Level& level = state.levels[half.best];
        if (!reaches(taker.side, limit, level.price)) break;
        const Handle at = level.front();
        Order& maker = state.orders[at];
        if (taker.stp != stp::NONE && maker.account == taker.account) {
            prevent(state, taker, at, session_no, step);
            continue;
        }
        const i64 lots = std::min(taker.leaves, maker.shown != 0 ? maker.shown : maker.leaves);
        taker.leaves -= lots;
        if (first == 0) first = level.price;
        if (lots == maker.leaves) {
            state.unlink(at);
            maker.leaves = 0;
            settle(state, book, taker, maker, lots, session_no, step);
            state.forget(at);
            continue;
        }
        level.quantity -= lots;
        maker.leaves -= lots;
        if (maker.display != 0) {
            maker.shown -= static_cast<i32>(lots);
            if (maker.shown == 0) state.renew_peak(at);
        }
        settle(state, book, taker, maker, lots, session_no, step);
    }
    return first;
}

// Trade an order that is not in the book as far as it goes; then it rests, or its remainder is canceled. `filed` is its
// handle if it was live before (replaced or triggered). Returns the price of its first trade, 0 if there was none. The
// caller has said that the order was accepted, replaced or triggered.
inline i64 enter(State& state, Order& order, Handle filed, u64 session_no, Step& step, i64 min_lots = 0) {
    const Book& book = state.books[order.book];
    const Half& half = book.halves[order.side == side::BUY ? 1 : 0];
    const i64 limit = limit_of(book, order);
    const Asker asker = {order.session_id, session_no};
    const bool whole = order.tif == tif::FOK;
    const i64 needed = whole ? order.leaves : min_lots;
    i64 first = 0;
    if (needed != 0 && paper::reach(state, order, limit, order.leaves).lots < needed) {
        report::taken_off(step, state, asker, order, order.leaves, whole ? code::FOK_UNFILLABLE : code::MIN_QUANTITY);
        order.leaves = 0;
    } else if (half.best != kNone && reaches(order.side, limit, state.levels[half.best].price)) {
        first = take(state, order, limit, session_no, step);
    }
    if (order.leaves != 0) {
        if (rests(order.order_type, order.tif)) {
            state.place(filed != kNone ? filed : state.file());
            return first;
        }
        if (order.is_oco()) {
            const Handle at = filed != kNone ? filed : state.file();
            state.place(at);
            state.join_stops(at);
            return first;
        }
        const Code why = order.order_type == order_type::LIMIT ? code::IOC_REMAINDER : code::NO_LIQUIDITY;
        report::taken_off(step, state, asker, order, order.leaves, why);
    }
    if (filed != kNone) state.forget(filed);
    return first;
}

// Book and report a trade of two orders of the book at the auction's price.
inline void trade_in_auction(State& state, Book& book, Handle buying, Handle selling, i64 lots, i64 price, Step& step) {
    const i64 value = price * lots * book.unit_micros;
    Order& buy = state.orders[buying];
    Order& sell = state.orders[selling];
    for (const Handle at : {buying, selling}) {
        Order& order = state.orders[at];
        state.reserve(order, -lots);
        if (lots < order.leaves) {
            state.reduce(order, order.leaves - lots);
        } else {
            state.unlink(at);
            order.leaves = 0;
        }
    }
    Account& seller = state.accounts[sell.account];
    Account& buyer = state.accounts[buy.account];
    margin::note_trades(buyer, state.positions[buy.position], seller, state.positions[sell.position], lots, step.now_ns);
    seller.cash += value;
    state.positions[sell.position].trade(-lots, value);
    buyer.cash -= value;
    state.positions[buy.position].trade(lots, value);
    report::Deal deal = {lots, price, 0, 0, event_flag::AUCTION};
    const i64 rate = std::max(book.maker_fee_ppm, 0);
    charge(state, buy, sell, value, rate, rate, deal);
    if (seller.is_limited) seller.limits.count_trade(step.now_ns);
    if (buyer.is_limited) buyer.limits.count_trade(step.now_ns);
    report::trade(step, state, 0, buy, sell, deal);
    for (const Handle at : {buying, selling}) {
        if (state.orders[at].leaves == 0) state.forget(at);
    }
}

}  // namespace matching
}  // namespace lockstep
