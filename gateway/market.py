"""What one market-data subscriber still has to be told. Pure.

Book changes are conflated: a level or a best price that changes twice before the subscriber reads has its last value
told once, and a subscriber for whom too many levels wait gets a new snapshot instead. A subscriber with a limited depth
has exactly the best levels of each side after each message (see `depth.py`). Trades are never conflated; their queue is
bounded, and a subscriber that lets it overflow must subscribe again.

Each message of an instrument and feed names the seq of the one before it, so that a subscriber sees for itself that it
has missed none.
"""

from collections.abc import Iterable
from typing import Final

from lockstep.gateway.books import Best, BookChange, Books, Level, Print
from lockstep.gateway.depth import Window
from lockstep.v1 import common_pb2, market_data_pb2

L1: Final = market_data_pb2.FEED_L1
L2: Final = market_data_pb2.FEED_L2
TRADES: Final = market_data_pb2.FEED_TRADES
FEEDS: Final = (L1, L2, TRADES)

_MAX_PRINTS: Final = 65_536

Update = market_data_pb2.MarketDataUpdate


class Subscription:
    """Invariant: an instrument has a snapshot told or waiting before any change of it is told."""

    def __init__(self, instruments: Iterable[int], feeds: Iterable[int], depth: int) -> None:
        """No instruments: all, later ones too. `depth`: levels a side, 0: all."""
        self._wanted = frozenset(instruments)
        self._feeds = tuple(feed for feed in FEEDS if feed in tuple(feeds))
        self._depth = depth
        # Instruments of which a snapshot, levels or the best prices are to be told, in order of first change.
        self._snapshots: dict[int, None] = {}
        self._levels: dict[int, None] = {}
        self._best: dict[int, None] = {}
        self._windows: dict[int, Window] = {}
        self._prints: list[tuple[int, Print]] = []
        self._told: dict[tuple[int, int], int] = {}
        self._known: dict[int, None] = {}
        self.overflowed = False
        """Too many trades wait: the stream must end."""

    def wants(self, instrument: int) -> bool:
        """Whether it is subscribed to the instrument."""
        return not self._wanted or instrument in self._wanted

    def begin(self, instruments: Iterable[int]) -> None:
        """Owe a snapshot of each of these instruments that is wanted and was not begun before."""
        for instrument in instruments:
            if self.wants(instrument) and instrument not in self._known:
                self._known[instrument] = None
                self._snapshots[instrument] = None

    def on_change(self, change: BookChange) -> None:
        """One burst's effect on an instrument."""
        instrument = change.instrument
        if not self.wants(instrument):
            return
        if instrument not in self._known:
            self.begin((instrument,))
        if instrument not in self._snapshots:
            self._add_book(instrument, change)
        # Trades of a burst that the snapshot covers are told: the snapshot has none.
        if TRADES in self._feeds and change.prints:
            self._prints.extend((instrument, trade) for trade in change.prints)
            self.overflowed = self.overflowed or len(self._prints) > _MAX_PRINTS

    def _add_book(self, instrument: int, change: BookChange) -> None:
        if L1 in self._feeds and change.best is not None:
            self._best[instrument] = None
        if L2 in self._feeds and change.levels:
            window = self._windows[instrument]
            window.touch(change.levels)
            if window.overflowed:
                self._levels.pop(instrument, None)
                self._best.pop(instrument, None)
                self._snapshots[instrument] = None
            elif window.touched:
                self._levels[instrument] = None

    @property
    def waiting(self) -> bool:
        """Something is to be told."""
        return bool(self._snapshots or self._levels or self._best or self._prints)

    def take(self, books: Books, epoch: int) -> list[Update]:
        """All that is to be told, as of `books`."""
        updates: list[Update] = []
        for instrument in self._snapshots:
            updates += self._snapshot(books, instrument, epoch)
        for instrument in self._best:
            updates.append(self._update(epoch, instrument, L1, books.seq, best=_best(books.best(instrument))))
        for instrument in self._levels:
            levels = self._windows[instrument].take(books, instrument)
            changed = market_data_pb2.BookUpdate(levels=map(_level, levels))
            updates.append(self._update(epoch, instrument, L2, books.seq, book=changed))
        for instrument, trade in self._prints:
            updates.append(self._update(epoch, instrument, TRADES, trade.seq, trade=_trade(trade)))
        self._snapshots, self._best, self._levels, self._prints = {}, {}, {}, []
        return updates

    def _snapshot(self, books: Books, instrument: int, epoch: int) -> list[Update]:
        updates = []
        if L1 in self._feeds:
            best = _best(books.best(instrument))
            updates.append(self._update(epoch, instrument, L1, books.seq, best=best))
        if L2 in self._feeds:
            window = self._windows.setdefault(instrument, Window(self._depth))
            bids, asks = window.begin(books, instrument)
            both = market_data_pb2.BookSnapshot(bids=map(_level, bids), asks=map(_level, asks))
            updates.append(self._update(epoch, instrument, L2, books.seq, snapshot=both))
        if TRADES in self._feeds and (instrument, TRADES) not in self._told:
            # The tape has no past; its empty snapshot says where it begins.
            first = min((trade.seq for number, trade in self._prints if number == instrument), default=books.seq + 1)
            empty = market_data_pb2.BookSnapshot()
            updates.append(self._update(epoch, instrument, TRADES, first - 1, snapshot=empty))
        return updates

    def _update(
        self,
        epoch: int,
        instrument: int,
        feed: market_data_pb2.Feed,
        seq: int,
        *,
        snapshot: market_data_pb2.BookSnapshot | None = None,
        book: market_data_pb2.BookUpdate | None = None,
        best: market_data_pb2.BestBidOffer | None = None,
        trade: market_data_pb2.Trade | None = None,
    ) -> Update:
        previous = self._told.get((instrument, feed), 0)
        self._told[instrument, feed] = seq
        stamp = common_pb2.Stamp(epoch=epoch, seq=seq)
        if trade is not None:
            stamp.event_id.CopyFrom(trade.event_id)
        return Update(
            stamp=stamp,
            instrument=instrument,
            feed=feed,
            seq=seq,
            previous_seq=previous,
            snapshot=snapshot,
            book=book,
            best=best,
            trade=trade,
        )


def _level(level: Level) -> market_data_pb2.PriceLevel:
    return market_data_pb2.PriceLevel(
        side=level.side,  # type: ignore[arg-type]  # same numbers
        price_ticks=level.price_ticks,
        quantity_lots=level.quantity_lots,
        orders=level.orders,
    )


def _best(best: Best) -> market_data_pb2.BestBidOffer:
    return market_data_pb2.BestBidOffer(
        bid_price_ticks=best.bid_price_ticks,
        bid_quantity_lots=best.bid_quantity_lots,
        ask_price_ticks=best.ask_price_ticks,
        ask_quantity_lots=best.ask_quantity_lots,
    )


def _trade(trade: Print) -> market_data_pb2.Trade:
    return market_data_pb2.Trade(
        event_id=common_pb2.EventId(seq=trade.seq, index=trade.index),
        price_ticks=trade.price_ticks,
        quantity_lots=trade.quantity_lots,
        aggressor=trade.aggressor,  # type: ignore[arg-type]  # same numbers
        taker_order_id=trade.taker_order_id,
        maker_order_id=trade.maker_order_id,
        timestamp_ns=trade.timestamp_ns,
    )
