"""Changing the principals in etcd: read, edit, compare-and-swap, again if somebody was quicker."""

import asyncio
import contextlib
import getpass
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from lockstep.runtime.access.cluster_key import ClusterKeys, by_any, load_key, load_keys
from lockstep.runtime.access.etcd_access import etcd_fault, etcd_options
from lockstep.runtime.access.kept import SUFFIX, kept_in, set_aside_in
from lockstep.runtime.access.kept import load as load_kept
from lockstep.runtime.access.numbers import numbers_named
from lockstep.runtime.access.registry import (
    Edit,
    NoDocument,
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

_LEFT_BEHIND: Final = (
    "those that were kept were written with another key of the cluster, and are not in force: `lockstep access restore "
    "--file ... --former-key FILE` brings them back (docs/access.md)"
)
_TRIES: Final = 20
_TIMEOUT_S: Final = 5.0
Work = Callable[[EtcdStore], Awaitable[Registry]]


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


def revoked_since(topology: Topology, wanted: Registry, former: Path | None = None) -> Since | None:
    """What was taken away since, as processes of this host know; None: they know of nothing."""
    known = [registry for _, registry in _known_here(topology, _keys_of(topology, former))]
    return since(wanted, known) if known else None


def restore(
    topology: Topology, wanted: Registry, what: str, *, revoked_too: bool = False, former: Path | None = None
) -> Registry:
    """Put principals in force, whatever processes know and whatever stands in etcd. Returns what stands there then.

    Who was revoked since, as processes of this host know, stays away, unless `revoked_too`.

    Raises:
        EnvironmentFault: etcd does not answer, or the outcome is not known.
    """
    keys = _keys_of(topology, former)
    known = [registry for _, registry in _known_here(topology, keys)]
    edit = registry_restore(time.time_ns(), known, revoked_too=revoked_too)
    return asyncio.run(_with_store(topology, _change(topology, edit, what, wanted, keys)))


def put_back(topology: Topology, say: Callable[[str], object]) -> int:
    """Put the newest that processes of this host have kept into an etcd that holds none; its version, 0: there is none.

    For a cluster whose etcd begins empty each time. `say`: is called with what was kept and can't be put there.

    Raises:
        EnvironmentFault: etcd does not take it.
    """
    keys = load_keys(topology.access.key_file) if topology.access.key_file.name and not topology.open else None
    known = [registry for _, registry in _known_here(topology, keys)] if keys is not None else []
    if keys is None or not known:
        if former_numbers(topology):
            say(_LEFT_BEHIND)
        return 0
    newest = max(known, key=lambda one: (one.restored_ns, one.version))
    raw = encode(newest, keys.own, topology.name)

    async def work(store: EtcdStore) -> Registry:
        await store.compare_and_swap(registry_key(topology.name), 0, raw)
        return newest

    return asyncio.run(_with_store(topology, work)).version


def rekey(topology: Topology, former: Path | None, what: str) -> tuple[Registry, bool]:
    """Write what stands in etcd with the cluster's key: what does, and whether it was written anew.

    `former`: a file with the key that it was written with; None: the next or former one that is known here.

    Raises:
        BadInput: there is no such key. EnvironmentFault: as `change`, or it was written with none of them.
    """
    keys = _keys_of(topology, former)

    async def work(store: EtcdStore) -> Registry:
        found = await store.get(registry_key(topology.name))
        if found is None or by_any(keys.believed, _reading(found.value, topology), RegistryForged)[1] == keys.own:
            return _decoded(found.value if found else None, keys, topology)
        written.append(True)
        return await _change(topology, lambda registry: registry, what, keys=keys)(store)

    written: list[bool] = []
    return asyncio.run(_with_store(topology, work)), bool(written)


def written_with(topology: Topology, keys: ClusterKeys) -> bytes | None:
    """Which of the keys the principals in etcd are written with; None: there are none.

    Raises:
        EnvironmentFault: as `read`.
    """

    async def work(store: EtcdStore) -> Registry:
        found = await store.get(registry_key(topology.name))
        if found is not None:
            key.append(by_any(keys.believed, _reading(found.value, topology), RegistryForged)[1])
        return Registry()

    key: list[bytes] = []
    asyncio.run(_with_store(topology, work))
    return key[0] if key else None


def read_file(topology: Topology, path: Path, former: Path | None = None) -> Registry:
    """What a process has kept. `former`: a file with the key that it was written with; None: one that is known here.

    Raises:
        BadInput: it can't be read, or was not written with the cluster's key.
    """
    keys = _keys_of(topology, former)
    try:
        raw = load_kept(path)
        if raw is None:
            raise BadInput(f"{path} is not there; processes keep theirs in {topology.access.audit_dir}")
        return _decoded(raw, keys, topology)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; name a file that a process of this cluster has kept") from None
    except NoDocument as error:
        raise BadInput(f"{path}: {error}; name a file that ends in {SUFFIX}, which a process has kept") from None
    except RegistryForged as error:
        raise BadInput(
            f"{path}: {error}. If it is of this cluster, and the key was changed since: --former-key FILE, with the "
            "key of then"
        ) from None


async def _with_store(topology: Topology, work: Work) -> Registry:
    try:
        async with asyncio.timeout(_TIMEOUT_S), EtcdStore(etcd_options(topology)) as store:
            return await work(store)
    except (StoreError, TimeoutError) as error:
        raise EnvironmentFault(f"{etcd_fault(topology, error)}; look with `lockstep access list`") from error
    except RegistryForged as error:
        raise EnvironmentFault(
            f"{error}: is {topology.access.key_file} the cluster's key? If it was changed, `lockstep access rekey "
            "--former-key FILE` writes them with the new one, and nobody is lost"
        ) from error
    except RegistryRefused as error:
        raise BadInput(str(error)) from error


def _keys_of(topology: Topology, former: Path | None = None) -> ClusterKeys:
    keys = load_keys(topology.access.key_file)
    if keys is None:
        raise EnvironmentFault(
            f"{topology.access.key_file} is missing: principals are written with the cluster's key; "
            "use a host of the cluster, or `lockstep access key` for a new cluster"
        )
    if former is None:
        return keys
    also = load_key(former)
    if also is None:
        raise BadInput(f"{former} is not there; name a file with the cluster's former key")
    return ClusterKeys(keys.own, (*keys.others, also))


def _reading(raw: bytes | None, topology: Topology) -> Callable[[bytes], Registry]:
    return lambda key: decode(raw, key, topology.name)


def _decoded(raw: bytes | None, keys: ClusterKeys, topology: Topology) -> Registry:
    return by_any(keys.believed, _reading(raw, topology), RegistryForged)[0]


def _read(topology: Topology) -> Work:
    async def work(store: EtcdStore) -> Registry:
        found = await store.get(registry_key(topology.name))
        return _decoded(found.value if found else None, _keys_of(topology), topology)

    return work


def _change(
    topology: Topology, edit: Edit, what: str, wanted: Registry | None = None, keys: ClusterKeys | None = None
) -> Work:
    """`wanted`: what is changed; None: what stands in etcd, if that is what this host knows or newer. `keys`: by which
    that is read; None: those that are known here.
    """
    keys = keys or _keys_of(topology)

    async def work(store: EtcdStore) -> Registry:
        by = getpass.getuser()
        taken = former_numbers(topology, keys)
        for _ in range(_TRIES):
            found = await store.get(registry_key(topology.name))
            before = wanted
            if before is None:
                before = _decoded(found.value if found else None, keys, topology)
                check_is_newest(topology, before, keys)
            after = changed(before, _sparing(edit, taken), by=by, what=what, now_ns=time.time_ns())
            revision = found.mod_revision if found else 0
            raw = encode(after, keys.own, topology.name)
            outcome = await store.compare_and_swap(registry_key(topology.name), revision, raw)
            if isinstance(outcome, CasWon):
                return after
        raise EnvironmentFault("others change the principals all the time; try again")

    return work


def _sparing(edit: Edit, taken: Iterable[int]) -> Edit:
    """The edit, and numbers that are taken stay so in the document, wherever it is read."""
    return lambda registry: edit(retire(taken)(registry))


def former_numbers(topology: Topology, keys: ClusterKeys | None = None) -> dict[int, str]:
    """Who had which client number, by what processes of this host have kept and nobody can verify now.

    Raises:
        EnvironmentFault: the cluster's key is missing.
    """
    if topology.open or not topology.access.key_file.name:
        return {}
    keys, found = keys or _keys_of(topology), dict[int, str]()
    for path in (*kept_in(topology.access.audit_dir), *set_aside_in(topology.access.audit_dir)):
        with contextlib.suppress(OSError):
            raw = load_kept(path)
            try:
                _decoded(raw, keys, topology)
            except RegistryForged:
                found |= numbers_named(raw)
    return found


def _known_here(topology: Topology, keys: ClusterKeys) -> Iterator[tuple[Path, Registry]]:
    """What processes of this host have kept. Of what can't be read its own process says what is the matter."""
    for path in kept_in(topology.access.audit_dir):
        with contextlib.suppress(OSError, RegistryForged):
            yield path, _decoded(load_kept(path), keys, topology)


def newest_kept(topology: Topology, keys: ClusterKeys | None = None) -> tuple[Path, Registry] | None:
    """The newest that processes of this host have kept; None: they have kept nothing that can be read.

    Raises:
        EnvironmentFault: the cluster's key is missing.
    """
    known = list(_known_here(topology, keys or _keys_of(topology)))
    return max(known, key=lambda one: (one[1].restored_ns, one[1].version), default=None)


def why_not_in_force(topology: Topology, found: Registry, keys: ClusterKeys | None = None) -> str:
    """Why what stands in etcd is not in force on this host, and what to do about it; empty: it is.

    Raises:
        EnvironmentFault: the cluster's key is missing.
    """
    for path, known in _known_here(topology, keys or _keys_of(topology)):
        why = why_not_after(known, found)
        if why:
            newest = newest_kept(topology, keys)
            best = path if newest is None else newest[0]
            remedy = f"`lockstep access restore --file {best}` puts the newest back"
            if not found.version:
                return f"etcd holds no principals, and version {known.version} is known here ({path}). {remedy}"
            return (
                f"{why} ({path}). {remedy}; if etcd was restored from a backup on purpose, "
                "`lockstep access restore` takes what stands there"
            )
    return ""


def check_is_newest(topology: Topology, found: Registry, keys: ClusterKeys | None = None) -> None:
    """Raises:
    EnvironmentFault: a process of this host knows a newer document. It would refuse what is made of the older one.
    """
    why = why_not_in_force(topology, found, keys)
    if why:
        raise EnvironmentFault(f"nothing was changed: {why}")
