"""`lockstep replay`: an order-flow file through a cluster."""

import asyncio
import dataclasses
import re
from pathlib import Path

import click
from rich.table import Table

from lockstep.ops.cli.options import (
    address_option,
    config_option,
    expected_errors,
    json_option,
    make_console,
    output_option,
    write_json,
)
from lockstep.ops.config import load
from lockstep.ops.local.cluster import ClusterPlan, LocalCluster
from lockstep.ops.output import Output
from lockstep.ops.replay.faults import TARGETS, LocalExecutioner
from lockstep.ops.replay.flow import FlowSummary, check_flow
from lockstep.ops.replay.runner import Kill, ReplayPlan, ReplayResult, replay


class _KillType(click.ParamType[Kill]):
    name = "TARGET@N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Kill:
        match = re.fullmatch(r"(\w+)@(\d+)", str(value))
        if match is None or match[1] not in TARGETS:
            self.fail(
                f"{value!r}: write {', '.join(f'{name}@N' for name in TARGETS)}, such as primary@5000", param, ctx
            )
        return Kill(match[1], int(match[2]))


@click.command("replay")
@click.argument("flow", type=click.Path(path_type=Path))
@click.option("--local", is_flag=True, help="Start a cluster of its own for this replay (temporary, free ports).")
@address_option("Gateway to connect to (repeatable).")
@config_option
@click.option("--token", envvar="LOCKSTEP_TOKEN", help="Client token, where the cluster has clients configured.")
@click.option("--client-number", type=int, help="Client number that belongs to the token.")
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
) -> int:
    """Send the order-flow file FLOW (.csv or .csv.gz) through a cluster and write what came back.

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

    action is N (new), C (cancel) or R (replace: new price and new open quantity). Optional columns: stop_price,
    display_quantity, min_quantity, post_only, stp, time_ns. The whole file is checked before the first order is sent.

    Fills have the columns event_id,seq,epoch,instrument,taker_order_id,maker_order_id,price,quantity. With --kill they
    are the same, line for line, apart from event_id, seq and epoch.

    Exit code 1 if an answer is missing, repeated or out of order.
    """
    if local and addresses:
        raise click.UsageError("--local and --address exclude each other: --local starts a cluster of its own")
    if kills and not local:
        raise click.UsageError("--kill works on a local cluster only; add --local")
    plan = ReplayPlan(
        path=flow,
        summary=check_flow(flow, auto=auto),
        addresses=addresses,
        token=token,
        client_number=client_number,
        rate=rate or 0,
        kills=kills,
        fills=fills,
        reports=reports,
    )
    return _run(plan, local=local, config_path=config_path, json_file=json_file)


def _run(plan: ReplayPlan, *, local: bool, config_path: Path, json_file: Output | None) -> int:
    if local:
        with LocalCluster(ClusterPlan()) as cluster:
            result = asyncio.run(replay(_at(plan, cluster.gateway_addresses), LocalExecutioner(cluster)))
    else:
        if not plan.addresses:
            plan = _at(plan, tuple(gateway.grpc_address for gateway in load(config_path).gateways))
        result = asyncio.run(replay(plan))
    make_console(json_file, plan.fills, plan.reports).print(_table(result, plan.summary))
    write_json(json_file, result.to_json(plan.summary))
    return 0 if result.complete else 1


def _at(plan: ReplayPlan, addresses: tuple[str, ...]) -> ReplayPlan:
    return dataclasses.replace(plan, addresses=addresses)


def _table(result: ReplayResult, summary: FlowSummary) -> Table:
    rows = result.to_json(summary)
    table = Table(title="replay", title_justify="left", show_header=False, pad_edge=False)
    table.add_column("what")
    table.add_column("value")
    for name, value in rows.items():
        if isinstance(value, dict):
            shown = ", ".join(f"{key} {item:g}" for key, item in value.items())
        elif name == "kills" and isinstance(value, list):
            shown = ", ".join(f"{kill['process']} after {kill['sent']}" for kill in value)
        elif isinstance(value, list):
            shown = ", ".join(map(str, value))
        else:
            shown = str(value)
        table.add_row(name.replace("_", " "), shown or "-")
    return table
