"""A process' work in its asyncio loop: what raises unexpectedly there ends the process, instead of a line in a log."""

import asyncio
import time
from collections.abc import Callable
from typing import Any


class GuardedLoop:
    """Of the loop that runs when it is made. Whoever serves waits for `failed`, and ends with `failure`."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        """A broken invariant, or a disk that fails; the process must end."""
        self.failed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def fail(self, failure: BaseException | None) -> None:
        """The process must end; the first reason is kept."""
        if self.failure is None:
            self.failure = failure
            self.failed.set()

    def spawn(self, work: Any) -> None:
        """Run a coroutine beside; an unexpected exception in it ends the process."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.fail(task.exception())

    async def end_tasks(self) -> None:
        """Cancel what was spawned, and wait for it."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def guarded[T](self, action: Callable[[], T]) -> T:
        """Called by the loop itself, or by a door, which would log what it raises and go on."""
        try:
            return action()
        except Exception as failure:
            self.fail(failure)
            raise

    def at(self, due_ns: int, action: Callable[[], None]) -> asyncio.Handle:
        """Call it at a time of the monotonic clock, in a later turn of the loop."""
        wait_s = (due_ns - time.monotonic_ns()) / 1e9
        if wait_s <= 0:
            return self._loop.call_soon(self.guarded, action)
        return self._loop.call_later(wait_s, self.guarded, action)
