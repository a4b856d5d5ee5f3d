"""The stage of a story: a cluster of fixed size, without dice, whose network, judge and processes write down.

The machines, drivers and services are the real ones, as in every seed of the simulation. Nothing happens by chance:
every delay is the middle of what it can be, so a transcript changes only where somebody decides otherwise.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from lockstep.rows import COMMAND_FIELDS
from lockstep.runtime.topology import Limits, Timing, Topology
from lockstep.sequencer import events as ev
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.sequencer.states import State
from lockstep.stream.records import CommandKind, OrderType, Side, TimeInForce
from lockstep.trials.simulation.client_host import ClientHost
from lockstep.trials.simulation.cluster import Cluster, members
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.gateway_host import GatewayHost
from lockstep.trials.simulation.kernel import MS, SECOND, Kernel
from lockstep.trials.simulation.network import Pipe
from lockstep.trials.simulation.sequencer_host import SequencerHost
from lockstep.trials.simulation.workload import set_up
from lockstep.trials.simulation.world import Violation
from lockstep.trials.stories import wording
from lockstep.trials.stories.narrator import Narrator
from lockstep.trials.stories.notes import in_words
from lockstep.trials.stories.parts import StoryClient, StoryEngine, StoryJudge, StoryNetwork, StorySequencer
from lockstep.v1 import orders_pb2

_PATIENCE_NS: Final = 20 * SECOND
_SETTLED_MS: Final = 3_300
"""Nobody counts as just started then."""
_ROW_TAIL: Final = (0,) * (len(COMMAND_FIELDS) - 12)


class StillKernel(Kernel):
    """Virtual time without dice."""

    __slots__ = ("looked", "noted")

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.noted: Callable[[str], None] = lambda _text: None
        self.looked: Callable[[], None] = lambda: None

    def between(self, low: int, high: int) -> int:
        """The middle."""
        return (low + high) // 2

    def chance(self, parts: int, of: int) -> bool:
        """Only what is certain happens."""
        return parts >= of

    def note(self, text: str) -> None:
        """Something worth a line, perhaps."""
        self.noted(text)

    def run(self, end_ns: int, stop: Callable[[], bool]) -> None:
        """As everywhere, but `stop` is asked after each action, and states are looked at."""
        done = False

        def look() -> bool:
            nonlocal done
            self.looked()
            done = stop()
            return done

        while not done and self._agenda and self._agenda[0][0] <= end_ns:
            steps = self.steps
            self.steps = 63
            super().run(self._agenda[0][0], look)
            self.steps += steps - 63
        if not done:
            self.now_ns = max(self.now_ns, end_ns)


class Theatre(Cluster):
    """Two sequencers, three engines, two gateways."""

    network_type = StoryNetwork
    judge_type = StoryJudge
    sequencer_type = StorySequencer
    engine_type = StoryEngine
    kernel: StillKernel

    def __init__(self, *, engines: int, clients: int, seed: int) -> None:
        kernel = StillKernel(seed)
        self._engines, self._clients = engines, clients
        self.narrator = Narrator(kernel)
        super().__init__(kernel, encode=False)
        assert isinstance(self.network, StoryNetwork)
        assert isinstance(self.judge, StoryJudge)
        self.network.narrator = self.judge.narrator = self.narrator
        self._judge_streams, self.network.on_stream_message = self.network.on_stream_message, self._on_message
        kernel.noted, kernel.looked = self._on_note, self._look
        self.narrator.before = self._look
        self._states: dict[str, State] = {}
        self._dead: dict[str, object] = {}  # by sequencer: the driver of its life that ended
        for sequencer in self.sequencers:
            sequencer.set_clock(0)

    def plan_topology(self) -> Topology:
        """See `Cluster`. No ticks: stamps are of commands."""
        return Topology(
            name="stories",
            etcd_endpoints=("simulated",),
            aeron_dir=Path("simulated"),
            sequencers=members("sequencer", 2),
            engines=members("engine", self._engines),
            gateways=members("gateway", 2),
            limits=Limits(session_credit=64),
            timing=Timing(receipt_ms=20, bootstrap_ms=1_000, etcd_timeout_ms=200, tick_ms=0),
        )

    def make_clients(self, gateways: list[int]) -> list[ClientHost]:
        """See `Cluster`."""
        return [StoryClient(self, number, tuple(gateways)) for number in range(1, self._clients + 1)]

    def _on_message(self, pipe: Pipe, message: bytes, up: bool) -> None:
        self._judge_streams(pipe, message, up)
        if up:
            said = wording.said_by_client(orders_pb2.SessionRequest.FromString(message))
            self.narrator.tell("client", str(pipe.client.id), f"to gateway {pipe.gateway.id}: {said}")
        elif message:
            said = wording.said_to_client(orders_pb2.SessionResponse.FromString(message))
            self.narrator.tell("gateway", str(pipe.gateway.id), f"to client {pipe.client.id}: {said}")

    def _on_note(self, text: str) -> None:
        line = in_words(text)
        if line is not None:
            self.narrator.tell(*line)

    def _look(self) -> None:
        for host in self.sequencers:
            driver = getattr(host, "driver", None)
            if not host.alive:
                self._dead[host.name] = driver
                self._states.pop(host.name, None)
            if driver is None or driver is self._dead.get(host.name):
                continue
            state = host.machine.state
            before = self._states.get(host.name, State.CANDIDATE)
            if state is not before:
                why = f": {host.machine.why}" if host.machine.why else ""
                self.narrator.tell("sequencer", str(host.id), f"{before.name} -> {state.name}{why}")
                self._states[host.name] = state


class Stage:
    """What a story does with its cluster. Members are named by their numbers."""

    def __init__(self, *, engines: int = 3, clients: int = 1, seed: int = 0) -> None:
        self.cluster = Theatre(engines=engines, clients=clients, seed=seed)
        self.network = self.cluster.network
        self.narrator = self.cluster.narrator
        self._next_order = dict.fromkeys(range(1, clients + 1), 1)

    # ---- the scene -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """A cluster that runs, with accounts and instruments; the story begins behind that."""
        self.start_everybody()
        set_up(self.cluster.clients, self.cluster.kernel.now_ns)
        self.settle()
        self.wait(_SETTLED_MS)
        self.narrator.begin()

    def start_everybody(self) -> None:
        """All processes at once."""
        for engine in self.cluster.engines:
            engine.slowest = lambda: 1 << 60
        for host in self.cluster.hosts.values():
            host.start()

    def say(self, text: str) -> None:
        """What is done to the cluster."""
        self.narrator.tell("--", "", text)

    @property
    def config(self) -> ConfigRecord:
        """As it stands in etcd."""
        record = self.cluster.store.record
        assert record is not None, "no config yet"
        return record

    def sequencer(self, number: int) -> SequencerHost:
        """One of the two."""
        return self.cluster.sequencers[number - 1]

    def engine(self, number: int) -> EngineHost:
        """One of the three."""
        return self.cluster.engines[number - 1]

    def gateway(self, number: int) -> GatewayHost:
        """One of the two."""
        return self.cluster.gateways[number - 1]

    def client(self, number: int = 1) -> ClientHost:
        """One of those who trade."""
        return self.cluster.clients[number - 1]

    # ---- time ----------------------------------------------------------------------------------------------------

    def wait(self, ms: int) -> None:
        """Let so much time pass."""
        kernel = self.cluster.kernel
        kernel.run(kernel.now_ns + ms * MS, lambda: False)

    def until(self, condition: Callable[[], bool], what: str = "it") -> None:
        """Let time pass until something has come."""
        kernel = self.cluster.kernel
        kernel.run(kernel.now_ns + _PATIENCE_NS, condition)
        if not condition():
            raise Violation(f"{what} never came; {self.cluster.why_not_converged()}")

    def settle(self) -> None:
        """Let time pass until everything is answered and every engine is in sync."""
        for _ in range(_PATIENCE_NS // (20 * MS)):
            if not self.cluster.why_not_converged():
                return
            self.wait(20)
        raise Violation(f"not converged: {self.cluster.why_not_converged()}")

    def until_answered(self) -> None:
        """Let time pass until every client has its answers."""
        self.until(lambda: all(client.done for client in self.cluster.clients), "an answer")

    # ---- what is done --------------------------------------------------------------------------------------------

    def order(self, client: int = 1, *, side: Side = Side.BUY, price: int = 100, lots: int = 1) -> None:
        """A client gives an order."""
        number = self._next_order[client]
        self._next_order[client] += 1
        kinds = (int(CommandKind.NEW_ORDER), int(side), int(OrderType.LIMIT), int(TimeInForce.GTC))
        row = (*kinds, 0, 0, client, 1, client * 100_000 + number, 0, price, lots, *_ROW_TAIL)
        host = self.client(client)
        host.owner.flow.append(row)
        host.owner.times_ns.append(self.cluster.kernel.now_ns)
        host.wake()

    def operator(self, sequencer: int, make: Callable[[int], ev.OperatorRequest]) -> None:
        """An operator's request to a sequencer."""
        self.sequencer(sequencer).order(make)

    def cut(self, one: str, others: list[str]) -> Callable[[], None]:
        """Nothing gets from one to the others and back; the remedy."""
        pairs = [pair for other in others for pair in ((one, other), (other, one))]
        self.network.cut(pairs)
        return lambda: self.network.mend(pairs)

    def lose_frames(self, source: str, target: str) -> Callable[[], None]:
        """No frame gets from one to the other; the remedy."""
        self.network.lossy[source, target] = 1_000

        def mend() -> None:
            del self.network.lossy[source, target]

        return mend

    def wipe(self, engine: int) -> None:
        """An engine that is down gets a new, empty disk."""
        self.engine(engine).disk.wipe()
        self.cluster.judge.on_wiped(engine)
