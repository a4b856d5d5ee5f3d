"""`lockstep bench feed`: many readers of one feed while a cluster trades: how old what they get is, and its cost.

The readers are processes of their own with plain WebSockets (`feed_readers.py`), each following every instrument at a
depth of ten; the load is that of `bench cluster`, in batches. Delay is counted from the sequencer's stamp to the
arrival in the reader's process, so it holds the way through the cluster and the interval in which changes are gathered.
"""

import contextlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from lockstep.bench.child import Child, tell_all
from lockstep.bench.feed_peer import PeerPlan
from lockstep.bench.feed_readers import ReadersPlan
from lockstep.bench.load import LoadPlan
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.v1 import cluster_pb2

_SESSIONS: Final = 4
_READER_PROCESSES: Final = 2
CHECKED: Final = 8
_TICKS: Final = 100
_HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class FeedBenchPlan:
    """How much of everything."""

    implementations: tuple[str, ...]
    subscribers: int = 100
    instruments: int = 10
    rate: int = 1_000
    """Orders a second."""
    interval_ms: int = 100
    duration_s: float = 10.0


@dataclass(frozen=True, slots=True)
class FeedBenchResult:
    """What came of it. `cpu_us_per_frame`: of the feed's process, all that it does divided by the frames written.

    On a machine with too little CPU the readers are late themselves, and the delay is theirs as well.
    """

    subscribers: int
    delivered_per_s: int
    """Frames; one has all instruments of an interval."""
    delay_ms: dict[str, float]
    cpu_us_per_frame: float
    checksum_errors: int
    gaps: int
    recovered: int
    feed_cores: float
    connect_s: float
    """Until the last reader had its first frame, of a feed that has nothing else to do."""
    orders_per_s: int
    spread_ms: dict[str, float]
    """Between the first and the last reader of the same frame."""
    reader_mean_ms: dict[str, float]
    """Mean delay of the reader that is served best and of the one that is served worst."""
    frame_bytes: int
    peer: dict[str, float] | None
    """A plain `websockets.broadcast` server with as many readers and frames of this size: its CPU for a frame, its
    frames a second, and how many times as much a frame costs there. None: the library is not installed."""
    closed: tuple[str, ...]
    """Why readers' connections ended, if any did."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_feed_bench(plan: FeedBenchPlan, say: Callable[[str], None]) -> FeedBenchResult:
    """Start a cluster with one feed, its readers and the load, and measure.

    Raises:
        EnvironmentFault: a process of it fails.
    """
    with LocalCluster(ClusterPlan(feeds=1, implementations=plan.implementations, restart=False)) as cluster:
        load = LoadPlan(
            mode="batched", rate=plan.rate, duration_s=plan.duration_s, warm_up_s=2.0, sheds=True,
            addresses=cluster.gateway_addresses, sessions=_SESSIONS, instruments=plan.instruments,
        )  # fmt: skip
        with contextlib.ExitStack() as stack:
            (feed,) = cluster.topology.feeds
            readers = [
                Child(stack, "lockstep.bench.feed_readers", one)
                for one in shares(plan.subscribers, plan.interval_ms, feed.host, feed.http_port)
            ]
            tell_all(readers, "connect")
            connect_s = max(process.wait_for("connected")["seconds"] for process in readers)
            say(f"{plan.subscribers} readers are connected after {connect_s:.1f} s")
            loading = Child(stack, "lockstep.bench.load", load)
            loading.wait_for("measuring")
            say(f"{plan.rate} orders/s in {plan.instruments} instruments")
            tell_all(readers, "measure")
            begin = _Cost(cluster, feed.name)
            loading.wait_for("measured")
            end = _Cost(cluster, feed.name)
            tell_all(readers, "end")
            results = [process.wait_for("result") for process in readers]
            offered = loading.last()
        feed_result = _sum_up(plan, results, begin, end, connect_s, offered)
    if importlib.util.find_spec("websockets") is None:
        say("NO PEER: the library websockets is not installed (extra `peers`)")
        return feed_result
    return replace(feed_result, peer=_measure_peer(plan, feed_result, say))


def _measure_peer(plan: FeedBenchPlan, result: FeedBenchResult, say: Callable[[str], None]) -> dict[str, float]:
    """The same frames to the same readers, by a plain server."""
    with contextlib.ExitStack() as stack:
        wanted = PeerPlan(_HOST, result.frame_bytes, max(0.1, result.delivered_per_s / plan.subscribers))
        peer = Child(stack, "lockstep.bench.feed_peer", wanted)
        port = peer.wait_for("listening")["port"]
        readers = [
            Child(stack, "lockstep.bench.feed_readers", one)
            for one in shares(plan.subscribers, plan.interval_ms, _HOST, port, checked=0)
        ]
        tell_all(readers, "connect")
        for process in readers:
            process.wait_for("connected")
        say(f"the peer, websockets.broadcast: {wanted.frames_per_s:.1f} frames/s of {wanted.frame_bytes} bytes to each")
        tell_all([peer, *readers], "measure")
        begin_s = time.monotonic()
        time.sleep(plan.duration_s)
        tell_all([peer, *readers], "end")
        seconds = time.monotonic() - begin_s
        found = peer.wait_for("result")
        for process in readers:
            process.wait_for("result")
    cpu_us = found["cpu_s"] * 1e6 / found["frames"] if found["frames"] else 0.0
    ours = result.cpu_us_per_frame
    return {
        "cpu_us_per_frame": round(cpu_us, 2),
        "delivered_per_s": round(found["frames"] / seconds),
        "times_as_much": round(cpu_us / ours, 2) if ours else 0.0,
    }


def shares(subscribers: int, interval_ms: int, host: str, port: int, checked: int = CHECKED) -> Iterator[ReadersPlan]:
    """The plan of each process of readers; `checked`: readers of each that apply and check everything."""
    processes = min(_READER_PROCESSES, subscribers)
    for number in range(processes):
        readers = subscribers // processes + (number < subscribers % processes)
        yield ReadersPlan(host, port, readers, min(checked, readers), interval_ms)


class _Cost:
    """CPU and frames of the feed so far."""

    def __init__(self, cluster: LocalCluster, name: str) -> None:
        self.at_s = time.monotonic()
        fields = Path(f"/proc/{cluster.pids()[name]}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        self.cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
        status = next(member.reply for member in cluster.status().members if member.name == name)
        counters = (status or cluster_pb2.GetStatusReply()).counters
        self.frames = counters["frames"]
        self.bytes = counters["frame_bytes"]


def _sum_up(
    plan: FeedBenchPlan,
    results: list[dict[str, Any]],
    begin: _Cost,
    end: _Cost,
    connect_s: float,
    offered: dict[str, Any],
) -> FeedBenchResult:
    seconds = end.at_s - begin.at_s
    frames, cpu_s = end.frames - begin.frames, end.cpu_s - begin.cpu_s
    worst = max(results, key=lambda result: result["delay_ms"]["p99"])
    return FeedBenchResult(
        subscribers=plan.subscribers,
        delivered_per_s=round(sum(result["frames"] for result in results) / seconds),
        delay_ms=worst["delay_ms"],
        cpu_us_per_frame=round(cpu_s * 1e6 / frames, 2) if frames else 0.0,
        checksum_errors=sum(result["checksum_errors"] for result in results),
        gaps=sum(result["gaps"] for result in results),
        recovered=sum(result["recovered"] for result in results),
        feed_cores=round(cpu_s / seconds, 3),
        connect_s=connect_s,
        orders_per_s=round(offered["orders"] / offered["seconds"]),
        spread_ms=_spread_ms(plan, results),
        reader_mean_ms=_means_ms(results),
        frame_bytes=round((end.bytes - begin.bytes) / frames) if frames else 0,
        peer=None,
        closed=tuple(sorted({why for result in results for why in result["closed"]})),
    )


def _spread_ms(plan: FeedBenchPlan, results: list[dict[str, Any]]) -> dict[str, float]:
    """Of the frames that every reader had while it was measured."""
    turns: dict[str, list[int]] = {}
    for result in results:
        for seq, (first, last, count) in result["turns"].items():
            known = turns.setdefault(seq, [first, last, 0])
            known[0], known[1], known[2] = min(known[0], first), max(known[1], last), known[2] + count
    spreads = [last - first for first, last, count in turns.values() if count == plan.subscribers]
    if not spreads:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    p50, p99, most = np.percentile(np.array(spreads), (50, 99, 100)) / 1e6
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "max": round(float(most), 2)}


def _means_ms(results: list[dict[str, Any]]) -> dict[str, float]:
    bounds = [mean for result in results for mean in result["means_ms"]]
    return {"best": round(min(bounds, default=0.0), 2), "worst": round(max(bounds, default=0.0), 2)}
