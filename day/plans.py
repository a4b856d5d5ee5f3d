"""Plans of a whole schedule, with the calendars' library."""

import datetime as dt

from lockstep.day.calendars import calendar_of
from lockstep.day.plan import Plan, plan_of
from lockstep.day.schedule import Schedule


def plans_of(schedule: Schedule, first: dt.date, last: dt.date) -> dict[int, Plan]:
    """Of each segment, by its number. Takes about a second for each calendar.

    Raises:
        ScheduleFault: a calendar is unknown, or the phases of some day are not one behind the other.
        EnvironmentFault: the library is not installed.
    """
    return {one.number: plan_of(one, calendar_of(one, first, last)) for one in schedule.segments}
