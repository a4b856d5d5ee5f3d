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

    INSTRUMENT_DEFINED = 64
    ACCOUNT_DEFINED = 65
    CASH_ADJUSTED = 66
    POSITION_ADJUSTED = 67
    ADMIN_REJECTED = 68

    EPOCH_STARTED = 192
    GROWN = 193
    GROW_WITHDRAWN = 194


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

    SESSION_GAP = 1101
    BUSY = 1102
    UNAVAILABLE = 1103
    SHUTTING_DOWN = 1104

    NOT_LEADER = 2001
    WINDOW_FULL = 2002
    STALE_EPOCH = 2003
    LINK_GAP = 2004

    UNKNOWN_ACCOUNT = 3001
    INSUFFICIENT_CASH = 3002
    INSUFFICIENT_POSITION = 3003

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

    CANCEL_REQUESTED = 5001
    IOC_REMAINDER = 5002
    FOK_UNFILLABLE = 5003
    NO_LIQUIDITY = 5004
    MASS_CANCEL = 5005


def code_name(code: int) -> str:
    """Name of a code for people; a newer cluster may send one that this version doesn't know."""
    try:
        return Code(code).name
    except ValueError:
        return f"code {code}"


def is_retryable(code: int) -> bool:
    """Whether the same command may be sent again under the same session number."""
    return 1100 <= code < 1200 or 2000 <= code < 2100
