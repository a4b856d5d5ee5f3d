"""`lockstep snapshotter`: the process that takes snapshots beside one engine."""

from pathlib import Path

import click

from lockstep.ops.cli.options import config_option, expected_errors, id_option, load_member
from lockstep.runtime.topology import ProcessKind


@click.command("snapshotter")
@config_option
@id_option
@expected_errors
def command(config_path: Path, member_id: int) -> int:
    """Take snapshots beside one engine, on the engine's host and with the engine's id.

    It replays the engine's journal into an engine of its own, so that the live one never pauses. Each snapshot is
    verified by executing the commands since the one before once more. When, and how many are kept: section [snapshots]
    of the configuration. With snapshots an engine starts in no time, a new disk is filled quickly, and journals can be
    cut.

    Stop it with SIGTERM or Ctrl-C. Logs go to standard error; LOCKSTEP_LOG sets the level (debug, info, warning).
    """
    # Imported late: the help must not pay for a whole process.
    from lockstep.replica.snapshotter import run

    return run(*load_member(config_path, ProcessKind.ENGINE, member_id))
