"""`lockstep sequencer`: one sequencer process."""

from pathlib import Path

import click

from lockstep.ops.cli.options import config_option, expected_errors, id_option, load_member
from lockstep.runtime.topology import ProcessKind


@click.command("sequencer")
@config_option
@id_option
@expected_errors
def command(config_path: Path, member_id: int) -> int:
    """Run one sequencer candidate (a real deployment has two or more).

    One candidate leads: it gives every command its place in the stream. The others watch it and take over when it
    dies. It needs the media driver of this host (`lockstep driver`) and etcd.

    Stop it with SIGTERM or Ctrl-C. Logs go to standard error; LOCKSTEP_LOG sets the level (debug, info, warning).
    """
    # Imported late: the help must not pay for a whole process.
    from lockstep.sequencer.process import run

    return run(*load_member(config_path, ProcessKind.SEQUENCER, member_id))
