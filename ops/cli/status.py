"""`lockstep status`: what every process says about itself."""

from pathlib import Path

import click

from lockstep.ops.cli.options import (
    address_option,
    config_option,
    expected_errors,
    json_option,
    make_console,
    write_json,
)
from lockstep.ops.cli.tables import status_table
from lockstep.ops.cluster_view import StatusProbe
from lockstep.ops.config import load


@click.command("status")
@config_option
@address_option("Ask only this process (repeatable).")
@json_option
@click.option("--timeout", "timeout_s", type=float, default=2.0, show_default=True, help="Seconds to wait for answers.")
@expected_errors
def command(config_path: Path, addresses: tuple[str, ...], json_path: Path | None, timeout_s: float) -> int:
    """Show the role, epoch, position and health of every process.

    Asks all processes of the configuration file, or only those named by --address. Exit code 1 if one does not answer.
    """
    if addresses:
        members = tuple(("", address) for address in addresses)
        title = "processes"
        probe = StatusProbe(members)
    else:
        topology = load(config_path)
        title = f"cluster {topology.name}"
        probe = StatusProbe.of(topology)
    with probe:
        status = probe.ask(timeout_s=timeout_s)
    if json_path is None or str(json_path) != "-":
        make_console().print(status_table(status, title=title))
    leader, primary = status.leader(), status.primary()
    write_json(
        json_path,
        {
            "leader": leader.name if leader else None,
            "primary": primary.name if primary else None,
            "in_sync": list(status.in_sync()),
            "members": [member.to_json() for member in status.members],
        },
    )
    return 0 if all(member.reply is not None for member in status.members) else 1
