"""The `lockstep` command: one module per subcommand, imported only when it is asked for.

A process of the cluster starts through here, and a restarted engine's start-up time is time without redundancy, so
that `lockstep engine` must not pay for what `lockstep bench` imports.

Exit codes: 0 done; 1 something outside is in the way (a port, a file, a cluster that does not answer) or a proof
failed; 2 the command line, the configuration or an input file is wrong; 3 a process found its own state wrong
(`runtime/ending.py` decides that for every process).
Expected errors are one message on standard error, never a traceback.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from lockstep.ops.cli.lazy_group import LazyGroup
from lockstep.runtime.faults import EXIT_USAGE, os_error_text, why_not_to_run
from lockstep.runtime.private import create_privately, leave_no_core_dump

# Before anything imports gRPC. Its newer event engine hands every message of an asyncio server through threads of its
# own, which costs a third more CPU for each (measured with grpcio 1.85); servers keep to the poller until it does not.
# And gRPC's own log lines are silent: what matters of them reaches people as an error of ours.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

COMMANDS: Final = {
    "up": "lockstep.ops.cli.up",
    "demo": "lockstep.ops.cli.demo",
    "status": "lockstep.ops.cli.cluster.status",
    "cluster": "lockstep.ops.cli.cluster",
    "access": "lockstep.ops.cli.access",
    "certs": "lockstep.ops.cli.certs",
    "reconcile": "lockstep.ops.cli.reconcile",
    "alerts": "lockstep.ops.cli.alerts",
    "ledger": "lockstep.ops.cli.ledger",
    "audit": "lockstep.ops.cli.audit",
    "day": "lockstep.ops.cli.day",
    "replay": "lockstep.ops.cli.replay",
    "bench": "lockstep.ops.cli.bench",
    "sim": "lockstep.ops.cli.sim",
    "metrics-targets": "lockstep.ops.cli.metrics_targets",
    "chaos": "lockstep.ops.cli.chaos",
    "driver": "lockstep.ops.cli.driver",
    "sequencer": "lockstep.ops.cli.sequencer",
    "engine": "lockstep.ops.cli.engine",
    "snapshotter": "lockstep.ops.cli.snapshotter",
    "gateway": "lockstep.ops.cli.gateway",
    "feed": "lockstep.ops.cli.feed",
    "completion": "lockstep.ops.cli.completion",
}
"""Module of each command; its `command` is the click command."""


@click.group(
    cls=LazyGroup,
    modules=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=False,
)
@click.version_option(package_name="lockstep-cluster", prog_name="lockstep", message="%(prog)s %(version)s")
def cli() -> None:
    """A replicated exchange that keeps trading when a machine dies.

    Start with `lockstep demo` (one minute: a real cluster, killed twice, and the proof that nothing was lost), or
    `lockstep up` and then, in another terminal, `lockstep cluster status`.

    Exit codes: 0 done, 1 something outside is in the way or a proof failed, 2 the command line, configuration or
    input file is wrong.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: runs the command and exits with its code."""
    create_privately()
    leave_no_core_dump()
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    if why := why_not_to_run():
        click.echo(f"lockstep: {why}", err=True)
        return EXIT_USAGE
    code = _run(arguments)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # What can't be written must not be tried once more, with a complaint, when the interpreter ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
        if code == 0 and not isinstance(error, BrokenPipeError):
            click.echo(f"lockstep: standard output can't be written: {error.strerror}", err=True)
        return code or 1
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Abort:
        click.echo("lockstep: interrupted", err=True)
        return 1
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (such as `head`) has gone; nobody is left to hear of it.
        return 1
    except OSError as error:
        click.echo(f"lockstep: {os_error_text(error)}", err=True)
        return 1
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
