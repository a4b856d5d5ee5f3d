"""Counting on the hot path: plain integers that one thread writes and a scrape in another thread reads.

No Prometheus object is touched while orders flow (its counters take a lock for each increment). One integer is read
whole; two that are read one after the other may belong to neighbouring moments, which a graph does not show.
"""

from bisect import bisect_left
from collections import deque
from typing import Final

_US: Final = 1_000
_MS: Final = 1_000_000
_S: Final = 1_000_000_000

BOUNDS_NS: Final = (
    *(n * _US for n in (20, 50, 100, 200, 300, 500, 750)),
    *(n * _MS for n in (1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750)),
    *(n * _S for n in (1, 2, 5, 10)),
)
"""Upper bounds of the latency buckets, ns. The budgets (2, 10, 30, 50, 100, 300 ms) are among them, so that a share
within budget is exact."""


class Latencies:
    """A histogram of durations."""

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_NS) + 1)
        """Observations by bucket, not cumulative; the last one is for everything above the bounds."""
        self.sum_ns = 0

    def add(self, ns: int, times: int = 1) -> None:
        """One duration, that `times` things took."""
        self.counts[bisect_left(BOUNDS_NS, ns)] += times
        self.sum_ns += ns * times


class Passage:
    """Things that entered at one point in order, and leave at another one in the same order: how long they took.

    What enters are positions of a stream (a seq, for instance) that a whole batch reaches.
    """

    __slots__ = ("_under_way", "latencies")

    def __init__(self, limit: int = 65_536) -> None:
        """`limit`: batches that may be under way; the oldest are forgotten beyond it."""
        self.latencies = Latencies()
        self._under_way: deque[tuple[int, int, int]] = deque(maxlen=limit)

    def enter(self, position: int, now_ns: int, times: int) -> None:
        """A batch of `times` commands that ends at `position` entered."""
        self._under_way.append((position, now_ns, times))

    def leave(self, position: int, now_ns: int) -> None:
        """Everything up to `position` has left."""
        under_way = self._under_way
        while under_way and under_way[0][0] <= position:
            _, since_ns, times = under_way.popleft()
            self.latencies.add(now_ns - since_ns, times)

    def clear(self) -> None:
        """What is under way will not leave here."""
        self._under_way.clear()

    def oldest_ns(self, now_ns: int) -> int:
        """For how long the oldest one has been under way; 0: nothing is. From any thread."""
        try:
            return max(0, now_ns - self._under_way[0][1])
        except IndexError:
            return 0
