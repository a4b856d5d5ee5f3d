"""An orderly end: signals, and the end of the parent, become one request that the main loop reads."""

import os
import signal
import threading
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
    def install(cls) -> "StopRequest":
        """Catch the signals. Call it from the main thread."""
        stop = cls()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda caught, _frame: stop.request(signal.Signals(caught).name))
        if os.environ.get(DIE_WITH_PARENT) == "1":
            threading.Thread(target=stop._watch_parent, name="parent-watch", daemon=True).start()
        return stop

    def request(self, reason: str) -> None:
        """Ask for the end; the first reason is kept."""
        self.reason = self.reason or reason
        self.requested = True
        self._event.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the end is asked for; whether it is."""
        return self._event.wait(timeout_s)

    def _watch_parent(self) -> None:
        # The parent never writes: the read returns only when its end of the pipe is closed, by whatever death.
        while os.read(0, 4096):
            pass
        self.request("parent ended")
