"""Arguments and exit codes of the operator's commands. Light: health checks ask `is-primary` all the time."""

from pathlib import Path
from typing import Final

import click

from lockstep.ops.cli.options import DEFAULT_CONFIG, InputFault
from lockstep.ops.config import ConfigError, load
from lockstep.stream.topology import ProcessKind, Topology

EXIT_REFUSED: Final = 3
EXIT_UNKNOWN: Final = 4


def read_engine(ctx: click.Context, param: click.Parameter, value: str | None) -> int:
    """Callback of options and arguments that name an engine: `2` or `engine-2`; 0 without a value."""
    if value is None:
        return 0
    text = value.removeprefix("engine-")
    if not text.isdecimal() or not int(text):
        raise click.BadParameter(f"{value!r} is not an engine: give its id, such as 2 or engine-2", ctx, param)
    return int(text)


def complete_engine(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: the engines of the configuration, if there is one."""
    del param
    try:
        topology = load(Path(ctx.params.get("config_path") or DEFAULT_CONFIG))
    except ConfigError:
        return []
    return [engine.name for engine in topology.engines if engine.name.startswith(incomplete)]


engine_argument = click.argument("member", callback=read_engine, metavar="ENGINE", shell_complete=complete_engine)


def check_engine(topology: Topology, member: int) -> None:
    """Whether the configuration has this engine.

    Raises:
        InputFault: it has not; the text says which it has.
    """
    known = {engine.id for engine in topology.members(ProcessKind.ENGINE)}
    if member not in known:
        listed = ", ".join(f"engine-{one}" for one in sorted(known))
        raise InputFault(f"cluster {topology.name} has no engine-{member}; use one of: {listed}")
