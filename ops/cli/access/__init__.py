"""`lockstep access`: who may do what, one module for each command, imported only when it is used."""

from typing import Final

import click

from lockstep.ops.cli.lazy_group import LazyGroup

_HERE: Final = "lockstep.ops.cli.access"

COMMANDS: Final = {
    "key": f"{_HERE}.key",
    "trail": f"{_HERE}.trail",
}
"""Where each command is."""


@click.group("access", cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Who may do what in a cluster: its key, and the trail of what was refused and done (docs/access.md)."""
