"""The words of the wire as Python enums: same numbers as `lockstep.v1.common_pb2`, which a test holds equal.

Written out (not derived from the generated classes) so that editors and type checkers know every member.
"""

from enum import IntEnum, IntFlag


class CommandKind(IntEnum):
    """What a command asks for."""

    NEW_ORDER = 1
    CANCEL = 2
    REPLACE = 3
    MASS_CANCEL = 4


class Side(IntEnum):
    """Side of an order."""

    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """How an order is priced."""

    LIMIT = 1
    MARKET = 2
    STOP = 3
    STOP_LIMIT = 4
    TRAILING_STOP = 5


class TimeInForce(IntEnum):
    """How long an order may stand."""

    DAY = 1
    GTC = 2
    IOC = 3
    FOK = 4
    GTD = 5
    AT_OPEN = 6
    AT_CLOSE = 7


class SelfTradePrevention(IntEnum):
    """What happens when an order would trade with one of its own account's."""

    NONE = 0
    CANCEL_NEWEST = 1
    CANCEL_OLDEST = 2
    CANCEL_BOTH = 3
    DECREMENT = 4


class OrderFlag(IntFlag):
    """Bits of an order's `flags`."""

    NONE = 0
    POST_ONLY = 1
    HIDDEN = 2


class Phase(IntEnum):
    """What an instrument is open for. In PRE_OPEN and the auctions orders gather, none trade."""

    PRE_OPEN = 1
    OPENING_AUCTION = 2
    CONTINUOUS = 3
    HALT = 4
    VOLATILITY_AUCTION = 5
    CLOSING_AUCTION = 6
    CLOSED = 7


class AccountStatus(IntEnum):
    """What an account may do; canceling always."""

    ACTIVE = 0
    CLOSE_ONLY = 1
    """Orders only that lessen a position."""
    RESTRICTED = 2
    """No new orders; those that rest stay."""
    BANNED = 3
    """No new orders; those that rest were canceled."""
    KILLED = 4
    """As RESTRICTED, by the kill switch."""


class ReportFlag(IntFlag):
    """Bits of a report's `flags`, for the kinds that concern orders."""

    NONE = 0
    BOOKS = 1
    """What is left after matching rests in the book."""
    LOST_PRIORITY = 2
    """On REPLACED: the order went behind its price level."""
    AUCTION = 4
    """On TRADE: of an auction. Nobody took: the buyer stands in the taker's place (leg 0)."""
    WAITS = 8
    """On ACCEPTED and REPLACED: the order stands outside the book, until its stop price or the closing auction."""
    UNSEEN = 16
    """Not all of what rests is displayed (iceberg, hidden order, or market order that gathers for an auction)."""


class EventKind(IntEnum):
    """What happened."""

    ACCEPTED = 1
    REJECTED = 2
    TRADE = 3
    CANCELED = 4
    REPLACED = 5
    CANCEL_REJECTED = 6
    REPLACE_REJECTED = 7
    DUPLICATE = 8
    """The session number was executed before; the outcome of then stands."""
    MASS_CANCELED = 9
    """End of a mass cancel; `quantity_lots` counts the orders that it took off."""
    REDUCED = 10
    """Self-trade prevention took lots off; the order lives on with `leaves_lots`."""
    TRIGGERED = 11
    """A stop order was set off (`previous_price_ticks`: at which stop price); its trades follow."""
    INDICATIVE = 12
    """Of a running auction: price, volume, and in `leaves_lots` what would be left over on `side`."""

    INSTRUMENT_DEFINED = 64
    ACCOUNT_DEFINED = 65
    CASH_ADJUSTED = 66
    POSITION_ADJUSTED = 67
    ADMIN_REJECTED = 68
    PHASE_CHANGED = 69
    ACCOUNT_STATUS_SET = 70
    RISK_LIMITS_SET = 71
    FEES_SET = 72
    PRICE_LIMITS_SET = 73
    POSITION_TRANSFERRED = 74
    MARGIN_SET = 75
    INDEX_SET = 76
    MARKET_BREAKER_SET = 77
    MARKET_HALTED = 78
    MARGIN_CALLED = 79
    SESSION_OPENED = 80

    EPOCH_STARTED = 192
    GROWN = 193
    GROW_WITHDRAWN = 194
    TICKED = 195


REFUSING_KINDS = frozenset(
    (EventKind.REJECTED, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED, EventKind.ADMIN_REJECTED)
)
"""Outcomes that say that the command had no effect."""


class Feed(IntEnum):
    """What of an instrument's market data is asked for."""

    L1 = 1
    """Best bid and offer."""
    L2 = 2
    """Price levels."""
    TRADES = 3

    @property
    def name_on_wire(self) -> str:
        """The generated enum's name of it."""
        return f"FEED_{self.name}"


class Code(IntEnum):
    """Outcome code, one numeric range per stage.

    1000-1099 gateway (the request is wrong and stays wrong), 1100-1199 gateway and 2000-2099 sequencer (try again,
    nothing was executed), 3000-3999 pre-trade risk, 4000-4999 engine, 5000-5999 why an order left the book.
    """

    OK = 0

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

    SESSION_GAP = 1101
    BUSY = 1102
    UNAVAILABLE = 1103
    SHUTTING_DOWN = 1104
    STALE_CONNECTION = 1105

    NOT_LEADER = 2001
    WINDOW_FULL = 2002
    STALE_EPOCH = 2003
    LINK_GAP = 2004

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


def code_name(code: int) -> str:
    """Name of a code for people; a newer cluster may send one that this version doesn't know."""
    try:
        return Code(code).name
    except ValueError:
        return f"code {code}"


def is_retryable(code: int) -> bool:
    """Whether the same command may be sent again under the same session number."""
    return 1100 <= code < 1200 or 2000 <= code < 2100
