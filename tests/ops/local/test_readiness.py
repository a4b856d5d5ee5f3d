"""Whether a cluster that starts comes any further."""

from pathlib import Path
from typing import Any

import pytest

from lockstep.ops.local.readiness import Readiness
from lockstep.runtime.cluster_view import ClusterStatus, MemberStatus
from lockstep.runtime.topology import Member, ProcessKind, Topology
from lockstep.v1 import cluster_pb2

ENGINE, SEQUENCER = cluster_pb2.PROCESS_KIND_ENGINE, cluster_pb2.PROCESS_KIND_SEQUENCER


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    def members(kind: ProcessKind) -> tuple[Member, ...]:
        return (Member(kind, id=1, host="h", grpc_port=100 * kind, watch_port=0),)

    sequencers, engines, gateways, _ = map(members, ProcessKind)
    return Topology("t", ("h:1",), tmp_path, sequencers, engines, gateways)


def status(*, leader_seq: int = 0, in_sync: tuple[int, ...] = (), seq: int = 0, why: str = "", **journal: Any):
    rows = []
    if leader_seq:
        leads = cluster_pb2.GetStatusReply(
            kind=SEQUENCER, member=1, role=cluster_pb2.ROLE_LEADER, seq=leader_seq, in_sync=in_sync
        )
        rows.append(MemberStatus("sequencer-1", "h:1", leads))
    engine = cluster_pb2.GetStatusReply(
        kind=ENGINE, member=2, role=cluster_pb2.ROLE_LEARNER, seq=seq, why=why,
        journal=cluster_pb2.JournalState(**journal),
    )  # fmt: skip
    return ClusterStatus((*rows, MemberStatus("engine-2", "h:2", engine)))


def test_a_replay_that_goes_on_is_progress_and_one_that_stands_is_none(topology: Topology) -> None:
    readiness = Readiness(topology)
    looks = [readiness.look(status(replayed_seq=seq, replay_to_seq=900)) for seq in (1, 2, 2, 500, 500, 900)]
    assert looks == [True, True, False, True, False, True]


def test_a_process_that_dies_and_begins_anew_again_and_again_is_no_progress(topology: Topology) -> None:
    readiness = Readiness(topology)
    looks = []
    for _ in range(3):
        for seq in (1, 2, 3):
            looks.append(readiness.look(status(replayed_seq=seq, replay_to_seq=900)))
        readiness.look(ClusterStatus((MemberStatus("engine-2", "h:2", None, "not reachable"),)))
    assert looks == [True, True, True] + 6 * [False]


def test_a_snapshot_that_comes_in_and_a_lag_that_shrinks_are_progress(topology: Topology) -> None:
    readiness = Readiness(topology)
    assert readiness.look(status(restore_bytes=1, restore_total_bytes=10))
    assert readiness.look(status(restore_bytes=2, restore_total_bytes=10))
    assert not readiness.look(status(restore_bytes=2, restore_total_bytes=10))
    assert readiness.look(status(leader_seq=1000, in_sync=(1,), seq=10))
    assert readiness.look(status(leader_seq=1001, in_sync=(1,), seq=500))


def test_a_cluster_that_only_stamps_the_time_comes_no_further(topology: Topology) -> None:
    readiness = Readiness(topology)
    readiness.look(status(leader_seq=100, in_sync=(1,), seq=50))
    assert not any(readiness.look(status(leader_seq=100 + n, in_sync=(1,), seq=50 + n)) for n in range(1, 50))
    assert not any(readiness.look(status(leader_seq=200 + n, in_sync=(1, 2), seq=200 + n)) for n in range(1, 50))


def test_the_line_says_what_engines_are_busy_with_or_what_is_missing(topology: Topology) -> None:
    readiness = Readiness(topology)
    busy = status(why="starting: it has replayed seq 3 of 9 (33 %)", replayed_seq=3, replay_to_seq=9)
    assert readiness.text(busy) == "engine-2: starting: it has replayed seq 3 of 9 (33 %)"
    assert "no sequencer leads" in readiness.text(status())
    silent = ClusterStatus(tuple(MemberStatus(name, "h:1", None, "not reachable") for name in ("a-1", "b-2")))
    assert readiness.text(silent) == "not up yet: a-1, b-2"
