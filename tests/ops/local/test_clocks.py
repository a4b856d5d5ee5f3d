"""A real cluster whose host's clock is set while it runs: that of all its processes, the media driver too."""

import math
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.ops.operator.checkup import Finding, Grade
from lockstep.ops.operator.survey import survey
from lockstep.runtime.process import EnvironmentFault
from lockstep.trials.chaos.clocks import HostClock
from tests.calm import CALM

HOUR_MS = 3_600_000
SECOND_NS = 1_000_000_000


class ClockedCluster(LocalCluster):
    """Its host's clock is an hour behind at first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(ClusterPlan(data_dir=folder / "data", timing=CALM))
        self.clock = HostClock(folder / "clock")
        self.clock.step(-HOUR_MS)

    def _add(self, name: str, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        super()._add(name, *arguments, prefix=(*prefix, *self.clock.prefix()))

    def ahead_s(self) -> float:
        """How far what the leader would stamp is ahead of the true time; not a number while nobody leads."""
        leader = self.status().leader()
        if leader is None or leader.reply is None:
            return math.nan
        return (leader.reply.stamped_time.next_ns - time.time_ns()) / SECOND_NS

    def last_ns(self) -> int:
        """The last stamp."""
        leader = self.status().leader()
        return leader.reply.stamped_time.last_ns if leader is not None and leader.reply is not None else 0

    def findings(self) -> dict[str, Finding]:
        """What the doctor says of the clocks, by subject, but for this host's."""
        found = survey(self.topology, self.status())
        return {one.subject: one for one in found if one.area == "clocks" and one.subject != "this host"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClockedCluster]:
    folder = tmp_path_factory.mktemp("clocks")
    try:
        built = ClockedCluster(folder)
    except EnvironmentFault as fault:
        pytest.skip(str(fault))
    with built as running:
        yield running


@pytest.mark.slow
def test_a_cluster_that_is_an_hour_behind_follows_its_clocks_when_they_are_set_right(
    cluster: ClockedCluster, until
) -> None:
    until(lambda: -3_610 < cluster.ahead_s() < -3_590, "an hour behind")
    behind = cluster.findings()
    assert behind["stamped time"].grade is Grade.FAULT
    # Stamped time is a moment old on a busy machine.
    assert re.search(r"is (3600|3599|3598)\.\d s behind this host's clock", behind["stamped time"].text)
    assert {"sequencer-1", "sequencer-2", "engine-1", "engine-2", "gateway-1", "stamped time"} == set(behind)
    cluster.clock.step(0)
    until(lambda: abs(cluster.ahead_s()) < 2, "stamped time follows")
    until(lambda: [one.grade for one in cluster.findings().values()] == [Grade.OK], "the doctor is content")


@pytest.mark.slow
def test_clocks_that_are_set_back_leave_stamped_time_standing_and_orders_going(
    cluster: ClockedCluster, until, start_load
) -> None:
    cluster.clock.step(HOUR_MS)
    until(lambda: cluster.last_ns() > time.time_ns() + 3_590 * SECOND_NS, "stamped time follows ahead")
    cluster.clock.step(0)
    until(lambda: "stands until they reach it" in cluster.findings()["stamped time"].text, "the doctor says so")
    found = cluster.findings()["stamped time"]
    assert found.grade is Grade.FAULT
    assert "ahead of this host's clock" in found.text
    before = until(cluster.last_ns, "a leader")
    load = start_load(cluster.gateway_addresses)
    until(lambda: load.acknowledged > 50, "commands are executed")
    load.end()
    assert until(cluster.last_ns, "a leader") == before
