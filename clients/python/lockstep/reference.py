"""Reference data: instruments by id and by symbol, as last fetched."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from lockstep.arguments import from_micros
from lockstep.v1 import common_pb2


@dataclass(frozen=True, slots=True)
class Instrument:
    """A tradable instrument. One lot at a price of one tick is worth `tick_micros * lot_units` micros of currency."""

    id: int
    symbol: str
    tick_micros: int
    lot_units: int

    @property
    def tick(self) -> Decimal:
        """Size of one tick in currency."""
        return from_micros(self.tick_micros)


def instrument_from_proto(row: common_pb2.Instrument) -> Instrument:
    """One instrument of the wire."""
    return Instrument(row.id, row.symbol, row.tick_micros, row.lot_units)


class Reference:
    """What is known of the instruments. An instrument never changes once it is defined, so nothing here grows stale."""

    def __init__(self) -> None:
        self._by_id: dict[int, Instrument] = {}
        self._by_symbol: dict[str, Instrument] = {}

    def learn(self, instruments: Iterable[Instrument]) -> None:
        """Add what a gateway listed."""
        for instrument in instruments:
            self._by_id[instrument.id] = instrument
            self._by_symbol[instrument.symbol] = instrument

    def find(self, name: str | int) -> Instrument | None:
        """By symbol or id; None if it is not known (yet)."""
        return self._by_symbol.get(name) if isinstance(name, str) else self._by_id.get(name)

    def symbols(self) -> list[str]:
        """All symbols known, in alphabetical order."""
        return sorted(self._by_symbol)
