"""Searches of history beside the matching loop: one slice at a time, the callers in turn, and long pauses between.

They run in threads of the engine's process and hold its interpreter while they compute, so they get a small share of
its time, all of them together, and give it back after each slice.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from lockstep.stream.turns import FairQueue

SLICE_NS: Final = 500_000
"""CPU time after which a slice should end."""
SHARE: Final = 8
"""One part in so many of a core's time goes to searches, at the most."""


class Turnstile:
    """For any number of threads."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._changed = threading.Condition()
        self._waiting: FairQueue[int, object] = FairQueue()
        self._free = True
        self._next_ns = 0
        self._sleep = sleep

    @contextmanager
    def slice(self, caller: int) -> Iterator[Callable[[], bool]]:
        """A slice of work; what it gives says whether the slice is used up."""
        ticket = object()
        with self._changed:
            self._waiting.add(caller, ticket)
            self._changed.wait_for(lambda: self._free and self._waiting.first() is ticket)
            self._waiting.take()
            self._free = False
        try:
            pause_ns = self._next_ns - time.monotonic_ns()
            if pause_ns > 0:
                self._sleep(pause_ns / 1e9)
            began_ns = time.thread_time_ns()
            yield lambda: time.thread_time_ns() - began_ns >= SLICE_NS
            took_ns = time.thread_time_ns() - began_ns
            self._next_ns = time.monotonic_ns() + took_ns * (SHARE - 1)
        finally:
            with self._changed:
                self._free = True
                self._changed.notify_all()
