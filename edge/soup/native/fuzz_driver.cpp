// Hostile packets and odd rows for the codec, under sanitizers: `make native-checks`.
//
//     fuzz SEED ROUNDS
#include <cstdio>
#include <cstdlib>
#include <random>

#include "codec.hpp"

using namespace lockstep;

namespace {

std::mt19937_64 dice;

u64 below(u64 limit) {
    return dice() % limit;
}

// Mostly what is nearly right: whole packets of the known sizes, with some bytes turned over.
std::string packets() {
    static constexpr std::pair<char, std::size_t> kMessages[] = {{'O', 49}, {'O', 48}, {'U', 47}, {'X', 19}, {'M', 20}};
    std::string raw;
    for (u64 left = below(8); left > 0; --left) {
        const auto [type, size] = kMessages[below(5)];
        std::string text(size, ' ');
        text[0] = type;
        for (std::size_t at = 1; at < size; ++at) {
            if (below(3) == 0) text[at] = "ABCS019YN "[below(10)];
        }
        if (type == 'O') text.replace(15, 13, std::string("B\0\0\0\x0a", 5) + "ACME    ").replace(28, 4, std::string("\0\x0fB@", 4));
        raw += {static_cast<char>(0), static_cast<char>(size + 1), 'U'};
        raw += text;
    }
    for (u64 left = below(4); left > 0 && !raw.empty(); --left) raw[below(raw.size())] = static_cast<char>(dice());
    raw.resize(below(4) == 0 ? below(raw.size() + 1) : raw.size());
    return raw;
}

Event row() {
    static constexpr u8 kKinds[] = {1, 2, 2, 3, 4, 5, 6, 7, 8, 10, 64, 0};
    static constexpr u16 kCodes[] = {0, 1012, 4003, 4005, 4007, 4020, 5001, 5006};
    Event event;
    for (std::size_t at = 0; at < sizeof event / 8; ++at) {
        const u64 word = below(3) == 0 ? below(4) : dice();
        std::memcpy(reinterpret_cast<char*>(&event) + at * 8, &word, 8);
    }
    event.kind = kKinds[below(12)];
    event.code = kCodes[below(8)];
    event.instrument = 1;
    event.session_no = below(6);
    if (below(2) == 0) event.client_order_id = 1 + below(5);
    if (below(2) == 0) event.order_id = 0;
    event.price_ticks &= INT64_MAX;
    event.quantity_lots &= INT64_MAX;
    event.leaves_lots &= INT64_MAX;
    event.previous_leaves_lots &= INT64_MAX;
    event.timestamp_ns &= INT64_MAX;
    event.maker_fee_micros &= INT64_MAX;  // where an order's expiry stands
    return event;
}

}  // namespace

int main(int count, char** arguments) {
    const u64 seed = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1;
    const u64 rounds = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 100'000;
    dice.seed(seed);
    ouch::Instruments instruments;
    instruments.define(1, "ACME", 10'000, 1);
    u64 commands = 0, messages = 0;
    for (u64 session = 0; session * 100 < rounds; ++session) {
        ouch::Codec codec(instruments, {session + 1, 3, 1, {}, 0}, 200, seed);
        for (int step = 0; step < 100; ++step) {
            const std::string raw = packets();
            // Exactly as large as it is, so that a byte too far is seen.
            std::vector<u8> bytes(raw.begin(), raw.end());
            const ouch::Read read = codec.decode(bytes.data(), bytes.size(), 1 + below(1000), below(20), 5);
            if (read.consumed > bytes.size()) return 1;
            commands += read.commands.size();
            std::vector<Event> rows(below(5));
            std::vector<u8> legs(rows.size());
            for (std::size_t at = 0; at < rows.size(); ++at) rows[at] = row(), legs[at] = below(3) == 0;
            codec.encode(rows.data(), legs.data(), rows.size(), 1);
        }
        messages += codec.next_message() - 1;
    }
    std::printf("ouch fuzz: %llu rounds, %llu commands, %llu messages\n", static_cast<unsigned long long>(rounds),
                static_cast<unsigned long long>(commands), static_cast<unsigned long long>(messages));
    return commands > 0 && messages > 0 ? 0 : 1;
}
