"""When a market is open, from the library exchange-calendars: hours of each business day as plain numbers."""

import datetime as dt
import zoneinfo
from typing import Any

from lockstep.day.marks import FIRST_DATE, LAST_DATE
from lockstep.day.schedule import ScheduleFault, Segment
from lockstep.runtime.faults import EnvironmentFault
from lockstep.stream.values import frozen

_NEVER = -(2**63)
"""As NumPy has it: there is no such time."""


@frozen
class Hours:
    """One business day; nanoseconds since 1970."""

    date: dt.date
    open_ns: int
    close_ns: int
    break_start_ns: int | None = None
    break_end_ns: int | None = None
    half: bool = False
    """It ends earlier than others do."""


@frozen
class Calendar:
    """Business days of one segment, in order, and its time zone."""

    hours: tuple[Hours, ...]
    time_zone: str
    before: Hours | None = None
    """The business day in front of them; None: it is not known."""
    after: Hours | None = None
    """And the one behind them."""


def calendar_of(segment: Segment, first: dt.date, last: dt.date) -> Calendar:
    """The business days from `first` to `last`. Takes about a second.

    Raises:
        ScheduleFault: there is no such calendar, or it does not reach so far; or the segment says of a day that is none
            how it differs. All its dates from a month before `first` on are looked at.
        EnvironmentFault: the library is not installed.
    """
    named = [*segment.closures, *(date for date, _ in segment.early_closes)]
    for date in named:
        if not FIRST_DATE <= date <= LAST_DATE:
            raise ScheduleFault(
                f"segment {segment.name!r} names {date}; give dates between {FIRST_DATE} and {LAST_DATE}"
            )
    if not FIRST_DATE <= first <= last <= LAST_DATE:
        raise ScheduleFault(f"{first} to {last} is no span of days between {FIRST_DATE} and {LAST_DATE}")
    try:
        from exchange_calendars import errors, get_calendar
    except ModuleNotFoundError as missing:
        raise EnvironmentFault(f"the trading day needs {missing.name}: install lockstep-cluster[day]") from missing
    try:
        # It wants a business day between its ends: those of a month beside are cut off again.
        wider = dt.timedelta(days=31)
        begin, end = first - wider, max((last, *named)) + wider
        found = get_calendar(segment.calendar, start=str(begin), end=str(end))
    except errors.InvalidCalendarName:
        raise ScheduleFault(
            f"segment {segment.name!r} has the unknown calendar {segment.calendar!r}; exchange-calendars knows such as "
            "XNYS (New York), XLON (London), XETR (Frankfurt), XTKS (Tokyo), 24/7"
        ) from None
    except (errors.CalendarError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise ScheduleFault(f"calendar {segment.calendar} of segment {segment.name!r}: {said}") from None
    zone = segment.time_zone or str(found.tz)
    hours = _as_here(_hours(found), segment, zone, begin)
    return Calendar(
        tuple(one for one in hours if first <= one.date <= last),
        zone,
        max((one for one in hours if one.date < first), key=lambda one: one.date, default=None),
        min((one for one in hours if one.date > last), key=lambda one: one.date, default=None),
    )


def _hours(found: Any) -> list[Hours]:
    table = found.schedule
    columns = [
        table[name].dt.tz_localize(None).to_numpy(dtype="datetime64[ns]").astype("int64").tolist()
        for name in ("open", "close", "break_start", "break_end")
    ]
    early = {day.date() for day in found.early_closes}
    return [
        Hours(day.date(), opens, closes, _moment(pause), _moment(resume), day.date() in early)
        for day, opens, closes, pause, resume in zip(table.index, *columns, strict=True)
    ]


def _moment(at_ns: int) -> int | None:
    return None if at_ns == _NEVER else at_ns


def _as_here(hours: list[Hours], segment: Segment, zone: str, begin: dt.date) -> tuple[Hours, ...]:
    """With what the segment says otherwise than its calendar, whose days from `begin` on these are."""
    early, closed = dict(segment.early_closes), set(segment.closures)
    days = {one.date for one in hours}
    for key, dates in (("closures", closed), ("early_closes", early)):
        for date in sorted(dates):
            if date >= begin and date not in days:
                raise ScheduleFault(
                    f"{key} of segment {segment.name!r}: {date}, a {date:%A}, is no business day of "
                    f"{segment.calendar} anyway; correct the date, or take it out"
                )
    here = []
    for one in hours:
        if one.date in closed:
            continue
        if one.date not in early:
            here.append(one)
            continue
        close_ns = wall_ns(one.date, early[one.date], zone)
        if not one.open_ns < close_ns <= one.close_ns:
            raise ScheduleFault(
                f"early_closes of segment {segment.name!r}: {one.date} is open from {shown(one.open_ns, zone)} to "
                f"{shown(one.close_ns, zone)}, and does not close at {shown(close_ns, zone)}; give a time between"
            )
        pause = one.break_start_ns, one.break_end_ns
        if pause[1] is not None and pause[1] >= close_ns:
            pause = None, None
        here.append(Hours(one.date, one.open_ns, close_ns, *pause, half=True))
    return tuple(here)


def wall_ns(date: dt.date, second: int, zone: str) -> int:
    """When the clock on the wall shows a time: the first time if it does so twice, and where it never does, when it
    would have if nobody had put it forward."""
    midnight = dt.datetime.combine(date, dt.time(), zoneinfo.ZoneInfo(zone))
    return round((midnight + dt.timedelta(seconds=second)).timestamp()) * 1_000_000_000


def shown(at_ns: int, zone: str = "UTC") -> str:
    """A time as the clock on the wall shows it, with its distance from UTC."""
    at = dt.datetime.fromtimestamp(at_ns // 1_000_000_000, zoneinfo.ZoneInfo(zone))
    return at.isoformat(sep=" ")
