"""An order as its client knows it over FIX: what was reported of it, and what its state is called. Pure."""

import hashlib
from dataclasses import dataclass
from typing import Final

from lockstep.stream.codes import Code
from lockstep.stream.records import OrderType, TimeInForce

NEW: Final = b"0"
PARTIALLY_FILLED: Final = b"1"
FILLED: Final = b"2"
CANCELED: Final = b"4"
REJECTED: Final = b"8"
EXPIRED: Final = b"C"
"""Values of OrdStatus (39)."""

EXPIRING: Final = frozenset((Code.EXPIRED, Code.AUCTION_ENDED))
"""An order that ends for one of these is expired, and not canceled."""

ORDER_TYPES: Final = {
    b"1": OrderType.MARKET,
    b"2": OrderType.LIMIT,
    b"3": OrderType.STOP,
    b"4": OrderType.STOP_LIMIT,
}
"""By OrdType (40)."""
TYPE_LETTERS: Final[dict[int, bytes]] = {
    **{of: letter for letter, of in ORDER_TYPES.items()},
    OrderType.TRAILING_STOP: b"P",
    OrderType.OCO: b"2",
}
TIMES_IN_FORCE: Final = {
    b"0": TimeInForce.DAY,
    b"1": TimeInForce.GTC,
    b"2": TimeInForce.AT_OPEN,
    b"3": TimeInForce.IOC,
    b"4": TimeInForce.FOK,
    b"6": TimeInForce.GTD,
    b"7": TimeInForce.AT_CLOSE,
}
"""By TimeInForce (59)."""
TIME_LETTERS: Final[dict[int, bytes]] = {time: letter for letter, time in TIMES_IN_FORCE.items()}

_TOP: Final = 1 << 63


@dataclass(slots=True)
class Order:
    """Invariant: `leaves` is 0 once `ended`."""

    name: bytes
    """Its ClOrdID now: that of the latest replace which was executed."""
    bits: int
    """Its client order id at the engine, which stays."""
    account: int
    instrument: int
    side: int
    """A character, as the client gave it."""
    id: int = 0
    """OrderID: the exchange's."""
    type: int = 0
    tif: int = 0
    flags: int = 0
    price_ticks: int = 0
    stop_price_ticks: int = 0
    quantity_lots: int = 0
    display_lots: int = 0
    expire_ns: int = 0
    leaves_lots: int = 0
    traded_lots: int = 0
    worth: int = 0
    """Sum of price in ticks times lots over its trades."""
    status: bytes = NEW
    ended: bool = False

    def end(self, status: bytes) -> None:
        """Nothing of it is open any more."""
        self.status, self.ended, self.leaves_lots = status, True, 0

    def trade(self, price_ticks: int, lots: int, leaves_lots: int) -> None:
        """It traded."""
        self.traded_lots += lots
        self.worth += price_ticks * lots
        self.leaves_lots = leaves_lots
        self.status = PARTIALLY_FILLED
        if not leaves_lots:
            self.end(FILLED)


def bits_of(session_id: int, name: bytes) -> int:
    """The client order id of an order that is entered under a ClOrdID: the same whenever it is computed.

    63 bits of a hash, so that no two orders of an account share it, and the highest bit set.
    """
    digest = hashlib.blake2b(name, digest_size=8, key=session_id.to_bytes(8, "big")).digest()
    return int.from_bytes(digest, "big") | _TOP
