"""Command groups: one whose list of commands is whole sentences, and one that imports a subcommand when it is used."""

import importlib
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
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(_SENTENCE)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class LazyGroup(PlainGroup):
    """`modules`: where each subcommand is, as `module` (its attribute `command`) or `module:attribute`."""

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of `modules`; nothing is imported."""
        del ctx
        return list(self._modules)

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


def _absent(name: str, package: str, extra: str) -> click.Command:
    needs = f"needs the package {package}: pip install 'lockstep-cluster[{extra}]'"

    def say_so() -> None:
        raise click.ClickException(f"lockstep {name} {needs}")

    # Whatever it is given, that is the answer.
    anything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    return click.Command(name, callback=say_so, help=needs.capitalize(), context_settings=anything)
