"""`lockstep cluster status`: what every process says about itself, and what that makes of the cluster."""

import time
from pathlib import Path

import click
from rich.console import Group
from rich.live import Live

from lockstep.ops.cli.cluster.tables import headline, status_json, topology_table
from lockstep.ops.cli.options import (
    TIMEOUT,
    Real,
    address_option,
    config_option,
    expected_errors,
    json_option,
    make_console,
    on_stdout,
    write_json,
)
from lockstep.ops.cli.tables import status_table
from lockstep.ops.operator.link_rotation import epochs_text, said_by
from lockstep.ops.operator.view import view_of
from lockstep.runtime.cluster_view import ClusterStatus, StatusProbe
from lockstep.runtime.config import load
from lockstep.runtime.output import Output
from lockstep.runtime.stop_request import StopRequest
from lockstep.runtime.topology import Topology
from lockstep.v1 import cluster_pb2


@click.command("status")
@config_option
@address_option("Ask only this process (repeatable).")
@json_option
@click.option(
    "--watch",
    "watch_s",
    type=Real(0.1, 3600),
    is_flag=False,
    flag_value=1.0,
    metavar="[SECONDS]",
    help="Show it again and again until Ctrl-C; without a terminal, a line for each change.",
)
@click.option(
    "--timeout", "timeout_s", type=TIMEOUT, default=2.0, show_default=True, help="Seconds to wait for answers."
)
@expected_errors
def command(
    config_path: Path, addresses: tuple[str, ...], json_file: Output | None, watch_s: float | None, timeout_s: float
) -> int:
    """Show topology, roles, epoch, seq, lag, in-sync set, digests and ack policy.

    Asks all processes of the configuration file, or only those named by --address. Exit code 1 if one does not answer,
    or if nothing that is lost now would be replaced because etcd is out of reach.
    With --json - the status is JSON on standard output, one document each time.
    """
    if addresses:
        return _some(addresses, json_file, timeout_s)
    topology = load(config_path)
    with StatusProbe.of(topology) as probe:
        if watch_s is None:
            status = probe.ask(timeout_s=timeout_s)
            _show(status, topology, json_file)
        else:
            status = _watch(probe, topology, json_file, watch_s, timeout_s)
    return _code(status)


def _some(addresses: tuple[str, ...], json_file: Output | None, timeout_s: float) -> int:
    with StatusProbe(tuple(("", address) for address in addresses)) as probe:
        status = probe.ask(timeout_s=timeout_s)
    if not on_stdout(json_file):
        make_console().print(status_table(status, title="processes"))
    write_json(json_file, {"members": [member.to_json() for member in status.members]})
    return _code(status)


def _code(status: ClusterStatus) -> int:
    answered = [member.reply for member in status.members if member.reply is not None]
    if len(answered) < len(status.members):
        return 1
    sequencers = [reply for reply in answered if reply.kind == cluster_pb2.PROCESS_KIND_SEQUENCER]
    deciding = [reply for reply in sequencers if reply.role == cluster_pb2.ROLE_LEADER] or sequencers
    return 1 if deciding and all(reply.no_failover for reply in deciding) else 0


def _show(status: ClusterStatus, topology: Topology, json_file: Output | None) -> None:
    view = view_of(status, topology)
    if not on_stdout(json_file):
        console = make_console()
        console.print(topology_table(status, view, title=f"cluster {topology.name}", width=console.width))
        console.print(headline(view), highlight=False)
        sealed = epochs_text(said_by(status))
        if sealed:
            console.print(sealed, highlight=False)
    write_json(json_file, status_json(status, view))


def _watch(
    probe: StatusProbe, topology: Topology, json_file: Output | None, interval_s: float, timeout_s: float
) -> ClusterStatus:
    # Not as an exception: one in the middle of a call's beginning may leave its channel waiting for it for ever.
    stop = StopRequest.install()
    console = make_console(json_file)
    last = ""
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            status = probe.ask(timeout_s=timeout_s)
            view = view_of(status, topology)
            line = headline(view)
            if console.is_terminal:
                title = f"cluster {topology.name} at {time.strftime('%H:%M:%S')} (Ctrl-C ends)"
                table = topology_table(status, view, title=title, width=console.width)
                live.update(Group(table, line), refresh=True)
            elif line != last:
                click.echo(f"{time.strftime('%H:%M:%S')} {line}", err=on_stdout(json_file))
            last = line
            write_json(json_file, status_json(status, view))
            if stop.wait(interval_s):
                return status
