"""When a session runs, and when its numbers start at one again. Pure: a function of the given time.

All times are UTC. A session that has no schedule runs for ever.
"""

from typing import Final

from lockstep.edge.fix.times import NS
from lockstep.stream.values import frozen

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
_MONDAY_S: Final = 4 * DAY_S
"""The first Monday of 1970, in seconds: 5 January."""


@frozen
class Period:
    """One run of a session: from `begins_ns` on, up to and without `ends_ns` (0: it never ends)."""

    begins_ns: int
    ends_ns: int

    def holds(self, at_ns: int) -> bool:
        """Whether a time is in it."""
        return self.begins_ns <= at_ns and (not self.ends_ns or at_ns < self.ends_ns)


@frozen
class Schedule:
    """Spans of a week, each one period. No spans: one period that never ends.

    `spans`: (begin, length) in seconds, from Monday 00:00 UTC; 0 <= begin < a week, 0 < length <= a week; they do not
    overlap.
    """

    spans: tuple[tuple[int, int], ...] = ()

    def period(self, now_ns: int) -> Period | None:
        """The period that a time lies in; None between two."""
        if not self.spans:
            return Period(0, 0)
        now_s = now_ns // NS
        week_s = (now_s - _MONDAY_S) // WEEK_S * WEEK_S + _MONDAY_S
        for begin, length in self.spans:
            for start_s in (week_s + begin, week_s - WEEK_S + begin):
                if start_s <= now_s < start_s + length:
                    return Period(start_s * NS, (start_s + length) * NS)
        return None


ALWAYS: Final = Schedule()


def weekly(begin_day: int, begin_s: int, end_day: int, end_s: int) -> Schedule:
    """One period a week. Days from 0 (Monday) to 6, seconds since midnight UTC. The same time twice: the whole week."""
    begin = _in_week(begin_day, begin_s)
    return Schedule(((begin, (_in_week(end_day, end_s) - begin) % WEEK_S or WEEK_S),))


def daily(begin_s: int, end_s: int, days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)) -> Schedule:
    """One period on each of `days`, which are those that it begins on. The same time twice: 24 hours."""
    length = (end_s - begin_s) % DAY_S or DAY_S
    return Schedule(tuple((_in_week(day, begin_s), length) for day in sorted(set(days))))


def _in_week(day: int, second: int) -> int:
    if not (0 <= day <= 6 and 0 <= second < DAY_S):
        raise ValueError(f"day {day}, second {second}: days are 0 (Monday) to 6, seconds 0 to {DAY_S - 1}")
    return day * DAY_S + second
