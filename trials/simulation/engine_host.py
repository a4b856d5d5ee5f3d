"""A simulated engine process: the real replica machine, driver, restore, event store and gRPC service, on a simulated
disk.

A journal write takes time. What stands below it in `Effects` is done when it is durable and not before; a crash in
between finds the write done or not done.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

from lockstep.replica.driver import ReplicaDriver
from lockstep.replica.effects import (
    AskDigest,
    FenceAnswer,
    FetchLog,
    FetchSnapshot,
    Install,
    JournalWrite,
    Notice,
    SequencerSaid,
)
from lockstep.replica.events import EventStore
from lockstep.replica.fetches import Fetches
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.peers import FromPeer
from lockstep.replica.ports import Ports
from lockstep.replica.restore import restore
from lockstep.replica.service import FenceCall, QueryCall
from lockstep.replica.settings import ReplicaOptions
from lockstep.replica.view import ReplicaView, view_of
from lockstep.stream.digest import Digest
from lockstep.stream.frames import Frame, FrameType
from lockstep.trials.simulation.disk import Disk
from lockstep.trials.simulation.engine_peers import PeerCalls
from lockstep.trials.simulation.engine_service import ServingHost
from lockstep.trials.simulation.host import hears
from lockstep.trials.simulation.kernel import MS, US
from lockstep.trials.simulation.opening import may_start
from lockstep.trials.simulation.world import Violation, World
from lockstep.trials.simulation.wrong_engine import WrongEngine

_RETRY_NS: Final = 100 * MS


class EngineHost(ServingHost, Ports):
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
        self._writing: JournalWrite | None = None
        self._view: ReplicaView | None = None
        self._peers = PeerCalls(self)

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
        own = self.machine.standing
        self.kernel.note(f"{self.name} has replayed up to {own.applied_seq}, promised {own.promised}")

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

    def fetch_log(self, order: FetchLog, cluster_uuid: str) -> None:
        """See `Ports`."""
        self._peers.fetch_log(order, cluster_uuid)

    def ask_digest(self, order: AskDigest, cluster_uuid: str) -> None:
        """See `Ports`."""
        self._peers.ask_digest(order, cluster_uuid)

    def fetch_snapshot(self, order: FetchSnapshot) -> None:
        """See `Ports`."""
        self._peers.fetch_snapshot(order)

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
