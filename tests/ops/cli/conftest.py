"""The command line in this process, and all its commands."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lockstep.ops.cli.main import cli, run


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


RunHere = Callable[..., Ended]


@pytest.fixture
def run_here() -> RunHere:
    """`lockstep ...` without a process of its own."""

    def go(*arguments: object) -> Ended:
        with CliRunner().isolation() as (out, err, _):
            code = run([str(argument) for argument in arguments])
            sys.stdout.flush()
            return Ended(code, out.getvalue().decode(), err.getvalue().decode())

    return go


def leaves(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(leaves())


def required_words(command: click.Command, folder: Path) -> list[str]:
    """Words for what a command can't do without, of the right form."""
    words: list[str] = []
    for param in command.params:
        if not param.required:
            continue
        value = "1"
        if isinstance(param.type, click.Choice):
            value = str(param.type.choices[0])
        elif param.type.name == "date":
            value = "2026-11-30"
        elif isinstance(param.type, click.Path):
            value = str(folder)
            if not param.type.dir_okay:
                (folder / "file").touch()
                value = str(folder / "file")
        words += [value] if isinstance(param, click.Argument) else [param.opts[0], value]
    return words
