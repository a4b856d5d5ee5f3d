"""How many stamped commands may wait for the engines: as many as they hold within 75 ms. Pure.

Whatever comes in beyond what the engines can do waits somewhere, and latency is how long. With a fixed bound it is that
bound divided by what they can do just now. So the bound follows them: one stamped command at a time is timed until
every engine that has to hold it does. Took that longer than is wanted twice in a row, fewer may wait; was it far from
it, more. Once is a stall of a disk or a host, or a failover, and is over. The credit of the gateways shrinks with it,
they refuse what is too much (BUSY) at once, and clients know. A leader begins with a few: what its engines can do it
has yet to see, and a first bound of seconds on a slow host would be there for seconds.

Where the disks or the network alone take longer than is wanted, fewer commands under way would not help: what it takes
while hardly anything waits is the base, and twice that is allowed, within bounds. The control is that of TCP Vegas
(Brakmo and Peterson, "TCP Vegas: New Techniques for Congestion Detection and Avoidance", 1994), with the base measured
when the queue is empty alone, so that it does not rise with the queue.
"""

from typing import Final

from lockstep.sequencer.settings import MS

AIM_NS: Final = 75 * MS
"""What a command may wait between its stamp and the acknowledgements."""
MOST_NS: Final = 500 * MS
"""The same where engines take long with nothing that waits."""
LEAST: Final = 2_048
"""Commands that may wait in any case, if that is not more than an eighth of the limit."""
FIRST: Final = 8_192
"""Commands that may wait in the beginning, if the limit is not lower."""


class Backlog:
    """See the module. Invariant: 1 <= `bound` <= the limit."""

    __slots__ = ("_base_ns", "_least", "_limit", "_was_calm", "_was_slow", "_watched_ns", "_watched_seq", "bound")

    def __init__(self, limit: int) -> None:
        """`limit`: commands that may wait at the most."""
        self._limit = limit
        self._least = max(1, min(LEAST, limit // 8))
        self.bound = min(limit, FIRST)
        """Commands that may wait now."""
        self._watched_seq = self._watched_ns = 0
        self._was_calm = self._was_slow = False
        self._base_ns = 0

    def on_stamped(self, seq: int, waiting: int, now_ns: int) -> None:
        """Commands up to `seq` were stamped, and so many wait with them."""
        if not self._watched_seq:
            self._watched_seq, self._watched_ns, self._was_calm = seq, now_ns, waiting <= self._least

    def on_held(self, seq: int, now_ns: int) -> None:
        """Every engine that has to hold the stream does so up to here."""
        if not self._watched_seq or seq < self._watched_seq:
            return
        took_ns = now_ns - self._watched_ns
        self._watched_seq = 0
        if self._was_calm:
            self._base_ns = (7 * self._base_ns + took_ns) // 8 if 0 < self._base_ns < took_ns else took_ns
        aim_ns = min(MOST_NS, max(AIM_NS, 2 * self._base_ns))
        was_slow, self._was_slow = self._was_slow, took_ns > aim_ns
        if was_slow and self._was_slow:
            # Halved at the most: a long stall is not what the engines can do.
            self.bound = max(self._least, self.bound // 2, self.bound * aim_ns // took_ns)
        elif took_ns < aim_ns * 3 // 4:
            self.bound = min(self._limit, self.bound + self.bound // 4 + 1)
