"""How a session's reports reach their owner: handles of single commands, and the queue behind the iterators."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Final

from lockstep.arguments import wait_s
from lockstep.columns import ReportColumns
from lockstep.errors import LockstepError, ReportsNotKept, Unavailable
from lockstep.ownership import Owner
from lockstep.session_events import ReportId
from lockstep.values import CommandResult, command_result

QUEUE_ROWS: Final = 1_000_000


class CommandHandle:
    """A command that is on its way.

    Example:
        >>> handle = session.place(account=1, instrument="ACME", side="buy", quantity_lots=10, price="101.5")
        >>> handle.result(timeout=1.0).order_id
    """

    __slots__ = ("_future", "_owner", "session_no")

    def __init__(
        self, session_no: int, future: "Future[CommandResult] | None" = None, owner: Owner | None = None
    ) -> None:
        self.session_no = session_no
        """Its number in the session; reports name it."""
        self._future = future
        self._owner = owner

    def done(self) -> bool:
        """Whether the outcome is there."""
        return self._tracked().done()

    def result(self, timeout: float | None = None) -> CommandResult:
        """Block until the outcome is there. Not for asyncio: `await` the handle there.

        The result holds the outcome and the reports that came with it (trades, a canceled remainder).

        Raises:
            Refused: the command was refused, by its outcome.
            SessionEnded: the session ended before.
            Unavailable: nothing came within `timeout` seconds; the command is still on its way.
            CalledFromCallback, CalledAfterFork: it would have to wait where no answer can come.
        """
        future = self._tracked()
        seconds = wait_s("timeout", timeout)
        if self._owner is not None and not future.done():
            self._owner.check_may_wait("CommandHandle.result()")
        try:
            return future.result(seconds).raise_for_refusal()
        except FutureTimeout:
            raise Unavailable(
                f"command {self.session_no} is not answered after {timeout} s; it is still on its way, ask again"
            ) from None

    def __await__(self) -> Generator[None, None, CommandResult]:
        """The outcome; raises as `result` does."""
        result: CommandResult = yield from asyncio.wrap_future(self._tracked()).__await__()
        return result.raise_for_refusal()

    def _tracked(self) -> "Future[CommandResult]":
        if self._owner is not None:
            self._owner.check_process("a command's handle")
        if self._future is None:
            raise ReportsNotKept(f"command {self.session_no} was submitted with track=False; look for its reports")
        return self._future


class Handles:
    """Who waits for the outcome of which number."""

    def __init__(self, owner: Owner | None = None) -> None:
        self._owner = owner
        self._waiting: dict[int, Future[CommandResult]] = {}

    def add(self, session_no: int) -> CommandHandle:
        """A handle for a number that was given out just now."""
        future: Future[CommandResult] = Future()
        self._waiting[session_no] = future
        return CommandHandle(session_no, future, self._owner)

    def resolve(self, batch: ReportColumns) -> None:
        """Give each waiting command its reports."""
        if not self._waiting:
            return
        numbers = batch.session_no.tolist()
        legs = batch.leg.tolist()
        places: dict[int, list[int]] = {}
        for place, number in enumerate(numbers):
            if number in self._waiting and not legs[place]:
                places.setdefault(number, []).append(place)
        if not places:
            return
        rows = batch.rows()
        for number, found in places.items():
            result = command_result((rows[place] for place in found), epoch=batch.epoch)
            future = self._waiting.pop(number)
            # False: who waited has given up (an asyncio timeout cancels it).
            if future.set_running_or_notify_cancel():
                future.set_result(result)

    def fail(self, error: Callable[[], LockstepError]) -> None:
        """The session ended: nobody gets an outcome any more, each gets an error of its own."""
        for future in self._waiting.values():
            if future.set_running_or_notify_cancel():
                future.set_exception(error())
        self._waiting.clear()


class ReportQueue:
    """Batches between the loop that reads them and the owner who iterates. Put and get may be in different threads."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        delivered: ReportId,
        owner: Owner | None = None,
        limit_rows: int = QUEUE_ROWS,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._limit_rows = limit_rows
        self._batches: deque[ReportColumns] = deque()
        self._rows_in = 0
        self._rows_out = 0
        self._closed = False
        self._error: Callable[[], LockstepError] | None = None
        self._dropped = False
        self._arrived = threading.Event()
        self._arrived_async = asyncio.Event()
        self._room = asyncio.Event()
        self.consumed = False
        """Whether anybody ever asked."""
        self.delivered = delivered
        """Last row that the owner was given."""

    @property
    def full(self) -> bool:
        """Whether the reader should wait for `room`."""
        return self._rows_in - self._rows_out >= self._limit_rows

    def put(self, batch: ReportColumns) -> None:
        """Add a batch (loop thread). If nobody ever iterates, the queue is dropped at its bound."""
        if self._dropped:
            return
        self._batches.append(batch)
        self._rows_in += batch.count
        if self.full:
            if not self.consumed:
                self._dropped = True
                self._batches.clear()
                self._rows_out = self._rows_in
                return
            self._room.clear()
        self._arrived.set()
        self._arrived_async.set()

    async def room(self) -> None:
        """Wait until the owner has taken some (loop thread)."""
        while self.full:
            self._room.clear()
            if self.full:
                await self._room.wait()

    def close(self, error: Callable[[], LockstepError] | None) -> None:
        """No more batches will come (loop thread); `error` makes what is raised after the last one, None: nothing."""
        self._error = error
        self._closed = True
        self._arrived.set()
        self._arrived_async.set()
        self._room.set()

    def _check(self, what: str, *, may_wait: bool) -> None:
        if self._owner is not None:
            (self._owner.check_may_wait if may_wait else self._owner.check_process)(what)

    def _take(self) -> ReportColumns | None:
        if self._dropped:
            raise ReportsNotKept(
                f"more than {self._limit_rows} reports came before anybody asked for them; iterate from the start, or "
                "open the session with a callback"
            )
        if not self._batches:
            return None
        batch = self._batches.popleft()
        was_full = self.full
        self._rows_out += batch.count
        if was_full:
            self._loop.call_soon_threadsafe(self._room.set)
        return batch

    def _end(self) -> bool:
        if self._closed and not self._batches and self._error is not None:
            raise self._error()
        return self._closed and not self._batches

    def blocking(self, timeout: float | None) -> Iterator[ReportColumns]:
        """Batches as they come; ends with the session, or after `timeout` seconds of silence."""
        self._check("a session's blocking iterator", may_wait=False)
        seconds = wait_s("timeout_s", timeout)
        self.consumed = True
        while True:
            self._arrived.clear()
            batch = self._take()
            if batch is not None:
                yield batch
                continue
            if self._end():
                return
            self._check("a session's blocking iterator", may_wait=True)
            if not self._arrived.wait(seconds):
                return

    async def awaiting(self) -> AsyncIterator[ReportColumns]:
        """Batches as they come; ends with the session."""
        self._check("a session's iterator", may_wait=False)
        self.consumed = True
        while True:
            self._arrived_async.clear()
            batch = self._take()
            if batch is not None:
                yield batch
            elif self._end():
                return
            else:
                await self._arrived_async.wait()


BatchCallback = Callable[[ReportColumns], object]
