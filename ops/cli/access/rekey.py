"""`lockstep access rekey`: the principals in etcd, written with the cluster's new key."""

from pathlib import Path

import click

from lockstep.ops.cli.options import InputFault, config_option, expected_errors
from lockstep.runtime.access.store import rekey
from lockstep.runtime.config import load

former_key_option = click.option(
    "--former-key", "former", type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the cluster's former key; default: cluster.key.former, where it is there.",
)  # fmt: skip


@click.command("rekey")
@config_option
@former_key_option
@expected_errors
def command(config_path: Path, former: Path | None) -> int:
    """Write the principals with the cluster's key, after it was changed. All keep credentials, numbers and rights.

    What stands in etcd is read with the former key. Part of a change of the key while the cluster trades (`lockstep
    access key`); and the way back for whoever has put another key into the file, and finds that nobody is let in.
    """
    topology = load(config_path)
    after, written = rekey(topology, former, "rekey: written with the cluster's new key")
    if not after.version:
        raise InputFault(
            "etcd holds no principals, and nothing was changed; what processes have kept is put back by `lockstep "
            "access restore --file NAME.principals --former-key FILE`"
        )
    if not written:
        click.echo(f"version {after.version} was written with the cluster's key already; nothing was changed")
        return 0
    click.echo(f"version {after.version}: {len(after.entries)} principals, written with the cluster's key")
    if topology.sealed:
        click.echo("next: `lockstep cluster rotate-keys` gives the links keys of it, too")
    return 0
