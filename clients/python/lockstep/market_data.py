"""Market data over real connections: subscribes, and subscribes again on a gap or a break, at any gateway."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import grpc
import grpc.aio

from lockstep.book import Book, FeedGap, MarketMachine, MarketUpdate
from lockstep.channel import Channels, fatal_code
from lockstep.enums import Code, Feed
from lockstep.errors import Refused, Unavailable
from lockstep.v1 import market_data_pb2, market_data_pb2_grpc

_BACKOFF_FIRST_S = 0.01
_BACKOFF_MOST_S = 0.2


class AsyncSubscription:
    """Books, quotes and trades as they change. Iterate it; what you don't take in time is caught up by a snapshot.

    Example:
        >>> async for update in client.subscribe(["ACME"], feeds=[Feed.L2]):
        ...     print(update.best_bid, update.best_ask)
    """

    def __init__(self, channels: Channels, instruments: Sequence[int], feeds: Sequence[Feed], depth: int) -> None:
        self._channels = channels
        self._request = market_data_pb2.SubscribeRequest(
            instruments=instruments, feeds=[feed.name_on_wire for feed in feeds], depth=depth
        )
        self._tape = Feed.TRADES in feeds
        self._machine = MarketMachine()
        self._updates = self._run()
        self._next: asyncio.Task[MarketUpdate] | None = None
        self.resubscriptions = 0
        """How often it had to subscribe again."""
        self.last_break = ""
        """Why it did the last time."""

    @property
    def trades_missed(self) -> int:
        """How often trades could not be had after a break; each time a `TradesMissed` was handed out, with which.

        Trades that can be had are handed out after a break, in order, each once. Books and quotes are whole again by
        their snapshots.
        """
        return self._machine.trades_missed

    def book(self, instrument: int) -> Book | None:
        """The book as last updated (feed L2)."""
        return self._machine.books.get(instrument)

    async def __aiter__(self) -> AsyncIterator[MarketUpdate]:
        """Updates without end.

        Raises:
            Refused: no gateway will ever serve this subscription (not entitled, unknown instrument ...).
        """
        while True:
            yield await self.next()

    async def next(self, timeout_s: float | None = None) -> MarketUpdate:
        """The next update.

        Raises:
            Unavailable: none within `timeout_s` seconds (nothing is lost: ask again).
            Refused: see `__aiter__`.
        """
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._updates))
        # The task goes on after a time-out, so that the update that it waits for is not lost.
        done, _ = await asyncio.wait((self._next,), timeout=timeout_s)
        if not done:
            raise Unavailable(f"no market data within {timeout_s} s (last break: {self.last_break or 'none'})")
        task, self._next = self._next, None
        return task.result()

    async def close(self) -> None:
        """End the subscription."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait((self._next,))
            self._next = None
        await self._updates.aclose()

    async def _run(self) -> AsyncGenerator[MarketUpdate]:
        tries = 0
        address = 0
        while True:
            stub = market_data_pb2_grpc.MarketDataStub(self._channels.channel(address))
            if self._tape:
                self._machine.fill_in(self._request)
            call = stub.Subscribe(self._request, metadata=self._channels.metadata)
            self._machine.on_subscribed()
            try:
                while (message := await call.read()) is not grpc.aio.EOF:
                    tries = 0
                    update = self._machine.on_update(message)
                    if update is not None:
                        yield update
                self.last_break = "the gateway ended the stream"
            except FeedGap as gap:
                self.last_break = str(gap)
            except grpc.aio.AioRpcError as error:
                self.last_break = f"{error.code().name} {error.details()}"
                code = fatal_code(error.code())
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    code = Code.UNKNOWN_INSTRUMENT
                if code != Code.OK:
                    raise Refused(code, error.details() or error.code().name) from error
            finally:
                call.cancel()
            self.resubscriptions += 1
            address += 1
            pause_s = min(_BACKOFF_FIRST_S * 2**tries, _BACKOFF_MOST_S)
            tries = min(tries + 1, 10)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients in time
