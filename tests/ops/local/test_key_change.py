"""The cluster's key is changed: whose client numbers stay whose, and who is let in meanwhile."""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from lockstep import tls_credentials
from lockstep.aio import AsyncClient
from lockstep.ops.cli.main import cli
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime.access.cluster_key import Holder
from lockstep.runtime.access.dialing import Identity, open_channel
from lockstep.runtime.access.roles import Role
from lockstep.runtime.access.secret_hash import key_number
from lockstep.runtime.tls.authority import CA, OPERATOR
from lockstep.runtime.tls.material import Material
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc, market_data_pb2, market_data_pb2_grpc
from tests.calm import CALM
from tests.ops.local.test_principals import wait_for
from tests.ops.local.test_secure import PATIENCE_S, READ_TWICE, command, dropped


def access(cluster: LocalCluster, *arguments: object) -> str:
    words = ["access", *map(str, arguments), "--config", str(cluster.config_path)]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exception is None, done.output
    return done.stdout


def issue(cluster: LocalCluster, name: str, *roles: str) -> str:
    access(cluster, "create", name, *(word for role in roles for word in ("--role", role)))
    return access(cluster, "issue", name).strip()


def plan(directory: Path) -> ClusterPlan:
    return ClusterPlan(timing=CALM, anonymous="never", data_dir=directory, engines=1, sequencers=1)


def test_numbers_of_principals_that_nobody_can_verify_any_more_go_to_nobody(tmp_path: Path):
    with LocalCluster(plan(tmp_path)) as running:
        tokens = [issue(running, name, "trader") for name in ("root", "desk")]
        for token in tokens:
            wait_for(grpc.StatusCode.OK, running, token)
    former = tmp_path / "former.key"
    (tmp_path / "cluster.key").rename(former)
    (tmp_path / "cluster.key").write_text(secrets.token_hex(32) + "\n")
    with LocalCluster(plan(tmp_path)) as running:
        assert any("--former-key FILE" in str(incident) for incident in running.incidents)
        newcomer = issue(running, "newcomer", "trader")
        assert key_number(newcomer) not in map(key_number, tokens), "engines keep the former ones' sessions"
        wait_for(grpc.StatusCode.OK, running, newcomer)
        assert key_number(issue(running, "later", "trader")) not in map(key_number, (*tokens, newcomer))
        words = ["access", "create", "third", "--role", "trader", "--config", str(running.config_path)]
        refused = CliRunner().invoke(cli, [*words, "--number", str(key_number(tokens[0]))])
        assert refused.exit_code == 2
        assert "was a revoked one's" in refused.output
        listed = json.loads(access(running, "list", "--json", "-"))
        assert [one["name"] for one in listed["principals"]] == ["newcomer", "later"]

        (aside,) = (tmp_path / "audit").glob("gateway-1.principals.unverified-*")
        words = ["access", "restore", "--file", str(aside), "--force", "--config", str(running.config_path)]
        refused = CliRunner().invoke(cli, words)
        assert refused.exit_code == 2
        assert "--former-key FILE" in refused.output
        access(running, "restore", "--file", aside, "--former-key", former, "--revoked-too", "--force")
        for token in tokens:
            wait_for(grpc.StatusCode.OK, running, token)


def trading(cluster: LocalCluster, token: str, stop: threading.Event, answers: list[object]) -> None:
    """Place orders one after another; none may be refused."""

    async def trade() -> None:
        async with AsyncClient(
            cluster.gateway_addresses,
            token=token,
            client_number=key_number(token),
            credentials=tls_credentials(cluster.topology.tls.cert_dir / CA),
            timeout_s=60,
        ) as client:
            session = await client.session(timeout_s=60)
            await (await session.define_account(account=1, name="A", unlimited_cash=True, unlimited_positions=True))
            await (await session.define_instrument(id=1, symbol="ACME", tick="0.01"))
            terms: Any = {"side": "buy", "quantity_lots": 1, "price_ticks": 100, "tif": "ioc"}
            while not stop.is_set():
                answers.append(await (await session.place(account=1, instrument=1, **terms)))
                await asyncio.sleep(0.01)
            await session.close()

    asyncio.run(trade())


@pytest.mark.slow
def test_the_key_is_changed_while_the_cluster_trades_and_every_principal_stays(tmp_path: Path):
    """No process is restarted, no order refused, no frame dropped. Then somebody just puts another key there."""
    wanted = ClusterPlan(timing=CALM, feeds=1, secure=True, data_dir=tmp_path)
    key = tmp_path / "cluster.key"
    with LocalCluster(wanted) as running, ThreadPoolExecutor(1) as pool:
        token = issue(running, "desk", "trader", "administrator")
        answers: list[object] = []
        stop = threading.Event()
        trade = pool.submit(trading, running, token, stop, answers)
        try:
            wait_until(lambda: len(answers) > 5 or trade.done())
            first = key.read_bytes()
            access(running, "key", "--next")
            assert "next: the same on the other hosts" in access(running, "key", "--switch")
            assert key.read_bytes() != first
            refused = CliRunner().invoke(cli, ["access", "key", "--finish", "--config", str(running.config_path)])
            assert "`lockstep access rekey` first" in refused.output
            assert "1 principals, written with the cluster's key" in access(running, "rekey")
            assert "nothing was changed" in access(running, "rekey")
            refused = CliRunner().invoke(cli, ["access", "key", "--finish", "--config", str(running.config_path)])
            assert "`lockstep cluster rotate-keys` first" in refused.output
            assert "epoch 2, and no others" in command(running, "cluster", "rotate-keys", "--timeout", "60")
            access(running, "key", "--finish")
            wait_until(lambda: not believed(running, first))
            assert believed(running, key.read_bytes())
            running.kill(running.find("primary"))
            assert running.wait_until_whole(90)
            count = len(answers)
            wait_until(lambda: len(answers) > count + 5 or trade.done())

            second = tmp_path / "second.key"
            second.write_bytes(key.read_bytes())
            key.write_text(secrets.token_hex(32) + "\n")
            listed = CliRunner().invoke(cli, ["access", "list", "--config", str(running.config_path)])
            assert "`lockstep access rekey --former-key FILE`" in listed.output
            running.kill("gateway-1")
            wait_until(lambda: refusal(running, token) == "this process can't verify stored principals now")
            access(running, "rekey", "--former-key", second)
            wait_until(lambda: not refusal(running, token))
            assert "desk  number 1" in access(running, "list")
            assert "no others are believed" in command(running, "cluster", "rotate-keys", "--anew", "--timeout", "60")
            newcomer = issue(running, "newcomer", "trader")
            wait_until(lambda: believed(running, key.read_bytes()))
            assert key_number(newcomer) == 2
            count = len(answers)
            wait_until(lambda: len(answers) > count + 5 or trade.done())
        finally:
            stop.set()
        trade.result(60)
        assert not dropped(running).keys() - READ_TWICE


def refusal(cluster: LocalCluster, token: str) -> str:
    """What a gateway says to a stored principal; empty: it lets it in. It has to answer within a second and a half."""
    material = Material(cluster.topology.tls.cert_dir, OPERATOR)
    credentials = material.channel_credentials()
    with grpc.secure_channel(cluster.gateway_addresses[0], credentials) as channel:
        stub = market_data_pb2_grpc.MarketDataStub(channel)
        metadata = (("authorization", f"Bearer {token}"),)
        try:
            stub.ListInstruments(market_data_pb2.ListInstrumentsRequest(), metadata=metadata, timeout=1.5)
        except grpc.RpcError as error:
            return str(error.details()).partition(":")[0]
    return ""


def believed(cluster: LocalCluster, key: bytes) -> bool:
    """Whether all processes know an operator by it."""
    identity = Identity(bytes.fromhex(key.decode()), cluster.topology.name, Holder("somebody", Role.OPERATOR))
    metadata = (("authorization", f"Bearer {identity.token}"),)
    for member in cluster.topology.all_members():
        with open_channel(member.grpc_address, [], named=False) as channel:
            stub = cluster_pb2_grpc.ClusterStub(channel)
            try:
                stub.GetStatus(cluster_pb2.GetStatusRequest(), metadata=metadata, timeout=30)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                    return False
                raise
    return True


def wait_until(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
