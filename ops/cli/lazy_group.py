"""Command groups: one whose list of commands is whole sentences, and one that imports a subcommand when it is used."""

import ast
import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any, Final

import click

_EXTRAS: Final = {"hdrh": ("hdrhistogram", "bench"), "sqlalchemy": ("SQLAlchemy", "posttrade")}
"""What only some commands import, as the package to install and the extra that brings it."""
_SENTENCE: Final = 200
"""Longer than any command's first sentence: what click would cut, wraps."""


class PlainGroup(click.Group):
    """Lists its commands in the order of their definition, each with its whole first sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order in which a newcomer meets them."""
        del ctx
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        rows = []
        for name in self.list_commands(ctx):
            sentence = self.sentence_of(ctx, name)
            if sentence is not None:
                rows.append((name, sentence))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def sentence_of(self, ctx: click.Context, name: str) -> str | None:
        """What a command does; None: it is not listed."""
        command = self.get_command(ctx, name)
        return None if command is None or command.hidden else command.get_short_help_str(_SENTENCE)


class LazyGroup(PlainGroup):
    """`modules`: where each subcommand is, as `module` (its attribute `command`) or `module:attribute`."""

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of `modules`; nothing is imported."""
        del ctx
        return list(self._modules)

    def sentence_of(self, ctx: click.Context, name: str) -> str | None:
        """See `PlainGroup`. Read from the source where that is enough: to import all commands takes seconds."""
        if all(importlib.util.find_spec(package) for package in _EXTRAS):
            module, _, attribute = self._modules[name].partition(":")
            text = _described(module, attribute or "command")
            if text:
                return click.Command(name, help=text).get_short_help_str(_SENTENCE)
        return super().sentence_of(ctx, name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a subcommand; if its extra is not installed, one that says so."""
        del ctx
        if cmd_name not in self._modules:
            return None
        module, _, attribute = self._modules[cmd_name].partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute or "command")
        except ModuleNotFoundError as missing:
            wanted = (missing.name or "").split(".")[0]
            if wanted not in _EXTRAS:
                raise
            return _absent(cmd_name, *_EXTRAS[wanted])
        assert isinstance(command, click.Command)
        return command


def _described(module: str, function: str) -> str | None:
    """What a command says of itself, without importing its module; None: that can't be seen from the source."""
    spec = importlib.util.find_spec(module)
    get_source = getattr(spec.loader, "get_source", None) if spec is not None else None
    source = get_source(module) if get_source is not None else None
    for node in ast.parse(source).body if source else ():
        if isinstance(node, ast.FunctionDef) and node.name == function:
            calls = [call for call in node.decorator_list if isinstance(call, ast.Call)]
            given = {keyword.arg: keyword.value for call in calls for keyword in call.keywords}
            short = given.get("short_help")
            if isinstance(short, ast.Constant):
                return str(short.value)
            return None if given.keys() & {"hidden", "deprecated", "short_help"} else ast.get_docstring(node)
    return None


def _absent(name: str, package: str, extra: str) -> click.Command:
    needs = f"needs the package {package}: pip install 'lockstep-cluster[{extra}]'"

    def say_so() -> None:
        raise click.ClickException(f"lockstep {name} {needs}")

    # Whatever it is given, that is the answer.
    anything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    return click.Command(name, callback=say_so, help=needs.capitalize(), context_settings=anything)
