"""When a session that was logged in to may take orders: once nothing of an earlier connection can still be executed.
Pure.

The door numbers a client's commands. Another gateway may have numbered some for an earlier connection of the session
that are under way still, or lie in its intake log until it is back. If such a command could be executed later, beside
what this connection sends again under other numbers, an order could be executed twice. So the session is *sealed*
first:

1. The login is announced to the cluster by SESSION_OPENED with a higher connection number than any before
   (`gateway/disconnects.py`). A gateway that hears of it ends its stream of the session and numbers nothing more.
2. Every gateway lets at most `WINDOW` commands of such a session be unanswered. So whatever it numbered before it
   heard of SESSION_OPENED has a number of at most `WINDOW` above the last one that was executed up to that event.
3. That many numbers are used up, by commands that do nothing. What comes late under one of them has no effect
   (docs/engine.md, *Used numbers*).

Behind the answer to the last of them, everything that the client has sent before either is among the session's events,
or will never be executed. docs/adr/0022 has the argument at length.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

WINDOW: Final = 256
"""Commands of one session that may be unanswered at one gateway. The same everywhere, and for ever: it may be raised
only by a version that seals with the higher number before any gateway lets so many be under way."""


class State(Enum):
    """Of an opening."""

    LISTENING = "listening"
    """For all earlier events of the session, and for the announcement to come back."""
    SEALING = "sealing"
    """For the answers to the numbers that are used up."""
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Seal:
    """Use up the numbers from `first_no` to `last_no` (`first_no` above it: those under way reach as far)."""

    first_no: int
    last_no: int


class Opening:
    """See the module. Invariant: `through` is WINDOW above what was executed when the announcement was known to be
    stamped."""

    def __init__(self) -> None:
        self.state = State.LISTENING
        self.through = 0
        """The last number that is used up; 0: not known yet."""
        self._has_all = self._is_announced = False

    def on_all(self, answered: int, expected: int) -> Seal | None:
        """All earlier events are known: the session is executed up to `answered`, and `expected` is the next number
        here."""
        self._has_all = True
        return self._seal(answered, expected)

    def on_announced(self, answered: int, expected: int) -> Seal | None:
        """SESSION_OPENED of this connection came back, as the highest one of its session."""
        self._is_announced = True
        return self._seal(answered, expected)

    def on_answered(self, answered: int) -> bool:
        """The session is executed so far, and its rows were taken; whether it may take orders."""
        if self.state is State.SEALING and answered >= self.through:
            self.state = State.READY
        return self.state is State.READY

    def _seal(self, answered: int, expected: int) -> Seal | None:
        if not (self._has_all and self._is_announced and self.state is State.LISTENING):
            return None
        self.state = State.SEALING
        self.through = answered + WINDOW
        return Seal(expected, self.through)
