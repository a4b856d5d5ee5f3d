"""An orderly end: signals, and the end of the parent, become one request that the main loop reads."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

DIE_WITH_PARENT: Final = "LOCKSTEP_DIE_WITH_PARENT"
"""Set to 1 by a supervisor that gives the child a pipe as standard input: its end asks the child to stop."""


_UNTIL_HANDLED_S: Final = 0.2
"""The reason is known once the main thread has handled the signal, which it can't in the middle of a long call."""


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

    def end_at_once(self, after_s: float, exit_code: int, last_words: Callable[[], object]) -> None:
        """End the process `after_s` seconds after the end was asked for, wherever it is then. From the main thread.

        For a process that holds nothing that an end at any moment could damage, and that may be in the middle of a
        long call, or so starved of the CPU that the orderly end, with all that the interpreter takes apart in it,
        would last for many seconds. The kernel tells a thread of the signal, so the main thread need not get to it.
        """
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)

        def end() -> None:
            # Woken by any signal that is caught here, or by the parent's end, which `request` tells at once.
            threading.Thread(target=wait_for_request, name="stop-request", daemon=True).start()
            os.read(told, 1)
            self._event.wait(_UNTIL_HANDLED_S)
            time.sleep(after_s)
            last_words()
            os._exit(exit_code)

        def wait_for_request() -> None:
            self._event.wait()
            with contextlib.suppress(BlockingIOError):
                os.write(tell, b"\0")

        threading.Thread(target=end, name="end-at-once", daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the end is asked for; whether it is."""
        return self._event.wait(timeout_s)

    def _watch_parent(self) -> None:
        # The parent never writes: the read returns only when its end of the pipe is closed, by whatever death.
        while os.read(0, 4096):
            pass
        self.request("parent ended")
