"""*Limit up and limit down*: bands around the mean of an instrument's latest trades.

The limits alone; `limit_state.py` says what follows from them.
"""

from collections import deque
from typing import Final, NamedTuple

from lockstep.engine.reference.words import NORMAL
from lockstep.stream.records import MAX_PRICE_TICKS

PPM: Final = 10**6
MOST_SALES: Final = 1024
"""Rows that the window of the reference price has at the most (*Limit up and limit down*, "Reference price")."""


class BandTerms(NamedTuple):
    """What SET_BANDS sets."""

    high_ppm: int
    middle_ppm: int
    low_ppm: int
    step_ppm: int
    high_above_ticks: int
    low_below_ticks: int
    low_most_ticks: int
    window_ns: int
    limit_ns: int
    pause_ns: int


NO_TERMS: Final = BandTerms(*[0] * 10)


class Sales(NamedTuple):
    """Trades that came close together: stamp of the first, their number, the sum of their prices."""

    first_ns: int
    trades: int
    ticks: int


class Bands:
    """An instrument's bands: terms, how many times as wide (1, 2), reference price and since when, limits; state.

    `low` and `high` are 0 while there is no reference price. `until_ns`: when a limit state ends in a pause, else 0.
    """

    __slots__ = ("factor", "high", "low", "reference", "sales", "since_ns", "state", "terms", "until_ns")

    def __init__(self, terms: BandTerms) -> None:
        self.terms = terms
        self.factor = 1
        self.reference = self.since_ns = 0
        self.low = self.high = 0
        self.state = NORMAL
        self.until_ns = 0
        # The window, oldest first.
        self.sales: deque[Sales] = deque()

    def begin_anew(self) -> None:
        """The phase has changed, or nothing was before: no trades, no limit state."""
        self.sales.clear()
        self.state = NORMAL
        self.until_ns = 0

    def note(self, price: int, now_ns: int) -> None:
        """A trade."""
        self.forget(now_ns)
        grain_ns = -(-self.terms.window_ns // MOST_SALES)
        if self.sales and now_ns - self.sales[-1].first_ns < grain_ns:
            first_ns, trades, ticks = self.sales.pop()
            self.sales.append(Sales(first_ns, trades + 1, ticks + price))
        else:
            self.sales.append(Sales(now_ns, 1, price))

    def forget(self, now_ns: int) -> None:
        """Drop what is no longer within the window."""
        while self.sales and now_ns - self.sales[0].first_ns >= self.terms.window_ns:
            self.sales.popleft()

    def mean(self) -> int:
        """Arithmetic mean of the trades within the window, to the nearest tick, halves up; 0: there are none."""
        count = sum(row.trades for row in self.sales)
        return (2 * sum(row.ticks for row in self.sales) + count) // (2 * count) if count else 0

    def next_reference(self, now_ns: int) -> int:
        """What the reference price has to become now; 0: it stays."""
        self.forget(now_ns)
        mean = self.mean()
        if not self.reference or not mean:
            return mean
        is_kept = now_ns - self.since_ns < self.terms.window_ns // 10
        is_near = abs(mean - self.reference) * PPM < self.terms.step_ppm * self.reference
        return 0 if is_kept or is_near else mean

    def move(self, reference: int, close: int, now_ns: int) -> None:
        """Another reference price, from now on; the limits that follow from it."""
        self.reference = reference
        self.since_ns = now_ns
        self.fit(close)

    def fit(self, close: int) -> None:
        """The limits around the reference price, if there is one. `close`: previous one, 0 if not known."""
        if self.reference:
            width = self._width(close or self.reference) * self.factor
            self.low = max(self.reference - width, 1)
            self.high = min(self.reference + width, MAX_PRICE_TICKS)

    def _width(self, close: int) -> int:
        terms = self.terms
        if close > terms.high_above_ticks:
            return self._rounded(terms.high_ppm)
        if close >= terms.low_below_ticks:
            return self._rounded(terms.middle_ppm)
        width = self._rounded(terms.low_ppm)
        return min(width, terms.low_most_ticks) if terms.low_most_ticks else width

    def _rounded(self, ppm: int) -> int:
        """So many millionths of the reference price, to the nearest tick, halves up; a tick at least."""
        return max((self.reference * ppm + PPM // 2) // PPM, 1)
