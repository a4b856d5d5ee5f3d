"""Which MsgSeqNum a session's messages have. Pure.

Application messages follow from the session's rows, in order: each has an *ordinal*, from 0. In between, numbers go to
messages of the session layer, which follow from nothing; so it is noted how many went where, before any of them is
sent. A message's number follows from its ordinal and these notes, at every gateway.
"""

from bisect import bisect_left, bisect_right


class Numbering:
    """Invariant: `_places` rise strictly, `_given` with them; both lie in the present life of the numbers."""

    def __init__(self) -> None:
        self.base = 0
        """Ordinal of the first application message of this life."""
        self.life = 0
        self.since_ns = 0
        self._places: list[int] = []
        self._given: list[int] = []
        """So many numbers in all went to the session layer up to each place."""

    def give(self, ordinal: int, count: int) -> None:
        """Numbers in front of application message `ordinal` go to the session layer. Places never fall."""
        if ordinal < self.base or (self._places and ordinal < self._places[-1]):
            raise ValueError(f"numbers were given behind message {ordinal} already")
        total = (self._given[-1] if self._given else 0) + count
        if self._places and self._places[-1] == ordinal:
            self._given[-1] = total
        else:
            self._places.append(ordinal)
            self._given.append(total)

    def restart(self, ordinal: int, since_ns: int) -> None:
        """Numbers start at one again, in front of application message `ordinal`."""
        self.base, self.life, self.since_ns = ordinal, self.life + 1, since_ns
        self._places.clear()
        self._given.clear()

    def number_of(self, ordinal: int) -> int:
        """Of an application message of this life; of the next message of whatever kind, if there is none yet."""
        place = bisect_right(self._places, ordinal)
        return 1 + ordinal - self.base + (self._given[place - 1] if place else 0)

    def ordinals(self, begin: int, end: int, count: int) -> range:
        """The application messages under numbers `begin` to `end`. `count`: ordinals that there are."""
        there = range(self.base, count)
        first = bisect_left(there, begin, key=self.number_of)
        last = bisect_right(there, end, key=self.number_of)
        return there[first:last]
