// Order commands: validate completely, then change state, then say what happened.
//
// The order of the checks is part of the specification (`docs/engine.md`): every engine must refuse the same command
// with the same code. Worths are computed in 128 bits and compared before they are narrowed.
#pragma once

#include <algorithm>

#include "lockstep/events.hpp"

namespace lockstep::orders {

inline constexpr i64 kUnlimitedPrice[2] = {INT64_MAX, INT64_MIN};  // of a market order: buy, sell

inline bool reaches(u8 side, i64 limit, i64 price) { return side == side::BUY ? price <= limit : price >= limit; }

inline i64 limit_of(const Order& order) {
    return order.order_type == order_type::MARKET ? kUnlimitedPrice[order.side == side::BUY ? 0 : 1] : order.price;
}

inline bool rests(u8 order_type, u8 tif) {
    return order_type == order_type::LIMIT && (tif == tif::DAY || tif == tif::GTC);
}

inline Half& opposite(State& state, const Order& order) {
    return state.books[order.book].halves[order.side == side::BUY ? 1 : 0];
}

struct Reach {
    i64 lots;
    i128 worth;  // sum of price * lots
};

// What a taker of `lots` would get now. Changes nothing.
inline Reach reach(const State& state, Handle book, u8 side, i64 limit, i64 lots) {
    const Half& half = state.books[book].halves[side == side::BUY ? 1 : 0];
    const u8 makers = side == side::BUY ? side::SELL : side::BUY;
    i64 wanted = lots;
    i128 worth = 0;
    for (Handle at = half.best; at != kNone && wanted != 0; at = state.worse(half, makers, at)) {
        const Level& level = state.levels[at];
        if (!reaches(side, limit, level.price)) break;
        const i64 taken = std::min(wanted, level.quantity);
        wanted -= taken;
        worth += i128{level.price} * taken;
    }
    return {lots - wanted, worth};
}

// What is wrong with quantity and price by themselves.
inline Code terms_refusal(u8 order_type, i64 price, i64 lots) {
    if (lots < 1 || lots > kMaxQuantityLots) return code::BAD_QUANTITY;
    if (order_type == order_type::LIMIT) {
        if (price < 1 || price > kMaxPriceTicks) return code::BAD_PRICE;
    } else if (price != 0) {
        return code::BAD_PRICE;
    }
    return code::OK;
}

// Why a buy of `lots` that may cost `value` micros can't be taken. `freed` is what the order itself has reserved.
inline Code buy_refusal(const Account& account, i128 value, i64 lots, const Position* position, i128 freed) {
    const i128 reserved = account.reserved - freed;
    if (account.unlimited_cash()) {
        if (reserved + value - std::min<i64>(account.cash, 0) > kI64Max) return code::OVERFLOW_;
    } else if (value > account.cash - reserved) {
        return code::INSUFFICIENT_CASH;
    }
    if (position != nullptr && position->quantity + lots > kMaxPositionLots) return code::OVERFLOW_;
    return code::OK;
}

// Why a sell of `lots` that may bring in `value` micros can't be taken.
inline Code sell_refusal(const Account& account, i128 value, i64 lots, const Position* position, i64 freed_lots,
                         i128 freed) {
    const i64 held = position != nullptr ? position->quantity : 0;
    if (!account.unlimited_positions()) {
        const i64 reserved = position != nullptr ? position->reserved - freed_lots : 0;
        if (lots > held - reserved) return code::INSUFFICIENT_POSITION;
    } else if (lots - held > kMaxPositionLots) {
        return code::OVERFLOW_;
    }
    if (i128{std::max<i64>(account.cash, 0)} + account.receivable - freed + value > kI64Max) return code::OVERFLOW_;
    return code::OK;
}

// What a limit sell may bring in at the most: it trades at the best bid at the best.
inline i128 most_proceeds(const State& state, const Book& book, i64 price, i64 lots) {
    const Handle best = book.halves[0].best;
    if (best != kNone) price = std::max(price, state.levels[best].price);
    return i128{price} * lots * book.unit_micros;
}

// Why an order with good terms can't be taken: its worth, its id, the account's funds.
inline Code entry_refusal(const State& state, const Order& order) {
    const Book& book = state.books[order.book];
    const bool limited = order.order_type == order_type::LIMIT;
    i128 value = 0;
    if (limited) {
        value = i128{order.price} * order.quantity * book.unit_micros;
    } else {
        // A market order has no limit to reserve by: it needs exactly what it would trade for, now.
        const Reach got = reach(state, order.book, order.side, limit_of(order), order.quantity);
        if (got.lots == order.quantity || order.tif != tif::FOK) value = got.worth * book.unit_micros;
    }
    if (value > kI64Max) return code::OVERFLOW_;
    if (state.find_client_order(order.account, order.client_order_id) != kNone) return code::DUPLICATE_ORDER_ID;
    const Account& account = state.accounts[order.account];
    const Position* position = order.position != kNone ? &state.positions[order.position] : nullptr;
    if (order.side == side::BUY) return buy_refusal(account, value, order.quantity, position, 0);
    if (limited) value = most_proceeds(state, book, order.price, order.quantity);
    return sell_refusal(account, value, order.quantity, position, 0, 0);
}

// Match, settle and report. Everybody can pay: makers have reserved, and the taker was checked for the whole of what
// it may cost.
inline void trade(State& state, Order& taker, i64 limit, Step& step) {
    const bool buying = taker.side == side::BUY;
    const u8 maker_side = buying ? side::SELL : side::BUY;
    const i64 unit = state.books[taker.book].unit_micros;
    Half& half = opposite(state, taker);
    const i64 before = taker.leaves;
    i64 total = 0;
    while (taker.leaves != 0 && half.best != kNone) {
        const Handle best = half.best;
        Level& level = state.levels[best];
        if (!reaches(taker.side, limit, level.price)) break;
        while (taker.leaves != 0 && level.head != kNone) {
            const Handle at = level.head;
            Order& maker = state.orders[at];
            const i64 lots = std::min(taker.leaves, maker.leaves);
            const i64 value = maker.price * lots * unit;
            Account& owner = state.accounts[maker.account];
            Position& position = state.positions[maker.position];
            if (buying) {
                owner.cash += value;
                owner.receivable -= value;
                position.quantity -= lots;
                position.reserved -= lots;
            } else {
                owner.cash -= value;
                owner.reserved -= value;
                position.quantity += lots;
            }
            total += value;
            taker.leaves -= lots;
            maker.leaves -= lots;
            level.quantity -= lots;
            report::trade(step, state, taker, maker, lots);
            if (maker.leaves == 0) {
                level.head = state.links[at].next;
                if (level.head != kNone) {
                    state.links[level.head].previous = kNone;
                } else {
                    level.tail = kNone;
                }
                --level.orders;
                state.forget(at);
            }
        }
        if (level.head == kNone) state.drop(half, maker_side, best);
    }
    Account& account = state.accounts[taker.account];
    Position& position = state.positions[taker.position];
    account.cash += buying ? -total : total;
    position.quantity += buying ? before - taker.leaves : taker.leaves - before;
}

// Trade an order that is not in the book as far as it goes; then it rests, or its remainder is canceled. `filed` is
// its handle if it was live before (replace). The caller has reported the event of index 0.
inline void execute(State& state, Order& order, Handle filed, Step& step) {
    const Half& half = opposite(state, order);
    const i64 limit = limit_of(order);
    const bool crosses = half.best != kNone && reaches(order.side, limit, state.levels[half.best].price);
    if (crosses && (order.tif != tif::FOK ||
                    reach(state, order.book, order.side, limit, order.leaves).lots == order.leaves)) {
        trade(state, order, limit, step);
    }
    if (order.leaves == 0) {
        if (filed != kNone) state.forget(filed);
        return;
    }
    if (rests(order.order_type, order.tif)) {
        state.place(filed != kNone ? filed : state.file(order));
        return;
    }
    Code why = order.order_type == order_type::MARKET ? code::NO_LIQUIDITY : code::IOC_REMAINDER;
    if (order.tif == tif::FOK) why = code::FOK_UNFILLABLE;
    report::canceled(step, state, order, order.leaves, why);
}

// Terms of features that this version does not have, or values that mean nothing.
inline bool is_supported(const CommandHead& head, const OrderTerms& terms) {
    const bool known = (head.side == side::BUY || head.side == side::SELL) &&
                       (head.order_type == order_type::LIMIT || head.order_type == order_type::MARKET) &&
                       head.tif >= tif::DAY && head.tif <= tif::FOK;
    return known && (head.stp | head.flags) == 0 &&
           (terms.stop_price_ticks | terms.display_lots | terms.min_lots | terms.expire_ns | terms.trail_ticks) == 0;
}

// NEW_ORDER. The exchange id of the order is the seq of this command.
inline void new_order(State& state, Step& step) {
    const CommandHead& head = step.head();
    const OrderTerms& terms = step.command.order;
    const Handle account = state.find_account(head.account);
    const Handle book = state.find_book(head.instrument);
    Code code = code::OK;
    if (!is_supported(head, terms)) {
        code = code::NOT_SUPPORTED;
    } else if (account == kNone) {
        code = code::UNKNOWN_ACCOUNT;
    } else if (book == kNone) {
        code = code::UNKNOWN_INSTRUMENT;
    } else {
        code = terms_refusal(head.order_type, terms.price_ticks, terms.quantity_lots);
    }
    if (code == code::OK) {
        Order order = {};
        order.order_id = step.seq;
        order.client_order_id = head.client_order_id;
        order.session_id = head.session_id;
        order.price = terms.price_ticks;
        order.leaves = terms.quantity_lots;
        order.account = account;
        order.position = state.find_position(account, book);
        order.book = book;
        order.side = head.side;
        order.order_type = head.order_type;
        order.tif = head.tif;
        order.quantity = terms.quantity_lots;
        code = entry_refusal(state, order);
        if (code == code::OK) {
            if (order.position == kNone) order.position = state.position_of(account, book);
            report::accepted(step, state, order, rests(order.order_type, order.tif) ? u32{event_flag::BOOKS} : 0);
            execute(state, order, kNone, step);
            return;
        }
    }
    report::refused(step, event_kind::REJECTED, code);
}

// The live order of the command's account that it names, by exchange id or else by client id.
inline Handle addressed_order(const State& state, const CommandHead& head) {
    const Handle account = state.find_account(head.account);
    if (account == kNone) return kNone;
    if (head.order_id == 0) return state.find_client_order(account, head.client_order_id);
    const Handle at = state.find_order(head.order_id);
    return at != kNone && state.orders[at].account == account ? at : kNone;
}

// CANCEL: take a live order out of the book.
inline void cancel(State& state, Step& step) {
    const Handle at = addressed_order(state, step.head());
    if (at == kNone) {
        report::refused(step, event_kind::CANCEL_REJECTED, code::UNKNOWN_ORDER);
        return;
    }
    state.displace(at);
    report::canceled(step, state, state.orders[at], state.orders[at].leaves, code::CANCEL_REQUESTED);
    state.forget(at);
}

// Why an order can't have new terms; what it has reserved itself counts as free.
inline Code replace_refusal(const State& state, const Order& order, i64 price, i64 lots) {
    const Book& book = state.books[order.book];
    const i128 value = i128{price} * lots * book.unit_micros;
    if (value > kI64Max) return code::OVERFLOW_;
    const i128 freed = i128{order.price} * order.leaves * book.unit_micros;
    const Account& account = state.accounts[order.account];
    const Position* position = &state.positions[order.position];
    if (order.side == side::BUY) return buy_refusal(account, value, lots, position, freed);
    return sell_refusal(account, most_proceeds(state, book, price, lots), lots, position, order.leaves, freed);
}

// REPLACE: new price and new open quantity for a live order.
//
// Less at the same price keeps the order's place; anything else puts it behind, and may trade. The order belongs to
// the session that replaced it from then on, as that is the one that gets its further reports.
inline void replace(State& state, Step& step) {
    const CommandHead& head = step.head();
    const Handle at = addressed_order(state, head);
    if (at == kNone) {
        report::refused(step, event_kind::REPLACE_REJECTED, code::UNKNOWN_ORDER);
        return;
    }
    Order& order = state.orders[at];
    const i64 price = step.command.order.price_ticks;
    const i64 lots = step.command.order.quantity_lots;
    Code code = terms_refusal(order_type::LIMIT, price, lots);
    if (code == code::OK) code = replace_refusal(state, order, price, lots);
    if (code != code::OK) {
        report::refused(step, event_kind::REPLACE_REJECTED, code);
        return;
    }
    const report::Previous before = {order.session_id, order.price, order.leaves};
    order.session_id = head.session_id;
    order.quantity = lots;
    if (price == order.price && lots <= order.leaves) {
        state.reserve(order, lots - order.leaves);
        state.levels[order.level].quantity += lots - order.leaves;
        order.leaves = lots;
        report::replaced(step, state, order, event_flag::BOOKS, before);
        return;
    }
    state.displace(at);
    order.price = price;
    order.leaves = lots;
    report::replaced(step, state, order, event_flag::BOOKS | event_flag::LOST_PRIORITY, before);
    execute(state, order, at, step);
}

// MASS_CANCEL: all live orders of an account, or only those of one instrument, one side, or both.
inline void mass_cancel(State& state, Step& step) {
    const CommandHead& head = step.head();
    const Handle account = state.find_account(head.account);
    if (account == kNone) {
        report::refused(step, event_kind::REJECTED, code::UNKNOWN_ACCOUNT);
        return;
    }
    std::vector<std::pair<u64, Handle>> chosen;
    for (Handle at = state.accounts[account].orders; at != kNone; at = state.links[at].account_next) {
        const Order& order = state.orders[at];
        if (head.side != 0 && order.side != head.side) continue;
        if (head.instrument != 0 && state.books[order.book].instrument != head.instrument) continue;
        chosen.emplace_back(order.order_id, at);
    }
    std::sort(chosen.begin(), chosen.end());
    for (const auto& [_, at] : chosen) {
        state.displace(at);
        report::canceled(step, state, state.orders[at], state.orders[at].leaves, code::MASS_CANCEL);
        state.forget(at);
    }
    report::mass_canceled(step, static_cast<u32>(chosen.size()));
}

// REFUSED: a gateway said no; the stream keeps its answer, with the code from `tag`.
inline void gateway_refusal(Step& step) {
    const u64 tag = step.command.order.tag;
    // A tag that is no code (they have 16 bits) can't be passed on as one.
    report::refused(step, event_kind::REJECTED,
                    tag >= 1 && tag <= UINT16_MAX ? static_cast<Code>(tag) : Code{code::UNKNOWN_COMMAND});
}

}  // namespace lockstep::orders
