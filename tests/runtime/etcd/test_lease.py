"""Leases against real servers."""

import asyncio
import os
import signal
from typing import Any

import pytest

from lockstep.ops.local.etcd_server import LocalEtcd
from lockstep.runtime.etcd import Deleted, EtcdOptions, EtcdStore, StoreLeaseEnded, Versioned
from lockstep.runtime.etcd import etcd_subset_pb2 as pb


def test_kept_lease_outlives_its_ttl_and_its_keys_go_when_it_is_closed(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            lease = await store.keep_lease(1)
            await store.put(key, b"member", lease.id)
            watch = store.watch(key)
            assert isinstance(await anext(watch), Versioned)
            await asyncio.sleep(lease.ttl_s + 1.2)
            assert lease.alive
            current = await store.get(key)
            assert current is not None
            assert current.lease == lease.id
            await lease.close()
            assert not lease.alive
            await lease.lost()
            assert isinstance(await asyncio.wait_for(anext(watch), 1), Deleted)

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", [signal.SIGSTOP, signal.SIGKILL])
def test_holder_knows_that_its_lease_is_lost_when_etcd_is_gone_for_the_ttl(
    server: LocalEtcd, fault: signal.Signals
) -> None:
    async def scenario() -> None:
        async with EtcdStore(EtcdOptions(endpoints=(server.endpoint,))) as store:
            lease = await store.keep_lease(1)
            assert lease.alive
            await asyncio.sleep(0.1)  # the fault hits an open stream between two keepalives
            os.kill(server.pid, fault)
            await asyncio.wait_for(lease.lost(), lease.ttl_s + 0.5)
            assert not lease.alive

    asyncio.run(scenario())


def test_write_under_a_lease_that_has_ended_is_told_apart_from_other_refusals(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            lease = await store.keep_lease(1)
            await lease.close()
            with pytest.raises(StoreLeaseEnded, match="lease not found"):
                await store.put(key, b"member", lease.id)

    asyncio.run(scenario())


def test_holder_knows_that_its_lease_was_revoked_by_another(options: EtcdOptions) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store, EtcdStore(options) as other:
            lease = await store.keep_lease(1)
            request = pb.LeaseRevokeRequest(ID=lease.id)
            await other._caller.once(lambda member, left_s, metadata: member.lease_revoke(request, left_s, metadata), 1)
            await asyncio.wait_for(lease.lost(), lease.ttl_s)
            assert not lease.alive

    asyncio.run(scenario())


def test_lease_is_kept_through_another_member_when_one_freezes(follower_first: Any) -> None:
    async def scenario() -> None:
        async with EtcdStore(follower_first.options) as store:
            await store.status()
            lease = await store.keep_lease(2)
            await asyncio.sleep(0.1)
            follower_first.freeze()
            await asyncio.sleep(lease.ttl_s + 0.6)
            assert lease.alive

    asyncio.run(scenario())


def test_lease_below_one_second_is_a_clear_error(options: EtcdOptions) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            with pytest.raises(ValueError, match="shortest is 1 s"):
                await store.keep_lease(0)

    asyncio.run(scenario())
