"""Arguments and exit codes of the operator's commands. Light: health checks ask `is-primary` all the time."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from lockstep.ops.cli.options import DEFAULT_CONFIG, InputFault
from lockstep.runtime.config import ConfigError, load
from lockstep.runtime.topology import ProcessKind, Topology

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


def engine_directory_argument(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An argument DIR: an engine's data directory, or its name in the configuration; see `engine_directory`."""
    return click.argument(name, metavar="DIR", type=click.Path(path_type=Path), shell_complete=_complete_directory)


def _complete_directory(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    names = complete_engine(ctx, param, incomplete)
    return [CompletionItem(incomplete, type="dir"), *map(CompletionItem, names)]


def engine_directory(given: Path, config_path: Path) -> Path:
    """The data directory that DIR names.

    Raises:
        InputFault: there is no such directory, and the configuration has no such engine.
        ConfigError: the configuration can't be read, and the name could be one of it.
    """
    found = named_directory(given, config_path)
    if not found.is_dir():
        what = "is no directory" if found.exists() else "does not exist"
        raise InputFault(f"directory {found} {what}; name an engine's data directory, or its name such as engine-1")
    return found


def named_directory(given: Path, config_path: Path) -> Path:
    """`engine-1` is that engine's data directory in the configuration, unless there is such a path; others are paths.

    Raises:
        InputFault: the configuration has no such engine. ConfigError: it can't be read.
    """
    if given.exists() or re.fullmatch(r"engine-\d{1,4}", str(given)) is None:
        return given
    topology = load(config_path)
    number = int(str(given).removeprefix("engine-"))
    check_engine(topology, number)
    return topology.member(ProcessKind.ENGINE, number).data_dir
