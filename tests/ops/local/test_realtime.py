"""A cluster whose order path is scheduled in real time, and the rest of it as ever."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from tests.calm import CALM
from tests.realtime import permitted

FIRST = ("driver", "etcd", "sequencer-1", "sequencer-2", "engine-1", "engine-2", "gateway-1")
AS_EVER = ("snapshotter-1", "snapshotter-2", "feed-1")


def policies(pid: int) -> dict[str, set[int]]:
    """Of a process' threads, by their names."""
    found: dict[str, set[int]] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        found.setdefault(name, set()).add(os.sched_getscheduler(int(task.name)) & ~os.SCHED_RESET_ON_FORK)
    return found


@pytest.fixture
def cluster(tmp_path: Path):
    plan = ClusterPlan(feeds=1, data_dir=tmp_path, timing=replace(CALM, realtime_priority=1))
    with LocalCluster(plan) as running:
        yield running


def test_what_carries_orders_runs_before_what_does_not(cluster: LocalCluster) -> None:
    pids = cluster.pids()
    first = {name for name in FIRST if os.sched_getscheduler(pids[name]) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR}
    assert first == (set(FIRST) if permitted() else set())
    assert {name for name in AS_EVER if os.sched_getscheduler(pids[name]) != os.SCHED_OTHER} == set()
    threads = policies(pids["engine-1"])
    stored = [kinds for name, kinds in threads.items() if name.startswith("rocksdb")]
    assert stored
    assert all(kinds == {os.SCHED_OTHER} for kinds in stored)
    # A new client of the media driver has a new thread, which links need as much as the old one.
    assert threads["aeron-client"] == {os.SCHED_RR if permitted() else os.SCHED_OTHER}
    refused = [name for name in FIRST if name != "etcd" and "realtime_refused" in _log(cluster, name)]
    assert refused == ([] if permitted() else [name for name in FIRST if name != "etcd"])


def _log(cluster: LocalCluster, name: str) -> str:
    return (cluster.data_dir / "logs" / f"{name}.log").read_text()
