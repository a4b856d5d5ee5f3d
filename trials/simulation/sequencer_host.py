"""A simulated sequencer process: the real machine, its effects done in the order of the real shell."""

from collections.abc import Callable
from typing import Any

from lockstep.sequencer import events as ev
from lockstep.sequencer.clock import LOOK_NS
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.settings import settings_of
from lockstep.sequencer.states import State
from lockstep.stream.frames import Frame, FrameError, FrameType, decode_frame
from lockstep.stream.told import NOTHING_TOLD
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.host import Host, hears
from lockstep.trials.simulation.kernel import MS, SECOND, START_NS
from lockstep.trials.simulation.network import Done
from lockstep.trials.simulation.world import Violation, World
from lockstep.v1 import replication_pb2

_FENCE_TIMEOUT_NS = 500 * MS
_FETCH_TIMEOUT_NS = 10_000 * MS
_BOOTED_BEFORE_NS = 1_000 * SECOND


class SequencerHost(Host):
    """See the module."""

    machine: SequencerMachine

    def __init__(self, world: World, id: int) -> None:
        super().__init__(world, "sequencer", id)
        self._orders = 0
        self._look_due_ns = 0
        self._heard: dict[str, int] = {}  # by peer: what its heartbeats since the last look say the time is
        self.mute = False
        """What its heartbeats say of its media driver."""
        self._driver_known = True

    def now_ns(self) -> int:
        """Its monotonic clock: time since its host was started, undisturbed."""
        return self.kernel.now_ns - START_NS + self.id * _BOOTED_BEFORE_NS

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
        self._look_due_ns = 0
        self._heard.clear()
        self._incarnations: dict[int, int] = {}  # by gateway: what its heartbeats said
        self._promised: dict[int, int] = {}  # by engine: what its heartbeats said
        settings = settings_of(
            self.world.topology,
            self.id,
            identity=f"{self.name}.{self.life}",
            fresh_uuid=f"{self.id:08x}-0000-4000-8000-{self.life:012x}",
            jitter_ns=tuple(kernel.between(10, 60) * MS for _ in range(8)),
        )
        self.machine = SequencerMachine(settings, self.now_ns(), self.wall_ns())
        self.mute, self._driver_known = False, True

    def order(self, make: Callable[[int], ev.OperatorRequest]) -> None:
        """An operator orders something; `make` gives it a number."""
        self._orders += 1
        self.post(make(self._orders))

    def on_turn(self) -> None:
        """Inbox, then acks, then submits, then the time: like `SequencerShell.turn`."""
        driver = self.world.network.has_driver(self)
        if driver is not self._driver_known:
            self._driver_known = driver
            self._step(ev.DriverUp() if driver else ev.DriverDown())
        inbox, self.inbox = self.inbox, []
        acks: list[Frame] = []
        submits: list[Frame] = []
        for item in inbox:
            if isinstance(item, ev.FenceAnswered):
                self._hear_told()
            if isinstance(item, Frame):
                (acks if item.type is FrameType.ACK else submits).append(item)
            else:
                self._step(item)
        for gateway in self.world.of_kind("gateway"):
            if hears(self, gateway) or not gateway.alive:
                said = gateway.status_epoch() if gateway.alive else 0
                if said != self._incarnations.get(gateway.id, 0):
                    self._incarnations[gateway.id] = said
                    self._step(ev.GatewaySaid(gateway.id, said))
        self._hear_told()
        for frame in acks:
            self._step(ev.AckReceived(frame))
        for frame in submits:
            self._step(ev.SubmitReceived(frame))
        self._look_at_clocks()
        for engine in self.world.of_kind("engine"):
            # A link that holds frames back holds heartbeats back, too.
            held_back = (engine.name, self.name) in self.world.network.slow
            promised = engine.status_epoch() if hears(self, engine) and not held_back else 0
            if promised and promised != self._promised.get(engine.id, 0):
                self._promised[engine.id] = promised
                self._step(ev.EnginePromised(engine.id, promised))
        if self.machine.work_due or self.now_ns() >= self.machine.due_ns:
            self._step(ev.Tick())
        if self.machine.mute is not self.mute:
            self.mute = self.machine.mute
            self.world.watching.on_change(self)

    def _hear_told(self) -> None:
        """Like `SequencerShell._hear_told`."""
        for gateway in self.world.of_kind("gateway"):
            if not gateway.alive or not hears(self, gateway):
                continue
            told, reign = gateway.told(), self.machine.reign
            known = self.machine.peers.told.get(gateway.id, NOTHING_TOLD)
            if told != known and (reign is None or told.epoch < reign.office_epoch):
                self._step(ev.GatewaySaid(gateway.id, gateway.status_epoch(), told))

    def hear_clock(self, peer: Host) -> None:
        """A heartbeat of a peer has come."""
        self._heard[peer.name] = peer.wall_ns()

    def greet(self, peer: Host) -> None:
        """The first heartbeat of a peer has come: the clocks are looked at in the same turn."""
        self.hear_clock(peer)
        self._look_due_ns = 0

    def _look_at_clocks(self) -> None:
        if self.now_ns() < self._look_due_ns:
            return
        self._look_due_ns = self.now_ns() + LOOK_NS
        network = self.world.network
        for peer in (*self.world.of_kind("engine"), *self.world.of_kind("sequencer")):
            if peer is not self and peer.responsive and network.reaches(self, peer) and network.reaches(peer, self):
                self.hear_clock(peer)
        heard, self._heard = tuple(self._heard.items()), {}
        self._step(ev.ClocksRead(self.wall_ns(), heard))

    def _step(self, event: Any) -> None:
        effects = self.machine.step(event, self.now_ns())
        if effects is not ev.NOTHING:
            self._perform(effects)

    def _perform(self, effects: ev.Effects) -> None:
        world, network = self.world, self.world.network
        for stream in effects.streams:
            world.judge.on_stream(self.id, stream.frame)
            network.send(self, [world.host("engine", engine) for engine in stream.engines], stream.frame)
        for receipt in effects.receipts:
            network.send(self, [world.host("gateway", receipt.gateway)], receipt.frame)
        if effects.cas is not None:
            world.store.swap(self, effects.cas)
        if effects.read_config:
            world.store.read(self)
        for fence in effects.fences:
            self._fence(fence)
        if effects.fetch is not None:
            self._fetch(effects.fetch)
        for note in effects.notes:
            self.kernel.note(f"{self.name}: {note.what} {dict(note.fields)}")
        if self.machine.state is State.HALTED:
            raise Violation(f"{self.name} halted: {self.machine.why}")

    def _fence(self, order: ev.FenceOrder) -> None:
        request = replication_pb2.FenceRequest(
            cluster_uuid=order.uuid, epoch=order.epoch, sequencer=self.id, settled=order.settled
        )

        def done(reply: replication_pb2.FenceReply | None, failure: str) -> None:
            if reply is None:
                self.post(ev.FenceFailed(order.engine, order.epoch, failure))
                return
            tip = reply.tip
            self.post(
                ev.FenceAnswered(
                    engine=order.engine,
                    epoch=order.epoch,
                    accepted=reply.accepted,
                    promised=reply.promised,
                    tip_epoch=tip.epoch,
                    tip_seq=tip.seq,
                    tip_digest=tip.digest,
                    committed_seq=reply.committed_seq,
                    timestamp_ns=reply.timestamp_ns,
                    blank=reply.blank,
                    journal=reply.journal,
                )
            )

        def ask(engine: Host, answer: Done) -> None:
            assert isinstance(engine, EngineHost)
            engine.serve_fence(request, answer)

        target = self.world.host("engine", order.engine)
        self.world.network.call(self, target, ask, done, timeout_ns=_FENCE_TIMEOUT_NS, patient=True)

    def _fetch(self, order: ev.FetchOrder) -> None:
        request = replication_pb2.FetchJournalRequest(from_seq=order.from_seq)

        def done(replies: list[replication_pb2.FetchJournalReply] | None, failure: str) -> None:
            if replies is None:
                self.post(ev.JournalFetchFailed(order.engine, order.epoch, failure))
                return
            try:
                frames = tuple(decode_frame(raw) for reply in replies for raw in reply.frames)
            except FrameError as error:
                self.post(ev.JournalFetchFailed(order.engine, order.epoch, str(error)))
                return
            self.post(ev.JournalFetched(order.engine, order.epoch, frames))

        def ask(engine: Host, answer: Done) -> None:
            assert isinstance(engine, EngineHost)
            engine.serve_fetch_journal(request, "", lambda replies, _uuid, failure: answer(replies, failure))

        self.world.network.call(self, self.world.host("engine", order.engine), ask, done, timeout_ns=_FETCH_TIMEOUT_NS)
