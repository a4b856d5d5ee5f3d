"""`lockstep bench feed-crowd`: what a crowd of readers does to others, on one cluster with one feed.

Three questions, each asked with and without in turn, so that a noisy machine is noisy for both:

- One reader stops reading: how much later do the others get theirs?
- As many orders as the cluster takes: how many are left of them beside the crowd?
- All readers lose their connection at one moment: how long until the last has its books again?
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from lockstep.bench.child import Child, tell_all
from lockstep.bench.feed import shares
from lockstep.bench.load import LoadPlan
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.process import EnvironmentFault

_SESSIONS: Final = 4
_SETTLE_S: Final = 1.0
_LONGEST_S: Final = 1_800.0
"""The load goes on until nobody needs it; so long at the most."""
_SATURATION: Final = 100_000
"""Orders a second that are offered where it is asked how many are taken."""


@dataclass(frozen=True, slots=True)
class CrowdPlan:
    """How much of everything."""

    implementations: tuple[str, ...]
    subscribers: int = 1_000
    instruments: int = 10
    rate: int = 10_000
    """Orders a second, but where as many are given as are taken."""
    interval_ms: int = 100
    phase_s: float = 5.0
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class CrowdResult:
    """One value for each round, and what they come to."""

    subscribers: int
    p99_ms: list[float]
    """Of the delay of all readers, who all read."""
    p99_beside_stalled_ms: list[float]
    stalled_moves: float
    """The second's median by the first's."""
    orders_per_s_alone: list[int]
    orders_per_s_beside: list[int]
    orders_kept: float
    """The second's median by the first's."""
    reconnect_s: list[float]
    """From the loss of all connections until the last reader had its first frame."""
    turned_away: int
    """Handshakes that the feed refused, so many came at once; they came again."""
    checksum_errors: int
    gaps: int
    closed: list[str]
    """Why connections of readers ended while they were measured, if any did."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_crowd_bench(plan: CrowdPlan, say: Callable[[str], None]) -> CrowdResult:
    """Start a cluster with one feed, and ask.

    Raises:
        EnvironmentFault: a process of it fails.
    """
    with (
        LocalCluster(ClusterPlan(feeds=1, implementations=plan.implementations, restart=False)) as cluster,
        contextlib.ExitStack() as stack,
    ):
        (feed,) = cluster.topology.feeds
        readers = [
            Child(stack, "lockstep.bench.feed_readers", one)
            for one in shares(plan.subscribers, plan.interval_ms, feed.host, feed.http_port)
        ]
        crowd = _Crowd(plan, cluster, readers, say)
        alone, beside = crowd.count_orders()
        with crowd.load(plan.rate):
            calm, stalled = crowd.stall_one()
            again = crowd.lose_all()
    return CrowdResult(
        subscribers=plan.subscribers,
        p99_ms=calm,
        p99_beside_stalled_ms=stalled,
        stalled_moves=round(median(stalled) / median(calm), 3) if median(calm) else 0.0,
        orders_per_s_alone=alone,
        orders_per_s_beside=beside,
        orders_kept=round(median(beside) / median(alone), 3) if median(alone) else 0.0,
        reconnect_s=again,
        turned_away=crowd.turned_away,
        checksum_errors=crowd.checksum_errors,
        gaps=crowd.gaps,
        closed=sorted(crowd.closed),
    )


class _Crowd:
    def __init__(
        self, plan: CrowdPlan, cluster: LocalCluster, readers: list[Child], say: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._cluster = cluster
        self._readers = readers
        self._say = say
        self.turned_away = self.checksum_errors = self.gaps = 0
        self.closed: set[str] = set()

    def count_orders(self) -> tuple[list[int], list[int]]:
        """Orders a second that are taken without a reader and beside all of them."""
        alone, beside = [], []
        for _ in range(self._plan.rounds):
            alone.append(self._taken())
            self._connect()
            beside.append(self._taken())
            self._ask("leave", "left")
            self._say(f"{alone[-1]} orders/s alone, {beside[-1]} beside {self._plan.subscribers} readers")
        return alone, beside

    def stall_one(self) -> tuple[list[float], list[float]]:
        """p99 of the delay while all read, and while one more does not."""
        calm, stalled = [], []
        for _ in range(self._plan.rounds):
            self._connect()
            time.sleep(_SETTLE_S)
            calm.append(self._p99_ms())
            self._readers[0].tell("stall")
            self._readers[0].wait_for("stalled")
            stalled.append(self._p99_ms())
            self._ask("leave", "left")
            self._say(f"p99 {calm[-1]} ms, beside a reader that has stopped {stalled[-1]} ms")
        return calm, stalled

    def lose_all(self) -> list[float]:
        """Seconds until the last of those who come again at once is live."""
        took = []
        for _ in range(self._plan.rounds):
            self._connect()
            self._ask("leave", "left")
            took.append(self._connect())
            self._ask("leave", "left")
            self._say(f"{self._plan.subscribers} readers that lost their connections are live after {took[-1]} s")
        return took

    @contextlib.contextmanager
    def load(self, rate: int) -> Iterator[None]:
        """Orders meanwhile; those that find no room are not given."""
        with contextlib.ExitStack() as stack:
            loading = self._start(stack, rate, _LONGEST_S)
            loading.wait_for("measuring")
            yield

    def _start(self, stack: contextlib.ExitStack, rate: int, duration_s: float) -> Child:
        plan = LoadPlan(
            mode="batched", rate=rate, duration_s=duration_s, warm_up_s=1.0, sheds=True,
            addresses=self._cluster.gateway_addresses, sessions=_SESSIONS, instruments=self._plan.instruments,
        )  # fmt: skip
        return Child(stack, "lockstep.bench.load", plan)

    def _taken(self) -> int:
        with contextlib.ExitStack() as stack:
            loading = self._start(stack, _SATURATION, self._plan.phase_s)
            loading.wait_for("measured")
            result = loading.last()
        return round(float(result["orders"]) / float(result["seconds"]))

    def _connect(self) -> float:
        said = self._ask("connect", "connected")
        self.turned_away = sum(one["turned_away"] for one in said)
        return max(float(one["seconds"]) for one in said)

    def _p99_ms(self) -> float:
        tell_all(self._readers, "measure")
        time.sleep(self._plan.phase_s)
        results = self._ask("end", "result")
        self.checksum_errors += sum(one["checksum_errors"] for one in results)
        self.gaps += sum(one["gaps"] for one in results)
        self.closed |= {why for one in results for why in one["closed"]}
        p99_ms = max(float(one["delay_ms"]["p99"]) for one in results)
        if not p99_ms:
            raise EnvironmentFault("no reader had a frame in a whole phase: the machine is too slow for so many")
        return p99_ms

    def _ask(self, word: str, event: str) -> list[dict[str, Any]]:
        tell_all(self._readers, word)
        return [one.wait_for(event) for one in self._readers]
