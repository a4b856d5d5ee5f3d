"""Open-loop load on a whole cluster: latency from the time an order was due, throughput, CPU of each process.

The load generator is a process of its own (this module run with `python -m`), so that its garbage collection and the
supervisor's questions don't share an interpreter; it shares the machine's cores with the cluster all the same, which
the result says.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from lockstep.bench.hops import Look
from lockstep.bench.load import MIX, TOKEN_VARIABLE, LoadPlan
from lockstep.bench.machine_watch import MachineStalls, MachineWatch
from lockstep.bench.neighbours import busy_s
from lockstep.bench.offering import Pace
from lockstep.bench.ouch_load import MIX as OUCH_MIX
from lockstep.bench.ouch_load import OuchPlan
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.realtime import give_realtime, require_realtime
from lockstep.runtime.tls.authority import CA
from lockstep.runtime.topology import Principal, Timing

LEFT_OUT: Final = (
    "the network (loopback only), other machines' clocks and disks, market data subscribers; load generator, etcd and "
    "all processes share this machine's cores"
)
_DEFAULT_RATES: Final = {"single": 1_000, "batched": 30_000}
_WARM_UP_S: Final = 2.0
_SATURATION_STEP: Final = 1.4
_SATURATION_STEPS: Final = 10
_KEPT_UP: Final = 0.97
_TRADER: Final = Principal(name="bench", token=secrets.token_hex(16), number=1, admin=True)
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
    warm_up_s: float = _WARM_UP_S
    sheds: bool = False
    """See `LoadPlan`."""
    token: str | None = None
    client_number: int | None = None
    first_account: int = 0
    """The last three: see `LoadPlan`."""
    security: str = "plain"
    """Of the cluster that is started: `plain`; `tls`: certificates, no seals; `sealed`: seals on every link as well."""
    door: str = "grpc"
    """`grpc` or `ouch`: which way orders come."""
    realtime: bool = False
    """Whether the cluster that is started, and the load, are scheduled in real time (`runtime.realtime`)."""


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
    """By process, user and system, and their sum as "total"; only for a cluster that was started for this."""
    hops_us: Mapping[str, Mapping[str, float]]
    """Hop -> p50, p99, mean (`hops.py`); as the former."""
    refused: Mapping[str, int]
    fills: int
    shed: int = 0
    """Orders that were not given, since the gateways took no more; only where the load sheds."""
    other_cores: float = 0.0
    """Cores that were busy with other programs than those whose CPU is reported, on average."""

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


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster that the load falls upon."""

    addresses: tuple[str, ...]
    pids: Callable[[], dict[str, int]] = dict
    """The processes whose CPU is reported."""
    metrics: tuple[str, ...] = ()
    """host:port of the processes' figures."""
    doors: tuple[str, ...] = ()
    """Binary doors of the gateways."""
    ca_file: str = ""
    """Where gateways speak TLS."""
    realtime_priority: int = 0
    """Of the load generator, too."""

    @classmethod
    def local(cls, cluster: LocalCluster) -> "Target":
        """A cluster on this machine, with all that can be known of it."""
        parts = cluster.topology
        known = cls(
            tuple(cluster.gateway_addresses),
            cluster.pids,
            doors=cluster.soup_addresses,
            realtime_priority=parts.timing.realtime_priority,
        )
        if parts.tls.on:
            # Figures are behind TLS and a role there, and the hops are left out.
            return replace(known, ca_file=str(parts.tls.cert_dir / CA))
        members = (*parts.gateways, *parts.sequencers, *parts.engines)
        return replace(known, metrics=tuple(f"{one.host}:{one.metrics_port}" for one in members))


def run_bench(plan: BenchPlan, say: Callable[[str], None]) -> BenchResult:
    """Run all phases.

    Raises:
        EnvironmentFault: the cluster does not start, or the load generator fails.
    """
    if plan.addresses:
        phases = _phases(plan, Target(plan.addresses), say)
    else:
        say("starting a cluster")
        timing = Timing(realtime_priority=int(plan.realtime))
        if plan.realtime:
            require_realtime(timing.realtime_priority)
        wanted = ClusterPlan(implementations=plan.implementations, soup=plan.door == "ouch", timing=timing)
        if plan.security != "plain":
            seal = "all" if plan.security == "sealed" else "none"
            wanted = replace(wanted, secure=True, seal=seal, clients=(_TRADER,))
            plan = replace(plan, token=_TRADER.token, client_number=_TRADER.number)
        with LocalCluster(wanted) as cluster:
            phases = _phases(plan, Target.local(cluster), say)
    engines = "" if plan.addresses else f"; matching engines: {', '.join(plan.implementations)}"
    mix = OUCH_MIX if plan.door == "ouch" else MIX
    return BenchResult(tuple(phases), mix + engines, LEFT_OUT, os.cpu_count() or 0)


def _phases(plan: BenchPlan, target: Target, say: Callable[[str], None]) -> list[Phase]:
    phases = []
    for mode in plan.modes:
        rate = _DEFAULT_RATES[mode] if plan.rate is None else plan.rate
        say(f"{mode}: {rate} orders a second for {plan.duration_s:g} s")
        phases.append(measure(plan, mode, rate, target))
    rate = phases[-1].offered_per_s if phases else _DEFAULT_RATES["batched"]
    for _ in range(_SATURATION_STEPS if plan.saturate else 0):
        rate = round(rate * _SATURATION_STEP)
        say(f"saturation: {rate} orders a second")
        phases.append(measure(plan, "batched", rate, target))
        if phases[-1].answered_per_s < rate * _KEPT_UP:
            break
    return phases


class _Beside:
    """What the cluster and the machine do during a phase."""

    def __init__(self, target: Target, generator: int, look: Look) -> None:
        """`generator`: pid of the load generator. `look`: at the processes' figures, shortly before."""
        self._target = target
        self._generator = generator
        self._look = look
        self._watch = MachineWatch()
        self._before = self._cpu()
        self._busy_s, self._began = busy_s(), time.monotonic()
        self.other_cores = 0.0
        self.stalls: MachineStalls | None = None
        self.cpu_s: dict[str, float] = {}
        self.hops: dict[str, dict[str, float]] = {}

    def _cpu(self) -> dict[str, float]:
        return _cpu_seconds({**self._target.pids(), "load generator": self._generator})

    def end(self) -> None:
        """The phase is over."""
        after = self._cpu()
        busy, seconds = busy_s() - self._busy_s, time.monotonic() - self._began
        self.stalls = self._watch.stop()
        self.cpu_s = {name: after[name] - self._before[name] for name in after if name in self._before}
        self.cpu_s["total"] = sum(self.cpu_s.values())
        self.other_cores = round(max(0.0, busy - self.cpu_s["total"]) / seconds, 2)

    def look(self) -> None:
        """Every answer has come: nobody is disturbed any more."""
        self.hops = Look(self._target.metrics).since(self._look)


def measure(plan: BenchPlan, mode: str, rate: int, target: Target) -> Phase:
    """One phase of orders at a cluster.

    Raises:
        EnvironmentFault: the load generator fails.
    """
    if plan.door == "ouch":
        ouch = OuchPlan(
            mode, rate, plan.duration_s, plan.warm_up_s, plan.sheds,
            addresses=target.addresses, doors=target.doors, sessions=plan.sessions, seed=new_seed(),
        )  # fmt: skip
        return measure_load("lockstep.bench.ouch_load", ouch, target)
    load = LoadPlan(
        mode, rate, plan.duration_s, plan.warm_up_s, plan.sheds,
        addresses=target.addresses, sessions=plan.sessions, seed=new_seed(),
        token=plan.token, client_number=plan.client_number, first_account=plan.first_account,
        ca_file=target.ca_file,
    )  # fmt: skip
    return measure_load("lockstep.bench.load", load, target)


def new_seed() -> int:
    """Of a phase: accounts and orders of two phases differ."""
    return time.time_ns() % 2**31


def measure_load(module: str, load: Pace, target: Target) -> Phase:
    """One phase: the load generator, a module, runs, and the target's processes are looked at before and after.

    Raises:
        EnvironmentFault: the load generator fails.
    """
    # Its end of our pipe shows the generator that we have ended, however that came.
    said = asdict(load)
    token = {TOKEN_VARIABLE: said.pop("token")} if said.get("token") else {}
    process = subprocess.Popen(
        [sys.executable, "-m", module, json.dumps(said)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # What a client that cares for its own CPU would set (clients/python/README.md).
        env={**os.environ, "GRPC_EXPERIMENTS": "-event_engine_client", **token},
    )
    assert process.stdout is not None
    look = Look(())
    beside: _Beside | None = None
    result: dict[str, Any] = {}
    with process, process.stdout:
        for line in process.stdout:
            message = json.loads(line)
            if message["event"] == "warming up":
                look = Look(target.metrics)
                if target.realtime_priority:
                    give_realtime(process.pid, target.realtime_priority)
            elif message["event"] == "measuring":
                beside = _Beside(target, process.pid, look)
            elif message["event"] == "measured" and beside is not None:
                beside.end()
            else:
                result = message
                if beside is not None:
                    beside.look()
        code = process.wait()
    if code or not result or beside is None:
        raise EnvironmentFault(f"the load generator ended with exit code {code}; its messages are above")
    orders = result["orders"]
    return Phase(
        name=load.mode,
        offered_per_s=load.rate,
        sent_per_s=round(orders / result["seconds"]),
        answered_per_s=round(result["answered_in_time"] / result["seconds"]),
        orders=orders,
        unanswered=result["unanswered"],
        latency_us=result["latency_us"],
        p99_by_second_us=result["p99_by_second_us"],
        machine_stalls=beside.stalls,
        cpu_us_per_order={n: round(seconds * 1e6 / orders, 2) for n, seconds in beside.cpu_s.items()} if orders else {},
        hops_us=beside.hops,
        refused=result["refused"],
        fills=result["fills"],
        shed=result["shed"],
        other_cores=beside.other_cores,
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
