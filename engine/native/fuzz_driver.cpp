// Whatever the commands are, the core neither crashes nor contradicts itself. Input bytes are records (128 bytes each),
// bent a little towards sense so that most get past the first checks; after each input the snapshot must restore to the
// same bytes. Runs under libFuzzer, or by itself:
//
//     native_fuzz [SEED [COMMANDS]]      random commands
//     native_fuzz FILE                   COMMAND records of a file, as they are

#include <cstdio>
#include <fstream>
#include <iterator>

#include "lockstep/queries.hpp"
#include "lockstep/snapshot.hpp"

using namespace lockstep;

namespace {

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "native_fuzz: %s\n", what);
    std::abort();
}

void require(bool condition, const char* what) {
    if (!condition) fail(what);
}

// What must hold between two commands, as far as it can be seen from outside.
void check(const State& state) {
    for (Handle at = 1; at < state.books.end(); ++at) {
        const Book& book = state.books[at];
        const Handle bid = book.halves[0].best;
        const Handle ask = book.halves[1].best;
        const bool crossed = bid != kNone && ask != kNone && state.levels[bid].price >= state.levels[ask].price;
        require(book.phase != phase::CONTINUOUS || !crossed, "a book is crossed");
        if (book.bands_hold()) {
            const Bands& bands = *book.bands;
            require(bid == kNone || state.levels[bid].price <= bands.high, "a bid is above its band");
            require(ask == kNone || state.levels[ask].price >= bands.low, "an offer is below its band");
            require(bands.state == bands::state_now(state, book, bands), "a limit state is not what the book says");
        }
    }
    for (Handle at = 1; at < state.accounts.end(); ++at) {
        const Account& account = state.accounts[at];
        require(account.reserved >= 0 && account.receivable >= 0, "an account has negative reservations");
        require(account.borrows() || account.cash >= account.reserved, "an account can't pay for its orders");
    }
}

// Depth and the queues of its prices speak of the same orders.
void check_queries(const State& state) {
    for (Handle at = 1; at < state.books.end(); ++at) {
        const u32 instrument = state.books[at].instrument;
        for (const u8 side : {u8{side::BUY}, u8{side::SELL}}) {
            u32 unseen = 0;
            for (const auto& level : queries::depth(state, instrument, side)) {
                const queries::Queue queue = queries::queue(state, instrument, side, level.price_ticks);
                i64 lots = 0;
                for (const auto* part : {&queue.orders, &queue.hidden}) {
                    for (const Order* order : *part) {
                        lots += order->leaves;
                        if (order->is_unseen()) ++unseen;
                    }
                }
                require(lots == level.displayed_lots + level.hidden_lots, "depth is not what stands in the queue");
                require(level.displayed_lots >= 0 && level.hidden_lots >= 0, "depth has negative lots");
                require(queue.orders.size() + queue.hidden.size() == level.displayed_orders + level.hidden_orders,
                        "depth counts other orders than the queue");
            }
            require(unseen == state.books[at].halves[side - 1].unseen, "unseen orders are not counted");
        }
    }
}

void round_trip(const Engine& engine) {
    const snapshot::Bytes raw = snapshot::encode(engine.state());
    Engine restored;
    snapshot::restore(restored, raw);
    require(snapshot::encode(restored.state()) == raw, "a restored snapshot is another one");
}

void run(const Command* commands, std::size_t count) {
    Engine engine;
    EventBuffer events;
    constexpr std::size_t kBatch = 16;
    for (std::size_t at = 0; at < count; at += kBatch) {
        const std::size_t size = std::min(kBatch, count - at);
        events.clear();
        engine.apply(commands + at, size, at + 1, static_cast<i64>(at), events);
        require(events.size() >= size, "a command has no event");
        check(engine.state());
    }
    check_queries(engine.state());
    round_trip(engine);
}

#ifndef LOCKSTEP_LIBFUZZER
class Random {
public:
    explicit Random(u64 seed) : state_(seed * 2 + 1) {}
    u64 next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    u64 below(u64 top) { return next() % top; }

private:
    u64 state_;
};

u8 some_kind(Random& random) {
    constexpr u8 kKinds[] = {2,  2,  3,  3,  4,  5,  64, 65, 66, 66,  67,  67,
                             68, 68, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 80, 81, 82, 83, 83, 84, 195, 195, 192};
    if (random.below(100) < 70) return command_kind::NEW_ORDER;
    return kKinds[random.below(std::size(kKinds))];
}

i64 some_number(Random& random) {
    const u64 draw = random.below(100);
    if (draw < 80) return static_cast<i64>(random.below(120));
    const i64 number = static_cast<i64>(random.next() >> (1 + random.below(63)));
    return draw < 90 ? number : -number;
}

// A balance to begin with, most often; sometimes anything.
i64 some_amount(Random& random, u64 top) {
    return random.below(10) == 0 ? some_number(random) : static_cast<i64>(random.below(top));
}

Command some_command(Random& random) {
    Command command = {};
    CommandHead& head = command.head;
    head.kind = some_kind(random);
    head.side = static_cast<u8>(random.below(20) == 0 ? random.below(4) : 1 + random.below(2));
    head.order_type = static_cast<u8>(random.below(3) == 0 ? random.below(7) : 1);
    head.tif = static_cast<u8>(random.below(3) == 0 ? random.below(10) : 2);
    head.stp = static_cast<u8>(random.below(3) == 0 ? random.below(6) : 0);
    head.flags = static_cast<u8>(random.below(6) == 0 ? random.below(17) : 0);
    head.account = static_cast<u32>(1 + random.below(5));
    head.instrument = static_cast<u32>(1 + random.below(3));
    head.client_order_id = random.below(30);
    i64* words = &command.order.price_ticks;
    if (head.kind == command_kind::DEFINE_INSTRUMENT || head.kind == command_kind::DEFINE_ACCOUNT) {
        command.admin.name[0] = static_cast<char>('a' + random.below(6));
        command.admin.tick_micros = some_number(random);
        command.admin.lot_units = some_number(random);
        if (head.kind == command_kind::DEFINE_ACCOUNT) head.flags = static_cast<u8>(random.below(32));
    } else if (head.kind >= kFirstAdmin) {
        for (int at = 0; at < 8; ++at) words[at] = random.below(3) == 0 ? some_number(random) : 0;
        command.admin.quantity_lots = some_amount(random, 10'000);
        command.admin.amount_micros = some_amount(random, 1'000'000);
        if (head.kind == command_kind::SET_PHASE)
            words[0] = static_cast<i64>(random.below(2) == 0 ? 3 : random.below(9));
        if (head.kind == command_kind::SET_ACCOUNT_STATUS) words[0] = static_cast<i64>(random.below(9) / 4);
        if (head.kind == command_kind::SESSION_OPENED || head.kind == command_kind::SESSION_CLOSED) {
            head.order_id = 1;
            head.gateway = static_cast<u16>(1 + random.below(2));
            head.client_order_id = random.below(2) == 0 ? random.below(4) : random.below(400);
        }
        if (head.kind == command_kind::SET_INDEX) {
            command.market.index_weight = static_cast<i64>(random.below(5));
            command.market.close_price_ticks = static_cast<i64>(random.below(60));
        }
        if (head.kind == command_kind::SET_THROTTLE && random.below(4) != 0) {
            const bool is_set = random.below(3) == 0;
            head.instrument = static_cast<u32>(random.below(4));
            command.throttle = {};
            command.throttle.orders_per_second = is_set ? static_cast<i64>(1 + random.below(1'000'000'000)) : 0;
            command.throttle.burst_orders = is_set ? static_cast<i64>(1 + random.below(20)) : 0;
        }
        if (head.kind == command_kind::SET_PRICE_LIMITS && random.below(2) == 0) {
            command.rules = {};
            command.rules.breaker_ppm = static_cast<i64>(1 + random.below(900'000));
            command.rules.breaker_window_ns = static_cast<i64>(1 + random.below(3'000));
            command.rules.breaker_pause_ns = static_cast<i64>(1 + random.below(40));
            command.rules.breaker_phase = random.below(2) == 0 ? phase::HALT : phase::VOLATILITY_AUCTION;
        }
        if (head.kind == command_kind::SET_BANDS && random.below(4) != 0) {
            command.bands = {};
            if (random.below(3) != 0) {
                BandTerms& terms = command.bands;
                for (u32* ppm : {&terms.high_ppm, &terms.middle_ppm, &terms.low_ppm, &terms.step_ppm}) {
                    *ppm = static_cast<u32>(1 + random.below(400'000));
                }
                terms.high_above_ticks = static_cast<i64>(random.below(60));
                terms.low_below_ticks = static_cast<i64>(random.below(30));
                terms.low_most_ticks = static_cast<i64>(random.below(8));
                terms.window_ns = static_cast<i64>(1 + random.below(3'000));
                terms.limit_ns = static_cast<i64>(1 + random.below(100));
                terms.pause_ns = static_cast<i64>(1 + random.below(100));
            }
        }
        if (head.kind == command_kind::SET_BAND_WIDTH && random.below(8) != 0) {
            head.instrument = static_cast<u32>(random.below(4));
            command.setting.value = static_cast<u8>(1 + random.below(2));
            command.setting.reference_price_ticks = static_cast<i64>(random.below(3) == 0 ? random.below(40) : 0);
        }
        if (head.kind == command_kind::SET_LOTS && random.below(4) != 0) {
            command.lots = {};
            if (random.below(3) != 0) {
                LotTerms& terms = command.lots;
                terms.round1_lots = static_cast<u32>(1 + random.below(20));
                terms.round2_lots = static_cast<u32>(random.below(2) * (1 + random.below(9)));
                terms.above2_ticks = terms.round2_lots == 0 ? 0 : static_cast<i64>(1 + random.below(60));
                terms.odd_lots = static_cast<u8>(random.below(4) == 0);
                terms.display = static_cast<u8>(random.below(3));
            }
        }
        if (head.kind == command_kind::SET_RESTRICTIONS && random.below(4) != 0) {
            command.restriction = {};
            RestrictionTerms& terms = command.restriction;
            if (random.below(2) == 0) head.account = Restraints::kEverybody;
            if (random.below(3) != 0) {
                const bool all = head.account == Restraints::kEverybody;
                terms.bars = static_cast<u32>(random.below(3) == 0 ? random.below(all ? 16 : 8) : all ? 8 : 0);
                terms.max_share_ppm = all ? static_cast<u32>(random.below(2) * (1 + random.below(1'000'000))) : 0;
                terms.outstanding_lots = terms.max_share_ppm == 0 ? 0 : static_cast<i64>(1 + random.below(20'000));
                terms.located_lots = all ? 0 : static_cast<i64>(random.below(10'000));
            }
        }
        if (head.kind == command_kind::SET_SHORT_SALES && random.below(4) != 0) {
            command.restriction = {};
            command.restriction.fall_ppm = static_cast<u32>(random.below(2) * random.below(400'000));
            command.restriction.action = static_cast<u8>(random.below(3));
        }
        if (head.kind == command_kind::SET_MARKET_BREAKER) {
            command.market = {};
            command.market.level2_ppm = static_cast<i64>(1 + random.below(500'000));
            command.market.pause_ns = static_cast<i64>(1 + random.below(60));
        }
    } else {
        command.order.price_ticks = 1 + static_cast<i64>(random.below(40));
        command.order.quantity_lots = some_number(random);
        if (head.order_type == order_type::OCO) {
            const i64 away = static_cast<i64>(random.below(12)) - 1;
            words[1] = words[0] + (head.side == side::BUY ? away : -away);
        }
        if (random.below(10) == 0) {
            command.order.parent_id = random.below(30);
            head.tif = tif::GTC;
            head.flags = 0;
        }
        for (i64* extra : {&words[1], &words[3], &words[4], &words[5], &words[6]}) {
            if (random.below(12) == 0) *extra = some_number(random);
        }
    }
    return command;
}

std::vector<Command> random_commands(u64 seed, std::size_t count) {
    Random random(seed);
    std::vector<Command> commands(count);
    u64 session_no = 0;
    for (Command& command : commands) {
        command = some_command(random);
        if (command.head.kind >= kFirstAdmin) continue;
        command.head.session_id = 1;
        command.head.session_no = ++session_no;
    }
    return commands;
}
#endif

}  // namespace

#ifdef LOCKSTEP_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<Command> commands(size / sizeof(Command));
    if (commands.empty()) return 0;
    std::memcpy(static_cast<void*>(commands.data()), data, commands.size() * sizeof(Command));
    u64 session_no = 0;
    for (Command& command : commands) {
        if (command.head.kind < kFirstAdmin) {
            command.head.session_id = 1;
            command.head.session_no = ++session_no;
        }
        command.head.account %= 8;
        command.head.instrument %= 4;
    }
    run(commands.data(), commands.size());
    return 0;
}
#else
// An exception that gets out of here is a finding like any other.
int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape)
    char* end = nullptr;
    const u64 seed = argc > 1 ? std::strtoull(argv[1], &end, 10) : 1;
    if (argc > 1 && *end != '\0') {
        std::ifstream file(argv[1], std::ios::binary);
        const std::string raw((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        std::vector<Command> commands(raw.size() / sizeof(Command));
        if (commands.empty()) return 0;
        std::memcpy(static_cast<void*>(commands.data()), raw.data(), commands.size() * sizeof(Command));
        run(commands.data(), commands.size());
        return 0;
    }
    const std::size_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 200'000;
    constexpr std::size_t kPerRun = 4'000;
    for (u64 part = 0; part * kPerRun < count; ++part) {
        const std::vector<Command> commands = random_commands(seed * 1'000'003 + part, kPerRun);
        run(commands.data(), commands.size());
    }
    std::printf("native_fuzz: %zu commands from seed %llu, nothing found\n", count,
                static_cast<unsigned long long>(seed));
}
#endif
