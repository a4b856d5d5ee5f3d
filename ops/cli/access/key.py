"""`lockstep access key`: make the cluster's key where it is missing."""

from pathlib import Path

import click

from lockstep.ops.cli.options import Failure, config_option, expected_errors
from lockstep.runtime.access.cluster_key import load_key, make_key
from lockstep.runtime.config import load


@click.command("key")
@config_option
@expected_errors
def command(config_path: Path) -> int:
    """Make the cluster's key, by which members and operators identify themselves, if it is not there.

    Make it once, on one host, and copy the file to every other host of the cluster, readable by the owner of the
    processes alone. Where all addresses are loopback the first process makes it by itself.
    """
    path = load(config_path).access.key_file
    if load_key(path) is not None:
        raise Failure(f"{path} is there; to change the key, move it away on every host first")
    make_key(path)
    click.echo(f"made {path}: copy it to every host of the cluster, readable by its owner alone")
    return 0
