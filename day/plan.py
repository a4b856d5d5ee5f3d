"""What is due when: the phase changes of each business day, from a segment and its calendar. Pure."""

import datetime as dt
from bisect import bisect_right
from dataclasses import field

from lockstep.day.calendars import Calendar, Hours, shown, wall_ns
from lockstep.day.marks import END
from lockstep.day.schedule import ScheduleFault, Segment, Step
from lockstep.stream.enums import Phase
from lockstep.stream.values import frozen


@frozen
class Change:
    """A phase that begins on one day."""

    code: int
    """See `Mark`."""
    phase: Phase
    at_ns: int


@frozen
class Day:
    """One business day of a segment; at least two changes, in order of time and code."""

    date: dt.date
    changes: tuple[Change, ...]
    half: bool = False

    @property
    def begin_ns(self) -> int:
        """When it begins."""
        return self.changes[0].at_ns

    @property
    def end_ns(self) -> int:
        """When it is closed."""
        return self.changes[-1].at_ns

    def current(self, now_ns: int) -> Change:
        """The last change that is due; it has begun."""
        assert now_ns >= self.begin_ns, f"{self.date} has not begun"
        return self.changes[bisect_right(self.changes, now_ns, key=lambda one: one.at_ns) - 1]


@frozen
class Plan:
    """Days of a segment, in order; they do not overlap."""

    segment: Segment
    time_zone: str
    days: tuple[Day, ...] = field(repr=False)

    def at(self, now_ns: int) -> Day | None:
        """The day that began last; None: none has."""
        at = bisect_right(self.days, now_ns, key=lambda one: one.begin_ns)
        return self.days[at - 1] if at else None

    def day(self, date: dt.date) -> Day | None:
        """The day of a date; None: it is no business day."""
        at = bisect_right(self.days, date, key=lambda one: one.date)
        return self.days[at - 1] if at and self.days[at - 1].date == date else None

    def after(self, date: dt.date) -> Day | None:
        """The first day behind a date."""
        at = bisect_right(self.days, date, key=lambda one: one.date)
        return self.days[at] if at < len(self.days) else None

    def next_begin_ns(self, now_ns: int) -> int:
        """When the next day begins; 0: the plan does not reach so far."""
        at = bisect_right(self.days, now_ns, key=lambda one: one.begin_ns)
        return self.days[at].begin_ns if at < len(self.days) else 0


def plan_of(segment: Segment, calendar: Calendar) -> Plan:
    """The changes of all days of a calendar. The days beside them are looked at, too, and are no part of it.

    Raises:
        ScheduleFault: on some day the phases are not one behind the other, or two days overlap.
    """
    days: list[Day] = []
    beside = [one for one in (calendar.before, calendar.after) if one is not None]
    for hours in sorted((*calendar.hours, *beside), key=lambda one: one.date):
        day = _day(segment, hours, calendar.time_zone)
        if days and day.begin_ns <= days[-1].end_ns:
            raise ScheduleFault(
                f"segment {segment.name!r}: {day.date} begins at {shown(day.begin_ns, calendar.time_zone)}, before "
                f"{days[-1].date} has ended ({shown(days[-1].end_ns, calendar.time_zone)}); begin it later"
            )
        days.append(day)
    outside = {one.date for one in beside}
    return Plan(segment, calendar.time_zone, tuple(day for day in days if day.date not in outside))


def _day(segment: Segment, hours: Hours, zone: str) -> Day:
    kept: list[tuple[int, Step, int]] = []
    last = len(segment.steps) - 1
    for at, step in enumerate(segment.steps):
        at_ns = _at_ns(step, hours, zone)
        if at_ns is None or (hours.half and not step.half_days):
            continue
        if kept and at_ns <= kept[-1][2]:
            before, previous, before_ns = kept[-1]
            kind = "half day" if hours.half else "day"
            raise ScheduleFault(
                f"segment {segment.name!r}: on the {kind} {hours.date} (open {shown(hours.open_ns, zone)}, close "
                f"{shown(hours.close_ns, zone)}) phase {at + 1}, {step.word} at {step.when} "
                f"({shown(at_ns, zone)}), is not behind phase {before + 1}, {previous.word} at {previous.when} "
                f'({shown(before_ns, zone)}); name times by open or close, or give one half_days = "skip"'
            )
        kept.append((at, step, at_ns))
    changes = tuple(Change(END if at == last else at, step.phase, at_ns) for at, step, at_ns in kept)
    return Day(hours.date, changes, hours.half)


def _at_ns(step: Step, hours: Hours, zone: str) -> int | None:
    """None: the day has no such time."""
    if not step.when.anchor:
        return wall_ns(hours.date, step.when.offset_s, zone)
    begin = {
        "open": hours.open_ns,
        "close": hours.close_ns,
        "break_start": hours.break_start_ns,
        "break_end": hours.break_end_ns,
    }[step.when.anchor]
    return None if begin is None else begin + step.when.offset_s * 1_000_000_000
