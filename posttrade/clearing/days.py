"""Days as numbers since 1970-01-01, and which of them settle what. Pure: no clock, no time zone but a fixed offset.

A trade made on a day that is no settlement day counts as of the settlement day before it; then so many settlement days
are counted as the cycle of its own date says (T+2 up to 2024-05-24, T+1 from 2024-05-28 in the United States).
"""

from typing import Final

from lockstep.stream.values import frozen

NS_PER_DAY: Final = 86_400 * 10**9
_MONTHS: Final = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_LONGEST_CLOSURE: Final = 60
"""Days without any settlement day in a row: more than that is a calendar that has run out."""
DAYS: Final = range(1, 100_000)
"""Days that can be meant: the last one is in 2243. A date that is written as 20261203 is none."""
FURTHEST: Final = 366
"""Days after the last one at which the next may begin: each day between costs those time who wait for deliveries."""


class CalendarEnds(Exception):
    """No settlement day is near that day: the calendar is wrong."""


def day_of(year: int, month: int, date: int) -> int:
    """Its number, by the Gregorian calendar."""
    before = year - 1
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = before * 365 + before // 4 - before // 100 + before // 400 + _MONTHS[month - 1] + date
    return days + (1 if leap and month > 2 else 0) - 719_163


def weekday_of(day: int) -> int:
    """Monday is 0."""
    return (day + 3) % 7


@frozen
class Calendar:
    """Which days settle, and how many of them lie between a trade and its settlement."""

    closed: tuple[int, ...] = ()
    """Days between Monday and Friday on which nothing settles, ascending: exchange or banks are closed."""
    cycles: tuple[tuple[int, int], ...] = ((-(2**31), 1),)
    """(first trade day, settlement days after it), ascending; the last that has begun holds."""
    offset_s: int = 0
    """Added to stamped time (UTC) before its day is taken: the day of a trade is that of the market's place."""

    def settles(self, day: int) -> bool:
        """Whether it is a settlement day."""
        return weekday_of(day) < 5 and day not in self.closed

    def before_or_on(self, day: int) -> int:
        """The last settlement day that is not after it."""
        return self._search(day, -1)

    def after(self, day: int, count: int = 1) -> int:
        """So many settlement days behind a day."""
        for _ in range(count):
            day = self._search(day + 1, 1)
        return day

    def settlement_of(self, trade_day: int) -> int:
        """When a trade of that day settles."""
        counted = self.before_or_on(trade_day)
        length = [days for first, days in self.cycles if first <= trade_day]
        return self.after(counted, length[-1] if length else 1)

    def between(self, earlier: int, later: int) -> int:
        """How many settlement days there are behind the one up to the other."""
        return sum(self.settles(day) for day in range(earlier + 1, later + 1))

    def trade_day(self, timestamp_ns: int) -> int:
        """Of a trade that was stamped so."""
        return (timestamp_ns + self.offset_s * 10**9) // NS_PER_DAY

    def _search(self, day: int, step: int) -> int:
        for _ in range(_LONGEST_CLOSURE):
            if self.settles(day):
                return day
            day += step
        raise CalendarEnds(f"no settlement day within {_LONGEST_CLOSURE} days of day {day}")
