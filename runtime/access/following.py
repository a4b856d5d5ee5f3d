"""The principals in etcd, followed by a process: a change is in force everywhere as soon as etcd has told of it.

While etcd does not answer, those that were known stay; nobody new comes. That is decided for trading: a cluster without
etcd trades on, and so do its clients.
"""

import asyncio
from typing import Final

from lockstep.runtime.access.etcd_access import etcd_options
from lockstep.runtime.access.registry import Registry, RegistryForged, decode, registry_key
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.etcd import EtcdStore, StoreError, Versioned
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.tls.material import Material
from lockstep.runtime.tokens import Entitlements
from lockstep.runtime.topology import Topology

_LOOK_S: Final = 0.5
"""How often it is looked whose time is over."""
_RETRY_S: Final = 1.0


class PrincipalsFollower:
    """Of one process; `run` for as long as it lives, in the loop that serves its calls."""

    def __init__(
        self,
        topology: Topology,
        entitlements: Entitlements,
        trail: Trail,
        log: ProcessLog,
        material: Material | None = None,
    ) -> None:
        self._topology = topology
        self._material = material
        self._key = registry_key(topology.name)
        self._entitlements = entitlements
        self._trail = trail
        self._log = log
        self._version = 0

    async def run(self) -> None:
        """Follow, for ever."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._look())
            if self._entitlements.key and not self._entitlements.open:
                both.create_task(self._follow())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self._entitlements.end_over()
            if self._material is not None and self._material.refresh():
                self._log.info("certificate_replaced", file=str(self._material.file))

    async def _follow(self) -> None:
        while True:
            try:
                async with EtcdStore(etcd_options(self._topology)) as store:
                    async for state in store.watch(self._key):
                        self.take(state.value if isinstance(state, Versioned) else None)
            except StoreError as error:
                self._log.error("principals_unknown", text=f"etcd refuses to tell of principals: {error}")
            await asyncio.sleep(_RETRY_S)

    def take(self, raw: bytes | None) -> None:
        """What stands in etcd now."""
        try:
            registry = decode(raw, self._entitlements.key)
        except RegistryForged as error:
            self._refuse(str(error))
            return
        if registry.version < self._version:
            self._refuse(f"version {registry.version} of the principals after {self._version}: somebody put it back")
            return
        self._version = registry.version
        self._entitlements.replace(registry)
        self._note(registry)

    def _refuse(self, why: str) -> None:
        self._log.error("principals_refused", text=f"{why}; those that were known stay")
        self._trail.note("principals_refused", why=why)

    def _note(self, registry: Registry) -> None:
        if registry.changes:
            newest = registry.changes[-1]
            self._trail.note("principals", version=registry.version, by=newest.by, what=newest.what)
        self._log.info("principals", version=registry.version, count=len(registry.entries))
