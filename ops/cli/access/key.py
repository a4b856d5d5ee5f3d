"""`lockstep access key`: make the cluster's key where it is missing, and change it while the cluster trades."""

import time
from pathlib import Path
from typing import Final

import click

from lockstep.ops.cli.options import Failure, InputFault, config_option, expected_errors
from lockstep.ops.operator.link_rotation import links_written_with
from lockstep.runtime.access.cluster_key import (
    fingerprint_of,
    former_of,
    load_key,
    load_keys,
    make_key,
    next_of,
    use_next,
)
from lockstep.runtime.access.dialing import identity_for
from lockstep.runtime.access.store import written_with
from lockstep.runtime.cluster_view import StatusProbe
from lockstep.runtime.config import load
from lockstep.runtime.topology import Topology

_PATIENCE_S: Final = 10.0
"""For processes to look at the files, and to answer on a busy machine."""
_LOOK_S: Final = 0.2


@click.command("key")
@config_option
@click.option("--next", "make_next", is_flag=True, help="Make the key that is to follow; copy it to every host.")
@click.option("--switch", is_flag=True, help="Use the next key on this host; the one before is believed still.")
@click.option("--finish", is_flag=True, help="Believe the former key no more on this host.")
@click.option("--without", multiple=True, metavar="MEMBER", help="Do not ask this member, which is down.")
@expected_errors
def command(config_path: Path, make_next: bool, switch: bool, finish: bool, without: tuple[str, ...]) -> int:
    """Make the cluster's key, by which members and operators identify themselves, if it is not there.

    Make it once, on one host, and copy the file to every other host of the cluster, readable by the owner of the
    processes alone. Where all addresses are loopback the first process makes it by itself.

    To change it while the cluster trades (docs/access.md): --next on one host, and copy that file to all; --switch on
    each; `lockstep access rekey`, and `lockstep cluster rotate-keys` where links are sealed; --finish on each. No
    process is restarted.
    """
    if make_next + switch + finish > 1:
        raise InputFault("name one of --next, --switch and --finish")
    topology = load(config_path)
    path = topology.access.key_file
    if make_next:
        return _make_next(path)
    if switch:
        return _switch(topology, path, without)
    if finish:
        return _finish(topology, path, without)
    if load_key(path) is not None:
        raise Failure(f"{path} is there; to change the key while the cluster trades: --next (docs/access.md)")
    make_key(path)
    click.echo(f"made {path}: copy it to every host of the cluster, readable by its owner alone")
    return 0


def _make_next(path: Path) -> int:
    if load_key(path) is None:
        raise Failure(f"{path} is missing: there is no key to be followed; `lockstep access key` makes the first one")
    if former_of(path).exists():
        raise Failure(f"{former_of(path)} is there: end the change before this one with --finish, on every host")
    if next_of(path).exists():
        raise Failure(f"{next_of(path)} is there already: copy it to every host, then --switch on each")
    make_key(next_of(path))
    click.echo(f"made {next_of(path)}: copy it to every host; running processes believe it within a second")
    click.echo("next: `lockstep access key --switch` on each host")
    return 0


def _switch(topology: Topology, path: Path, without: tuple[str, ...]) -> int:
    key = load_key(next_of(path))
    if key is None:
        raise Failure(f"{next_of(path)} is missing: make it with --next on one host, and copy it to all")
    _ask_all(topology, key, without, f"copy {next_of(path).name} to its host")
    use_next(path)
    click.echo(f"key {fingerprint_of(key)} is in use on this host; the former one is believed still")
    click.echo("next: the same on the other hosts, then `lockstep access rekey` on one")
    return 0


def _finish(topology: Topology, path: Path, without: tuple[str, ...]) -> int:
    keys = load_keys(path)
    if keys is None or not former_of(path).exists():
        raise Failure(f"{former_of(path)} is not there: no change of the key is under way on this host")
    if written_with(topology, keys) not in (None, keys.own):
        raise Failure("the principals are written with the former key still: `lockstep access rekey` first")
    if topology.sealed and links_written_with(topology, keys) not in (None, keys.own):
        raise Failure("the links' keys are written with the former key still: `lockstep cluster rotate-keys` first")
    _ask_all(topology, keys.own, without, "--switch on its host")
    former_of(path).unlink()
    click.echo(f"key {fingerprint_of(keys.own)} alone is believed on this host within a second")
    return 0


def _ask_all(topology: Topology, key: bytes, without: tuple[str, ...], remedy: str) -> None:
    """Whether every process lets in who shows a token of this key.

    Raises:
        Failure: one does not.
    """
    if topology.open:
        raise Failure("this cluster lets everybody in and looks at no key: remove the file, and make another one")
    with StatusProbe.of(topology) as probe:
        identity = identity_for(topology)
        assert identity is not None, "there is a key"
        identity.rekey(key)
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            silent = [one for one in probe.ask().members if one.reply is None and one.name not in without]
            if not silent or time.monotonic() > until_s:
                break
            time.sleep(_LOOK_S)
    if silent:
        said = "; ".join(f"{one.name}: {one.error}" for one in silent[:5])
        raise Failure(
            f"not every process believes key {fingerprint_of(key)} ({said}). Nothing was changed: {remedy}, or "
            f"--without {silent[0].name} if it is down"
        )
