"""Candles of every length, and the day's statistics, from the tape. Pure.

A *bar* is what some trades of one instrument within one second come to. A burst of trades is first made into bars, and
bars are merged into candles: so a trade costs the same however many lengths there are, and a candle is the same however
its trades were cut into bursts, since merging is associative. Times are stamped times; a candle begins at a multiple of
its length. A candle without trades does not exist: in a list it stands with the close before it as all its prices.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from lockstep.marketdata.trade_tape import TradePrint

LENGTHS_S: Final = (1, 10, 60, 300, 900, 3_600, 14_400, 86_400)
"""Seconds; each divides a day."""
MAX_SERIES: Final = 1_440
"""Candles of one instrument and length that are kept."""
MAX_KEPT: Final = 1_000_000
"""Candles that are kept in all; what is beyond is taken from the series that grows."""
SECOND_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * SECOND_NS
_MICRO: Final = 1_000_000


@dataclass(slots=True)
class Bar:
    """Some trades, in order. `turnover` is the sum of price times lots."""

    begin_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume_lots: int
    turnover: int
    trades: int
    last_seq: int

    def merge(self, later: "Bar") -> None:
        """Trades that follow."""
        self.high_ticks = max(self.high_ticks, later.high_ticks)
        self.low_ticks = min(self.low_ticks, later.low_ticks)
        self.close_ticks = later.close_ticks
        self.volume_lots += later.volume_lots
        self.turnover += later.turnover
        self.trades += later.trades
        self.last_seq = later.last_seq

    @property
    def vwap_micro_ticks(self) -> int:
        """Volume-weighted average price, in millionths of a tick, rounded down; 0 without trades."""
        return self.turnover * _MICRO // self.volume_lots if self.volume_lots else 0

    def moved_to(self, begin_ns: int) -> "Bar":
        """A copy that begins at another time."""
        return Bar(
            begin_ns,
            self.open_ticks,
            self.high_ticks,
            self.low_ticks,
            self.close_ticks,
            self.volume_lots,
            self.turnover,
            self.trades,
            self.last_seq,
        )


def bars_of(trades: Iterable[TradePrint]) -> list[tuple[int, Bar]]:
    """(Instrument, bar of one second), each in order."""
    bars: list[tuple[int, Bar]] = []
    open_bars: dict[int, Bar] = {}
    for instrument, seq, _index, price, lots, _side, _flags, _taker, _maker, at_ns in trades:
        begin_ns = at_ns - at_ns % SECOND_NS
        bar = open_bars.get(instrument)
        if bar is None or bar.begin_ns != begin_ns:
            bar = open_bars[instrument] = Bar(begin_ns, price, price, price, price, lots, price * lots, 1, seq)
            bars.append((instrument, bar))
            continue
        if price > bar.high_ticks:
            bar.high_ticks = price
        elif price < bar.low_ticks:
            bar.low_ticks = price
        bar.close_ticks = price
        bar.volume_lots += lots
        bar.turnover += price * lots
        bar.trades += 1
        bar.last_seq = seq
    return bars


class Candles:
    """Of all instruments. Invariant: of a series all candles behind its `floor` are kept, ascending."""

    def __init__(self, seq: int, lengths_s: Iterable[int] = LENGTHS_S) -> None:
        self.since_seq = seq + 1
        """Trades before this seq are in no candle."""
        self._lengths = tuple(lengths_s)
        self._series: dict[tuple[int, int], deque[Bar]] = {}
        self._floors: dict[tuple[int, int], int] = {}
        self._start = seq
        self.kept = 0

    def add(self, bars: Iterable[tuple[int, Bar]]) -> None:
        """Later ones than all before."""
        for instrument, bar in bars:
            for length_s in self._lengths:
                self._add(instrument, length_s, bar)

    def _add(self, instrument: int, length_s: int, bar: Bar) -> None:
        key = instrument, length_s
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = deque()
        begin_ns = bar.begin_ns - bar.begin_ns % (length_s * SECOND_NS)
        if series and series[-1].begin_ns == begin_ns:
            series[-1].merge(bar)
            return
        series.append(bar.moved_to(begin_ns))
        self.kept += 1
        while len(series) > MAX_SERIES or (self.kept > MAX_KEPT and len(series) > 1):
            self._floors[key] = series.popleft().last_seq
            self.kept -= 1

    def changed(self, instrument: int, length_s: int) -> int:
        """Seq of the last trade in a series; where the candles began, if there was none."""
        series = self._series.get((instrument, length_s))
        return series[-1].last_seq if series else self._start

    def since(self, instrument: int, length_s: int, seq: int) -> list[Bar] | None:
        """The candles that have trades of later seqs, oldest first; None: some are not kept any more."""
        if seq < self._floors.get((instrument, length_s), self._start):
            return None
        found = []
        for bar in reversed(self._series.get((instrument, length_s), ())):
            if bar.last_seq <= seq:
                break
            found.append(bar)
        return found[::-1]

    def latest(self, instrument: int, length_s: int, most: int) -> list[Bar]:
        """The last ones with trades, oldest first."""
        return list(self._series.get((instrument, length_s), ()))[-most:]

    def listed(self, instrument: int, length_s: int, *, from_ns: int, to_ns: int, most: int) -> list[Bar]:
        """One for each time from `from_ns` (0: the first known) on and before `to_ns`: at most `most`, the latest.

        Where nothing traded all prices are the close before, and volume and trades 0. None before the first trade.
        """
        length_ns = length_s * SECOND_NS
        last_ns = (to_ns - 1) - (to_ns - 1) % length_ns
        first_ns = max(from_ns - from_ns % length_ns, last_ns - (most - 1) * length_ns)
        found: list[Bar] = []
        before: Bar | None = None
        at_ns = first_ns
        for bar in self._series.get((instrument, length_s), ()):
            if bar.begin_ns > last_ns:
                break
            if bar.begin_ns >= first_ns:
                found += _empty(before, at_ns, bar.begin_ns, length_ns)
                found.append(bar)
                at_ns = bar.begin_ns + length_ns
            before = bar
        return found + _empty(before, at_ns, last_ns + length_ns, length_ns)


def _empty(before: Bar | None, from_ns: int, to_ns: int, length_ns: int) -> list[Bar]:
    """Candles without trades behind one that has some."""
    if before is None:
        return []
    close = before.close_ticks
    return [Bar(begin_ns, close, close, close, close, 0, 0, 0, 0) for begin_ns in range(from_ns, to_ns, length_ns)]


@dataclass(slots=True)
class Day:
    """An instrument's stamped day, UTC, and what was before it."""

    bar: Bar
    """Of the day; `begin_ns` is its begin."""
    close_ticks: int
    """The last trade of the latest earlier day; 0: not known."""


class DayStatistics:
    """Of all instruments."""

    def __init__(self, seq: int, last_prices: dict[int, int] | None = None) -> None:
        """`last_prices`: by instrument, where the statistics begin in the middle of a history."""
        self._start = seq
        self._before = dict(last_prices or {})
        self._days: dict[int, Day] = {}

    def add(self, bars: Iterable[tuple[int, Bar]]) -> None:
        """Later ones than all before."""
        for instrument, bar in bars:
            begin_ns = bar.begin_ns - bar.begin_ns % _DAY_NS
            day = self._days.get(instrument)
            if day is not None and day.bar.begin_ns == begin_ns:
                day.bar.merge(bar)
                continue
            close = self._before.get(instrument, 0) if day is None else day.bar.close_ticks
            self._days[instrument] = Day(bar.moved_to(begin_ns), close)

    def changed(self, instrument: int) -> int:
        """Seq of the last trade; where they began, if there was none."""
        day = self._days.get(instrument)
        return self._start if day is None else day.bar.last_seq

    def of(self, instrument: int, now_ns: int) -> Day:
        """Of the day that a stamped time is in: without trades yet, if the last was earlier."""
        begin_ns = now_ns - now_ns % _DAY_NS
        day = self._days.get(instrument)
        if day is not None and day.bar.begin_ns == begin_ns:
            return day
        last = self._before.get(instrument, 0) if day is None else day.bar.close_ticks
        return Day(Bar(begin_ns, 0, 0, 0, last, 0, 0, 0, self.changed(instrument)), last)
