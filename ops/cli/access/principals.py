"""`lockstep access create, list, issue, rotate, revoke, password, public-key`: principals that are stored in etcd."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from lockstep.ops.cli.options import InputFault, config_option, expected_errors, json_option, make_console, write_json
from lockstep.runtime.access.numbers import NOBODY, highest
from lockstep.runtime.access.registry import Credential, Entry, Registry, RegistryRefused, create, grant, revoke
from lockstep.runtime.access.roles import GRANTABLE
from lockstep.runtime.access.secret_hash import hash_secret, make_key
from lockstep.runtime.access.store import change, check_is_newest, former_numbers, read, why_not_in_force
from lockstep.runtime.config import load
from lockstep.runtime.output import Output
from lockstep.runtime.topology import OPERATOR_NUMBERS

_DAY_NS: Final = 24 * 3600 * 1_000_000_000
_U32: Final = 2**32 - 1
_LARGEST_PEM: Final = 4096
_NAMED: Final = 5
_ROLES: Final = tuple(role.value for role in GRANTABLE)

name_argument = click.argument("name", metavar="NAME")
days_option = click.option(
    "--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it is good for."
)


@click.command("create")
@name_argument
@config_option
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(_ROLES), help="What it may do.")
@click.option("--account", "accounts", multiple=True, type=click.IntRange(1, _U32), help="One it may trade; none: all.")
@click.option(
    "--number", type=click.IntRange(1, OPERATOR_NUMBERS - 1), help="Upper half of its session ids; default: a free one."
)
@click.option(
    "--instrument",
    "instruments",
    multiple=True,
    type=click.IntRange(1, _U32),
    help="Number of one that it may trade and read; none, and no group: all.",
)
@click.option("--group", "groups", multiple=True, help="A group of instruments that it may trade and read.")
@click.option("--budget", "budget_per_s", type=click.IntRange(1, 10**9), help="Points a second (docs/access.md).")
@expected_errors
def create_command(
    name: str,
    config_path: Path,
    roles: tuple[str, ...],
    accounts: tuple[int, ...],
    number: int | None,
    instruments: tuple[int, ...],
    groups: tuple[str, ...],
    budget_per_s: int | None,
) -> int:
    """Create the principal NAME, which nobody can log in as before it is given a key, a password or a public key."""
    topology = load(config_path)
    if any(client.name == name for client in topology.clients):
        raise InputFault(f"{name!r} is a [[client]] of {config_path}; take another name")
    taken, former = [client.number for client in topology.clients], former_numbers(topology)
    if former:
        names = ", ".join(sorted(set(former.values()) - {NOBODY})[:_NAMED]) or "revoked ones"
        text = f"kept here with another key of the cluster: {names}; their client numbers go to nobody else"
        click.echo(f"note: {text}. `lockstep access restore --file ... --former-key FILE` brings them back", err=True)
    edit = create(
        name,
        roles,
        accounts,
        number or 0,
        taken,
        instruments=instruments or None,
        groups=groups,
        budget_per_s=budget_per_s or 0,
        above=highest(former),
    )
    after = change(topology, edit, f"create {name}: {', '.join(roles)}")
    click.echo(f"created {name}, client number {after.entry(name).number}: {', '.join(roles)}")
    click.echo(f"next: `lockstep access issue {name}` gives it a key")
    return 0


@click.command("list")
@config_option
@click.option("--changes", is_flag=True, help="Who changed what, too.")
@json_option
@expected_errors
def list_command(config_path: Path, changes: bool, json_file: Output | None) -> int:
    """List principals, what they may do, and what they log in with. No secret is stored, so none is shown."""
    topology = load(config_path)
    registry = read(topology)
    why = why_not_in_force(topology, registry)
    if why:
        click.echo(f"not in force: {why}", err=True)
    console = make_console(json_file)
    for entry in registry.entries:
        console.print(f"{entry.name}  number {entry.number}  {may(entry)}", highlight=False)
        for one in entry.credentials:
            user = f" of user {one.user}" if one.user else ""
            console.print(f"  {one.kind} {one.id}{user}, {_until(one)}", highlight=False)
    for group in registry.groups:
        listed = ", ".join(map(str, group.instruments)) or "none"
        console.print(f"group {group.name}: instruments {listed}", highlight=False)
    if not registry.entries:
        console.print("no principal is stored; `lockstep access create` makes one")
    if changes:
        for line in registry.changes:
            console.print(f"{_time(line.at_ns)}  {line.by}  {line.what}", highlight=False)
    write_json(json_file, _shown(registry))
    return 0


@click.command("issue")
@name_argument
@config_option
@days_option
@expected_errors
def issue(name: str, config_path: Path, days: int) -> int:
    """Give the principal NAME one more API key. It is shown now and never again."""
    return _issue(name, config_path, days, overlap_s=None)


@click.command("rotate")
@name_argument
@config_option
@days_option
@click.option(
    "--overlap", "overlap_s", type=click.IntRange(1, 30 * 86_400), default=3600, show_default=True,
    help="Seconds for which the keys before it go on working.",
)  # fmt: skip
@expected_errors
def rotate(name: str, config_path: Path, days: int, overlap_s: int) -> int:
    """Give the principal NAME a new API key, and let its other ones end a little later."""
    return _issue(name, config_path, days, overlap_s=overlap_s)


def _issue(name: str, config_path: Path, days: int, *, overlap_s: int | None) -> int:
    topology = load(config_path)
    registry, now_ns = read(topology), time.time_ns()
    check_is_newest(topology, registry)
    try:
        token, key_id = make_key(registry.entry(name).number)
    except RegistryRefused as error:
        raise InputFault(str(error)) from None
    credential = Credential(key_id, "key", hash_secret(token), now_ns, now_ns + days * _DAY_NS)
    end_ns = 0 if overlap_s is None else now_ns + overlap_s * 1_000_000_000
    change(
        topology,
        grant(name, credential, end_others_ns=end_ns),
        f"{'issue' if overlap_s is None else 'rotate'} a key of {name}: {key_id}",
    )
    click.echo(f"key {key_id} of {name}, {_until(credential)}; it is not stored, and not shown again:", err=True)
    click.echo(token)
    return 0


@click.command("revoke")
@name_argument
@config_option
@click.option("--credential", default="", help="Only this one of its keys, passwords or public keys.")
@expected_errors
def revoke_command(name: str, config_path: Path, credential: str) -> int:
    """Take the principal NAME away, or one credential of it. What it has open is ended within a second."""
    what = f"revoke {name}" + (f": {credential}" if credential else "")
    change(load(config_path), revoke(name, credential), what)
    click.echo(f"revoked {name}{': ' + credential if credential else ''}")
    return 0


@click.command("password")
@name_argument
@config_option
@click.option("--user", required=True, help="Its name at the binary door, 1 to 6 letters.")
@click.option(
    "--password", prompt=True, hide_input=True, envvar="LOCKSTEP_PASSWORD", show_envvar=True, help="1 to 10 letters."
)
@expected_errors
def password_command(name: str, config_path: Path, user: str, password: str) -> int:
    """Let the principal NAME log in to the binary door (OUCH), whose protocol allows ten letters of password.

    The password is asked for, or taken from the environment: on a command line everybody on the machine could read it.
    """
    for value, most, what in ((user, 6, "--user"), (password, 10, "the password")):
        if not 0 < len(value) <= most or not value.isascii() or not value.isprintable() or " " in value:
            raise InputFault(f"{what} is not 1 to {most} printable letters without blanks")
    topology, now_ns = load(config_path), time.time_ns()
    if any(client.soup_user == user for client in topology.clients):
        raise InputFault(f"user {user!r} is a [[client]]'s of {config_path}; take another one")
    made = Credential(f"user-{user}", "password", hash_secret(password, chosen_by_people=True), now_ns, user=user)
    change(topology, grant(name, made), f"password of {name} for user {user}")
    click.echo(f"{name} logs in to the binary door as {user}")
    return 0


@click.command("public-key")
@name_argument
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@config_option
@days_option
@expected_errors
def public_key(name: str, file: Path, config_path: Path, days: int) -> int:
    """Let the principal NAME log in with tokens that it signs itself, by the private half of the key in FILE (PEM).

    Ed25519 or P-256. The token is a JWT of at most ten minutes with `kid` as shown, `sub` NAME and `aud` the cluster.
    """
    from lockstep.runtime.access.jwt_login import key_of_pem

    text = file.read_bytes()[:_LARGEST_PEM].decode("ascii", "replace")
    try:
        key_of_pem(text)
    except ValueError as error:
        raise InputFault(f"{file}: {error}; it holds an Ed25519 or P-256 public key in PEM") from None
    topology, now_ns = load(config_path), time.time_ns()
    key_id = make_key(1)[1]
    change(
        topology,
        grant(name, Credential(key_id, "public-key", text, now_ns, now_ns + days * _DAY_NS)),
        f"public key of {name}: {key_id}",
    )
    click.echo(f"kid {key_id}, aud {topology.name}, sub {name}")
    return 0


def may(entry: Entry) -> str:
    """What a principal may do, in a line."""
    limits = [*(f"group {name}" for name in entry.groups), *map(str, entry.instruments or ())]
    free = entry.instruments is None and not entry.groups
    words = [
        ", ".join(entry.roles),
        f"accounts {', '.join(map(str, entry.accounts))}" if entry.accounts else "all accounts",
        "all instruments" if free else f"instruments {', '.join(limits) or 'none'}",
    ]
    return "  ".join((*words, *((f"{entry.budget_per_s} points/s",) if entry.budget_per_s else ())))


def _until(credential: Credential) -> str:
    return f"good until {_time(credential.until_ns)}" if credential.until_ns else "good until it is revoked"


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _shown(registry: Registry) -> dict[str, Any]:
    return {
        "version": registry.version,
        "principals": [
            {
                "name": entry.name,
                "number": entry.number,
                "roles": list(entry.roles),
                "accounts": list(entry.accounts),
                "instruments": None if entry.instruments is None else list(entry.instruments),
                "groups": list(entry.groups),
                "budget_per_s": entry.budget_per_s,
                "credentials": [
                    {"id": one.id, "kind": one.kind, "user": one.user, "made_ns": one.made_ns, "until_ns": one.until_ns}
                    for one in entry.credentials
                ],
            }
            for entry in registry.entries
        ],
        "groups": [{"name": group.name, "instruments": list(group.instruments)} for group in registry.groups],
        "changes": [{"at_ns": line.at_ns, "by": line.by, "what": line.what} for line in registry.changes],
    }
