"""`lockstep replay`: an order-flow file through a cluster."""

import asyncio
import dataclasses
import re
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from lockstep.bench.replay.faults import TARGETS, LocalExecutioner
from lockstep.bench.replay.flow import FlowSummary, check_flow
from lockstep.bench.replay.runner import Kill, ReplayPlan, ReplayResult, replay
from lockstep.ops.cli.options import (
    Failure,
    InputFault,
    Real,
    address_option,
    config_option,
    expected_errors,
    json_option,
    make_console,
    output_option,
    write_json,
)
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.config import load
from lockstep.runtime.output import Output


class _KillType(click.ParamType[Kill]):
    name = "TARGET@N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Kill:
        match = re.fullmatch(r"(\w+)@(\d+)", str(value))
        if match is None or match[1] not in TARGETS:
            self.fail(
                f"{value!r}: write {', '.join(f'{name}@N' for name in TARGETS)}, such as primary@5000", param, ctx
            )
        return Kill(match[1], int(match[2]))


_HELP: Final = """\
Send the order-flow file FLOW (.csv or .csv.gz) through a cluster and write what came back.

The file starts with declarations and column names:

\b
  # instrument: AMZN tick=0.01 lot=1
  # account: DESK cash=1000000 positions=AMZN:500
  # account: FUND cash=unlimited positions=unlimited
  action,order_id,account,instrument,side,type,tif,price,quantity
  N,1,FUND,AMZN,S,limit,gtc,220.15,100
  N,2,DESK,AMZN,B,limit,ioc,220.15,40
  R,1,FUND,AMZN,,,,220.20,60
  C,1,FUND,AMZN,,,,,

action is N (new), C (cancel), R (replace: new price and new open quantity), M (mass cancel: of account, instrument
and side, as far as they are given) or P (bring instrument, or all, into a phase; price: reference price).

\b
type: limit, market, stop, stop_limit, trailing_stop, oco
tif:  day, gtc, ioc, fok, gtd, at_open, at_close, good_for_auction

Optional columns, empty where they do not apply:

\b
  stop_price        of stop, stop_limit and oco (trailing_stop: the first one; R: the new one)
  trail             of trailing_stop: its distance, a price
  protection_price  of market: it trades no further than that
  parent_order_id   order_id of a live order of the account: it waits until that has ended
  expire_ns         of gtd: nanoseconds since 1970
  display_quantity  of an iceberg; min_quantity: must trade on entry
  hidden            1: nothing of it is displayed; post_only 1: it may not take
  cancel_on_halt    1: it ends when trading is halted or paused
  short_exempt      of a sell, 1: no short-sale restriction holds it to a price
  stp               none, cancel_newest, cancel_oldest, cancel_both, decrement
  tag               any number up to 2^64 - 1; it comes back nowhere but in the journal
  block             of M, 1: kill switch, the account may trade no more
  phase             of P: pre_open, opening_auction, continuous, halt, volatility_auction, closing_auction, closed
  time_ns           nanoseconds, for --pace; the cluster stamps its own time

The whole file is checked before the first order is sent.

--fills: event_id,seq,epoch,instrument,taker_order_id,maker_order_id,price,quantity,side,time_ns (side: the
taker's, in an auction the buyer stands there; time_ns: stamped). With --kill they are the same, line for line,
apart from event_id, seq, epoch and time_ns. --reports: the columns of a report, kind and side in words.

Exit code 1 if an answer is missing, repeated or out of order.
"""


@click.command(
    "replay",
    help=_HELP,
    short_help="Send the order-flow file FLOW (.csv or .csv.gz) through a cluster and write what came back.",
)
@click.argument("flow", type=click.Path(path_type=Path))
@click.option("--local", is_flag=True, help="Start a cluster of its own for this replay (temporary, free ports).")
@address_option("Gateway to connect to (repeatable).")
@config_option
@click.option("--token", envvar="LOCKSTEP_TOKEN", help="Client token, where the cluster has clients configured.")
@click.option("--client-number", type=click.IntRange(0, 2**32 - 1), help="Client number that belongs to the token.")
@output_option("--fills", "fills", "Write every fill as CSV, in event order")
@output_option("--reports", "reports", "Write every execution report as CSV")
@json_option
@click.option(
    "--auto", is_flag=True, help="Take undeclared accounts and instruments (tick 0.01), with unlimited funds."
)
@click.option(
    "--kill",
    "kills",
    type=_KillType(),
    multiple=True,
    help="Kill -9 the primary, sequencer or gateway after N commands were sent (repeatable; with --local).",
)
@click.option("--rate", type=click.IntRange(1), help="Commands a second. Default: as fast as the cluster takes them.")
@click.option(
    "--pace",
    type=Real(0.0, 1e9, min_open=True),
    is_flag=False,
    flag_value=1.0,
    metavar="[FACTOR]",
    help="Send each row at its time_ns, counted from the first row's, FACTOR times as fast (1: in real time).",
)
@click.option("--fail-on-refusal", is_flag=True, help="Exit code 1 if the cluster refuses a command.")
@expected_errors
def command(
    flow: Path,
    local: bool,
    addresses: tuple[str, ...],
    config_path: Path,
    token: str | None,
    client_number: int | None,
    fills: Output | None,
    reports: Output | None,
    json_file: Output | None,
    auto: bool,
    kills: tuple[Kill, ...],
    rate: int | None,
    pace: float | None,
    fail_on_refusal: bool,
) -> int:
    """Send a file's commands and write what came back; `_HELP` is what the command line says."""
    if rate is not None and pace is not None:
        raise click.UsageError("--rate and --pace exclude each other")
    if local and addresses:
        raise click.UsageError("--local and --address exclude each other: --local starts a cluster of its own")
    if kills and not local:
        raise click.UsageError("--kill works on a local cluster only; add --local")
    summary = check_flow(flow, auto=auto, timed=pace is not None)
    _check_kills(kills, flow, summary)
    plan = ReplayPlan(
        path=flow,
        summary=summary,
        addresses=addresses,
        token=token,
        client_number=client_number,
        rate=rate or 0,
        pace=pace or 0.0,
        kills=kills,
        fills=fills,
        reports=reports,
    )
    result = _run(plan, local=local, config_path=config_path, console=make_console(json_file, fills, reports))
    write_json(json_file, result.to_json(summary))
    if fail_on_refusal and result.recording.refusals:
        raise Failure(f"{result.recording.refusals.total()} of {result.commands} commands were refused")
    return 0 if result.complete else 1


def _check_kills(kills: tuple[Kill, ...], flow: Path, summary: FlowSummary) -> None:
    for kill in kills:
        if kill.after > summary.commands:
            raise InputFault(
                f"--kill {kill.target}@{kill.after}: {flow} has only {summary.commands} commands; use a lower number"
            )


def _run(plan: ReplayPlan, *, local: bool, config_path: Path, console: Console) -> ReplayResult:
    if local:
        with LocalCluster(ClusterPlan()) as cluster:
            console.print(
                f"cluster: {', '.join(cluster.gateway_addresses)}; watch it with `lockstep status --watch --config "
                f"{cluster.config_path}`",
                highlight=False,
                soft_wrap=True,
            )
            result = asyncio.run(replay(_at(plan, cluster.gateway_addresses), LocalExecutioner(cluster)))
    else:
        if not plan.addresses:
            plan = _at(plan, tuple(gateway.grpc_address for gateway in load(config_path).gateways))
        result = asyncio.run(replay(plan))
    console.print(_table(result, plan.summary))
    return result


def _at(plan: ReplayPlan, addresses: tuple[str, ...]) -> ReplayPlan:
    return dataclasses.replace(plan, addresses=addresses)


def _table(result: ReplayResult, summary: FlowSummary) -> Table:
    rows = result.to_json(summary)
    table = Table(title="replay", title_justify="left", show_header=False, pad_edge=False)
    table.add_column("what")
    table.add_column("value")
    for name, value in rows.items():
        if isinstance(value, dict):
            shown = ", ".join(f"{key} {item:.0f}" for key, item in value.items())
        elif name == "kills" and isinstance(value, list):
            shown = ", ".join(f"{kill['process']} after {kill['sent']}" for kill in value)
        elif isinstance(value, list):
            shown = ", ".join(map(str, value))
        else:
            shown = str(value)
        table.add_row(name.replace("_", " "), shown or "-")
    return table
