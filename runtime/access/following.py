"""The principals in etcd, followed by a process: a change is in force everywhere as soon as etcd has told of it.

While etcd does not answer, those that were known stay, also those that were known before a restart; nobody new comes.
That is decided for trading: a cluster without etcd trades on, and so do its clients.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from lockstep.runtime.access.cluster_key import ClusterKeys, KeyFiles, by_any, fingerprint_of
from lockstep.runtime.access.etcd_access import etcd_options
from lockstep.runtime.access.kept import KeptDocument, load
from lockstep.runtime.access.numbers import numbers_named
from lockstep.runtime.access.registry import Registry, RegistryForged, decode, registry_key, why_not_after
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.etcd import EtcdStore, StoreError, Versioned
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.tls.material import Material
from lockstep.runtime.tokens import Entitlements
from lockstep.runtime.topology import Topology

_LOOK_S: Final = 0.5
"""How often it is looked whose time is over."""
_RETRY_S: Final = 1.0
_ANEW: Final = "make the principal anew after lockstep access revoke"
REKEY: Final = "if the cluster's key was changed: lockstep access rekey --former-key FILE"
RESTORE: Final = "if it was put back on purpose: lockstep access restore"


class PrincipalsFollower:
    """Of one process; `run` for as long as it lives, in the loop that serves its calls.

    Invariant: what is in force is the newest that was seen, in this life of the process or before.
    """

    def __init__(
        self,
        topology: Topology,
        entitlements: Entitlements,
        trail: Trail,
        log: ProcessLog,
        material: Material | None = None,
        kept: KeptDocument | None = None,
    ) -> None:
        """`kept`: where the newest is written to disk; None: nowhere."""
        self._topology = topology
        self._material = material
        self._key = registry_key(topology.name)
        self._entitlements = entitlements
        self._trail = trail
        self._log = log
        self._kept = kept
        self._known = Registry()
        self._on_disk: bytes | None = None
        self._seen: bytes | None = None
        """What stands in etcd, as far as was heard."""
        self._key_files = KeyFiles(topology.access.key_file) if topology.access.key_file.name else None
        self.on_keys: list[Callable[[ClusterKeys], object]] = []
        """Are called in a thread when the cluster's key is being changed."""

    def begin(self) -> None:
        """Take what was kept by an earlier life of the process. Before anybody calls."""
        if self._kept is None or not self._follows:
            return
        try:
            self._on_disk = self._kept.load()
            registry = self._decode(self._on_disk)
        except (OSError, RegistryForged) as error:
            # As after a change of the cluster's key. Whoever can write here could take the file away as well.
            text = f"{self._kept.path}: {error}; what stands in etcd is believed whatever was known here before"
            self._log.error("kept_principals_unusable", text=text)
            self._trail.note("kept_principals_unusable", why=str(error))
            self._set_aside()
            registry = Registry()
        self._entitlements.former = self._former()
        if not registry.version:
            return
        self._known = registry
        self._entitlements.replace(registry, heard=False)
        self._note_clashes()

    def _decode(self, raw: bytes | None) -> Registry:
        return by_any(self._entitlements.keys, lambda key: decode(raw, key, self._topology.name), RegistryForged)[0]

    def _set_aside(self) -> None:
        """What can't be verified lets nobody in; but whose numbers it names had sessions, and those stay theirs."""
        if self._kept is None or not numbers_named(self._on_disk):
            return
        try:
            self._kept.set_aside(self._on_disk or b"")
        except OSError as error:
            self._log.error("principals_not_kept", text=f"{self._kept.path}: {error.strerror}")

    def _former(self) -> dict[int, str]:
        """Who had which number, by what this process could not verify, now and in earlier lives."""
        found: dict[int, str] = {}
        for path in self._kept.aside() if self._kept is not None else ():
            try:
                raw = load(path)
                self._decode(raw)
            except OSError as error:
                self._log.error("kept_principals_unusable", text=f"{path}: {error.strerror}")
            except RegistryForged:
                found |= numbers_named(raw)
        return found

    @property
    def _follows(self) -> bool:
        return bool(self._entitlements.key) and not self._entitlements.open

    async def run(self) -> None:
        """Follow, for ever."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._for_ever(self._look))
            if self._follows:
                both.create_task(self._for_ever(self._follow))

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Nothing that goes wrong once may leave a process with whom it knew then."""
        while True:
            try:
                await work()
            except StoreError as error:
                self._log.error("principals_unknown", text=f"etcd refuses to tell of principals: {error}")
            except Exception:  # noqa: BLE001 - the top of a task that must not end
                self._log.exception("principals_not_followed", text=f"it is tried again in {_RETRY_S:g} s")
            await asyncio.sleep(_RETRY_S)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self._entitlements.end_over()
            await self._look_at_keys()
            if self._material is not None and self._material.refresh():
                self._log.info("certificate_replaced", file=str(self._material.file))

    async def _look_at_keys(self) -> None:
        """A change of the cluster's key is in force without a restart."""
        if self._key_files is None or not self._follows:
            return
        try:
            keys = self._key_files.refresh()
        except EnvironmentFault as error:
            self._log.error("cluster_key_unusable", text=f"{error}; those that were known stay")
            return
        if keys is None or keys.believed == self._entitlements.keys:
            return
        self._entitlements.rekey(keys)
        self._log.info("cluster_key", believed=len(keys.believed), written_with=fingerprint_of(keys.own))
        self._trail.note("cluster_key", believed=len(keys.believed), written_with=fingerprint_of(keys.own))
        for heard in self.on_keys:
            await asyncio.to_thread(heard, keys)
        if self._seen is not None and self.take(self._seen):
            await asyncio.to_thread(self._keep, self._seen)

    async def _follow(self) -> None:
        async with EtcdStore(etcd_options(self._topology)) as store:
            async for state in store.watch(self._key):
                raw = state.value if isinstance(state, Versioned) else None
                if self.take(raw):
                    # In a thread: a disk that is slow must not hold up what else is done in this loop.
                    await asyncio.to_thread(self._keep, raw)

    def take(self, raw: bytes | None) -> bool:
        """What stands in etcd now; whether it is believed."""
        self._seen = raw
        try:
            registry = self._decode(raw)
        except RegistryForged as error:
            self._refuse(f"{error}; {REKEY}")
            return False
        why = why_not_after(self._known, registry)
        if why:
            self._refuse(f"{why}; {RESTORE}")
            return False
        self._known = registry
        self._entitlements.replace(registry)
        self._note(registry)
        return True

    def _keep(self, raw: bytes | None) -> None:
        if self._kept is None or raw is None or raw == self._on_disk:
            return
        try:
            self._kept.store(raw)
        except OSError as error:
            # A disk that is full must stop nobody from trading.
            text = f"{self._kept.path}: {error.strerror}; after a restart an older document in etcd is not noticed"
            self._log.error("principals_not_kept", text=text)
        else:
            self._on_disk = raw

    def _refuse(self, why: str) -> None:
        self._entitlements.not_believed()
        self._log.error("principals_refused", text=f"{why}; those that were known stay")
        self._trail.note("principals_refused", why=why)

    def _note(self, registry: Registry) -> None:
        if registry.changes:
            newest = registry.changes[-1]
            self._trail.note("principals", version=registry.version, by=newest.by, what=newest.what)
        self._log.info("principals", version=registry.version, count=len(registry.entries))
        self._note_clashes()

    def _note_clashes(self) -> None:
        for name, why in self._entitlements.clashes.items():
            remedy = f"{_ANEW} {name}"
            if "[[client]]" in why:
                remedy = f"give the client another one, or {remedy}"
            text = f"the stored principal {name!r} is not let in: {why}; {remedy}"
            self._log.error("principal_clashes", text=text)
            self._trail.note("principal_clashes", who=name, why=why)
        for name in self._entitlements.revived:
            why = "it has the client number of a principal that was revoked, and so its sessions"
            self._log.error("client_has_a_revoked_number", text=f"the [[client]] {name!r}: {why}; give it another one")
            self._trail.note("client_has_a_revoked_number", who=name, why=why)
