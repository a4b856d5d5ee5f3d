"""`lockstep feed`: one feed process."""

from pathlib import Path

import click

from lockstep.ops.cli.options import config_option, expected_errors, id_option, load_member
from lockstep.runtime.topology import ProcessKind


@click.command("feed")
@config_option
@id_option
@expected_errors
def command(config_path: Path, member_id: int) -> int:
    """Run one feed: complete market data, for any number of readers, over gRPC and WebSocket.

    It needs the media driver of this host (`lockstep driver`). It keeps nothing on disk: a restarted one begins with
    the history of the engines, and any number of them say the same.

    Stop it with SIGTERM or Ctrl-C. Logs go to standard error; LOCKSTEP_LOG sets the level (debug, info, warning).
    """
    # Imported late: the help must not pay for a whole process.
    from lockstep.edge.http.door import open_door
    from lockstep.marketdata.process import run

    return run(*load_member(config_path, ProcessKind.FEED, member_id), doors=(open_door,))
