"""The replica's process around its driver: links, the queue, journal, peers, figures, what its status says.

One thread polls links and the queue. gRPC threads and the peer fetcher only post into the queue.
"""

import gc
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from lockstep.replica.driver import ReplicaDriver
from lockstep.replica.effects import (
    AppliedBatch,
    AskDigest,
    FetchLog,
    FetchSnapshot,
    Install,
    JournalWrite,
    Notice,
    Role,
    SequencerSaid,
)
from lockstep.replica.events import EventStore
from lockstep.replica.figures import EngineFigures
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.peers import FromPeer, PeerFetcher
from lockstep.replica.ports import Ports
from lockstep.replica.service import Call, CutOrder, FenceCall, QueryCall
from lockstep.replica.snapshots import SnapshotStore
from lockstep.replica.view import ReplicaView, view_of
from lockstep.runtime.seals import Seals
from lockstep.runtime.sequencer_watches import SequencerWatches
from lockstep.runtime.topology import LinkKind, Member, Topology, inbound_links, outbound_links
from lockstep.runtime.transport import InboundLink, OutboundLink, Transport
from lockstep.runtime.watch import WatchServer
from lockstep.stream.arrival import decode_from
from lockstep.stream.batch import LayoutError
from lockstep.stream.digest import Digest
from lockstep.stream.messages import Ack, Release, Stream, encode

# One at a time, so that a burst ends close to its limit.
_STREAM_FRAGMENTS: Final = 1
_ACK_FRAGMENTS: Final = 64
_WATCH_NS: Final = 2_000_000
_FIGURES_NS: Final = 5_000_000
_GC_NS: Final = 1_000_000_000
_LITTLE: Final = 4
_CALM_NS: Final = 50_000_000


class ReplicaShell(Ports):
    """Supplies the driver's `Ports`. All methods but `post` belong to the main loop's thread."""

    def __init__(
        self,
        topology: Topology,
        member: Member,
        *,
        journal: Journal,
        store: SnapshotStore,
        machine: ReplicaMachine,
        rebuild: Callable[[], ReplicaMachine],
        transport: Transport,
        watch: WatchServer,
        ring: Callable[[], None],
        on_notice: Callable[[Notice], None],
        seals: Seals | None = None,
    ) -> None:
        self.events = EventStore(journal, topology.limits.event_window_commands)
        self._journal = journal
        self._store = store
        self._noted_committed = 0
        self._rebuild = rebuild
        self._transport = transport
        self._watch = watch
        self._ring = ring
        self._on_notice = on_notice
        self._member = member
        self._burst_commands = topology.limits.burst_commands
        self._inbox: queue.SimpleQueue[Call | FromPeer] = queue.SimpleQueue()
        self._driver = ReplicaDriver(machine, self, self.events)
        self._bad_frames = 0
        self.figures = EngineFigures()
        self._next_gc_ns = 0
        self._applied_ns = 0
        self._next_figures_ns = 0
        self._next_watch_ns = self._next_heard_ns = 0
        peers = tuple(engine for engine in topology.engines if engine != member)
        self._sequencers = SequencerWatches(topology, watch.status, seals)
        self._fetcher = PeerFetcher(peers, store, self._put)
        self._open_links(topology, member)
        self._batch: list[Stream] = []
        self._acks: list[Ack] = []
        self.drained = False
        """The last turn has taken all that had come."""
        self.view: ReplicaView = view_of(machine, ())

    @property
    def machine(self) -> ReplicaMachine:
        """Another one after the journal was cut back or began anew."""
        return self._driver.machine

    def _open_links(self, topology: Topology, member: Member) -> None:
        limit = topology.limits.link_queue_bytes
        self._streams: list[tuple[InboundLink, Callable[[bytes], None]]] = []
        self._peer_acks: list[tuple[InboundLink, Callable[[bytes], None]]] = []
        self._ack_links: dict[tuple[LinkKind, int], OutboundLink] = {}
        self._sequencer_links: dict[int, OutboundLink] = {}
        self._release_links: list[OutboundLink] = []
        for (kind, sender), spec in inbound_links(topology, member).items():
            inbound = self._transport.inbound(spec)
            if kind is LinkKind.STREAM:
                self._streams.append((inbound, partial(self._take_stream, sender)))
            else:
                self._peer_acks.append((inbound, partial(self._take_ack, sender)))
        for (kind, receiver), spec in outbound_links(topology, member).items():
            link = self._transport.outbound(spec, queue_limit_bytes=limit)
            if kind in (LinkKind.RELEASE, LinkKind.FEED):
                self._release_links.append(link)
                continue
            self._ack_links[kind, receiver] = link
            if kind is LinkKind.ACK_TO_SEQUENCER:
                self._sequencer_links[receiver] = link

    @property
    def calm(self) -> bool:
        """No command was executed for a while. From any thread."""
        return time.monotonic_ns() - self._applied_ns > _CALM_NS

    # ---- one turn -----------------------------------------------------------------------------------------------

    def post(self, call: Call) -> None:
        """Hand a gRPC call to the main loop. From any thread."""
        self._put(call)

    def _put(self, item: Call | FromPeer) -> None:
        self._inbox.put(item)
        self._ring()

    def turn(self, now_ns: int) -> int:
        """Poll everything once; returns the amount of work done.

        Raises:
            JournalFault, BrokenInvariant, StreamGap: the replica must stop.
        """
        self.drained = True
        work = self._driver.turn()
        if now_ns >= self._next_figures_ns:
            self._next_figures_ns = now_ns + _FIGURES_NS
            self.figures.trading.on_tick(now_ns)
        for link in (*self._ack_links.values(), *self._release_links):
            work += link.flush()
            self.drained &= not link.pending_bytes
        self.drained &= not self._driver.has_lookups
        self._publish()
        if now_ns >= self._next_watch_ns:
            self._next_watch_ns = now_ns + _WATCH_NS
            self._watch.poll(now_ns)
        if now_ns >= self._next_gc_ns and (not work or (self.drained and work <= _LITTLE)):
            # The collector never runs by itself: it would stop the process in the middle of a burst.
            self._next_gc_ns = now_ns + _GC_NS
            gc.collect(1)
            self._journal.derived.write_pending()
            if self.machine.replica_state.committed_seq > self._noted_committed:
                self._noted_committed = self.machine.replica_state.committed_seq
                self._journal.note_committed(self._noted_committed)
        return work

    # ---- the driver's ports: what has come ----------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return time.monotonic_ns()

    def streams(self) -> Sequence[Stream]:
        """See `Ports`."""
        commands = 0
        batch = self._batch
        for stream, take in self._streams:
            while commands < self._burst_commands:
                before = len(batch)
                if not stream.poll(take, _STREAM_FRAGMENTS):
                    break
                commands += sum(frame.batch.count for frame in batch[before:])
            else:
                self.drained = False
        if batch:
            self._batch = []
            self.figures.on_received(batch)
        return batch

    def acks(self) -> Sequence[Ack]:
        """See `Ports`."""
        for link, take in self._peer_acks:
            link.poll(take, _ACK_FRAGMENTS)
            self.drained &= not link.full
        acks = self._acks
        if acks:
            self._acks = []
        return acks

    def calls(self) -> Iterator[FenceCall | QueryCall | FromPeer]:
        """See `Ports`."""
        while True:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, CutOrder):
                self._journal.drop_through(item.seq)
                self._on_notice(Notice("journal_cut", f"it begins after seq {item.seq} now"))
            else:
                yield item

    def heard(self) -> Iterator[SequencerSaid]:
        """See `Ports`."""
        now_ns = time.monotonic_ns()
        if now_ns >= self._next_heard_ns:
            self._next_heard_ns = now_ns + _WATCH_NS
            for sequencer, epoch, _leads in self._sequencers.heard(now_ns):
                yield SequencerSaid(sequencer, epoch)

    def _take_stream(self, sender: int, raw: bytes) -> None:
        try:
            self._batch.append(decode_from(raw, Stream, sender))
        except LayoutError as error:
            self._on_bad_frame(error)

    def _take_ack(self, sender: int, raw: bytes) -> None:
        try:
            self._acks.append(decode_from(raw, Ack, sender))
        except LayoutError as error:
            self._on_bad_frame(error)

    def _on_bad_frame(self, error: LayoutError) -> None:
        self._bad_frames += 1
        # Powers of two: a peer that sends nothing but rubbish does not fill the disk with log lines.
        if self._bad_frames & (self._bad_frames - 1) == 0:
            self._on_notice(Notice("frame_dropped", f"{error} ({self._bad_frames} so far)"))

    # ---- the driver's ports: what is done -----------------------------------------------------------------------

    def write(self, write: JournalWrite, applied: tuple[int, Digest], done: Callable[[], None]) -> None:
        """See `Ports`."""
        began_ns = time.monotonic_ns()
        self._journal.write(write, sync=write.synced, applied=applied)
        self.figures.journal.add(time.monotonic_ns() - began_ns)
        done()

    def truncate(self, after_seq: int) -> str:
        """See `Ports`."""
        archive = self._journal.truncate(after_seq)
        self._store.remove_after(after_seq)
        return str(archive)

    def install(self, order: Install, *, had_more: bool) -> str:
        """See `Ports`."""
        del had_more
        self._store.remove_after(order.common_seq)
        self._store.adopt(order.base.seq)
        # Nothing comes before it in the new journal.
        self._store.note_startable(order.base.seq)
        return str(self._journal.begin_after(order.base, order.cluster_uuid, order.common_seq))

    def rebuild(self) -> ReplicaMachine:
        """See `Ports`."""
        self._sequencers.forget()
        return self._rebuild()

    def send_ack(self, ack: Ack, primary: int) -> None:
        """See `Ports`."""
        raw = encode(ack)
        for receiver, link in self._ack_links.items():
            link.send(raw, ring=receiver == (LinkKind.ACK_TO_ENGINE, primary))

    def release(self, frame: Release) -> None:
        """See `Ports`."""
        raw = encode(frame)
        for link in self._release_links:
            link.send(raw)

    def send_rewind(self, sequencer: int, frame: Ack) -> None:
        """See `Ports`."""
        if sequencer in self._sequencer_links:
            self._sequencer_links[sequencer].send(encode(frame))

    def fetch_log(self, order: FetchLog, cluster_uuid: str) -> None:
        """See `Ports`."""
        self._fetcher.fetch(order, cluster_uuid)

    def ask_digest(self, order: AskDigest, cluster_uuid: str) -> None:
        """See `Ports`."""
        self._fetcher.ask(order, cluster_uuid)

    def fetch_snapshot(self, order: FetchSnapshot) -> None:
        """See `Ports`."""
        self._fetcher.fetch_snapshot(order)

    # ---- the driver's ports: who wants to know ------------------------------------------------------------------

    def on_applied(self, batches: tuple[AppliedBatch, ...], role: Role) -> None:
        """See `Ports`."""
        self._applied_ns = time.monotonic_ns()
        self.figures.on_acked(batches, role)

    def on_apply_time(self, took_ns: int) -> None:
        """See `Ports`."""
        self.figures.apply.add(took_ns)

    def on_releases(self, frames: tuple[Release, ...]) -> None:
        """See `Ports`."""
        self.figures.on_released(frames)

    def notice(self, notice: Notice) -> None:
        """See `Ports`."""
        self._on_notice(notice)

    @property
    def restore_progress(self) -> tuple[int, int]:
        """Bytes of a snapshot that is being fetched, so far and in all; 0 while none is."""
        return self._fetcher.progress

    # ---- status, end --------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        machine = self.machine
        before = self.view
        if (
            before.applied_seq != machine.replica_state.applied_seq
            or before.committed_seq != machine.replica_state.committed_seq
            or before.promised != machine.replica_state.promised
            or before.role is not machine.replica_state.reported_role
            or before.why != machine.replica_state.why()
        ):
            self.view = view_of(machine, self._counters())
            view = self.view
            # The promise: a leader that this engine will not obey any more learns it here.
            self._watch.set_status(view.role, view.promised)

    def _counters(self) -> tuple[tuple[str, int], ...]:
        dropped = sum(link.dropped for link in (*self._ack_links.values(), *self._release_links))
        return (
            ("bad_frames", self._bad_frames),
            ("dropped_frames", dropped),
            ("stale_frames", self.machine.replica_state.stale_frames),
        )

    def close(self) -> None:
        """Ends the fetcher; journal, transport and watch server belong to the caller."""
        self._fetcher.close()
        self._sequencers.close()
