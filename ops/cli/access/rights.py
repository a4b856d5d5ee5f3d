"""`lockstep access change` and `group`: what a stored principal may, while it stays who it is."""

from pathlib import Path
from typing import Any, Final

import click

from lockstep.ops.cli.access.principals import may
from lockstep.ops.cli.options import InputFault, config_option, expected_errors
from lockstep.runtime.access.registry import alter, regroup
from lockstep.runtime.access.roles import GRANTABLE
from lockstep.runtime.access.store import change
from lockstep.runtime.config import load

_U32: Final = 2**32 - 1
_ROLES: Final = tuple(role.value for role in GRANTABLE)


@click.command("change")
@click.argument("name", metavar="NAME")
@config_option
@click.option("--role", "roles", multiple=True, type=click.Choice(_ROLES), help="What it may do, in place of before.")
@click.option(
    "--account", "accounts", multiple=True, type=click.IntRange(1, _U32), help="One it may trade; only these."
)
@click.option("--all-accounts", is_flag=True, help="It may trade every account.")
@click.option(
    "--instrument",
    "instruments",
    multiple=True,
    type=click.IntRange(1, _U32),
    help="Number of one that it may trade and read; only these, and those of --group.",
)
@click.option("--group", "groups", multiple=True, help="A group of instruments that it may trade and read.")
@click.option("--all-instruments", is_flag=True, help="It is limited to no instruments.")
@click.option(
    "--budget", "budget_per_s", type=click.IntRange(0, 10**9), help="Points a second; 0: as the configuration says."
)
@expected_errors
def change_command(
    name: str,
    config_path: Path,
    roles: tuple[str, ...],
    accounts: tuple[int, ...],
    all_accounts: bool,
    instruments: tuple[int, ...],
    groups: tuple[str, ...],
    all_instruments: bool,
    budget_per_s: int | None,
) -> int:
    """Give the principal NAME other roles, accounts, instruments or another budget; what is not named stays.

    In force everywhere within a second. What it has open is ended then: it logs in again with the same credentials.
    Whoever has an order may cancel and change it, also where the instrument is not its own any more.
    """
    if (accounts and all_accounts) or ((instruments or groups) and all_instruments):
        raise InputFault("name some, or all: not both")
    fields: dict[str, Any] = {}
    if roles:
        fields["roles"] = roles
    if accounts or all_accounts:
        fields["accounts"] = accounts
    if instruments or groups or all_instruments:
        fields |= {"instruments": tuple(sorted(set(instruments))) or None, "groups": groups}
    if budget_per_s is not None:
        fields["budget_per_s"] = budget_per_s
    if not fields:
        raise InputFault("say what is to change: --role, --account, --instrument, --group, --budget, or all of a kind")
    topology = load(config_path)
    if any(client.name == name for client in topology.clients):
        raise InputFault(f"{name!r} is a [[client]] of {config_path}: change it there")
    words = ", ".join(f"{key} {_said(value)}" for key, value in fields.items())
    after = change(topology, alter(name, **fields), f"change {name}: {words}")
    click.echo(f"{name}: {may(after.entry(name))}")
    return 0


def _said(value: Any) -> str:
    if isinstance(value, int):
        return str(value)
    return "all" if value is None else " ".join(map(str, value)) or "-"


@click.command("group")
@click.argument("name", metavar="NAME")
@config_option
@click.option(
    "--instrument", "instruments", multiple=True, type=click.IntRange(1, _U32), help="Number of one that is in it."
)
@click.option("--remove", is_flag=True, help="Take the group away; nobody may be in it any more.")
@expected_errors
def group_command(name: str, config_path: Path, instruments: tuple[int, ...], remove: bool) -> int:
    """Make NAME a group of instruments, or give it others. Principals that have it are limited to what it holds.

    Without an instrument it is empty, and who has no other may trade and read none. In force within a second.
    """
    if remove and instruments:
        raise InputFault("--remove takes no instruments")
    listed = ", ".join(map(str, sorted(set(instruments)))) or "none"
    what = f"remove group {name}" if remove else f"group {name}: instruments {listed}"
    change(load(config_path), regroup(name, None if remove else instruments), what)
    click.echo(what)
    return 0
