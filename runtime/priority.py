"""How a process that may wait gives way to those that may not, and for how long it has to."""

import contextlib
import os
import resource
from pathlib import Path
from typing import Final

_GROUP: Final = Path("/proc/self/autogroup")
_MILD: Final = 3
"""Niceness for good, where what is given can't be taken back."""
_NICEST: Final = 20


def give_way(nice: int) -> None:
    """Lower this process' priority by `nice`, against the other processes of the machine as well.

    Linux shares the CPU out among sessions first (sched_autogroup), and every process that a supervisor starts has a
    session of its own: there `nice` alone changes nothing.
    """
    Courtesy(nice).give()


class Courtesy:
    """This process gives way, or has its whole share again. The priority is the calling thread's, and of those that it
    starts; the session's is everybody's in it.

    Without a privilege Linux lets nobody raise a thread's priority again, but a session's weight: so a process that may
    not is nice a little only, for good, and where it has a session of its own, the session is nice as asked.
    """

    def __init__(self, nice: int) -> None:
        """`nice`: 0 to 19, added to what the process has."""
        self._own = os.nice(0)
        limit, _ = resource.getrlimit(resource.RLIMIT_NICE)
        self.returns = os.geteuid() == 0 or limit >= _NICEST - self._own or limit == resource.RLIM_INFINITY
        """Whether the thread's priority can be taken back; the session's can in any case."""
        self._nice = nice if self.returns else min(nice, _MILD)
        self._session_nice = nice
        self.gives: bool | None = None
        """Whether it was last asked to give way; None: nothing yet."""
        self._session_gives: bool | None = None

    def give(self) -> None:
        """Give way; nothing if it does. Call it again and again, like `take_back`: the kernel may refuse at first."""
        self._be(gives=True)

    def take_back(self) -> None:
        """Have the whole share again; nothing if it has."""
        self._be(gives=False)

    def _be(self, *, gives: bool) -> None:
        if self.gives is None and not gives:
            return
        if gives is not self.gives:
            self.gives = gives
            with contextlib.suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, 0, min(self._own + (self._nice if gives else 0), _NICEST - 1))
        if gives is not self._session_gives and os.getsid(0) == os.getpid():
            self._weigh_session(gives)

    def _weigh_session(self, gives: bool) -> None:
        # Without a privilege one such change in a tenth of a second is taken, of all processes of the machine together;
        # the others are refused, and tried again by the next call.
        try:
            with _GROUP.open("w") as group:
                group.write(str(self._session_nice if gives else 0))
        except BlockingIOError:
            return
        except OSError:  # no such groups here
            pass
        self._session_gives = gives
