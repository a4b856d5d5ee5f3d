"""The seals of one process' links (`lockstep.stream.sealing`): with which keys, in which life, and what was dropped.

The keys' secrets come from etcd (`link_keys.py`), by TLS where etcd has it, and are followed there. The newest document
that is known is in force, and is put back into an etcd that has an older one or none. It is kept on disk beside the
principals, so a process that restarts while etcd is down speaks with its peers at once; so are its incarnation and how
far it has come with each link.

Belongs to the thread of the links; `run` and `families` may be in others.
"""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from lockstep.runtime.access.cluster_key import ClusterKeys, by_any, load_keys, make_key
from lockstep.runtime.access.etcd_access import etcd_fault, etcd_options
from lockstep.runtime.access.kept import KeptDocument
from lockstep.runtime.access.link_keys import (
    SECRET_BYTES,
    KeyRing,
    RingForged,
    decode,
    encode,
    first_ring,
    ring_key,
)
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.etcd import EtcdStore, StoreError, Versioned
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.seals import Open, Seal, WatchSeal
from lockstep.runtime.topology import Link, Member, Topology, inbound_links, outbound_links
from lockstep.stream.sealing import NO_KEYS, Digests, Drop, Mark, Opener, Sealer, SealKeys, root_of, sender_of
from lockstep.v1 import cluster_pb2

KEYS_SUFFIX: Final = ".link-keys"
MARKS_SUFFIX: Final = ".link-marks"
_START_S: Final = 10.0
_RETRY_S: Final = 1.0
_MARKS_S: Final = 0.5
_NO_KEY: Final = (
    "{} is missing, and the links between the cluster's processes are sealed with keys made of it: copy it from "
    "another host of the cluster, or `lockstep access key` for a new cluster"
)


def number_of(member: Member) -> int:
    """By which a seal names its sender."""
    return member.kind * 100 + member.id


def open_seals(topology: Topology, member: Member, log: ProcessLog, trail: Trail) -> "LinkSeals | None":
    """The seals of a member's links; None: the cluster has none. After `enter`.

    Raises:
        EnvironmentFault: the cluster's key can't be had, or no keys of links are known here and etcd does not answer.
    """
    if not topology.sealed:
        return None
    path = topology.access.key_file
    if topology.on_loopback:
        make_key(path)
    keys = load_keys(path)
    if keys is None:
        raise EnvironmentFault(_NO_KEY.format(path))
    seals = LinkSeals(topology, member, keys, log, trail)
    seals.begin()
    return seals


class LinkSeals:
    """See the module. `begin` it before anything else."""

    def __init__(self, topology: Topology, member: Member, keys: ClusterKeys, log: ProcessLog, trail: Trail) -> None:
        self._topology = topology
        self._member = member
        self._cluster_keys = keys
        self._log = log
        self._trail = trail
        self.keys = NO_KEYS
        """In force. Replaced as a whole."""
        self.drops = dict.fromkeys(Drop, 0)
        self.incarnation = 0
        """Higher than that of every former life of this member, as far as its disk remembers."""
        self._ring: KeyRing | None = None
        self._rank = (0, "")
        self._document: bytes | None = None
        self._refused = ""
        self._seen: bytes | None = None
        """What stands in etcd, as far as was heard."""
        self._openers: dict[str, Opener] = {}
        self._watchers: dict[int, WatchSeal] = {}
        self._digests = Digests()
        self._marks: dict[str, Mark] = {}
        self._written = ""
        links = [*inbound_links(topology, member).values(), *outbound_links(topology, member).values()]
        self._links = {link.name: link for link in links if topology.tls.seal == "all" or _leaves_host(link)}
        self._numbers = {one.name: number_of(one) for one in topology.all_members()}
        self._names = {number: name for name, number in self._numbers.items()}
        directory = topology.access.audit_dir
        self._kept_keys = KeptDocument(directory, member.name, KEYS_SUFFIX) if directory.name else None
        self._kept_marks = KeptDocument(directory, member.name, MARKS_SUFFIX) if directory.name else None

    # ---- links ---------------------------------------------------------------------------------------------------

    def sealing(self, link: Link) -> Seal | None:
        """What seals the frames of a link that this member sends on; None: they are not sealed."""
        return self._sealing(link.name) if link.name in self._links else None

    def opening(self, link: Link) -> Open | None:
        """What opens the frames of a link that this member receives; None: they are not sealed."""
        return self._opening(link.name) if link.name in self._links else None

    def watching(self, peer: Member) -> WatchSeal:
        """The liveness link from this member to one that it watches."""
        mine, its = f"{self._member.name}>{peer.name}/watch", f"{peer.name}>{self._member.name}/watched"
        return WatchSeal(self._sealing(mine), self._opening(its))

    def watched_by(self, raw: bytes | bytearray) -> WatchSeal | None:
        """The liveness link of a member that watches this one, by the first frame that came; None: it names nobody."""
        number = sender_of(raw)
        name = self._names.get(number)
        if name is None:
            self._drop(Drop.MISDIRECTED, "a liveness link")
            return None
        if number not in self._watchers:
            its, mine = f"{name}>{self._member.name}/watch", f"{self._member.name}>{name}/watched"
            self._watchers[number] = WatchSeal(self._sealing(mine), self._opening(its))
        return self._watchers[number]

    def _sealing(self, name: str) -> Seal:
        sealer = Sealer(self._topology.name, name, number_of(self._member), self.incarnation, self._digests)
        return lambda parts: sealer.seal(self.keys, parts)

    def _opening(self, name: str) -> Open:
        sender = self._numbers[name.partition(">")[0]]
        opener = self._openers[name] = Opener(self._topology.name, name, sender, self._marks.get(name))

        def opened(raw: bytes) -> bytes | Drop:
            found = opener.open(self.keys, raw)
            if isinstance(found, Drop):
                self._drop(found, name)
            return found

        return opened

    def _drop(self, why: Drop, link: str) -> None:
        count = self.drops[why] = self.drops[why] + 1
        if count & (count - 1) == 0:
            self._log.warning("link_frame_dropped", link=link, why=why.value, dropped=count)

    # ---- life ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take what an earlier life has kept, or else ask etcd.

        Raises:
            EnvironmentFault: nothing is kept, and etcd does not answer or has what was not written with our key.
        """
        self._begin_life()
        if self._kept_keys is not None:
            try:
                self._take_kept(self._kept_keys.load())
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                text = f"{self._kept_keys.path}: {error}; etcd is asked instead"
                self._log.error("kept_link_keys_unusable", text=text)
        if not self.keys.sending:
            with ThreadPoolExecutor(1) as pool:
                # The caller's thread may have a loop of its own.
                pool.submit(asyncio.run, self._fetch()).result()

    def _begin_life(self) -> None:
        before = 0
        if self._kept_marks is not None:
            try:
                row = json.loads(self._kept_marks.load() or b"{}")
                before = int(row.get("incarnation", 0))
                self._marks = {name: Mark(*map(int, mark)) for name, mark in row.get("links", {}).items()}
            except (OSError, ValueError, TypeError, AttributeError) as error:
                text = f"{self._kept_marks.path}: {error}; frames of before may be taken for new ones once"
                self._log.error("kept_link_marks_unusable", text=text)
        self.incarnation = max(time.time_ns(), before + 1)
        self.write_marks()

    def _take_kept(self, raw: bytes | None) -> None:
        if raw is None:
            return
        row = json.loads(raw)
        roots = {int(epoch): bytes.fromhex(root) for epoch, root in row["roots"].items()}
        rank = (int(row["rank"][0]), str(row["rank"][1]))
        sending = int(row["sending"])
        if sending not in roots:
            raise ValueError("it does not have the key that frames are sealed with")
        document = row["document"].encode()
        # After a change of the cluster's key the roots are good still, and the document is not.
        with contextlib.suppress(RingForged):
            self._ring, _ = self._decode(document)
            self._document = document
        self._rank, self.keys = rank, SealKeys(sending, roots)

    async def _fetch(self) -> None:
        key, cluster = ring_key(self._topology.name), self._topology.name
        try:
            async with asyncio.timeout(_START_S), EtcdStore(etcd_options(self._topology)) as store:
                while not self.keys.sending:
                    found = await store.get(key)
                    if found is not None:
                        self.take(found.value)
                        if not self.keys.sending:
                            raise EnvironmentFault(f"{self._refused}: is {self._topology.access.key_file} the same?")
                        break
                    first = encode(first_ring(secrets.token_bytes(SECRET_BYTES)), self._cluster_keys.own, cluster)
                    await store.compare_and_swap(key, 0, first)
        except (StoreError, TimeoutError) as error:
            raise EnvironmentFault(
                f"no keys of links are known on this host, and etcd does not give them "
                f"({etcd_fault(self._topology, error)}): start etcd first"
            ) from error
        self._keep()

    async def run(self) -> None:
        """Follow the keys, and write down how far each link has come; for ever."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._for_ever(self._follow))
            both.create_task(self._for_ever(self._mark))

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (StoreError, OSError) as error:
                self._log.error("link_keys_not_followed", text=f"{error}; those that are known stay")
            except Exception:  # noqa: BLE001 - the top of a task that must not end
                self._log.exception("link_keys_not_followed", text=f"it is tried again in {_RETRY_S:g} s")
            await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        key = ring_key(self._topology.name)
        async with EtcdStore(etcd_options(self._topology)) as store:
            async for state in store.watch(key):
                found = state if isinstance(state, Versioned) else None
                before = self._rank
                if self.take(found.value if found else None) and self._document is not None:
                    self._log.warning("link_keys_put_back", version=self._rank[0])
                    await store.compare_and_swap(key, found.mod_revision if found else 0, self._document)
                if self._rank != before:
                    await asyncio.to_thread(self._keep)

    async def _mark(self) -> None:
        while True:
            await asyncio.sleep(_MARKS_S)
            await asyncio.to_thread(self.write_marks)

    def take(self, raw: bytes | None) -> bool:
        """What stands in etcd now; whether ours is newer, and is to stand there."""
        self._seen = raw
        if raw is None:
            return self._document is not None
        try:
            ring, key = self._decode(raw)
        except RingForged as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self._log.error("link_keys_refused", text=f"{error}; those that are known stay")
                self._trail.note("link_keys_refused", why=str(error))
            return False
        if ring.rank > self._rank:
            self._adopt(ring, raw, key)
            return False
        return ring.rank < self._rank and self._document is not None

    def _decode(self, raw: bytes) -> tuple[KeyRing, bytes]:
        """A document, and the key that it was written with: of which its roots are made, by all that read it."""
        return by_any(self._cluster_keys.believed, lambda key: decode(raw, key, self._topology.name), RingForged)

    def rekey(self, keys: ClusterKeys) -> None:
        """The cluster's key is being changed. A document that was refused may be believed now."""
        self._cluster_keys = keys
        before = self._rank
        if self._refused and self._seen is not None:
            self.take(self._seen)
        if self._rank != before:
            self._keep()

    def _adopt(self, ring: KeyRing, raw: bytes, key: bytes) -> None:
        known = self.keys.roots
        roots = {
            epoch: root_of(key, bytes.fromhex(secret), self._topology.name) if secret else known.get(epoch, b"")
            for epoch, secret in ring.secrets
        }
        roots = {epoch: root for epoch, root in roots.items() if root}
        if not roots:
            return
        # After a change of the cluster's key a member may not have the epoch in use: it goes on with the one before it.
        # A new host knows the announced one alone, which the others believe, or will in a moment.
        usable = [epoch for epoch in roots if epoch <= ring.sending]
        sending = max(usable or roots)
        self._ring, self._rank, self._document, self._refused = ring, ring.rank, raw, ""
        self.keys = SealKeys(sending, roots)
        believed = sorted(roots)
        self._log.info("link_keys", version=ring.version, sending=sending, believed=believed)
        self._trail.note("link_keys", version=ring.version, sending=sending, believed=believed, by=ring.by)

    def _keep(self) -> None:
        if self._kept_keys is None or self._document is None:
            return
        keys = self.keys
        row = {
            "rank": self._rank,
            "sending": keys.sending,
            "roots": {str(epoch): root.hex() for epoch, root in keys.roots.items()},
            "document": self._document.decode(),
        }
        try:
            self._kept_keys.store(json.dumps(row).encode())
        except OSError as error:
            text = f"{self._kept_keys.path}: {error.strerror}; after a restart they are asked of etcd"
            self._log.error("link_keys_not_kept", text=text)

    def write_marks(self) -> None:
        """Write down how far each link has come, if it has come any further. From any thread."""
        marks = {**self._marks, **{name: opener.mark for name, opener in list(self._openers.items())}}
        links = {name: (one.epoch, one.incarnation, one.number) for name, one in marks.items() if one.number}
        text = json.dumps({"incarnation": self.incarnation, "links": links})
        if self._kept_marks is None or text == self._written:
            return
        try:
            self._kept_marks.store(text.encode(), synced=not self._written)
        except OSError as error:
            self._log.error("link_marks_not_kept", text=f"{self._kept_marks.path}: {error.strerror}")
        else:
            self._written = text

    # ---- what others see -----------------------------------------------------------------------------------------

    def said(self) -> Any:
        """For the process' status."""
        keys = self.keys
        return cluster_pb2.LinkKeys(version=self._rank[0], sending=keys.sending, believed=sorted(keys.roots))


def _leaves_host(link: Link) -> bool:
    return link.channel.startswith("aeron:udp")
