"""To which process and which thread a client belongs, and what it says to a call from where that can't work.

Two places are wrong. In a process that was forked from the client's own there is neither the thread nor the connection
that would answer: the call would wait for ever. In the thread of the client's event loop (where callbacks run) a call
that waits holds up the very loop that would end it. Every call that could wait comes through one of the checks here.
"""

import os
import threading
from typing import Final

from lockstep.errors import CalledAfterFork, CalledFromCallback

_NO_THREAD: Final = 0


class Owner:
    """The process that made an object, and the thread whose loop serves it.

    Args:
        loop_thread: identity of that thread (`threading.get_ident`); 0: not known, no thread is refused.
    """

    __slots__ = ("_loop_thread", "_pid")

    def __init__(self, loop_thread: int = _NO_THREAD) -> None:
        self._pid = os.getpid()
        self._loop_thread = loop_thread

    @property
    def is_here(self) -> bool:
        """Whether this is the process that it belongs to."""
        return os.getpid() == self._pid

    def check_process(self, what: str) -> None:
        """Raises CalledAfterFork in any other process. `what`: the call, for the text."""
        if os.getpid() != self._pid:
            raise CalledAfterFork(
                f"{what} was called in process {os.getpid()}, but its client belongs to process {self._pid}, from "
                "which this one was forked: the threads and connections behind it stayed there. Make a client of this "
                "process's own, in a process that was forked before the parent used one, or start processes with "
                'multiprocessing.get_context("spawn")'
            )

    def check_may_wait(self, what: str) -> None:
        """Like `check_process`; raises CalledFromCallback in the loop's thread, too."""
        self.check_process(what)
        if threading.get_ident() == self._loop_thread:
            raise CalledFromCallback(
                f"{what} was called in the thread of the client's event loop, where on_report and on_batch run: it "
                "would wait there for what only this thread can bring. Hand the work to a thread of yours "
                "(queue.Queue), or iterate reports() instead of using a callback; in asyncio code, await it"
            )
