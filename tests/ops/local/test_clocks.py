"""A real cluster whose processes' clocks are set, right and wrong, while it runs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.ops.chaos.clocks import HostClock
from lockstep.ops.local.cluster import ClusterPlan, LocalCluster
from lockstep.ops.operator.checkup import Finding, Grade
from lockstep.ops.operator.survey import survey
from lockstep.ops.process import EnvironmentFault
from lockstep.stream.topology import Member, ProcessKind

HOUR_MS = 3_600_000
CENTURIES_MS = 170 * 365 * 24 * HOUR_MS
SECOND_NS = 1_000_000_000


class ClockedCluster(LocalCluster):
    """Each sequencer and each engine has a clock of its own, an hour behind at first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(ClusterPlan(data_dir=folder / "data"))
        self._folder = folder
        self.clocks: dict[str, HostClock] = {}

    def _add_member(self, member: Member) -> None:
        if member.kind is ProcessKind.GATEWAY:
            super()._add_member(member)
            return
        clock = self.clocks[member.name] = HostClock(self._folder / member.name)
        clock.step(-HOUR_MS)
        arguments = (member.kind.name.lower(), "--config", str(self.config_path), "--id", str(member.id))
        self._add(member.name, *arguments, prefix=clock.prefix())

    def set_all(self, offset_ms: int) -> None:
        for clock in self.clocks.values():
            clock.step(offset_ms)

    def leads(self, name: str) -> bool:
        leader = self.status().leader()
        return leader is not None and leader.name == name

    def ahead_s(self) -> float:
        """How far what the leader would stamp is ahead of the true time."""
        leader = self.status().leader()
        assert leader is not None
        assert leader.reply is not None
        return (leader.reply.stamped_time.next_ns - time.time_ns()) / SECOND_NS

    def findings(self) -> dict[str, Finding]:
        """What the doctor says of the clocks, by subject, but for this host's."""
        found = survey(self.topology, self.status())
        return {one.subject: one for one in found if one.area == "clocks" and one.subject != "this host"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClockedCluster]:
    folder = tmp_path_factory.mktemp("clocks")
    try:
        HostClock(folder / "trial")
    except EnvironmentFault as fault:
        pytest.skip(str(fault))
    with ClockedCluster(folder) as running:
        yield running


def test_a_cluster_that_is_an_hour_behind_follows_its_clocks_when_they_are_set_right(
    cluster: ClockedCluster, until
) -> None:
    cluster.set_all(-HOUR_MS)
    assert -3_610 < cluster.ahead_s() < -3_590
    behind = cluster.findings()
    assert behind["stamped time"].grade is Grade.FAULT
    assert "3600.0 s behind this host's clock" in behind["stamped time"].text
    assert {"sequencer-1", "sequencer-2", "engine-1", "engine-2", "stamped time"} == set(behind)
    cluster.set_all(0)
    until(lambda: abs(cluster.ahead_s()) < 2, "stamped time follows")
    until(lambda: [one.grade for one in cluster.findings().values()] == [Grade.OK], "the doctor is content")
    assert not cluster.incidents


def test_one_clock_in_another_century_moves_nothing_whoever_leads(cluster: ClockedCluster, until) -> None:
    cluster.set_all(0)
    until(lambda: abs(cluster.ahead_s()) < 2, "stamped time is right")
    for name in ("sequencer-1", "sequencer-2"):
        cluster.clocks[name].step(CENTURIES_MS)
        until(lambda name=name: cluster.findings()[name].grade is Grade.WARNING, "the doctor names it")
        if cluster.leads(name):
            leader = cluster.status().leader()
            assert leader is not None
            assert "ahead of most of the cluster's clocks" in leader.reply.stamped_time.why
            cluster.kill(name)
            other = "sequencer-2" if name == "sequencer-1" else "sequencer-1"
            until(lambda other=other: cluster.leads(other), "another leads")
        assert -2 < cluster.ahead_s() < 2
        cluster.clocks[name].step(0)
        until(lambda: cluster.wait_until_whole(1), "all are back")


def test_clocks_that_are_set_back_leave_stamped_time_standing_and_orders_going(
    cluster: ClockedCluster, until, start_load
) -> None:
    cluster.set_all(HOUR_MS)
    until(lambda: cluster.ahead_s() > 3_590, "stamped time follows ahead")
    cluster.set_all(0)
    until(lambda: "stands" in cluster.findings()["stamped time"].text, "the doctor says so")
    assert cluster.findings()["stamped time"].grade is Grade.FAULT
    leader = cluster.status().leader()
    before = leader.reply.stamped_time.next_ns
    load = start_load(cluster.gateway_addresses)
    until(lambda: load.acknowledged > 50, "commands are executed")
    load.end()
    assert cluster.status().leader().reply.stamped_time.next_ns == before
