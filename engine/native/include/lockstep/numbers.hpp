// Integer types, bounds and ranges of kinds: what the generated headers and the rules stand on.
#pragma once

#include <bit>
#include <cstdint>

namespace lockstep {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
__extension__ using i128 = __int128;
__extension__ using u128 = unsigned __int128;

static_assert(std::endian::native == std::endian::little, "records are little endian and are read in place");

using Code = u16;

// Kinds below 64 are orders, 64-127 administration, 192 and above control.
inline constexpr u8 kFirstAdmin = 64;
inline constexpr u8 kEndAdmin = 128;
inline constexpr u8 kFirstControl = 192;

inline constexpr i64 kMaxPriceTicks = (i64{1} << 40) - 1;
inline constexpr i64 kMaxQuantityLots = (i64{1} << 31) - 1;
inline constexpr i64 kMaxPositionLots = i64{1} << 62;
inline constexpr i64 kMaxUnitMicros = i64{1} << 40;
inline constexpr i64 kPpm = 1'000'000;
inline constexpr u32 kInitialMarginPpm = 500'000;  // of an instrument that was given no other
inline constexpr u32 kMaintenanceMarginPpm = 250'000;
inline constexpr i64 kI64Max = INT64_MAX;

}  // namespace lockstep
