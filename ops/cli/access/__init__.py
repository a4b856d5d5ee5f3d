"""`lockstep access`: who may do what, one module for each command, imported only when it is used."""

from typing import Final

import click

from lockstep.ops.cli.lazy_group import LazyGroup

_HERE: Final = "lockstep.ops.cli.access"

COMMANDS: Final = {
    "create": f"{_HERE}.principals:create_command",
    "change": f"{_HERE}.rights:change_command",
    "group": f"{_HERE}.rights:group_command",
    "list": f"{_HERE}.principals:list_command",
    "issue": f"{_HERE}.principals:issue",
    "rotate": f"{_HERE}.principals:rotate",
    "revoke": f"{_HERE}.principals:revoke_command",
    "password": f"{_HERE}.principals:password_command",
    "public-key": f"{_HERE}.principals:public_key",
    "restore": f"{_HERE}.restore",
    "rekey": f"{_HERE}.rekey",
    "key": f"{_HERE}.key",
    "trail": f"{_HERE}.trail",
}
"""Where each command is."""


@click.group("access", cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Who may do what in a cluster: principals, its key, and the trail of what was refused and done (docs/access.md).

    Principals stand in etcd and are written with the cluster's key. A change is in force everywhere within a second.
    """
