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
    i64 micros = 0;
};

// The sums of balances here are in 64 bits, and say if they don't fit: that is a refusal.

inline Code buy_refusal(const Account& account, i64 value, i64 lots, const Position& position, const Freed& freed) {
    const i64 reserved = account.reserved - freed.micros;
    i64 sum = 0;
    if (account.borrows()) {
        if (__builtin_add_overflow(reserved, value, &sum)) return code::OVERFLOW_;
        if (__builtin_sub_overflow(sum, std::min<i64>(account.cash, 0), &sum)) return code::OVERFLOW_;
    } else if (__builtin_sub_overflow(account.cash, reserved, &sum) || value > sum) {
        return code::INSUFFICIENT_CASH;
    }
    return position.quantity + lots > kMaxPositionLots ? code::OVERFLOW_ : code::OK;
}

inline Code sell_refusal(const Account& account, i128 value, i64 lots, const Position& position, const Freed& freed) {
    if (!account.goes_short()) {
        if (lots > position.quantity - (position.reserved - freed.lots)) return code::INSUFFICIENT_POSITION;
    } else if (lots - position.quantity > kMaxPositionLots) {
        return code::OVERFLOW_;
    }
    i64 sum = std::max<i64>(account.cash, 0);
    if (__builtin_add_overflow(sum, account.receivable - freed.micros, &sum)) return code::OVERFLOW_;
    if (value > kI64Max || __builtin_add_overflow(sum, static_cast<i64>(value), &sum)) return code::OVERFLOW_;
    return code::OK;
}

// `funds_refusal` without margin, for a worth within 64 bits.
inline Code range_refusal(const State& state, const Order& order, i64 price, i64 lots, i128 worth, const Freed& freed) {
    const Account& account = state.accounts[order.account];
    const Position& position = margin::position_of(state, order);
    if (order.side == side::BUY) return buy_refusal(account, static_cast<i64>(worth), lots, position, freed);
    if (price != 0) {
        // A limit sell trades at the best bid at the best.
        const Book& book = state.books[order.book];
        const Handle best = book.halves[0].best;
        if (best != kNone) price = std::max(price, state.levels[best].price);
        worth = lot_micros_of(book, order.side, price) * lots;
    }
    return sell_refusal(account, worth, lots, position, freed);
}

// Funds and range of balances for `lots` at `price`, which is 0 if the order has no limit.
inline Code funds_refusal(const State& state, const Order& order, i64 price, i64 lots, i128 worth, const Freed& freed) {
    if (worth > kI64Max) return code::OVERFLOW_;
    if (state.accounts[order.account].is_on_margin()) {
        const Code code = margin::refusal(state, order, lots, worth, freed.lots);
        if (code != code::OK) return code;
    }
    return range_refusal(state, order, price, lots, worth, freed);
}

// Whether anything but its funds restricts what the account may hold.
inline bool has_exposure_rules(const Account& account) {
    return account.is_limited || account.status == account_status::CLOSE_ONLY || account.has_day_trade_rule();
}

// What such an account may hold: CLOSE_ONLY, position limit, day-trade rule, concentration.
inline Code exposure_refusal(const State& state, const Order& order, i64 lots, i128 worth, i64 freed_lots, i64 now_ns) {
    const Account& account = state.accounts[order.account];
    const bool close_only = account.status == account_status::CLOSE_ONLY;
    const Limits& limits = account.limits;
    const i128 after = margin::after(margin::position_of(state, order), order.side, lots, freed_lots);
    if (close_only && after > 0) return code::ACCOUNT_CLOSE_ONLY;
    if (limits.max_position_lots != 0 && after > limits.max_position_lots) return code::POSITION_LIMIT;
    if (after <= 0) return code::OK;
    if (account.has_day_trade_rule() && margin::is_day_trader(state, account, now_ns)) return code::DAY_TRADER;
    if (limits.max_concentration_ppm != 0) {
        const i128 exposure = margin::exposure(state.books[order.book], lots, worth, after);
        if (exposure * kPpm > limits.max_concentration_ppm * margin::equity(state, account)) {
            return code::CONCENTRATION_LIMIT;
        }
    }
    return code::OK;
}

}  // namespace lockstep::funds
