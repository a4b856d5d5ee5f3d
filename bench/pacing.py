"""Waking at a time that is not a whole millisecond: what an open-loop load generator needs of its event loop.

Event loops count in milliseconds. uvloop rounds a shorter wait down to none, so that a generator that wants to send in
0.4 ms spins until then, on a core that the cluster under test needs; asyncio's own loop rounds up, which would count as
latency. A timer descriptor of Linux is exact and costs one wake-up.
"""

import asyncio
import os
import sys
import time
from typing import Final

_MS_NS: Final = 1_000_000


class Pacer:
    """Belongs to the running loop. Close it in the end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._timer = -1
        # Without the descriptor waits are rounded up to whole milliseconds.
        if sys.version_info >= (3, 13) and sys.platform == "linux":
            self._timer = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
            self._loop.add_reader(self._timer, self._on_timer)

    async def until(self, due_ns: int) -> None:
        """Return at `due_ns` (monotonic), or after one turn of the loop if that is past."""
        left_ns = due_ns - time.monotonic_ns()
        if left_ns <= 0:
            await asyncio.sleep(0)
        elif sys.version_info >= (3, 13) and self._timer >= 0:
            self._waiter = self._loop.create_future()
            os.timerfd_settime_ns(self._timer, flags=os.TFD_TIMER_ABSTIME, initial=due_ns)
            await self._waiter
        else:
            await asyncio.sleep(-(-left_ns // _MS_NS) / 1000)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._timer >= 0:
            self._loop.remove_reader(self._timer)
            os.close(self._timer)
            self._timer = -1

    def _on_timer(self) -> None:
        try:
            os.read(self._timer, 8)
        except BlockingIOError:
            return
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
