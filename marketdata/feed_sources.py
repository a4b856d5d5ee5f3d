"""What can be reported of one instrument by one feed: all of it, or what changed behind a seq. Pure.

A source keeps nothing of its own: the fold knows when each level, order, trade and candle changed last. So whoever has
it as of any seq, from this feed or from another one, is brought to the present by what changed since.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Protocol

from lockstep.marketdata.book_checksum import checksum_of
from lockstep.marketdata.candles import LENGTHS_S
from lockstep.marketdata.feed_encoding import (
    encode_best,
    encode_candles,
    encode_definition,
    encode_level,
    encode_levels,
    encode_order,
    encode_orders,
    encode_statistics,
    encode_status,
    encode_trades,
)
from lockstep.marketdata.market_fold import MarketFold
from lockstep.marketdata.market_status import Definition
from lockstep.marketdata.order_books import OrderBook
from lockstep.stream.records import Side
from lockstep.v1 import market_data_pb2

L1: Final = int(market_data_pb2.FEED_L1)
L2: Final = int(market_data_pb2.FEED_L2)
L3: Final = int(market_data_pb2.FEED_L3)
TRADES: Final = int(market_data_pb2.FEED_TRADES)
CANDLES: Final = int(market_data_pb2.FEED_CANDLES)
STATISTICS: Final = int(market_data_pb2.FEED_STATISTICS)
STATUS: Final = int(market_data_pb2.FEED_STATUS)
INSTRUMENTS: Final = int(market_data_pb2.FEED_INSTRUMENTS)
FEEDS: Final = (L1, L2, L3, TRADES, CANDLES, STATISTICS, STATUS, INSTRUMENTS)
BOOK_FEEDS: Final = (L1, L2, L3)
TRADE_FEEDS: Final = (TRADES, CANDLES, STATISTICS)
STATUS_FEEDS: Final = (STATUS, INSTRUMENTS)
DEPTHS: Final = (0, 1, 5, 10, 20)
_CANDLES_SHOWN: Final = 300
_BUY, _SELL = int(Side.BUY), int(Side.SELL)

Reach = tuple[int | None, int | None]
"""How far a reader's window reached: the keys of its last bid and offer, None where it had all there are."""


class Source(Protocol):
    """Of one instrument, feed and depth or candle length."""

    instrument: int
    feed: int
    depth: int
    candle_s: int
    latest: bool
    """It is reported whole each time, and only if it differs from what was reported before."""

    def changed(self) -> int:
        """Seq at which it changed last."""

    def checksum(self) -> int:
        """As it stands; 0 where there is none."""

    def reach(self) -> Reach:
        """How far its window reaches now."""

    def whole(self) -> bytes:
        """All of it, as the content of an update."""

    def since(self, seq: int, reach: Reach | None) -> bytes | None:
        """What changed behind a seq, as the content of an update; empty: nothing. None: that is not known any more.

        `reach`: how far the reader's window reached; None: that is not known.
        """


class _Plain(ABC):
    """Without windows and checksums."""

    depth = candle_s = 0
    latest = True

    def __init__(self, fold: MarketFold, instrument: int, feed: int) -> None:
        self.fold = fold
        self.instrument = instrument
        self.feed = feed

    @abstractmethod
    def changed(self) -> int:
        """See `Source`."""

    def checksum(self) -> int:
        """See `Source`."""
        return 0

    def reach(self) -> Reach:
        """See `Source`."""
        return None, None

    @abstractmethod
    def whole(self) -> bytes:
        """See `Source`."""

    def since(self, seq: int, reach: Reach | None) -> bytes | None:
        """See `Source`."""
        del seq, reach
        return self.whole()


class Best(_Plain):
    """L1."""

    depth = 1

    def __init__(self, fold: MarketFold, instrument: int) -> None:
        super().__init__(fold, instrument, L1)
        self._book = fold.books.book(instrument)

    def changed(self) -> int:
        """See `Source`."""
        return self._book.changed

    def checksum(self) -> int:
        """See `Source`."""
        return checksum_of(self._book, 1)

    def whole(self) -> bytes:
        """See `Source`."""
        bids, asks = self._book.best(_BUY, 1), self._book.best(_SELL, 1)
        return encode_best(bids[0] if bids else None, asks[0] if asks else None)


class Levels(_Plain):
    """L2 to a depth; 0: all levels."""

    latest = False

    def __init__(self, fold: MarketFold, instrument: int, depth: int) -> None:
        super().__init__(fold, instrument, L2)
        self.depth = depth
        self._book = fold.books.book(instrument)

    def changed(self) -> int:
        """See `Source`."""
        return self._book.changed

    def checksum(self) -> int:
        """See `Source`."""
        return checksum_of(self._book, self.depth)

    def reach(self) -> Reach:
        """See `Source`."""
        return self._book.reach(_BUY, self.depth), self._book.reach(_SELL, self.depth)

    def whole(self) -> bytes:
        """See `Source`."""
        return encode_levels((*self._book.best(_BUY, self.depth), *self._book.best(_SELL, self.depth)))

    def since(self, seq: int, reach: Reach | None) -> bytes | None:
        """Of the window as it is now: levels that changed, and those that were not in the reader's before.

        What has left the window for better levels is not reported: the reader cuts its book to the depth. What is gone
        is reported if the reader may have had it.
        """
        book = self._book
        if seq < book.floor:
            return None
        now = self.reach()
        changed, gone = _touched_levels(book, seq, now, reach)
        if self.depth:
            for side, was, is_now in zip((_BUY, _SELL), reach or (None, None), now, strict=True):
                if reach is None:
                    changed.update(dict.fromkeys(level.key for level in book.best(side, self.depth)))
                elif was is not None and (is_now is None or is_now > was):
                    changed.update(dict.fromkeys(level.key for level in book.between(side, was, is_now)))
        found = (book.level(key) for key in changed)
        return b"".join(gone) + encode_levels(level for level in found if level is not None)


def _touched_levels(book: OrderBook, seq: int, now: Reach, was: Reach | None) -> tuple[dict[int, None], list[bytes]]:
    """Keys of the levels in the window that changed behind a seq, and what is to be said of those that are gone."""
    changed: dict[int, None] = {}
    gone: list[bytes] = []
    bid_now, ask_now = now
    bid_was, ask_was = was or (None, None)
    for key, at in reversed(book.levels_touched.items()):
        if at <= seq:
            break
        through, before = (bid_now, bid_was) if key < 0 else (ask_now, ask_was)
        if book.level(key) is None:
            if before is None or key <= before:
                gone.append(encode_level(_BUY if key < 0 else _SELL, abs(key), 0, 0))
        elif through is None or key <= through:
            changed[key] = None
    return changed, gone


class Orders(_Plain):
    """L3."""

    latest = False

    def __init__(self, fold: MarketFold, instrument: int) -> None:
        super().__init__(fold, instrument, L3)
        self._book = fold.books.book(instrument)

    def changed(self) -> int:
        """See `Source`."""
        return self._book.changed

    def checksum(self) -> int:
        """See `Source`."""
        return checksum_of(self._book, orders=True)

    def whole(self) -> bytes:
        """See `Source`."""
        halves = (self._book.best(_BUY, 0), self._book.best(_SELL, 0))
        return b"".join([encode_orders(level, level.orders.values()) for half in halves for level in half])

    def since(self, seq: int, reach: Reach | None) -> bytes | None:
        """First the orders that are gone, then those that changed in their places, then those behind the others."""
        del reach
        book = self._book
        if seq < book.floor:
            return None
        gone, kept, queued = [], [], []
        for order_id, at in reversed(book.orders_touched.items()):
            if at <= seq:
                break
            order = book.orders.get(order_id)
            if order is None or order.level is None:
                gone.append(encode_order(order_id, 0, 0, 0, last=False))
            elif order.queued_seq > seq:
                queued.append(order)
            else:
                kept.append(encode_order(order_id, order.level.side, order.level.price, order.shown, last=False))
        queued.sort(key=lambda order: order.place)
        return b"".join(
            (*gone, *kept, *(encode_orders(order.level, (order,)) for order in queued if order.level is not None))
        )


class Trades(_Plain):
    """The tape."""

    latest = False

    def __init__(self, fold: MarketFold, instrument: int) -> None:
        super().__init__(fold, instrument, TRADES)

    def changed(self) -> int:
        """See `Source`."""
        return self.fold.tape.changed(self.instrument)

    def whole(self) -> bytes:
        """See `Source`."""
        return encode_trades(self.fold.tape.latest(self.instrument))

    def since(self, seq: int, reach: Reach | None) -> bytes | None:
        """See `Source`."""
        del reach
        trades = self.fold.tape.since(self.instrument, seq)
        return None if trades is None else encode_trades(trades)


class CandleSeries(_Plain):
    """Candles of one length."""

    latest = False

    def __init__(self, fold: MarketFold, instrument: int, candle_s: int) -> None:
        super().__init__(fold, instrument, CANDLES)
        self.candle_s = candle_s

    def changed(self) -> int:
        """See `Source`."""
        return self.fold.candles.changed(self.instrument, self.candle_s)

    def whole(self) -> bytes:
        """See `Source`."""
        return encode_candles(self.fold.candles.latest(self.instrument, self.candle_s, _CANDLES_SHOWN))

    def since(self, seq: int, reach: Reach | None) -> bytes | None:
        """See `Source`."""
        del reach
        bars = self.fold.candles.since(self.instrument, self.candle_s, seq)
        return None if bars is None else encode_candles(bars)


class DayFigures(_Plain):
    """Statistics."""

    def __init__(self, fold: MarketFold, instrument: int) -> None:
        super().__init__(fold, instrument, STATISTICS)

    def changed(self) -> int:
        """See `Source`."""
        return self.fold.days.changed(self.instrument)

    def whole(self) -> bytes:
        """See `Source`."""
        return encode_statistics(self.fold.days.of(self.instrument, self.fold.timestamp_ns))


class StatusOf(_Plain):
    """Phase, band, halts, indication."""

    def __init__(self, fold: MarketFold, instrument: int) -> None:
        super().__init__(fold, instrument, STATUS)

    def changed(self) -> int:
        """See `Source`."""
        return self.fold.statuses.of(self.instrument).seq

    def whole(self) -> bytes:
        """See `Source`."""
        return encode_status(self.fold.statuses.of(self.instrument))


class DefinitionOf(_Plain):
    """Reference data."""

    def __init__(self, fold: MarketFold, instrument: int) -> None:
        super().__init__(fold, instrument, INSTRUMENTS)

    def _definition(self) -> Definition:
        return self.fold.statuses.definitions.get(self.instrument) or Definition("", 0, 0, self.fold.seq)

    def changed(self) -> int:
        """See `Source`."""
        return self._definition().seq

    def whole(self) -> bytes:
        """See `Source`."""
        return encode_definition(self._definition())


def source_of(fold: MarketFold, instrument: int, feed: int, parameter: int) -> Source:
    """The source of a stream; `parameter`: the depth of L2, the length of candles.

    Raises:
        KeyError: no feed has this number.
    """
    if feed == L2:
        return Levels(fold, instrument, parameter)
    if feed == CANDLES:
        assert parameter in LENGTHS_S, "asked for by nobody who was admitted"
        return CandleSeries(fold, instrument, parameter)
    plain: dict[int, Callable[[MarketFold, int], Source]] = {
        L1: Best,
        L3: Orders,
        TRADES: Trades,
        STATISTICS: DayFigures,
        STATUS: StatusOf,
        INSTRUMENTS: DefinitionOf,
    }
    return plain[feed](fold, instrument)
