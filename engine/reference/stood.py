"""*Price limits*, "Breaker": the highest and the lowest of the prices that stood within a span of stamped time.

A price stands from its trade until the next one. Two queues keep the prices that may yet be the extreme: in each of
them a price is further out than all that came after it, so the front is the extreme, and what came before a further
one is forgotten. A price enters and leaves a queue once: O(1) for a trade, amortised.
"""

from collections import deque
from typing import Final, NamedTuple

MOST_STOOD: Final = 1024
"""Prices that a queue holds (*Price limits*, "Breaker")."""


class Stood(NamedTuple):
    """A price, and the stamp until which it stood: of the latest one, its trade's."""

    price: int
    until_ns: int


class Extremes:
    """Of the prices that stood within the span, the highest (or the lowest), and those that may become it."""

    __slots__ = ("_is_highest", "rows")

    def __init__(self, *, is_highest: bool) -> None:
        self._is_highest = is_highest
        # From the furthest price to the one that stands.
        self.rows: deque[Stood] = deque()

    @property
    def furthest(self) -> int:
        """The extreme; there is a price."""
        return self.rows[0].price

    def clear(self) -> None:
        """The span begins anew."""
        self.rows.clear()

    def forget(self, now_ns: int, window_ns: int) -> None:
        """Drop the prices that ceased to stand at least `window_ns` ago; the one that stands stays."""
        rows = self.rows
        while len(rows) > 1 and now_ns - rows[0].until_ns >= window_ns:
            rows.popleft()

    def stand(self, price: int, now_ns: int) -> None:
        """This price stands from now on, the one before until now."""
        rows = self.rows
        if rows:
            rows[-1] = Stood(rows[-1].price, now_ns)
        while rows and not self._is_further(rows[-1].price, price):
            rows.pop()
        if len(rows) == MOST_STOOD:
            self._merge()
        rows.append(Stood(price, now_ns))

    def _is_further(self, price: int, than: int) -> bool:
        return price > than if self._is_highest else price < than

    def _merge(self) -> None:
        """Two neighbours become one, the further price until the later stamp: no extreme comes nearer by it."""
        rows = list(self.rows)
        pairs = zip(rows[::2], rows[1::2], strict=True)
        self.rows = deque(Stood(further.price, nearer.until_ns) for further, nearer in pairs)
