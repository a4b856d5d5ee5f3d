// Everything the engine knows between two commands: accounts, sessions, books and resting orders, in pools.
//
// Records point to each other by handle. What a command touches most lies together: an order's first cache line is
// what a trade needs, and the links of all lists an order is in are 16 bytes apart from it, four orders to a line.
#pragma once

#include <string>
#include <unordered_map>

#include "lockstep/codes.hpp"
#include "lockstep/id_map.hpp"
#include "lockstep/price_index.hpp"

namespace lockstep {

// An order from its acceptance on. It is live while it rests, which means leaves > 0 and a level.
struct alignas(64) Order {
    u64 order_id;
    u64 client_order_id;
    u64 session_id;
    i64 price;
    i64 leaves;
    Handle level;
    Handle account;
    Handle position;
    Handle book;
    u8 side;
    u8 order_type;
    u8 tif;
    u8 stp;
    u8 flags;
    u8 unused[3];
    // Second line: read when the order enters, is replaced or is written to a snapshot.
    i64 quantity;
    i64 display;
    i64 stop_price;
    i64 minimum;
    i64 expire_ns;
    i64 trail;
};
static_assert(sizeof(Order) == 128);

// Neighbours in the level's queue and in the account's list of live orders.
struct OrderLinks {
    Handle next;
    Handle previous;
    Handle account_next;
    Handle account_previous;
};

// All orders at one price, first come first served. `quantity` is the sum of their open lots, never 0.
struct Level {
    i64 price;
    i64 quantity;
    Handle head;
    Handle tail;
    u32 orders;
    u32 unused;
};

struct Half {
    PriceIndex index;
    Handle best = kNone;  // the level at the best price
};

// `halves[0]` are the bids, `halves[1]` the asks. A book is never crossed between two commands.
struct Book {
    u32 instrument;
    char symbol[32];
    i64 tick_micros;
    i64 lot_units;
    i64 unit_micros;  // worth of one lot at one tick
    Half halves[2];
};

// Lots held of one instrument; `reserved` is the sum of the open lots of the account's resting sells.
struct Position {
    Handle account;
    Handle book;
    i64 quantity;
    i64 reserved;
};

// `reserved` is bound by resting buys, `receivable` is the worth of resting sells (both micros).
struct Account {
    u32 account;
    u32 flags;
    i64 cash;
    i64 reserved;
    i64 receivable;
    Handle orders;  // list of live orders
    u32 live;       // their number
    char name[32];

    bool unlimited_cash() const { return (flags & account_flag::UNLIMITED_CASH) != 0; }
    bool unlimited_positions() const { return (flags & account_flag::UNLIMITED_POSITIONS) != 0; }
};

// The seq at which number n was executed stands at `outcomes[n % 256]`, for the latest `kept` numbers.
struct Session {
    static constexpr u32 kRemembered = 256;
    u64 session_id;
    u64 last_no;
    u32 kept;
    u32 unused;
    u64 outcomes[kRemembered];

    void advance(u64 seq) {
        ++last_no;
        outcomes[last_no % kRemembered] = seq;
        if (kept < kRemembered) ++kept;
    }
    u64 outcome_seq(u64 session_no) const {
        return last_no - session_no < kept ? outcomes[session_no % kRemembered] : 0;
    }
};

// What is set aside before the first command. Everything grows beyond it.
struct Sizes {
    std::size_t orders = 16384;
    std::size_t levels = 4096;
    std::size_t accounts = 256;
    std::size_t instruments = 16;
    std::size_t sessions = 16;
};

class State {
public:
    explicit State(const Sizes& sizes)
        : by_order_id(sizes.orders),
          by_client_id(sizes.orders),
          account_ids(sizes.accounts),
          instrument_ids(sizes.instruments),
          session_ids(sizes.sessions),
          position_ids(sizes.accounts) {
        orders.reserve(sizes.orders);
        links.reserve(sizes.orders);
        levels.reserve(sizes.levels);
        nodes.reserve(sizes.levels / 16);
        accounts.reserve(sizes.accounts);
        positions.reserve(sizes.accounts);
    }

    Pool<Order, 12> orders;
    Pool<OrderLinks, 12> links;  // by the order's handle
    Pool<Level, 12> levels;
    PriceNodes nodes;
    Pool<Account, 8> accounts;
    Pool<Position, 10> positions;
    Pool<Book, 4> books;
    Pool<Session, 4> sessions;

    IdMap by_order_id;
    IdMap by_client_id;
    IdMap account_ids;
    IdMap instrument_ids;
    IdMap session_ids;
    IdMap position_ids;
    std::unordered_map<std::string, Handle> account_names;
    std::unordered_map<std::string, Handle> symbols;

    u64 last_seq = 0;
    i64 last_timestamp_ns = 0;

    Handle find_account(u32 id) const {
        return account_ids.find(hash_id(id), [&](Handle at) { return accounts[at].account == id; });
    }
    Handle find_book(u32 id) const {
        return instrument_ids.find(hash_id(id), [&](Handle at) { return books[at].instrument == id; });
    }
    Handle find_session(u64 id) const {
        return session_ids.find(hash_id(id), [&](Handle at) { return sessions[at].session_id == id; });
    }
    Handle find_order(u64 id) const {
        return by_order_id.find(hash_id(id), [&](Handle at) { return orders[at].order_id == id; });
    }
    // Client id 0 means none, so no order is ever found under it.
    Handle find_client_order(Handle account, u64 id) const {
        if (id == 0) return kNone;
        return by_client_id.find(hash_pair(accounts[account].account, id), [&](Handle at) {
            return orders[at].client_order_id == id && orders[at].account == account;
        });
    }
    Handle find_position(Handle account, Handle book) const {
        return position_ids.find(hash_pair(account, book), [&](Handle at) {
            return positions[at].account == account && positions[at].book == book;
        });
    }
    Handle position_of(Handle account, Handle book) {
        const Handle known = find_position(account, book);
        return known != kNone ? known : add_position(account, book);
    }

    Handle add_account(u32 id, const char (&name)[32], std::string text, u32 flags) {
        const Handle at = accounts.take();
        Account& account = accounts[at];
        account = {};
        account.account = id;
        account.flags = flags;
        std::memcpy(account.name, name, sizeof account.name);
        account_ids.insert(hash_id(id), at);
        account_names.emplace(std::move(text), at);
        return at;
    }
    Handle add_book(u32 id, const char (&symbol)[32], std::string text, i64 tick_micros, i64 lot_units) {
        const Handle at = books.take();
        Book& book = books[at];
        book = {};
        book.instrument = id;
        std::memcpy(book.symbol, symbol, sizeof book.symbol);
        book.tick_micros = tick_micros;
        book.lot_units = lot_units;
        book.unit_micros = tick_micros * lot_units;
        instrument_ids.insert(hash_id(id), at);
        symbols.emplace(std::move(text), at);
        return at;
    }
    Session& add_session(u64 id) {
        const Handle at = sessions.take();
        Session& session = sessions[at];
        session.session_id = id;
        session.last_no = 0;
        session.kept = 0;
        session_ids.insert(hash_id(id), at);
        return session;
    }

    // Keep an accepted order that is to rest, and file it under its ids.
    Handle file(const Order& order) {
        const Handle at = orders.take();
        while (links.end() <= at) links.take();
        orders[at] = order;
        Account& account = accounts[order.account];
        OrderLinks& link = links[at];
        link.account_next = account.orders;
        link.account_previous = kNone;
        if (account.orders != kNone) links[account.orders].account_previous = at;
        account.orders = at;
        ++account.live;
        by_order_id.insert(hash_id(order.order_id), at);
        if (order.client_order_id != 0) by_client_id.insert(hash_pair(account.account, order.client_order_id), at);
        return at;
    }

    // Drop an order that has left its level; its client id is free again.
    void forget(Handle at) {
        const Order& order = orders[at];
        const OrderLinks link = links[at];
        Account& account = accounts[order.account];
        if (link.account_previous != kNone) {
            links[link.account_previous].account_next = link.account_next;
        } else {
            account.orders = link.account_next;
        }
        if (link.account_next != kNone) links[link.account_next].account_previous = link.account_previous;
        --account.live;
        by_order_id.erase(hash_id(order.order_id), at);
        if (order.client_order_id != 0) by_client_id.erase(hash_pair(account.account, order.client_order_id), at);
        orders.give_back(at);
    }

    // Bind what `lots` of a resting order need; negative lots release it.
    void reserve(const Order& order, i64 lots) {
        Account& account = accounts[order.account];
        const i64 value = order.price * lots * books[order.book].unit_micros;
        if (order.side == side::BUY) {
            account.reserved += value;
        } else {
            account.receivable += value;
            positions[order.position].reserved += lots;
        }
    }

    Half& own(const Order& order) { return books[order.book].halves[order.side == side::BUY ? 0 : 1]; }

    // Put a filed order behind the others of its price, and bind what it needs.
    void place(Handle at) {
        Order& order = orders[at];
        Half& half = own(order);
        Handle& slot = half.index.slot(nodes, order.price);
        if (slot == kNone) {
            slot = levels.take();
            levels[slot] = {order.price, 0, kNone, kNone, 0, 0};
            if (half.best == kNone || is_better(order.side, order.price, levels[half.best].price)) half.best = slot;
        }
        order.level = slot;
        Level& level = levels[slot];
        OrderLinks& link = links[at];
        link.next = kNone;
        link.previous = level.tail;
        if (level.tail != kNone) {
            links[level.tail].next = at;
        } else {
            level.head = at;
        }
        level.tail = at;
        level.quantity += order.leaves;
        ++level.orders;
        reserve(order, order.leaves);
    }

    // Take a resting order out of its level and release what it bound; its open lots stay readable.
    void displace(Handle at) {
        Order& order = orders[at];
        Level& level = levels[order.level];
        const OrderLinks link = links[at];
        if (link.previous != kNone) {
            links[link.previous].next = link.next;
        } else {
            level.head = link.next;
        }
        if (link.next != kNone) {
            links[link.next].previous = link.previous;
        } else {
            level.tail = link.previous;
        }
        level.quantity -= order.leaves;
        if (--level.orders == 0) drop(own(order), order.side, order.level);
        order.level = kNone;
        reserve(order, -order.leaves);
    }

    // Remove an empty level.
    void drop(Half& half, u8 side, Handle at) {
        const i64 price = levels[at].price;
        half.index.erase(nodes, price);
        levels.give_back(at);
        if (half.best == at) half.best = half.index.next(nodes, price, side == side::SELL);
    }

    // The level behind this one in priority.
    Handle worse(const Half& half, u8 side, Handle at) const {
        return half.index.next(nodes, levels[at].price, side == side::SELL);
    }

    static bool is_better(u8 side, i64 price, i64 than) { return side == side::BUY ? price > than : price < than; }

private:
    Handle add_position(Handle account, Handle book) {
        const Handle at = positions.take();
        positions[at] = {account, book, 0, 0};
        position_ids.insert(hash_pair(account, book), at);
        return at;
    }
};

}  // namespace lockstep
