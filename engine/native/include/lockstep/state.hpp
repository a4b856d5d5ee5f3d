// Everything the engine knows between two commands: accounts, sessions, books and resting orders, in pools.
//
// Records point to each other by handle. What a command touches most lies together: an order's first cache line is
// what a trade needs, and the links of all lists an order is in are 16 bytes apart from it, four orders to a line.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "lockstep/codes.hpp"
#include "lockstep/id_map.hpp"
#include "lockstep/price_index.hpp"

namespace lockstep {

// Where a live order is; `kGone` marks records that hold none.
enum Place : u8 { kInBook = 0, kWaitsForStop = 1, kWaitsForClose = 2, kGone = 255 };

// An order from its acceptance on. It is live while it rests in a level or waits.
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
    u8 place;
    u8 unused[2];
    // Second line.
    i64 lot_micros;  // what one lot reserves while the order is live (buy), or brings in at the least (sell)
    i64 quantity;
    i64 display;  // iceberg: the size of a peak
    i64 shown;    // iceberg in the book: what is left of the present peak
    i64 expire_ns;
    i64 stop;
    i64 trail;
    i64 unused2;

    bool is_hidden() const { return (flags & order_flag::HIDDEN) != 0; }
    bool is_unseen() const { return display != 0 || is_hidden(); }
};
static_assert(sizeof(Order) == 128);

// Neighbours in the level's queue and in the account's list of live orders.
struct OrderLinks {
    Handle next;
    Handle previous;
    Handle account_next;
    Handle account_previous;
};

struct Queue {
    Handle head;
    Handle tail;
};

// All orders at one price, first come first served: queues[0] are the displayed ones, queues[1] the hidden ones, which
// come after all of those. `quantity` is the sum of all open lots, never 0.
struct Level {
    i64 price;
    i64 quantity;
    Queue queues[2];
    u32 orders;
    u32 unused;

    Handle front() const { return queues[0].head != kNone ? queues[0].head : queues[1].head; }
};

struct Half {
    PriceIndex index;
    Handle best = kNone;  // the level at the best price
};

// One instrument's market. `halves[0]` are the bids, `halves[1]` the asks; in CONTINUOUS they are never crossed
// between two commands.
struct Book {
    u32 instrument;
    u32 fee_ppm;      // the greater of the two rates
    i64 unit_micros;  // worth of one lot at one tick
    i64 last;         // price of the latest trade, 0 before the first
    i64 reference;
    Half halves[2];
    u8 phase;
    u8 next_phase;
    u8 breaker_phase;
    u8 has_band;  // band_ppm is set
    u32 maker_fee_ppm;
    u32 taker_fee_ppm;
    u32 band_ppm;
    u32 collar_ppm;
    u32 breaker_ppm;
    u32 live;   // orders that rest or wait
    u32 stops;  // orders that wait for a stop price
    i64 until_ns;
    i64 breaker_window_ns;
    i64 breaker_pause_ns;
    i64 window_start_ns;  // of the breaker's open window
    i64 window_price;     // 0: none is open
    i64 tick_micros;
    i64 lot_units;
    char symbol[32];

    void set_fees(u32 maker_ppm, u32 taker_ppm) {
        maker_fee_ppm = maker_ppm;
        taker_fee_ppm = taker_ppm;
        fee_ppm = maker_ppm > taker_ppm ? maker_ppm : taker_ppm;
    }
};

// Orders outside the book of one instrument, in the order in which they are set off.
struct Waiting {
    using ByStop = std::map<std::pair<i64, u64>, Handle>;  // buys by (stop, id), sells by (-stop, id)
    ByStop stops[2];
    std::map<u64, Handle> trailing;
    std::map<u64, Handle> for_close;
};

// Lots held of one instrument, and what they cost. `reserved` and `buying` are the open lots of the account's live
// sells and buys. `cost` and `realised` decide nothing.
struct Position {
    Handle account;
    Handle book;
    i64 quantity;
    i64 reserved;
    i64 buying;
    i64 cost;
    i64 realised;

    // Book a purchase (positive lots) or sale (negative) for `value` micros.
    void trade(i64 lots, i64 value) {
        const i64 held = quantity;
        quantity = held + lots;
        if (held == 0 || (held > 0) == (lots > 0)) {
            if (__builtin_add_overflow(cost, value, &cost)) cost = kI64Max;
            return;
        }
        const i64 size = magnitude(lots);
        const i64 had = magnitude(held);
        const i64 closed = size < had ? size : had;
        const i64 out = share(cost, closed, had);
        const i64 part = share(value, closed, size);
        const i128 profit = i128{realised} + (lots < 0 ? i128{part} - out : i128{out} - part);
        realised = static_cast<i64>(profit > kI64Max ? kI64Max : profit < -kI64Max ? -kI64Max : profit);
        cost = size <= had ? cost - out : value - part;
    }
    // Set the lots without a trade: what goes takes its share of the cost along, what comes has cost nothing.
    void adjust(i64 after) {
        const i64 held = quantity;
        quantity = after;
        if (held == 0 || after == 0 || (held > 0) != (after > 0)) {
            cost = 0;
        } else if (magnitude(after) < magnitude(held)) {
            cost -= share(cost, magnitude(held) - magnitude(after), magnitude(held));
        }
    }
    // floor(whole * part / of); all at least 0, part <= of.
    static i64 share(i64 whole, i64 part, i64 of) {
        if (part == of) return whole;
        i64 product = 0;
        if (!__builtin_mul_overflow(whole, part, &product)) return product / of;
        return static_cast<i64>(i128{whole} * part / of);
    }
    static i64 magnitude(i64 lots) { return lots < 0 ? -lots : lots; }
};

// Pre-trade limits (0 is none) and the counters that they are held against. Counters exist while a limit is set.
struct Limits {
    static constexpr i64 kDayNs = 86'400'000'000'000;
    static constexpr i64 kSecondNs = 1'000'000'000;

    i64 max_order_lots;
    i64 max_order_micros;
    i64 max_position_lots;
    i64 max_orders_per_day;
    i64 orders_per_second;
    i64 burst_orders;
    i64 max_orders_per_trade;
    i64 day;
    i64 day_orders;
    i64 day_trades;
    i64 tat_ns;

    static i64 day_of(i64 now_ns) { return now_ns / kDayNs - (now_ns % kDayNs < 0 ? 1 : 0); }

    // Why one more order is too many; counts nothing.
    Code count_refusal(i64 now_ns) const {
        const bool today = day_of(now_ns) == day;
        const i64 orders = today ? day_orders : 0;
        const i64 trades = today ? day_trades : 0;
        if (max_orders_per_day != 0 && orders >= max_orders_per_day) return code::DAILY_ORDER_LIMIT;
        if (orders_per_second != 0 &&
            i128{tat_ns} - now_ns > i128{burst_orders - 1} * (kSecondNs / orders_per_second)) {
            return code::ORDER_RATE;
        }
        if (max_orders_per_trade != 0 && orders + 1 > i128{max_orders_per_trade} * (trades > 1 ? trades : 1)) {
            return code::ORDER_TO_TRADE_RATIO;
        }
        return code::OK;
    }
    void count_order(i64 now_ns) {
        roll(now_ns);
        ++day_orders;
        if (orders_per_second != 0) tat_ns = (tat_ns > now_ns ? tat_ns : now_ns) + kSecondNs / orders_per_second;
    }
    void count_trade(i64 now_ns) {
        roll(now_ns);
        ++day_trades;
    }

private:
    void roll(i64 now_ns) {
        if (day_of(now_ns) == day) return;
        day = day_of(now_ns);
        day_orders = day_trades = 0;
    }
};

// `reserved` is bound by live buys, `receivable` is the worth of live sells (both micros).
struct Account {
    u32 account;
    u32 flags;
    i64 cash;
    i64 reserved;
    i64 receivable;
    Handle orders;  // list of live orders
    u32 live;       // their number
    u8 status;
    bool is_limited;  // `limits` are in force
    u8 unused[6];
    char name[32];
    Limits limits;

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

    Pool<Order, 14> orders;
    Pool<OrderLinks, 14> links;  // by the order's handle
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

    // By the book's handle; and live GTD orders by (expiry, exchange id).
    std::vector<std::unique_ptr<Waiting>> waiting;
    std::map<std::pair<i64, u64>, Handle> expiries;
    u128 fees = 0;  // all that were ever paid, in micros

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
        book.phase = phase::CONTINUOUS;
        waiting.resize(at + std::size_t{1});
        waiting[at] = std::make_unique<Waiting>();
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

    // Keep an accepted order that is to rest or wait, and file it under its ids.
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
        ++books[order.book].live;
        by_order_id.insert(hash_id(order.order_id), at);
        if (order.client_order_id != 0) by_client_id.insert(hash_pair(account.account, order.client_order_id), at);
        if (order.tif == tif::GTD) expiries.emplace(std::pair(order.expire_ns, order.order_id), at);
        return at;
    }

    // Drop an order that has left its place; its client id is free again.
    void forget(Handle at) {
        Order& order = orders[at];
        const OrderLinks link = links[at];
        Account& account = accounts[order.account];
        if (link.account_previous != kNone) {
            links[link.account_previous].account_next = link.account_next;
        } else {
            account.orders = link.account_next;
        }
        if (link.account_next != kNone) links[link.account_next].account_previous = link.account_previous;
        --account.live;
        --books[order.book].live;
        by_order_id.erase(hash_id(order.order_id), at);
        if (order.client_order_id != 0) by_client_id.erase(hash_pair(account.account, order.client_order_id), at);
        if (order.tif == tif::GTD) expiries.erase({order.expire_ns, order.order_id});
        order.place = kGone;
        orders.give_back(at);
    }

    // Bind what `lots` of a live order need; negative lots release it.
    void reserve(const Order& order, i64 lots) {
        Account& account = accounts[order.account];
        Position& position = positions[order.position];
        const i64 value = order.lot_micros * lots;
        if (order.side == side::BUY) {
            account.reserved += value;
            position.buying += lots;
        } else {
            account.receivable += value;
            position.reserved += lots;
        }
    }

    Half& own(const Order& order) { return books[order.book].halves[order.side == side::BUY ? 0 : 1]; }

    // Put a filed order behind the others of its price; what it needs is bound already.
    void join(Handle at) {
        Order& order = orders[at];
        Half& half = own(order);
        Handle& slot = half.index.slot(nodes, order.price);
        if (slot == kNone) {
            slot = levels.take();
            levels[slot] = {order.price, 0, {}, 0, 0};
            if (half.best == kNone || is_better(order.side, order.price, levels[half.best].price)) half.best = slot;
        }
        order.level = slot;
        order.place = kInBook;
        Level& level = levels[slot];
        append(level.queues[order.is_hidden() ? 1 : 0], at);
        level.quantity += order.leaves;
        ++level.orders;
        if (order.display != 0) order.shown = order.display < order.leaves ? order.display : order.leaves;
    }
    // The same, and bind what it needs.
    void place(Handle at) {
        join(at);
        reserve(orders[at], orders[at].leaves);
    }

    // Let a filed order wait outside the book, and bind what it needs.
    void wait(Handle at, Place where) {
        orders[at].place = where;
        if (where == kWaitsForStop) {
            add_stop(at);
        } else {
            waiting[orders[at].book]->for_close.emplace(orders[at].order_id, at);
        }
        reserve(orders[at], orders[at].leaves);
    }
    void add_stop(Handle at) {
        const Order& order = orders[at];
        Waiting& outside = *waiting[order.book];
        outside.stops[order.side - 1].emplace(stop_key(order), at);
        if (order.trail != 0) outside.trailing.emplace(order.order_id, at);
        ++books[order.book].stops;
    }
    void remove_stop(Handle at) {
        const Order& order = orders[at];
        Waiting& outside = *waiting[order.book];
        outside.stops[order.side - 1].erase(stop_key(order));
        if (order.trail != 0) outside.trailing.erase(order.order_id);
        --books[order.book].stops;
    }

    // Take an order out of its level; its open lots and what it bound stay.
    void unlink(Handle at) {
        Order& order = orders[at];
        Level& level = levels[order.level];
        detach(level.queues[order.is_hidden() ? 1 : 0], at);
        level.quantity -= order.leaves;
        order.shown = 0;
        if (--level.orders == 0) drop(own(order), order.side, order.level);
        order.level = kNone;
    }

    // Take a live order out of its place and release what it bound; its open lots stay readable.
    void displace(Handle at) {
        Order& order = orders[at];
        if (order.place == kInBook) {
            unlink(at);
        } else if (order.place == kWaitsForStop) {
            remove_stop(at);
        } else {
            waiting[order.book]->for_close.erase(order.order_id);
        }
        reserve(order, -order.leaves);
    }

    // Lower a resting order's open lots to `leaves` (> 0) without moving it; what it bound stays.
    void reduce(Order& order, i64 leaves) {
        levels[order.level].quantity -= order.leaves - leaves;
        order.leaves = leaves;
        if (order.shown > leaves) order.shown = leaves;
    }

    // An iceberg's peak is used up: it shows a new one, behind the others.
    void renew_peak(Handle at) {
        Order& order = orders[at];
        order.shown = order.display < order.leaves ? order.display : order.leaves;
        Queue& queue = levels[order.level].queues[0];
        detach(queue, at);
        append(queue, at);
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
    static std::pair<i64, u64> stop_key(const Order& order) {
        return {order.side == side::BUY ? order.stop : -order.stop, order.order_id};
    }
    void append(Queue& queue, Handle at) {
        OrderLinks& link = links[at];
        link.next = kNone;
        link.previous = queue.tail;
        if (queue.tail != kNone) {
            links[queue.tail].next = at;
        } else {
            queue.head = at;
        }
        queue.tail = at;
    }
    void detach(Queue& queue, Handle at) {
        const OrderLinks link = links[at];
        if (link.previous != kNone) {
            links[link.previous].next = link.next;
        } else {
            queue.head = link.next;
        }
        if (link.next != kNone) {
            links[link.next].previous = link.previous;
        } else {
            queue.tail = link.previous;
        }
    }
    Handle add_position(Handle account, Handle book) {
        const Handle at = positions.take();
        positions[at] = {account, book, 0, 0, 0, 0, 0};
        position_ids.insert(hash_pair(account, book), at);
        return at;
    }
};

}  // namespace lockstep
