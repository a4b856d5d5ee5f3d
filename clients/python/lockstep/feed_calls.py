"""What a client asks the cluster's feeds for: complete market data, beside the way of the orders."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

from lockstep.book import TradesMissed
from lockstep.channel import Channels
from lockstep.enums import Feed
from lockstep.errors import LockstepError
from lockstep.feed_book import FeedBook
from lockstep.feed_machine import Candle, FeedTrade
from lockstep.feed_reader import AsyncFeedReader
from lockstep.feeds import Feeds
from lockstep.v1 import market_data_pb2, market_data_pb2_grpc

T = TypeVar("T")


class FeedCalls(ABC):
    """Of `AsyncClient`."""

    _feeds: Feeds
    _subscriptions: Any
    _timeout_s: float

    async def books(
        self,
        instruments: Sequence[str | int] = (),
        feed: Feed = Feed.L2,
        *,
        depth: int = 0,
        interval_ms: int = 100,
        legs: int = 1,
    ) -> AsyncFeedReader[FeedBook]:
        """Books of some instruments (none named: of all) from a feed, kept up to date, each with its state.

        Args:
            feed: L1 (best prices), L2 (levels) or L3 (order by order, in the order of the queues).
            depth: levels of each side in L2: 1, 5, 10, 20, or 0 for all.
            interval_ms: changes come at most once in so many milliseconds: 10, 100, 1000; 0: with every command.
            legs: from how many feeds at once it is read, 1 to 3: the first copy counts, and as long as one feed lives
                nothing is missing and nothing RECOVERING. Each leg costs what a reader costs.

        Raises:
            TypeError, ValueError: an argument is wrong. Refused: unknown symbol, or the cluster has no feed.
        """
        ids = await self._ids(instruments)
        return await self._reader(self._feeds.books(ids, feed, depth, interval_ms, legs, self._reported()))

    async def trades(
        self, instruments: Sequence[str | int] = (), *, interval_ms: int = 100, legs: int = 1
    ) -> AsyncFeedReader[FeedTrade | TradesMissed]:
        """Trades of some instruments (none named: of all) from now on, over every break: each once, those of an
        instrument in order. `legs`: see `books`."""
        ids = await self._ids(instruments)
        return await self._reader(self._feeds.trades(ids, interval_ms, legs, self._reported()))

    async def candles(
        self,
        instruments: Sequence[str | int] = (),
        *,
        length_s: int = 60,
        interval_ms: int = 1000,
        legs: int = 1,
    ) -> AsyncFeedReader[Candle]:
        """Candles of some instruments (none named: of all): the latest ones, then each again as it changes.

        `legs`: see `books`.
        """
        ids = await self._ids(instruments)
        return await self._reader(self._feeds.candles(ids, length_s, interval_ms, legs, self._reported()))

    async def list_candles(
        self, instrument: str | int, *, length_s: int = 60, from_ns: int = 0, to_ns: int = 0, limit: int = 0
    ) -> list[Candle]:
        """Candles of an instrument, oldest first, also those without trades; at most 1000, the latest ones.

        Args:
            from_ns, to_ns: from this time on and before the other one, Unix ns; 0: the first known, up to now.
        """
        (number,) = await self._ids((instrument,))
        return await self._feeds.list_candles(number, length_s, from_ns, to_ns, limit, self._timeout_s)

    async def feed_channels(self) -> Channels:
        """Connections to all feeds, for `UdpFeed`. Raises Refused: the cluster has none."""
        return await self._feeds.channels()

    async def _reader(self, reader: AsyncFeedReader[T]) -> AsyncFeedReader[T]:
        self._subscriptions.add(reader)
        try:
            # That the cluster has no feed is to be known now.
            await self._feeds.channels()
        except LockstepError:
            await reader.close()
            raise
        return reader

    async def _list_feeds(self) -> market_data_pb2.ListFeedsReply:
        request = market_data_pb2.ListFeedsRequest()
        found: market_data_pb2.ListFeedsReply = await self._call(
            market_data_pb2_grpc.MarketDataStub, "ListFeeds", request
        )
        return found

    @abstractmethod
    async def _ids(self, instruments: Sequence[str | int]) -> list[int]: ...

    @abstractmethod
    def _reported(self) -> tuple[int, int]: ...

    @abstractmethod
    async def _call(self, stub: Any, method: str, request: Any, *, patient: bool = False) -> Any: ...
