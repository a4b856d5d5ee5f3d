"""The commands in the documents are commands of the real command line, and docs/operations shows every one."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from lockstep.ops.cli.main import cli
from lockstep.runtime import config

ROOT = Path(config.__file__).resolve().parents[1]
OPERATIONS = ROOT / "docs" / "operations"
DOCUMENTS = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "clients" / "python" / "README.md"])
CHECKED = (click.Choice, click.IntRange, click.FloatRange)


def shown(text: str) -> Iterator[str]:
    """Commands that somebody may paste: lines of code blocks, with or without a prompt."""
    for block in re.findall(r"(?:^```\w*\n(.*?)^```)|((?:^ {4}\S.*\n)+)", text, flags=re.S | re.M):
        for line in "".join(block).splitlines():
            found = re.match(r"\s*(?:\$ )?(?:\.venv/bin/)?lockstep (?!\w+:)(.*)", line)
            if found:
                yield found[1]


def named(text: str) -> Iterator[str]:
    """Commands that a sentence names."""
    return iter(re.findall(r"`lockstep ([a-z][^`]*)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)))


def resolve(line: str) -> tuple[list[str], click.Command, list[str]]:
    """(path, command, what follows it)."""
    words = shlex.split(re.split(r"\s#\s|\s[>|;&]|; ", line)[0])
    words = [word for word in words if not re.fullmatch(r"\[.*|.*\]|\.\.\.", word)]
    command: click.Command = cli
    path: list[str] = []
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"no command {words[0]!r} in: lockstep {line}"
        path.append(words.pop(0))
        command = found
    return path, command, words


def parse(line: str, *, whole: bool) -> list[str]:
    """The command's path. `whole`: nothing may be missing either."""
    path, command, words = resolve(line)
    context = click.Context(command)
    try:
        values, rest, _ = command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        if whole or isinstance(error, click.NoSuchOption):
            pytest.fail(f"lockstep {line}: {error.format_message()}")
        return path
    if isinstance(command, click.Group):
        return path
    assert not rest, f"too many arguments: lockstep {line}"
    for param in command.params:
        value = values.get(param.name or "")
        missing = param.required and (not isinstance(value, str | int | float | Sequence) or value in ((), []))
        assert not (whole and missing), f"{param.name} is missing: lockstep {line}"
        if isinstance(value, str) and isinstance(param.type, CHECKED) and not value.isupper():
            param.type(value, param, context)
    return path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_document_is_one_of_the_command_line(document: Path) -> None:
    text = document.read_text()
    for line in shown(text):
        parse(line, whole=True)
    for line in named(text):
        parse(line, whole=False)


def test_a_command_with_an_option_that_does_not_exist_is_found() -> None:
    with pytest.raises(pytest.fail.Exception, match="--no-such"):
        parse("cluster status --no-such", whole=True)
    with pytest.raises(AssertionError, match="no command 'stats'"):
        parse("cluster stats", whole=True)
    with pytest.raises(AssertionError, match="missing"):
        parse("cluster fence", whole=True)


def leaves(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name)


def test_operations_shows_every_command_of_an_operator_with_its_output() -> None:
    pages = sorted(OPERATIONS.glob("*.md"))
    used = {tuple(parse(line, whole=True)) for page in pages for line in shown(page.read_text())}
    for group in ("cluster", "reconcile"):
        command = cli.get_command(click.Context(cli), group)
        assert isinstance(command, click.Group)
        assert set(leaves(command, (group,))) - used == set()
