"""The terms of a new order by themselves: which fields may stand together, and in what bounds."""

from typing import Final

from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import BUY, CONTINUOUS, LIMIT, MARKET, STOP_LIMIT, Book
from lockstep.engine.reference.rows import Row
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    MAX_PRICE_TICKS,
    MAX_QUANTITY_LOTS,
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
)

STOP: Final = int(OrderType.STOP)
TRAILING_STOP: Final = int(OrderType.TRAILING_STOP)
GTD: Final = int(TimeInForce.GTD)
IOC: Final = int(TimeInForce.IOC)
FOK: Final = int(TimeInForce.FOK)
AT_OPEN: Final = int(TimeInForce.AT_OPEN)
AT_CLOSE: Final = int(TimeInForce.AT_CLOSE)
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
HIDDEN: Final = int(OrderFlag.HIDDEN)
DISPLAY_RATIO: Final = 1000
"""An iceberg shows at least this part of its quantity, so that nobody makes one command yield countless trades."""

_RESTING: Final = (int(TimeInForce.DAY), int(TimeInForce.GTC), GTD)
_TIFS: Final[dict[int, tuple[int, ...]]] = {
    LIMIT: (1, 2, 3, 4, 5, 6, 7),
    MARKET: (1, 2, 3, 4, 6, 7),
    STOP: _RESTING,
    STOP_LIMIT: _RESTING,
    TRAILING_STOP: _RESTING,
}
SHAPES: Final = frozenset((side, kind, tif) for side in (1, 2) for kind, tifs in _TIFS.items() for tif in tifs)
"""All (side, type, time in force) that there are."""


def extras_fit(row: Row) -> bool:
    """Whether the order's optional fields may stand with its type and time in force, and with each other."""
    _, _, order_type, tif, stp, bits = row[:6]
    stop, display, minimum, expire_ns, trail = row[14], row[16], row[17], row[18], row[19]
    if stp > SelfTradePrevention.DECREMENT or bits & ~(POST_ONLY | HIDDEN) or (expire_ns and tif != GTD):
        return False
    if (trail and order_type != TRAILING_STOP) or (stop and order_type in (LIMIT, MARKET)):
        return False
    if (bits or display) and (order_type != LIMIT or tif not in _RESTING or (display and bits & HIDDEN)):
        return False
    if not minimum:
        return True
    if order_type == MARKET:
        return tif not in (FOK, AT_OPEN, AT_CLOSE)
    return order_type == LIMIT and (tif in _RESTING or tif == IOC) and not bits & POST_ONLY


def terms_refusal(row: Row, book: Book, account: Account, now_ns: int) -> Code:
    """Quantity, prices, expiry, and what price limits and the account's order size say to them."""
    order_type, price, lots = row[2], row[13], row[15]
    if not 1 <= lots <= MAX_QUANTITY_LOTS:
        return Code.BAD_QUANTITY
    if order_type in (LIMIT, STOP_LIMIT):
        if not 1 <= price <= MAX_PRICE_TICKS:
            return Code.BAD_PRICE
    elif not 0 <= price <= (MAX_PRICE_TICKS if order_type == MARKET else 0):
        return Code.BAD_PRICE
    if order_type == MARKET and gathers(book, row[3]) and not book.gathering_price(row[1], price):
        return Code.BAD_PRICE
    if order_type >= STOP and not _stop_is_good(row, book):
        return Code.BAD_STOP_PRICE
    display, minimum = row[16], row[17]
    if display and not 1 <= display <= lots <= DISPLAY_RATIO * display:
        return Code.BAD_DISPLAY
    if minimum and not 0 <= minimum <= lots:
        return Code.BAD_MINIMUM
    if row[3] == GTD and row[18] <= now_ns:
        return Code.BAD_EXPIRY
    if price and order_type != MARKET and (book.band_ppm or book.collar_ppm):
        code = book.price_refusal(row[1], price)
        if code is not Code.OK:
            return code
    limits = account.limits
    if limits is not None and limits.max_order_lots and lots > limits.max_order_lots:
        return Code.ORDER_TOO_LARGE
    return Code.OK


def gathers(book: Book, tif: int) -> bool:
    """Whether an order that is not a stop order goes into an auction instead of trading at once."""
    return tif == AT_CLOSE or book.phase != CONTINUOUS


def _stop_is_good(row: Row, book: Book) -> bool:
    """Whether a stop order has a stop price, or a trailing one a trail and a price to start from."""
    stop, trail = row[14], row[19]
    if row[2] != TRAILING_STOP:
        return 1 <= stop <= MAX_PRICE_TICKS
    if not 1 <= trail <= MAX_PRICE_TICKS:
        return False
    if not stop:
        if not book.last:
            return False
        stop = book.last + trail if row[1] == BUY else book.last - trail
    return 1 <= stop <= MAX_PRICE_TICKS
