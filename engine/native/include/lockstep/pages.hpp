// Parts of the state for queries, as the rows of `engine/pages.py`: each of bounded work, whatever there is in all.
#pragma once

#include "lockstep/snapshot.hpp"

namespace lockstep::pages {

using snapshot::Bytes;
using snapshot::put;

// Records that one page looks at, at the most, per row that it may have.
inline constexpr std::size_t kLooks = 8;

struct Orders {
    Bytes rows;
    u32 account = 0;  // the next page follows this order of this account
    u64 after = 0;
    bool more = false;
};

// The order with which a listing goes on: the first behind `after`, or one before it where that one is gone.
inline Handle begin_after(const State& state, Handle owner, u64 after) {
    const Account& account = state.accounts[owner];
    if (after == 0) return account.oldest;
    const Handle marked = state.bookmarks.find(account.account, after);
    if (marked != kNone) return marked;
    const Handle last = state.find_order(after);
    if (last != kNone && state.orders[last].account == owner) return state.links[last].account_previous;
    return account.oldest;
}

// Live orders of one account with ids above `page.after`, in order of id; uses up `room` rows and `looks`.
inline void put_orders_of(State& state, Handle owner, Orders& page, std::size_t& room, std::size_t& looks) {
    const u64 after = page.after;
    Handle at = begin_after(state, owner, after);
    for (; at != kNone && room != 0 && looks != 0; at = state.links[at].account_previous, --looks) {
        const u64 id = state.orders[at].order_id;
        if (id <= after) continue;
        snapshot::put_order(page.rows, state, at);
        page.after = id;
        --room;
    }
    page.more = at != kNone;
    if (!page.more) return;
    state.orders[at].marked |= kBookmarked;
    state.bookmarks.keep(page.account, page.after, at);
}

inline Orders orders_of(State& state, u32 account, u64 after, std::size_t limit) {
    Orders page = {{}, account, after, false};
    const Handle owner = state.find_account(account);
    std::size_t room = limit;
    std::size_t looks = limit * kLooks;
    if (owner != kNone) put_orders_of(state, owner, page, room, looks);
    return page;
}

// Those of all accounts, by account and id, behind order `after` of `account` (0: from the beginning).
inline Orders all_orders(State& state, u32 account, u64 after, std::size_t limit) {
    Orders page = {{}, account, after, false};
    std::size_t room = limit;
    std::size_t looks = limit * kLooks;
    for (auto at = state.accounts_by_id.lower_bound(account); at != state.accounts_by_id.end(); ++at) {
        if (at->first != page.account) page = {std::move(page.rows), at->first, 0, false};
        if (looks == 0 || room == 0) {
            page.more = true;
            return page;
        }
        --looks;
        put_orders_of(state, at->second, page, room, looks);
        if (page.more) return page;
    }
    return page;
}

struct Accounts {
    Bytes rows;
    Bytes positions;  // of all its accounts, in their order
    u32 after = 0;
    bool more = false;
};

// Accounts behind number `after`: at most `limit`, and not so many that more than `max_positions` had to be looked at;
// one at the least.
inline Accounts accounts_after(const State& state, u32 after, std::size_t limit, std::size_t max_positions) {
    Accounts page = {{}, {}, after, false};
    std::size_t room = limit;
    std::size_t looked = 0;
    std::vector<std::pair<u32, Handle>> held;
    for (auto at = state.accounts_by_id.upper_bound(after); at != state.accounts_by_id.end(); ++at, --room) {
        const Account& account = state.accounts[at->second];
        held.clear();
        for (Handle one = account.positions; one != kNone; one = state.positions[one].account_next) {
            const Position& position = state.positions[one];
            ++looked;
            if ((position.quantity | position.reserved | position.realised) == 0) continue;
            held.emplace_back(state.books[position.book].instrument, one);
        }
        if (room == 0 || (room != limit && looked > max_positions)) {
            page.more = true;
            return page;
        }
        std::sort(held.begin(), held.end());
        put(page.rows, account.account, account.flags, account.name, account.cash, account.reserved, account.status,
            static_cast<u32>(held.size()));
        for (const auto& [instrument, one] : held) {
            const Position& position = state.positions[one];
            put(page.positions, instrument, position.quantity, position.reserved, position.cost, position.realised);
        }
        page.after = account.account;
    }
    return page;
}

struct Instruments {
    Bytes rows;
    u32 after = 0;
    bool more = false;
};

// Instruments behind number `after`.
inline Instruments instruments_after(const State& state, u32 after, std::size_t limit) {
    Instruments page = {{}, after, false};
    for (auto at = state.books_by_id.upper_bound(after); at != state.books_by_id.end(); ++at, --limit) {
        if (limit == 0) {
            page.more = true;
            return page;
        }
        const Book& book = state.books[at->second];
        put(page.rows, book.instrument, book.symbol, book.tick_micros, book.lot_units, book.phase, book.last);
        page.after = book.instrument;
    }
    return page;
}

}  // namespace lockstep::pages
