"""How long clients hear nothing when the primary or the leading sequencer is killed, hangs, or is relieved.

One cluster, one steady flow of orders, one fault after the other in turn, each once the cluster is whole again. The
silence is what all clients together heard nothing for; one that touches the half second after the fault counts whole.
Later silences are the restart of the dead process, which shares this machine's cores with everybody else; they are
left out, and the result says so.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

import numpy as np

from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.operator.calls import change
from lockstep.reconciler.proof import longest_silence
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.realtime import require_realtime, take_realtime
from lockstep.runtime.topology import Timing
from lockstep.trials.demo import INSTRUMENTS, fund, wait_whole
from lockstep.trials.demo_trader import Tape, Trader, trading
from lockstep.v1 import cluster_pb2

FAULTS: Final[Mapping[str, tuple[str, float]]] = {
    "kill_primary": ("kill -9 of the primary engine", 100.0),
    "kill_sequencer": ("kill -9 of the leading sequencer", 100.0),
    "hang_primary": ("SIGSTOP of the primary engine", 300.0),
    "hang_sequencer": ("SIGSTOP of the leading sequencer", 300.0),
    "switchover": ("planned switchover to the standby", 50.0),
}
"""In words, and the budget for the 99th percentile in milliseconds."""
LEFT_OUT: Final = (
    "the network between hosts; silences that begin later than half a second after the fault (the restart of the "
    "process on the same cores); clients, etcd and all processes share this machine's cores"
)
_TRADERS: Final = 4
_ROWS: Final = 6
_CALM_S: Final = 1.0
_SETTLED_S: Final = 3.5
"""Before something hangs: who has just been started again would be given more time (`sequencer/patience.py`)."""
_HUNG_S: Final = 2.0
_DRAIN_S: Final = 20.0
_PATIENCE_S: Final = 90.0
"""Until a killed process is back, which on a busy host has to wait for those that are scheduled in real time."""


@dataclass(frozen=True, slots=True)
class FailoverPlan:
    """What to do how often."""

    implementations: tuple[str, ...] = ("native",)
    rounds: int = 5
    """Times that each fault happens."""
    faults: tuple[str, ...] = tuple(FAULTS)
    rate: int = 3000
    """Orders a second, of all sessions together."""
    realtime: bool = False
    """Whether cluster and load are scheduled in real time (`runtime.realtime`)."""


@dataclass(frozen=True, slots=True)
class FailoverFigures:
    """The silences of one fault, in milliseconds."""

    what: str
    silences_ms: tuple[float, ...]
    p50_ms: float
    p99_ms: float
    max_ms: float
    budget_p99_ms: float

    @property
    def within_budget(self) -> bool:
        """Whether the 99th percentile is."""
        return self.p99_ms <= self.budget_p99_ms


@dataclass(frozen=True, slots=True)
class FailoverResult:
    """All faults, and what became of the orders."""

    figures: Mapping[str, FailoverFigures]
    usual_p99_ms: float
    """Of the silences between reports when nothing happened."""
    orders: int
    unanswered: int
    refused_by_gateways: int
    """Times that a gateway asked a client to wait and send again."""

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            **{name: asdict(row) for name, row in self.figures.items()},
            "usual_p99_ms": self.usual_p99_ms,
            "orders": self.orders,
            "unanswered": self.unanswered,
            "refused_by_gateways": self.refused_by_gateways,
            "left_out": LEFT_OUT,
        }


def run_failover_bench(plan: FailoverPlan, say: Callable[[str], None]) -> FailoverResult:
    """Start a cluster, let it trade, and do to it what the plan says.

    Raises:
        EnvironmentFault: the cluster does not start, or does not become whole again in time.
    """
    timing = Timing(realtime_priority=int(plan.realtime))
    if plan.realtime:
        require_realtime(timing.realtime_priority)
    say("starting a cluster")
    with LocalCluster(ClusterPlan(implementations=plan.implementations, timing=timing)) as cluster:
        if plan.realtime:
            take_realtime(timing.realtime_priority)
        return asyncio.run(_measure(plan, cluster, say))


async def _measure(plan: FailoverPlan, cluster: LocalCluster, say: Callable[[str], None]) -> FailoverResult:
    tape = Tape()
    numbers = tuple(number for number, _ in INSTRUMENTS)
    traders = [Trader(account=i + 1, instruments=numbers, seed=i, tape=tape) for i in range(_TRADERS)]
    happened: list[tuple[str, int]] = []
    async with AsyncClient(cluster.gateway_addresses) as client:
        await fund(client, _TRADERS)
        for trader in traders:
            await trader.open(client)
        async with trading(traders, rate=plan.rate, rows=_ROWS):
            for number in range(plan.rounds):
                for fault in plan.faults:
                    await wait_whole(cluster, f"before {fault}", _PATIENCE_S)
                    await asyncio.sleep(_SETTLED_S if fault.startswith("hang") else _CALM_S)
                    happened.append((fault, await _do(cluster, fault)))
                say(f"round {number + 1} of {plan.rounds} done")
            await wait_whole(cluster, "after the last fault", _PATIENCE_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.gather(*(trader.drain(_DRAIN_S) for trader in traders))
        unanswered = sum(trader.unanswered for trader in traders)
        refused = sum(trader.refusals for trader in traders)
        for trader in traders:
            await trader.close()
    return _sum_up(plan, tape, happened, sum(trader.sent for trader in traders), unanswered, refused)


async def _do(cluster: LocalCluster, fault: str) -> int:
    """Do it; when it happened, on the monotonic clock."""
    kind, _, role = fault.partition("_")
    if kind == "switchover":
        return await asyncio.to_thread(_switch, cluster)
    process = await asyncio.to_thread(cluster.find, role)
    at_ns = time.monotonic_ns()
    if kind == "kill":
        await asyncio.to_thread(cluster.kill, process)
        # Questions about the recovery must not disturb what is measured.
        await asyncio.sleep(_CALM_S)
    else:
        cluster.signal(process, signal.SIGSTOP)
        await asyncio.sleep(_HUNG_S)
        cluster.signal(process, signal.SIGCONT)
    return at_ns


def _switch(cluster: LocalCluster) -> int:
    leader = cluster.status().leader()
    standby = cluster.find("standby")
    if leader is None:
        raise EnvironmentFault("no sequencer leads the cluster before the switchover")
    at_ns = time.monotonic_ns()
    request = cluster_pb2.SwitchPrimaryRequest(to=int(standby.rpartition("-")[2]))
    change(leader.address, "SwitchPrimary", request)
    time.sleep(_CALM_S)
    return at_ns


def _sum_up(
    plan: FailoverPlan, tape: Tape, happened: list[tuple[str, int]], orders: int, unanswered: int, refused: int
) -> FailoverResult:
    times = [at_ns for _, at_ns in happened]
    figures: dict[str, FailoverFigures] = {}
    usual = 0.0
    for fault in plan.faults:
        what, budget_ms = FAULTS[fault]
        silences = []
        for name, at_ns in happened:
            if name == fault:
                gap = longest_silence(tape.arrivals_ns, at_ns, others_ns=[t for t in times if t != at_ns])
                silences.append(round(gap.around_ns / 1e6, 1))
                usual = gap.usual_p99_ns / 1e6
        # Of a few silences the 99th percentile is the longest.
        p99 = float(np.percentile(silences, 99, method="higher"))
        figures[fault] = FailoverFigures(
            what, tuple(silences), round(median(silences), 1), p99, max(silences), budget_ms
        )
    return FailoverResult(figures, round(usual, 1), orders, unanswered, refused)
