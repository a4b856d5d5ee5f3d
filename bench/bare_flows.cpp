// The native engine beside a plain book (`plain_book.hpp`) on the same bare flows, in one process.
//
//     bare_flows [--rounds N] [--generate COMMANDS RESTING] [FILE ...]   measure: a line of JSON for each flow
//     bare_flows --trades FILE                                           the plain book's trades, a line for each
//     bare_flows --replay engine|plain|none [--generate ...] [FILE ...]  replay once, for a profiler to count
//
// A flow is a file of the flash1 benchmark's messages (kind, side, ioc, quantity, -, order id, price; kind 0 new, 1 cancel,
// 2 modify; side 0 buy, 1 sell), or one that is generated with their mix. Bare means one instrument and one account
// without limits. Both get their own records, made beforehand, and replay them in turn, each time from an empty book;
// the trades must be the same. Time is CPU time of the thread. Instructions are counted by the processor where the system
// lets us (`perf_event_open`), else they are null.

#include <time.h>

#ifdef __linux__
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "lockstep/engine.hpp"
#include "plain_book.hpp"

using namespace lockstep;

namespace {

constexpr std::size_t kBatch = 256;  // commands that the engine is given at a time

enum class Kind : u8 { enter, cancel, replace };

struct Message {
    Kind kind;
    plain::Side side;
    bool ioc;
    i64 quantity;
    u64 id;
    i64 price;
};

struct Flow {
    std::string name;
    std::vector<Message> messages;
    std::vector<Command> commands;  // the same for the engine
    std::size_t most = 0;           // orders that are live at once
};

// What the plain book does with a message; whether it was taken.
template <class Book>
bool apply(Book& book, const Message& message) {
    switch (message.kind) {
        case Kind::enter: return book.add(message.id, message.side, message.price, message.quantity, message.ioc);
        case Kind::cancel: return book.cancel(message.id);
        case Kind::replace: return book.replace(message.id, message.price, message.quantity);
    }
    return false;
}

// A flow with the mix of flash1: new 42 %, IOC 8 %, cancel 41 %, modify 9 %, some of them of orders that are gone. Prices
// walk; most orders stand near the best and live briefly, and most IOC find nobody. About `resting` orders stay.
class Maker {
public:
    explicit Maker(std::size_t resting) : resting_(resting), book_(2 * resting, Follow{*this}) {}

    std::vector<Message> make(std::size_t count) {
        std::vector<Message> messages;
        messages.reserve(count + resting_);
        while (live_.size() < resting_) add(messages, {Kind::enter, any_side(), false, quantity(), ++last_id_, 0}, false);
        while (messages.size() < count + resting_) any(messages);
        return messages;
    }

private:
    struct Follow {
        Maker& maker;
        void operator()(const plain::Trade& trade) const {
            if (trade.maker_left == 0) maker.drop(trade.maker);
            if (trade.taker_left == 0) maker.drop(trade.taker);
        }
    };

    u64 below(u64 top) { return random_() % top; }
    plain::Side any_side() { return below(2) == 0 ? plain::Side::buy : plain::Side::sell; }
    i64 quantity() { return static_cast<i64>(1 + below(100)); }

    void any(std::vector<Message>& messages) {
        if (below(50) == 0) mid_ += static_cast<i64>(below(3)) - 1;
        const bool full = live_.size() >= resting_;
        const u64 draw = below(1000);
        if (draw < 424) {
            add(messages, {Kind::enter, any_side(), false, quantity(), ++last_id_, 0}, full && below(20) == 0);
        } else if (draw < 504) {
            add(messages, {Kind::enter, any_side(), true, quantity(), ++last_id_, 0}, below(100) < (full ? 60 : 15));
        } else if (const u64 id = any_id(); draw < 913) {
            add(messages, {Kind::cancel, plain::Side::buy, false, 0, id, 0}, false);
        } else {
            const auto found = slots_.find(id);
            const plain::Side side = found != slots_.end() ? live_[found->second].side : plain::Side::buy;
            add(messages, {Kind::replace, side, false, quantity(), id, 0}, false);
        }
    }

    u64 any_id() { return live_.empty() || below(100) < 4 ? 1 + below(last_id_) : live_[below(live_.size())].id; }

    // Apply the message to a book of our own, and keep track of what is live.
    void add(std::vector<Message>& messages, Message message, bool crosses) {
        if (message.kind != Kind::cancel) {
            const i64 away = crosses ? -2 : static_cast<i64>(2 + below(1 + below(1 + below(400))));
            message.price = message.side == plain::Side::buy ? mid_ - away : mid_ + away;
        }
        if (message.kind == Kind::enter && !message.ioc) {
            slots_[message.id] = live_.size();
            live_.push_back({message.id, message.side});
        }
        apply(book_, message);
        if (message.kind == Kind::cancel) drop(message.id);
        messages.push_back(message);
    }

    void drop(u64 id) {
        const auto found = slots_.find(id);
        if (found == slots_.end()) return;
        const std::size_t slot = found->second;
        slots_.erase(found);
        if (slot + 1 != live_.size()) {
            live_[slot] = live_.back();
            slots_[live_[slot].id] = slot;
        }
        live_.pop_back();
    }

    struct Live {
        u64 id;
        plain::Side side;
    };

    std::size_t resting_;
    std::mt19937_64 random_{1};
    std::vector<Live> live_;
    std::unordered_map<u64, std::size_t> slots_;  // of live_, by id
    plain::Book<Follow> book_;
    i64 mid_ = 100'000;
    u64 last_id_ = 0;
};

Command admin(u8 kind) {
    Command command = {};
    command.head.kind = kind;
    std::strncpy(command.admin.name, "bare", sizeof command.admin.name);
    return command;
}

// One instrument, and one account that may owe and go short without a limit.
std::vector<Command> market() {
    std::vector<Command> commands = {admin(command_kind::DEFINE_INSTRUMENT), admin(command_kind::DEFINE_ACCOUNT)};
    commands[0].head.instrument = commands[1].head.account = 1;
    commands[0].admin.tick_micros = commands[0].admin.lot_units = 1;
    commands[1].head.flags = account_flag::UNLIMITED_CASH | account_flag::UNLIMITED_POSITIONS;
    return commands;
}

// Numbered commands of one session.
std::vector<Command> commands_of(const std::vector<Message>& messages) {
    constexpr u8 kKinds[] = {command_kind::NEW_ORDER, command_kind::CANCEL, command_kind::REPLACE};
    std::vector<Command> commands;
    commands.reserve(messages.size());
    for (const Message& message : messages) {
        Command& command = commands.emplace_back();
        command = {};
        command.head.kind = kKinds[static_cast<std::size_t>(message.kind)];
        command.head.session_id = command.head.account = command.head.instrument = 1;
        command.head.session_no = commands.size();
        command.head.client_order_id = message.id;
        if (message.kind == Kind::cancel) continue;
        command.order.price_ticks = message.price;
        command.order.quantity_lots = message.quantity;
        if (message.kind == Kind::replace) continue;
        command.head.side = message.side == plain::Side::buy ? side::BUY : side::SELL;
        command.head.order_type = order_type::LIMIT;
        command.head.tif = message.ioc ? tif::IOC : tif::GTC;
    }
    return commands;
}

struct Nothing {
    void operator()(const plain::Trade&) const {}
};

Flow prepared(std::string name, std::vector<Message> messages) {
    Flow flow = {std::move(name), std::move(messages), {}, 0};
    flow.commands = commands_of(flow.messages);
    plain::Book book(0, Nothing{});
    for (const Message& message : flow.messages) {
        apply(book, message);
        flow.most = std::max(flow.most, book.size());
    }
    return flow;
}

Flow generated(std::size_t count, std::size_t resting) {
    return prepared("generated, " + std::to_string(resting) + " resting", Maker(resting).make(count));
}

Flow read(const char* path) {
    std::FILE* file = std::fopen(path, "r");
    if (file == nullptr) throw std::runtime_error(std::string("can't read ") + path);
    std::vector<Message> messages;
    char line[256];
    while (std::fgets(line, sizeof line, file) != nullptr) {
        if (line[0] == '#') continue;
        int kind = 0;
        int side = 0;
        int ioc = 0;
        long long quantity = 0;
        long long seq = 0;
        unsigned long long id = 0;
        long long price = 0;
        const int got = std::sscanf(line, "%d,%d,%d,%lld,%lld,%llu,%lld", &kind, &side, &ioc, &quantity, &seq, &id, &price);
        if (got != 7 || kind < 0 || kind > 2) throw std::runtime_error(std::string("no flow message: ") + line);
        messages.push_back({static_cast<Kind>(kind), side == 0 ? plain::Side::buy : plain::Side::sell, ioc != 0, quantity,
                            id, price});
    }
    std::fclose(file);
    const std::string_view whole = path;
    return prepared(std::string(whole.substr(whole.find_last_of('/') + 1)), std::move(messages));
}

// The parts that are measured. They stay functions of their own, so that a profiler can be told to count them alone.

[[gnu::noinline]] void replay_engine(Engine& engine, const std::vector<Command>& commands, EventBuffer& events) {
    for (std::size_t at = 0; at < commands.size(); at += kBatch) {
        events.clear();
        engine.apply(commands.data() + at, std::min(kBatch, commands.size() - at), engine.state().last_seq + 1, 1, events);
    }
}

template <class Book>
[[gnu::noinline]] void replay_plain(Book& book, const std::vector<Message>& messages) {
    for (const Message& message : messages) apply(book, message);
}

// Instructions of this thread outside the kernel.
class InstructionCounter {
public:
#ifdef __linux__
    InstructionCounter() {
        perf_event_attr wanted = {};
        wanted.size = sizeof wanted;
        wanted.type = PERF_TYPE_HARDWARE;
        wanted.config = PERF_COUNT_HW_INSTRUCTIONS;
        wanted.exclude_kernel = wanted.exclude_hv = 1;
        file_ = static_cast<int>(syscall(SYS_perf_event_open, &wanted, 0, -1, -1, 0));
    }
    ~InstructionCounter() {
        if (file_ >= 0) close(file_);
    }
    std::optional<u64> count() const {
        u64 now = 0;
        if (file_ < 0 || ::read(file_, &now, sizeof now) != sizeof now) return std::nullopt;
        return now;
    }

private:
    int file_ = -1;
#else
    std::optional<u64> count() const { return std::nullopt; }
#endif
};

double cpu_ns() {
    timespec now = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

struct Cost {
    std::vector<double> ns;            // per command, a figure for each round
    std::vector<double> instructions;  // none if they can't be counted
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

template <class Replay>
void measure(const InstructionCounter& counter, std::size_t count, Cost& cost, Replay&& replay) {
    const std::optional<u64> before = counter.count();
    const double start = cpu_ns();
    replay();
    cost.ns.push_back((cpu_ns() - start) / static_cast<double>(count));
    if (!before) return;
    cost.instructions.push_back(static_cast<double>(*counter.count() - *before) / static_cast<double>(count));
}

Sizes sizes_of(const Flow& flow) {
    Sizes sizes;
    sizes.orders = flow.most;
    return sizes;
}

Engine& opened(Engine& engine) {
    EventBuffer events;
    const std::vector<Command> opening = market();
    engine.apply(opening.data(), opening.size(), 1, 1, events);
    return engine;
}

std::vector<plain::Trade> trades_of_engine(const Flow& flow) {
    Engine engine(sizes_of(flow));
    opened(engine);
    std::vector<plain::Trade> trades;
    EventBuffer events;
    for (const Command& command : flow.commands) {
        events.clear();
        engine.apply(&command, 1, engine.state().last_seq + 1, 1, events);
        for (const Event& event : events) {
            if (event.kind != event_kind::TRADE) continue;
            trades.push_back({event.price_ticks, event.quantity_lots, event.maker_client_order_id, event.client_order_id,
                              event.maker_leaves_lots, event.leaves_lots});
        }
    }
    return trades;
}

std::vector<plain::Trade> trades_of_plain(const Flow& flow) {
    std::vector<plain::Trade> trades;
    plain::Book book(flow.most, [&trades](const plain::Trade& trade) { trades.push_back(trade); });
    replay_plain(book, flow.messages);
    return trades;
}

// A round of each that is not counted, then `rounds` in turn.
void measure(const Flow& flow, int rounds) {
    const std::vector<plain::Trade> trades = trades_of_plain(flow);
    if (trades != trades_of_engine(flow)) throw std::runtime_error("the trades of " + flow.name + " are not the same");
    const InstructionCounter counter;
    const std::size_t count = flow.messages.size();
    Cost of_engine;
    Cost of_plain;
    std::size_t resting = 0;
    for (int round = 0; round <= rounds; ++round) {
        if (round == 1) of_engine = of_plain = {};
        {
            Engine engine(sizes_of(flow));
            EventBuffer events;
            opened(engine);
            measure(counter, count, of_engine, [&] { replay_engine(engine, flow.commands, events); });
        }
        u64 traded = 0;
        plain::Book book(flow.most, [&traded](const plain::Trade&) { ++traded; });
        measure(counter, count, of_plain, [&] { replay_plain(book, flow.messages); });
        if (traded != trades.size()) throw std::runtime_error("a round of " + flow.name + " traded otherwise");
        resting = book.size();
    }
    std::printf("{\"flow\": \"%s\", \"commands\": %zu, \"trades\": %zu, \"resting_at_end\": %zu, \"rounds\": %d, ",
                flow.name.c_str(), count, trades.size(), resting, rounds);
    std::printf("\"engine_ns\": %.1f, \"plain_ns\": %.1f, ", median(of_engine.ns), median(of_plain.ns));
    if (of_engine.instructions.empty()) {
        std::printf("\"engine_instructions\": null, \"plain_instructions\": null}\n");
    } else {
        std::printf("\"engine_instructions\": %.1f, \"plain_instructions\": %.1f}\n", median(of_engine.instructions),
                    median(of_plain.instructions));
    }
    std::fflush(stdout);
}

void replay_once(const Flow& flow, std::string_view which) {
    if (which == "engine") {
        Engine engine(sizes_of(flow));
        EventBuffer events;
        replay_engine(opened(engine), flow.commands, events);
    } else if (which == "plain") {
        u64 traded = 0;
        plain::Book book(flow.most, [&traded](const plain::Trade&) { ++traded; });
        replay_plain(book, flow.messages);
    }
}

void print_trades(const Flow& flow) {
    for (const plain::Trade& trade : trades_of_plain(flow)) {
        std::printf("%lld,%lld,%llu,%llu,%lld,%lld\n", static_cast<long long>(trade.price),
                    static_cast<long long>(trade.quantity), static_cast<unsigned long long>(trade.maker),
                    static_cast<unsigned long long>(trade.taker), static_cast<long long>(trade.maker_left),
                    static_cast<long long>(trade.taker_left));
    }
}

}  // namespace

int main(int argc, char** argv) {
    int rounds = 21;
    std::string_view task = "measure";
    std::string_view which;
    std::vector<Flow> flows;
    try {
        for (int at = 1; at < argc; ++at) {
            const std::string_view word = argv[at];
            if (word == "--rounds" && at + 1 < argc) {
                rounds = std::max(1, std::atoi(argv[++at]));
            } else if (word == "--generate" && at + 2 < argc) {
                flows.push_back(generated(std::strtoull(argv[at + 1], nullptr, 10), std::strtoull(argv[at + 2], nullptr, 10)));
                at += 2;
            } else if (word == "--replay" && at + 1 < argc) {
                task = "replay";
                which = argv[++at];
            } else if (word == "--trades") {
                task = "trades";
            } else {
                flows.push_back(read(argv[at]));
            }
        }
        for (const Flow& flow : flows) {
            if (task == "measure") measure(flow, rounds);
            if (task == "replay") replay_once(flow, which);
            if (task == "trades") print_trades(flow);
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bare_flows: %s\n", error.what());
        return 1;
    }
}
