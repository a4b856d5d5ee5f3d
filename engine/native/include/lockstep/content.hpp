// What a session's number stands for: 64 bits of a command's content, as `stream/content.py` defines them (what is
// content and what is not is said there; the masks stand in `records.hpp`). Tests compare the values.
#pragma once

#include <cstring>

#include "lockstep/codes.hpp"
#include "lockstep/records.hpp"

namespace lockstep {

// Of a command that has none; it is compared with nothing.
inline constexpr u64 kNoContent = 0;

namespace content {

inline constexpr std::size_t kWords = sizeof(Command) / sizeof(u64);
using Words = std::array<u64, kWords>;

// The `at`-th number of SplitMix64.
constexpr u64 splitmix(u64 at) {
    constexpr u64 kSeed = 0x4C4F'434B'5354'4550;  // "LOCKSTEP"
    u64 value = kSeed + at * 0x9E37'79B9'7F4A'7C15;
    value = (value ^ value >> 30) * 0xBF58'476D'1CE4'E5B9;
    value = (value ^ value >> 27) * 0x94D0'49BB'1331'11EB;
    return value ^ value >> 31;
}

constexpr Words make_factors() {
    Words factors = {};
    for (std::size_t word = 0; word < kWords; ++word) factors[word] = splitmix(word + 1) | 1;
    return factors;
}
inline constexpr Words kFactors = make_factors();
inline constexpr u64 kStart = splitmix(kWords + 1);

// The words that are no content cost nothing: the masks are known when this is compiled. Words are read where they
// stand: a copy of the record would cost more than the sum.
template <const Words& mask>
inline u64 sum_of(const Command& command) {
    const char* record = reinterpret_cast<const char*>(&command);
    u64 sum = kStart;
    for (std::size_t at = 0; at < kWords; ++at) {
        if (mask[at] == 0) continue;
        u64 word;
        std::memcpy(&word, record + at * sizeof word, sizeof word);
        word &= mask[at];
        sum += (word ^ word >> 32) * kFactors[at];
    }
    return sum;
}

// A word that is 0 adds nothing to the sum, so of an order without options only the others are read.
constexpr Words make_mask_without_options() {
    Words mask = kOfNewOrder;
    constexpr std::size_t kTerms = offsetof(Command, order);
    for (const std::size_t option : {offsetof(OrderTerms, stop_price_ticks), offsetof(OrderTerms, display_lots),
                                     offsetof(OrderTerms, min_lots), offsetof(OrderTerms, expire_ns),
                                     offsetof(OrderTerms, trail_ticks), offsetof(OrderTerms, parent_id)}) {
        mask[(kTerms + option) / sizeof(u64)] = 0;
    }
    return mask;
}
inline constexpr Words kWithoutOptions = make_mask_without_options();

}  // namespace content

// Whether an order's command has none of the terms that few orders have.
inline bool has_no_options(const OrderTerms& terms) {
    return (static_cast<u64>(terms.stop_price_ticks | terms.display_lots | terms.min_lots | terms.expire_ns |
                             terms.trail_ticks) |
            terms.parent_id) == 0;
}

namespace content {

// `bare`: it has no options.
inline u64 of_new_order(const Command& command, bool bare) {
    return bare ? sum_of<kWithoutOptions>(command) : sum_of<kOfNewOrder>(command);
}

}  // namespace content

inline u64 content_of(const Command& command) {
    switch (command.head.kind) {
        case command_kind::NEW_ORDER: return content::of_new_order(command, has_no_options(command.order));
        case command_kind::CANCEL: return content::sum_of<content::kOfCancel>(command);
        case command_kind::REPLACE: return content::sum_of<content::kOfReplace>(command);
        case command_kind::MASS_CANCEL: return content::sum_of<content::kOfMassCancel>(command);
        case command_kind::REFUSED: return kNoContent;
        default: return content::sum_of<content::kOfOthers>(command);
    }
}

}  // namespace lockstep
