"""Changing the principals in etcd: read, edit, compare-and-swap, again if somebody was quicker."""

import asyncio
import contextlib
import getpass
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from lockstep.runtime.access.cluster_key import load_key
from lockstep.runtime.access.etcd_access import etcd_options
from lockstep.runtime.access.kept import kept_in, set_aside_in
from lockstep.runtime.access.kept import load as load_kept
from lockstep.runtime.access.numbers import numbers_named
from lockstep.runtime.access.registry import (
    Edit,
    Registry,
    RegistryForged,
    RegistryRefused,
    Since,
    changed,
    decode,
    encode,
    registry_key,
    retire,
    since,
    why_not_after,
)
from lockstep.runtime.access.registry import restore as registry_restore
from lockstep.runtime.etcd import CasWon, EtcdStore, StoreError
from lockstep.runtime.faults import BadInput, EnvironmentFault
from lockstep.runtime.topology import Topology

_TRIES: Final = 20
_TIMEOUT_S: Final = 5.0


def read(topology: Topology) -> Registry:
    """What stands in etcd.

    Raises:
        EnvironmentFault: etcd does not answer, or what stands there was not written with the cluster's key.
    """
    return asyncio.run(_with_store(topology, _read(topology)))


def change(topology: Topology, edit: Edit, what: str) -> Registry:
    """Make a change; returns what stands in etcd then. Every process has it within a second.

    Raises:
        BadInput: it can't be made. EnvironmentFault: as `read`, or what stands in etcd is older than what processes of
            this host know, or the outcome is not known.
    """
    return asyncio.run(_with_store(topology, _change(topology, edit, what)))


def revoked_since(topology: Topology, wanted: Registry) -> Since | None:
    """What was taken away since, as processes of this host know; None: they know of nothing."""
    known = [registry for _, registry in _known_here(topology, _key_of(topology))]
    return since(wanted, known) if known else None


def restore(topology: Topology, wanted: Registry, what: str, *, revoked_too: bool = False) -> Registry:
    """Put principals in force, whatever processes know and whatever stands in etcd. Returns what stands there then.

    Who was revoked since, as processes of this host know, stays away, unless `revoked_too`.

    Raises:
        EnvironmentFault: etcd does not answer, or the outcome is not known.
    """
    known = [registry for _, registry in _known_here(topology, _key_of(topology))]
    edit = registry_restore(time.time_ns(), known, revoked_too=revoked_too)
    return asyncio.run(_with_store(topology, _change(topology, edit, what, wanted)))


def put_back(topology: Topology) -> int:
    """Put the newest that processes of this host have kept into an etcd that holds none; its version, 0: there is none.

    For a cluster whose etcd begins empty each time.

    Raises:
        EnvironmentFault: etcd does not take it.
    """
    key = load_key(topology.access.key_file) if topology.access.key_file.name and not topology.open else None
    known = [registry for _, registry in _known_here(topology, key)] if key is not None else []
    if key is None or not known:
        return 0
    newest = max(known, key=lambda one: (one.restored_ns, one.version))
    raw = encode(newest, key, topology.name)

    async def work(store: EtcdStore) -> Registry:
        await store.compare_and_swap(registry_key(topology.name), 0, raw)
        return newest

    return asyncio.run(_with_store(topology, work)).version


def read_file(topology: Topology, path: Path) -> Registry:
    """What a process has kept.

    Raises:
        BadInput: it can't be read, or was not written with the cluster's key.
    """
    try:
        raw = load_kept(path)
        if raw is None:
            raise BadInput(f"{path} is not there; processes keep theirs in {topology.access.audit_dir}")
        return decode(raw, _key_of(topology), topology.name)
    except (OSError, RegistryForged) as error:
        raise BadInput(f"{path}: {error}; name a file that a process of this cluster has kept") from None


async def _with_store(topology: Topology, work: Callable[[EtcdStore], object]) -> Registry:
    try:
        async with asyncio.timeout(_TIMEOUT_S), EtcdStore(etcd_options(topology)) as store:
            return await work(store)  # type: ignore[misc,no-any-return]
    except (StoreError, TimeoutError) as error:
        where = ", ".join(topology.etcd_endpoints)
        raise EnvironmentFault(
            f"etcd at {where}: {error or 'no answer in time'}; look with `lockstep access list`"
        ) from error
    except RegistryForged as error:
        raise EnvironmentFault(f"{error}: is {topology.access.key_file} the cluster's key?") from error
    except RegistryRefused as error:
        raise BadInput(str(error)) from error


def _key_of(topology: Topology) -> bytes:
    key = load_key(topology.access.key_file)
    if key is None:
        raise EnvironmentFault(
            f"{topology.access.key_file} is missing: principals are written with the cluster's key; "
            "use a host of the cluster, or `lockstep access key` for a new cluster"
        )
    return key


def _read(topology: Topology) -> Callable[[EtcdStore], object]:
    async def work(store: EtcdStore) -> Registry:
        found = await store.get(registry_key(topology.name))
        return decode(found.value if found else None, _key_of(topology), topology.name)

    return work


def _change(topology: Topology, edit: Edit, what: str, wanted: Registry | None = None) -> Callable[[EtcdStore], object]:
    """`wanted`: what is changed; None: what stands in etcd, if that is what this host knows or newer."""

    async def work(store: EtcdStore) -> Registry:
        key, by = _key_of(topology), getpass.getuser()
        taken = former_numbers(topology)
        for _ in range(_TRIES):
            found = await store.get(registry_key(topology.name))
            before = wanted
            if before is None:
                before = decode(found.value if found else None, key, topology.name)
                check_is_newest(topology, before)
            after = changed(before, _sparing(edit, taken), by=by, what=what, now_ns=time.time_ns())
            revision = found.mod_revision if found else 0
            raw = encode(after, key, topology.name)
            outcome = await store.compare_and_swap(registry_key(topology.name), revision, raw)
            if isinstance(outcome, CasWon):
                return after
        raise EnvironmentFault("others change the principals all the time; try again")

    return work


def _sparing(edit: Edit, taken: Iterable[int]) -> Edit:
    """The edit, and numbers that are taken stay so in the document, wherever it is read."""
    return lambda registry: edit(retire(taken)(registry))


def former_numbers(topology: Topology) -> dict[int, str]:
    """Who had which client number, by what processes of this host have kept and nobody can verify now.

    Raises:
        EnvironmentFault: the cluster's key is missing.
    """
    key, found = _key_of(topology), dict[int, str]()
    for path in (*kept_in(topology.access.audit_dir), *set_aside_in(topology.access.audit_dir)):
        with contextlib.suppress(OSError):
            raw = load_kept(path)
            try:
                decode(raw, key, topology.name)
            except RegistryForged:
                found |= numbers_named(raw)
    return found


def _known_here(topology: Topology, key: bytes) -> Iterator[tuple[Path, Registry]]:
    """What processes of this host have kept. Of what can't be read its own process says what is the matter."""
    for path in kept_in(topology.access.audit_dir):
        with contextlib.suppress(OSError, RegistryForged):
            yield path, decode(load_kept(path), key, topology.name)


def newest_kept(topology: Topology) -> tuple[Path, Registry] | None:
    """The newest that processes of this host have kept; None: they have kept nothing that can be read.

    Raises:
        EnvironmentFault: the cluster's key is missing.
    """
    known = list(_known_here(topology, _key_of(topology)))
    return max(known, key=lambda one: (one[1].restored_ns, one[1].version), default=None)


def why_not_in_force(topology: Topology, found: Registry) -> str:
    """Why what stands in etcd is not in force on this host, and what to do about it; empty: it is.

    Raises:
        EnvironmentFault: the cluster's key is missing.
    """
    for path, known in _known_here(topology, _key_of(topology)):
        why = why_not_after(known, found)
        if why:
            newest = newest_kept(topology)
            best = path if newest is None else newest[0]
            remedy = f"`lockstep access restore --file {best}` puts the newest back"
            if not found.version:
                return f"etcd holds no principals, and version {known.version} is known here ({path}). {remedy}"
            return (
                f"{why} ({path}). {remedy}; if etcd was restored from a backup on purpose, "
                "`lockstep access restore` takes what stands there"
            )
    return ""


def check_is_newest(topology: Topology, found: Registry) -> None:
    """Raises:
    EnvironmentFault: a process of this host knows a newer document. It would refuse what is made of the older one.
    """
    why = why_not_in_force(topology, found)
    if why:
        raise EnvironmentFault(f"nothing was changed: {why}")
