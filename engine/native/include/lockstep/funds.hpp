// What an order is worth, and whether its account can carry it.
#pragma once

#include "lockstep/matching.hpp"

namespace lockstep::funds {

// Why the account may not enter orders at all.
inline Code status_refusal(const Account& account) {
    switch (account.status) {
        case account_status::RESTRICTED: return code::ACCOUNT_RESTRICTED;
        case account_status::BANNED: return code::ACCOUNT_BANNED;
        case account_status::KILLED: return code::ACCOUNT_KILLED;
        default: return code::OK;
    }
}

// What an order without a limit to reserve by needs: exactly what it would trade for, now, and its fees.
inline i128 market_worth(const State& state, const Order& order) {
    const Book& book = state.books[order.book];
    const paper::Reach got = paper::reach(state, order, limit_of(book, order), order.leaves);
    if (got.lots < order.leaves && order.tif == tif::FOK) return 0;
    const i128 worth = got.worth * book.unit_micros;
    // Beyond 64 bits it is refused whatever the fees are.
    if (order.side != side::BUY || worth > kI64Max) return worth;
    return worth + worth * book.fee_ppm / kPpm;
}

// What the order itself has reserved until now (replace).
struct Freed {
    i64 lots = 0;
    i128 micros = 0;
};

inline Code buy_refusal(const Account& account, i128 value, i64 lots, const Position& position, i128 freed) {
    const i128 reserved = account.reserved - freed;
    if (account.unlimited_cash()) {
        if (reserved + value - std::min<i64>(account.cash, 0) > kI64Max) return code::OVERFLOW_;
    } else if (value > account.cash - reserved) {
        return code::INSUFFICIENT_CASH;
    }
    return position.quantity + lots > kMaxPositionLots ? code::OVERFLOW_ : code::OK;
}

inline Code sell_refusal(const Account& account, i128 value, i64 lots, const Position& position, const Freed& freed) {
    if (!account.unlimited_positions()) {
        if (lots > position.quantity - (position.reserved - freed.lots)) return code::INSUFFICIENT_POSITION;
    } else if (lots - position.quantity > kMaxPositionLots) {
        return code::OVERFLOW_;
    }
    const i128 after = i128{std::max<i64>(account.cash, 0)} + account.receivable - freed.micros + value;
    return after > kI64Max ? code::OVERFLOW_ : code::OK;
}

// The position of an order's account, or an empty one if there is none yet.
inline const Position& position_of(const State& state, const Order& order) {
    static constexpr Position kEmpty = {};
    return order.position != kNone ? state.positions[order.position] : kEmpty;
}

// Funds and range of balances for `lots` at `price`, which is 0 if the order has no limit.
inline Code funds_refusal(const State& state, const Order& order, i64 price, i64 lots, i128 worth, const Freed& freed) {
    if (worth > kI64Max) return code::OVERFLOW_;
    const Account& account = state.accounts[order.account];
    const Position& position = position_of(state, order);
    if (order.side == side::BUY) return buy_refusal(account, worth, lots, position, freed.micros);
    if (price != 0) {
        // A limit sell trades at the best bid at the best.
        const Book& book = state.books[order.book];
        const Handle best = book.halves[0].best;
        if (best != kNone) price = std::max(price, state.levels[best].price);
        worth = i128{price} * lots * book.unit_micros;
    }
    return sell_refusal(account, worth, lots, position, freed);
}

// CLOSE_ONLY, then the position limit.
inline Code exposure_refusal(const State& state, const Order& order, i64 lots, i64 freed_lots) {
    const Account& account = state.accounts[order.account];
    const bool close_only = account.status == account_status::CLOSE_ONLY;
    if (!close_only && !account.is_limited) return code::OK;
    const Position& position = position_of(state, order);
    // The position on the order's own side if all its live orders of that side are filled.
    const i128 after = order.side == side::BUY ? i128{position.quantity} + position.buying - freed_lots + lots
                                               : i128{position.reserved} - freed_lots + lots - position.quantity;
    if (close_only && after > 0) return code::ACCOUNT_CLOSE_ONLY;
    if (account.is_limited && account.limits.max_position_lots != 0 && after > account.limits.max_position_lots) {
        return code::POSITION_LIMIT;
    }
    return code::OK;
}

}  // namespace lockstep::funds
