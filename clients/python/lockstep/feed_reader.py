"""Market data of the cluster's feeds over real connections: connects again, elsewhere, and goes on where it was.

A reader has one leg, or several that read the same from different feeds (`FeedArbiter`): then the loss of a feed is
nothing that its user notices. Unlike a subscription at a gateway, a reader is kept up to date by itself, by tasks: so a
book that it shows is as the feeds say, or is not LIVE. It is RECOVERING from the moment at which the last connection is
known to be gone, or a feed has said nothing for three seconds, until what was missed is in.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import grpc
import grpc.aio

from lockstep.arguments import U32, integer, wait_s
from lockstep.backoff import pause_s
from lockstep.book import FeedGap
from lockstep.channel import Channels, fatal_code, retry_after_ms
from lockstep.enums import Code
from lockstep.errors import LockstepError, Refused, SubscriptionEnded, Unavailable
from lockstep.feed_arbiter import FeedArbiter
from lockstep.feed_book import FeedBook, FeedState
from lockstep.feed_machine import FeedMachine
from lockstep.newer_asyncio import timeout
from lockstep.v1 import feed_pb2, feed_pb2_grpc

T = TypeVar("T")

_BACKOFF_FIRST_S: Final = 0.05
_BACKOFF_MOST_S: Final = 1.0
_SILENCE_S: Final = 3.0
"""A feed speaks once a second at least."""
_MAX_WAITING: Final = 65_536
"""Trades, or candles, that wait for their reader; then no more is read, and the feed keeps what follows for a while."""


class AsyncFeedReader(Generic[T]):
    """Books, trades or candles of a feed. Iterate it; `client.books()`, `trades()` and `candles()` make one.

    Books are handed out when they have changed, each as it is then: who is slow gets fewer, and none that is old.
    Trades and candles are handed out one by one, in order; where trades could not be had after a break, a
    `TradesMissed` stands in their place.

    Example:
        >>> books = await client.books(["ACME"], depth=10)
        >>> async for book in books:
        ...     if book.state is FeedState.LIVE:
        ...         print(book.best_bid, book.best_ask)
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[Channels]],
        subscription: feed_pb2.Subscription,
        machines: "tuple[FeedMachine, ...]",
        at_least: "tuple[int, int]" = (0, 0),
    ) -> None:
        """`find`: connections to the feeds. `machines`: one for each leg. `at_least`: (epoch, seq) of the client."""
        self._at_least = at_least
        self._find = find
        self._subscription = subscription
        self._arbiter = FeedArbiter(machines)
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._dirty: dict[int, FeedBook] = {}
        self._items: deque[Any] = deque()
        self._reason: LockstepError | None = None
        self.breaks = 0
        """How often it had to connect again, all legs together."""
        self.last_break = ""
        """Why it did the last time."""
        turn = random.randrange(64)  # noqa: S311 - spreads readers over the feeds, keeps no secret
        self._legs = [_Leg(number, turn) for number in range(len(machines))]
        loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = [loop.create_task(self._run(leg)) for leg in self._legs]

    # ---- what it shows -------------------------------------------------------------------------------------------

    @property
    def state(self) -> FeedState:
        """LIVE if everything that it follows is."""
        return self._arbiter.state

    @property
    def seq(self) -> int:
        """How far the feed is, as it said last."""
        return self._arbiter.seq

    @property
    def epoch(self) -> int:
        """Highest epoch heard."""
        return self._arbiter.epoch

    @property
    def recovered(self) -> int:
        """Streams (of an instrument each) that went on after a break with exactly what was missed."""
        return self._arbiter.total("recovered")

    @property
    def restarted(self) -> int:
        """Streams that began anew with a snapshot after a break, since no feed knew any more what was missed."""
        return self._arbiter.total("restarted")

    @property
    def checksum_errors(self) -> int:
        """Books that were wrong, and were asked for anew."""
        return self._arbiter.total("checksum_errors")

    def book(self, instrument: int) -> "FeedBook | None":
        """The book of an instrument, by its id; None: there is none yet.

        Raises:
            TypeError, ValueError: this is no id.
        """
        return self._arbiter.books.get(integer("instrument", instrument, 0, U32))

    async def __aiter__(self) -> AsyncIterator[T]:
        """Without end; ends when it is closed meanwhile.

        Raises:
            Refused: no feed will ever serve this. SubscriptionEnded: it was closed before.
        """
        self.raise_if_ended()
        while True:
            try:
                item = await self.next()
            except SubscriptionEnded:
                return
            yield item

    async def next(self, timeout_s: "float | None" = None) -> T:
        """The next one.

        Raises:
            Unavailable: none within `timeout_s` seconds (nothing is lost: ask again).
            Refused: see `__aiter__`. SubscriptionEnded: it was closed.
        """
        seconds = wait_s("timeout_s", timeout_s)
        try:
            async with timeout(seconds):
                while not (self._dirty or self._items):
                    self.raise_if_ended()
                    self._ready.clear()
                    await self._ready.wait()
        except asyncio.TimeoutError:
            said = self.last_break or "none"
            raise Unavailable(f"nothing new within {timeout_s} s (last break: {said}); ask again") from None
        return self._take()

    def _take(self) -> T:
        if self._dirty:
            book: Any = self._dirty.pop(next(iter(self._dirty)))
            taken: T = book
            return taken
        self._room.set()
        item: T = self._items.popleft()
        return item

    async def close(self, reason: str = "the reader was closed") -> None:
        """End it. Whoever waits gets SubscriptionEnded with that reason."""
        self._end(SubscriptionEnded(f"{reason}; ask the client for another one"))
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    def raise_if_ended(self) -> None:
        """Raises what ended it, if anything did."""
        reason = self._reason
        if reason is not None:
            raise Refused(reason.code, reason.text) if isinstance(reason, Refused) else type(reason)(*reason.args)

    # ---- the legs ------------------------------------------------------------------------------------------------

    def _end(self, reason: LockstepError) -> None:
        if self._reason is None:
            self._reason = reason
        for leg in range(len(self._legs)):
            self._arbiter.on_broken(leg)
        self._ready.set()

    async def _run(self, leg: "_Leg") -> None:
        try:
            while True:
                pause = await self._one_connection(leg)
                await asyncio.sleep(pause)
        except _NoFeedLeft:
            return
        except LockstepError as error:
            self._end(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - top of a task: who waits for the reader hears it
            self._end(LockstepError(f"reading a feed raised {error!r}; ask the client for another reader"))

    async def _one_connection(self, leg: "_Leg") -> float:
        """Follow until it breaks; how long to wait then. Raises Refused: no feed will ever serve this."""
        wanted_s = 0.0
        try:
            await self._follow(leg)
        except FeedGap as gap:
            self._show(gap.items)
            self._on_break(leg, str(gap))
        except asyncio.TimeoutError:
            self._on_break(leg, f"the feed said nothing for {_SILENCE_S:g} s")
        except Unavailable as error:
            self._on_break(leg, str(error))
        except grpc.aio.AioRpcError as error:
            details = error.details() or error.code().name
            code = Code.UNKNOWN_INSTRUMENT if error.code() is grpc.StatusCode.NOT_FOUND else fatal_code(error.code())
            if code != Code.OK:
                raise Refused(code, details) from None
            wanted_s = retry_after_ms(error) / 1000
            self._on_break(leg, f"{error.code().name} {details}")
        chance = random.random()  # noqa: S311 - spreads readers in time
        leg.tries += 1
        return max(pause_s(_BACKOFF_FIRST_S, _BACKOFF_MOST_S, leg.tries - 1, chance), wanted_s * (1 + chance))

    def _on_break(self, leg: "_Leg", reason: str) -> None:
        self.breaks += 1
        self.last_break = reason
        leg.turn += 1
        self._show(self._arbiter.on_broken(leg.number))

    async def _follow(self, leg: "_Leg") -> None:
        channels = await self._find()
        place = leg.place(len(channels.addresses), len(self._legs))
        request = feed_pb2.FollowRequest(subscriptions=[self._subscription])
        request.subscriptions[0].recover.extend(self._arbiter.positions(leg.number))
        # Not behind what the client has, nor behind what another leg has shown.
        at_least = self._at_least if len(self._legs) == 1 else max(self._at_least, (self.epoch, self.seq))
        request.at_least.epoch, request.at_least.seq = at_least
        stub = feed_pb2_grpc.MarketFeedStub(channels.channel(place))
        call = stub.Follow(request, metadata=channels.metadata)
        try:
            while True:
                async with timeout(_SILENCE_S):
                    frame: Any = await call.read()
                if frame is grpc.aio.EOF:
                    raise Unavailable("the feed ended the stream")
                leg.tries = 0
                self._show(self._arbiter.on_frame(leg.number, frame))
                while len(self._items) >= _MAX_WAITING:
                    self._room.clear()
                    await self._room.wait()
        finally:
            with contextlib.suppress(Exception):
                call.cancel()

    def _show(self, items: "list[Any]") -> None:
        for item in items:
            if isinstance(item, FeedBook):
                self._dirty[item.instrument] = item
            else:
                self._items.append(item)
        if items:
            self._ready.set()


class _NoFeedLeft(Exception):
    """There are more legs than feeds."""


class _Leg:
    """One way to the feeds: to all of them in turn, or, of several legs, to feeds that no other leg goes to."""

    def __init__(self, number: int, turn: int) -> None:
        self.number = number
        self.turn = turn
        self.tries = 0

    def place(self, feeds: int, legs: int) -> int:
        """The feed to connect to now, of so many."""
        mine = range(self.number, feeds, legs)
        if not mine:
            raise _NoFeedLeft
        return mine[self.turn % len(mine)]
