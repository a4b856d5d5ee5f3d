"""What the doctor makes of facts: every finding that is not well says what to do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lockstep.ops.operator import checkup
from lockstep.ops.operator.checkup import (
    ClockFacts,
    DiskFacts,
    DriverFacts,
    Finding,
    Grade,
    PortFacts,
    ReconcilerFacts,
)
from lockstep.runtime.etcd import MemberStatus, MemberUnreachable

GIB = 1 << 30


def etcd(version: str = "3.5.16", *, leader_id: int = 1, cluster_id: int = 7) -> MemberStatus:
    return MemberStatus(
        endpoint="h:1",
        version=version,
        member_id=1,
        cluster_id=cluster_id,
        leader_id=leader_id,
        raft_term=1,
        raft_index=1,
    )


def grades(findings: tuple[Finding, ...]) -> list[Grade]:
    for finding in findings:
        assert bool(finding.remedy) is (finding.grade is not Grade.OK), finding
    return [finding.grade for finding in findings]


@pytest.mark.parametrize(
    ("version", "grade"),
    [
        ("3.5.16", Grade.OK),
        ("3.5.6", Grade.OK),
        ("3.5.5", Grade.WARNING),
        ("3.5.0", Grade.WARNING),
        ("3.4.23", Grade.OK),
        ("3.4.21", Grade.WARNING),
        ("3.3.1", Grade.WARNING),
        ("3.6.0-rc.1", Grade.OK),
    ],
)
def test_etcd_versions_that_lose_writes_are_named(version: str, grade: Grade) -> None:
    assert grades(checkup.judge_etcd([etcd(version)] * 3, "")) == [grade] * 3


def test_etcd_without_quorum_or_of_two_clusters_is_a_fault() -> None:
    down = MemberUnreachable(endpoint="h:2", reason="no answer")
    assert grades(checkup.judge_etcd([etcd(leader_id=0), down, down], "")).count(Grade.FAULT) == 3
    assert Grade.FAULT in grades(checkup.judge_etcd([etcd(), etcd(cluster_id=8), etcd()], ""))
    assert Grade.FAULT in grades(checkup.judge_etcd([etcd()] * 3, "config record is not JSON"))


def test_a_single_etcd_is_a_warning() -> None:
    assert grades(checkup.judge_etcd([etcd()], "")) == [Grade.OK, Grade.WARNING]


def test_a_process_of_another_cluster_is_a_fault() -> None:
    found = checkup.judge_identity("u", [("engine-1", "u"), ("engine-2", "v"), ("gateway-1", "")])
    assert [finding.subject for finding in found] == ["engine-2"]
    assert grades(found) == [Grade.FAULT]


def test_the_driver_matters_only_where_a_member_runs() -> None:
    def judged(**facts: Any) -> list[Grade]:
        well = DriverFacts(directory="d", pid=5, free_bytes=GIB, needed=True)
        return grades(checkup.judge_driver(replace(well, **facts)))

    assert judged() == [Grade.OK]
    assert judged(pid=0) == [Grade.FAULT]
    assert judged(pid=0, needed=False) == []
    assert judged(free_bytes=1 << 20) == [Grade.OK, Grade.WARNING]


@pytest.mark.parametrize(
    ("facts", "grade"),
    [
        ({}, Grade.OK),
        ({"exists": False}, Grade.WARNING),
        ({"fault": "can't be written: Read-only file system"}, Grade.FAULT),
        ({"free_bytes": GIB // 2}, Grade.FAULT),
        ({"free_bytes": 5 * GIB}, Grade.WARNING),
        ({"sync_us": 9000}, Grade.WARNING),
    ],
)
def test_disks_are_judged_by_room_and_by_the_time_of_a_synced_write(facts: dict[str, Any], grade: Grade) -> None:
    well = DiskFacts(owner="engine-1", path="/d", exists=True, free_bytes=50 * GIB, total_bytes=100 * GIB, sync_us=300)
    assert grades((checkup.judge_disk(replace(well, **facts)),)) == [grade]


@pytest.mark.parametrize(
    ("facts", "grade", "says"),
    [
        ({}, Grade.OK, "7 commands and 3 s behind"),
        ({"through_ns": 700 * 10**9}, Grade.WARNING, "300 s behind"),
        ({"last_pass_ns": 600 * 10**9}, Grade.WARNING, "last look was 400 s ago"),
        ({"halted": "no replica confirms it"}, Grade.FAULT, "no replica confirms it"),
        ({"fault": "can't be opened"}, Grade.WARNING, "can't be opened"),
        ({"through_ns": 0, "behind": 0}, Grade.OK, "0 commands and 0 s behind"),
    ],
)
def test_a_reconciler_is_judged_by_how_far_it_is_behind(facts: dict[str, Any], grade: Grade, says: str) -> None:
    well = ReconcilerFacts(
        path="/d", now_ns=1000 * 10**9, last_pass_ns=999 * 10**9, through_ns=997 * 10**9, behind=7, halted=""
    )
    found = checkup.judge_reconciler(replace(well, **facts))
    assert (found.grade, says in found.text) == (grade, True)
    assert bool(found.remedy) is (grade is not Grade.OK)


def test_a_port_that_a_stranger_holds_is_told_from_one_that_nobody_has() -> None:
    def judged(*, connects: bool, answers: bool) -> Finding:
        return checkup.judge_port(
            PortFacts(owner="engine-1", address="h:1", purpose="gRPC", connects=connects, answers=answers)
        )

    assert grades((judged(connects=True, answers=True),)) == [Grade.OK]
    assert "another program" in judged(connects=True, answers=False).text
    assert "nobody listens" in judged(connects=False, answers=False).text


def test_a_clock_behind_stamped_time_is_a_fault() -> None:
    def judged(synchronized: bool | None, ahead_ns: int) -> list[Grade]:
        now = 10**18
        return grades(
            checkup.judge_clock(ClockFacts(synchronized=synchronized, newest_stamp_ns=now + ahead_ns, now_ns=now))
        )

    assert judged(True, -(10**9)) == [Grade.OK, Grade.OK]
    assert judged(False, 0) == [Grade.WARNING, Grade.OK]
    assert judged(None, 10**9) == [Grade.FAULT]
    assert judged(None, -10 * 10**9) == [Grade.FAULT]


def clocks(**facts: Any) -> tuple[Finding, ...]:
    now = 2 * 10**18
    base = ClockFacts(
        synchronized=None, newest_stamp_ns=0, now_ns=now, asked_ns=now - 2 * 10**9, answered_ns=now - 10**9
    )
    return checkup.judge_clock(replace(base, **facts))


@pytest.mark.parametrize("apart_s", [-86_400, -3_600, -4, 1, 3_600, 10**9])
def test_stamped_time_is_compared_with_real_time_in_both_directions(apart_s: int) -> None:
    (found,) = clocks(next_stamp_ns=2 * 10**18 + apart_s * 10**9, leader_says="so it is")
    assert found.grade is Grade.FAULT
    assert ("ahead of this host's clock: so it is" if apart_s > 0 else "behind this host's clock") in found.text
    assert ("never goes back" if apart_s > 0 else "follows at once") in found.remedy


def test_what_was_told_while_the_answers_were_waited_for_is_no_difference() -> None:
    (found,) = clocks(next_stamp_ns=2 * 10**18 - 15 * 10**8)
    assert (found.grade, found.text) == (Grade.OK, "is this host's time")
    (found,) = clocks(next_stamp_ns=2 * 10**18 - 15 * 10**8, leader_says="this host's clock is 7.0 s behind most")
    assert found.grade is Grade.WARNING


def test_an_old_stamp_is_no_fault_where_nobody_stamps() -> None:
    (found,) = clocks(newest_stamp_ns=10**18, stamps=False)
    assert found.grade is Grade.OK
    (found,) = clocks(newest_stamp_ns=3 * 10**18, stamps=False)
    assert found.grade is Grade.FAULT


def test_each_process_whose_host_has_another_time_is_named() -> None:
    middle = 2 * 10**18 - 15 * 10**8
    found = clocks(clocks=(("engine-1", middle), ("engine-2", middle + 3_600 * 10**9), ("gateway-1", middle - 10**10)))
    assert [(one.subject, one.grade) for one in found] == [
        ("engine-2", Grade.WARNING), ("gateway-1", Grade.WARNING),
    ]  # fmt: skip
    assert "3599.5 s ahead of this host's" in found[0].text
    assert "9.5 s behind this host's" in found[1].text


def test_versions_and_buffers_are_compared_with_what_is_wanted() -> None:
    rows = [("a", "1.0", ""), ("b", "", ">=2"), ("c", "1.0", "c>=2")]
    assert grades(checkup.judge_versions(rows)) == [Grade.OK, Grade.FAULT, Grade.WARNING]
    assert grades(checkup.judge_network(False, 0, 0)) == []
    assert grades(checkup.judge_network(True, 212_992, 212_992)) == [Grade.WARNING]
    assert grades(checkup.judge_network(True, 1 << 22, 1 << 22)) == [Grade.OK]


def test_roles_are_judged_engine_by_engine(make_view: Callable) -> None:
    assert grades(checkup.judge_roles(make_view())) == [Grade.OK]
    assert grades(checkup.judge_roles(make_view(leader=0))) == [Grade.FAULT]
    assert grades(checkup.judge_roles(make_view(paused=True))) == [Grade.OK, Grade.WARNING]
    assert grades(checkup.judge_roles(make_view(why="diverged"))) == [Grade.FAULT]
    assert Grade.FAULT in grades(checkup.judge_roles(make_view(changes={2: {"digest_equal": False}})))
    alone = make_view(2, {2: {"in_sync": False, "fenced": True}})
    assert [f.subject for f in checkup.judge_roles(alone)] == ["leader", "engine-2", "redundancy"]


def test_damage_that_an_engine_knows_of_is_a_fault_with_its_words(make_view) -> None:
    assert checkup.judge_stored(make_view()) == ()
    (found,) = checkup.judge_stored(make_view(changes={2: {"damage": "the stored journal is damaged: page 7"}}))
    assert (found.subject, found.grade) == ("engine-2", Grade.FAULT)
    assert found.text == "the stored journal is damaged: page 7"
    assert "switchover` away from engine-2" in found.remedy
