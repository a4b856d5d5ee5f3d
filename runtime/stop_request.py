"""An orderly end: signals, and the end of the parent, become one request that the main loop reads."""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

DIE_WITH_PARENT: Final = "LOCKSTEP_DIE_WITH_PARENT"
"""Set to 1 by a supervisor that gives the child a pipe as standard input: its end asks the child to stop."""
_LOOK_AGAIN_S: Final = 0.02


class StopRequest:
    """Asks the process to end in order: set by SIGTERM, SIGINT, the end of the parent, or the program itself."""

    def __init__(self) -> None:
        self.requested = False
        """A plain attribute, so that a poll loop can read it every turn."""
        self.reason = ""

    @classmethod
    def install(cls, *, at_once: bool = False) -> "StopRequest":
        """Catch the signals. Call it from the main thread.

        `at_once`: for a process that holds nothing which an end at any moment could damage. The signals then end it
        as the kernel does it, and so does the parent's end: it need not come to any place in its code first, which in
        the middle of a long call, or on a host that gives it hardly any CPU, may take it many seconds.
        """
        stop = cls()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(
                number, signal.SIG_DFL if at_once else lambda caught, _frame: stop.request(signal.Signals(caught).name)
            )
        if os.environ.get(DIE_WITH_PARENT) == "1":
            end = (lambda: os._exit(0)) if at_once else (lambda: stop.request("parent ended"))
            threading.Thread(target=_watch_parent, args=(end,), name="parent-watch", daemon=True).start()
        return stop

    def request(self, reason: str) -> None:
        """Ask for the end; the first reason is kept. It takes no lock: the thread that it interrupts may hold it."""
        self.reason = self.reason or reason
        self.requested = True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the end is asked for; whether it is.

        It looks again and again: a signal that comes just before a call that blocks does not end that call.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.requested:
            left_s = _LOOK_AGAIN_S if until_s is None else min(until_s - time.monotonic(), _LOOK_AGAIN_S)
            if left_s <= 0:
                break
            time.sleep(left_s)
        return self.requested


def _watch_parent(end: Callable[[], None]) -> None:
    # The parent never writes: the read returns only when its end of the pipe is closed, by whatever death.
    while os.read(0, 4096):
        pass
    end()
