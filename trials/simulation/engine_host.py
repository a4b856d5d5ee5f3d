"""A simulated engine process: the real replica machine, driver, restore, event store and gRPC service, on a simulated
disk and simulated links.
"""

from typing import Final, cast

from lockstep.replica.driver import ReplicaDriver
from lockstep.replica.effects import FenceAnswer, Notice
from lockstep.replica.events import EventStore
from lockstep.replica.fetches import Fetches
from lockstep.replica.journal import Journal
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.ports import Ports
from lockstep.replica.restore import restore
from lockstep.replica.settings import ReplicaOptions
from lockstep.replica.view import ReplicaView, view_of
from lockstep.stream.digest import Digest
from lockstep.stream.messages import Ack, Release
from lockstep.trials.simulation.engine_links import LinkedHost
from lockstep.trials.simulation.kernel import MS
from lockstep.trials.simulation.opening import may_start
from lockstep.trials.simulation.world import Violation, World
from lockstep.trials.simulation.wrong_engine import WrongEngine

_RETRY_NS: Final = 100 * MS


class EngineHost(LinkedHost, Ports):
    """See the module."""

    driver: ReplicaDriver
    events: EventStore

    def __init__(self, world: World, id: int) -> None:
        super().__init__(world, id)
        self.wrong = False
        """Its engine computes something else than the others' from now on."""
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
        own = self.machine.replica_state
        self.kernel.note(f"{self.name} has replayed up to {own.applied_seq}, promised {own.promised}")

    def rebuild(self) -> ReplicaMachine:
        """See `Ports`."""
        self.hear_anew()
        timing = self.world.topology.timing
        options = ReplicaOptions(
            self.id,
            tuple(engine.id for engine in self.world.topology.engines),
            rewind_ns=timing.rewind_ms * MS,
            repeat_ns=timing.receipt_ms * MS,
            snapshot_gap=40,
        )
        return restore(cast("Journal", self.disk), options, WrongEngine(lambda: self.wrong), lambda: None, self.disk)

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
        if any(not isinstance(item, Ack) for item in self.inbox):
            self._view = view_of(self.machine, ())
        self.driver.turn()
        self.on_written()

    def on_written(self) -> None:
        """The round is over, unless it waits for the disk."""
        if self.alive and self.driver.idle:
            self._view = None
            if self.inbox:
                self.wake()

    def now_ns(self) -> int:
        """See `Ports`."""
        return self.kernel.now_ns

    # ---- what the judge and others see ---------------------------------------------------------------------------

    def release(self, frame: Release) -> None:
        """See `Ports`."""
        self.world.judge.on_release(self, frame)
        self.world.network.send(self, self.world.of_kind("gateway"), frame)

    def on_fence_answer(self, answer: FenceAnswer) -> None:
        """See `Ports`."""
        if not answer.refusal:
            self.world.judge.on_fence_answer(self.id, answer)

    def on_delivered(self, seq: int, digest: Digest) -> None:
        """See `Ports`."""
        self.world.judge.on_delivered(self, seq, digest)

    def on_step(self) -> None:
        """See `Ports`."""
        self.world.judge.on_engine_step(self)

    def notice(self, notice: Notice) -> None:
        """See `Ports`."""
        self.kernel.note(f"{self.name}: {notice.event}: {notice.detail}")
        if notice.event == "diverged" and not self.wrong:
            raise Violation(f"{self.name} diverged: {notice.detail}")
