"""Market data over real connections: subscribes, and subscribes again on a gap or a break, at any gateway.

Nothing moves by itself: a message is read when somebody asks for an update, and applied when he gets it. A message that
came after he stopped waiting is kept as it is, for the next who asks.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from lockstep.arguments import U32, integer, wait_s
from lockstep.backoff import pause_s
from lockstep.book import Book, FeedGap, MarketMachine, MarketUpdate
from lockstep.channel import Channels, fatal_code, retry_after_ms
from lockstep.enums import Code, Feed
from lockstep.errors import LockstepError, Refused, SubscriptionEnded, Unavailable
from lockstep.newer_asyncio import timeout
from lockstep.v1 import market_data_pb2, market_data_pb2_grpc

_BACKOFF_FIRST_S: Final = 0.01
_BACKOFF_MOST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Break:
    """A stream ended. `code`: why no other one would serve either, OK if it may."""

    reason: str
    code: Code = Code.OK
    text: str = ""
    retry_after_ms: int = 0


class AsyncSubscription:
    """Books, quotes and trades as they change. Iterate it; a snapshot replaces what you don't take in time.

    Several tasks may ask at once: each update goes to one of them, in order. Books change only while somebody asks.
    Where trades can't be had after a break, a `TradesMissed` stands in their place among the updates.

    Example:
        >>> subscription = await client.subscribe(["ACME"], feeds=[Feed.L2])
        >>> async for update in subscription:
        ...     print(update.best_bid, update.best_ask)
    """

    def __init__(
        self,
        channels: Channels,
        instruments: Sequence[int],
        feeds: Sequence[Feed],
        depth: int,
        at_least: tuple[int, int] = (0, 0),
    ) -> None:
        """`at_least`: (epoch, seq) of what the client has already; no gateway that is behind it may answer."""
        self._channels = channels
        self._request = market_data_pb2.SubscribeRequest(
            instruments=instruments, feeds=[f"FEED_{feed.name}" for feed in feeds], depth=depth
        )
        self._request.at_least.epoch, self._request.at_least.seq = at_least
        self._tape = Feed.TRADES in feeds
        self._machine = MarketMachine()
        self._turn = asyncio.Lock()
        self._call: Any = None
        self._address = 0
        self._tries = 0
        self._pause_s = 0.0
        self._reason: LockstepError | None = None
        self.resubscriptions = 0
        """How often it had to subscribe again."""
        self.last_break = ""
        """Why it did the last time."""
        # From now on, not from the first question on: what happens in between is not missed.
        self._reading: asyncio.Task[market_data_pb2.MarketDataUpdate | _Break] | None = self._begin_reading()

    def _begin_reading(self) -> "asyncio.Task[market_data_pb2.MarketDataUpdate | _Break]":
        return asyncio.get_running_loop().create_task(self._read_stream())

    @property
    def trades_missed(self) -> int:
        """How often trades could not be had after a break; each time a `TradesMissed` was handed out, with which.

        Trades that can be had are handed out after a break, in order, each once. Books and quotes are whole again by
        their snapshots.
        """
        return self._machine.trades_missed

    def book(self, instrument: int) -> Book | None:
        """The book as last updated (feed L2), by the instrument's id; None: there is none yet.

        Raises:
            TypeError, ValueError: this is no id.
        """
        return self._machine.books.get(integer("instrument", instrument, 0, U32))

    async def __aiter__(self) -> AsyncIterator[MarketUpdate]:
        """Updates without end; ends when the subscription is closed meanwhile.

        Raises:
            Refused: no gateway will ever serve this subscription (not entitled, unknown instrument ...).
            SubscriptionEnded: it was closed before.
        """
        self.raise_if_ended()
        while True:
            try:
                update = await self.next()
            except SubscriptionEnded:
                return
            yield update

    async def next(self, timeout_s: float | None = None) -> MarketUpdate:
        """The next update.

        Raises:
            Unavailable: none within `timeout_s` seconds (nothing is lost: ask again).
            Refused: see `__aiter__`; every later call says so again. SubscriptionEnded: it was closed.
        """
        self._channels.owner.check_process("next()")
        seconds = wait_s("timeout_s", timeout_s)
        try:
            async with timeout(seconds), self._turn:
                return await self._take()
        except asyncio.TimeoutError:
            said = self.last_break or "none"
            raise Unavailable(f"no market data within {timeout_s} s (last break: {said}); ask again") from None

    async def close(self, reason: str = "the subscription was closed") -> None:
        """End the subscription. Whoever waits for an update gets SubscriptionEnded with that reason."""
        self._channels.owner.check_process("close()")
        if self._reason is None:
            self._reason = SubscriptionEnded(f"{reason}; subscribe again")
        self._hang_up()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))

    def raise_if_ended(self) -> None:
        """Raises what ended the subscription, if anything did."""
        if self._reason is not None:
            raise self._failure(self._reason)

    # ---- one update --------------------------------------------------------------------------------------------

    async def _take(self) -> MarketUpdate:
        while True:
            self.raise_if_ended()
            item = await self._read()
            if isinstance(item, _Break):
                self._on_break(item)
                continue
            self._tries = 0
            try:
                update = self._machine.on_update(item)
            except FeedGap as gap:
                self._on_break(_Break(str(gap)))
                continue
            if update is not None:
                return update

    async def _read(self) -> market_data_pb2.MarketDataUpdate | _Break:
        """What the stream brings next. A caller that stops waiting leaves the task to the next one."""
        if self._reading is None:
            self._reading = self._begin_reading()
        if not self._reading.done():
            await asyncio.wait((self._reading,))
        self.raise_if_ended()
        task, self._reading = self._reading, None
        if task.cancelled():
            raise self._failure(SubscriptionEnded("the reading of the subscription was cancelled; subscribe again"))
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, LockstepError):
            cause, error = error, LockstepError(f"reading market data raised {error!r}; subscribe again")
            error.__cause__ = cause
        raise self._failure(error)

    def _on_break(self, ended: _Break) -> None:
        self._hang_up()
        self.last_break = ended.reason
        self._channels.on_break(self._address, ended.reason)
        if ended.code != Code.OK:
            raise self._failure(Refused(ended.code, ended.text))
        self.resubscriptions += 1
        self._address += 1
        chance = random.random()  # noqa: S311 - spreads clients in time, keeps no secret
        wanted_s = ended.retry_after_ms / 1000 * (1 + chance)
        self._pause_s = max(pause_s(_BACKOFF_FIRST_S, _BACKOFF_MOST_S, self._tries, chance), wanted_s)
        self._tries += 1
        self._machine.on_subscribed()

    def _hang_up(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _failure(self, reason: LockstepError) -> LockstepError:
        """End with this reason, unless there is one; what to raise, each time an exception of its own."""
        if self._reason is None:
            self._reason = reason
            self._hang_up()
        first = self._reason
        again = Refused(first.code, first.text) if isinstance(first, Refused) else type(first)(*first.args)
        again.__cause__ = first
        return again

    # ---- the stream, in a task of its own: changes nothing that anybody sees ------------------------------------

    async def _read_stream(self) -> market_data_pb2.MarketDataUpdate | _Break:
        try:
            if self._call is None:
                await asyncio.sleep(self._pause_s)
                if self._tape:
                    self._machine.fill_in(self._request)
                stub = market_data_pb2_grpc.MarketDataStub(self._channels.channel(self._address))
                self._call = stub.Subscribe(self._request, metadata=self._channels.metadata)
            message: Any = await self._call.read()
        except grpc.aio.AioRpcError as error:
            details = error.details() or error.code().name
            code = fatal_code(error.code())
            if error.code() is grpc.StatusCode.NOT_FOUND:
                code = Code.UNKNOWN_INSTRUMENT
            return _Break(f"{error.code().name} {details}", code, details, retry_after_ms(error))
        if message is grpc.aio.EOF:
            return _Break("the gateway ended the stream")
        update: market_data_pb2.MarketDataUpdate = message
        return update
