"""One picture from what many processes say."""

from typing import Any

import pytest

from lockstep.ops.operator.view import view_of
from lockstep.runtime.cluster_view import ClusterStatus, MemberStatus
from lockstep.runtime.topology import Member, ProcessKind, Topology
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.v1 import cluster_pb2

SEQUENCER, ENGINE = cluster_pb2.PROCESS_KIND_SEQUENCER, cluster_pb2.PROCESS_KIND_ENGINE


@pytest.fixture
def topology(tmp_path) -> Topology:
    def members(kind: ProcessKind) -> tuple[Member, ...]:
        return tuple(Member(kind, id=i, host="h", grpc_port=100 * kind + i, watch_port=0) for i in (1, 2))

    sequencers, engines, gateways, _ = map(members, ProcessKind)
    return Topology("t", ("h:1",), tmp_path, sequencers, engines, gateways)


CLUSTER = "c1a5e000-0000-4000-8000-000000000001"


def answer(name: str, **fields: Any) -> MemberStatus:
    kind, _, member = name.partition("-")
    number = {"sequencer": SEQUENCER, "engine": ENGINE}[kind]
    reply = cluster_pb2.GetStatusReply(kind=number, member=int(member), **fields)
    return MemberStatus(name, f"h:{100 * number + int(member)}", reply)


def silent(name: str) -> MemberStatus:
    return MemberStatus(name, "h:0", None, "not reachable")


def leader(name: str = "sequencer-1", epoch: int = 4, **fields: Any) -> MemberStatus:
    reported = {"seq": 1000, "primary": 1, "in_sync": [1, 2], **fields}
    return answer(name, role=cluster_pb2.ROLE_LEADER, epoch=epoch, **reported)


def engine(member: int, role: int, **fields: Any) -> MemberStatus:
    reported = {"epoch": 4, "seq": 1000, "digest": b"d", "in_sync": [1, 2], **fields}
    return answer(f"engine-{member}", role=role, **reported)


def test_the_leader_of_the_highest_epoch_speaks_for_the_cluster(topology: Topology) -> None:
    resurrected = leader("sequencer-2", epoch=3, primary=2, in_sync=[2])
    view = view_of(ClusterStatus((resurrected, leader(paused=True, fenced=[2], ack_policy=1))), topology)
    assert (view.leader, view.epoch, view.primary, view.in_sync) == (1, 4, 1, (1, 2))
    assert (view.paused, view.fenced, view.ack_policy) == (True, (2,), "replicated")


def test_lag_counts_from_the_leaders_last_stamp(topology: Topology) -> None:
    rows = (leader(), engine(1, cluster_pb2.ROLE_PRIMARY), engine(2, cluster_pb2.ROLE_STANDBY, seq=960))
    assert [e.lag for e in view_of(ClusterStatus(rows), topology).engines] == [0, 40]


def test_without_a_leader_the_config_record_says_who_is_in_sync(topology: Topology) -> None:
    record = ConfigRecord(uuid=CLUSTER, epoch=7, sequencer=1, primary=2, in_sync=(2,), learners=(1,), attempt="a")
    rows = (silent("sequencer-1"), engine(1, cluster_pb2.ROLE_STANDBY), silent("engine-2"))
    view = view_of(ClusterStatus(rows), topology, record)
    assert (view.leader, view.epoch, view.primary, view.in_sync) == (0, 7, 2, (2,))
    assert [(e.up, e.in_sync) for e in view.engines] == [(True, False), (False, True)]


def test_with_neither_leader_nor_record_the_foremost_engine_is_heard(topology: Topology) -> None:
    rows = (engine(1, cluster_pb2.ROLE_STANDBY, epoch=3, in_sync=[1]), engine(2, cluster_pb2.ROLE_STANDBY))
    assert view_of(ClusterStatus(rows), topology).in_sync == (1, 2)


def test_other_digests_at_one_seq_are_seen_on_both_engines(topology: Topology) -> None:
    rows = (leader(), engine(1, cluster_pb2.ROLE_PRIMARY), engine(2, cluster_pb2.ROLE_STANDBY, digest=b"e"))
    assert [e.digest_equal for e in view_of(ClusterStatus(rows), topology).engines] == [False, False]


def test_other_digests_at_other_seqs_or_of_learners_prove_nothing(topology: Topology) -> None:
    later = engine(2, cluster_pb2.ROLE_STANDBY, digest=b"e", seq=1001)
    learner = engine(2, cluster_pb2.ROLE_LEARNER, digest=b"e")
    for other in (later, learner):
        rows = (leader(), engine(1, cluster_pb2.ROLE_PRIMARY), other)
        assert all(e.digest_equal for e in view_of(ClusterStatus(rows), topology).engines)


def test_what_the_leader_says_of_an_engine_counts(topology: Topology) -> None:
    reported = [cluster_pb2.EngineView(member=2, acked_seq=9, digest_equal=False, why_not_eligible="its disk stalls")]
    rows = (leader(engines=reported), engine(1, cluster_pb2.ROLE_PRIMARY), engine(2, cluster_pb2.ROLE_STANDBY))
    seen = view_of(ClusterStatus(rows), topology).engine(2)
    assert seen is not None
    assert (seen.digest_equal, seen.leader_objects) == (False, "its disk stalls")


def test_a_learner_that_the_leader_has_not_compared_yet_contradicts_nobody(topology: Topology) -> None:
    reported = [cluster_pb2.EngineView(member=2, acked_seq=9, digest_equal=False)]
    rows = (leader(engines=reported, in_sync=[1]), engine(2, cluster_pb2.ROLE_LEARNER))
    seen = view_of(ClusterStatus(rows), topology).engine(2)
    assert seen is not None
    assert seen.digest_equal


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("", "", ""),
        ("etcd unreachable", "etcd unreachable", "etcd unreachable"),
        ("etcd unreachable", "", "etcd unreachable for sequencer-1, which leads"),
        ("", "etcd unreachable", ""),
    ],
)
def test_who_reaches_etcd_decides_whether_there_is_automatic_failover(
    topology: Topology, first: str, second: str, why: str
) -> None:
    other = answer("sequencer-2", role=cluster_pb2.ROLE_CANDIDATE, epoch=4, no_failover=second)
    assert view_of(ClusterStatus((leader(no_failover=first), other)), topology).no_failover == why


def test_without_a_leader_and_without_etcd_there_is_no_automatic_failover(topology: Topology) -> None:
    row = answer("sequencer-2", role=cluster_pb2.ROLE_CANDIDATE, epoch=4, no_failover="etcd unreachable")
    assert view_of(ClusterStatus((silent("sequencer-1"), row)), topology).no_failover == "etcd unreachable"
