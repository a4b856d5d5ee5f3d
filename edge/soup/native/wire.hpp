// What both halves of the codec know of the protocol's numbers.
#pragma once

#include "lockstep/records.hpp"

namespace lockstep::ouch {

inline constexpr u32 kMarketPrice = 0x7FFF'FFFF;
inline constexpr u32 kDay = 99'998;
inline constexpr u32 kSystemDay = 99'999;
inline constexpr u32 kLastSecond = 86'399;
inline constexpr i64 kNsPerSecond = 1'000'000'000;
inline constexpr i64 kNsPerDay = 86'400 * kNsPerSecond;

// What a REFUSED record notes, beside a token.
enum class Note : u8 { NONE = 0, ENTER, REPLACE, CANCEL };

}  // namespace lockstep::ouch
