"""Reads of history beside the matching loop: one slice at a time, the callers in turn, and long pauses between.

They run in threads of the engine's process and hold its interpreter while they compute, so they get a small share of
its time, all of them together, and give it back after each slice. While one waits for its turn, or for its caller to
take what was read, it holds no thread.

There are two lanes, each with a share and a thread of its own. What was said a moment ago is what gateways miss, what a
replica that lost a frame asks its peers, and what a new leader asks: that does not wait behind searches of old days.
Where a read begins decides its lane, not what its caller says of itself. While the loop has nothing to do, nobody has
to be kept from anything, and the reads follow each other without a pause.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Final, Protocol

from lockstep.stream.turns import FairQueue

SLICE_NS: Final = 500_000
"""CPU time after which a slice should end."""
SHARE: Final = 8
"""One part in so many of a core's time goes to the reads of a lane, at the most."""
# What is not computed in the slice, but for it: the loop's and gRPC's part of a turn, and of each byte that is sent.
_TURN_NS: Final = 200_000
_BYTE_NS: Final = 4


class Lane(Enum):
    """Which reads share a turn."""

    RECENT = "recent"
    HISTORY = "history"


class Message(Protocol):
    """What is read."""

    def ByteSize(self) -> int:  # noqa: N802 - protobuf's name
        """How much is sent."""
        ...


UsedUp = Callable[[], bool]
"""Whether the slice is over: time to give None, and to go on when the next one begins."""


def never() -> bool:
    """For those who have no loop to keep from its work."""
    return False


class Turnstile:
    """Belongs to one event loop."""

    def __init__(self, sleep: Callable[[float], float] = float, *, calm: Callable[[], bool] = lambda: False) -> None:
        """`sleep`: how long a pause really is. `calm`: whether the matching loop has nothing to do at the moment."""
        self._lanes = {lane: _Queue(lane.value, sleep, calm) for lane in Lane}

    async def replies[R: Message](
        self, lane: Lane, caller: str, read: Callable[[UsedUp], Iterator[R | None]]
    ) -> AsyncGenerator[R]:
        """What a read gives, made in slices when it is this caller's turn."""
        queue, work = self._lanes[lane], _Slices(read)
        try:
            while True:
                over, reply = await queue.turn(caller, work.go_on)
                if reply is not None:
                    yield reply
                if over:
                    return
        finally:
            queue.after_turn(work.close)

    def close(self) -> None:
        """Ends the threads; nobody may wait any more."""
        for queue in self._lanes.values():
            queue.close()


class _Slices[R: Message]:
    """A read that goes on where the last slice ended. Used in the lane's thread alone."""

    def __init__(self, read: Callable[[UsedUp], Iterator[R | None]]) -> None:
        self._steps = iter(read(self._used_up))
        self._ends_ns = 0

    def go_on(self) -> tuple[tuple[bool, R | None], int]:
        """(over, reply), and how many nanoseconds it costs."""
        began_ns = time.thread_time_ns()
        self._ends_ns = began_ns + SLICE_NS
        try:
            over, reply = False, next(self._steps)
        except StopIteration:
            over, reply = True, None
        sent = 0 if reply is None else reply.ByteSize()
        return (over, reply), time.thread_time_ns() - began_ns + _TURN_NS + sent * _BYTE_NS

    def close(self) -> None:
        """The caller wants no more."""
        close = getattr(self._steps, "close", None)
        if close is not None:
            close()

    def _used_up(self) -> bool:
        return time.thread_time_ns() >= self._ends_ns


class _Queue:
    """Of one lane. Invariant: one turn at a time, and none before `_next_s`."""

    def __init__(self, name: str, sleep: Callable[[float], float], calm: Callable[[], bool]) -> None:
        self._waiting: FairQueue[str, asyncio.Future[None]] = FairQueue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"read-{name}")
        self._sleep = sleep
        self._calm = calm
        self._free = True
        self._next_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def turn[T](self, caller: str, work: Callable[[], tuple[T, int]]) -> T:
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self._waiting.add(caller, mine)
        self._begin_next(loop)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._on_end(loop, 0)
            raise
        done = self._thread.submit(work)
        done.add_done_callback(partial(self._tell_end, loop))
        result, _ = await asyncio.shield(asyncio.wrap_future(done))
        return result

    def after_turn(self, work: Callable[[], None]) -> None:
        """In the lane's thread, behind a turn that may still be under way."""
        with suppress(RuntimeError):  # closed: whoever reads is cut off
            self._thread.submit(work)

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=False)

    def _begin_next(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._free:
            return
        while len(self._waiting) and self._waiting.first().done():
            self._waiting.take()  # its caller has gone
        if not len(self._waiting):
            return
        if loop.time() < self._next_s:
            if self._timer is None:
                self._timer = loop.call_at(self._next_s, self._on_timer, loop)
            return
        self._free = False
        self._waiting.take().set_result(None)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._begin_next(loop)

    def _tell_end(self, loop: asyncio.AbstractEventLoop, done: "Future[tuple[object, int]]") -> None:
        failed = done.cancelled() or done.exception() is not None
        loop.call_soon_threadsafe(self._on_end, loop, _TURN_NS if failed else done.result()[1])

    def _on_end(self, loop: asyncio.AbstractEventLoop, cost_ns: int) -> None:
        self._free = True
        pause_s = 0.0 if self._calm() else cost_ns * (SHARE - 1) / 1e9
        self._next_s = loop.time() + self._sleep(pause_s)
        self._begin_next(loop)
