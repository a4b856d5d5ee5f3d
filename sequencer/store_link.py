"""etcd, seen from the main loop: swaps go in by a call, what comes of them arrives as an event in the inbox.

The asyncio client lives in the process' loop for gRPC. Everything a takeover needs is warm before it is needed: one
channel per member is connected, the config is watched and its revision known, the presence lease is held. A lease
proves nothing here; it only shows a candidate that starts late that a leader not yet reached is probably alive.
"""

import asyncio
import queue
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, wait
from typing import Any, Final

from lockstep.runtime.access.etcd_access import etcd_options
from lockstep.runtime.etcd import (
    CasWon,
    Deleted,
    EtcdStore,
    StoreAmbiguous,
    StoreError,
    StoreLeaseEnded,
    StoreRefused,
    StoreUnavailable,
    Versioned,
)
from lockstep.runtime.grpc_loop import grpc_loop
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.topology import Topology
from lockstep.sequencer import events as ev
from lockstep.sequencer.config_record import (
    ConfigError,
    ConfigRecord,
    config_key,
    decode_config_of,
    encode_config,
    history_key,
    presence_key,
)
from lockstep.sequencer.history import decode_history, encode_history

_START_TIMEOUT_S: Final = 10.0
_RETRY_S: Final = 0.05
_HISTORY_RETRY_S: Final = 1.0
_LEASE_TTL_S: Final = 2
_AWAY_S = 1.0
_JOIN_S: Final = 3.0
# Of unreadable values one after the other.
_LOOKS_BACK: Final = 64


class Inbox:
    """Where other threads put events and questions for the loop; `ring` wakes it."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ring = ring

    def put(self, item: Any) -> None:
        """From any thread."""
        self._items.put(item)
        self._ring()

    def take(self) -> Iterator[Any]:
        """What has come, oldest first, until nothing is left."""
        while True:
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                return
            yield item


class StoreLink:
    """What speaks with etcd. `inbox` gets events, or an EnvironmentFault that must end the process."""

    def __init__(self, topology: Topology, member: int, identity: str, inbox: Inbox) -> None:
        self._endpoints = topology.etcd_endpoints
        self._topology = topology
        self._cluster = topology.name
        self._key = config_key(topology.name)
        self._presence = presence_key(topology.name, member)
        self._watched = {
            peer.id: presence_key(topology.name, peer.id) for peer in topology.sequencers if peer.id != member
        }
        self._engines = tuple(engine.id for engine in topology.engines)
        self._identity = identity.encode()
        self._timeout_s = topology.timing.etcd_timeout_ms / 1000
        self._inbox = inbox
        self._loop = grpc_loop()
        self.reachable = False
        """Whether the presence lease is held, so etcd answers. From any thread."""
        self._away_since_s = time.monotonic()
        self._store: EtcdStore | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._work: Future[None] | None = None

    @property
    def away(self) -> bool:
        """Whether etcd has been out of reach for longer than a lease takes to be had anew. From any thread."""
        return not self.reachable and time.monotonic() - self._away_since_s > _AWAY_S

    def start(self) -> None:
        """Connect; the first event says what stands in etcd."""
        self._work = asyncio.run_coroutine_threadsafe(self._main(), self._loop)
        self._work.add_done_callback(self._on_end)

    def close(self) -> None:
        """Give the lease back and end."""
        if self._work is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            wait((self._work,), _JOIN_S)

    def swap(self, cas: ev.Cas) -> None:
        """Start a compare-and-swap; ends in CasWon, CasLost, CasAmbiguous or StoreDown."""
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._swap(cas)))

    def read(self) -> None:
        """Start a read; ends in ConfigSeen, however long that takes."""
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._read()))

    def record(self, line: ev.EpochOpened) -> None:
        """Write a line of history down, some time; what etcd does not take while this process lives is left out."""
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._record(line)))

    def history(self, timeout_s: float) -> tuple[ev.EpochOpened, ...]:
        """All lines of history, oldest first. From any thread.

        Raises:
            StoreError, TimeoutError: etcd does not answer.
        """
        return asyncio.run_coroutine_threadsafe(self._history(), self._loop).result(timeout_s)

    def _on_end(self, work: "Future[None]") -> None:
        if not work.cancelled() and (error := work.exception()) is not None:
            self._inbox.put(error)

    async def _main(self) -> None:
        try:
            async with EtcdStore(etcd_options(self._topology)) as store:
                self._store = store
                await self._first_read(store)
                for work in (self._watch_config(store), self._keep_presence(store)):
                    self._spawn(work)
                for sequencer, key in self._watched.items():
                    self._spawn(self._watch_presence(store, sequencer, key))
                await self._stop.wait()
                for task in tuple(self._tasks):
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
        except (StoreError, EnvironmentFault, ValueError) as error:
            self._inbox.put(error if isinstance(error, EnvironmentFault) else EnvironmentFault(str(error)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """What an operator must mend ends the process, with its text."""
        try:
            await work
        except StoreRefused as error:
            # It names the address.
            self._inbox.put(EnvironmentFault(str(error)))
        except Exception as error:  # noqa: BLE001 - the top of a task: one that dies unseen leaves a sequencer blind
            self._inbox.put(error)

    async def _first_read(self, store: EtcdStore) -> None:
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while True:
                    try:
                        await store.get(self._key)
                    except StoreUnavailable:
                        await asyncio.sleep(_RETRY_S)
                    else:
                        return
        except TimeoutError:
            raise EnvironmentFault(
                f"etcd does not answer at {', '.join(self._endpoints)}: start it, or correct the etcd endpoints"
            ) from None

    async def _watch_config(self, store: EtcdStore) -> None:
        async for state in store.watch(self._key):
            await self._report(store, state)

    async def _watch_presence(self, store: EtcdStore, sequencer: int, key: bytes) -> None:
        async for state in store.watch(key):
            self._inbox.put(ev.PresenceSeen(sequencer, isinstance(state, Versioned)))

    async def _keep_presence(self, store: EtcdStore) -> None:
        while True:
            try:
                lease = await store.keep_lease(_LEASE_TTL_S)
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)
                continue
            try:
                await store.put(self._presence, self._identity, lease.id)
                self.reachable = True
                await lease.lost()
            except (StoreUnavailable, StoreAmbiguous, StoreLeaseEnded):
                # Ended already: this process, or its machine, stood still after the lease was granted.
                await asyncio.sleep(_RETRY_S)
            finally:
                if self.reachable:
                    self.reachable, self._away_since_s = False, time.monotonic()
                await lease.close()

    async def _swap(self, cas: ev.Cas) -> None:
        store, record = self._store, cas.record
        if store is None:
            self._inbox.put(ev.StoreDown(record.attempt))
            return
        try:
            outcome = await store.compare_and_swap(
                self._key, cas.expected_mod_revision, encode_config(record), timeout_s=self._timeout_s
            )
        except StoreUnavailable:
            self._inbox.put(ev.StoreDown(record.attempt))
        except StoreAmbiguous:
            self._inbox.put(ev.CasAmbiguous(record.attempt))
        else:
            if isinstance(outcome, CasWon):
                self._inbox.put(ev.CasWon(record.attempt, outcome.mod_revision))
            else:
                current = outcome.current
                await self._report_lost(store, record.attempt, current)

    async def _read(self) -> None:
        while self._store is not None:
            try:
                current = await self._store.get(self._key)
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)
            else:
                await self._report(self._store, current)
                return

    async def _report(self, store: EtcdStore, state: Versioned | Deleted | None) -> None:
        """What stands in the config key; where that can't be read, also the newest record that could."""
        revision = 0 if state is None else state.mod_revision
        try:
            self._inbox.put(ev.ConfigSeen(self._config(state), revision))
        except ConfigError as error:
            good = await last_good(store, self._key, revision, self._engines)
            self._inbox.put(ev.ConfigUnreadable(str(error), revision, None if good is None else good[0]))

    async def _report_lost(self, store: EtcdStore, attempt: str, current: Versioned | None) -> None:
        try:
            self._inbox.put(ev.CasLost(attempt, self._config(current), 0 if current is None else current.mod_revision))
        except ConfigError:
            await self._report(store, current)
            self._inbox.put(ev.StoreDown(attempt))

    def _config(self, state: Versioned | Deleted | None) -> ConfigRecord | None:
        return decode_config_of(state.value, self._engines) if isinstance(state, Versioned) else None

    async def _record(self, line: ev.EpochOpened) -> None:
        key, value = history_key(self._cluster, line.epoch), encode_history(line)
        while True:
            try:
                if self._store is not None:
                    await self._store.put(key, value)
                    return
            except (StoreUnavailable, StoreAmbiguous):
                pass  # writing the same line twice is harmless
            await asyncio.sleep(_HISTORY_RETRY_S)

    async def _history(self) -> tuple[ev.EpochOpened, ...]:
        if self._store is None:
            raise StoreUnavailable("not connected")
        found = await self._store.get_prefix(history_key(self._cluster))
        return tuple(decode_history(one.value) for one in found)


async def last_good(
    store: EtcdStore, key: bytes, before: int, engines: tuple[int, ...], uuid: str = ""
) -> tuple[ConfigRecord, int] | None:
    """The newest config record that stood in the key before a revision, and its own; None: etcd knows none any more.

    `uuid`: only of the cluster with this identity.
    """
    for _ in range(_LOOKS_BACK):
        try:
            found = await store.get(key, before - 1) if before > 1 else None
        except StoreError:
            return None  # compacted away, or out of reach
        if found is None:
            return None
        before = found.mod_revision
        try:
            record = decode_config_of(found.value, engines)
        except ConfigError:
            continue
        if uuid in ("", record.uuid):
            return record, before
    return None
