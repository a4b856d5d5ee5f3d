"""The simulated cluster: all processes of one topology, drawn from the seed, in one world."""

from pathlib import Path
from random import Random

from lockstep.replica.effects import Role
from lockstep.runtime.topology import Limits, Member, ProcessKind, Timing, Topology
from lockstep.sequencer.states import State
from lockstep.trials.simulation.callers import Callers
from lockstep.trials.simulation.client_host import ClientHost
from lockstep.trials.simulation.client_losses import ClientLosses
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.enquiries import Enquiries
from lockstep.trials.simulation.gateway_host import GatewayHost
from lockstep.trials.simulation.host import Host
from lockstep.trials.simulation.judge import Judge
from lockstep.trials.simulation.kernel import MS, Kernel
from lockstep.trials.simulation.network import Network
from lockstep.trials.simulation.sequencer_host import SequencerHost
from lockstep.trials.simulation.snapshot_round import DiskLoss, SnapshotRound
from lockstep.trials.simulation.store import Store
from lockstep.trials.simulation.stream_judge import StreamJudge
from lockstep.trials.simulation.watching import Watching
from lockstep.trials.simulation.world import World

_KINDS = {"sequencer": ProcessKind.SEQUENCER, "engine": ProcessKind.ENGINE, "gateway": ProcessKind.GATEWAY}


class Cluster(World):
    """See the module. `trials/stories` has one of a fixed size whose parts write down what they do."""

    network_type: type[Network] = Network
    judge_type: type[Judge] = Judge
    sequencer_type: type[SequencerHost] = SequencerHost
    engine_type: type[EngineHost] = EngineHost
    gateway_type: type[GatewayHost] = GatewayHost

    def __init__(self, kernel: Kernel, *, encode: bool) -> None:
        self.kernel = kernel
        self.hosts = {}
        self.network = self.network_type(kernel, encode=encode)
        self.topology = self.plan_topology()
        self.store = Store(self)
        self.watching = Watching(self)
        self.judge = self.judge_type(self)
        self.stream_judge = StreamJudge(self.judge)
        self.network.on_stream_message = self.stream_judge.on_message
        self.network.on_cut_change = self.watching.on_cut_change
        topology = self.topology
        self.sequencers = [self.sequencer_type(self, member.id) for member in topology.sequencers]
        self.engines = [self.engine_type(self, member.id) for member in topology.engines]
        self.gateways = [self.gateway_type(self, member.id) for member in topology.gateways]
        self.clients = self.make_clients([member.id for member in topology.gateways])
        self.enquiries = Enquiries(self, self.clients, self.gateways)
        self.callers = Callers(self, self.gateways)
        processes: list[Host] = [*self.sequencers, *self.engines, *self.gateways, *self.clients]
        self.hosts = {host.name: host for host in processes}
        clocks = Random(kernel.seed)  # noqa: S311 - repeatable on purpose
        for sequencer in self.sequencers:
            sequencer.set_clock(clocks.randint(-5_000, 5_000) * MS)

    def plan_topology(self) -> Topology:
        """Its members and limits."""
        return _draw_topology(self.kernel)

    def make_clients(self, gateways: list[int]) -> list[ClientHost]:
        """Those who trade, each with the gateways in the order in which it tries them."""
        kernel, clients = self.kernel, []
        for number in range(1, kernel.between(2, 4) + 1):
            addresses = gateways if kernel.chance(1, 2) else gateways[::-1]
            clients.append(ClientHost(self, number, tuple(addresses)))
        return clients

    def start(self) -> None:
        """Start every process, at about the same time."""
        for engine in self.engines:
            engine.slowest = self._slowest
        SnapshotRound(self.kernel, self.engines, self._slowest).begin()
        DiskLoss(self, self.engines, self.is_growing).begin()
        ClientLosses(self, self.clients).begin()
        self.enquiries.begin()
        self.callers.begin()
        for host in self.hosts.values():
            if host.kind != "client":
                self.kernel.after(self.kernel.between(0, 60_000_000), host.start)
        for client in self.clients:
            client.start()

    def add_client(self, client: ClientHost) -> None:
        """One that comes late."""
        self.clients.append(client)
        self.hosts[client.name] = client
        client.start()

    @property
    def cut_seq(self) -> int:
        """Up to where an engine's journal was cut."""
        return max(engine.disk.base_seq for engine in self.engines)

    def is_growing(self, engine: int) -> bool:
        """Whether a leader is about to admit this engine."""
        for host in self.sequencers:
            if not host.alive:
                continue
            reign, flight = host.machine.reign, host.machine.config_store.in_flight
            if reign is not None and reign.membership.growth is not None:
                return True
            if flight is not None and engine in flight.record.in_sync:
                return True
        return False

    def _slowest(self) -> int:
        """Up to which seq every gateway and every client has received everything."""
        delivered = [client.owner.delivered_seq for client in self.clients]
        return min(delivered + [gateway.machine.delivered_seq if gateway.life else 0 for gateway in self.gateways])

    def why_not_converged(self) -> str:
        """What is missing until everything is answered and every engine is in sync; empty if nothing is."""
        for client in self.clients:
            if client.failure is None and not client.done:
                machine = client.machine
                return (
                    f"{client.name} has {len(client.owner.flow)} pieces to give and {machine.unanswered} commands "
                    f"unanswered (state {machine.state.value}, first {machine.first_unanswered})"
                )
        waits = self.callers.why_not_done()
        if waits:
            return waits
        leaders = [host for host in self.sequencers if host.alive and host.machine.state is State.LEADER]
        if len(leaders) != 1:
            return f"{len(leaders)} sequencers lead: " + "; ".join(
                f"{host.name} {host.machine.state.value} ({host.machine.why})" for host in self.sequencers
            )
        config = self.store.record
        everybody = tuple(engine.id for engine in self.engines)
        if config is None or config.in_sync != everybody:
            learners = [
                f"{engine.name}: {engine.machine.replica_state.why()}"
                for engine in self.engines
                if config and engine.id not in config.in_sync
            ]
            return f"in sync are {config.in_sync if config else ()}, not {everybody}; {learners}"
        reign = leaders[0].machine.reign
        tip = reign.window.tip if reign is not None else 0
        for engine in self.engines:
            replica = engine.machine.replica_state
            if replica.committed_seq != tip or replica.applied_seq != tip:
                return f"{engine.name} has applied {replica.applied_seq} and committed {replica.committed_seq} of {tip}"
            if replica.role is Role.LEARNER:
                return f"{engine.name} takes itself for a learner: {replica.why()}"
        for gateway in self.gateways:
            if gateway.machine.delivered_seq != tip:
                return f"{gateway.name} has delivered {gateway.machine.delivered_seq} of {tip}"
        return ""


def members(kind: str, count: int) -> tuple[Member, ...]:
    """So many processes of a kind."""
    return tuple(Member(_KINDS[kind], number, "sim", 0, 0) for number in range(1, count + 1))


def _draw_topology(kernel: Kernel) -> Topology:
    window = 65_536 if kernel.chance(2, 3) else kernel.between(16, 200)
    return Topology(
        name="simulated",
        etcd_endpoints=("simulated",),
        aeron_dir=Path("simulated"),
        sequencers=members("sequencer", kernel.between(2, 3)),
        engines=members("engine", kernel.between(2, 3)),
        gateways=members("gateway", kernel.between(1, 2)),
        limits=Limits(
            window_commands=window,
            retransmit_commands=262_144 if kernel.chance(2, 3) else kernel.between(16, 128),
            batch_commands=kernel.between(4, 64),
            session_credit=20_000 if kernel.chance(2, 3) else kernel.between(8, 64),
            event_window_commands=65_536 if kernel.chance(1, 2) else 32,
        ),
        timing=Timing(receipt_ms=kernel.between(20, 60), bootstrap_ms=1_000, etcd_timeout_ms=kernel.between(100, 1000)),
    )
