// Numbers of the protocol: kinds, sides, flags and outcome codes of `stream/records.py` and `stream/codes.py`.
// A test compares them with the Python enums.
#pragma once

#include "lockstep/records.hpp"

namespace lockstep {

// Kinds below 64 are orders, 64-127 administration, 192 and above control.
inline constexpr u8 kFirstAdmin = 64;
inline constexpr u8 kEndAdmin = 128;
inline constexpr u8 kFirstControl = 192;

namespace command_kind {
enum : u8 {
    NEW_ORDER = 1,
    CANCEL = 2,
    REPLACE = 3,
    MASS_CANCEL = 4,
    REFUSED = 5,
    DEFINE_INSTRUMENT = 64,
    DEFINE_ACCOUNT = 65,
    ADJUST_CASH = 66,
    ADJUST_POSITION = 67,
    EPOCH_START = 192,
    GROW = 193,
    GROW_REVOKED = 194,
};
}

namespace event_kind {
enum : u8 {
    ACCEPTED = 1,
    REJECTED = 2,
    TRADE = 3,
    CANCELED = 4,
    REPLACED = 5,
    CANCEL_REJECTED = 6,
    REPLACE_REJECTED = 7,
    DUPLICATE = 8,
    MASS_CANCELED = 9,
    INSTRUMENT_DEFINED = 64,
    ACCOUNT_DEFINED = 65,
    CASH_ADJUSTED = 66,
    POSITION_ADJUSTED = 67,
    ADMIN_REJECTED = 68,
    EPOCH_STARTED = 192,
    GROWN = 193,
    GROW_WITHDRAWN = 194,
};
}

namespace side {
enum : u8 { BUY = 1, SELL = 2 };
}

namespace order_type {
enum : u8 { LIMIT = 1, MARKET = 2 };
}

namespace tif {
enum : u8 { DAY = 1, GTC = 2, IOC = 3, FOK = 4 };
}

namespace account_flag {
enum : u8 { UNLIMITED_CASH = 1, UNLIMITED_POSITIONS = 2 };
}

namespace event_flag {
enum : u32 { BOOKS = 1, LOST_PRIORITY = 2 };
}

namespace code {
enum : u16 {
    OK = 0,
    UNKNOWN_ACCOUNT = 3001,
    INSUFFICIENT_CASH = 3002,
    INSUFFICIENT_POSITION = 3003,
    UNKNOWN_INSTRUMENT = 4001,
    BAD_PRICE = 4002,
    BAD_QUANTITY = 4003,
    DUPLICATE_ORDER_ID = 4004,
    UNKNOWN_ORDER = 4005,
    NOT_SUPPORTED = 4006,
    SESSION_OUT_OF_ORDER = 4007,
    ALREADY_DEFINED = 4008,
    OVERFLOW_ = 4009,  // <math.h> has a macro of the plain name
    UNKNOWN_COMMAND = 4010,
    BAD_DEFINITION = 4011,
    CANCEL_REQUESTED = 5001,
    IOC_REMAINDER = 5002,
    FOK_UNFILLABLE = 5003,
    NO_LIQUIDITY = 5004,
    MASS_CANCEL = 5005,
};
}
using Code = u16;

}  // namespace lockstep
