// Everything the engine knows between two commands, in pools; the one place where an order enters and leaves books,
// lists and maps. What orders stand among (accounts, books, sessions) is in `registry.hpp`.
#pragma once

#include <algorithm>
#include <set>

#include "lockstep/bookmarks.hpp"
#include "lockstep/registry.hpp"

namespace lockstep {

class State : public Registry {
public:
    explicit State(const Sizes& sizes) : Registry(sizes), by_order_id(sizes.orders), by_client_id(sizes.orders) {
        orders.reserve(sizes.orders);
        links.reserve(sizes.orders);
        levels.reserve(sizes.levels);
        nodes.reserve(sizes.levels / 16);
        draft_ = blank_order();
    }

    Pool<Order, 14> orders;
    Pool<OrderLinks, 14> links;  // by the order's handle
    Pool<Level, 12> levels;
    PriceNodes nodes;
    IdMap by_order_id;
    IdMap by_client_id;
    std::map<std::pair<i64, u64>, Handle> expiries;  // live GTD orders, by (expiry, exchange id)
    u128 fees = 0;  // all that were ever paid, in micros
    std::map<u64, Child> children;                // orders that wait for their parent, by order id
    std::map<u64, std::vector<u64>> families;     // ids of the children of a live parent, by its id
    std::set<u64> orphans;                        // those whose parent has ended, still to be looked at
    std::set<u64> ready;                          // those that wait for nothing any more: in books that trade
    std::vector<Handle> touched;                  // banded books to be looked at when the command is done with
    bool due = false;                             // something of these may be: `endings.hpp`
    u64 last_queue_no = 0;
    Bookmarks bookmarks;  // of listings; decides nothing

    u64 last_seq = 0;
    i64 last_timestamp_ns = 0;

    Handle find_order(u64 id) const {
        return by_order_id.find(hash_id(id), [&](Handle at) { return orders[at].order_id == id; });
    }
    // Client id 0 means none, so no order is ever found under it.
    [[gnu::always_inline]] Handle find_client_order(Handle account, u64 id) const {
        return find_client_order(account, id, hash_pair(accounts[account].account, id));
    }
    [[gnu::always_inline]] Handle find_client_order(Handle account, u64 id, u32 hash) const {
        if (id == 0) return kNone;
        return by_client_id.find(hash, [&](Handle at) {
            return orders[at].client_order_id == id && orders[at].account == account;
        });
    }
    // The record that orders are written to before they are accepted. Nothing knows of it until it is filed.
    Order& draft() { return orders[draft_]; }

    // What an order's handles name, looked up once for all that is done to it.
    struct Home {
        Account& account;
        Position& position;
        Book& book;

        Half& half(const Order& order) const { return book.halves[order.side - side::BUY]; }
    };
    Home home_of(const Order& order) { return {accounts[order.account], positions[order.position], books[order.book]}; }

    // Keep the draft, which is to rest or wait, and file it under its ids.
    Handle file() {
        const Home home = home_of(draft());
        const Handle at = file(home, hash_pair(home.account.account, draft().client_order_id));
        if ((orders[at].flags & order_flag::CANCEL_ON_HALT) != 0) [[unlikely]] {
            orders[at].marked |= kEndsAtHalt;
            ++waiting[orders[at].book]->end_at_halt;
        }
        return at;
    }
    [[gnu::always_inline]] Handle file(const Home& home, u32 client_hash) {
        const Handle at = std::exchange(draft_, blank_order());
        const Order& order = orders[at];
        Account& account = home.account;
        const Handle newest = account.orders;
        OrderLinks& link = links[at];
        link.account_next = newest;
        link.account_previous = kNone;
        (newest != kNone ? links[newest].account_previous : account.oldest) = at;
        account.orders = at;
        ++account.live;
        ++home.book.live;
        by_order_id.insert(hash_id(order.order_id), at);
        if (order.client_order_id != 0) by_client_id.insert(client_hash, at);
        if (order.tif == tif::GTD) [[unlikely]]
            expiries.emplace(std::pair(order.expire_ns, order.order_id), at);
        return at;
    }

    // Bring the accounts' lists of live orders, which were filed in another order, into that of their ids.
    void sort_account_orders() {
        struct Row {
            Handle account;
            Handle at;
            u64 id;
        };
        std::vector<Row> rows;
        rows.reserve(by_order_id.size());
        for (Handle at = 1; at < orders.end(); ++at) {
            if (orders[at].place != kGone) rows.push_back({orders[at].account, at, orders[at].order_id});
        }
        std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
            return a.account != b.account ? a.account < b.account : a.id < b.id;
        });
        Row before = {};
        for (const Row& row : rows) {
            const bool first = row.account != before.account;
            links[row.at].account_next = first ? kNone : before.at;
            links[row.at].account_previous = kNone;
            (first ? accounts[row.account].oldest : links[before.at].account_previous) = row.at;
            accounts[row.account].orders = row.at;
            before = row;
        }
    }

    // Drop an order that has left its place; its client id is free again.
    void forget(Handle at) { forget(at, home_of(orders[at])); }
    template <bool kMayBeMarked = true>
    [[gnu::always_inline]] void forget(Handle at, const Home& home) {
        Order& order = orders[at];
        const OrderLinks link = links[at];
        Account& account = home.account;
        (link.account_previous != kNone ? links[link.account_previous].account_next : account.orders) =
            link.account_next;
        (link.account_next != kNone ? links[link.account_next].account_previous : account.oldest) =
            link.account_previous;
        if (kMayBeMarked && order.marked != 0) [[unlikely]]
            unmark(at, link.account_previous);
        --account.live;
        --home.book.live;
        by_order_id.erase(hash_id(order.order_id), at);
        if (order.client_order_id != 0) by_client_id.erase(hash_pair(account.account, order.client_order_id), at);
        if (order.tif == tif::GTD) [[unlikely]]
            expiries.erase({order.expire_ns, order.order_id});
        order.place = kGone;
        orders.give_back(at);
    }

    // Bind what `lots` of a live order need; negative lots release it.
    void reserve(const Order& order, i64 lots) { reserve(order, lots, home_of(order)); }
    static void reserve(const Order& order, i64 lots, const Home& home) {
        const i64 value = order.lot_micros * lots;
        if (order.side == side::BUY) {
            home.account.reserved += value;
            home.position.buying += lots;
        } else {
            home.account.receivable += value;
            home.position.reserved += lots;
        }
    }

    // Something of a book's orders or phase has changed: if it has bands, they are looked at when the command is done with.
    void touch(Handle number) {
        if (!books[number].is_banded() || std::find(touched.begin(), touched.end(), number) != touched.end()) return;
        touched.push_back(number);
        due = true;
    }
    // The one of the lowest instrument id, which is looked at now; kNone: there is none.
    Handle next_touched() {
        if (touched.empty()) return kNone;
        const auto lowest = std::min_element(touched.begin(), touched.end(), [this](Handle a, Handle b) {
            return books[a].instrument < books[b].instrument;
        });
        const Handle found = *lowest;
        touched.erase(lowest);
        return found;
    }
    // A book has bands from now on: what becomes of its orders is of interest.
    void watch(Handle number) {
        for (Handle at = 1; at < orders.end(); ++at) {
            if (orders[at].place != kGone && orders[at].book == number) orders[at].marked |= kIsWatched;
        }
    }

    // Put a filed order behind the others of its price; what it needs is bound already.
    void join(Handle at) { join(at, home_of(orders[at])); }
    [[gnu::always_inline]] void join(Handle at, const Home& home) {
        Order& order = orders[at];
        Half& half = home.half(order);
        const Handle where = level_at(half, order.side, order.held);
        order.level = where;
        order.place = kInBook;
        Level& level = levels[where];
        append(level.queues[order.is_hidden() ? 1 : 0], at);
        level.quantity += order.leaves;
        ++level.orders;
        if (order.is_unseen()) [[unlikely]] {
            ++half.unseen;
            if (order.display != 0) order.show_peak();
        }
    }
    // The same, and bind what it needs.
    void place(Handle at) { place(at, home_of(orders[at])); }
    [[gnu::always_inline]] void place(Handle at, const Home& home) {
        join(at, home);
        reserve(orders[at], orders[at].leaves, home);
    }

    // Let a filed order wait outside the book, and bind what it needs.
    void wait(Handle at, Place where) {
        orders[at].place = where;
        if (where == kWaitsForStop) {
            add_stop(at);
        } else {
            orders[at].queue_no = ++last_queue_no;
            waiting[orders[at].book]->for_close.emplace(orders[at].queue_no, at);
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
    void unlink(Handle at) { unlink(at, home_of(orders[at])); }
    [[gnu::always_inline]] void unlink(Handle at, const Home& home) {
        Order& order = orders[at];
        Level& level = levels[order.level];
        Half& half = home.half(order);
        if (order.is_unseen()) [[unlikely]]
            --half.unseen;
        order.shown = 0;
        if (--level.orders == 0) {
            drop(half, order.level);
        } else {
            detach(level.queues[order.is_hidden() ? 1 : 0], at);
            level.quantity -= order.leaves;
        }
        order.level = kNone;
    }

    // Take a live order out of its place and release what it bound; its open lots stay readable.
    void displace(Handle at) { displace(at, home_of(orders[at])); }
    [[gnu::always_inline]] void displace(Handle at, const Home& home) {
        Order& order = orders[at];
        if (order.place == kInBook) [[likely]] {
            unlink(at, home);
        } else if (order.place == kWaitsForStop) {
            remove_stop(at);
        } else if (order.place == kWaitsForParent) {
            return leave_parent(at);  // nothing is bound yet
        } else {
            waiting[order.book]->for_close.erase(order.queue_no);
        }
        reserve(order, -order.leaves, home);
    }

    // Lower a resting order's open lots to `leaves` (> 0) without moving it; what it bound stays.
    void reduce(Order& order, i64 leaves) {
        levels[order.level].quantity -= order.leaves - leaves;
        order.leaves = leaves;
        if (order.shown > leaves) order.shown = static_cast<i32>(leaves);
    }

    // An iceberg's peak is used up: it shows a new one, behind the others.
    void renew_peak(Handle at) {
        Order& order = orders[at];
        order.show_peak();
        Queue& queue = levels[order.level].queues[0];
        detach(queue, at);
        append(queue, at);
    }

    // Put an order of the book among the stops, too; until it is forgotten, or `leave_stops`.
    void join_stops(Handle at) {
        add_stop(at);
        orders[at].marked |= kHasStop;
    }
    void leave_stops(Handle at) {
        if ((orders[at].marked & kHasStop) == 0) return;
        remove_stop(at);
        orders[at].marked &= static_cast<u8>(~kHasStop);
    }

    // A filed order waits for its parent's end. It binds nothing; `traded` is what the parent has traded since it came.
    void wait_for_parent(Handle at, Handle parent, i64 traded) {
        Order& order = orders[at];
        order.place = kWaitsForParent;
        ++accounts[order.account].children;
        waiting[order.book]->for_parent.emplace(order.order_id, at);
        if (parent == kNone) {
            children.emplace(order.order_id, Child{at, 0, traded});
            release(order);
            return;
        }
        Order& one = orders[parent];
        children.emplace(order.order_id, Child{at, one.order_id, traded - (one.quantity - one.leaves)});
        families[one.order_id].push_back(order.order_id);
        one.marked |= kIsParent;
    }
    // Lots that the parent of a waiting order has traded since that came.
    i64 traded_by_parent(const Child& child) const {
        if (child.parent_id == 0) return child.lots;
        const Order& parent = orders[find_order(child.parent_id)];
        return child.lots + parent.quantity - parent.leaves;
    }
    std::size_t children_of(u64 order_id) const {
        const auto family = families.find(order_id);
        return family != families.end() ? family->second.size() : 0;
    }
    // A child's parent has ended, and it has been looked at: it goes as soon as its instrument trades.
    void release(const Order& order) {
        waiting[order.book]->released.insert(order.order_id);
        if (books[order.book].phase == phase::CONTINUOUS) ready.insert(order.order_id);
    }
    // The phase of a book has changed.
    void look_at_released(Handle book) {
        due = true;
        for (const u64 id : waiting[book]->released) {
            if (books[book].phase == phase::CONTINUOUS) {
                ready.insert(id);
            } else {
                ready.erase(id);
            }
        }
    }
    // `quantity - leaves` of an order changes by so much without a trade.
    void discount(const Order& parent, i64 lots) {
        if ((parent.marked & kIsParent) == 0) return;
        for (const u64 child : families.at(parent.order_id)) children.at(child).lots -= lots;
    }

    static bool is_better(u8 side, i64 price, i64 than) { return side == side::BUY ? price > than : price < than; }

private:
    Handle draft_ = kNone;

    void leave_parent(Handle at) {
        const Order& order = orders[at];
        --accounts[order.account].children;
        waiting[order.book]->for_parent.erase(order.order_id);
        waiting[order.book]->released.erase(order.order_id);
        ready.erase(order.order_id);
        orphans.erase(order.order_id);
        const auto child = children.find(order.order_id);
        if (child->second.parent_id != 0) {
            const auto family = families.find(child->second.parent_id);
            std::erase(family->second, order.order_id);
            if (family->second.empty()) {
                orders[find_order(child->second.parent_id)].marked &= static_cast<u8>(~kIsParent);
                families.erase(family);
            }
        }
        children.erase(child);
    }
    // A parent has ended.
    void orphan(Handle at) {
        const Order& order = orders[at];
        const auto family = families.find(order.order_id);
        for (const u64 id : family->second) {
            Child& child = children.at(id);
            child = {child.at, 0, child.lots + order.quantity - order.leaves};
        }
        orphans.insert(family->second.begin(), family->second.end());
        families.erase(family);
        due = true;
    }
    // A marked order is forgotten; `newer` is the next one of its account.
    [[gnu::noinline]] void unmark(Handle at, Handle newer) {
        leave_stops(at);
        if ((orders[at].marked & kIsParent) != 0) orphan(at);
        if ((orders[at].marked & kIsWatched) != 0) touch(orders[at].book);
        if ((orders[at].marked & kEndsAtHalt) != 0) --waiting[orders[at].book]->end_at_halt;
        const bool bookmarked = (orders[at].marked & kBookmarked) != 0;
        orders[at].marked = 0;
        if (bookmarked && bookmarks.move(at, newer) && newer != kNone) orders[newer].marked |= kBookmarked;
    }

    // The level at a price, made if there is none.
    [[gnu::always_inline]] Handle level_at(Half& half, u8 side, i64 price) {
        Handle leaf = kNone;
        Handle& slot = half.index.slot(nodes, price, leaf);
        if (slot != kNone) return slot;
        const Handle at = slot = levels.take();
        Handle better = kNone;
        Handle* behind = &half.best;
        if (*behind != kNone && !is_better(side, price, levels[*behind].price)) {
            better = PriceIndex::next(nodes, leaf, price, side == side::BUY);
            behind = &levels[better].worse;
        }
        levels[at] = {price, 0, {}, 0, better, *behind, leaf};
        if (*behind != kNone) levels[*behind].better = at;
        *behind = at;
        return at;
    }
    // Remove an empty level.
    [[gnu::always_inline]] void drop(Half& half, Handle at) {
        const Level& level = levels[at];
        (level.better != kNone ? levels[level.better].worse : half.best) = level.worse;
        if (level.worse != kNone) levels[level.worse].better = level.better;
        half.index.erase(nodes, level.leaf, level.price);
        levels.give_back(at);
    }

    [[gnu::always_inline]] Handle blank_order() {
        const Handle at = orders.take();
        if (links.end() <= at) [[unlikely]]
            links.take();
        orders[at].place = kGone;
        return at;
    }
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
};

}  // namespace lockstep
