"""`lockstep bench peers`: Lockstep beside systems that keep an ordered replicated log, in one run on one machine.

Each system gets the same records at the same times in the same batches, one system after the other, in rounds: what the
machine does meanwhile falls on all. The figures are medians of the rounds in which other programs were quiet, of all
where they never were.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from lockstep.bench.cluster import BenchPlan, Phase, Target, measure, measure_load, new_seed
from lockstep.bench.load import MIX
from lockstep.bench.neighbours import QUIET_CORES, wait_for_quiet
from lockstep.bench.peers.load import PeerLoad
from lockstep.bench.peers.servers import LeftOut
from lockstep.bench.peers.systems import SYSTEMS, system
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.records import COMMAND

LOCKSTEP: Final = "lockstep"
RATES: Final[Mapping[str, int]] = {"single": 1_000, "batched": 100_000}
LEFT_OUT: Final = (
    "what Lockstep does beside keeping the log: it checks, matches and answers each record; the peers store messages, "
    "each one entry however many records it has, and give no record a number; the network (loopback only); failures; "
    "load generators in other languages than Python; all processes share this machine's cores and disk"
)
_LOAD: Final = "load generator"
_SYNCS: Final = 200


@dataclass(frozen=True, slots=True)
class PeersPlan:
    """What to measure."""

    peers: tuple[str, ...] = tuple(SYSTEMS)
    modes: tuple[str, ...] = tuple(RATES)
    rates: Mapping[str, int] | None = None
    """By mode; None: `RATES`."""
    duration_s: float = 8.0
    warm_up_s: float = 2.0
    sessions: int = 4
    rounds: int = 3
    quiet_s: float = 0.0
    """How long to wait at most before each system until other programs are quiet."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One system, one mode: the median of the rounds that count, each figure for itself."""

    system: str
    about: str
    mode: str
    offered_per_s: int
    answered_per_s: float
    unanswered: int
    """Of all rounds."""
    p50_us: float
    p99_us: float
    max_us: float
    servers_us_per_record: float
    """User and system time of all the system's processes."""
    load_us_per_record: float
    """The same of the load generator: what the client costs in Python."""
    other_cores: float
    """Cores that other programs had meanwhile."""
    rounds: int
    """How many count: those in which these were less than `QUIET_CORES`, else all."""
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class PeersResult:
    """All systems, and what the figures mean."""

    figures: tuple[Figures, ...]
    not_measured: Mapping[str, str]
    """Peers that could not be had, and why."""
    sync_us: float
    """Median time of a write of 4 KiB and its sync, on the disk that all systems use, before the first of them."""
    rounds: int
    record_bytes: int
    mix: str
    left_out: str
    cores: int

    def of(self, name: str, mode: str) -> Figures | None:
        """One system's, if it was measured."""
        return next((one for one in self.figures if (one.system, one.mode) == (name, mode)), None)

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def run_peers_bench(plan: PeersPlan, say: Callable[[str], None]) -> PeersResult:
    """Measure Lockstep and each peer, in turn.

    Raises:
        EnvironmentFault: Lockstep's own cluster does not start, or its load generator fails.
    """
    sync_us = _sync_us()
    phases: dict[tuple[str, str], list[Phase]] = {}
    about, missing = {}, {}
    for number in range(plan.rounds):
        for name in (LOCKSTEP, *plan.peers):
            if name in missing:
                continue
            say(f"round {number + 1} of {plan.rounds}: {name}")
            if plan.quiet_s and (cores := wait_for_quiet(plan.quiet_s)) > QUIET_CORES:
                say(f"other programs use {cores:.1f} cores still")
            try:
                about[name], measured = _lockstep(plan) if name == LOCKSTEP else measure_peer(plan, name)
            except LeftOut as reason:
                missing[name] = str(reason)
                say(f"{name} is left out: {reason}")
                continue
            for phase in measured:
                phases.setdefault((name, phase.name), []).append(phase)
    figures = [
        _figures(name, about[name], phases[name, mode])
        for mode in plan.modes
        for name in (LOCKSTEP, *plan.peers)
        if name not in missing
    ]
    cores = os.cpu_count() or 0
    return PeersResult(tuple(figures), missing, sync_us, plan.rounds, COMMAND.itemsize, MIX, LEFT_OUT, cores)


def _offers(plan: PeersPlan) -> Iterator[tuple[str, int]]:
    for mode in plan.modes:
        yield mode, (plan.rates or RATES)[mode]


def _lockstep(plan: PeersPlan) -> tuple[str, list[Phase]]:
    bench = BenchPlan(duration_s=plan.duration_s, warm_up_s=plan.warm_up_s, sessions=plan.sessions)
    with LocalCluster(ClusterPlan(implementations=bench.implementations)) as cluster:
        phases = [measure(bench, mode, rate, Target.local(cluster)) for mode, rate in _offers(plan)]
    return "Lockstep: 2 native engines, ack policy synced", phases


def measure_peer(plan: PeersPlan, name: str) -> tuple[str, list[Phase]]:
    """What it is, and its phases.

    Raises:
        LeftOut: it can't be measured here.
    """
    peer = system(name)
    with tempfile.TemporaryDirectory(prefix=f"lockstep-{name}-") as folder, peer.running(Path(folder)) as running:
        target = Target((), running.pids)
        phases = []
        for mode, rate in _offers(plan):
            load = PeerLoad(
                mode, rate, plan.duration_s, plan.warm_up_s,
                peer=name, where=running.where, sessions=plan.sessions, seed=new_seed(),
            )  # fmt: skip
            try:
                phases.append(measure_load("lockstep.bench.peers.load", load, target))
            except EnvironmentFault as fault:
                raise LeftOut(f"{mode}: {fault}") from fault
    return running.about, phases


def _figures(name: str, about: str, measured: list[Phase]) -> Figures:
    phases = [phase for phase in measured if phase.other_cores < QUIET_CORES] or measured
    loads = [phase.cpu_us_per_order.get(_LOAD, 0.0) for phase in phases]
    totals = [phase.cpu_us_per_order.get("total", 0.0) for phase in phases]
    p50, p99, longest = (median(phase.latency_us.get(key, 0.0) for phase in phases) for key in ("p50", "p99", "max"))
    return Figures(
        system=name,
        about=about,
        mode=phases[0].name,
        offered_per_s=phases[0].offered_per_s,
        answered_per_s=median(phase.answered_per_s for phase in phases),
        unanswered=sum(phase.unanswered for phase in measured),
        p50_us=p50,
        p99_us=p99,
        max_us=longest,
        servers_us_per_record=round(median(t - load for t, load in zip(totals, loads, strict=True)), 2),
        load_us_per_record=round(median(loads), 2),
        other_cores=median(phase.other_cores for phase in phases),
        rounds=len(phases),
        phases=tuple(measured),
    )


def _sync_us() -> float:
    with tempfile.NamedTemporaryFile(prefix="lockstep-sync-") as file:
        took = []
        for _ in range(_SYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return round(median(took) * 1e6, 1)
