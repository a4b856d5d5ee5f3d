"""Order books as a subscriber keeps them, and the pure rules for when a feed is whole and when it has a gap."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from lockstep.enums import Feed, Side
from lockstep.v1 import market_data_pb2


@dataclass(frozen=True, slots=True)
class Level:
    """One price level as it is displayed: lots and number of orders, of icebergs the peak, no hidden orders."""

    price_ticks: int
    quantity_lots: int
    orders: int


class Book:
    """Price levels of one instrument, kept up to date by its subscription. Read it between two updates.

    Attributes:
        instrument: whose book it is.
        seq: history that it reflects.
        epoch: fencing token of the gateway's last message.
    """

    __slots__ = ("_levels", "_prices", "epoch", "instrument", "seq")

    def __init__(self, instrument: int) -> None:
        self.instrument = instrument
        self.seq = 0
        self.epoch = 0
        self._levels: dict[int, dict[int, Level]] = {Side.BUY: {}, Side.SELL: {}}
        # Ascending for both sides; the best bid is the last, the best ask the first.
        self._prices: dict[int, list[int]] = {Side.BUY: [], Side.SELL: []}

    @property
    def best_bid(self) -> Level | None:
        """Highest price that somebody buys at."""
        prices = self._prices[Side.BUY]
        return self._levels[Side.BUY][prices[-1]] if prices else None

    @property
    def best_ask(self) -> Level | None:
        """Lowest price that somebody sells at."""
        prices = self._prices[Side.SELL]
        return self._levels[Side.SELL][prices[0]] if prices else None

    def bids(self, depth: int = 0) -> list[Level]:
        """Best first; 0: all levels.

        Raises:
            ValueError: negative depth.
        """
        prices = self._prices[Side.BUY]
        return self._rows(Side.BUY, prices[: -_most(depth, prices) - 1 : -1])

    def asks(self, depth: int = 0) -> list[Level]:
        """Best first; 0: all levels.

        Raises:
            ValueError: negative depth.
        """
        prices = self._prices[Side.SELL]
        return self._rows(Side.SELL, prices[: _most(depth, prices)])

    def _rows(self, side: int, prices: list[int]) -> list[Level]:
        levels = self._levels[side]
        return [levels[price] for price in prices]

    def apply_snapshot(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Forget everything and take this."""
        for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
            self._levels[side] = {level.price_ticks: level for level in levels if level.quantity_lots}
            self._prices[side] = sorted(self._levels[side])

    def apply_level(self, side: int, level: Level) -> None:
        """Set one level to its new absolute values; zero quantity takes it off."""
        levels, prices = self._levels[side], self._prices[side]
        known = level.price_ticks in levels
        if level.quantity_lots:
            levels[level.price_ticks] = level
            if not known:
                prices.insert(bisect_left(prices, level.price_ticks), level.price_ticks)
        elif known:
            del levels[level.price_ticks]
            del prices[bisect_left(prices, level.price_ticks)]

    def __repr__(self) -> str:
        """Instrument, seq and the best of both sides."""
        return f"Book(instrument={self.instrument}, seq={self.seq}, bid={self.best_bid}, ask={self.best_ask})"


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and offer (L1). A side without an order is None."""

    instrument: int
    seq: int
    epoch: int
    bid: Level | None
    ask: Level | None


@dataclass(frozen=True, slots=True)
class PublicTrade:
    """A trade as everybody sees it; `aggressor` is the taker's side, 0 in an auction."""

    instrument: int
    seq: int
    index: int
    epoch: int
    price_ticks: int
    quantity_lots: int
    aggressor: int
    taker_order_id: int
    maker_order_id: int
    timestamp_ns: int


@dataclass(frozen=True, slots=True)
class TradesMissed:
    """After a break: trades may be missing here, those with after < (seq, index) and seq <= until_seq.

    Attributes:
        instrument: whose; 0: of all instruments of the subscription.
        after_seq, after_index: event id up to which trades were delivered.
        until_seq: history up to which nothing is delivered; the trades behind it follow.
        void_from_seq: not 0: trades that were handed out from this seq on are void, because an operator had to let the
            cluster go on without them. What was traded instead follows.
        text: why, where the gateway says so.
    """

    instrument: int
    after_seq: int
    after_index: int
    until_seq: int
    epoch: int
    void_from_seq: int = 0
    text: str = ""


MarketUpdate = Book | Quote | PublicTrade | TradesMissed


class FeedGap(Exception):
    """A message is missing, or the gateway was left behind: subscribe again. The text says which.

    Attributes:
        items: of a feed's frame, what came before that.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.items: list[Any] = []


_ANY: Final = -1
_LAST_INDEX: Final = 2**32 - 1


class MarketMachine:
    """Turns the messages of one subscription into books, quotes and trades that are whole, across connections.

    Pure: no clock, no I/O. The shell calls `on_subscribed` for each new stream, `on_update` for each message, and
    subscribes again when that raises FeedGap.
    """

    def __init__(self) -> None:
        self.epoch = 0
        """Highest epoch seen; messages of a lower one are not believed."""
        self.books: dict[int, Book] = {}
        self.trades_missed = 0
        """How often trades could not be had; each time a `TradesMissed` was handed out."""
        self._seqs: dict[tuple[int, int], int] = {}
        self._last_trades: dict[int, tuple[int, int]] = {}
        # All trades up to this event were handed out, or found missing; under which epoch that was said.
        self._through: tuple[int, int] | None = None
        self._through_epoch = 0
        # Where that stood when the present stream began; None: there was none before.
        self._resumed: tuple[int, int] | None = None

    def on_subscribed(self) -> None:
        """A new stream begins: each feed starts with a snapshot again, and the trades where they ended."""
        self._seqs.clear()
        self._resumed = self._through

    def fill_in(self, request: market_data_pb2.SubscribeRequest) -> None:
        """Have the next stream of trades begin where the one before ended."""
        if self._through is not None:
            request.last_seen.seq, request.last_seen.index = self._through
            request.last_epoch = self._through_epoch

    def on_update(self, update: market_data_pb2.MarketDataUpdate) -> MarketUpdate | None:
        """Take one message; what it says to the subscriber, if anything.

        Raises:
            FeedGap: this message does not follow the one before; it was not applied.
        """
        epoch = update.stamp.epoch
        if epoch < self.epoch:
            raise FeedGap(f"gateway speaks of epoch {epoch}, but epoch {self.epoch} was seen: it was left behind")
        reported = self._on_message(update)
        if update.trades_through:
            self._pass((update.trades_through, _LAST_INDEX), epoch)
        return reported

    def _on_message(self, update: market_data_pb2.MarketDataUpdate) -> MarketUpdate | None:
        kind = update.WhichOneof("update")
        key = (update.instrument, update.feed)
        last_seq = self._seqs.get(key, _ANY)
        if last_seq == _ANY:
            if kind == "book":
                raise FeedGap(f"book of instrument {update.instrument} began without a snapshot")
        elif kind != "snapshot" and update.previous_seq != last_seq:
            raise FeedGap(
                f"instrument {update.instrument}, feed {update.feed}: message follows seq {update.previous_seq}, "
                f"but the last one seen was {last_seq}"
            )
        self.epoch = update.stamp.epoch
        self._seqs[key] = update.seq
        match kind:
            case "snapshot" if update.feed == int(Feed.TRADES):
                return self._on_tape_begins(update)
            case "snapshot" | "book":
                return self._on_book(update)
            case "best":
                return self._on_best(update)
            case "trade":
                return self._on_trade(update)
            case "missed":
                return self._on_missed(update)
            case _:
                return None

    def _on_book(self, update: market_data_pb2.MarketDataUpdate) -> Book:
        book = self.books.get(update.instrument)
        if book is None:
            book = self.books[update.instrument] = Book(update.instrument)
        if update.WhichOneof("update") == "snapshot":
            book.apply_snapshot(map(_level, update.snapshot.bids), map(_level, update.snapshot.asks))
        else:
            for row in update.book.levels:
                book.apply_level(row.side, _level(row))
        book.seq = update.seq
        book.epoch = update.stamp.epoch
        return book

    def _on_best(self, update: market_data_pb2.MarketDataUpdate) -> Quote:
        best = update.best
        bid = Level(best.bid_price_ticks, best.bid_quantity_lots, 0) if best.bid_quantity_lots else None
        ask = Level(best.ask_price_ticks, best.ask_quantity_lots, 0) if best.ask_quantity_lots else None
        return Quote(update.instrument, update.seq, update.stamp.epoch, bid, ask)

    def _on_tape_begins(self, update: market_data_pb2.MarketDataUpdate) -> TradesMissed | None:
        """The empty snapshot of the trades feed: what happened up to its seq is not delivered on this stream."""
        epoch, before = update.stamp.epoch, self._resumed
        if self._through is None or update.seq > self._through[0]:
            self._pass((update.seq, _LAST_INDEX), epoch)
        if before is None or update.seq <= before[0]:
            return None
        # A gateway that does not go on where the stream before ended.
        self.trades_missed += 1
        return TradesMissed(update.instrument, *before, update.seq, epoch)

    def _on_missed(self, update: market_data_pb2.MarketDataUpdate) -> TradesMissed:
        missed, epoch = update.missed, update.stamp.epoch
        void_from = missed.void_from_seq
        if void_from:
            last = (void_from - 1, _LAST_INDEX)
            self._through = min(self._through or last, last)
            self._resumed = min(self._resumed or last, last)
            self._last_trades = {key: min(event_id, last) for key, event_id in self._last_trades.items()}
        if (missed.after.seq, missed.after.index) < (missed.through_seq, _LAST_INDEX):
            self._pass((missed.through_seq, _LAST_INDEX), epoch)
        self._through_epoch = epoch
        self.trades_missed += 1
        after = missed.after
        return TradesMissed(
            update.instrument, after.seq, after.index, missed.through_seq, epoch, void_from, missed.text
        )

    def _pass(self, event_id: tuple[int, int], epoch: int) -> None:
        if self._through is None or event_id > self._through:
            self._through = event_id
        self._through_epoch = epoch

    def _on_trade(self, update: market_data_pb2.MarketDataUpdate) -> PublicTrade | None:
        trade = update.trade
        event_id = (trade.event_id.seq, trade.event_id.index)
        if event_id <= max(self._last_trades.get(update.instrument, (0, 0)), self._resumed or (0, 0)):
            return None
        self._last_trades[update.instrument] = event_id
        self._pass(event_id, update.stamp.epoch)
        return PublicTrade(
            update.instrument,
            event_id[0],
            event_id[1],
            update.stamp.epoch,
            trade.price_ticks,
            trade.quantity_lots,
            trade.aggressor,
            trade.taker_order_id,
            trade.maker_order_id,
            trade.timestamp_ns,
        )


def _level(row: market_data_pb2.PriceLevel) -> Level:
    return Level(row.price_ticks, row.quantity_lots, row.orders)


def _most(depth: int, prices: list[int]) -> int:
    if depth < 0:
        raise ValueError(f"depth={depth}; use a number of levels, or 0 for all")
    return depth or len(prices)
