"""A simulated engine process: the real replica machine, restore, event store and gRPC service, on a simulated disk.

A journal write takes time. What stands below it in `Effects` is done when it is durable and not before; a crash in
between finds the write done or not done.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc

from lockstep.engine.reference import ReferenceEngine
from lockstep.replica.answers import answer_query
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import (
    AckFrames,
    AskDigest,
    Effects,
    Event,
    FenceAnswer,
    FenceRequested,
    FetchLog,
    FetchSnapshot,
    Install,
    Journaled,
    JournalWrite,
    Notice,
    PeerLog,
    PeerLogBehind,
    PeerLogFailed,
    PeerSnapshot,
    Role,
    SequencerSaid,
    StreamFrames,
    Tick,
)
from lockstep.replica.events import EventStore
from lockstep.replica.fetches import Fetches
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.replayer import Replayer
from lockstep.replica.restore import restore
from lockstep.replica.retention import plan_cut, plan_retirement
from lockstep.replica.settings import ReplicaOptions
from lockstep.replica.snapshot_file import decode_head, decode_snapshot_file
from lockstep.replica.snapshots import usable
from lockstep.replica.turnstile import never
from lockstep.replica.untold import Untold
from lockstep.replica.view import ReplicaView, view_of
from lockstep.runtime.refusal import Refusal
from lockstep.stream.frames import Frame, FrameError, FrameType, decode_frame
from lockstep.trials.simulation.answers import a_page, all_of, answer_with
from lockstep.trials.simulation.disk import Disk
from lockstep.trials.simulation.host import Host, hears
from lockstep.trials.simulation.kernel import MS, SECOND, US
from lockstep.trials.simulation.network import Done
from lockstep.trials.simulation.opening import may_start
from lockstep.trials.simulation.world import Violation, World
from lockstep.trials.simulation.wrong_engine import WrongEngine
from lockstep.v1 import common_pb2, replication_pb2

_FETCH_TIMEOUT_NS: Final = 5 * SECOND
_RETRY_NS: Final = 100 * MS
_MAX_BYTES: Final = 4 << 20

JournalAnswer = Callable[[list[replication_pb2.FetchJournalReply] | None, str, str], None]


@dataclass(frozen=True, slots=True)
class _FenceCall:
    request: replication_pb2.FenceRequest
    answer: Done


@dataclass(frozen=True, slots=True)
class _QueryCall:
    request: replication_pb2.QueryRequest
    answer: Done


class EngineHost(Host):
    """See the module."""

    machine: ReplicaMachine
    events: EventStore

    def __init__(self, world: World, id: int) -> None:
        super().__init__(world, "engine", id)
        self.disk = Disk(id)
        self.sync_ns = 300 * US
        """How long a synced write takes, about."""
        self.write_fails = False
        """The next write fails, which ends the process."""
        self.truncations = 0
        self.installed = 0
        """Snapshots of peers that were installed."""
        self.wrong = False
        """Its engine computes something else than the others' from now on."""
        self.slowest: Callable[[], int] = lambda: 0
        """Up to which seq every gateway and every client has been told everything."""
        self._pending: deque[Event | _FenceCall | _QueryCall] = deque()
        self._writing: JournalWrite | None = None
        self._view: ReplicaView | None = None
        self._untold: Untold[tuple[Done, replication_pb2.QueryReply, bytes]] = Untold()
        self._fences: dict[int, Done] = {}
        self._ticket = 0

    # ---- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life, or end at once over a damaged journal and be started again."""
        peers = [host for host in self.world.of_kind("engine") if isinstance(host, EngineHost)]
        if self.alive or may_start(self, peers):
            super().start()
        else:
            self.kernel.after(_RETRY_NS, self.start)

    def on_start(self) -> None:
        """State from the disk, by the real code."""
        self.disk.incarnation += 1
        self._pending.clear()
        self._writing = None
        self._view = None
        self._untold = Untold()
        self._fences.clear()
        journal = cast("Journal", self.disk)
        self.machine = self._restore()
        self.events = EventStore(journal, self.world.topology.limits.event_window_commands)
        self.fetches = Fetches(self.id, journal, self.events, lambda: self.view, self.disk)
        self.kernel.note(f"{self.name} has replayed up to {self.machine.applied_seq}, promised {self.machine.promised}")

    def _restore(self) -> ReplicaMachine:
        self._told: dict[int, int] = {}  # by sequencer: the epoch that its heartbeats said
        timing = self.world.topology.timing
        options = ReplicaOptions(
            self.id,
            tuple(engine.id for engine in self.world.topology.engines),
            rewind_ns=timing.rewind_ms * MS,
            repeat_ns=timing.receipt_ms * MS,
            snapshot_gap=40,
        )
        return restore(cast("Journal", self.disk), options, WrongEngine(lambda: self.wrong), lambda: None, self.disk)

    def on_crash(self) -> None:
        """A write under way is on the disk, or is not."""
        if self._writing is not None and self.kernel.chance(1, 2):
            self._commit_write(self._writing)
        self._writing = None
        self.disk.forget_volatile(self.kernel.chance(1, 3))

    def status_epoch(self) -> int:
        """What its heartbeats say."""
        return self.view.promised

    @property
    def view(self) -> ReplicaView:
        """What the process's other threads see: the state at the end of the last turn."""
        return self._view if self._view is not None else view_of(self.machine, ())

    # ---- turns ---------------------------------------------------------------------------------------------------

    def tick_ns(self) -> int:
        """Its loop never sleeps long; a coarse clock will do here."""
        return 15 * MS

    def on_turn(self) -> None:
        """Frames, then acks, then calls, then the time: like `ReplicaShell.turn`."""
        inbox, self.inbox = self.inbox, []
        streams: list[Frame] = []
        acks: list[Frame] = []
        calls: list[Any] = []
        for item in inbox:
            if not isinstance(item, Frame):
                calls.append(item)
            elif item.type is FrameType.STREAM:
                streams.append(item)
            else:
                acks.append(item)
        if streams or calls:
            self._view = view_of(self.machine, ())
        for sequencer in self.world.of_kind("sequencer"):
            epoch = sequencer.status_epoch() if hears(self, sequencer) else 0
            if epoch and epoch != self._told.get(sequencer.id, 0):
                self._told[sequencer.id] = epoch
                self._pending.append(SequencerSaid(sequencer.id, epoch))
        if streams:
            self._pending.append(StreamFrames(tuple(streams)))
        if acks:
            self._pending.append(AckFrames(tuple(acks)))
        self._pending.extend(calls)
        self._pending.append(Tick())
        self._go_on()

    def _go_on(self) -> None:
        while self._pending and not self.busy and self.alive:
            item = self._pending.popleft()
            if isinstance(item, _FenceCall):
                self._ticket += 1
                self._fences[self._ticket] = item.answer
                request = item.request
                item = FenceRequested(
                    self._ticket, request.cluster_uuid, request.epoch, request.sequencer, request.settled
                )
            elif isinstance(item, _QueryCall):
                self._on_query(item)
                continue
            self._begin(self.machine.step(item, self.kernel.now_ns))
        if not self.busy and self.alive:
            self._view = None
            self._tell()
            if self.inbox:
                self.wake()

    def _begin(self, effects: Effects) -> None:
        """Do the effects; where there is something to journal, first that, and the rest when it is durable."""
        write = effects.journal
        if write is None:
            self._finish(effects)
            return
        if self.write_fails:
            self.write_fails = False
            self.kernel.note(f"{self.name}: the journal can't be written")
            self._writing = write
            self.crash()
            return
        self._writing = write
        self.busy = True
        delay_ns = self.kernel.between(self.sync_ns // 2, self.sync_ns * 2)
        self.kernel.after(delay_ns, self._written, self.life, effects)

    def _written(self, life: int, effects: Effects) -> None:
        if life != self.life or not self.alive:
            return
        if self.paused:
            self.kernel.after(5 * MS, self._written, life, effects)
            return
        assert effects.journal is not None, "a write without content"
        self.busy = False
        self._writing = None
        self._commit_write(effects.journal)
        self._after_write(effects)

    def _commit_write(self, write: JournalWrite) -> None:
        self.disk.write(write)
        self.world.judge.on_journaled(self, write)

    def _after_write(self, effects: Effects) -> None:
        assert effects.journal is not None, "a write without content"
        self._finish(effects)
        if effects.journal.frames and effects.truncate_after is None:
            self._pending.appendleft(Journaled(effects.journal.frames[-1].last_seq))
        self._go_on()

    def _finish(self, effects: Effects) -> None:
        """The effects below the journal, in the order of their fields."""
        world, network = self.world, self.world.network
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
            world.judge.on_ack(self.id, effects.ack)
            others = [host for host in world.of_kind("engine") if host is not self]
            network.send(self, [*others, *world.of_kind("sequencer")], effects.ack)
        if effects.applied:
            self.events.add(effects.applied)
        if effects.releases:
            gateways = world.of_kind("gateway")
            for release in effects.releases:
                world.judge.on_release(self, release)
                network.send(self, gateways, release)
        if effects.rewind is not None:
            sequencer = world.hosts.get(f"sequencer-{effects.rewind.sequencer}")
            if sequencer is not None:
                network.send(self, [sequencer], effects.rewind.frame)
        if effects.fetch is not None:
            self._fetch(effects.fetch)
        if effects.ask is not None:
            self._ask_digest(effects.ask)
        if effects.fetch_snapshot is not None:
            self._fetch_snapshot(effects.fetch_snapshot)
        world.judge.on_engine_step(self)

    def _on_notice(self, notice: Notice) -> None:
        self.kernel.note(f"{self.name}: {notice.event}: {notice.detail}")
        if notice.event == "diverged" and not self.wrong:
            raise Violation(f"{self.name} diverged: {notice.detail}")

    def _truncate(self, after_seq: int) -> None:
        self.truncations += 1
        self.disk.truncate(after_seq)
        self._give_up_after(after_seq)
        self.world.judge.on_truncated(self, after_seq)
        self.events.clear()
        self.machine = self._restore()

    def _install(self, order: Install) -> None:
        """Begin anew from a peer's snapshot."""
        self.installed += 1
        disk = self.disk
        disk.snapshots = {seq: raw for seq, raw in disk.snapshots.items() if seq <= order.common_seq}
        disk.snapshots[order.base.seq] = disk.incoming
        disk.begin_after(order.base, order.cluster_uuid, order.common_seq)
        self._give_up_after(order.common_seq)
        self.world.judge.on_installed(self)
        self.events.clear()
        self.machine = self._restore()

    # ---- the snapshotter beside it -------------------------------------------------------------------------------

    def take_snapshot(self, keep: int) -> None:
        """What `SnapshotTaker` does: replay what is committed, write it down, and see it reproduced."""
        disk = self.disk
        older = usable(
            disk.heads(),
            cluster_uuid=disk.uuid,
            epochs=disk.epochs(),
            tip_seq=disk.committed_hint,
            base_seq=disk.base_seq,
        )
        if not disk.uuid or (disk.base_seq and not older):
            return
        replayer = Replayer(ReferenceEngine, disk.read(older[0].seq) if older else b"")
        start = replayer.seq
        for journaled in disk.frames(start + 1):
            if journaled.last_seq > disk.committed_hint:
                break
            replayer.run(journaled)
        if replayer.seq == start:
            return
        raw = replayer.snapshot(disk.uuid)
        self.world.judge.on_snapshot(self, decode_head(raw), raw)
        disk.snapshots[replayer.seq] = raw
        if self.alive:
            disk.flush()
        for seq in plan_retirement(disk.verified_seqs(), keep=keep, startable_seq=disk.startable_seq):
            del disk.snapshots[seq]
        self.kernel.note(f"{self.name}: snapshot at seq {replayer.seq}")

    def cut(self, oldest: dict[int, int], keep_commands: int) -> None:
        """What `Housekeeping` does: cut the journal's head as far as no engine needs it."""
        engines = tuple(engine.id for engine in self.world.topology.engines)
        committed = self.machine.committed_seq
        seq = plan_cut(oldest, engines=engines, committed_seq=committed, keep_commands=keep_commands)
        if seq > self.disk.base_seq:
            self.kernel.note(f"{self.name}: journal cut after seq {seq}")
            self.disk.drop_through(seq)

    # ---- the service ---------------------------------------------------------------------------------------------

    def serve_fence(self, request: replication_pb2.FenceRequest, answer: Done) -> None:
        """`Replication.Fence`."""
        self.post(_FenceCall(request, answer))

    def _answer_fence(self, said: FenceAnswer) -> None:
        answer = self._fences.pop(said.ticket)
        if said.refusal:
            answer(None, f"FAILED_PRECONDITION: {said.refusal}")
            return
        self.world.judge.on_fence_answer(self.id, said)
        tip = replication_pb2.Tip(epoch=said.tip_epoch, seq=said.tip_seq, digest=said.digest)
        reply = replication_pb2.FenceReply(
            accepted=said.accepted,
            promised=said.promised,
            tip=tip,
            committed_seq=said.committed_seq,
            timestamp_ns=said.timestamp_ns,
            member=self.id,
            blank=said.blank,
            journal=said.journal,
        )
        answer(reply, "")

    def serve_fetch_journal(
        self, request: replication_pb2.FetchJournalRequest, uuid: str, answer: JournalAnswer
    ) -> None:
        """`Replication.FetchJournal`, all replies at once."""
        try:
            replies = all_of(self.fetches.journal(request, uuid, never))
        except Refusal as refusal:
            answer(None, "", str(refusal))
            return
        # Where a snapshot takes a log's place, its events go; a client that is behind could not be told them any more.
        if replies[0].snapshot_seq > self.slowest():
            replies[0].snapshot_seq = 0
        answer(replies, self.fetches.cluster_uuid, "")

    def serve_fetch_events(self, request: replication_pb2.FetchEventsRequest, answer: Done) -> None:
        """`Replication.FetchEvents`: a page, or the word that others come first."""
        answer_with(answer, lambda: a_page(self.fetches, request, self.world.network))

    def serve_snapshot(self, answer: Done) -> None:
        """`Replication.FetchSnapshot` of a stored file, all replies at once."""
        request = replication_pb2.FetchSnapshotRequest()
        answer_with(answer, lambda: b"".join(one.chunk for one in all_of(self.fetches.snapshot(request, never))))

    def serve_query(self, request: replication_pb2.QueryRequest, answer: Done) -> None:
        """`Replication.Query`."""
        self.post(_QueryCall(request, answer))

    def _on_query(self, call: _QueryCall) -> None:
        machine = self.machine
        reply = answer_query(call.request, cast("ReferenceEngine", machine.execution.engine), machine.head.epochs)
        reply.stamp.CopyFrom(common_pb2.Stamp(epoch=machine.epoch, seq=machine.applied_seq))
        reply.primary = machine.role is Role.PRIMARY
        reply.cluster_uuid = machine.cluster_uuid
        self._untold.add(machine.applied_seq, (call.answer, reply, machine.digest))

    def _tell(self) -> None:
        for answer, reply, digest in self._untold.due(self.machine.committed_seq):
            self.world.judge.on_told(self, reply.stamp.seq, digest)
            answer(reply, "")

    def _give_up_after(self, seq: int) -> None:
        for answer, _, _ in self._untold.give_up_after(seq):
            answer(None, "UNAVAILABLE: given up")

    # ---- its own calls -------------------------------------------------------------------------------------------

    def _fetch(self, order: FetchLog) -> None:
        """Like `PeerFetcher`."""
        request = replication_pb2.FetchJournalRequest(from_seq=order.from_seq, max_bytes=_MAX_BYTES)

        def done(said: tuple[list[replication_pb2.FetchJournalReply], str] | None, failure: str) -> None:
            if failure.startswith(grpc.StatusCode.OUT_OF_RANGE.name):
                self.post(PeerLogBehind(order.peer))
                return
            if said is None or not said[0]:
                self.post(PeerLogFailed(order.peer))
                return
            try:
                self.post(_peer_log(order.peer, *said))
            except FrameError:
                self.post(PeerLogFailed(order.peer))

        self._ask_journal(order.peer, request, done)

    def _ask_digest(self, order: AskDigest) -> None:
        def done(said: tuple[list[replication_pb2.FetchJournalReply], str] | None, _failure: str) -> None:
            if said is not None and said[0]:
                self.post(_peer_log(order.peer, *said).told)

        self._ask_journal(order.peer, replication_pb2.FetchJournalRequest(from_seq=order.seq, max_bytes=1), done)

    def _ask_journal(self, peer: int, request: replication_pb2.FetchJournalRequest, done: Done) -> None:
        uuid = self.machine.cluster_uuid

        def ask(host: Host, answer: Done) -> None:
            assert isinstance(host, EngineHost)
            host.serve_fetch_journal(
                request,
                uuid,
                lambda replies, theirs, text: answer(None if replies is None else (replies, theirs), text),
            )

        self.world.network.call(self, self.world.host("engine", peer), ask, done, timeout_ns=_FETCH_TIMEOUT_NS)

    def _fetch_snapshot(self, order: FetchSnapshot) -> None:
        """Like `PeerFetcher`."""

        def done(raw: bytes | None, _failure: str) -> None:
            if raw is None:
                self.post(PeerLogFailed(order.peer))
                return
            head, _state = decode_snapshot_file(raw)
            self.disk.incoming = raw
            self.post(PeerSnapshot(order.peer, head.cluster_uuid, head.base))

        def ask(peer: Host, answer: Done) -> None:
            assert isinstance(peer, EngineHost)
            peer.serve_snapshot(answer)

        peer = self.world.host("engine", order.peer)
        self.world.network.call(self, peer, ask, done, timeout_ns=_FETCH_TIMEOUT_NS)


def _peer_log(peer: int, replies: list[replication_pb2.FetchJournalReply], uuid: str) -> PeerLog:
    first = replies[0]
    return PeerLog(
        peer,
        uuid,
        first.in_sync,
        first.tip.seq,
        tuple(EpochEntry(entry.epoch, entry.first_seq) for entry in first.epochs),
        tuple(decode_frame(raw) for reply in replies for raw in reply.frames),
        replies[-1].digest,
        first.committed_seq,
        first.snapshot_seq,
    )
