"""Settlement calendars: an exchange's closed days from exchange-calendars, and those of banks, as data.

A settlement day is one on which both the exchange and the banks are open. The library knows exchanges alone; what banks
add stands here, with the dates from which it holds.
"""

import datetime as dt
from typing import Final

from lockstep.posttrade.clearing.days import weekday_of
from lockstep.posttrade.clearing.entries import SetCalendar
from lockstep.runtime.faults import EnvironmentFault

EPOCH: Final = dt.date(1970, 1, 1)
_MONDAY: Final = 0
BANK_DAYS: Final = (
    # (first year, month, weekday, which of the month, 0: a fixed date, date): United States, Federal Reserve.
    (1971, 10, _MONDAY, 2, 0),
    (1978, 11, 0, 0, 11),
)
"""Days on which banks are closed and the exchange is open: Columbus Day, Veterans Day."""
UNITED_STATES: Final = ((dt.date(1900, 1, 1), 5), (dt.date(1995, 6, 7), 3), (dt.date(2017, 9, 5), 2),
                        (dt.date(2024, 5, 28), 1))  # fmt: skip
"""Cycle lengths by the first trade day: rule 15c6-1 and its amendments."""
_PLACES: Final = {"XNYS": (-5 * 3600, UNITED_STATES, BANK_DAYS)}


def number_of(date: dt.date) -> int:
    """A date as a day number."""
    return (date - EPOCH).days


def date_of(day: int) -> dt.date:
    """And back."""
    return EPOCH + dt.timedelta(days=day)


def calendar_for(name: str, first: dt.date, last: dt.date) -> SetCalendar:
    """The business command that sets an exchange's calendar for a span of dates. Takes about a second.

    Raises:
        EnvironmentFault: the library is not installed, or does not know the calendar or these dates.
    """
    if name not in _PLACES:
        raise EnvironmentFault(f"the bank days of {name!r} are not known; known are {', '.join(sorted(_PLACES))}")
    try:
        from exchange_calendars import errors, get_calendar
    except ModuleNotFoundError as missing:
        raise EnvironmentFault(f"a calendar needs {missing.name}: install lockstep-cluster[day]") from missing
    wider = dt.timedelta(days=15)
    try:
        found = get_calendar(name, start=str(first - wider), end=str(last + wider))
    except (errors.CalendarError, ValueError) as error:
        raise EnvironmentFault(f"calendar {name}: {str(error).splitlines()[0]}") from None
    sessions = {number_of(stamp.date()) for stamp in found.schedule.index}
    offset_s, cycles, bank_days = _PLACES[name]
    span = range(number_of(first), number_of(last) + 1)
    banks = {day for year in range(first.year, last.year + 1) for day in _bank_days(year, bank_days)}
    closed = tuple(day for day in span if weekday_of(day) < 5 and (day not in sessions or day in banks))
    lengths = tuple((number_of(date), days) for date, days in cycles)
    return SetCalendar(closed, lengths, offset_s)


def _bank_days(year: int, rules: tuple[tuple[int, int, int, int, int], ...]) -> list[int]:
    days = []
    for first_year, month, weekday, which, date in rules:
        if year < first_year:
            continue
        if which:
            begin = number_of(dt.date(year, month, 1))
            days.append(begin + (weekday - weekday_of(begin)) % 7 + 7 * (which - 1))
            continue
        day = number_of(dt.date(year, month, date))
        # A Sunday's holiday is kept on Monday; a Saturday's is not kept by the Federal Reserve.
        days.append(day + 1 if weekday_of(day) == 6 else day)
    return days
