"""Changing the principals in etcd: read, edit, compare-and-swap, again if somebody was quicker."""

import asyncio
import getpass
import time
from collections.abc import Callable
from typing import Final

from lockstep.runtime.access.cluster_key import load_key
from lockstep.runtime.access.etcd_access import etcd_options
from lockstep.runtime.access.registry import (
    Edit,
    Registry,
    RegistryForged,
    RegistryRefused,
    changed,
    decode,
    encode,
    registry_key,
)
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
        BadInput: it can't be made. EnvironmentFault: as `read`, or the outcome is not known.
    """
    return asyncio.run(_with_store(topology, _change(topology, edit, what)))


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
        return decode(found.value if found else None, _key_of(topology))

    return work


def _change(topology: Topology, edit: Edit, what: str) -> Callable[[EtcdStore], object]:
    async def work(store: EtcdStore) -> Registry:
        key, by = _key_of(topology), getpass.getuser()
        for _ in range(_TRIES):
            found = await store.get(registry_key(topology.name))
            before = decode(found.value if found else None, key)
            after = changed(before, edit, by=by, what=what, now_ns=time.time_ns())
            revision = found.mod_revision if found else 0
            outcome = await store.compare_and_swap(registry_key(topology.name), revision, encode(after, key))
            if isinstance(outcome, CasWon):
                return after
        raise EnvironmentFault("others change the principals all the time; try again")

    return work
