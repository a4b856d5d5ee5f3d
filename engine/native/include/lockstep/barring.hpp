// Restrictions of an instrument as orders meet them, and the fall that holds its short sales to a price.
#pragma once

#include "lockstep/funds.hpp"

namespace lockstep::barring {

// What an account may do in the instrument: its bars, its share of all that there is, what was located for it.
inline Code refusal(const State& state, const Order& order, i64 lots, i64 freed_lots) {
    const Restraints& restraints = *state.books[order.book].restraints;
    if (restraints.of.empty()) return code::OK;
    const Restriction& all = restraints.of_account(Restraints::kEverybody);
    const Restriction& own = restraints.of_account(state.accounts[order.account].account);
    const u32 bars = all.bars | own.bars;
    const bool buys = order.side == side::BUY;
    const i128 after = margin::after(margin::position_of(state, order), order.side, lots, freed_lots);
    if ((bars & (buys ? trade_bar::NO_BUYS : trade_bar::NO_SELLS)) != 0) return code::INSTRUMENT_RESTRICTED;
    if ((bars & trade_bar::ONLY_CLOSING) != 0 && after > 0) return code::INSTRUMENT_RESTRICTED;
    if (buys && all.max_share_ppm != 0 && after * kPpm > i128{all.max_share_ppm} * all.outstanding_lots) {
        return code::OWNERSHIP_LIMIT;
    }
    const bool unlocated = !buys && (all.bars & trade_bar::LOCATES) != 0 && after > 0 && after > own.located_lots;
    return unlocated ? Code{code::NOT_LOCATED} : Code{code::OK};
}

inline bool are_shorts_restricted(const Restraints& restraints, i64 now_ns) {
    return restraints.since_day != 0 && margin::business_day(now_ns) - restraints.since_day <= 1;
}

// Whether an order that can trade or rest now is a short sale too low in price; `price` is 0 if it has no limit.
inline Code short_refusal(const State& state, const Order& order, i64 price, i64 lots, i64 freed_lots, i64 now_ns) {
    const Book& book = state.books[order.book];
    const Restraints& restraints = *book.restraints;
    if (order.side != side::SELL || (order.flags & order_flag::SHORT_EXEMPT) != 0) return code::OK;
    if (!are_shorts_restricted(restraints, now_ns)) return code::OK;
    if (margin::after(margin::position_of(state, order), order.side, lots, freed_lots) <= 0) return code::OK;
    const Handle best = book.halves[0].best;
    const bool good = best == kNone || (price != 0 && price > state.levels[best].price);
    return good ? Code{code::OK} : Code{code::SHORT_SALE_PRICE};
}

// All of it, of an order that may have to wait before it `enters` the market.
inline Code refusal_on_entry(const State& state, const Order& order, i64 price, i64 lots, i64 freed_lots, bool enters,
                             i64 now_ns) {
    const Code code = refusal(state, order, lots, freed_lots);
    if (code != code::OK || !enters) return code;
    return short_refusal(state, order, price, lots, freed_lots, now_ns);
}

// The instrument has traded at `price`: if that is far enough under its previous close, short sales are restricted.
inline void look_at_fall(const Book& book, i64 price, Step& step) {
    Restraints& restraints = *book.restraints;
    if (restraints.fall_ppm == 0 || book.close == 0) return;
    const i64 today = margin::business_day(step.now_ns);
    if (restraints.since_day == today) return;
    if (i128{book.close - price} * kPpm < i128{restraints.fall_ppm} * book.close) return;
    restraints.since_day = today;
    report::short_sales_restricted(step, book, price);
}

}  // namespace lockstep::barring
