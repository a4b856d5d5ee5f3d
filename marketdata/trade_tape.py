"""The trades of a feed: as they come, and the latest of each instrument for who joins, or comes back. Pure."""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from lockstep.stream.records import EventFlag, EventKind, Events

MAX_KEPT: Final = 65_536
"""Trades that are kept in all, besides the last `SHOWN` of each instrument."""
SHOWN: Final = 50
"""Trades that a snapshot shows."""
_FIELDS: Final = (
    "instrument", "seq", "index", "price_ticks", "quantity_lots", "side", "flags", "order_id", "maker_order_id",
    "timestamp_ns",
)  # fmt: skip
_TRADE: Final = int(EventKind.TRADE)
_AUCTION: Final = int(EventFlag.AUCTION)


class TradePrint(NamedTuple):
    """One trade. `flags` as in the event; in an auction the buyer stands in the taker's place, and took nothing."""

    instrument: int
    seq: int
    number: int
    """Its index: (seq, index) is the event id."""
    price_ticks: int
    quantity_lots: int
    side: int
    flags: int
    taker_order_id: int
    maker_order_id: int
    timestamp_ns: int

    @property
    def auction(self) -> bool:
        """Whether it is of an auction."""
        return bool(self.flags & _AUCTION)


def prints_of(events: Events) -> list[TradePrint]:
    """The trades among some events, in order."""
    rows = events[events["kind"] == _TRADE]
    if not len(rows):
        return []
    return list(map(TradePrint._make, zip(*(rows[name].tolist() for name in _FIELDS), strict=True)))


class Tape:
    """Invariant: of an instrument every trade behind its `floor` is kept."""

    def __init__(self, seq: int) -> None:
        self._start = seq
        self._kept: dict[int, deque[TradePrint]] = {}
        self._floors: dict[int, int] = {}
        self._order: deque[int] = deque()

    def add(self, trades: Iterable[TradePrint]) -> None:
        """Later ones than all before."""
        for trade in trades:
            self._kept.setdefault(trade.instrument, deque()).append(trade)
            self._order.append(trade.instrument)
        while len(self._order) > MAX_KEPT:
            instrument = self._order.popleft()
            kept = self._kept[instrument]
            if len(kept) > SHOWN:
                self._floors[instrument] = kept.popleft().seq

    def latest(self, instrument: int) -> list[TradePrint]:
        """What a snapshot shows, oldest first."""
        kept = self._kept.get(instrument, ())
        return list(kept)[-SHOWN:]

    def before(self, instrument: int, event: tuple[int, int] | None, most: int) -> list[TradePrint]:
        """The latest ones before the event (None: of all) that are kept, the latest first, at most so many."""
        found: list[TradePrint] = []
        for trade in reversed(self._kept.get(instrument, ())):
            if len(found) == most:
                break
            if event is None or (trade.seq, trade.number) < event:
                found.append(trade)
        return found

    def changed(self, instrument: int) -> int:
        """Seq of the last trade; where the tape began, if there was none."""
        kept = self._kept.get(instrument)
        return kept[-1].seq if kept else self._start

    def since(self, instrument: int, seq: int) -> list[TradePrint] | None:
        """All trades of later seqs; None: some of them are not kept any more."""
        if seq < self._floors.get(instrument, self._start):
            return None
        found = []
        for trade in reversed(self._kept.get(instrument, ())):
            if trade.seq <= seq:
                break
            found.append(trade)
        return found[::-1]
