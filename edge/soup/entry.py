"""What a client's Enter Order asks for, field by field, in the order in which it is checked. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from lockstep.edge.soup import ouch
from lockstep.edge.soup.instruments import Instruments, lots_of, ticks_of
from lockstep.stream.codes import Code
from lockstep.stream.records import CommandKind, OrderFlag, OrderType, Side, TimeInForce

Fields = dict[str, int]
"""Of a COMMAND; those that are missing are 0."""

_NS_PER_S: Final = 1_000_000_000
_SIDES: Final = {b"B": Side.BUY, b"S": Side.SELL, b"T": Side.SELL, b"E": Side.SELL}
DISPLAYS: Final[dict[bytes, int]] = {
    b"A": 0,
    b"Y": 0,
    b"N": OrderFlag.HIDDEN,
    b"P": OrderFlag.POST_ONLY,
    b"L": OrderFlag.POST_ONLY,
}
"""An order's flags by display letter."""
_CROSSES: Final = {b"O": TimeInForce.AT_OPEN, b"C": TimeInForce.AT_CLOSE}


class Fault(NamedTuple):
    """Why the door refuses a message: for reports elsewhere, and the letter of a Rejected."""

    code: Code
    reason: bytes


def order_of(
    text: bytes, now_ns: int, instruments: Instruments, account: int, accounts: Sequence[int]
) -> Fields | Fault:
    """A new order's fields. `account`: where no firm is named; `accounts`: that may be traded, empty: all."""
    _, side, shares, stock, price, seconds, firm, display, _capacity, sweep, minimum, cross = ouch.ENTER.unpack(
        text[1:48]
    )
    if side not in _SIDES:
        return Fault(Code.UNKNOWN_ENUM_VALUE, b"O")
    number = instruments.named(stock)
    if not number:
        return Fault(Code.UNKNOWN_INSTRUMENT, b"S")
    owner = _account_of(firm, account)
    if not owner:
        return Fault(Code.UNKNOWN_ACCOUNT, b"L")
    if accounts and owner not in accounts:
        return Fault(Code.NOT_ENTITLED, b"L")
    instrument = instruments.get(number)
    lots = lots_of(shares, instrument)
    if not lots:
        return Fault(Code.BAD_QUANTITY, b"Z")
    market = price == ouch.MARKET_PRICE
    ticks = 0 if market else ticks_of(price, instrument)
    if not market and not ticks:
        return Fault(Code.BAD_PRICE, b"X")
    fault = manner_fault(display, sweep, minimum)
    if fault is not None:
        return fault
    times = _time_in_force(seconds, cross, now_ns)
    if isinstance(times, Fault):
        return times
    tif, expire_ns = times
    return {
        "kind": CommandKind.NEW_ORDER,
        "side": _SIDES[side],
        "order_type": OrderType.MARKET if market else OrderType.LIMIT,
        "tif": tif,
        "flags": DISPLAYS[display],
        "account": owner,
        "instrument": number,
        "price_ticks": ticks,
        "quantity_lots": lots,
        "expire_ns": expire_ns,
    }


def manner_fault(display: bytes, sweep: bytes, minimum: int, flags: int | None = None) -> Fault | None:
    """Display, intermarket sweep and minimum quantity. `flags`: which the display must stand for."""
    if display not in DISPLAYS or (flags is not None and DISPLAYS[display] != flags):
        return Fault(Code.BAD_DISPLAY, b"D")
    if sweep != b"N":
        return Fault(Code.NOT_SUPPORTED, b"d")
    return Fault(Code.BAD_MINIMUM, b"N") if minimum else None


def _account_of(firm: bytes, default: int) -> int:
    """The firm is an account of up to four digits, or blank; 0: it is none."""
    digits = firm.rstrip(b" ")
    if not digits:
        return default
    return int(digits) if all(0x30 <= digit <= 0x39 for digit in digits) else 0


def _time_in_force(seconds: int, cross: bytes, now_ns: int) -> tuple[int, int] | Fault:
    """Time in force and expiry."""
    if cross in _CROSSES:
        return _CROSSES[cross], 0
    if cross != b"N":
        return Fault(Code.NOT_SUPPORTED, b"R")
    if seconds == 0:
        return TimeInForce.IOC, 0
    if seconds in (ouch.DAY, ouch.SYSTEM_DAY):
        return TimeInForce.DAY, 0
    if seconds <= ouch.LAST_SECOND:
        return TimeInForce.GTD, now_ns + seconds * _NS_PER_S
    return Fault(Code.BAD_EXPIRY, b"O")


def keeps_time_in_force(seconds: int, tif: int) -> bool:
    """Whether a replace names the time in force that the order has; that of GTD can't be named again."""
    if tif == TimeInForce.DAY:
        return seconds in (ouch.DAY, ouch.SYSTEM_DAY)
    return tif in _CROSSES.values()
