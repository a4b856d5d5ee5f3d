"""How rate, latency and cost change as a cluster gets more of one thing: sessions, instruments, resting orders, rows.

Each point has a cluster of its own and two phases: a steady rate, whose latency and CPU count, then more than the
cluster can do, by clients that do not give what finds no room: what is accepted of that is its rate. Along all axes
but `batch`, a batch leaves every 2.5 ms, of one session after the other: more sessions are more of them, and no more
messages. How many messages a second a cluster can do is another question, which the axis `batch` asks.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from lockstep.bench.cluster import LEFT_OUT, Phase, Target, measure_load, new_seed
from lockstep.bench.load import MIX, LoadPlan
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan

AXES: Final[Mapping[str, tuple[int, ...]]] = {
    "sessions": (1, 4, 16, 64, 256, 1_000, 4_000, 10_000),
    "instruments": (1, 4, 16, 100, 1_000, 5_000),
    "resting": (0, 1_000, 10_000, 100_000, 1_000_000),
    "batch": (1, 4, 16, 64, 256, 1_024),
}
"""Axis -> its points. `batch`: rows that become due between two batches."""
QUICK: Final[Mapping[str, tuple[int, ...]]] = {
    "sessions": (1, 64),
    "instruments": (1, 1_000),
    "resting": (0, 10_000),
    "batch": (4, 256),
}
NOT_COVERED: Final = "followers (engines beyond two, snapshotters beside each engine stay as they are), market data"
_TURN_S: Final = 0.0025
_RATE: Final = 20_000
_TOO_MUCH: Final = 200_000
_GATEWAYS: Final = 2
"""Along the axis of sessions, which are dealt to them: one takes 8 192."""


@dataclass(frozen=True, slots=True)
class GrowthPlan:
    """What to measure."""

    axis: str
    points: tuple[int, ...] = ()
    """Empty: those of `AXES`."""
    implementations: tuple[str, ...] = ("native",)
    duration_s: float = 5.0
    warm_up_s: float = 2.0
    rate: int = _RATE
    too_much: int = _TOO_MUCH


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """A cluster with so much of it."""

    value: int
    offered_per_s: int
    answered_per_s: int
    latency_us: Mapping[str, float]
    cpu_us_per_order: float
    """Of all processes, the load generator's included."""
    accepted_per_s: int
    """Of `too_much`."""
    accepted_p99_us: float
    unanswered: int
    other_cores: float
    """Cores that other programs had meanwhile, in the busier phase."""


@dataclass(frozen=True, slots=True)
class GrowthResult:
    """All points of an axis, and what they mean."""

    axis: str
    points: tuple[GrowthPoint, ...]
    too_much_per_s: int
    mix: str
    left_out: str
    cores: int

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def run_growth_bench(plan: GrowthPlan, say: Callable[[str], None]) -> GrowthResult:
    """Measure each point.

    Raises:
        EnvironmentFault: a cluster does not start, or the load generator fails.
    """
    points = []
    for value in plan.points or AXES[plan.axis]:
        say(f"{plan.axis}: {value}")
        points.append(_point(plan, value))
    left_out = f"{LEFT_OUT}; {NOT_COVERED}"
    mix = f"{MIX}; but for the {plan.axis}"
    return GrowthResult(plan.axis, tuple(points), plan.too_much, mix, left_out, os.cpu_count() or 0)


def _point(plan: GrowthPlan, value: int) -> GrowthPoint:
    by_sessions = plan.axis == "sessions"
    gateways = _GATEWAYS if by_sessions else 1
    with LocalCluster(ClusterPlan(gateways=gateways, implementations=plan.implementations)) as cluster:
        target = Target(tuple(cluster.gateway_addresses), cluster.pids)
        load = LoadPlan(
            "batched", plan.rate, plan.duration_s, plan.warm_up_s,
            turn_s=value / plan.rate if plan.axis == "batch" else _TURN_S,
            addresses=target.addresses, spreads=by_sessions, seed=new_seed(), **_size(plan.axis, value),
        )  # fmt: skip
        steady = _measure(load, target)
        turn_s = value / plan.too_much if plan.axis == "batch" else _TURN_S
        # What rests is there by now.
        over = replace(load, rate=plan.too_much, turn_s=turn_s, sheds=True, seed=new_seed(), resting=0)
        flooded = _measure(over, target)
    return GrowthPoint(
        value=value,
        offered_per_s=steady.offered_per_s,
        answered_per_s=steady.answered_per_s,
        latency_us=steady.latency_us,
        cpu_us_per_order=steady.cpu_us_per_order.get("total", 0.0),
        accepted_per_s=flooded.answered_per_s,
        accepted_p99_us=flooded.latency_us.get("p99", 0.0),
        unanswered=steady.unanswered + flooded.unanswered,
        other_cores=max(steady.other_cores, flooded.other_cores),
    )


def _size(axis: str, value: int) -> dict[str, Any]:
    return {} if axis == "batch" else {axis: value}


def _measure(load: LoadPlan, target: Target) -> Phase:
    return measure_load("lockstep.bench.load", load, target)
