"""Instruments as FIX speaks of them: by name, prices and quantities as decimal numbers. Pure, and exact."""

import re
from typing import Final, NamedTuple

from lockstep.stream.records import MAX_PRICE_TICKS, MAX_QUANTITY_LOTS

_DECIMAL: Final = re.compile(rb"(\d{0,18})(?:\.(\d{0,18}))?")
_PLACES: Final = 6
_MICROS: Final = 10**_PLACES
_AVERAGE_PLACES: Final = 9


class Instrument(NamedTuple):
    """As FIX speaks of it: `units` are a lot."""

    id: int
    name: bytes
    tick_micros: int
    units: int


class Symbols:
    """All instruments that were defined."""

    def __init__(self) -> None:
        self._by_id: dict[int, Instrument] = {}
        self._by_name: dict[bytes, Instrument] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def define(self, id: int, name: bytes, tick_micros: int, units: int) -> None:
        """One that was defined; a definition never changes."""
        instrument = Instrument(id, name, tick_micros, units)
        self._by_id[id] = instrument
        self._by_name.setdefault(name, instrument)

    def get(self, id: int) -> Instrument | None:
        """By id."""
        return self._by_id.get(id)

    def named(self, name: bytes) -> Instrument | None:
        """By Symbol (55)."""
        return self._by_name.get(name)


def micros_of(text: bytes) -> int | None:
    """A decimal number in millionths; None: it is none, is negative, or has more places."""
    found = _DECIMAL.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        return None
    fraction = (found[2] or b"").rstrip(b"0")
    if len(fraction) > _PLACES:
        return None
    return int(found[1] or b"0") * _MICROS + int(fraction.ljust(_PLACES, b"0"))


def ticks_of(text: bytes, instrument: Instrument) -> int:
    """0: not a price of this instrument."""
    micros = micros_of(text)
    ticks, rest = divmod(micros or 0, instrument.tick_micros)
    return 0 if rest or ticks > MAX_PRICE_TICKS else ticks


def lots_of(text: bytes, instrument: Instrument) -> int:
    """0: not whole lots, none, or too many."""
    micros = micros_of(text)
    lots, rest = divmod(micros or 0, instrument.units * _MICROS)
    return 0 if rest or lots > MAX_QUANTITY_LOTS else lots


def price_text(ticks: int, instrument: Instrument) -> bytes:
    """Of a price, which may be negative."""
    return _decimal(ticks * instrument.tick_micros, _PLACES)


def quantity_text(lots: int, instrument: Instrument) -> bytes:
    """Of a quantity."""
    return b"%d" % (lots * instrument.units)


def average_text(worth: int, lots: int, instrument: Instrument) -> bytes:
    """The mean price of `lots` that were worth `worth` ticks in all, with nine places, rounded down; 0 for none."""
    if not lots:
        return b"0"
    return _decimal(worth * instrument.tick_micros * 10 ** (_AVERAGE_PLACES - _PLACES) // lots, _AVERAGE_PLACES)


def _decimal(value: int, places: int) -> bytes:
    """Without zeros at its end."""
    sign = b"-" if value < 0 else b""
    whole, rest = divmod(abs(value), 10**places)
    fraction = (b"%0*d" % (places, rest)).rstrip(b"0")
    return b"%b%d.%b" % (sign, whole, fraction) if fraction else b"%b%d" % (sign, whole)
