"""Open-loop load on a whole cluster: latency from the time an order was due, throughput, CPU of each process.

The load generator is a process of its own (this module run with `python -m`), so that its garbage collection and the
supervisor's questions don't share an interpreter; it shares the machine's cores with the cluster all the same, which
the result says.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from lockstep.bench.load import MIX, LoadPlan
from lockstep.bench.machine_watch import MachineStalls, MachineWatch
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.process import EnvironmentFault

LEFT_OUT: Final = (
    "the network (loopback only), other machines' clocks and disks, market data subscribers; load generator, etcd and "
    "all processes share this machine's cores"
)
_DEFAULT_RATES: Final = {"single": 1_000, "batched": 30_000}
_WARM_UP_S: Final = 2.0
_SATURATION_STEP: Final = 1.4
_SATURATION_STEPS: Final = 10
_KEPT_UP: Final = 0.97
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What to measure."""

    implementations: tuple[str, ...] = ("native",)
    """Matching engines of the cluster that is started, in turn."""
    rate: int | None = None
    duration_s: float = 10.0
    modes: tuple[str, ...] = ("single", "batched")
    sessions: int = 4
    saturate: bool = False
    addresses: tuple[str, ...] = ()
    """Gateways of a running cluster; empty: start one."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One measured phase."""

    name: str
    offered_per_s: int
    sent_per_s: int
    answered_per_s: int
    orders: int
    unanswered: int
    latency_us: Mapping[str, float]
    p99_by_second_us: Sequence[int]
    machine_stalls: MachineStalls | None
    """The machine's own, which no cluster can do anything about; None: could not be seen (no real-time priority)."""
    cpu_us_per_order: Mapping[str, float]
    """By process, user and system; only for a cluster that was started for this."""
    refused: Mapping[str, int]
    fills: int

    @property
    def usual_p99_us(self) -> float:
        """Median of the p99 of the single seconds: what a second without a stall of the machine looks like."""
        return median(self.p99_by_second_us) if self.p99_by_second_us else 0.0


@dataclass(frozen=True, slots=True)
class BenchResult:
    """All phases, and what the figures mean."""

    phases: tuple[Phase, ...]
    mix: str
    left_out: str
    cores: int

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def run_bench(plan: BenchPlan, say: Callable[[str], None]) -> BenchResult:
    """Run all phases.

    Raises:
        EnvironmentFault: the cluster does not start, or the load generator fails.
    """
    if plan.addresses:
        phases = _phases(plan, plan.addresses, dict, say)
    else:
        say("starting a cluster")
        with LocalCluster(ClusterPlan(implementations=plan.implementations)) as cluster:
            phases = _phases(plan, cluster.gateway_addresses, cluster.pids, say)
    engines = "" if plan.addresses else f"; matching engines: {', '.join(plan.implementations)}"
    return BenchResult(tuple(phases), MIX + engines, LEFT_OUT, os.cpu_count() or 0)


def _phases(
    plan: BenchPlan, addresses: Sequence[str], pids: Callable[[], dict[str, int]], say: Callable[[str], None]
) -> list[Phase]:
    phases = []
    for mode in plan.modes:
        rate = _DEFAULT_RATES[mode] if plan.rate is None else plan.rate
        say(f"{mode}: {rate} orders a second for {plan.duration_s:g} s")
        phases.append(_measure(plan, mode, rate, addresses, pids))
    rate = phases[-1].offered_per_s if phases else _DEFAULT_RATES["batched"]
    for _ in range(_SATURATION_STEPS if plan.saturate else 0):
        rate = round(rate * _SATURATION_STEP)
        say(f"saturation: {rate} orders a second")
        phases.append(_measure(plan, "batched", rate, addresses, pids))
        if phases[-1].answered_per_s < rate * _KEPT_UP:
            break
    return phases


def _measure(
    plan: BenchPlan, mode: str, rate: int, addresses: Sequence[str], pids: Callable[[], dict[str, int]]
) -> Phase:
    load = LoadPlan(tuple(addresses), mode, rate, plan.duration_s, _WARM_UP_S, plan.sessions, time.time_ns() % 2**31)
    # Its end of our pipe tells the generator that we have ended, however that came.
    process = subprocess.Popen(
        [sys.executable, "-m", "lockstep.bench.load", json.dumps(asdict(load))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # What a client that cares for its own CPU would set (clients/python/README.md).
        env={**os.environ, "GRPC_EXPERIMENTS": "-event_engine_client"},
    )
    assert process.stdout is not None
    with process, process.stdout:
        before: dict[str, float] = {}
        result: dict[str, Any] = {}
        cpu: dict[str, float] = {}
        watch: MachineWatch | None = None
        stalls: MachineStalls | None = None
        for line in process.stdout:
            message = json.loads(line)
            watched = {**pids(), "load generator": process.pid}
            if message["event"] == "measuring":
                watch = MachineWatch()
                before = _cpu_seconds(watched)
            elif message["event"] == "measured":
                after = _cpu_seconds(watched)
                stalls = watch.stop() if watch is not None else None
                cpu = {name: after[name] - before[name] for name in after if name in before}
            else:
                result = message
        code = process.wait()
    if code or not result:
        raise EnvironmentFault(f"the load generator ended with exit code {code}; its messages are above")
    orders = result["orders"]
    return Phase(
        name=f"{mode}",
        offered_per_s=rate,
        sent_per_s=round(orders / result["seconds"]),
        answered_per_s=round(result["answered_in_time"] / result["seconds"]),
        orders=orders,
        unanswered=result["unanswered"],
        latency_us=result["latency_us"],
        p99_by_second_us=result["p99_by_second_us"],
        machine_stalls=stalls,
        cpu_us_per_order={name: round(seconds * 1e6 / orders, 2) for name, seconds in cpu.items()} if orders else {},
        refused=result["refused"],
        fills=result["fills"],
    )


def _cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """User and system time of each process so far; those that are gone are left out."""
    seconds = {}
    for name, pid in pids.items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            continue
        seconds[name] = (int(fields[11]) + int(fields[12])) / _TICKS
    return seconds
