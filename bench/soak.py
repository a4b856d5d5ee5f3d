"""A cluster that trades on a starved host, for minutes, and to which nothing else happens: every epoch is unprovoked.

The machine is kept busy by loops that this process starts and ends, each in a session of its own: Linux shares the CPU
out among sessions, so each weighs as much as a whole process of the cluster. Beyond that, sequencers and engines can be
stopped for some hundred milliseconds again and again, as a hypervisor that is short of time stops them.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import grpc

from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.operator.calls import read_history
from lockstep.ops.operator.history import EpochBegun
from lockstep.ops.operator.view import view_of
from lockstep.runtime.process import EnvironmentFault
from lockstep.runtime.topology import Snapshots
from lockstep.trials.demo import INSTRUMENTS, fund, wait_whole
from lockstep.trials.demo_trader import Tape, Trader, trading

LEFT_OUT: Final = "other hosts and the network between them; disks that are starved as well"
_TRADERS: Final = 4
_ROWS: Final = 6
_LOOK_S: Final = 5.0
_DRAIN_S: Final = 60.0
_HISTORY_TRIES: Final = 10
_STOP_S: Final = (0.1, 0.7)
# It ends by itself when its parent has gone, whatever death that died.
_LOOP: Final = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(10**6): pass\n"


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """How long, and how starved."""

    implementations: tuple[str, ...] = ("native",)
    duration_s: float = 600.0
    loops: int = 20
    """Busy loops beside the cluster."""
    rate: int = 300
    """Orders a second, of all sessions together."""
    stops_per_minute: int = 0
    """As often does a sequencer or an engine, drawn by the dice, stand still for 0.1 to 0.7 s."""
    snapshot_every_s: int = 60
    """As often are snapshots due."""


@dataclass(frozen=True, slots=True)
class SoakResult:
    """What happened while nothing was done to it."""

    seconds: float
    load_average: float
    """Mean of the machine's one-minute load average, looked at every five seconds."""
    epochs: int
    """That began after the start of the soak."""
    causes: Mapping[str, int]
    orders: int
    unanswered: int
    longest_silence_ms: float
    restarts: int
    """Processes that ended and were started again."""
    snapshots_ms: tuple[int, ...]
    """How long each snapshot took that was finished meanwhile, of all engines."""

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {**asdict(self), "left_out": LEFT_OUT}


def run_soak(plan: SoakPlan, say: Callable[[str], None]) -> SoakResult:
    """Start a cluster and the loops beside it, let it trade, and count what it did to itself.

    Raises:
        EnvironmentFault: the cluster does not start, or no process reports its history at the end.
    """
    say("starting a cluster")
    made = ClusterPlan(implementations=plan.implementations, snapshots=Snapshots(every_s=plan.snapshot_every_s))
    with LocalCluster(made) as cluster:
        return asyncio.run(_soak(plan, cluster, say))


async def _soak(plan: SoakPlan, cluster: LocalCluster, say: Callable[[str], None]) -> SoakResult:
    tape = Tape()
    numbers = tuple(number for number, _ in INSTRUMENTS)
    traders = [Trader(account=i + 1, instruments=numbers, seed=i, tape=tape) for i in range(_TRADERS)]
    loads: list[float] = []
    async with AsyncClient(cluster.gateway_addresses) as client:
        await wait_whole(cluster, "before the soak")
        await fund(client, _TRADERS)
        for trader in traders:
            await trader.open(client)
        before = await asyncio.to_thread(_epochs, cluster)
        began = time.monotonic()
        with busy_loops(plan.loops), stops(cluster, plan.stops_per_minute):
            async with trading(traders, rate=plan.rate, rows=_ROWS):
                while time.monotonic() - began < plan.duration_s:
                    await asyncio.sleep(min(_LOOK_S, plan.duration_s))
                    loads.append(os.getloadavg()[0])
                    if len(loads) % 12 == 0:
                        say(f"{time.monotonic() - began:.0f} s, load average {loads[-1]:.0f}")
            seconds = time.monotonic() - began
        after = await asyncio.to_thread(_epochs, cluster)
        with contextlib.suppress(TimeoutError):
            await asyncio.gather(*(trader.drain(_DRAIN_S) for trader in traders))
        new = after[len(before) :]
        result = SoakResult(
            seconds=round(seconds, 1),
            load_average=round(sum(loads) / len(loads), 1),
            epochs=len(new),
            causes=dict(Counter(epoch.cause for epoch in new)),
            orders=sum(trader.sent for trader in traders),
            unanswered=sum(trader.unanswered for trader in traders),
            longest_silence_ms=_longest_ms(tape),
            restarts=sum(incident.text.startswith("started again") for incident in cluster.incidents),
            snapshots_ms=_snapshots_ms(cluster.data_dir / "logs"),
        )
        for trader in traders:
            await trader.close()
    return result


@contextmanager
def busy_loops(count: int) -> Iterator[tuple[int, ...]]:
    """So many processes that do nothing but compute, each in a session of its own; their pids. They end with this."""
    loops = [subprocess.Popen([sys.executable, "-c", _LOOP], start_new_session=True) for _ in range(count)]
    try:
        yield tuple(loop.pid for loop in loops)
    finally:
        for loop in loops:
            loop.kill()
        for loop in loops:
            loop.wait()


@contextmanager
def stops(cluster: LocalCluster, per_minute: int) -> Iterator[None]:
    """One process of the cluster after the other stands still for a moment; all go on at the end."""
    dice, over = random.Random(per_minute), threading.Event()
    names = [member.name for member in (*cluster.topology.sequencers, *cluster.topology.engines)]

    def stop_some() -> None:
        while not over.wait(dice.uniform(0.2, 1.8) * 60 / per_minute):
            name = dice.choice(names)
            cluster.signal(name, signal.SIGSTOP)
            over.wait(dice.uniform(*_STOP_S))
            cluster.signal(name, signal.SIGCONT)

    thread = threading.Thread(target=stop_some, name="stops")
    if per_minute:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if per_minute:
            thread.join()


def _epochs(cluster: LocalCluster) -> tuple[EpochBegun, ...]:
    for _ in range(_HISTORY_TRIES):
        with contextlib.suppress(EnvironmentFault, grpc.RpcError):
            return read_history(cluster.topology, view_of(cluster.status(), cluster.topology), 1)
    raise EnvironmentFault("no process of the soaked cluster reports its history: it is starved beyond any answer")


def _longest_ms(tape: Tape) -> float:
    times = sorted(tape.arrivals_ns)
    return round(max((b - a for a, b in itertools.pairwise(times)), default=0) / 1e6, 1)


def _snapshots_ms(logs: Path) -> tuple[int, ...]:
    """How long the snapshots took, by the snapshotters' own logs."""
    found = []
    for path in sorted(logs.glob("snapshotter-*.log")):
        for line in path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                fields = json.loads(line)
                if fields["event"] == "snapshot":
                    found.append(int(fields["ms"]))
    return tuple(found)
