"""A neighbour that opens calls to everybody and does nothing with them hides nothing, and no takeover fails for it."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from lockstep.aio import AsyncClient
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.v1 import cluster_pb2

HELD = 30
"""Of each kind, at each process."""
MUTE = (
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/grpc.health.v1.Health/Watch",
    "/lockstep.v1.Cluster/GetStatus",
    "/lockstep.v1.Cluster/SwitchPrimary",
    "/lockstep.v1.Replication/Fence",
)


@contextlib.contextmanager
def held_calls(addresses: list[str]) -> Iterator[list[Any]]:
    """Calls of every kind that never say what they ask for, and journals of which nothing is taken."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(120)
        yield from ()

    with contextlib.ExitStack() as stack:
        calls = []
        for address in addresses:
            for path in MUTE:
                channel = stack.enter_context(
                    grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
                )
                calls += [channel.stream_stream(path)(nothing()) for _ in range(HELD)]
        time.sleep(1)
        yield calls
        over.set()


def accounts_of(addresses: tuple[str, ...]) -> int:
    async def ask() -> int:
        async with AsyncClient(addresses) as client:
            return len(await client.accounts())

    return asyncio.run(ask())


def leader(cluster: LocalCluster) -> Any:
    return next(row for row in cluster.status().members if row.reply and row.reply.role == cluster_pb2.ROLE_LEADER)


@pytest.mark.slow
def test_calls_that_are_held_hide_nothing_and_keep_nobody_from_taking_over(start_load) -> None:
    with LocalCluster(ClusterPlan(restart=False)) as cluster:
        load = start_load(cluster.gateway_addresses)
        topology = cluster.topology
        processes = [*topology.engines, *topology.sequencers, *topology.gateways]
        with held_calls([member.grpc_address for member in processes]) as calls:
            assert sum(call.is_active() for call in calls) > HELD * len(processes)
            status = cluster.status()
            assert all(row.reply is not None for row in status.members), "everybody says how it is"
            before, named = load.acknowledged, leader(cluster).name
            killed_s = time.monotonic()
            cluster.kill(named)
            # Not "as soon as the calls are let go": they are held for as long as this test likes.
            while leader_name(cluster) in ("", named):
                assert time.monotonic() - killed_s < 5, "no leader while calls are held"
            seen = load.acknowledged
            while load.acknowledged < seen + 20:
                assert time.monotonic() - killed_s < 10, f"nothing is acknowledged any more after {before}"
                time.sleep(0.01)
            assert accounts_of(cluster.gateway_addresses) >= seen
        load.end()


def leader_name(cluster: LocalCluster) -> str:
    try:
        return str(leader(cluster).name)
    except StopIteration:
        return ""
