"""A simulated engine process: the real replica machine, driver, restore, event store and gRPC service, on a simulated
disk.

A journal write takes time. What stands below it in `Effects` is done when it is durable and not before; a crash in
between finds the write done or not done.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Final, cast

import grpc

from lockstep.engine.reference import ReferenceEngine
from lockstep.replica.divergence import EpochEntry
from lockstep.replica.driver import ReplicaDriver
from lockstep.replica.effects import (
    AppliedBatch,
    AskDigest,
    FenceAnswer,
    FetchLog,
    FetchSnapshot,
    Install,
    JournalWrite,
    Notice,
    PeerLog,
    PeerLogBehind,
    PeerLogFailed,
    PeerSnapshot,
    Role,
    SequencerSaid,
)
from lockstep.replica.events import EventStore
from lockstep.replica.fetches import Fetches
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.peers import FromPeer
from lockstep.replica.replayer import Replayer
from lockstep.replica.restore import restore
from lockstep.replica.retention import plan_cut, plan_retirement
from lockstep.replica.service import FenceCall, HistoryGivenUp, QueryCall, TooManyQueries, fence_reply
from lockstep.replica.settings import ReplicaOptions
from lockstep.replica.snapshot_file import decode_head, decode_snapshot_file
from lockstep.replica.snapshots import usable
from lockstep.replica.turnstile import never
from lockstep.replica.view import ReplicaView, view_of
from lockstep.runtime.refusal import Refusal
from lockstep.stream.digest import Digest
from lockstep.stream.frames import Frame, FrameError, FrameType, decode_frame
from lockstep.trials.simulation.answers import a_page, all_of, answer_with
from lockstep.trials.simulation.disk import Disk
from lockstep.trials.simulation.host import Host, hears
from lockstep.trials.simulation.kernel import MS, SECOND, US
from lockstep.trials.simulation.network import Done
from lockstep.trials.simulation.opening import may_start
from lockstep.trials.simulation.world import Violation, World
from lockstep.trials.simulation.wrong_engine import WrongEngine
from lockstep.v1 import replication_pb2

_FETCH_TIMEOUT_NS: Final = 5 * SECOND
_RETRY_NS: Final = 100 * MS
_MAX_BYTES: Final = 4 << 20

JournalAnswer = Callable[[list[replication_pb2.FetchJournalReply] | None, str, str], None]


class EngineHost(Host):
    """See the module."""

    driver: ReplicaDriver
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
        self._writing: JournalWrite | None = None
        self._view: ReplicaView | None = None

    @property
    def machine(self) -> ReplicaMachine:
        """Of this life; another one after the journal was cut back or began anew."""
        return self.driver.machine

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
        self._writing = None
        self._view = None
        journal = cast("Journal", self.disk)
        self.events = EventStore(journal, self.world.topology.limits.event_window_commands)
        self.driver = ReplicaDriver(self.rebuild(), self, self.events)
        self.fetches = Fetches(self.id, journal, self.events, lambda: self.view, self.disk)
        self.kernel.note(f"{self.name} has replayed up to {self.machine.applied_seq}, promised {self.machine.promised}")

    def rebuild(self) -> ReplicaMachine:
        """See `Ports`."""
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
        """A round of its loop; where a write takes time, the rest of it comes behind that."""
        if any(not isinstance(item, Frame) or item.type is FrameType.STREAM for item in self.inbox):
            self._view = view_of(self.machine, ())
        self.driver.turn()
        self._after_round()

    def _after_round(self) -> None:
        if self.alive and self.driver.idle:
            self._view = None
            if self.inbox:
                self.wake()

    def _come(self, wanted: Callable[[Any], bool]) -> list[Any]:
        found = [item for item in self.inbox if wanted(item)]
        self.inbox = [item for item in self.inbox if not wanted(item)]
        return found

    # ---- the driver's ports: what has come -----------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return self.kernel.now_ns

    def streams(self) -> Sequence[Frame]:
        """See `Ports`."""
        return self._come(lambda item: isinstance(item, Frame) and item.type is FrameType.STREAM)

    def acks(self) -> Sequence[Frame]:
        """See `Ports`."""
        return self._come(lambda item: isinstance(item, Frame) and item.type is not FrameType.STREAM)

    def calls(self) -> Sequence[FenceCall | QueryCall | FromPeer]:
        """See `Ports`."""
        return self._come(lambda item: not isinstance(item, Frame))

    def heard(self) -> Iterator[SequencerSaid]:
        """See `Ports`."""
        for sequencer in self.world.of_kind("sequencer"):
            epoch = sequencer.status_epoch() if hears(self, sequencer) else 0
            if epoch and epoch != self._told.get(sequencer.id, 0):
                self._told[sequencer.id] = epoch
                yield SequencerSaid(sequencer.id, epoch)

    # ---- the driver's ports: what is done ------------------------------------------------------------------------

    def write(self, write: JournalWrite, applied: tuple[int, Digest], done: Callable[[], None]) -> None:
        """See `Ports`."""
        del applied
        self._writing = write
        if self.write_fails:
            self.write_fails = False
            self.kernel.note(f"{self.name}: the journal can't be written")
            self.crash()
            return
        self.busy = True
        delay_ns = self.kernel.between(self.sync_ns // 2, self.sync_ns * 2)
        self.kernel.after(delay_ns, self._written, self.life, write, done)

    def _written(self, life: int, write: JournalWrite, done: Callable[[], None]) -> None:
        if life != self.life or not self.alive:
            return
        if self.paused:
            self.kernel.after(5 * MS, self._written, life, write, done)
            return
        self.busy = False
        self._writing = None
        self._commit_write(write)
        done()
        self._after_round()

    def _commit_write(self, write: JournalWrite) -> None:
        self.disk.write(write)
        self.world.judge.on_journaled(self, write)

    def truncate(self, after_seq: int) -> str:
        """See `Ports`."""
        self.truncations += 1
        self.disk.truncate(after_seq)
        self.world.judge.on_truncated(self, after_seq)
        return "the archive"

    def install(self, order: Install, *, had_more: bool) -> str:
        """See `Ports`."""
        del had_more
        self.installed += 1
        disk = self.disk
        disk.snapshots = {seq: raw for seq, raw in disk.snapshots.items() if seq <= order.common_seq}
        disk.snapshots[order.base.seq] = disk.incoming
        disk.begin_after(order.base, order.cluster_uuid, order.common_seq)
        self.world.judge.on_installed(self)
        return "the archive"

    def send_ack(self, ack: Frame, primary: int) -> None:
        """See `Ports`."""
        del primary
        self.world.judge.on_ack(self.id, ack)
        others = [host for host in self.world.of_kind("engine") if host is not self]
        self.world.network.send(self, [*others, *self.world.of_kind("sequencer")], ack)

    def release(self, frame: Frame) -> None:
        """See `Ports`."""
        self.world.judge.on_release(self, frame)
        self.world.network.send(self, self.world.of_kind("gateway"), frame)

    def send_rewind(self, sequencer: int, frame: Frame) -> None:
        """See `Ports`."""
        target = self.world.hosts.get(f"sequencer-{sequencer}")
        if target is not None:
            self.world.network.send(self, [target], frame)

    def on_applied(self, batches: tuple[AppliedBatch, ...], role: Role) -> None:
        """See `Ports`."""

    def on_apply_time(self, took_ns: int) -> None:
        """See `Ports`."""

    def on_releases(self, frames: tuple[Frame, ...]) -> None:
        """See `Ports`."""

    def on_fence_answer(self, answer: FenceAnswer) -> None:
        """See `Ports`."""
        if not answer.refusal:
            self.world.judge.on_fence_answer(self.id, answer)

    def on_told(self, seq: int, digest: Digest) -> None:
        """See `Ports`."""
        self.world.judge.on_told(self, seq, digest)

    def on_step(self) -> None:
        """See `Ports`."""
        self.world.judge.on_engine_step(self)

    def notice(self, notice: Notice) -> None:
        """See `Ports`."""
        self.kernel.note(f"{self.name}: {notice.event}: {notice.detail}")
        if notice.event == "diverged" and not self.wrong:
            raise Violation(f"{self.name} diverged: {notice.detail}")

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

        def done(said: "Future[FenceAnswer]") -> None:
            told = said.result()
            if told.refusal:
                answer(None, f"FAILED_PRECONDITION: {told.refusal}")
                return
            answer(fence_reply(self.id, told), "")

        call = FenceCall(request)
        call.done.add_done_callback(done)
        self.post(call)

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

        def done(said: "Future[replication_pb2.QueryReply]") -> None:
            match said.exception():
                case None:
                    answer(said.result(), "")
                case HistoryGivenUp():
                    answer(None, "UNAVAILABLE: given up")
                case TooManyQueries():
                    answer(None, "RESOURCE_EXHAUSTED: too many wait")

        call = QueryCall(request)
        call.done.add_done_callback(done)
        self.post(call)

    # ---- its own calls -------------------------------------------------------------------------------------------

    def fetch_log(self, order: FetchLog, cluster_uuid: str) -> None:
        """See `Ports`: like `PeerFetcher`."""
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

        self._ask_journal(order.peer, request, cluster_uuid, done)

    def ask_digest(self, order: AskDigest, cluster_uuid: str) -> None:
        """See `Ports`."""

        def done(said: tuple[list[replication_pb2.FetchJournalReply], str] | None, _failure: str) -> None:
            if said is not None and said[0]:
                self.post(_peer_log(order.peer, *said).told)

        request = replication_pb2.FetchJournalRequest(from_seq=order.seq, max_bytes=1)
        self._ask_journal(order.peer, request, cluster_uuid, done)

    def _ask_journal(self, peer: int, request: replication_pb2.FetchJournalRequest, uuid: str, done: Done) -> None:
        def ask(host: Host, answer: Done) -> None:
            assert isinstance(host, EngineHost)
            host.serve_fetch_journal(
                request,
                uuid,
                lambda replies, theirs, text: answer(None if replies is None else (replies, theirs), text),
            )

        self.world.network.call(self, self.world.host("engine", peer), ask, done, timeout_ns=_FETCH_TIMEOUT_NS)

    def fetch_snapshot(self, order: FetchSnapshot) -> None:
        """See `Ports`: like `PeerFetcher`."""

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
