"""The replica's I/O around its machine: one thread polls links and the queue, feeds the machine, performs its effects.

Everything that arrived while the last burst was on its way is one burst: one journal write, one sync, one ACK frame.
gRPC threads and the peer fetcher only post into the queue.
"""

import gc
import queue
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from lockstep.replica.answers import answer_query, is_listing
from lockstep.replica.effects import (
    AckFrames,
    Effects,
    FenceAnswer,
    FenceRequested,
    Install,
    Journaled,
    Notice,
    Role,
    SequencerSaid,
    StreamFrames,
    Tick,
)
from lockstep.replica.events import EventStore
from lockstep.replica.figures import EngineFigures
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.peers import FromPeer, PeerFetcher
from lockstep.replica.reads import Reads
from lockstep.replica.service import Call, FenceCall, HistoryGivenUp, QueryCall, TooManyQueries
from lockstep.replica.snapshots import SnapshotStore
from lockstep.replica.untold import Untold
from lockstep.replica.view import ReplicaView, view_of
from lockstep.runtime.sequencer_watches import SequencerWatches
from lockstep.runtime.topology import LinkKind, Member, Topology, inbound_links, outbound_links
from lockstep.runtime.transport import InboundLink, OutboundLink, Transport
from lockstep.runtime.watch import WatchServer
from lockstep.stream.arrival import decode_from
from lockstep.stream.frames import Frame, FrameError, FrameType, encode_frame
from lockstep.v1 import common_pb2

# One at a time, so that a burst ends close to its limit.
_STREAM_FRAGMENTS: Final = 1
_ACK_FRAGMENTS: Final = 64
_TICK_NS: Final = 5_000_000
_WATCH_NS: Final = 2_000_000
_GC_NS: Final = 1_000_000_000

Answer = tuple["Future[Any]", object]
"""Who waits for it, and the answer."""


class ReplicaShell:
    """Owns the machine. All methods but `post` belong to the main loop's thread."""

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
    ) -> None:
        self.machine = machine
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
        self._reads: Reads[QueryCall] = Reads()
        self._untold: Untold[Answer] = Untold()
        self._fences: dict[int, FenceCall] = {}
        self._ticket = 0
        self._bad_frames = 0
        self.figures = EngineFigures()
        self._next_gc_ns = 0
        self._next_tick_ns = 0
        self._next_watch_ns = 0
        peers = tuple(engine for engine in topology.engines if engine != member)
        self._sequencers = SequencerWatches(topology, watch.status)
        self._fetcher = PeerFetcher(peers, store, self._put)
        self._open_links(topology, member)
        self._batch: list[Frame] = []
        self._acks: list[Frame] = []
        self.view: ReplicaView = view_of(machine, ())

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
            if kind is LinkKind.RELEASE:
                self._release_links.append(link)
                continue
            self._ack_links[kind, receiver] = link
            if kind is LinkKind.ACK_TO_SEQUENCER:
                self._sequencer_links[receiver] = link

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
        work = self._poll_links(now_ns) + self._drain_inbox(now_ns)
        if now_ns >= self._next_tick_ns:
            self._next_tick_ns = now_ns + _TICK_NS
            self._perform(self.machine.step(Tick(), now_ns), now_ns)
            self.figures.trading.on_tick(now_ns)
        if self._reads:
            work += self._serve_reads(now_ns)
        for link in (*self._ack_links.values(), *self._release_links):
            work += link.flush()
        self._publish()
        if now_ns >= self._next_watch_ns:
            self._next_watch_ns = now_ns + _WATCH_NS
            self._watch.poll(now_ns)
            for said in self._sequencers.heard(now_ns):
                self._perform(self.machine.step(SequencerSaid(*said[:2]), now_ns), now_ns)
        if self._untold:
            for done, answer in self._untold.due(self.machine.committed_seq):
                done.set_result(answer)
        if not work and now_ns >= self._next_gc_ns:
            # The collector never runs by itself: it would stop the process in the middle of a burst.
            self._next_gc_ns = now_ns + _GC_NS
            gc.collect(1)
            self._journal.derived.write_pending()
            if self.machine.committed_seq > self._noted_committed:
                self._noted_committed = self.machine.committed_seq
                self._journal.note_committed(self._noted_committed)
        return work

    def _poll_links(self, now_ns: int) -> int:
        commands = work = 0
        batch = self._batch
        for stream, take in self._streams:
            while commands < self._burst_commands:
                before = len(batch)
                if not stream.poll(take, _STREAM_FRAGMENTS):
                    break
                commands += sum(len(frame.records) for frame in batch[before:])
        if batch:
            work += len(batch)
            self._batch = []
            self._perform(self.machine.step(StreamFrames(tuple(batch)), now_ns), now_ns)
        for link, take in self._peer_acks:
            link.poll(take, _ACK_FRAGMENTS)
        if self._acks:
            work += len(self._acks)
            acks, self._acks = tuple(self._acks), []
            self._perform(self.machine.step(AckFrames(acks), now_ns), now_ns)
        return work

    def _take_stream(self, sender: int, raw: bytes) -> None:
        self._take(raw, FrameType.STREAM, sender, self._batch)

    def _take_ack(self, sender: int, raw: bytes) -> None:
        self._take(raw, FrameType.ACK, sender, self._acks)

    def _take(self, raw: bytes, expected: FrameType, sender: int, into: list[Frame]) -> None:
        try:
            into.append(decode_from(raw, expected, sender))
        except FrameError as error:
            self._bad_frames += 1
            # Powers of two: a peer that sends nothing but rubbish does not fill the disk with log lines.
            if self._bad_frames & (self._bad_frames - 1) == 0:
                self._on_notice(Notice("frame_dropped", f"{error} ({self._bad_frames} so far)"))

    def _drain_inbox(self, now_ns: int) -> int:
        work = 0
        while True:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return work
            work += 1
            if isinstance(item, FromPeer):
                self._perform(self.machine.step(item, now_ns), now_ns)
            elif isinstance(item, FenceCall):
                self._on_fence(item, now_ns)
            elif isinstance(item, QueryCall):
                taken = self._reads.add(item.request.caller, item, listing=is_listing(item.request))
                # A caller that has gone meanwhile is told nothing.
                if not taken and item.done.set_running_or_notify_cancel():
                    item.done.set_exception(TooManyQueries())
            else:
                self._journal.drop_through(item.seq)
                self._on_notice(Notice("journal_cut", f"it begins after seq {item.seq} now"))

    # ---- effects ------------------------------------------------------------------------------------------------

    def _perform(self, effects: Effects, now_ns: int) -> None:
        """Performs the fields in the order in which `Effects` has them."""
        journal = effects.journal
        if journal is not None:
            began_ns = time.monotonic_ns()
            machine = self.machine
            self._journal.write(journal, sync=journal.synced, applied=(machine.applied_seq, machine.digest))
            self.figures.journal.add(time.monotonic_ns() - began_ns)
        for notice in effects.notices:
            self._on_notice(notice)
        if effects.truncate_after is not None:
            self._truncate(effects.truncate_after)
            return
        if effects.install is not None:
            self._install(effects.install)
            return
        for answer in effects.fence_answers:
            self._answer_fence(answer)
        if effects.ack is not None:
            raw = encode_frame(effects.ack)
            for receiver, link in self._ack_links.items():
                # Only the primary waits for acknowledgements.
                link.send(raw, ring=receiver == (LinkKind.ACK_TO_ENGINE, self.machine.primary))
        if effects.applied:
            self.events.add(effects.applied)
            self.figures.on_acked(effects.applied, self.machine.role)
        for release in effects.releases:
            _broadcast(release, self._release_links)
        if effects.releases:
            self.figures.on_released(effects.releases)
        if effects.rewind is not None and effects.rewind.sequencer in self._sequencer_links:
            self._sequencer_links[effects.rewind.sequencer].send(encode_frame(effects.rewind.frame))
        self._ask_peers(effects)
        if journal is not None and journal.frames:
            began_ns = time.monotonic_ns()
            applied = self.machine.step(Journaled(journal.frames[-1].last_seq), now_ns)
            self.figures.apply.add(time.monotonic_ns() - began_ns)
            self._perform(applied, now_ns)

    def _ask_peers(self, effects: Effects) -> None:
        if effects.fetch is not None:
            self._fetcher.fetch(effects.fetch, self.machine.cluster_uuid)
        if effects.ask is not None:
            self._fetcher.ask(effects.ask, self.machine.cluster_uuid)
        if effects.fetch_snapshot is not None:
            self._fetcher.fetch_snapshot(effects.fetch_snapshot)

    def _truncate(self, after_seq: int) -> None:
        archive = self._journal.truncate(after_seq)
        self._store.remove_after(after_seq)
        self._give_up_after(after_seq)
        self._on_notice(Notice("tail_archived", f"everything after seq {after_seq} was moved to {archive}"))
        self.events.clear()
        self.machine = self._rebuild()
        self._sequencers.forget()
        self._on_notice(Notice("restored", f"replayed up to seq {self.machine.applied_seq}"))

    def _install(self, order: Install) -> None:
        self._store.remove_after(order.common_seq)
        self._give_up_after(order.common_seq)
        self._store.adopt(order.base.seq)
        # Nothing comes before it in the new journal.
        self._store.note_startable(order.base.seq)
        archive = self._journal.begin_after(order.base, order.cluster_uuid, order.common_seq)
        if self.machine.head.seq > order.common_seq:
            self._on_notice(Notice("tail_archived", f"everything after seq {order.common_seq} was moved to {archive}"))
        self.events.clear()
        self.machine = self._rebuild()
        self._sequencers.forget()
        self._on_notice(Notice("restored", f"from a peer's snapshot at seq {self.machine.applied_seq}"))

    @property
    def restore_progress(self) -> tuple[int, int]:
        """Bytes of a snapshot that is being fetched, so far and in all; 0 while none is."""
        return self._fetcher.progress

    def _on_fence(self, call: FenceCall, now_ns: int) -> None:
        self._ticket += 1
        self._fences[self._ticket] = call
        request = call.request
        event = FenceRequested(self._ticket, request.cluster_uuid, request.epoch, request.sequencer, request.settled)
        self._perform(self.machine.step(event, now_ns), now_ns)

    def _answer_fence(self, answer: FenceAnswer) -> None:
        call = self._fences.pop(answer.ticket, None)
        if call is not None and call.done.set_running_or_notify_cancel():
            call.done.set_result(answer)

    # ---- queries ------------------------------------------------------------------------------------------------

    def _serve_reads(self, now_ns: int) -> int:
        due = self._reads.turn(now_ns)
        for call in due:
            if not call.done.set_running_or_notify_cancel():
                continue
            began_ns = time.monotonic_ns()
            self._answer_query(call)
            if is_listing(call.request):
                ended_ns = time.monotonic_ns()
                self._reads.answered(ended_ns, ended_ns - began_ns)
        return len(due)

    def _answer_query(self, call: QueryCall) -> None:
        machine = self.machine
        reply = answer_query(call.request, machine.execution.engine, machine.head.epochs)
        reply.stamp.CopyFrom(common_pb2.Stamp(epoch=machine.epoch, seq=machine.applied_seq))
        reply.primary = machine.role is Role.PRIMARY
        reply.cluster_uuid = machine.cluster_uuid
        self._when_committed(machine.applied_seq, call.done, reply)

    def _when_committed[T](self, seq: int, done: "Future[T]", answer: T) -> None:
        if seq <= self.machine.committed_seq:
            done.set_result(answer)
            return
        self._untold.add(seq, (done, answer))

    def _give_up_after(self, seq: int) -> None:
        for done, _ in self._untold.give_up_after(seq):
            done.set_exception(HistoryGivenUp())

    # ---- status, end --------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        machine = self.machine
        before = self.view
        if (
            before.applied_seq != machine.applied_seq
            or before.committed_seq != machine.committed_seq
            or before.promised != machine.promised
            or before.role is not machine.told_role
            or before.why != machine.why()
        ):
            self.view = view_of(machine, self._counters())
            view = self.view
            # The promise: a leader that this engine will not obey any more learns it here.
            self._watch.set_status(view.role, view.promised, view.applied_seq, view.committed_seq)

    def _counters(self) -> tuple[tuple[str, int], ...]:
        dropped = sum(link.dropped for link in (*self._ack_links.values(), *self._release_links))
        return (
            ("bad_frames", self._bad_frames),
            ("dropped_frames", dropped),
            ("stale_frames", self.machine.stale_frames),
        )

    def close(self) -> None:
        """Ends the fetcher; journal, transport and watch server belong to the caller."""
        self._fetcher.close()
        self._sequencers.close()


def _broadcast(frame: Frame, links: Iterable[OutboundLink]) -> None:
    raw = encode_frame(frame)
    for link in links:
        link.send(raw)
