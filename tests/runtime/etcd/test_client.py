"""`EtcdStore` against real servers: reads, compare-and-swap and what happens to it when members fail."""

import asyncio
import os
import signal
import socket
import time
from typing import Any

import pytest

from lockstep.ops.local.etcd_server import LocalEtcd, LocalEtcdCluster
from lockstep.runtime.etcd import (
    CasLost,
    CasWon,
    EtcdOptions,
    EtcdStore,
    MemberStatus,
    MemberUnreachable,
    StoreAmbiguous,
    StoreClosed,
    StoreRefused,
    StoreUnavailable,
    settle_ambiguous,
)
from tests.frozen import freeze


def test_a_key_that_does_not_exist_reads_as_none(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            assert await store.get(key) is None
            assert await store.delete(key) is False

    asyncio.run(scenario())


def test_put_get_prefix_and_delete_agree(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            await store.put(key + b"/b", b"2")
            revision = await store.put(key + b"/a", b"1")
            await store.put(key + b"0", b"not below the prefix")
            found = await store.get_prefix(key + b"/")
            assert [(each.key, each.value) for each in found] == [(key + b"/a", b"1"), (key + b"/b", b"2")]
            assert found[0].mod_revision == revision
            assert await store.delete(key + b"/a") is True
            assert await store.get(key + b"/a") is None

    asyncio.run(scenario())


def test_swap_creates_with_expected_revision_zero_and_then_replaces(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            first = await store.compare_and_swap(key, 0, b"first")
            assert isinstance(first, CasWon)
            second = await store.compare_and_swap(key, first.mod_revision, b"second")
            assert isinstance(second, CasWon)
            current = await store.get(key)
            assert current is not None
            assert (current.value, current.mod_revision) == (b"second", second.mod_revision)
            assert current.create_revision == first.mod_revision

    asyncio.run(scenario())


def test_lost_swap_brings_back_what_is_there(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            won = await store.compare_and_swap(key, 0, b"theirs")
            assert isinstance(won, CasWon)
            assert await store.compare_and_swap(key, 0, b"mine") == CasLost(current=await store.get(key))
            absent = await store.compare_and_swap(key + b"-absent", 7, b"mine")
            assert absent == CasLost(current=None)

    asyncio.run(scenario())


def test_swap_is_bound_to_the_required_key(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            await store.put(key + b"-uuid", b"our cluster")
            foreign = await store.compare_and_swap(key, 0, b"v", also_require=(key + b"-uuid", b"other cluster"))
            assert foreign == CasLost(current=None, requirement_held=False)
            wiped = await store.compare_and_swap(key, 0, b"v", also_require=(key + b"-no-uuid", b"our cluster"))
            assert wiped == CasLost(current=None, requirement_held=False)
            ours = await store.compare_and_swap(key, 0, b"v", also_require=(key + b"-uuid", b"our cluster"))
            assert isinstance(ours, CasWon)

    asyncio.run(scenario())


def test_of_many_contenders_exactly_one_wins(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as one, EtcdStore(options) as two:
            swaps = [(one, two)[n % 2].compare_and_swap(key, 0, b"contender %d" % n) for n in range(20)]
            outcomes = await asyncio.gather(*swaps)
            winners = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, CasWon)]
            assert len(winners) == 1
            current = await one.get(key)
            assert current is not None
            assert current.value == b"contender %d" % winners[0]
            assert all(outcome.current == current for outcome in outcomes if isinstance(outcome, CasLost))

    asyncio.run(scenario())


def test_repeating_an_applied_swap_with_its_own_value_is_a_win(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            won = await store.compare_and_swap(key, 0, b"attempt 1")
            assert await store.compare_and_swap(key, 0, b"attempt 1") == won

    asyncio.run(scenario())


def test_swap_into_a_frozen_server_is_ambiguous_and_settles_after_it_thaws(server: LocalEtcd) -> None:
    patient = EtcdOptions(endpoints=(server.endpoint,), keepalive_time_s=5, call_timeout_s=0.3)

    async def scenario() -> None:
        async with EtcdStore(patient) as store:
            assert await store.get(b"k") is None
            freeze(server.pid)
            with pytest.raises(StoreAmbiguous):
                await store.compare_and_swap(b"k", 0, b"attempt", timeout_s=0.05)
            with pytest.raises(StoreAmbiguous):
                await asyncio.wait_for(store.put(b"other", b""), 3)
            with pytest.raises(StoreUnavailable):
                await store.get(b"k")
            os.kill(server.pid, signal.SIGCONT)
            repeated = await store.compare_and_swap(b"k", 0, b"attempt")
            assert isinstance(repeated, CasWon)
            assert await settle_ambiguous(store, b"k", 0, b"attempt") == repeated
            with pytest.raises(StoreAmbiguous):
                await settle_ambiguous(store, b"k", repeated.mod_revision, b"never sent")
            assert isinstance(await settle_ambiguous(store, b"k", 0, b"another's"), CasLost)

    asyncio.run(scenario())


def test_swap_that_could_never_be_sent_is_unavailable_not_ambiguous() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening: every connection is refused
        endpoint = f"127.0.0.1:{nobody.getsockname()[1]}"

        async def scenario() -> None:
            async with EtcdStore(EtcdOptions(endpoints=(endpoint,), call_timeout_s=0.2)) as store:
                with pytest.raises(StoreUnavailable, match=endpoint):
                    await store.compare_and_swap(b"k", 0, b"v", timeout_s=0.2)
                with pytest.raises(StoreUnavailable, match="is it running"):
                    await store.put(b"k", b"v")
                (status,) = await store.status()
                assert isinstance(status, MemberUnreachable)

        asyncio.run(scenario())


def test_put_under_an_unknown_lease_is_refused(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            with pytest.raises(StoreRefused, match="lease not found"):
                await store.put(key, b"v", lease=12345)

    asyncio.run(scenario())


def test_frozen_member_delays_a_hedged_swap_by_a_few_staggers_only(follower_first: Any, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(follower_first.options) as store:
            assert len(await store.status()) == 3  # all connected
            follower_first.freeze()
            began = time.monotonic()
            won = await store.compare_and_swap(key, 0, b"v")
            took = time.monotonic() - began
            assert isinstance(won, CasWon)
            assert 0.01 < took < 0.25, f"{took * 1000:.1f} ms"
            assert isinstance(await store.compare_and_swap(key, won.mod_revision, b"w"), CasWon)

    asyncio.run(scenario())


def test_swap_outlasts_the_death_of_the_etcd_leader(cluster: LocalEtcdCluster) -> None:
    async def scenario() -> None:
        async with EtcdStore(EtcdOptions(endpoints=cluster.endpoints, call_timeout_s=1)) as store:
            statuses = await store.status()
            leader = [each.is_leader for each in statuses if isinstance(each, MemberStatus)].index(True)
            cluster.members[leader].kill()
            began = time.monotonic()
            won = await store.compare_and_swap(b"k", 0, b"v", timeout_s=8)
            assert isinstance(won, CasWon)
            # An etcd election takes 0.5 to 1 s; a request forwarded to the dead leader would hang for some 7 s.
            assert time.monotonic() - began < 4
            after = await store.status()
            assert isinstance(after[leader], MemberUnreachable)
            assert sum(isinstance(each, MemberStatus) for each in after) == 2

    asyncio.run(scenario())


def test_closed_store_says_so(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            watch = store.watch(key)
            await anext(watch)
            following = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0.1)
        with pytest.raises(StoreClosed):
            await following
        with pytest.raises(StoreClosed):
            await store.get(key)

    asyncio.run(scenario())
