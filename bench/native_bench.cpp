// Commands per second and latency per command of the native core, without Python.
//
//     native_bench [BOOKS [RESTING [COMMANDS]]]
//
// A mixed flow (new / cancel / replace / IOC 50 / 40 / 8 / 2) with 64 funded accounts and all checks on, spread over
// BOOKS instruments that hold about RESTING orders together. The flow is made beforehand. Throughput is the median of
// five runs in batches of 256, by the CPU time of the thread, which other load on the machine does not lengthen;
// latencies are of single-command batches, the clock's own cost (about 20 ns) included.

#include <time.h>

#include <chrono>
#include <cstdio>
#include <random>

#include "lockstep/engine.hpp"

using namespace lockstep;
using Clock = std::chrono::steady_clock;

namespace {

constexpr u32 kAccounts = 64;
constexpr i64 kMid = 100'000;

struct Flow {
    std::vector<Command> opening;  // definitions, funds, and the resting orders
    std::vector<Command> commands;
};

struct Live {
    u32 account;
    u32 instrument;
    u64 client_order_id;
    u8 side;
};

class Maker {
public:
    Maker(u32 books, std::size_t resting) : books_(books), resting_(resting) {}

    Flow make(std::size_t count) {
        Flow flow;
        define(flow.opening);
        for (const Command& command : flow.opening) follow(command);
        while (live_.size() < resting_) follow(flow.opening.emplace_back(new_order(false)));
        flow.commands.reserve(count);
        while (flow.commands.size() < count) follow(flow.commands.emplace_back(any()));
        return flow;
    }

private:
    u64 below(u64 top) { return random_() % top; }

    // Apply the command to an engine of our own, and forget the orders that it filled.
    void follow(const Command& command) {
        events_.clear();
        shadow_.apply(&command, 1, shadow_.state().last_seq + 1, 1, events_);
        for (std::size_t at = 0; at < events_.size(); ++at) {
            const Event& event = events_.data()[at];
            if (event.kind != event_kind::TRADE) continue;
            if (event.maker_leaves_lots == 0) drop(event.maker_client_order_id);
            if (event.leaves_lots == 0) drop(event.client_order_id);
        }
    }

    void drop(u64 client_order_id) {
        const auto found = slots_.find(client_order_id);
        if (found == slots_.end()) return;
        const std::size_t slot = found->second;
        slots_.erase(found);
        if (slot + 1 != live_.size()) {
            live_[slot] = live_.back();
            slots_[live_[slot].client_order_id] = slot;
        }
        live_.pop_back();
    }

    Command admin(u8 kind, u32 account, u32 instrument) {
        Command command = {};
        command.head.kind = kind;
        command.head.account = account;
        command.head.instrument = instrument;
        std::snprintf(command.admin.name, sizeof command.admin.name, "%c%u", account != 0 ? 'a' : 'i',
                      account + instrument);
        return command;
    }

    void define(std::vector<Command>& out) {
        for (u32 book = 1; book <= books_; ++book) {
            out.push_back(admin(command_kind::DEFINE_INSTRUMENT, 0, book));
            out.back().admin.tick_micros = out.back().admin.lot_units = 1;
        }
        for (u32 account = 1; account <= kAccounts; ++account) {
            out.push_back(admin(command_kind::DEFINE_ACCOUNT, account, 0));
            out.push_back(admin(command_kind::ADJUST_CASH, account, 0));
            out.back().admin.amount_micros = 1'000'000'000'000'000;
            for (u32 book = 1; book <= books_; ++book) {
                out.push_back(admin(command_kind::ADJUST_POSITION, account, book));
                out.back().admin.quantity_lots = 1'000'000'000;
            }
        }
    }

    Command numbered(u8 kind) {
        Command command = {};
        command.head.kind = kind;
        command.head.session_id = 1;
        command.head.session_no = ++session_no_;
        return command;
    }

    // Ticks from the mid at which an order rests: dense near it, thinning out.
    i64 away() { return 2 + static_cast<i64>(below(1 + below(1 + below(400)))); }

    Command new_order(bool ioc) {
        Command command = numbered(command_kind::NEW_ORDER);
        command.head.side = static_cast<u8>(1 + below(2));
        command.head.order_type = order_type::LIMIT;
        command.head.tif = ioc ? tif::IOC : tif::GTC;
        command.head.account = static_cast<u32>(1 + below(kAccounts));
        command.head.instrument = static_cast<u32>(1 + below(books_));
        command.head.client_order_id = ++client_order_id_;
        // The book stays about as large as it is: what is not canceled trades.
        const bool crosses = ioc || (live_.size() >= resting_ && below(4) == 0);
        const i64 distance = crosses ? -2 : away();
        command.order.price_ticks = command.head.side == side::BUY ? kMid - distance : kMid + distance;
        command.order.quantity_lots = static_cast<i64>(1 + below(100));
        if (!ioc) {
            slots_[client_order_id_] = live_.size();
            live_.push_back({command.head.account, command.head.instrument, client_order_id_, command.head.side});
        }
        return command;
    }

    Command any() {
        const u64 draw = below(100);
        if (draw < 52 || live_.empty()) return new_order(draw >= 50);
        const Live order = live_[below(live_.size())];
        Command command = numbered(draw < 92 ? command_kind::CANCEL : command_kind::REPLACE);
        command.head.account = order.account;
        command.head.instrument = order.instrument;
        command.head.client_order_id = order.client_order_id;
        if (draw >= 92) {
            command.order.price_ticks = order.side == side::BUY ? kMid - away() : kMid + away();
            command.order.quantity_lots = static_cast<i64>(1 + below(100));
        } else {
            drop(order.client_order_id);
        }
        return command;
    }

    u32 books_;
    std::size_t resting_;
    std::mt19937_64 random_{1};
    std::vector<Live> live_;
    std::unordered_map<u64, std::size_t> slots_;  // of live_, by client id
    Engine shadow_;
    EventBuffer events_;
    u64 session_no_ = 0;
    u64 client_order_id_ = 0;
};

void apply(Engine& engine, const std::vector<Command>& commands, std::size_t batch, EventBuffer& events) {
    for (std::size_t at = 0; at < commands.size(); at += batch) {
        events.clear();
        const std::size_t size = std::min(batch, commands.size() - at);
        engine.apply(commands.data() + at, size, engine.state().last_seq + 1, 1, events);
    }
}

// CPU time of this thread.
double cpu_seconds() {
    timespec now = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double throughput(const Flow& flow, const Sizes& sizes) {
    Engine engine(sizes);
    EventBuffer events;
    apply(engine, flow.opening, 4096, events);
    const double start = cpu_seconds();
    apply(engine, flow.commands, 256, events);
    return static_cast<double>(flow.commands.size()) / (cpu_seconds() - start);
}

std::vector<i64> latencies(const Flow& flow, const Sizes& sizes) {
    Engine engine(sizes);
    EventBuffer events;
    apply(engine, flow.opening, 4096, events);
    std::vector<i64> taken;
    taken.reserve(flow.commands.size());
    u64 seq = engine.state().last_seq;
    for (const Command& command : flow.commands) {
        events.clear();
        const auto start = Clock::now();
        engine.apply(&command, 1, ++seq, 1, events);
        taken.push_back(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count());
    }
    std::sort(taken.begin(), taken.end());
    return taken;
}

}  // namespace

int main(int argc, char** argv) {
    const auto books = static_cast<u32>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1);
    const std::size_t resting = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10'000;
    const std::size_t count = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1'000'000;
    const Flow flow = Maker(books, resting).make(count);
    Sizes sizes;
    sizes.orders = resting + resting / 2;
    sizes.accounts = std::size_t{kAccounts} * (books + 1);
    std::vector<double> rates;
    for (int run = 0; run < 5; ++run) rates.push_back(throughput(flow, sizes));
    std::sort(rates.begin(), rates.end());
    const std::vector<i64> taken = latencies(flow, sizes);
    const auto at = [&](double share) {
        return static_cast<long long>(taken[static_cast<std::size_t>(static_cast<double>(taken.size() - 1) * share)]);
    };
    std::printf(
        "{\"books\": %u, \"resting\": %zu, \"mix\": \"50/40/8/2\", \"commands_per_s\": %.0f, \"ns_p50\": %lld, "
        "\"ns_p99\": %lld, \"ns_p999\": %lld}\n",
        books, resting, rates[rates.size() / 2], at(0.5), at(0.99), at(0.999));
}
