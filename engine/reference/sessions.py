"""Exactly once in: sessions number their commands 1, 2, 3 ..., and the engine executes each number once.

The next number is executed; a lower one is a repetition, answered with a pointer to the original outcome; a higher
one is refused, because something before it is missing. Refused commands take their number as well: a gateway that
resends after a takeover must not have its refusals executed the second time.
"""

from collections import deque
from typing import Final

REMEMBERED_OUTCOMES: Final = 256
"""For so many of a session's latest numbers the seq of the outcome is known."""


class Session:
    """`last_no` is the last number executed; `outcomes` are the seqs of the latest numbers, oldest first."""

    __slots__ = ("last_no", "outcomes")

    def __init__(self, last_no: int = 0, outcomes: tuple[int, ...] = ()) -> None:
        self.last_no = last_no
        self.outcomes: deque[int] = deque(outcomes, REMEMBERED_OUTCOMES)

    def outcome_seq(self, session_no: int) -> int:
        """Seq at which number `session_no` (<= last_no) was executed; 0 if it is forgotten or never was."""
        age = self.last_no - session_no
        return self.outcomes[-1 - age] if age < len(self.outcomes) else 0
