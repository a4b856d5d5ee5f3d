"""Snapshots, cut journals and lost disks on a real local cluster under load."""

import asyncio
import shutil
from pathlib import Path

import grpc
import pytest

from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.topology import Snapshots
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc, common_pb2, replication_pb2, replication_pb2_grpc
from tests.calm import CALM

PLAN = Snapshots(every_commands=150, every_s=0, keep=2, journal_keep_commands=50)


def at_one_seq(said: list[cluster_pb2.GetStatusReply]) -> list[cluster_pb2.GetStatusReply]:
    """Answers of one moment, if they are of one seq: time is stamped on, so others can't be compared."""
    return said if len({one.seq for one in said}) == 1 else []


@pytest.mark.slow
def test_lost_disk_comes_back_by_a_snapshot_while_orders_go_on(tmp_path: Path, start_load, until) -> None:
    plan = ClusterPlan(
        data_dir=tmp_path / "data", implementations=("native", "reference"), restart=False, snapshots=PLAN, timing=CALM
    )
    with LocalCluster(plan) as cluster:
        engines = cluster.topology.engines
        channels = {engine.id: grpc.insecure_channel(engine.grpc_address) for engine in engines}
        stubs = {member: cluster_pb2_grpc.ClusterStub(channel) for member, channel in channels.items()}

        def status(member):
            return stubs[member].GetStatus(cluster_pb2.GetStatusRequest(), timeout=30, wait_for_ready=True)

        load = start_load(cluster.gateway_addresses)
        until(lambda: all(status(member).journal.first_seq > 150 for member in stubs), "both journals are cut")
        with pytest.raises(grpc.RpcError) as refused:
            list(
                replication_pb2_grpc.ReplicationStub(channels[1]).FetchEvents(
                    replication_pb2.FetchEventsRequest(after=common_pb2.EventId(seq=3)), timeout=5
                )
            )
        assert refused.value.code() is grpc.StatusCode.OUT_OF_RANGE

        lost = next(engine for engine in engines if cluster.find("standby") == engine.name)
        cluster.kill(lost.name)
        until(lambda: lost.id not in status(3 - lost.id).in_sync, "the standby is out of sync")
        shutil.rmtree(lost.data_dir)
        cluster.restart(lost.name)
        until(lambda: not status(lost.id).journal.blank and cluster.wait_until_whole(1), "the new disk is in sync")
        assert status(lost.id).journal.first_seq > 150

        # Its snapshotter follows the new journal, and takes one when asked.
        taken = until(
            lambda: stubs[lost.id].TakeSnapshot(cluster_pb2.TakeSnapshotRequest(), timeout=30).snapshot,
            "a snapshot on the new disk",
        )
        assert taken.verified
        listed = stubs[lost.id].ListSnapshots(cluster_pb2.ListSnapshotsRequest(), timeout=30).snapshots
        assert taken.seq in [each.seq for each in listed]

        with pytest.raises(grpc.RpcError, match="is in sync"):
            stubs[lost.id].Reinit(cluster_pb2.ReinitRequest(), timeout=30)

        cluster.kill(lost.name)
        until(lambda: lost.id not in status(3 - lost.id).in_sync, "the standby is out of sync again")
        cluster.restart(lost.name)
        assert cluster.wait_until_whole(90)
        acknowledged = load.end()
        first, second = until(lambda: at_one_seq([status(1), status(2)]), "both engines at one seq")
        assert first.digest == second.digest

        async def names() -> int:
            async with AsyncClient(cluster.gateway_addresses) as client:
                return len(await client.accounts())

        assert asyncio.run(names()) >= acknowledged > 300


@pytest.mark.slow
def test_disks_are_lost_and_the_ack_policy_changes_while_orders_go_on(tmp_path: Path, start_load, until) -> None:
    plan = ClusterPlan(data_dir=tmp_path / "data", engines=3, restart=False, snapshots=PLAN, timing=CALM)
    with LocalCluster(plan) as cluster:
        topology = cluster.topology
        members = {member.name: member for member in (*topology.engines, *topology.sequencers)}
        stubs = {
            name: cluster_pb2_grpc.ClusterStub(grpc.insecure_channel(member.grpc_address))
            for name, member in members.items()
        }

        def status(name):
            return stubs[name].GetStatus(cluster_pb2.GetStatusRequest(), timeout=30, wait_for_ready=True)

        def leader():
            return stubs[cluster.find("sequencer")]

        load = start_load(cluster.gateway_addresses)
        until(lambda: all(status(engine.name).journal.first_seq > 150 for engine in topology.engines), "cut journals")

        # An engine that is in sync loses its disk and is back at once; the other two go on.
        lost = next(engine for engine in topology.engines if cluster.find("standby") == engine.name)
        before = load.acknowledged
        cluster.kill(lost.name)
        shutil.rmtree(lost.data_dir)
        cluster.restart(lost.name)
        until(lambda: not status(lost.name).journal.blank and cluster.wait_until_whole(1), "the new disk is in sync")
        until(lambda: load.acknowledged > before, "orders go on")

        # Another one starts afresh because an operator says so; what it had is in its archive.
        fresh = next(e for e in topology.engines if e != lost and e.name != cluster.find("primary"))
        fence = cluster_pb2.FenceMemberRequest(member=fresh.id, fenced=True)
        until(lambda: leader().FenceMember(fence, timeout=30), "the engine is out")
        until(lambda: fresh.id not in status(lost.name).in_sync, "the engine knows that it is out")
        until(lambda: stubs[fresh.name].Reinit(cluster_pb2.ReinitRequest(), timeout=30), "the engine starts afresh")
        until(lambda: status(fresh.name).journal.blank, "its journal is a new one")
        lift = cluster_pb2.FenceMemberRequest(member=fresh.id, fenced=False)
        until(lambda: leader().FenceMember(lift, timeout=30), "the engine is let in")
        until(lambda: not status(fresh.name).journal.blank and cluster.wait_until_whole(1), "it is in sync again")
        assert (fresh.data_dir / "archive" / "reinit-1" / "journal" / "CURRENT").exists()

        for policy in (cluster_pb2.ACK_POLICY_REPLICATED, cluster_pb2.ACK_POLICY_SYNCED):
            before = load.acknowledged
            until(
                lambda policy=policy: leader().SetAckPolicy(cluster_pb2.SetAckPolicyRequest(policy=policy), timeout=30),
                "the ack policy is changed",
            )
            until(
                lambda policy=policy: all(status(engine.name).ack_policy == policy for engine in topology.engines),
                "every engine has heard of it",
            )
            until(lambda before=before: load.acknowledged > before + 50, "orders go on under it")

        acknowledged = load.end()
        said = until(lambda: at_one_seq([status(engine.name) for engine in topology.engines]), "all engines at one seq")
        assert len({one.digest for one in said}) == 1

        async def names() -> int:
            async with AsyncClient(cluster.gateway_addresses) as client:
                return len(await client.accounts())

        assert asyncio.run(names()) == acknowledged > 300
