"""Market data of the cluster's feeds: what a client can ask them for. For asyncio, and (below) for programs without."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

from lockstep.arguments import U32, integer, word
from lockstep.book import TradesMissed
from lockstep.channel import Channels
from lockstep.enums import Code, Feed
from lockstep.errors import Refused, SubscriptionEnded
from lockstep.feed_book import FeedBook, FeedState
from lockstep.feed_machine import Candle, FeedMachine, FeedTrade, candle_of
from lockstep.feed_reader import AsyncFeedReader
from lockstep.loop_thread import LoopThread
from lockstep.v1 import feed_pb2, feed_pb2_grpc, market_data_pb2

T = TypeVar("T")

_BOOK_FEEDS: Final = (Feed.L1, Feed.L2, Feed.L3)
_DEPTHS: Final = (0, 1, 5, 10, 20)
_INTERVALS_MS: Final = (0, 10, 100, 1000)
_LEGS: Final = (1, 2, 3)
LENGTHS_S: Final = (1, 10, 60, 300, 900, 3600, 14400, 86400)
"""Lengths of candles, seconds."""


def _one_of(name: str, value: int, choices: "tuple[int, ...]") -> int:
    value = integer(name, value, 0, U32)
    if value not in choices:
        raise ValueError(f"{name}={value}; there are {', '.join(map(str, choices))}")
    return value


def _machines(legs: int, feed: Feed, depth: int = 0) -> "tuple[FeedMachine, ...]":
    if integer("legs", legs, 0, U32) not in _LEGS:
        raise ValueError(f"legs={legs}; there are {', '.join(map(str, _LEGS))}")
    return tuple(FeedMachine(feed, depth) for _ in range(legs))


class Feeds:
    """The feeds of a cluster, found by its gateways. One client's."""

    def __init__(
        self, ask: Callable[[], Awaitable["market_data_pb2.ListFeedsReply"]], connect: Callable[["Sequence[str]"], Any]
    ) -> None:
        """`ask`: a gateway, where the feeds are. `connect`: `Channels` to some addresses."""
        self._ask = ask
        self._connect = connect
        self._channels: Channels | None = None

    async def channels(self) -> Channels:
        """Connections to all feeds. Raises Refused: the cluster has none. Unavailable: no gateway answers."""
        if self._channels is None:
            reply = await self._ask()
            if not reply.addresses:
                text = (
                    "this cluster runs no feed: start one (`lockstep up --feeds 1`, or a [[feed]] in its configuration "
                    "and `lockstep feed`), or use subscribe(), which gateways answer"
                )
                raise Refused(Code.NOT_SUPPORTED, text)
            self._channels = self._connect(tuple(reply.addresses))
        return self._channels

    async def close(self) -> None:
        """Close the connections."""
        if self._channels is not None:
            await self._channels.close()

    def books(
        self,
        instruments: "Sequence[int]",
        feed: Feed,
        depth: int,
        interval_ms: int,
        legs: int,
        at_least: "tuple[int, int]",
    ) -> "AsyncFeedReader[FeedBook]":
        """See `AsyncClient.books`."""
        feed = word(Feed, "feed", feed)
        if feed not in _BOOK_FEEDS:
            raise ValueError("feed: books are of Feed.L1, Feed.L2 and Feed.L3")
        depth = _one_of("depth", depth, _DEPTHS)
        if depth and feed is not Feed.L2:
            raise ValueError(f"depth={depth}: is of Feed.L2; leave it out")
        asked = self._subscription(instruments, feed, interval_ms)
        asked.depth = depth
        return AsyncFeedReader(self.channels, asked, _machines(legs, feed, depth), at_least)

    def trades(
        self, instruments: "Sequence[int]", interval_ms: int, legs: int, at_least: "tuple[int, int]"
    ) -> "AsyncFeedReader[FeedTrade | TradesMissed]":
        """See `AsyncClient.trades`."""
        asked = self._subscription(instruments, Feed.TRADES, interval_ms)
        return AsyncFeedReader(self.channels, asked, _machines(legs, Feed.TRADES), at_least)

    def candles(
        self, instruments: "Sequence[int]", length_s: int, interval_ms: int, legs: int, at_least: "tuple[int, int]"
    ) -> "AsyncFeedReader[Candle]":
        """See `AsyncClient.candles`."""
        asked = self._subscription(instruments, Feed.CANDLES, interval_ms)
        asked.candle_s = _one_of("length_s", length_s, LENGTHS_S)
        return AsyncFeedReader(self.channels, asked, _machines(legs, Feed.CANDLES), at_least)

    def _subscription(self, instruments: "Sequence[int]", feed: Feed, interval_ms: int) -> feed_pb2.Subscription:
        return feed_pb2.Subscription(
            instruments=instruments,
            feed=f"FEED_{feed.name}",
            interval_ms=_one_of("interval_ms", interval_ms, _INTERVALS_MS),
        )

    async def list_candles(
        self, instrument: int, length_s: int, from_ns: int, to_ns: int, limit: int, timeout_s: float
    ) -> "list[Candle]":
        """See `AsyncClient.list_candles`."""
        length_s = _one_of("length_s", length_s, LENGTHS_S)
        request = feed_pb2.ListCandlesRequest(
            instrument=instrument, candle_s=length_s, from_ns=from_ns, to_ns=to_ns, limit=limit
        )
        channels = await self.channels()
        stub = feed_pb2_grpc.MarketFeedStub(channels.channel(0))
        reply = await stub.ListCandles(request, metadata=channels.metadata, timeout=timeout_s)
        return [candle_of(instrument, length_s, row) for row in reply.candles]


class FeedReader(Generic[T]):
    """Books, trades or candles of a feed, blocking. See `AsyncFeedReader`: it is kept up to date in between.

    Example:
        >>> with Client("127.0.0.1:7450") as client:
        ...     for book in client.books(["ACME"], depth=10):
        ...         print(book.state, book.best_bid, book.best_ask)
    """

    def __init__(self, loop: LoopThread, reader: "AsyncFeedReader[T]") -> None:
        self._loop = loop
        self._reader = reader

    def __iter__(self) -> "Iterator[T]":
        """Without end; stop by leaving the loop, then `close`. Ends when it is closed meanwhile."""
        self._reader.raise_if_ended()
        while True:
            try:
                item = self.next()
            except SubscriptionEnded:
                return
            yield item

    def next(self, timeout_s: "float | None" = None) -> T:
        """The next one. See `AsyncFeedReader.next`."""
        return self._loop.run(self._reader.next(timeout_s), "FeedReader.next()")

    def close(self) -> None:
        """End it. It may be called again, and after the client was closed."""
        self._loop.owner.check_may_wait("FeedReader.close()")
        if self._loop.running:
            self._loop.run(self._reader.close(), "FeedReader.close()")

    def book(self, instrument: int) -> "FeedBook | None":
        """The book of an instrument, by its id; None: there is none yet. It changes in the client's own thread."""
        return self._reader.book(instrument)

    @property
    def state(self) -> FeedState:
        """LIVE if everything that it follows is."""
        return self._reader.state

    @property
    def seq(self) -> int:
        """How far the feed is, as it said last."""
        return self._reader.seq

    @property
    def recovered(self) -> int:
        """See `AsyncFeedReader.recovered`."""
        return self._reader.recovered

    @property
    def restarted(self) -> int:
        """See `AsyncFeedReader.restarted`."""
        return self._reader.restarted

    @property
    def breaks(self) -> int:
        """How often it had to connect again."""
        return self._reader.breaks

    @property
    def last_break(self) -> str:
        """Why it did the last time."""
        return self._reader.last_break
