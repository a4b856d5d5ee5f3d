"""Roles are found as the cluster stands, and nobody is taken away who is the last."""

from pathlib import Path

import pytest

from lockstep.runtime.cluster_view import ClusterStatus, MemberStatus
from lockstep.runtime.topology import Member, ProcessKind, Topology
from lockstep.trials.chaos.targets import can_lose, find_target, living_engines
from lockstep.v1 import cluster_pb2

LEADER, STANDBY = cluster_pb2.ROLE_LEADER, cluster_pb2.ROLE_STANDBY
PRIMARY, SERVING = cluster_pb2.ROLE_PRIMARY, cluster_pb2.ROLE_SERVING


@pytest.fixture
def topology() -> Topology:
    """Two sequencers, three engines, two gateways."""

    def members(kind: ProcessKind, count: int) -> tuple[Member, ...]:
        return tuple(
            Member(kind=kind, id=i, host="127.0.0.1", grpc_port=100 * kind + i, watch_port=100 * kind + 50 + i)
            for i in range(1, count + 1)
        )

    return Topology(
        name="t",
        etcd_endpoints=("127.0.0.1:1",),
        aeron_dir=Path("/nowhere"),
        sequencers=members(ProcessKind.SEQUENCER, 2),
        engines=members(ProcessKind.ENGINE, 3),
        gateways=members(ProcessKind.GATEWAY, 2),
    )


def status(*, in_sync: tuple[int, ...] = (1, 2, 3), down: tuple[str, ...] = ()) -> ClusterStatus:
    """Sequencer 2 leads, engine 1 is primary."""
    roles = {"sequencer-1": STANDBY, "sequencer-2": LEADER, "engine-1": PRIMARY, "engine-2": STANDBY}
    roles |= {"engine-3": STANDBY, "gateway-1": SERVING, "gateway-2": SERVING}
    rows = []
    for name, role in roles.items():
        reply = cluster_pb2.GetStatusReply(role=role, epoch=3, in_sync=in_sync)
        rows.append(MemberStatus(name, "127.0.0.1:1", None if name in down else reply))
    return ClusterStatus(tuple(rows))


def test_roles_are_found(topology: Topology) -> None:
    now = status()
    assert find_target("primary", now, topology, 5) == "engine-1"
    assert find_target("sequencer", now, topology, 5) == "sequencer-2"
    assert find_target("standby sequencer", now, topology, 5) == "sequencer-1"
    assert {find_target("standby", now, topology, pick) for pick in range(4)} == {"engine-2", "engine-3"}
    assert {find_target("gateway", now, topology, pick) for pick in range(4)} == {"gateway-1", "gateway-2"}
    with pytest.raises(ValueError, match="no role"):
        find_target("cook", now, topology, 0)


def test_nobody_is_found_for_a_role_that_nobody_has(topology: Topology) -> None:
    assert find_target("primary", status(down=("engine-1",)), topology, 0) is None
    assert find_target("sequencer", status(down=("sequencer-2",)), topology, 0) is None
    assert find_target("standby", status(in_sync=(1,)), topology, 0) is None


def test_the_last_living_engine_in_sync_is_not_taken(topology: Topology) -> None:
    assert can_lose(status(), topology, "engine-1")
    assert not can_lose(status(in_sync=(1,)), topology, "engine-1")
    assert not can_lose(status(down=("engine-2", "engine-3")), topology, "engine-1")
    assert can_lose(status(down=("engine-2",)), topology, "engine-1")
    assert not can_lose(status(down=("engine-2",)), topology, "engine-1", without=frozenset({"engine-3"}))
    assert living_engines(status(in_sync=(1, 2), down=("engine-2",)), topology) == ("engine-1",)


def test_without_a_leader_nobody_counts_as_in_sync(topology: Topology) -> None:
    assert not can_lose(status(down=("sequencer-2",)), topology, "engine-1")
