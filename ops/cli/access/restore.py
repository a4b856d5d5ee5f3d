"""`lockstep access restore`: put an older document of the principals in force on purpose."""

from pathlib import Path

import click

from lockstep.ops.cli.access.rekey import former_key_option
from lockstep.ops.cli.cluster.steps import confirm, force_option
from lockstep.ops.cli.options import InputFault, config_option, expected_errors
from lockstep.runtime.access.registry import Since
from lockstep.runtime.access.store import newest_kept, read, read_file, restore, revoked_since
from lockstep.runtime.config import load
from lockstep.runtime.topology import Topology


@click.command("restore")
@config_option
@click.option(
    "--file", "file", type=click.Path(path_type=Path, dir_okay=False),
    help="Take what a process has kept (NAME.principals in audit_dir) and put it into etcd.",
)  # fmt: skip
@former_key_option
@click.option("--revoked-too", is_flag=True, help="Also bring back who and what was revoked since.")
@force_option
@expected_errors
def command(config_path: Path, file: Path | None, former: Path | None, revoked_too: bool, force: bool) -> int:
    """Put principals in force that processes refuse since they know newer ones: those that stand in etcd, or in a file.

    After etcd was restored from a backup on purpose: without --file, what was changed since the backup is lost. After
    somebody put an older document back, or etcd was wiped: with --file, nothing is lost. Who was revoked since then, as
    processes of this host know, stays revoked, unless --revoked-too says otherwise; who may something else since, may
    again what it did: the list says so, look at it before you go ahead.
    """
    topology = load(config_path)
    if file is None and former is not None:
        raise InputFault("--former-key goes with --file; for what stands in etcd: `lockstep access rekey`")
    found = read(topology) if file is None else read_file(topology, file, former)
    if file is None and not found.version:
        raise InputFault(_nothing_in_etcd(topology))
    where = "etcd" if file is None else str(file)
    newest = f", changed last by {found.changes[-1].by}: {found.changes[-1].what}" if found.changes else ""
    click.echo(f"version {found.version} in {where}{newest}", err=True)
    for entry in found.entries:
        click.echo(f"  {entry.name}: {', '.join(entry.roles)}, {len(entry.credentials)} credentials", err=True)
    _say_what_changed(revoked_since(topology, found, former), revoked_too=revoked_too)
    confirm("put these in force, and no others?", force=force)
    what = f"restore version {found.version} from {where}{', with those revoked since' if revoked_too else ''}"
    after = restore(topology, found, what, revoked_too=revoked_too, former=former)
    click.echo(f"in force as version {after.version}: {len(after.entries)} principals")
    return 0


def _say_what_changed(gone: Since | None, *, revoked_too: bool) -> None:
    if gone is None:
        text = "no process of this host has kept any, so who was revoked since is not known here: look who is too much"
        click.echo(f"warning: {text}", err=True)
        return
    fate = "is back (--revoked-too)" if revoked_too else "stays revoked"
    for name in gone.revoked:
        click.echo(f"  revoked since: {name} {fate}", err=True)
    for name, credential in gone.credentials:
        click.echo(f"  revoked since: {credential} of {name} {fate}", err=True)
    for name in gone.changed:
        click.echo(f"  changed since: {name} may again what it did then (`lockstep access change`)", err=True)


def _nothing_in_etcd(topology: Topology) -> str:
    kept = newest_kept(topology)
    if kept is None:
        return (
            "etcd holds no principals, and processes of this host have kept none: use a host that has some, "
            "or make the first one with `lockstep access create`"
        )
    path, newest = kept
    return (
        f"etcd holds no principals, and nothing was changed; put back version {newest.version}, the newest that "
        f"processes of this host have kept: `lockstep access restore --file {path}`"
    )
