"""An orderly end: signals, and the end of the parent, become one request that the main loop reads."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

DIE_WITH_PARENT: Final = "LOCKSTEP_DIE_WITH_PARENT"
"""Set to 1 by a supervisor that gives the child a pipe as standard input: its end asks the child to stop."""


class StopRequest:
    """Asks the process to end in order: set by SIGTERM, SIGINT, the end of the parent, or the program itself."""

    def __init__(self) -> None:
        self._event = threading.Event()
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
        """Ask for the end; the first reason is kept."""
        self.reason = self.reason or reason
        self.requested = True
        self._event.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the end is asked for; whether it is."""
        return self._event.wait(timeout_s)


def _watch_parent(end: Callable[[], None]) -> None:
    # The parent never writes: the read returns only when its end of the pipe is closed, by whatever death.
    while os.read(0, 4096):
        pass
    end()
