"""`lockstep engine`: one engine process."""

from pathlib import Path

import click

from lockstep.ops.cli.options import config_option, expected_errors, id_option, load_member
from lockstep.runtime.topology import ProcessKind


@click.command("engine")
@config_option
@id_option
@expected_errors
def command(config_path: Path, member_id: int) -> int:
    """Run one matching engine replica (a real deployment has two or more).

    It journals the stream, matches, and acknowledges with a digest; the primary releases what all in-sync replicas
    agree on. A restarted engine replays its journal, catches up from a peer and rejoins by itself. It needs the media
    driver of this host (`lockstep driver`).

    Stop it with SIGTERM or Ctrl-C. Logs go to standard error; LOCKSTEP_LOG sets the level (debug, info, warning).
    """
    # Imported late: the help must not pay for a whole process.
    from lockstep.replica.process import run

    return run(*load_member(config_path, ProcessKind.ENGINE, member_id))
