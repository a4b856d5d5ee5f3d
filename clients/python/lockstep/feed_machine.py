"""What the frames of a feed mean to who follows it, across connections. Pure: no clock, no I/O.

Of each stream the machine knows up to where it is good. A message that does not follow the one before, or after which a
book's checksum is wrong, makes its stream RECOVERING, and the shell connects again: `positions` says from where each
good stream goes on, and a stream that is not good begins with a snapshot. Nothing is ever applied to a stream that is
not LIVE but what brings it to life.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lockstep.book import FeedGap, Level, TradesMissed
from lockstep.enums import Feed
from lockstep.feed_book import FeedBook, FeedState
from lockstep.v1 import feed_pb2


@dataclass(frozen=True)
class FeedTrade:
    """A trade as everybody sees it; `aggressor` is the taker's side, 0 in an auction."""

    instrument: int
    seq: int
    index: int
    epoch: int
    price_ticks: int
    quantity_lots: int
    aggressor: int
    auction: bool
    taker_order_id: int
    maker_order_id: int
    timestamp_ns: int


@dataclass(frozen=True)
class Candle:
    """What was traded in a span of time. `vwap_micro_ticks`: average price in millionths of a tick, 0 without trades.

    A candle without trades has the close before it as all its prices.
    """

    instrument: int
    length_s: int
    open_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume_lots: int
    trades: int
    vwap_micro_ticks: int
    last_seq: int
    state: FeedState = FeedState.LIVE


@dataclass
class _Stream:
    """One instrument's of one feed. `seq` is what it is good up to; None: nothing is known."""

    seq: "int | None" = None
    epoch: int = 0
    live: bool = False


FeedItem = "FeedBook | FeedTrade | TradesMissed | Candle"


@dataclass
class FeedMachine:
    """All streams of one subscription, of one feed."""

    feed: Feed
    depth: int = 0
    books: "dict[int, FeedBook]" = field(default_factory=dict)
    epoch: int = 0
    """Highest epoch heard."""
    seq: int = 0
    """How far the feed is, as it said last."""
    recovered: int = 0
    """Streams that went on without a gap after a break."""
    restarted: int = 0
    """Streams that began anew with a snapshot after a break."""
    checksum_errors: int = 0
    gaps: int = 0
    _streams: "dict[int, _Stream]" = field(default_factory=dict)

    @property
    def state(self) -> FeedState:
        """LIVE if every stream is, and there is one."""
        live = bool(self._streams) and all(stream.live for stream in self._streams.values())
        return FeedState.LIVE if live else FeedState.RECOVERING

    @property
    def instruments(self) -> "tuple[int, ...]":
        """Those whose streams are known."""
        return tuple(self._streams)

    def is_live(self, instrument: int) -> bool:
        """Whether a stream is whole now."""
        stream = self._streams.get(instrument)
        return stream is not None and stream.live

    def position(self, instrument: int) -> "int | None":
        """Up to where a stream is good; None: nothing is known."""
        stream = self._streams.get(instrument)
        return None if stream is None else stream.seq

    def go_on_from(self, instrument: int, seq: int, epoch: int) -> None:
        """What was up to there has come by another way. The stream is to be broken."""
        stream = self._streams.setdefault(instrument, _Stream())
        assert not stream.live, "a stream that is whole goes on from where it is"
        stream.seq, stream.epoch = seq, epoch

    def on_broken(self) -> "list[FeedBook]":
        """The connection is gone: nothing is live any more. The books that were."""
        turned = []
        for instrument, stream in self._streams.items():
            stream.live = False
            turned += self._mark(instrument, FeedState.RECOVERING)
        return turned

    def positions(self) -> "Iterator[feed_pb2.StreamPosition]":
        """Where each stream goes on that is good up to somewhere."""
        for instrument, stream in self._streams.items():
            if stream.seq is not None:
                yield feed_pb2.StreamPosition(instrument=instrument, epoch=stream.epoch, seq=stream.seq)

    def on_frame(self, frame: feed_pb2.FeedFrame) -> "list[Any]":
        """Take a frame; what it says to who follows, in order: books, trades, candles.

        Raises:
            FeedGap: something is missing or wrong; connect again. What came before it was taken, and is its `items`.
        """
        for recovery in frame.recoveries:
            self._on_recovery(recovery)
        found: list[Any] = []
        try:
            for update in frame.updates:
                found += self._on_update(update)
        except FeedGap as gap:
            gap.items = found
            raise
        if frame.HasField("heartbeat"):
            self._hear(frame.heartbeat.epoch)
            self.seq = frame.heartbeat.seq
        return found

    def _on_recovery(self, recovery: feed_pb2.Recovery) -> None:
        """What the feed says to a position: if it goes on from there, all that is missing stands in this frame."""
        self.recovered += recovery.recovered
        self.restarted += not recovery.recovered
        stream = self._streams.get(recovery.instrument)
        if recovery.recovered and stream is not None and stream.seq is not None:
            stream.live = True
            self._mark(recovery.instrument, FeedState.LIVE)

    def _hear(self, epoch: int) -> None:
        if epoch < self.epoch:
            raise FeedGap(f"the feed speaks of epoch {epoch}, but epoch {self.epoch} was seen: it was left behind")
        self.epoch = epoch

    def _on_update(self, update: feed_pb2.FeedUpdate) -> "list[Any]":
        if update.feed != int(self.feed):
            return []
        self._hear(update.epoch)
        instrument = update.instrument
        stream = self._streams.setdefault(instrument, _Stream())
        resumes = not stream.live and stream.seq is not None and update.previous_last_seq == stream.seq
        if not (update.snapshot or resumes or (stream.live and update.previous_last_seq == stream.seq)):
            self.gaps += 1
            self._lose(instrument)
            raise FeedGap(
                f"instrument {instrument}: a message follows seq {update.previous_last_seq}, the last one seen was "
                f"{stream.seq}"
            )
        before = stream.seq
        stream.seq, stream.epoch, stream.live = update.last_seq, update.epoch, True
        self.seq = max(self.seq, update.last_seq)
        if self.feed in (Feed.L1, Feed.L2, Feed.L3):
            return [self._on_book(update)]
        if self.feed is Feed.TRADES:
            return self._on_trades(update, before)
        if self.feed is Feed.CANDLES:
            return [_candle(update, row) for row in update.candles]
        return [update]

    def _lose(self, instrument: int) -> None:
        stream = self._streams[instrument]
        stream.live = False
        self._mark(instrument, FeedState.RECOVERING)

    def _mark(self, instrument: int, state: FeedState) -> "list[FeedBook]":
        book = self.books.get(instrument)
        if book is None or book.state is state:
            return []
        book.state = state
        return [book]

    def _on_book(self, update: feed_pb2.FeedUpdate) -> FeedBook:
        book = self.books.get(update.instrument)
        if book is None:
            book = self.books[update.instrument] = FeedBook(update.instrument, update.depth)
        # Until it is known to be right again.
        book.state = FeedState.RECOVERING
        if update.snapshot:
            book.clear()
        if self.feed is Feed.L1:
            _set_best(book, update.best)
        elif self.feed is Feed.L2:
            book.apply_levels(update.levels)
        else:
            book.apply_orders(update.orders)
        if book.checksum() != update.checksum:
            self.checksum_errors += 1
            # What is wrong is no ground to go on from.
            stream = self._streams[update.instrument]
            stream.live, stream.seq = False, None
            raise FeedGap(f"instrument {update.instrument}: the book's checksum is wrong at seq {update.last_seq}")
        book.seq, book.epoch, book.timestamp_ns = update.last_seq, update.epoch, update.timestamp_ns
        book.state = FeedState.LIVE
        return book

    def _on_trades(self, update: feed_pb2.FeedUpdate, before: "int | None") -> "list[Any]":
        instrument, epoch = update.instrument, update.epoch
        found: list[Any] = []
        if update.snapshot and before is not None:
            found.append(TradesMissed(instrument, before, _LAST_INDEX, update.last_seq, epoch))
        if not update.snapshot or before is not None:
            found += [
                _trade(instrument, epoch, row) for row in update.trades if before is None or row.seq > before
            ]  # fmt: skip
        return found


_LAST_INDEX = 2**32 - 1


def _set_best(book: FeedBook, best: feed_pb2.BestPrices) -> None:
    bids = (Level(best.bid_price_ticks, best.bid_quantity_lots, best.bid_orders),) if best.bid_orders else ()
    asks = (Level(best.ask_price_ticks, best.ask_quantity_lots, best.ask_orders),) if best.ask_orders else ()
    book.apply_snapshot(bids, asks)


def _trade(instrument: int, epoch: int, row: feed_pb2.TapeTrade) -> FeedTrade:
    return FeedTrade(
        instrument,
        row.seq,
        row.index,
        epoch,
        row.price_ticks,
        row.quantity_lots,
        row.aggressor,
        row.auction,
        row.taker_order_id,
        row.maker_order_id,
        row.timestamp_ns,
    )


def candle_of(instrument: int, length_s: int, row: feed_pb2.Candle) -> Candle:
    """A candle as the protocol has it."""
    return Candle(
        instrument,
        length_s,
        row.open_ns,
        row.open_ticks,
        row.high_ticks,
        row.low_ticks,
        row.close_ticks,
        row.volume_lots,
        row.trades,
        row.vwap_micro_ticks,
        row.last_seq,
    )


def _candle(update: feed_pb2.FeedUpdate, row: feed_pb2.Candle) -> Candle:
    return candle_of(update.instrument, update.candle_s, row)
