"""A simulated sequencer process: the real machine and driver; simulated ports."""

from collections.abc import Callable, Iterator

from lockstep.sequencer import events as ev
from lockstep.sequencer.driver import SequencerDriver
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.ports import Beat, Ports
from lockstep.sequencer.settings import settings_of
from lockstep.sequencer.states import State
from lockstep.stream.messages import Ack, Receipt, Stream, Submit
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.kernel import MS, SECOND, START_NS
from lockstep.trials.simulation.sequencer_calls import SequencerCalls
from lockstep.trials.simulation.sequencer_hearing import Hearing
from lockstep.trials.simulation.world import Violation, World
from lockstep.v1 import replication_pb2

_BOOTED_BEFORE_NS = 1_000 * SECOND


class SequencerHost(Host, Ports):
    """See the module."""

    driver: SequencerDriver

    def __init__(self, world: World, id: int) -> None:
        super().__init__(world, "sequencer", id)
        self._orders = 0
        self._calls, self._hearing = SequencerCalls(self), Hearing(self)
        self.mute = False
        """What its heartbeats say of its media driver."""
        self._driver_known = True

    @property
    def machine(self) -> SequencerMachine:
        """Of this life."""
        return self.driver.machine

    def status_epoch(self) -> int:
        """What its heartbeats say."""
        return self.machine.epoch

    @property
    def leads(self) -> bool:
        """What its heartbeats say of its role."""
        return self.machine.state is State.LEADER

    def tick_ns(self) -> int:
        """As its machine asks for, not more often than a coarse clock allows."""
        return max(6 * MS, self.machine.due_ns - self.now_ns())

    def on_start(self) -> None:
        """A new process knows nothing."""
        kernel = self.kernel
        self._hearing = Hearing(self)
        settings = settings_of(
            self.world.topology,
            self.id,
            identity=f"{self.name}.{self.life}",
            fresh_uuid=f"{self.id:08x}-0000-4000-8000-{self.life:012x}",
            jitter_ns=tuple(kernel.between(10, 60) * MS for _ in range(8)),
        )
        machine = SequencerMachine(settings, self.now_ns(), self.wall_ns())
        self.driver = SequencerDriver(machine, self, member=self.id)
        self._frames: list[Ack | Submit] = []
        self.mute, self._driver_known = False, True

    def order(self, make: Callable[[int], ev.OperatorRequest]) -> None:
        """An operator orders something; `make` gives it a number."""
        self._orders += 1
        self.post(make(self._orders))

    def on_turn(self) -> None:
        """One turn of its loop."""
        self.driver.turn()
        if self.machine.mute is not self.mute:
            self.mute = self.machine.mute
            self.world.watching.on_change(self)

    def hear_clock(self, peer: Host) -> None:
        """A heartbeat of a peer has come."""
        self._hearing.hear_clock(peer)

    # ---- the driver's ports --------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """Its monotonic clock: time since its host was started, undisturbed."""
        return self.kernel.now_ns - START_NS + self.id * _BOOTED_BEFORE_NS

    def happenings(self) -> Iterator[ev.Event]:
        """See `Ports`."""
        has_driver = self.world.network.has_driver(self)
        if has_driver is not self._driver_known:
            self._driver_known = has_driver
            yield ev.DriverUp() if has_driver else ev.DriverDown()
        inbox, self.inbox = self.inbox, []
        self._frames = [item for item in inbox if isinstance(item, Ack | Submit)]
        yield from (item for item in inbox if not isinstance(item, Ack | Submit))

    def poll(self, on_ack: Callable[[Ack], None], on_submit: Callable[[Submit], None]) -> int:
        """See `Ports`."""
        frames, self._frames = self._frames, []
        for frame in frames:
            if isinstance(frame, Ack):
                on_ack(frame)
        for frame in frames:
            if isinstance(frame, Submit):
                on_submit(frame)
        return len(frames)

    def clocks(self) -> tuple[tuple[str, int], ...]:
        """See `Ports`."""
        return self._hearing.clocks()

    def beats(self) -> Iterator[Beat]:
        """See `Ports`."""
        return self._hearing.beats()

    def send_stream(self, engines: tuple[int, ...], frame: Stream) -> None:
        """See `Ports`."""
        self.world.judge.on_stream(self.id, frame)
        self.world.network.send(self, [self.world.host("engine", engine) for engine in engines], frame)

    def send_receipt(self, gateway: int, frame: Receipt) -> None:
        """See `Ports`."""
        self.world.network.send(self, [self.world.host("gateway", gateway)], frame)

    def swap(self, cas: ev.Cas) -> None:
        """See `Ports`."""
        self.world.store.swap(self, cas)

    def read_config(self) -> None:
        """See `Ports`."""
        self.world.store.read(self)

    def note(self, note: ev.Note) -> None:
        """See `Ports`."""
        self.kernel.note(f"{self.name}: {note.what} {dict(note.fields)}")
        if self.machine.state is State.HALTED:
            raise Violation(f"{self.name} halted: {self.machine.why}")

    def fence(self, engine: int, request: replication_pb2.FenceRequest, order: ev.FenceOrder) -> None:
        """See `Ports`."""
        self._calls.fence(engine, request, order)

    def fetch_journal(self, engine: int, request: replication_pb2.FetchJournalRequest, order: ev.FetchOrder) -> None:
        """See `Ports`."""
        self._calls.fetch_journal(engine, request, order)
