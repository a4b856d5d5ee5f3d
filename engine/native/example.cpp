// The core in a program of one's own: no Python, no build step of its own, only `-I engine/native/include`.
//
//     c++ -std=c++20 -O3 -I engine/native/include engine/native/example.cpp -o example && ./example
//
// A market of one instrument and two accounts, a trade, what stands in the book, and a snapshot that another engine goes
// on from. `docs/engine-alone.md` explains the steps.

#include <cstdio>

#include "lockstep/queries.hpp"
#include "lockstep/snapshot.hpp"

using namespace lockstep;

namespace {

constexpr u32 kAcme = 1;
constexpr u32 kAlice = 1;
constexpr u32 kBob = 2;
constexpr u64 kSession = 1;

// Commands without a session: administration only.
Command admin_command(u8 kind, const char* name, u32 account, u32 instrument) {
    Command command = {};
    command.head.kind = kind;
    command.head.account = account;
    command.head.instrument = instrument;
    std::strncpy(command.admin.name, name, sizeof command.admin.name);
    return command;
}

std::vector<Command> opening() {
    std::vector<Command> commands = {
        admin_command(command_kind::DEFINE_INSTRUMENT, "ACME", 0, kAcme),
        admin_command(command_kind::DEFINE_ACCOUNT, "alice", kAlice, 0),
        admin_command(command_kind::DEFINE_ACCOUNT, "bob", kBob, 0),
        admin_command(command_kind::ADJUST_CASH, "", kAlice, 0),
        admin_command(command_kind::ADJUST_POSITION, "", kBob, kAcme),
    };
    commands[0].admin.tick_micros = 10'000;  // one tick is 0.01
    commands[0].admin.lot_units = 1;
    commands[3].admin.amount_micros = 1'000'000'000;
    commands[4].admin.quantity_lots = 100;
    return commands;
}

// Orders need the next number of a session, 1, 2, 3 ...
Command limit_order(u64 session_no, u32 account, u8 side, i64 price_ticks, i64 lots) {
    Command command = {};
    command.head.kind = command_kind::NEW_ORDER;
    command.head.side = side;
    command.head.order_type = order_type::LIMIT;
    command.head.tif = tif::GTC;
    command.head.session_id = kSession;
    command.head.session_no = session_no;
    command.head.account = account;
    command.head.instrument = kAcme;
    command.order.price_ticks = price_ticks;
    command.order.quantity_lots = lots;
    return command;
}

// Apply a batch as the next of the stream, and say what came of it.
void apply(Engine& engine, const std::vector<Command>& commands, i64 timestamp_ns) {
    EventBuffer events;
    engine.apply(commands.data(), commands.size(), engine.state().last_seq + 1, timestamp_ns, events);
    for (const Event& event : events) {
        if (event.kind == event_kind::TRADE) {
            std::printf("order %llu bought %lld lots at %lld from order %llu\n",
                        static_cast<unsigned long long>(event.order_id), static_cast<long long>(event.quantity_lots),
                        static_cast<long long>(event.price_ticks),
                        static_cast<unsigned long long>(event.maker_order_id));
        } else if (event.kind == event_kind::REJECTED) {
            std::printf("command %llu was refused with code %u\n", static_cast<unsigned long long>(event.seq),
                        unsigned{event.code});
        }
    }
}

void show(const Engine& engine) {
    for (const u8 side : {u8{side::BUY}, u8{side::SELL}}) {
        for (const queries::DepthLevel& level : queries::depth(engine.state(), kAcme, side)) {
            std::printf("%s %lld: %lld lots displayed, %lld hidden\n", side == side::BUY ? "bid" : "ask",
                        static_cast<long long>(level.price_ticks), static_cast<long long>(level.displayed_lots),
                        static_cast<long long>(level.hidden_lots));
        }
    }
}

}  // namespace

int main() {
    // The most orders that will be live at once, so that nothing grows in the middle of a flow.
    Engine engine({.orders = 100'000});
    apply(engine, opening(), 1'000);

    Command iceberg = limit_order(1, kBob, side::SELL, 101, 10);
    iceberg.order.display_lots = 3;
    apply(engine, {iceberg, limit_order(2, kBob, side::SELL, 103, 5), limit_order(3, kAlice, side::BUY, 102, 4)}, 2'000);
    show(engine);

    const queries::Best best = queries::best(engine.state(), kAcme);
    const queries::Queue queue = queries::queue(engine.state(), kAcme, side::SELL, best.ask->price_ticks);
    std::printf("next to trade is order %llu with %lld lots open\n",
                static_cast<unsigned long long>(queue.orders.front()->order_id),
                static_cast<long long>(queue.orders.front()->leaves));

    const snapshot::Bytes raw = snapshot::encode(engine.state());
    Engine again({.orders = 100'000});
    snapshot::restore(again, raw);
    const u64 next_no = queries::session_last_no(again.state(), kSession) + 1;
    apply(again, {limit_order(next_no, kAlice, side::BUY, 103, 100'000'000)}, 3'000);
    apply(again, {limit_order(next_no + 1, kAlice, side::BUY, 103, 6)}, 3'000);
    show(again);
}
