// The core in a program of one's own: no Python, no build step of its own, only `-I engine/native/include`.

#include <cstdio>

#include "lockstep/snapshot.hpp"

using namespace lockstep;

namespace {

Command admin_command(u8 kind, const char* name, u32 account, u32 instrument) {
    Command command = {};
    command.head.kind = kind;
    command.head.account = account;
    command.head.instrument = instrument;
    std::strncpy(command.admin.name, name, sizeof command.admin.name - 1);
    return command;
}

Command new_order(u64 session_no, u32 account, u8 side, i64 price, i64 lots) {
    Command command = {};
    command.head.kind = command_kind::NEW_ORDER;
    command.head.side = side;
    command.head.order_type = order_type::LIMIT;
    command.head.tif = tif::GTC;
    command.head.session_id = 1;
    command.head.session_no = session_no;
    command.head.account = account;
    command.head.instrument = 1;
    command.order.price_ticks = price;
    command.order.quantity_lots = lots;
    return command;
}

}  // namespace

int main() {
    Command commands[] = {
        admin_command(command_kind::DEFINE_INSTRUMENT, "ACME", 0, 1),
        admin_command(command_kind::DEFINE_ACCOUNT, "alice", 1, 0),
        admin_command(command_kind::DEFINE_ACCOUNT, "bob", 2, 0),
        admin_command(command_kind::ADJUST_CASH, "", 1, 0),
        admin_command(command_kind::ADJUST_POSITION, "", 2, 1),
        new_order(1, 2, side::SELL, 101, 10),
        new_order(2, 1, side::BUY, 102, 4),
    };
    commands[0].admin.tick_micros = commands[0].admin.lot_units = 1;
    commands[3].admin.amount_micros = 1'000'000;
    commands[4].admin.quantity_lots = 100;

    Engine engine;
    EventBuffer events;
    engine.apply(commands, std::size(commands), 1, 1'000, events);
    for (std::size_t at = 0; at < events.size(); ++at) {
        const Event& event = events.data()[at];
        if (event.kind != event_kind::TRADE) continue;
        std::printf("order %llu bought %lld lots at %lld from order %llu\n",
                    static_cast<unsigned long long>(event.order_id), static_cast<long long>(event.quantity_lots),
                    static_cast<long long>(event.price_ticks), static_cast<unsigned long long>(event.maker_order_id));
    }
    std::printf("%zu events, %zu bytes of snapshot\n", events.size(), snapshot::encode(engine.state()).size());
}
