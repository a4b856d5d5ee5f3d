"""Instruments as OUCH speaks of them: eight characters, prices with four decimals, quantities in shares. Pure."""

from typing import Any, Final, NamedTuple

from lockstep.edge.soup import ouch
from lockstep.stream.records import MAX_QUANTITY_LOTS

_MICROS: Final = 100
"""Of one ten-thousandth."""


class Instrument(NamedTuple):
    """As OUCH speaks of it: `units` shares are a lot."""

    name: bytes
    tick_micros: int
    units: int


class Instruments:
    """Those that can be spoken of here: a name of at most eight characters, prices in whole ten-thousandths."""

    def __init__(self) -> None:
        self._by_id: dict[int, Instrument] = {}
        self._by_name: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def define(self, id: int, name: bytes, tick_micros: int, units: int) -> bool:
        """Whether it can be."""
        fits = 0 < len(name) <= 8 and all(0x20 < character <= 0x7E for character in name)
        if not fits or tick_micros <= 0 or tick_micros % _MICROS or not 1 <= units <= ouch.OFF_SCALE:
            return False
        self._by_id[id] = Instrument(name.ljust(8), tick_micros, units)
        self._by_name.setdefault(name.ljust(8), id)
        return True

    def knows(self, id: int) -> bool:
        """Whether it can be spoken of."""
        return id in self._by_id

    def get(self, id: int) -> Instrument:
        """By id; it is known."""
        return self._by_id[id]

    def named(self, name: bytes) -> int:
        """Its id; 0: there is none of that name."""
        return self._by_name.get(name, 0)


def lots_of(shares: int, instrument: Instrument) -> int:
    """0: not whole lots, or too many."""
    lots, rest = divmod(shares, instrument.units)
    return 0 if rest or lots > MAX_QUANTITY_LOTS else lots


def ticks_of(price: int, instrument: Instrument) -> int:
    """0: not a price of this instrument."""
    ticks, rest = divmod(price * _MICROS, instrument.tick_micros)
    return 0 if rest else ticks


def shares_of(lots: Any, instrument: Instrument) -> int:
    """OFF_SCALE where 32 bits can't hold them."""
    return min(int(lots) * instrument.units, ouch.OFF_SCALE)


def price_of(ticks: Any, instrument: Instrument) -> int:
    """In ten-thousandths; OFF_SCALE where 32 bits can't hold it."""
    return min(int(ticks) * instrument.tick_micros // _MICROS, ouch.OFF_SCALE)
