"""What the subcommands of `lockstep day` share: which schedule, which days, which segments."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lockstep.ops.cli.options import InputFault, config_option
from lockstep.runtime.config import load

if TYPE_CHECKING:
    from lockstep.day.plan import Plan
    from lockstep.day.schedule import Schedule, Segment

MOST_DAYS: Final = 40 * 366


class Date(click.ParamType[dt.date]):
    """ISO 8601, without a time."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no date; write one such as 2026-11-30", param, ctx)


schedule_option = click.option(
    "--schedule",
    "schedule_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the schedule (docs/trading-day.md). Default: the one that [day] of the configuration names.",
)


def schedule_options(function: Callable[..., Any]) -> Callable[..., Any]:
    return config_option(schedule_option(function))


segment_option = click.option("--segment", "segment_name", help="This one alone; else all.")


def check_schedule(path: Path) -> None:
    """Whether a scheduler will take a schedule, calendars and all.

    Raises:
        ScheduleFault: it will not.
    """
    from lockstep.day.desk import AHEAD, BEHIND
    from lockstep.day.plans import plans_of
    from lockstep.day.schedule import load_schedule

    day = today()
    plans_of(load_schedule(path), day - BEHIND, day + AHEAD)


def today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def schedule_path_of(schedule_path: Path | None, config_path: Path) -> Path:
    """The file that is meant.

    Raises:
        InputFault: none is named anywhere. ConfigError: the configuration can't be read.
    """
    if schedule_path is not None:
        return schedule_path
    configured = load(config_path).day.schedule
    if not configured:
        raise InputFault(f"{config_path} names no schedule: set schedule in [day], or name one with --schedule")
    return config_path.parent / configured


def chosen(schedule: "Schedule", name: str | None) -> "tuple[Segment, ...]":
    """The segment of a name, or all.

    Raises:
        InputFault: there is none.
    """
    found = tuple(one for one in schedule.segments if name in (None, one.name))
    if not found:
        listed = ", ".join(one.name for one in schedule.segments)
        raise InputFault(f"the schedule has no segment {name!r}; there are: {listed}")
    return found


def plans_between(schedule: "Schedule", name: str | None, first: dt.date, last: dt.date) -> "tuple[Plan, ...]":
    """Plans of the chosen segments over a span of days.

    Raises:
        InputFault: the span is none, or too long, or there is no such segment. ScheduleFault: see `plans_of`.
    """
    from lockstep.day.plans import plans_of
    from lockstep.day.schedule import Schedule

    if not 0 <= (last - first).days < MOST_DAYS:
        raise InputFault(f"{first} to {last} is no span of up to {MOST_DAYS} days; give --from before --to")
    return tuple(plans_of(Schedule(chosen(schedule, name)), first, last).values())


def facts_of(plan: "Plan") -> list[dict[str, object]]:
    """Each change of a plan, for people and programs."""
    from lockstep.day.calendars import shown

    return [
        {
            "segment": plan.segment.name,
            "date": str(day.date),
            "half_day": day.half,
            "change": change.code,
            "phase": change.phase.name.lower(),
            "local": shown(change.at_ns, plan.time_zone),
            "utc": shown(change.at_ns),
            "at_ns": change.at_ns,
        }
        for day in plan.days
        for change in day.changes
    ]
