"""Watches against real servers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lockstep.ops.local.etcd_server import LocalEtcd, LocalEtcdCluster
from lockstep.runtime.etcd import Deleted, EtcdOptions, EtcdStore, Versioned


async def _until(watch: AsyncIterator[Versioned | Deleted], value: bytes) -> None:
    async for state in watch:
        if isinstance(state, Versioned) and state.value == value:
            return


def test_watch_begins_with_the_present_state(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            assert isinstance(await anext(store.watch(key)), Deleted)
            revision = await store.put(key, b"here")
            assert await anext(store.watch(key)) == Versioned(
                key=key, value=b"here", mod_revision=revision, create_revision=revision
            )

    asyncio.run(scenario())


def test_watch_sees_every_change_in_order(options: EtcdOptions, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(options) as store:
            watch = store.watch(key)
            assert isinstance(await anext(watch), Deleted)
            expected: list[bytes | None] = []

            async def write() -> None:
                for n in range(50):
                    await store.put(key, b"%d" % n)
                    await store.put(key + b"-neighbour", b"noise")
                    expected.append(b"%d" % n)
                    if n % 10 == 9:
                        await store.delete(key)
                        expected.append(None)

            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                group.create_task(write())
                states = [await anext(watch) for _ in range(55)]
            assert [state.value if isinstance(state, Versioned) else None for state in states] == expected
            revisions = [state.mod_revision for state in states]
            assert revisions == sorted(revisions)

    asyncio.run(scenario())


def test_watch_goes_on_at_another_member_when_its_own_is_killed(cluster: LocalEtcdCluster) -> None:
    async def scenario() -> None:
        async with EtcdStore(EtcdOptions(endpoints=cluster.endpoints, call_timeout_s=5)) as store:
            await store.status()  # all connected: a watch begins at the first member
            watch = store.watch(b"k")
            assert isinstance(await anext(watch), Deleted)
            following = asyncio.ensure_future(_until(watch, b"after the kill"))
            await asyncio.sleep(0.1)
            cluster.members[0].kill()
            await store.compare_and_swap(b"k", 0, b"after the kill", timeout_s=5)
            await asyncio.wait_for(following, 5)

    asyncio.run(scenario())


def test_watch_goes_on_at_another_member_when_its_own_freezes(follower_first: Any, key: bytes) -> None:
    async def scenario() -> None:
        async with EtcdStore(follower_first.options) as store:
            await store.status()
            watch = store.watch(key)
            assert isinstance(await anext(watch), Deleted)
            following = asyncio.ensure_future(_until(watch, b"after the freeze"))
            await asyncio.sleep(0.1)
            follower_first.freeze()
            await store.compare_and_swap(key, 0, b"after the freeze", timeout_s=5)
            # Seen only because gRPC's keepalive fires: nothing else distinguishes a frozen member from a quiet key.
            await asyncio.wait_for(following, 5)

    asyncio.run(scenario())


def test_watch_outlives_a_server_that_comes_back_empty(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = LocalEtcd.start(tmp_path)
        port = int(first.endpoint.rpartition(":")[2])
        async with EtcdStore(EtcdOptions(endpoints=(first.endpoint,))) as store:
            await store.put(b"k", b"before")
            watch = store.watch(b"k")
            assert isinstance(await anext(watch), Versioned)
            following = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0.1)
            first.kill()
            first.stop()
            # Blocking the loop meanwhile is part of the test: nothing may depend on its being free.
            with LocalEtcd.start(tmp_path, client_port=port):
                # The wiped store's revisions are lower than those already seen, and yet this is news.
                assert isinstance(await asyncio.wait_for(following, 5), Deleted)
                following = asyncio.ensure_future(anext(watch))
                await store.put(b"k", b"after")
                state = await asyncio.wait_for(following, 5)
                assert isinstance(state, Versioned)
                assert state.value == b"after"
                await watch.aclose()

    asyncio.run(scenario())


def test_a_watch_that_nobody_answers_says_so_and_when_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        first = LocalEtcd.start(tmp_path)
        port = int(first.endpoint.rpartition(":")[2])
        async with EtcdStore(EtcdOptions(endpoints=(first.endpoint,))) as store:
            watch = store.watch(b"k")
            assert isinstance(await anext(watch), Deleted)
            following = asyncio.ensure_future(anext(watch))
            first.kill()
            first.stop()
            async with asyncio.timeout(30):
                while "nothing is heard" not in caplog.text:  # noqa: ASYNC110 - a log has no event
                    await asyncio.sleep(0.05)
            with LocalEtcd.start(tmp_path, client_port=port):
                await store.put(b"k", b"after")
                assert isinstance(await asyncio.wait_for(following, 30), Versioned)
                assert "is heard of again" in caplog.text
            assert caplog.text.count("nothing is heard") == 1

    asyncio.run(scenario())
