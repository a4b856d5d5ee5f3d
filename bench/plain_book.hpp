// A limit order book as it is first written: price levels in `std::map`, queues in `std::list`, orders by id in
// `std::unordered_map`. Price-time priority; new, cancel, replace, IOC; trades go to a callback.
//
// It is what the native engine is measured beside (`bare_flows.cpp`), and part of nothing else. Its rules are those of
// plain limit orders in `docs/engine.md`: a trade is at the resting order's price, an id that is live is not taken twice,
// and a replace keeps its place only if it asks for less at the same price.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <unordered_map>

namespace plain {

enum class Side : std::uint8_t { buy, sell };

struct Trade {
    std::int64_t price;
    std::int64_t quantity;
    std::uint64_t maker;  // id of the resting order
    std::uint64_t taker;
    std::int64_t maker_left;  // what is open of each after the trade
    std::int64_t taker_left;

    friend bool operator==(const Trade&, const Trade&) = default;
};

// `OnTrade` is called with each `Trade`.
template <class OnTrade>
class Book {
public:
    // Orders are expected to be at most `expected` at once; more are taken, too.
    Book(std::size_t expected, OnTrade on_trade) : on_trade_(on_trade) { orders_.reserve(expected); }

    // False if an order of this id is live.
    bool add(std::uint64_t id, Side side, std::int64_t price, std::int64_t quantity, bool ioc) {
        if (orders_.contains(id)) return false;
        enter({id, price, quantity, side, {}}, ioc);
        return true;
    }

    // False if there is no such order.
    bool cancel(std::uint64_t id) {
        const auto found = orders_.find(id);
        if (found == orders_.end()) return false;
        take_off(found->second);
        orders_.erase(found);
        return true;
    }

    // False if there is no such order.
    bool replace(std::uint64_t id, std::int64_t price, std::int64_t quantity) {
        const auto found = orders_.find(id);
        if (found == orders_.end()) return false;
        Order& order = *found->second;
        if (price == order.price && quantity <= order.quantity) {
            order.quantity = quantity;
            return true;
        }
        const Side side = order.side;
        take_off(found->second);
        orders_.erase(found);
        enter({id, price, quantity, side, {}}, false);
        return true;
    }

    std::size_t size() const { return orders_.size(); }

private:
    struct Order;
    using Queue = std::list<Order>;
    using Levels = std::map<std::int64_t, Queue>;  // by `key_of`, so that the best of each side comes first

    struct Order {
        std::uint64_t id;
        std::int64_t price;
        std::int64_t quantity;
        Side side;
        typename Levels::iterator level;  // while it rests
    };

    static std::int64_t key_of(Side side, std::int64_t price) { return side == Side::buy ? -price : price; }
    Levels& own(Side side) { return levels_[static_cast<std::size_t>(side)]; }
    Levels& other(Side side) { return levels_[1 - static_cast<std::size_t>(side)]; }

    void enter(Order order, bool ioc) {
        match(order);
        if (order.quantity == 0 || ioc) return;
        order.level = own(order.side).try_emplace(key_of(order.side, order.price)).first;
        Queue& queue = order.level->second;
        queue.push_back(order);
        orders_.emplace(order.id, std::prev(queue.end()));
    }

    void match(Order& taker) {
        Levels& levels = other(taker.side);
        while (taker.quantity != 0 && !levels.empty()) {
            const auto best = levels.begin();
            Queue& queue = best->second;
            Order& maker = queue.front();
            if (taker.side == Side::buy ? maker.price > taker.price : maker.price < taker.price) return;
            const std::int64_t traded = std::min(taker.quantity, maker.quantity);
            taker.quantity -= traded;
            maker.quantity -= traded;
            on_trade_(Trade{maker.price, traded, maker.id, taker.id, maker.quantity, taker.quantity});
            if (maker.quantity != 0) continue;
            orders_.erase(maker.id);
            queue.pop_front();
            if (queue.empty()) levels.erase(best);
        }
    }

    void take_off(typename Queue::iterator at) {
        const auto level = at->level;
        Levels& levels = own(at->side);
        level->second.erase(at);
        if (level->second.empty()) levels.erase(level);
    }

    Levels levels_[2];
    std::unordered_map<std::uint64_t, typename Queue::iterator> orders_;
    OnTrade on_trade_;
};

}  // namespace plain
