"""What etcd holds of a cluster, and how etcd itself is: read only."""

import asyncio
from dataclasses import dataclass
from typing import Final

from lockstep.runtime.access.etcd_access import etcd_options
from lockstep.runtime.etcd import EtcdStore, MemberStatus, MemberUnreachable, StoreError
from lockstep.runtime.topology import Topology
from lockstep.sequencer.config_record import ConfigError, ConfigRecord, config_key, decode_config

_TIMEOUT_S: Final = 2.0
# An etcd with default settings calls faster pings an attack.
_KEEPALIVE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """One read of etcd."""

    record: ConfigRecord | None
    fault: str = ""
    """Why there is no record; empty if it simply does not exist."""
    members: tuple[MemberStatus | MemberUnreachable, ...] = ()
    """Of etcd's own cluster; only if asked for."""


def read_config(topology: Topology, *, with_members: bool = False) -> StoredConfig:
    """Read the config record; blocks for a few seconds at the most. Does not raise: see `fault`."""
    return asyncio.run(_read(topology, with_members))


async def _read(topology: Topology, with_members: bool) -> StoredConfig:
    options = etcd_options(topology, call_timeout_s=_TIMEOUT_S, keepalive_time_s=_KEEPALIVE_S)
    async with EtcdStore(options) as store:
        members = await store.status() if with_members else ()
        try:
            found = await store.get(config_key(topology.name))
            record = decode_config(found.value) if found is not None else None
        except (StoreError, ConfigError) as error:
            return StoredConfig(None, str(error), members)
    return StoredConfig(record, "", members)
