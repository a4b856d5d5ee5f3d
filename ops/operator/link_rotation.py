"""Rotating the keys of the links between a cluster's members: what is to be done next, and doing it.

`next_step` decides. Each step is one change of the document in etcd; between two of them every member has to say, by
its status, that it has heard of the one before. So a command that was broken off is gone on with by the next one.
"""

import asyncio
import getpass
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from enum import Enum
from typing import Final

from lockstep.runtime.access.cluster_key import ClusterKeys, by_any, load_keys
from lockstep.runtime.access.etcd_access import etcd_fault, etcd_options
from lockstep.runtime.access.link_keys import (
    SECRET_BYTES,
    Edit,
    KeyRing,
    RingForged,
    announce,
    begin_anew,
    changed,
    decode,
    encode,
    retire,
    ring_key,
    use,
    without_secrets,
)
from lockstep.runtime.cluster_view import ClusterStatus, StatusProbe
from lockstep.runtime.etcd import CasWon, EtcdStore, StoreError
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.topology import Topology
from lockstep.stream.values import frozen
from lockstep.v1 import cluster_pb2

_TRIES: Final = 20
_TIMEOUT_S: Final = 5.0
_LOOK_S: Final = 0.1
_DRAIN_S: Final = 1.0
Said = Mapping[str, cluster_pb2.LinkKeys | None]
"""By member; None: it does not say."""


class Do(Enum):
    """What comes next."""

    ANNOUNCE = "announce"
    USE = "use"
    RETIRE = "retire"
    WAIT = "wait"
    DONE = "done"


@frozen
class Step:
    """What comes next, and for whom it waits."""

    do: Do
    epoch: int
    waiting: tuple[str, ...] = ()


def next_step(ring: KeyRing, said: Said, begun: int, without: Collection[str] = ()) -> Step:
    """`begun`: the epoch that this rotation announced or found announced; 0: none yet. `without`: not waited for."""
    heard = {name: keys for name, keys in said.items() if name not in without}
    if ring.announced:
        epoch = ring.announced
        # Also of which document: an epoch of the same number may have been announced before, with another secret.
        waiting = tuple(
            name
            for name, keys in heard.items()
            if keys is None or keys.version < ring.version or epoch not in keys.believed
        )
        return Step(Do.WAIT if waiting else Do.USE, epoch, waiting)
    if len(ring.epochs) > 1:
        waiting = tuple(name for name, keys in heard.items() if keys is None or keys.sending != ring.sending)
        return Step(Do.WAIT if waiting else Do.RETIRE, ring.sending, waiting)
    return Step(Do.DONE if begun else Do.ANNOUNCE, ring.sending)


def said_by(status: ClusterStatus) -> Said:
    """What the members say of their links' keys."""
    return {
        member.name: member.reply.link_keys if member.reply is not None and member.reply.HasField("link_keys") else None
        for member in status.members
    }


def epochs_text(said: Said) -> str:
    """In one line; empty: no member seals anything."""
    epochs = {name: keys.sending for name, keys in said.items() if keys is not None}
    if not epochs:
        return ""
    if len(set(epochs.values())) == 1:
        return f"links sealed with keys of epoch {next(iter(epochs.values()))}"
    return "links sealed with keys of epochs " + ", ".join(f"{epoch} ({name})" for name, epoch in epochs.items())


class Rotation:
    """Of one command. `say`: is called with each step."""

    def __init__(self, topology: Topology, say: Callable[[str], None], without: Collection[str] = ()) -> None:
        """Raises:
        EnvironmentFault: the cluster's key is not here.
        """
        keys = load_keys(topology.access.key_file)
        if keys is None:
            raise EnvironmentFault(
                f"{topology.access.key_file} is missing: use a host of the cluster, whose key is there"
            )
        self._topology = topology
        self._keys = keys
        self._say = say
        self._without = without

    def run(self, timeout_s: float, *, anew: bool = False) -> int:
        """The epoch that frames are sealed with now. `timeout_s`: how long members may take to hear of each step.

        Raises:
            EnvironmentFault: etcd or members do not answer, or what stands in etcd was not written with our key.
        """
        begun, until_s, told, drained = 0, time.monotonic() + timeout_s, "", False
        with StatusProbe.of(self._topology) as probe:
            if anew:
                begun = self._begin_anew(said_by(probe.ask()))
            while True:
                ring = self._read()
                step = next_step(ring, said_by(probe.ask()), begun, self._without)
                begun = begun or (step.epoch if step.do is not Do.ANNOUNCE else 0)
                if step.do is Do.DONE:
                    return ring.sending
                if step.do is Do.RETIRE and not drained:
                    # What was sealed with the former key is under way for a moment yet.
                    drained = True
                    time.sleep(_DRAIN_S)
                    continue
                if step.do is not Do.WAIT:
                    self._do(step)
                    until_s, told = time.monotonic() + timeout_s, ""
                    continue
                text = f"waiting for {', '.join(step.waiting)} to hear of epoch {step.epoch}"
                if time.monotonic() > until_s:
                    raise EnvironmentFault(
                        f"{text}: not within {timeout_s:g} s. Nothing is lost; run it again, or with --without "
                        f"{step.waiting[0]} if that process is down: it learns the keys when it starts"
                    )
                if text != told:
                    self._say(text)
                    told = text
                time.sleep(_LOOK_S)

    def _do(self, step: Step) -> None:
        edits: dict[Do, tuple[Edit, str]] = {
            Do.ANNOUNCE: (
                announce(secrets.token_bytes(SECRET_BYTES)),
                "the next epoch is announced",
            ),
            Do.USE: (use(step.epoch), f"epoch {step.epoch} is in use; the former one is believed still"),
            Do.RETIRE: (retire(step.epoch), f"epochs before {step.epoch} are retired: nobody believes them"),
        }
        edit, text = edits[step.do]
        asyncio.run(self._with_store(lambda store: self._change(store, edit, step.do.value)))
        self._say(text)

    def _read(self) -> KeyRing:
        async def work(store: EtcdStore) -> KeyRing:
            return (await self._found(store))[0]

        return asyncio.run(self._with_store(work))

    async def _found(self, store: EtcdStore) -> tuple[KeyRing, bytes, int]:
        """The document, the key that it was written with, and its revision."""
        found = await store.get(ring_key(self._topology.name))
        if found is None:
            raise EnvironmentFault("etcd holds no keys of links: they are put there by the first member that starts")
        return *_decoded(found.value, self._keys, self._topology), found.mod_revision

    async def _change(self, store: EtcdStore, edit: Edit, what: str) -> KeyRing:
        for _ in range(_TRIES):
            before, key, revision = await self._found(store)
            # Roots are made of the key that the document was written with: with another one these would be others.
            safe = edit if key == self._keys.own else lambda ring: edit(without_secrets(ring))
            after = changed(before, safe, by=_person(), what=what, now_ns=time.time_ns())
            if after == before or await self._put(store, after, revision):
                return after
        raise EnvironmentFault("others change the keys of links all the time; try again")

    async def _put(self, store: EtcdStore, ring: KeyRing, revision: int) -> bool:
        raw = encode(ring, self._keys.own, self._topology.name)
        return isinstance(await store.compare_and_swap(ring_key(self._topology.name), revision, raw), CasWon)

    def _begin_anew(self, said: Said) -> int:
        known = [keys for keys in said.values() if keys is not None]
        if not known:
            raise EnvironmentFault("no member says which keys it uses: nothing was changed")
        version, sending = max(one.version for one in known), max(one.sending for one in known)
        believed = [epoch for one in known for epoch in one.believed]
        ring = begin_anew(version, sending, secrets.token_bytes(SECRET_BYTES), believed)

        async def work(store: EtcdStore) -> KeyRing:
            found = await store.get(ring_key(self._topology.name))
            if not await self._put(store, ring, found.mod_revision if found else 0):
                raise EnvironmentFault("somebody else changed the keys of links meanwhile; look and try again")
            return ring

        asyncio.run(self._with_store(work))
        self._say(f"the document is written anew; epoch {ring.announced} is announced")
        return ring.announced

    async def _with_store(self, work: Callable[[EtcdStore], Awaitable[KeyRing]]) -> KeyRing:
        try:
            async with asyncio.timeout(_TIMEOUT_S), EtcdStore(etcd_options(self._topology)) as store:
                return await work(store)
        except (StoreError, TimeoutError) as error:
            raise EnvironmentFault(f"{etcd_fault(self._topology, error)}; run it again") from error
        except RingForged as error:
            raise EnvironmentFault(
                f"{error}; if the cluster's key was changed on every host, --anew writes them again with the new one"
            ) from error


def _decoded(raw: bytes, keys: ClusterKeys, topology: Topology) -> tuple[KeyRing, bytes]:
    return by_any(keys.believed, lambda key: decode(raw, key, topology.name), RingForged)


def links_written_with(topology: Topology, keys: ClusterKeys) -> bytes | None:
    """Which of the keys the links' keys in etcd are written with; None: there are none.

    Raises:
        EnvironmentFault: etcd does not answer, or they were written with none of them.
    """

    async def work() -> bytes | None:
        async with asyncio.timeout(_TIMEOUT_S), EtcdStore(etcd_options(topology)) as store:
            found = await store.get(ring_key(topology.name))
            return None if found is None else _decoded(found.value, keys, topology)[1]

    try:
        return asyncio.run(work())
    except (StoreError, TimeoutError) as error:
        raise EnvironmentFault(f"{etcd_fault(topology, error)}; run it again") from error
    except RingForged as error:
        raise EnvironmentFault(f"{error}; `lockstep cluster rotate-keys --anew` writes them again") from error


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"
