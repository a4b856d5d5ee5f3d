"""What a cluster does when more is offered than it can do: what it accepts, how late that is, what it costs in memory.

First the rate is raised until the cluster does not keep up any more: the highest rate at which it did is saturation.
Then shares and multiples of that are offered, by clients that do not give an order which finds no room when it is due:
the gateways refuse what is too much (BUSY), and a client's room is what they take (`AsyncSession.room`). At the end
the load falls to half of what can be done, and each second shows how soon everything is as before. Then a modest client
offers single orders, first alone and then beside a greedy one that gives all that finds room:
what the modest one notices is how fair the gateways are (`gateway/shares.py`).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from lockstep.bench.cluster import LEFT_OUT, BenchPlan, Phase, Target, measure
from lockstep.bench.load import MIX
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.topology import Client

FACTORS: Final = (0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)
_FIRST_RATE: Final = 20_000
_STEP: Final = 1.25
_STEPS: Final = 16
_TRIES: Final = 2
"""The machine may have been busy with something else when it did not keep up once."""
_KEPT_UP: Final = 0.97
_CALM: Final = 0.5
_MODEST_PER_S: Final = 200
_GREEDY: Final = Client("greedy", token="bench-greedy", number=101, admin=True)  # noqa: S106  # of a cluster that lasts minutes
_MODEST: Final = Client("modest", token="bench-modest", number=102, admin=True)  # noqa: S106
_GREEDY_LONGER_S: Final = 2.0
_MODEST_ACCOUNT: Final = 1_000_000
_WARM_UP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class OverloadPlan:
    """What to measure."""

    implementations: tuple[str, ...] = ("native",)
    duration_s: float = 8.0
    sessions: int = 4
    factors: tuple[float, ...] = FACTORS
    saturation: int = 0
    """Orders a second that the cluster can do; 0: find out."""


@dataclass(frozen=True, slots=True)
class Point:
    """One share or multiple of saturation, offered."""

    factor: float
    offered_per_s: int
    accepted_per_s: int
    """Orders given in the phase and answered by its end: in a short one those under way then are a large part."""
    not_given: int
    """Orders that found no room when they were due, or that the load generator itself would have given late."""
    unanswered: int
    latency_us: Mapping[str, float]
    """Of those accepted, from the time each was due."""


@dataclass(frozen=True, slots=True)
class OverloadResult:
    """What was found, and what it means."""

    saturation_per_s: int
    points: tuple[Point, ...]
    calm: Point
    """Half of saturation, right behind the last factor."""
    recovery_p99_by_second_us: Sequence[int]
    """Its whole seconds; none if the phase was too short for one."""
    modest_alone: Point
    """Of another client, with nobody else about; its factor is that of the greedy one."""
    modest_beside: Point
    """The same client beside a greedy one that offers the highest factor."""
    memory_mb: Mapping[str, tuple[int, int]]
    """By process: resident before the first phase, and at its highest."""
    mix: str
    left_out: str
    cores: int

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def run_overload_bench(plan: OverloadPlan, say: Callable[[str], None]) -> OverloadResult:
    """Find saturation, then offer its shares and multiples.

    Raises:
        EnvironmentFault: the cluster does not start or can't do even the first rate, or the load generator fails.
    """
    say("starting a cluster")
    clients = (_GREEDY, _MODEST)
    with LocalCluster(ClusterPlan(implementations=plan.implementations, clients=clients)) as cluster:
        load = BenchPlan(
            duration_s=plan.duration_s, sessions=plan.sessions, warm_up_s=_WARM_UP_S,
            token=_GREEDY.token, client_number=_GREEDY.number,
        )  # fmt: skip

        target = Target(tuple(cluster.gateway_addresses), cluster.pids)

        def offer(rate: float, *, sheds: bool) -> Phase:
            return measure(replace(load, sheds=sheds), "batched", round(rate), target)

        before = _memory_mb(cluster.pids(), "VmRSS")
        saturation = plan.saturation or _saturation(offer, say)
        points = []
        for factor in plan.factors:
            say(f"offering {factor:g} times {saturation} orders a second")
            points.append(_point(factor, offer(factor * saturation, sheds=True)))
        say("the load falls to half of what can be done")
        phase = offer(_CALM * saturation, sheds=True)
        say("a modest client, alone and then beside a greedy one")
        alone, beside = _modest(load, target, max(plan.factors), saturation)
        highest = _memory_mb(cluster.pids(), "VmHWM")
    memory = {name: (before[name], highest[name]) for name in before if name in highest}
    calm, seconds = _point(_CALM, phase), phase.p99_by_second_us
    return OverloadResult(
        saturation, tuple(points), calm, seconds, alone, beside, memory, MIX, LEFT_OUT, os.cpu_count() or 0
    )


def _modest(load: BenchPlan, target: Target, factor: float, saturation: int) -> tuple[Point, Point]:
    """What a modest client gets, alone and beside a greedy one."""
    plan = replace(load, sessions=1, token=_MODEST.token, client_number=_MODEST.number)

    def offer(account: int) -> Point:
        return _point(factor, measure(replace(plan, first_account=account), "single", _MODEST_PER_S, target))

    alone = offer(_MODEST_ACCOUNT)
    # The greedy one gives from before the modest one begins until after it has ended.
    longer = replace(load, duration_s=load.duration_s + _GREEDY_LONGER_S, sheds=True)
    with ThreadPoolExecutor(1) as pool:
        greedy = pool.submit(measure, longer, "batched", round(factor * saturation), target)
        beside = offer(_MODEST_ACCOUNT + 1_000)
        greedy.result()
    return alone, beside


def _saturation(offer: Callable[..., Phase], say: Callable[[str], None]) -> int:
    rate, kept_up, tries = float(_FIRST_RATE), 0, 0
    for _ in range(_STEPS):
        say(f"looking for saturation: {rate:.0f} orders a second")
        phase = offer(rate, sheds=False)
        tries += 1
        if phase.answered_per_s >= rate * _KEPT_UP:
            kept_up, tries = phase.answered_per_s, 0
            rate *= _STEP
        elif tries == _TRIES:
            break
    if not kept_up:
        raise EnvironmentFault(
            f"this machine does not do {_FIRST_RATE} orders a second; if it is busy with something else, end that, or "
            "name what can be done (--saturation)"
        )
    return kept_up


def _point(factor: float, phase: Phase) -> Point:
    return Point(factor, phase.offered_per_s, phase.answered_per_s, phase.shed, phase.unanswered, phase.latency_us)


def _memory_mb(pids: Mapping[str, int], field: str) -> dict[str, int]:
    """Of each process, as the kernel counts it; those that are gone are left out."""
    found = {}
    for name, pid in pids.items():
        try:
            lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        found[name] = next((int(line.split()[1]) // 1024 for line in lines if line.startswith(field + ":")), 0)
    return found
