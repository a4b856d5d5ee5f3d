"""`lockstep certs`: a certificate authority for a cluster that has none."""

from pathlib import Path

import click

from lockstep.ops.cli.lazy_group import PlainGroup
from lockstep.ops.cli.options import InputFault, config_option, expected_errors
from lockstep.runtime.config import load
from lockstep.runtime.tls.authority import CA_KEY, LEAF_DAYS, issue, make_authority, names_of
from lockstep.runtime.topology import Topology

days_option = click.option(
    "--days", type=click.IntRange(1, 3650), default=LEAF_DAYS, show_default=True, help="How long certificates hold."
)


@click.group("certs", cls=PlainGroup)
def command() -> None:
    """Make and renew the certificates of a cluster, in the directory that cert_dir of [tls] names (docs/tls.md)."""


@command.command("init")
@config_option
@days_option
@expected_errors
def init(config_path: Path, days: int) -> int:
    """Make an authority, and a certificate for each process, for etcd and for operators.

    Copy to each host ca.pem and the files of its own processes. ca.key stays where certificates are issued: whoever
    has it can be anybody.
    """
    topology = _with_directory(config_path)
    directory = topology.tls.cert_dir
    make_authority(directory, topology.name)
    for name, hosts in names_of(topology).items():
        issue(directory, topology.name, name, hosts, days)
    click.echo(f"made an authority and {len(names_of(topology))} certificates in {directory}")
    click.echo(f"copy ca.pem and each host's own files to it; keep {CA_KEY} where you issue")
    return 0


@command.command("issue")
@click.argument("name", metavar="NAME")
@config_option
@click.option(
    "--host", "hosts", multiple=True, help="A name or address by which it is reached; default: the configuration's."
)
@days_option
@expected_errors
def issue_command(name: str, config_path: Path, hosts: tuple[str, ...], days: int) -> int:
    """Make the certificate NAME (such as engine-3, or a client's), or make it anew with a new key."""
    if not name or set(name) & set("/.\\") or not name.isprintable():
        raise InputFault(f"{name!r} is no name of a file: use letters, digits and dashes")
    topology = _with_directory(config_path)
    wanted = hosts or names_of(topology).get(name, ())
    path = issue(topology.tls.cert_dir, topology.name, name, wanted, days)
    click.echo(f"made {path}{' for ' + ', '.join(wanted) if wanted else ''}")
    return 0


@command.command("rotate")
@config_option
@days_option
@expected_errors
def rotate(config_path: Path, days: int) -> int:
    """Make every certificate of the configuration anew, with new keys.

    Processes take the new files for new connections by themselves, within seconds; connections that are open stay.
    """
    topology = _with_directory(config_path)
    made = [name for name in names_of(topology) if (topology.tls.cert_dir / f"{name}.pem").exists()]
    for name in made:
        issue(topology.tls.cert_dir, topology.name, name, names_of(topology)[name], days)
    click.echo(f"made {len(made)} certificates anew: {', '.join(made) or 'none was here'}")
    return 0


def _with_directory(config_path: Path) -> Topology:
    topology = load(config_path)
    if not topology.tls.on:
        raise InputFault(f"{config_path} names no directory for certificates: add cert_dir to [tls]")
    return topology
