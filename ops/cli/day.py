"""`lockstep day`: the trading day, its schedule and the scheduler that keeps it."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstep.ops.cli.cluster.venue import token_option
from lockstep.ops.cli.day_options import (
    Date,
    chosen,
    facts_of,
    plans_between,
    schedule_option,
    schedule_options,
    schedule_path_of,
    segment_option,
    today,
)
from lockstep.ops.cli.lazy_group import PlainGroup
from lockstep.ops.cli.options import TIMEOUT, config_option, expected_errors, json_option, make_console, write_json
from lockstep.ops.cli.tables import plain_table
from lockstep.runtime.config import load
from lockstep.runtime.output import Output

if TYPE_CHECKING:
    from lockstep.day.plan import Plan


@click.group("day", cls=PlainGroup)
def command() -> None:
    """The trading day: which phase each segment of the market is due in, and who brings it there.

    `run` keeps it; `show` and `simulate` say what a schedule means, without a cluster. docs/trading-day.md explains it.
    """


@command.command("run")
@config_option
@schedule_option
@token_option
@click.option(
    "--metrics-port", type=click.IntRange(1, 65_535), help="Where its figures are, instead of the configured port."
)
@expected_errors
def run_command(config_path: Path, schedule_path: Path | None, token: str | None, metrics_port: int | None) -> int:
    """Run one scheduler: it brings every instrument into the phase that the schedule has it in.

    Any number may run, on any host, of the same schedule: each change is executed once. It keeps nothing; what was done
    stands in the cluster's own stream.

    Stop it with SIGTERM or Ctrl-C. Logs go to standard error; LOCKSTEP_LOG sets the level (debug, info, warning).
    """
    from lockstep.day.process import run

    topology = load(config_path)
    path = schedule_path_of(schedule_path, config_path)
    port = topology.day.metrics_port if metrics_port is None else metrics_port
    return run(topology, path, token=token, metrics_port=port)


@command.command("show")
@schedule_options
@click.option("--date", "date", type=Date(), help="Which day. Default: today.")
@segment_option
@json_option
@expected_errors
def show_command(
    config_path: Path,
    schedule_path: Path | None,
    date: dt.date | None,
    segment_name: str | None,
    json_file: Output | None,
) -> int:
    """The phases of one day, in the time of the place and in UTC."""
    from lockstep.day.schedule import load_schedule

    schedule = load_schedule(schedule_path_of(schedule_path, config_path))
    wanted = date or today()
    _show_plans(plans_between(schedule, segment_name, wanted, wanted), json_file, {"date": str(wanted)})
    return 0


@command.command("simulate")
@schedule_options
@click.option("--from", "first", type=Date(), required=True, help="First day.")
@click.option("--to", "last", type=Date(), required=True, help="Last day.")
@segment_option
@json_option
@expected_errors
def simulate_command(
    config_path: Path,
    schedule_path: Path | None,
    first: dt.date,
    last: dt.date,
    segment_name: str | None,
    json_file: Output | None,
) -> int:
    """All phases over a span of days; no cluster is asked. Exit code 2 if those of some day do not fit together."""
    from lockstep.day.schedule import load_schedule

    schedule = load_schedule(schedule_path_of(schedule_path, config_path))
    plans = plans_between(schedule, segment_name, first, last)
    _show_plans(plans, json_file, {"from": str(first), "to": str(last)})
    return 0


def _show_plans(plans: tuple["Plan", ...], json_file: Output | None, head: dict[str, object]) -> None:
    facts = [fact for plan in plans for fact in facts_of(plan)]
    write_json(json_file, head | {"changes": facts})
    console = make_console(json_file)
    for plan in plans:
        table = plain_table(f"{plan.segment.name}: {plan.segment.calendar}, {plan.time_zone}")
        for name in ("date", "phase", "local", "UTC", ""):
            table.add_column(name)
        for fact in facts_of(plan):
            half = "half day" if fact["half_day"] else ""
            table.add_row(*(str(fact[name]) for name in ("date", "phase", "local", "utc")), half)
        if plan.days:
            console.print(table)
        else:
            console.print(f"{plan.segment.name}: no business day of {plan.segment.calendar}", highlight=False)


@command.command("status")
@schedule_options
@segment_option
@click.option("--timeout", "timeout_s", type=TIMEOUT, default=30.0, show_default=True, help="Seconds to wait.")
@json_option
@expected_errors
def status_command(
    config_path: Path, schedule_path: Path | None, segment_name: str | None, timeout_s: float, json_file: Output | None
) -> int:
    """What the cluster has done of the schedule: where each instrument stands, and what is due and not done.

    Asks the engines, not a scheduler. Exit code 1 if a change is due by the cluster's time and not done.
    """
    from lockstep.day.schedule import load_schedule
    from lockstep.day.survey import survey

    topology = load(config_path)
    schedule = load_schedule(schedule_path_of(schedule_path, config_path))
    segments = chosen(schedule, segment_name)
    found = survey(topology, schedule, timeout_s=timeout_s)
    rows = [row for row in found.rows if row.segment in {one.name for one in segments}]
    write_json(json_file, found.facts(rows))
    console = make_console(json_file)
    console.print(f"as of seq {found.seq}, {found.now}", highlight=False)
    table = plain_table("instruments")
    for name in ("segment", "day", "instrument", "phase", "due", "note"):
        table.add_column(name)
    for row in rows:
        table.add_row(row.segment, row.date, row.symbol, row.phase, row.due, row.note)
    console.print(table)
    for symbol in found.undefined:
        console.print(f"{symbol}: in the schedule, and not defined in the cluster", highlight=False)
    return 1 if any(row.is_late for row in rows) else 0
