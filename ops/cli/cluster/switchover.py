"""`lockstep cluster switchover`: hand the primary role over in a planned way."""

import os
import re
import time
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from lockstep.ops.cli.cluster.arguments import complete_engine, read_engine
from lockstep.ops.cli.cluster.steps import Work, dry_run_option, open_work, operator_errors, refuse
from lockstep.ops.cli.cluster.tables import reasons_table
from lockstep.ops.cli.options import Real, config_option, json_option
from lockstep.ops.operator.calls import change
from lockstep.ops.operator.plans import Refusal, SwitchoverPlan, eligibility, plan_switchover
from lockstep.ops.operator.times import LocalZone, TimeFault, check_zone, parse_time, shown
from lockstep.runtime.output import Output
from lockstep.v1 import cluster_pb2

_POLL_S: Final = 0.1
_SLICE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _At:
    """What to wait for."""

    moment: datetime
    due_s: float | None
    """Monotonic, where a delay was asked for: that is as long as it is, whatever happens to the clock."""


def _read_time(ctx: click.Context, param: click.Parameter, value: str | None) -> _At | None:
    if value is None:
        return None
    try:
        now = _now(value)
        moment = parse_time(value, now)
        left_s = (moment.astimezone(UTC) - now.astimezone(UTC)).total_seconds()
        return _At(moment, time.monotonic() + left_s if value.startswith("+") else None)
    except TimeFault as fault:
        raise click.BadParameter(str(fault), ctx, param) from None


def _now(text: str) -> datetime:
    """The present in the zone of this host.

    Raises:
        TimeFault: the zone matters for this time, and TZ is none.
    """
    name = os.environ.get("TZ")
    if name and not re.match(r"\+|.*T.*([zZ]|[+-]\d\d:?\d\d)$", text):
        path = Path(name.removeprefix(":"))
        check_zone(name, zoneinfo.available_timezones(), is_file=path.is_absolute() and path.is_file())
    return datetime.now(LocalZone())


def _wait_for(at: _At) -> None:
    """In slices: the clock may be set in the meantime, and the host may have slept."""
    while True:
        if at.due_s is not None:
            left_s = at.due_s - time.monotonic()
        else:
            left_s = (at.moment.astimezone(UTC) - datetime.now(UTC)).total_seconds()
        if left_s <= 0:
            return
        time.sleep(min(left_s, _SLICE_S))


@click.command("switchover")
@config_option
@click.option(
    "--candidate",
    callback=read_engine,
    shell_complete=complete_engine,
    metavar="ENGINE",
    help="Engine that becomes primary; default: the least behind.",
)
@click.option(
    "--at",
    "at",
    callback=_read_time,
    metavar="TIME",
    help="Wait until then: 18:30, 18:30:05, 2026-01-31T18:30 (local, or with an offset such as +01:00), or +90s.",
)
@click.option(
    "--wait",
    "wait_s",
    type=Real(0, 3600),
    default=10.0,
    show_default=True,
    help="Seconds to wait for the candidate to catch up.",
)
@click.option("--explain", is_flag=True, help="Say for each engine why it is or is not eligible; change nothing.")
@dry_run_option
@json_option
@operator_errors
def command(
    config_path: Path,
    candidate: int,
    at: _At | None,
    wait_s: float,
    explain: bool,
    dry_run: bool,
    json_file: Output | None,
) -> int:
    """Make another in-sync engine the primary. No order is refused and none is lost.

    Commands that were taken before are released by the old primary, those after by the new one; clients see a pause of
    a few milliseconds. A candidate that is still catching up is waited for. Refused (exit code 3) where the switch
    would not be safe; use `failover` for a cluster that is not healthy.
    """
    with open_work(config_path, json_file, candidate) as work:
        if explain:
            return _explain(work)
        if at is not None and not dry_run:
            work.console.print(f"waiting until {shown(at.moment)}", highlight=False)
            _wait_for(at)
            work.look()
        plan = _plan(work, candidate, 0.0 if dry_run else wait_s)
        work.show("before")
        if dry_run:
            work.console.print(reasons_table(plan.reasons, title="engines"))
            for number, step in enumerate(plan.steps, 1):
                work.console.print(f"{number}. {step}", highlight=False)
            return work.finish(
                "dry run: nothing was changed", changed=False, candidate=f"engine-{plan.candidate}", steps=plan.steps
            )
        return _switch(work, plan)


def _explain(work: Work) -> int:
    reasons = eligibility(work.view)
    work.show("now")
    work.console.print(reasons_table(reasons, title="who can become primary, and why or why not"))
    plan = plan_switchover(work.view)
    if isinstance(plan, Refusal):
        text = f"a switchover would be refused: {plan.why}. What to do: {plan.remedy}"
    else:
        text = f"a switchover without --candidate would choose engine-{plan.candidate}"
    rows = [{"engine": f"engine-{r.member}", "eligible": r.eligible, "why": r.text} for r in reasons]
    return work.finish(text, changed=False, engines=rows)


def _plan(work: Work, candidate: int, wait_s: float) -> SwitchoverPlan:
    deadline = time.monotonic() + wait_s
    while True:
        plan = plan_switchover(work.view, candidate)
        if not isinstance(plan, Refusal):
            return plan
        if not plan.passing or time.monotonic() > deadline:
            refuse(work, plan)
        time.sleep(_POLL_S)
        work.look()


def _switch(work: Work, plan: SwitchoverPlan) -> int:
    started = time.monotonic()
    reply = change(plan.leader_address, "SwitchPrimary", cluster_pb2.SwitchPrimaryRequest(to=plan.candidate))
    took_ms = (time.monotonic() - started) * 1000
    name = f"engine-{reply.primary}"
    work.settle(lambda status, _: (found := status.primary()) is not None and found.name == name, "the new primary")
    return work.finish(
        f"{name} is primary since epoch {reply.stamp.epoch}, seq {reply.stamp.seq}; the call took {took_ms:.1f} ms",
        changed=True,
        before=f"engine-{plan.primary}",
        after=name,
        epoch=reply.stamp.epoch,
        seq=reply.stamp.seq,
        call_ms=round(took_ms, 3),
    )
