"""All market data of a feed as one fold over the committed events: books, tape, candles, statistics, status. Pure.

It begins empty at the begin of a history, or with the state of a snapshot. Two feeds that have folded the same events
say the same, whichever bursts the events came in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lockstep.engine.snapshot_format import ORDER_COLUMNS, StateImage, encode_order
from lockstep.marketdata.candles import Candles, DayStatistics, bars_of
from lockstep.marketdata.market_status import MARKET, Definition, Status, Statuses, concerns_status
from lockstep.marketdata.order_books import OrderBook, OrderBooks
from lockstep.marketdata.trade_tape import Tape, TradePrint, prints_of
from lockstep.stream.records import CONTROL_EVENT, EventKind, Events

_TRADE: Final = int(EventKind.TRADE)
_EPOCH_STARTED: Final = int(EventKind.EPOCH_STARTED)
_MAX_EPOCHS: Final = 256


@dataclass(slots=True)
class Changes:
    """What some events did."""

    books: list[OrderBook] = field(default_factory=list)
    trades: list[TradePrint] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Instruments; 0: the market."""
    new: list[int] = field(default_factory=list)
    """Instruments that were defined."""


class MarketFold:
    """As of `seq`."""

    def __init__(self, seq: int = 0, image: StateImage | None = None, epoch: int = 0) -> None:
        """`image`: the state as of `seq`, whose record is of `epoch`."""
        rows = None
        last_prices: dict[int, int] = {}
        self.timestamp_ns = 0
        """Stamp of the last event."""
        if image is not None:
            rows = np.frombuffer(b"".join(map(encode_order, image.orders)), dtype=ORDER_COLUMNS)
            last_prices = {row.instrument: row.last_ticks for row in image.instruments}
            self.timestamp_ns = image.last_timestamp_ns
        self.books = OrderBooks(seq, rows)
        self.tape = Tape(seq)
        self.candles = Candles(seq)
        self.days = DayStatistics(seq, last_prices)
        self.statuses = Statuses(seq)
        if image is not None:
            self._load(image, seq)
        # (first seq, epoch), ascending, as far back as it is known.
        self._epochs: list[tuple[int, int]] = [(seq, epoch)]

    def _load(self, image: StateImage, seq: int) -> None:
        for row in image.instruments:
            definition = Definition(row.symbol.decode("ascii", "replace"), row.tick_micros, row.lot_units, seq)
            status = Status(seq, row.phase, row.until_ns, row.reference_ticks, reference_seq=seq, band_ppm=row.band_ppm)
            self.statuses.define(row.instrument, definition, status)
        for bands in image.bands:
            status = self.statuses.of(bands.instrument)
            status.moving_band = bands.low_ticks, bands.high_ticks
            status.limit_state, status.limit_until_ns = bands.state, bands.until_ns
        market = image.market
        self.statuses.of(MARKET).halt_level, self.statuses.of(MARKET).until_ns = market.level, market.until_ns

    @property
    def seq(self) -> int:
        """The last seq whose events are in."""
        return self.books.seq

    def instruments(self) -> list[int]:
        """All that are defined."""
        return list(self.statuses.definitions)

    def apply(self, events: Events, through_seq: int, on_book: Callable[[OrderBook], None] | None = None) -> Changes:
        """Take events behind `seq`, in order: all of them up to `through_seq`.

        `on_book` is called for each book that a command has changed, after that command, while the books are as of it;
        then there are none among the changes.
        """
        if not len(events):
            self.books.apply(events, through_seq)
            return Changes()
        kinds = events["kind"]
        trades = prints_of(events) if (kinds == _TRADE).any() else []
        if trades:
            bars = bars_of(trades)
            self.tape.add(trades)
            self.candles.add(bars)
            self.days.add(bars)
        statuses, new = self.statuses.apply(events, trades)
        self._note_epochs(events[kinds == _EPOCH_STARTED])
        self.timestamp_ns = max(self.timestamp_ns, int(events["timestamp_ns"][-1]))
        changes = Changes([], trades, statuses, new)
        if on_book is None:
            changes.books = self.books.apply(events, through_seq)
            return changes
        end_ns = self.timestamp_ns
        stamps = dict(zip(events["seq"].tolist(), events["timestamp_ns"].tolist(), strict=True))
        for books in self.books.apply_each(events, through_seq):
            self.timestamp_ns = stamps[self.books.seq]
            for book in books:
                on_book(book)
        self.timestamp_ns = end_ns
        return changes

    def apply_each(self, events: Events, through_seq: int, on_book: Callable[[OrderBook], None]) -> Iterator[Changes]:
        """The same, so that what is no book is reported command by command, too: `seq` is the one that did it.

        So what is reported does not depend on the bursts in which the events came.
        """
        seqs = events["seq"]
        begin = 0
        for seq in np.unique(seqs[(events["kind"] == _TRADE) | concerns_status(events)]).tolist():
            first, end = np.searchsorted(seqs, seq, "left"), np.searchsorted(seqs, seq, "right")
            if first > begin:
                yield self.apply(events[begin:first], seq - 1, on_book)
            yield self.apply(events[first:end], seq, on_book)
            begin = end
        yield self.apply(events[begin:], through_seq, on_book)

    def _note_epochs(self, begins: Events) -> None:
        if len(begins):
            rows = begins.view(CONTROL_EVENT)
            self._epochs += zip(rows["seq"].tolist(), rows["epoch"].tolist(), strict=True)
            del self._epochs[:-_MAX_EPOCHS]

    def is_history(self, epoch: int, seq: int) -> bool:
        """Whether what was reported up to `seq`, under `epoch`, is part of this history: no later epoch begins before.

        An operator may have had the cluster go on without some of what was reported (rule 7 of docs/protocol.md).
        """
        return all(first > seq for first, began in self._epochs if began > epoch)
