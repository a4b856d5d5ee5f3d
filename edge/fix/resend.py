"""An answer to a ResendRequest: messages made again, and gap fills between them. Pure, and bounded.

What is resent is fetched in pieces, so that a long answer holds up neither the machine nor other sessions. A second
request while one is answered widens it: whoever asks twice gets repeated messages, which are marked as such.
"""

from collections.abc import Iterator

from lockstep.edge.fix.values import CHUNK, Fetch, Fetched, Regenerated
from lockstep.stream.values import frozen


@frozen
class GapFill:
    """Numbers from `number` up to and without `next_number` had no application message."""

    number: int
    next_number: int


class Resend:
    """What of a session is being resent. Invariant: `_gap <= _next <= _end + 1` while it is under way."""

    def __init__(self, life: int) -> None:
        """`life`: of the session's numbers."""
        self._life = life
        self._next = self._gap = 1
        self._end = 0
        self._asked = False
        self._again: tuple[int, int] | None = None

    @property
    def under_way(self) -> bool:
        """Whether anything is still to be resent."""
        return self._next <= self._end

    def ask(self, begin: int, end: int) -> None:
        """Messages `begin` to `end` are wanted; begin <= end, both were sent."""
        if self.under_way:
            first, last = self._again or (begin, end)
            self._again = (min(first, begin), max(last, end))
            return
        self._next = self._gap = begin
        self._end = end

    def fetch(self) -> Fetch | None:
        """What is to be fetched next, once."""
        if self._asked or not self.under_way:
            return None
        self._asked = True
        return Fetch(self._life, self._next, min(self._end, self._next + CHUNK - 1))

    def take(self, fetched: Fetched) -> Iterator[Regenerated | GapFill]:
        """What is to be sent now. An answer to something else than the last `Fetch` is none."""
        if not self._asked or (fetched.life, fetched.begin) != (self._life, self._next):
            return
        self._asked = False
        end = min(max(fetched.end, self._next - 1), self._end)
        for message in fetched.messages:
            if not self._next <= message.number <= end:
                raise ValueError(f"message {message.number} is not one of {self._next} to {end} in order")
            if self._gap < message.number:
                yield GapFill(self._gap, message.number)
            yield message
            self._gap = self._next = message.number + 1
        self._next = end + 1
        if self.under_way:
            return
        if self._gap <= end:
            yield GapFill(self._gap, end + 1)
        self._end = 0
        if self._again is not None:
            begin, last = self._again
            self._again = None
            self.ask(begin, last)
