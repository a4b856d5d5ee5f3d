"""Every code an order can be answered with, in one numeric range per stage.

A refusal is a code, never an exception: it is part of the event stream, so it is journaled, digested and released
like a fill. The range says who refused, which is the first thing that somebody reading a log wants to know:

| range | stage | consumes the session number? |
| --- | --- | --- |
| 1000-1099 | gateway: request is malformed or not allowed | yes, once it is stamped as a REFUSED command |
| 1100-1199 | gateway: come again (retryable) | no |
| 2000-2099 | sequencer (retryable) | no |
| 3000-3999 | pre-trade risk, inside the engine | yes |
| 4000-4999 | engine | yes, but `NOT_EXECUTED` |
| 5000-5999 | why an order left the book (not a refusal) | - |

The enum `Code` of `proto/lockstep/v1/common.proto` has the same names and numbers; a test holds them equal.
"""

from enum import IntEnum
from typing import Final

CODE_METADATA: Final = "lockstep-code"
"""Trailing metadata of every call that failed: the numeric `Code`."""
RETRY_METADATA: Final = "lockstep-retry-after-ms"
"""Trailing metadata of every call that failed: how long to wait before the same is tried again; 0: no need to."""


class Code(IntEnum):
    """Outcome code of a command or of an order. 0 is success."""

    OK = 0

    # 1000-1099 gateway: the request is wrong and stays wrong.
    MALFORMED_BATCH = 1001
    UNKNOWN_ENUM_VALUE = 1002
    PRICE_OUT_OF_RANGE = 1003
    QUANTITY_OUT_OF_RANGE = 1004
    BATCH_TOO_LARGE = 1005
    NOT_ENTITLED = 1006
    UNAUTHENTICATED = 1007
    SESSION_TAKEN_OVER = 1008
    FIELD_OUT_OF_RANGE = 1009
    MISSING_FIELD = 1010
    REPORTS_GONE = 1011

    # 1100-1199 gateway: nothing is wrong with the request; send it again.
    SESSION_GAP = 1101
    BUSY = 1102
    UNAVAILABLE = 1103
    SHUTTING_DOWN = 1104
    STALE_CONNECTION = 1105

    # 2000-2099 sequencer: retryable as well.
    NOT_LEADER = 2001
    WINDOW_FULL = 2002
    STALE_EPOCH = 2003
    LINK_GAP = 2004

    # 3000-3999 pre-trade risk.
    UNKNOWN_ACCOUNT = 3001
    INSUFFICIENT_CASH = 3002
    INSUFFICIENT_POSITION = 3003
    ACCOUNT_CLOSE_ONLY = 3004
    ACCOUNT_RESTRICTED = 3005
    ACCOUNT_BANNED = 3006
    ACCOUNT_KILLED = 3007
    ORDER_TOO_LARGE = 3008
    ORDER_WORTH_TOO_MUCH = 3009
    POSITION_LIMIT = 3010
    DAILY_ORDER_LIMIT = 3011
    ORDER_RATE = 3012
    ORDER_TO_TRADE_RATIO = 3013
    CONCENTRATION_LIMIT = 3014
    PRICE_COLLAR = 3015
    SHORT_SALE = 3016
    INSUFFICIENT_MARGIN = 3017
    MARGIN_CALL = 3018
    DAY_TRADER = 3019

    # 4000-4999 engine.
    UNKNOWN_INSTRUMENT = 4001
    BAD_PRICE = 4002
    BAD_QUANTITY = 4003
    DUPLICATE_ORDER_ID = 4004
    UNKNOWN_ORDER = 4005
    NOT_SUPPORTED = 4006
    SESSION_OUT_OF_ORDER = 4007
    ALREADY_DEFINED = 4008
    OVERFLOW = 4009
    UNKNOWN_COMMAND = 4010
    BAD_DEFINITION = 4011
    WOULD_TRADE = 4012
    BAD_EXPIRY = 4013
    WRONG_PHASE = 4014
    OUTSIDE_BAND = 4015
    ORDERS_LIVE = 4016
    BAD_STOP_PRICE = 4017
    BAD_DISPLAY = 4018
    BAD_MINIMUM = 4019
    KEY_REUSED = 4020

    # 5000-5999 why an order ended without being filled.
    CANCEL_REQUESTED = 5001
    IOC_REMAINDER = 5002
    FOK_UNFILLABLE = 5003
    NO_LIQUIDITY = 5004
    MASS_CANCEL = 5005
    SELF_TRADE = 5006
    MIN_QUANTITY = 5007
    EXPIRED = 5008
    DISCONNECTED = 5009
    AUCTION_ENDED = 5010
    ACCOUNT_BLOCKED = 5011


NOT_EXECUTED: Final = (Code.SESSION_OUT_OF_ORDER, Code.KEY_REUSED)
"""Refusals of a session number, which is not the next, or another command's: the command had no effect."""


def is_retryable(code: int) -> bool:
    """Whether the same command may be sent again under the same session number."""
    return 1100 <= code < 1200 or 2000 <= code < 2100
