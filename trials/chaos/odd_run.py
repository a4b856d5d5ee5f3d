"""Odd frames on every link of a real cluster that trades (`odd_neighbour.py`), and the proof that it goes on trading.

Afterwards no process has ended or is another one, all of them say that they are well, the clients have all answers, and
the checker finds their histories, the journals, the events and the books of both engines to be one.

    python -m lockstep.trials.chaos.odd_run --frames 120000 --seed 1
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.process import EnvironmentFault
from lockstep.trials.chaos.clients import ClientProcesses
from lockstep.trials.chaos.load import LoadPlan
from lockstep.trials.chaos.odd_neighbour import Moment, OddNeighbour, look
from lockstep.trials.checker.history import load_histories
from lockstep.trials.checker.verdict import Verdict, check_run
from lockstep.trials.demo import INSTRUMENTS, fund, opening_balances
from lockstep.trials.evidence import collect

_ACCOUNTS: Final = (1, 2)
_ROWS: Final = 6
_BURST: Final = 110
_PAUSE_S: Final = 0.004
_LOOK_S: Final = 0.1
_CALM_S: Final = 1.0
"""Load alone, before and after."""
_WHOLE_S: Final = 20.0
_DRAIN_S: Final = 30
_START_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class OddPlan:
    """How much of everything."""

    seed: int = 1
    frames: int = 120_000
    rate: int = 200
    """Orders a second of the clients together."""
    most_s: float = 120.0
    """No frame is sent later than this after the first one."""
    data_dir: Path | None = None
    """Where everything is kept; None: a temporary directory that is removed."""


@dataclass(frozen=True, slots=True)
class OddResult:
    """What it came to."""

    sent: dict[str, int]
    """Frames that left, by kind of link."""
    seconds: float
    """For which they were sent."""
    epochs: int
    """That began meanwhile."""
    dropped: int
    """Frames that receivers count as bad, stale or ignored."""
    problems: tuple[str, ...]
    verdict: Verdict

    @property
    def held(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not self.verdict.violations


def run(plan: OddPlan, say: Callable[[str], None]) -> OddResult:
    """Run it all.

    Raises:
        EnvironmentFault: the cluster does not start, or does not give its history.
    """
    with ExitStack() as stack:
        base = plan.data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-odd-")))
        wanted = ClusterPlan(gateways=2, feeds=1, implementations=("native", "reference"), data_dir=base / "cluster")
        cluster = LocalCluster(wanted)
        stack.callback(cluster.stop)
        cluster.start(timeout_s=_START_S)
        funder = asyncio.run(_fund(cluster))
        before = {name: (pid, cluster.starts(name)) for name, pid in cluster.pids().items() if name != "etcd"}
        with ClientProcesses((_load(plan, cluster, base / "histories"),), base / "logs") as clients:
            clients.start()
            time.sleep(_CALM_S)
            say("the cluster trades; odd frames go out on every link")
            neighbour = OddNeighbour(cluster.topology, plan.seed)
            stack.callback(neighbour.close)
            first = _look(cluster, None)
            began = time.monotonic()
            _send(plan, cluster, neighbour, first)
            seconds = time.monotonic() - began
            whole = cluster.wait_until_whole(_WHOLE_S)
            lacks = () if whole else cluster.status().lacks(cluster.topology)
            time.sleep(_CALM_S)
            late = clients.finish(_DRAIN_S)
        after = {name: (pid, cluster.starts(name)) for name, pid in cluster.pids().items() if name != "etcd"}
        problems = [
            *(f"{_WHOLE_S:g} s after the last frame: {text}" for text in lacks),
            *(f"{name} did not get all its answers" for name in late),
            *(f"{name} is another process than before" for name in before if after.get(name) != before[name]),
            *(f"{incident.name}: {incident.text}" for incident in cluster.incidents),
        ]
        say("executing the journal by the specification and checking every promise")
        opening = opening_balances(_ACCOUNTS)
        histories = load_histories(base / "histories")
        verdict = check_run(histories, collect(cluster.topology), opening=opening, others=frozenset({funder}))
        last = _look(cluster, first)
        sent = {kind.name: count for kind, count in neighbour.sent.items()}
        return OddResult(sent, seconds, last.epoch - first.epoch, _dropped(cluster), tuple(problems), verdict)


async def _fund(cluster: LocalCluster) -> int:
    async with AsyncClient(cluster.gateway_addresses) as client:
        return await fund(client, len(_ACCOUNTS))


def _load(plan: OddPlan, cluster: LocalCluster, directory: Path) -> LoadPlan:
    return LoadPlan(
        addresses=cluster.gateway_addresses,
        accounts=_ACCOUNTS,
        instruments=tuple(number for number, _ in INSTRUMENTS),
        seed=plan.seed,
        rows=_ROWS,
        interval_ms=1000 * _ROWS * len(_ACCOUNTS) // plan.rate,
        drain_s=_DRAIN_S,
        directory=str(directory),
    )


def _look(cluster: LocalCluster, before: Moment | None) -> Moment:
    moment = look(cluster.status(timeout_s=0.5), before)
    if moment is None:
        raise EnvironmentFault("no engine answers")
    return moment


def _send(plan: OddPlan, cluster: LocalCluster, neighbour: OddNeighbour, moment: Moment) -> None:
    until_s = time.monotonic() + plan.most_s
    look_s = time.monotonic() + _LOOK_S
    while sum(neighbour.sent.values()) < plan.frames and time.monotonic() < until_s:
        neighbour.send(moment, _BURST)
        if time.monotonic() >= look_s:
            moment = _look(cluster, moment)
            look_s = time.monotonic() + _LOOK_S
        time.sleep(_PAUSE_S)


def _dropped(cluster: LocalCluster) -> int:
    names = ("bad_frames", "damaged_frames", "stale_frames", "stale_receipts", "stale_releases", "ignored_events")
    replies = [member.reply for member in cluster.status().members if member.reply is not None]
    return sum(reply.counters.get(name, 0) for reply in replies for name in names)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run it and print what came of it; 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    least = OddPlan()
    parser.add_argument("--seed", type=int, default=least.seed)
    parser.add_argument("--frames", type=int, default=least.frames)
    parser.add_argument("--most-s", type=float, default=least.most_s)
    parser.add_argument("--data-dir", type=Path, help="keep everything here")
    asked = parser.parse_args()
    plan = OddPlan(seed=asked.seed, frames=asked.frames, most_s=asked.most_s, data_dir=asked.data_dir)
    try:
        result = run(plan, _say)
    except EnvironmentFault as error:
        sys.stderr.write(f"{error}\n")
        return 1
    kinds = ", ".join(f"{kind} {count}" for kind, count in result.sent.items())
    sys.stdout.write(f"{sum(result.sent.values())} frames in {result.seconds:.1f} s: {kinds}\n")
    verdict = result.verdict
    sys.stdout.write(
        f"{result.dropped} counted as dropped by those who got them, {result.epochs} epochs; "
        f"{verdict.commands} commands, {verdict.acknowledged} acknowledged, lost {verdict.lost}, "
        f"doubled {verdict.duplicated}\n"
    )
    for text in (*result.problems, *(violation.text for violation in verdict.violations)):
        sys.stdout.write(f"NOT HELD: {text}\n")
    return 0 if result.held and sum(result.sent.values()) >= plan.frames else 1


if __name__ == "__main__":
    sys.exit(main())
