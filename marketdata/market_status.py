"""Reference data, phases, bands, halts and auction indications of all instruments, from the events. Pure.

A band follows from the instrument's reference price and its rate (docs/engine.md, "Price limits"). PRICE_LIMITS_SET
says that the rate is another one, but not which: until somebody says it (`learn_band`), the band is not known. The
bands of limit up, limit down are in BANDS_MOVED.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.marketdata.trade_tape import TradePrint
from lockstep.stream.records import DEFINITION_EVENT, SETTING_EVENT, EventFlag, EventKind, Events, Phase

MARKET: Final = 0
"""Stands for the whole market where others have an instrument."""
_PPM: Final = 1_000_000
_PHASE_CHANGED: Final = int(EventKind.PHASE_CHANGED)
_INDICATIVE: Final = int(EventKind.INDICATIVE)
_MARKET_HALTED: Final = int(EventKind.MARKET_HALTED)
_PRICE_LIMITS_SET: Final = int(EventKind.PRICE_LIMITS_SET)
_BANDS_SET: Final = int(EventKind.BANDS_SET)
_BANDS_MOVED: Final = int(EventKind.BANDS_MOVED)
_LIMIT_STATE: Final = int(EventKind.LIMIT_STATE_CHANGED)
_DEFINED: Final = int(EventKind.INSTRUMENT_DEFINED)
_WANTED: Final = np.zeros(256, dtype=bool)
_WANTED[[_PHASE_CHANGED, _INDICATIVE, _MARKET_HALTED, _PRICE_LIMITS_SET, _DEFINED]] = True
_WANTED[[_BANDS_SET, _BANDS_MOVED, _LIMIT_STATE]] = True
_AUCTION: Final = int(EventFlag.AUCTION)
_AUCTIONS: Final = (int(Phase.OPENING_AUCTION), int(Phase.VOLATILITY_AUCTION), int(Phase.CLOSING_AUCTION))


@dataclass(slots=True)
class Definition:
    """What was defined, and when."""

    symbol: str
    tick_micros: int
    lot_units: int
    seq: int


@dataclass(slots=True)
class Status:
    """Of one instrument, or of the market."""

    seq: int
    """When it changed last."""
    phase: int = int(Phase.CONTINUOUS)
    until_ns: int = 0
    reference_ticks: int = 0
    reference_seq: int = 0
    """Where the reference price comes from."""
    band_ppm: int | None = 0
    """0: no band; None: not known."""
    indicative_ticks: int = 0
    indicative_lots: int = 0
    imbalance_lots: int = 0
    imbalance_side: int = 0
    halt_level: int = 0
    moving_band: tuple[int, int] = (0, 0)
    """Of limit up, limit down, in CONTINUOUS; (0, 0): none."""
    limit_state: int = 0
    limit_until_ns: int = 0

    @property
    def band(self) -> tuple[int, int]:
        """Lowest and highest price of limits; (0, 0): there is no band, or it is not known."""
        low, high = self._fixed_band()
        if self.moving_band == (0, 0) or self.phase != Phase.CONTINUOUS:
            return low, high
        return max(low, self.moving_band[0]), min(high or self.moving_band[1], self.moving_band[1])

    def _fixed_band(self) -> tuple[int, int]:
        if not self.band_ppm or not self.reference_ticks:
            return 0, 0
        width = self.reference_ticks * self.band_ppm // _PPM
        return self.reference_ticks - width, self.reference_ticks + width


def concerns_status(events: Events) -> NDArray[np.bool_]:
    """Which events change a status, besides trades of auctions."""
    concerned: NDArray[np.bool_] = _WANTED[events["kind"]]
    return concerned


class Statuses:
    """Of all instruments."""

    def __init__(self, seq: int) -> None:
        self._start = seq
        self.definitions: dict[int, Definition] = {}
        self._statuses: dict[int, Status] = {MARKET: Status(seq)}
        self.limits_set: dict[int, int] = {}
        """Instruments whose band is not known, with the seq of the command that set it."""
        self._learnt: dict[int, tuple[int, int]] = {}

    def define(self, instrument: int, definition: Definition, status: Status) -> None:
        """As a snapshot has it."""
        self.definitions[instrument] = definition
        self._statuses[instrument] = status

    def of(self, instrument: int) -> Status:
        """An instrument's, or the market's."""
        found = self._statuses.get(instrument)
        return Status(self._start) if found is None else found

    def learn_band(self, instrument: int, band_ppm: int, seq: int) -> None:
        """What the command at `seq` has set; it is reported with the next events, which are of a later seq."""
        if self.limits_set.get(instrument) == seq:
            self._learnt[instrument] = band_ppm, seq

    def apply(self, events: Events, trades: Iterable[TradePrint]) -> tuple[list[int], list[int]]:
        """Take a burst of events and its trades: instruments whose status changed, and those that are new."""
        changed: dict[int, None] = {}
        new: list[int] = []
        rows = events[_WANTED[events["kind"]]]
        for row, setting, defined in zip(rows, rows.view(SETTING_EVENT), rows.view(DEFINITION_EVENT), strict=True):
            instrument = int(row["instrument"])
            if int(row["kind"]) == _DEFINED:
                new += self._define(instrument, defined)
            else:
                self._apply(int(row["kind"]), instrument, row, setting)
            changed[instrument] = None
        for trade in trades:
            # The price of an uncross, which follows its PHASE_CHANGED, is the reference price from then on.
            if trade.flags & _AUCTION:
                status = self._status(trade.instrument)
                if trade.seq >= status.reference_seq:
                    status.reference_ticks, status.reference_seq = trade.price_ticks, trade.seq
                    status.seq = max(status.seq, trade.seq)
                    changed[trade.instrument] = None
        if self._learnt and len(events):
            changed.update(dict.fromkeys(self._set_bands(int(events["seq"][-1]))))
        return list(changed), new

    def _set_bands(self, seq: int) -> list[int]:
        learnt, self._learnt = self._learnt, {}
        found = [one for one, (_, set_at) in learnt.items() if self.limits_set.get(one) == set_at]
        for instrument in found:
            status = self._status(instrument)
            status.band_ppm, status.seq = learnt[instrument][0], seq
            del self.limits_set[instrument]
        return found

    def _define(self, instrument: int, row: np.void) -> list[int]:
        if instrument in self.definitions:
            return []
        symbol = bytes(row["name"]).rstrip(b"\0").decode("ascii", "backslashreplace")
        seq = int(row["seq"])
        self.definitions[instrument] = Definition(symbol, int(row["tick_micros"]), int(row["lot_units"]), seq)
        self._status(instrument).seq = seq
        return [instrument]

    def _apply(self, kind: int, instrument: int, row: np.void, setting: np.void) -> None:
        status = self._status(instrument)
        status.seq = int(row["seq"])
        if kind == _PHASE_CHANGED:
            status.phase, status.until_ns = int(setting["value"]), int(setting["until_ns"])
            status.reference_ticks, status.reference_seq = int(setting["reference_price_ticks"]), status.seq
            status.limit_state = status.limit_until_ns = 0
            if status.phase not in _AUCTIONS:
                status.indicative_ticks = status.indicative_lots = status.imbalance_lots = status.imbalance_side = 0
        elif kind == _INDICATIVE:
            status.indicative_ticks, status.indicative_lots = int(row["price_ticks"]), int(row["quantity_lots"])
            status.imbalance_lots, status.imbalance_side = int(row["leaves_lots"]), int(row["side"])
        elif kind == _MARKET_HALTED:
            status.halt_level, status.until_ns = int(setting["value"]), int(setting["until_ns"])
        elif kind == _BANDS_MOVED:
            status.moving_band = int(setting["value"]), int(setting["previous_value"])
        elif kind == _LIMIT_STATE:
            status.limit_state, status.limit_until_ns = int(setting["value"]), int(setting["until_ns"])
        elif kind == _BANDS_SET:
            status.moving_band = 0, 0
            status.limit_state = status.limit_until_ns = 0
        else:
            status.band_ppm = None
            self.limits_set[instrument] = status.seq

    def _status(self, instrument: int) -> Status:
        found = self._statuses.get(instrument)
        if found is None:
            found = self._statuses[instrument] = Status(self._start)
        return found
