// Records of the stream as C++ structs: the same bytes as the NumPy dtypes of `stream/records.py`, which define them.
//
// The structs are natural-aligned and have no holes, so a batch is read in place. A test compares every offset with
// the dtypes through `layout.hpp`; the static_asserts below stop a build that could not be right.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

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

struct CommandHead {
    u8 kind;
    u8 side;
    u8 order_type;
    u8 tif;
    u8 stp;
    u8 flags;
    u16 gateway;
    u64 session_id;
    u64 session_no;
    u32 account;
    u32 instrument;
    u64 client_order_id;
    u64 order_id;
};

struct OrderTerms {
    i64 price_ticks;
    i64 stop_price_ticks;
    i64 quantity_lots;
    i64 display_lots;
    i64 min_lots;
    i64 expire_ns;
    i64 trail_ticks;
    i64 amount_micros;
    i64 received_ns;
    u64 tag;
};

struct AdminTerms {
    char name[32];
    i64 tick_micros;
    i64 lot_units;
    i64 quantity_lots;
    i64 amount_micros;
    i64 received_ns;
    u64 tag;
};

// SET_PHASE, SET_ACCOUNT_STATUS.
struct SettingTerms {
    u8 value;
    u8 next_value;
    u8 reserved[6];
    i64 reference_price_ticks;
    i64 until_ns;
    u8 reserved2[40];
    i64 received_ns;
    u64 tag;
};

// SET_RISK_LIMITS; 0 is no limit.
struct LimitTerms {
    i64 max_order_lots;
    i64 max_order_micros;
    i64 max_position_lots;
    i64 max_orders_per_day;
    i64 orders_per_second;
    i64 burst_orders;
    i64 max_orders_per_trade;
    i64 max_concentration_ppm;
    i64 received_ns;
    u64 tag;
};

// SET_FEES, SET_PRICE_LIMITS.
struct RuleTerms {
    i64 maker_fee_ppm;
    i64 taker_fee_ppm;
    i64 band_ppm;
    i64 collar_ppm;
    i64 breaker_ppm;
    i64 breaker_window_ns;
    i64 breaker_pause_ns;
    i64 breaker_phase;
    i64 received_ns;
    u64 tag;
};

// SET_MARGIN, SET_INDEX, SET_MARKET_BREAKER.
struct MarketTerms {
    i64 initial_margin_ppm;
    i64 maintenance_margin_ppm;
    i64 index_weight;
    i64 close_price_ticks;
    i64 level1_ppm;
    i64 level2_ppm;
    i64 level3_ppm;
    i64 pause_ns;
    i64 received_ns;
    u64 tag;
};

struct TransferTerms {
    u32 to_account;
    u8 reserved[4];
    i64 quantity_lots;
    u8 reserved2[48];
    i64 received_ns;
    u64 tag;
};

struct ControlTerms {
    u64 epoch;
    u64 in_sync;
    u16 primary;
    u16 member;
    u16 sequencer;
    u16 cause;
    u8 policy;
    u8 reserved[7];
    u64 journal;
    u64 previous;
    u64 cluster_high;
    u64 cluster_low;
    u8 reserved2[16];
};

// One command; `head.kind` says which overlay is meant.
struct Command {
    CommandHead head;
    union {
        OrderTerms order;
        AdminTerms admin;
        SettingTerms setting;
        LimitTerms limits;
        RuleTerms rules;
        MarketTerms market;
        TransferTerms transfer;
        ControlTerms control;
    };
};

struct Event {
    u64 seq;
    u32 index;
    u8 kind;
    u8 side;
    u16 code;
    u32 instrument;
    u32 account;
    u64 session_id;
    u64 session_no;
    u64 order_id;
    u64 client_order_id;
    i64 price_ticks;
    i64 quantity_lots;
    i64 leaves_lots;
    u64 maker_order_id;
    u64 maker_client_order_id;
    u64 maker_session_id;
    u32 maker_account;
    u32 flags;
    i64 maker_leaves_lots;
    i64 timestamp_ns;
    i64 taker_fee_micros;
    i64 maker_fee_micros;
    i64 previous_price_ticks;
    i64 previous_leaves_lots;
};

// ACCEPTED, REPLACED, TRIGGERED: the order's terms stand where a TRADE speaks of its maker.
struct OrderEvent {
    u64 seq;
    u32 index;
    u8 kind;
    u8 side;
    u16 code;
    u32 instrument;
    u32 account;
    u64 session_id;
    u64 session_no;
    u64 order_id;
    u64 client_order_id;
    i64 price_ticks;
    i64 quantity_lots;
    i64 leaves_lots;
    u8 reserved[8];
    i64 stop_price_ticks;
    u64 maker_session_id;
    u8 order_type;
    u8 tif;
    u8 stp;
    u8 order_flags;
    u32 flags;
    i64 display_lots;
    i64 timestamp_ns;
    u8 reserved2[8];
    i64 expire_ns;
    i64 previous_price_ticks;
    i64 previous_leaves_lots;
};

struct ControlEvent {
    u64 seq;
    u32 index;
    u8 kind;
    u8 side;
    u16 code;
    u64 epoch;
    u64 in_sync;
    u16 primary;
    u16 member;
    u16 sequencer;
    u16 cause;
    u8 reserved[80];
    i64 timestamp_ns;
    u8 reserved2[32];
};

struct DefinitionEvent {
    u64 seq;
    u32 index;
    u8 kind;
    u8 side;
    u16 code;
    u32 instrument;
    u32 account;
    u64 session_id;
    u64 session_no;
    char name[32];
    i64 tick_micros;
    i64 lot_units;
    i64 quantity_lots;
    i64 amount_micros;
    u8 reserved[4];
    u32 flags;
    u8 reserved2[8];
    i64 timestamp_ns;
    u8 reserved3[32];
};

struct SettingEvent {
    u64 seq;
    u32 index;
    u8 kind;
    u8 side;
    u16 code;
    u32 instrument;
    u32 account;
    u64 session_id;
    u64 session_no;
    i64 value;
    i64 previous_value;
    i64 reference_price_ticks;
    i64 until_ns;
    u64 of_session;
    u64 connection;
    u8 reserved[20];
    u32 flags;
    u8 reserved2[8];
    i64 timestamp_ns;
    u8 reserved3[32];
};

static_assert(sizeof(SettingTerms) == 80 && sizeof(LimitTerms) == 80 && sizeof(RuleTerms) == 80);
static_assert(sizeof(MarketTerms) == 80 && sizeof(OrderEvent) == 160 && offsetof(OrderEvent, flags) == 108);
static_assert(sizeof(TransferTerms) == 80 && sizeof(SettingEvent) == 160);
static_assert(offsetof(SettingEvent, timestamp_ns) == 120);
static_assert(sizeof(CommandHead) == 48 && sizeof(OrderTerms) == 80 && sizeof(AdminTerms) == 80);
static_assert(sizeof(ControlTerms) == 80 && sizeof(Command) == 128 && alignof(Command) == 8);
static_assert(sizeof(Event) == 160 && sizeof(ControlEvent) == 160 && sizeof(DefinitionEvent) == 160);
static_assert(std::is_trivially_copyable_v<Command> && std::is_trivially_copyable_v<Event>);
static_assert(offsetof(Command, order) == 48 && offsetof(CommandHead, client_order_id) == 32);
static_assert(offsetof(Event, maker_account) == 104 && offsetof(Event, timestamp_ns) == 120);
static_assert(offsetof(ControlEvent, timestamp_ns) == 120 && offsetof(DefinitionEvent, timestamp_ns) == 120);

inline constexpr i64 kMaxPriceTicks = (i64{1} << 40) - 1;
inline constexpr i64 kMaxQuantityLots = (i64{1} << 31) - 1;
inline constexpr i64 kMaxPositionLots = i64{1} << 62;
inline constexpr i64 kMaxUnitMicros = i64{1} << 40;
inline constexpr i64 kPpm = 1'000'000;
inline constexpr u32 kInitialMarginPpm = 500'000;  // of an instrument that was told no other
inline constexpr u32 kMaintenanceMarginPpm = 250'000;
inline constexpr i64 kI64Max = INT64_MAX;

}  // namespace lockstep
