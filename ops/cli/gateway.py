"""`lockstep gateway`: one gateway process."""

from pathlib import Path

import click

from lockstep.ops.cli.options import config_option, expected_errors, id_option, load_member
from lockstep.runtime.topology import ProcessKind


@click.command("gateway")
@config_option
@id_option
@expected_errors
def command(config_path: Path, member_id: int) -> int:
    """Run one gateway: what trading systems connect to.

    It needs the media driver of this host (`lockstep driver`).

    Stop it with SIGTERM or Ctrl-C. Logs go to standard error; LOCKSTEP_LOG sets the level (debug, info, warning).
    """
    # Imported late: the help must not pay for a whole process.
    from lockstep.edge.fix import make_fix_door
    from lockstep.edge.soup import make_door
    from lockstep.gateway.process import run

    topology, member = load_member(config_path, ProcessKind.GATEWAY, member_id)
    soup = (make_door,) if member.soup else ()
    fix = (make_fix_door,) if member.fix else ()
    return run(topology, member, doors=(*soup, *fix))
