"""Principals of a running cluster: made, rotated and revoked by the command line, in effect everywhere at once."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lockstep import Code, Refused
from lockstep.aio import AsyncClient
from lockstep.ops.cli.main import cli
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.access.jwt_login import LEEWAY_S
from lockstep.runtime.access.registry import registry_key
from lockstep.runtime.access.secret_hash import key_number
from lockstep.runtime.etcd import EtcdOptions, EtcdStore
from lockstep.v1 import feed_pb2, feed_pb2_grpc, market_data_pb2, market_data_pb2_grpc, orders_pb2, orders_pb2_grpc
from tests.calm import CALM

_SOON_S = 30.0
"""On a busy machine; how fast it is on a quiet one is in docs/access.md."""
_AWAY = grpc.StatusCode.UNAVAILABLE
Access = Callable[..., str]


@pytest.fixture(scope="module")
def closed() -> Iterator[LocalCluster]:
    with LocalCluster(ClusterPlan(timing=CALM, feeds=1, anonymous="never")) as running:
        yield running


@pytest.fixture(scope="module")
def access(closed: LocalCluster) -> Access:
    def run(*arguments: object) -> str:
        words = ["access", *map(str, arguments), "--config", str(closed.config_path)]
        # In this process: a starved machine starts others slowly.
        done = CliRunner().invoke(cli, words, standalone_mode=False)
        assert done.exception is None, done.output
        return done.stdout

    return run


@pytest.fixture(scope="module")
def passing(closed: LocalCluster, access: Access, tmp_path_factory: pytest.TempPathFactory) -> "Passing":
    return Passing(closed, access, tmp_path_factory.mktemp("passing"))


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def instruments(cluster: LocalCluster, token: str) -> grpc.StatusCode:
    """The status of a call at the gateway."""
    with grpc.insecure_channel(cluster.gateway_addresses[0]) as channel:
        stub = market_data_pb2_grpc.MarketDataStub(channel)
        try:
            stub.ListInstruments(market_data_pb2.ListInstrumentsRequest(), metadata=metadata(token), timeout=30)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def wait_for(wanted: grpc.StatusCode, cluster: LocalCluster, token: str) -> float:
    """Until calls with the token end so; how long it took, seconds."""
    began_s = time.monotonic()
    while (found := instruments(cluster, token)) is not wanted:
        assert time.monotonic() - began_s < _SOON_S, found
        time.sleep(0.02)
    return time.monotonic() - began_s


def issue(access: Access, name: str, *roles: str) -> str:
    access("create", name, *(word for role in roles for word in ("--role", role)))
    return access("issue", name).strip()


def follow(channel: grpc.Channel, token: str) -> Any:
    """A stream of the feed that has brought something; a feed may hear of a new key a moment after the gateway."""
    wanted = feed_pb2.Subscription(feed=market_data_pb2.FEED_INSTRUMENTS)
    request, began_s = feed_pb2.FollowRequest(subscriptions=(wanted,)), time.monotonic()
    while True:
        following = feed_pb2_grpc.MarketFeedStub(channel).Follow(request, metadata=metadata(token), timeout=120)
        try:
            next(following)
        except grpc.RpcError:
            assert time.monotonic() - began_s < _SOON_S
            time.sleep(0.05)
        else:
            return following


def test_nobody_is_let_in_before_there_is_a_principal(closed: LocalCluster):
    assert instruments(closed, "anything") is grpc.StatusCode.UNAUTHENTICATED


def test_a_key_works_at_once_and_its_end_ends_what_is_open(closed: LocalCluster, access: Access):
    """Streams at a gateway and at a feed end by themselves, and the trail says who did it."""
    token = issue(access, "reader", "market-data")
    wait_for(grpc.StatusCode.OK, closed, token)
    with grpc.insecure_channel(closed.feed_addresses[0]) as channel:
        following = follow(channel, token)
        began_s = time.monotonic()
        access("revoke", "reader")
        with pytest.raises(grpc.RpcError) as ended:
            for _ in following:
                pass
        assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert time.monotonic() - began_s < _SOON_S
    wait_for(grpc.StatusCode.UNAUTHENTICATED, closed, token)
    trail = (closed.data_dir / "audit" / "gateway-1.jsonl").read_text()
    assert "revoke reader" in trail
    assert token not in trail


def test_a_rotated_key_overlaps_and_a_session_trades_on(closed: LocalCluster, access: Access):
    old = issue(access, "desk", "trader", "administrator")
    wait_for(grpc.StatusCode.OK, closed, old)

    async def trade() -> None:
        async with AsyncClient(
            closed.gateway_addresses, token=old, client_number=key_number(old), timeout_s=30
        ) as client:
            session = await client.session(timeout_s=30)
            await (await session.define_account(account=1, name="A", unlimited_cash=True, unlimited_positions=True))
            new = await asyncio.to_thread(access, "rotate", "desk")
            await asyncio.to_thread(wait_for, grpc.StatusCode.OK, closed, new.strip())
            # Its session is not ended by the key that has come beside it.
            await (await session.define_account(account=2, name="B", unlimited_cash=True, unlimited_positions=True))
            await session.close()

    asyncio.run(trade())
    assert instruments(closed, old) is grpc.StatusCode.OK, "for an hour"


def test_a_machine_logs_in_with_a_token_that_it_signs_itself(closed: LocalCluster, access: Access, tmp_path: Path):
    private = Ed25519PrivateKey.generate()
    path = tmp_path / "machine.pem"
    path.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    access("create", "machine", "--role", "market-data")
    kid = access("public-key", "machine", path).split()[1].rstrip(",")
    now = int(time.time())
    claims = {"sub": "machine", "aud": closed.topology.name, "iat": now, "exp": now + 300}
    wait_for(grpc.StatusCode.OK, closed, jwt.encode(claims, private, algorithm="EdDSA", headers={"kid": kid}))


_LIFE_S = 5.0
"""Of the token below; a busy machine opens a stream in a second."""


class Passing:
    """A machine whose logins are over in a few seconds."""

    def __init__(self, cluster: LocalCluster, access: Access, folder: Path) -> None:
        self.private = Ed25519PrivateKey.generate()
        path = folder / "passing.pem"
        path.write_bytes(self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        access("create", "passing", "--role", "trader")
        self.kid = access("public-key", "passing", path).split()[1].rstrip(",")
        self.audience = cluster.topology.name
        self.over_s = 0.0

    def token(self) -> str:
        """One that lets in for `_LIFE_S` more."""
        end = int(time.time() + _LIFE_S) - LEEWAY_S
        self.over_s = end + LEEWAY_S
        claims = {"sub": "passing", "aud": self.audience, "iat": end - 300, "exp": end}
        return jwt.encode(claims, self.private, algorithm="EdDSA", headers={"kid": self.kid})


def _subscribed(cluster: LocalCluster, token: str) -> Any:
    channel = grpc.insecure_channel(cluster.gateway_addresses[0])
    request = market_data_pb2.SubscribeRequest(feeds=(market_data_pb2.FEED_L1,))
    return channel, market_data_pb2_grpc.MarketDataStub(channel).Subscribe(request, metadata=metadata(token))


def _followed(cluster: LocalCluster, token: str) -> Any:
    channel = grpc.insecure_channel(cluster.feed_addresses[0])
    wanted = feed_pb2.Subscription(feed=market_data_pb2.FEED_INSTRUMENTS)
    request = feed_pb2.FollowRequest(subscriptions=(wanted,))
    return channel, feed_pb2_grpc.MarketFeedStub(channel).Follow(request, metadata=metadata(token))


def _session(cluster: LocalCluster, token: str, number: int) -> Any:
    hello = orders_pb2.Hello(session_id=number << 32 | 1, next_no=1, connection=time.time_ns())
    said = threading.Event()

    def requests() -> Iterator[Any]:
        yield orders_pb2.SessionRequest(hello=hello)
        said.wait(4 * _SOON_S)

    channel = grpc.insecure_channel(cluster.gateway_addresses[0])
    return channel, orders_pb2_grpc.OrderEntryStub(channel).Session(requests(), metadata=metadata(token))


def read_until(stream: Any, deadline_s: float) -> None:
    for _ in stream:
        assert time.time() < deadline_s, "it goes on behind its token's end"


@pytest.mark.parametrize("door", ["orders", "subscription", "feed"])
def test_what_a_signed_login_opened_ends_when_it_is_over(
    closed: LocalCluster, access: Access, passing: Passing, door: str
):
    number = next(
        one["number"] for one in json.loads(access("list", "--json", "-"))["principals"] if one["name"] == "passing"
    )
    began_s = time.monotonic()
    while True:
        token = passing.token()
        over_s = passing.over_s
        if door == "orders":
            channel, stream = _session(closed, token, number)
        else:
            channel, stream = (_subscribed if door == "subscription" else _followed)(closed, token)
        with channel, pytest.raises(grpc.RpcError) as ended:
            read_until(stream, over_s + _SOON_S)
        assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
        if "log in again" in str(ended.value.details()):
            assert time.time() >= over_s
            return
        # It was over before it was looked at, or the process has not heard of the machine yet.
        assert time.monotonic() - began_s < _SOON_S


def in_etcd(cluster: LocalCluster, put: bytes | None = None) -> bytes:
    """What stands for the principals in etcd; `put`: what somebody writes there first, without asking anybody."""

    async def run() -> bytes:
        key = registry_key(cluster.topology.name)
        async with EtcdStore(EtcdOptions(endpoints=cluster.topology.etcd_endpoints, call_timeout_s=30)) as store:
            if put is not None:
                await store.put(key, put)
            found = await store.get(key)
            assert found is not None
            return found.value

    return asyncio.run(run())


def test_an_older_document_is_refused_also_by_a_process_that_has_started_anew(closed: LocalCluster, access: Access):
    """And an operator can put it in force on purpose, or the newest one back."""
    token, kept = issue(access, "leaver", "market-data"), closed.data_dir / "audit" / "gateway-1.principals"
    wait_for(grpc.StatusCode.OK, closed, token)
    older = in_etcd(closed)
    access("revoke", "leaver")
    wait_for(grpc.StatusCode.UNAUTHENTICATED, closed, token)
    newest = in_etcd(closed)
    deadline_s = time.monotonic() + _SOON_S
    while kept.read_bytes() != newest:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)

    in_etcd(closed, older)
    closed.kill_and_hold("gateway-1")
    trail = closed.data_dir / "audit" / "gateway-1.jsonl"
    refusals = trail.read_text().count("principals_refused")
    closed.restart("gateway-1")
    while trail.read_text().count("principals_refused") == refusals or instruments(closed, token) is _AWAY:
        assert time.monotonic() < deadline_s + _SOON_S, "it says that it refuses it"
        time.sleep(0.05)
    assert instruments(closed, token) is grpc.StatusCode.UNAUTHENTICATED
    words = ["access", "create", "somebody", "--role", "auditor", "--config", str(closed.config_path)]
    refused = CliRunner().invoke(cli, words, standalone_mode=False)
    assert "put it back" in str(refused.exception)

    access("restore", "--file", kept, "--force")
    new = issue(access, "joiner", "market-data")
    wait_for(grpc.StatusCode.OK, closed, new)
    assert instruments(closed, token) is grpc.StatusCode.UNAUTHENTICATED

    in_etcd(closed, older)
    access("restore", "--force")
    names = [one["name"] for one in json.loads(access("list", "--json", "-"))["principals"]]
    assert "leaver" not in names, "who was revoked since is not back without a word"
    assert instruments(closed, token) is grpc.StatusCode.UNAUTHENTICATED

    in_etcd(closed, older)
    access("restore", "--revoked-too", "--force")
    wait_for(grpc.StatusCode.OK, closed, token)
    wait_for(grpc.StatusCode.UNAUTHENTICATED, closed, new)
    listed = json.loads(access("list", "--json", "-"))
    assert "restore version" in listed["changes"][-1]["what"]
    access("create", "later", "--role", "auditor")
    numbers = {one["name"]: one["number"] for one in json.loads(access("list", "--json", "-"))["principals"]}
    assert numbers["later"] != int(new.split(".")[1]), "the number of who was lost goes to nobody"


def subscribed(address: str, token: str, named: tuple[int, ...]) -> grpc.StatusCode:
    """How a subscription to these instruments is answered."""
    with grpc.insecure_channel(address) as channel:
        stub = market_data_pb2_grpc.MarketDataStub(channel)
        asked = market_data_pb2.SubscribeRequest(instruments=named, feeds=[market_data_pb2.FEED_L1])
        call = stub.Subscribe(asked, metadata=metadata(token), timeout=30)
        try:
            next(call)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def test_rights_change_in_force_at_once_with_the_same_key(closed: LocalCluster, access: Access):
    """Roles, accounts, instruments by number and by group, without a restart."""
    maker = issue(access, "definer", "trader", "administrator")
    token = issue(access, "mover", "trader")
    wait_for(grpc.StatusCode.OK, closed, maker)
    wait_for(grpc.StatusCode.OK, closed, token)
    addresses = closed.gateway_addresses

    async def run() -> None:
        words: Any = {"timeout_s": 30}
        free: Any = {"unlimited_cash": True, "unlimited_positions": True}
        async with (
            AsyncClient(addresses, token=maker, client_number=key_number(maker), **words) as definer,
            AsyncClient(addresses, token=token, client_number=key_number(token), **words) as mover,
        ):
            session = await definer.session(timeout_s=30)
            for number in (31, 32):
                await (await session.define_instrument(id=number, symbol=f"M{number}", tick="0.01"))
                await (await session.define_account(account=number, name=f"m{number}", **free))

            async def placed(account: int, instrument: int) -> int:
                """The code that refuses an order; 0: none does."""
                terms: Any = {"side": "buy", "quantity_lots": 1, "price_ticks": 100, "tif": "gtc"}
                try:
                    await mover.place(account=account, instrument=instrument, **terms)
                except Refused as error:
                    return int(error.code)
                return 0

            async def change(*said: object, until: int, order: tuple[int, int]) -> None:
                await asyncio.to_thread(access, *said)
                began_s = time.monotonic()
                while (found := await placed(*order)) != until:
                    assert time.monotonic() - began_s < _SOON_S, found
                    await asyncio.sleep(0.02)

            no = int(Code.NOT_ENTITLED)
            assert await placed(31, 31) == 0
            await change("change", "mover", "--account", 31, until=no, order=(32, 31))
            assert await placed(31, 31) == 0
            await asyncio.to_thread(access, "group", "metals", "--instrument", 32)
            await change("change", "mover", "--group", "metals", until=no, order=(31, 31))
            assert await placed(31, 32) == 0
            found = [await asyncio.to_thread(subscribed, addresses[0], token, named) for named in ((31,), (), (32,))]
            assert found == [grpc.StatusCode.PERMISSION_DENIED] * 2 + [grpc.StatusCode.OK]
            await change("group", "metals", "--instrument", 31, until=no, order=(31, 32))
            assert await placed(31, 31) == 0
            await change("change", "mover", "--all-instruments", "--all-accounts", until=0, order=(32, 32))
            await change("change", "mover", "--role", "market-data", until=no, order=(32, 32))
            await session.close()

    asyncio.run(run())
    listed = json.loads(access("list", "--json", "-"))
    assert any("change mover: roles market-data" in line["what"] for line in listed["changes"])


def test_the_kill_switch_is_the_operators(closed: LocalCluster, access: Access):
    """Whom the cluster's key makes an operator pulls it and lifts it, with no other token."""
    token = issue(access, "maker", "trader", "administrator")
    wait_for(grpc.StatusCode.OK, closed, token)

    async def trade() -> None:
        async with AsyncClient(
            closed.gateway_addresses, token=token, client_number=key_number(token), timeout_s=30
        ) as client:
            session = await client.session(timeout_s=30)
            await (await session.define_instrument(id=9, symbol="NINE", tick="0.01"))
            await (await session.define_account(account=9, name="N", unlimited_cash=True, unlimited_positions=True))
            await (await session.place(account=9, instrument=9, side="buy", quantity_lots=1, price="1.00", tif="gtc"))
            await session.close()

    asyncio.run(trade())
    for words in (("9",), ("9", "--lift")):
        arguments = ["cluster", "kill-switch", *words, "--json", "-", "--config", str(closed.config_path)]
        done = CliRunner().invoke(cli, arguments, standalone_mode=False)
        assert done.exception is None, done.output
        said = json.loads(done.stdout)
        assert (said["orders_before"], said["orders_after"]) == ((1, 0) if len(words) == 1 else (0, 0))


def test_the_list_shows_everything_but_secrets(closed: LocalCluster, access: Access, run_cli):
    token = issue(access, "watcher", "monitor")
    listed = json.loads(access("list", "--json", "-"))
    found = {one["name"]: one for one in listed["principals"]}
    assert found["watcher"]["roles"] == ["monitor"]
    assert found["watcher"]["credentials"][0]["id"] == token.split(".")[2]
    assert token.rpartition(".")[2] not in json.dumps(listed)
    assert any("issue a key of watcher" in line["what"] for line in listed["changes"])
    refused = run_cli("access", "create", "watcher", "--role", "trader", "--config", closed.config_path)
    assert refused.returncode == 2
    assert "is there already" in refused.stderr


def test_no_secret_is_in_any_log_or_file_of_the_cluster_that_others_could_read(closed: LocalCluster, access: Access):
    token = issue(access, "secret", "auditor")
    wait_for(grpc.StatusCode.OK, closed, token)
    secret, key = token.rpartition(".")[2], (closed.data_dir / "cluster.key").read_text().strip()
    # Nobody else gets into the directory; what may be copied elsewhere is its owner's alone by itself.
    trails = list((closed.data_dir / "audit").iterdir())
    assert trails
    for path in (closed.data_dir, closed.data_dir / "cluster.key", *trails):
        assert path.stat().st_mode & 0o077 == 0, path
    for path in closed.data_dir.rglob("*"):
        if path.is_file() and path.suffix in (".log", ".jsonl", ".toml"):
            text = path.read_text(errors="replace")
            assert secret not in text, path
            assert key not in text, path
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes()
        except OSError:
            continue
        assert secret.encode() not in line
        assert key.encode() not in line


@pytest.mark.slow
def test_principals_are_there_after_a_restart_of_everything_with_an_empty_etcd(tmp_path: Path):
    """`lockstep up` gives a cluster a new etcd each time; what its processes have kept is put there first."""
    plan = ClusterPlan(timing=CALM, data_dir=tmp_path / "data", anonymous="never")
    words = ["--config", str(tmp_path / "data" / "cluster.toml")]

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["access", *arguments, *words], standalone_mode=False)
        assert done.exception is None, done.output
        return done.stdout

    with LocalCluster(plan) as first:
        run("create", "keeper", "--role", "market-data")
        token = run("issue", "keeper").strip()
        wait_for(grpc.StatusCode.OK, first, token)
        kept, deadline_s = first.data_dir / "audit" / "gateway-1.principals", time.monotonic() + _SOON_S
        while not kept.exists() or token.split(".")[2] not in kept.read_text():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    with LocalCluster(plan) as second:
        wait_for(grpc.StatusCode.OK, second, token)
        run("create", "next", "--role", "auditor")
        assert "keeper" in run("list")
