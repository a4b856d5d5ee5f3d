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
    SET_PHASE = 68,
    SET_ACCOUNT_STATUS = 69,
    SET_RISK_LIMITS = 70,
    SET_FEES = 71,
    SET_PRICE_LIMITS = 72,
    TRANSFER_POSITION = 73,
    SESSION_CLOSED = 74,
    SET_MARGIN = 75,
    SET_INDEX = 76,
    SET_MARKET_BREAKER = 77,
    SESSION_OPENED = 78,
    EPOCH_START = 192,
    GROW = 193,
    GROW_REVOKED = 194,
    TICK = 195,
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
    REDUCED = 10,
    TRIGGERED = 11,
    INDICATIVE = 12,
    INSTRUMENT_DEFINED = 64,
    ACCOUNT_DEFINED = 65,
    CASH_ADJUSTED = 66,
    POSITION_ADJUSTED = 67,
    ADMIN_REJECTED = 68,
    PHASE_CHANGED = 69,
    ACCOUNT_STATUS_SET = 70,
    RISK_LIMITS_SET = 71,
    FEES_SET = 72,
    PRICE_LIMITS_SET = 73,
    POSITION_TRANSFERRED = 74,
    MARGIN_SET = 75,
    INDEX_SET = 76,
    MARKET_BREAKER_SET = 77,
    MARKET_HALTED = 78,
    MARGIN_CALLED = 79,
    SESSION_OPENED = 80,
    EPOCH_STARTED = 192,
    GROWN = 193,
    GROW_WITHDRAWN = 194,
    TICKED = 195,
};
}

namespace side {
enum : u8 {
    BUY = 1,
    SELL = 2,
};
}

namespace order_type {
enum : u8 {
    LIMIT = 1,
    MARKET = 2,
    STOP = 3,
    STOP_LIMIT = 4,
    TRAILING_STOP = 5,
};
}

namespace tif {
enum : u8 {
    DAY = 1,
    GTC = 2,
    IOC = 3,
    FOK = 4,
    GTD = 5,
    AT_OPEN = 6,
    AT_CLOSE = 7,
};
}

namespace stp {
enum : u8 {
    NONE = 0,
    CANCEL_NEWEST = 1,
    CANCEL_OLDEST = 2,
    CANCEL_BOTH = 3,
    DECREMENT = 4,
};
}

namespace order_flag {
enum : u8 {
    POST_ONLY = 1,
    HIDDEN = 2,
};
}

namespace mass_cancel_flag {
enum : u8 {
    BLOCK = 1,
};
}

namespace phase {
enum : u8 {
    PRE_OPEN = 1,
    OPENING_AUCTION = 2,
    CONTINUOUS = 3,
    HALT = 4,
    VOLATILITY_AUCTION = 5,
    CLOSING_AUCTION = 6,
    CLOSED = 7,
};
}

namespace account_status {
enum : u8 {
    ACTIVE = 0,
    CLOSE_ONLY = 1,
    RESTRICTED = 2,
    BANNED = 3,
    KILLED = 4,
};
}

namespace account_flag {
enum : u8 {
    UNLIMITED_CASH = 1,
    UNLIMITED_POSITIONS = 2,
    MARGIN = 4,
    SHORT_SALES = 8,
    DAY_TRADE_RULE = 16,
};
}

namespace event_flag {
enum : u32 {
    BOOKS = 1,
    LOST_PRIORITY = 2,
    AUCTION = 4,
    WAITS = 8,
    UNSEEN = 16,
};
}

namespace code {
enum : u16 {
    OK = 0,
    UNKNOWN_ACCOUNT = 3001,
    INSUFFICIENT_CASH = 3002,
    INSUFFICIENT_POSITION = 3003,
    ACCOUNT_CLOSE_ONLY = 3004,
    ACCOUNT_RESTRICTED = 3005,
    ACCOUNT_BANNED = 3006,
    ACCOUNT_KILLED = 3007,
    ORDER_TOO_LARGE = 3008,
    ORDER_WORTH_TOO_MUCH = 3009,
    POSITION_LIMIT = 3010,
    DAILY_ORDER_LIMIT = 3011,
    ORDER_RATE = 3012,
    ORDER_TO_TRADE_RATIO = 3013,
    CONCENTRATION_LIMIT = 3014,
    PRICE_COLLAR = 3015,
    SHORT_SALE = 3016,
    INSUFFICIENT_MARGIN = 3017,
    MARGIN_CALL = 3018,
    DAY_TRADER = 3019,
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
    WOULD_TRADE = 4012,
    BAD_EXPIRY = 4013,
    WRONG_PHASE = 4014,
    OUTSIDE_BAND = 4015,
    ORDERS_LIVE = 4016,
    BAD_STOP_PRICE = 4017,
    BAD_DISPLAY = 4018,
    BAD_MINIMUM = 4019,
    KEY_REUSED = 4020,
    CANCEL_REQUESTED = 5001,
    IOC_REMAINDER = 5002,
    FOK_UNFILLABLE = 5003,
    NO_LIQUIDITY = 5004,
    MASS_CANCEL = 5005,
    SELF_TRADE = 5006,
    MIN_QUANTITY = 5007,
    EXPIRED = 5008,
    DISCONNECTED = 5009,
    AUCTION_ENDED = 5010,
    ACCOUNT_BLOCKED = 5011,
};
}

using Code = u16;

}  // namespace lockstep
