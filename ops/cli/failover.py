"""`lockstep failover`: hand the primary role to another in-sync engine, without losing an order."""

import time
from pathlib import Path

import click

from lockstep.ops.cli.options import config_option, expected_errors, json_option, make_console, write_json
from lockstep.ops.cli.tables import status_table
from lockstep.ops.cluster_view import ClusterStatus, StatusProbe
from lockstep.ops.config import load
from lockstep.ops.process import EnvironmentFault

_SETTLE_S = 5.0


@click.command("failover")
@config_option
@click.option(
    "--to", "engine", type=int, default=0, metavar="ID", help="Engine that becomes primary; default: any in sync."
)
@json_option
@expected_errors
def command(config_path: Path, engine: int, json_path: Path | None) -> int:
    """Make another in-sync engine the primary: a planned switch, with no order refused.

    Shows the roles before and after. To see an unplanned one, kill the primary's process instead.
    """
    topology = load(config_path)
    console = make_console(json_path)
    with StatusProbe.of(topology) as probe:
        before = probe.ask()
        leader, primary = before.leader(), before.primary()
        if leader is None:
            raise EnvironmentFault(
                f"cluster {topology.name} has no leading sequencer at the moment; `lockstep status` shows who answers"
            )
        console.print(status_table(before, title="before"))
        started = time.monotonic()
        reply = probe.switch_primary(leader.address, engine)
        took_ms = (time.monotonic() - started) * 1000
        after = _settled(probe, reply.primary)
        console.print(status_table(after, title="after"))
    console.print(f"engine {reply.primary} is primary since epoch {reply.stamp.epoch}; the call took {took_ms:.1f} ms")
    write_json(
        json_path,
        {
            "before": primary.name if primary else None,
            "after": f"engine-{reply.primary}",
            "epoch": reply.stamp.epoch,
            "call_ms": round(took_ms, 3),
        },
    )
    return 0


def _settled(probe: StatusProbe, primary: int) -> ClusterStatus:
    """The status once the new primary says that it is; the last one seen if it does not in time."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        status = probe.ask()
        found = status.primary()
        if (found is not None and found.name == f"engine-{primary}") or time.monotonic() > deadline:
            return status
        time.sleep(0.02)
