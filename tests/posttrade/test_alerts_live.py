"""Alerts beside a cluster that loses processes, and that are killed themselves: each firing once, and as a rebuild."""

import asyncio
import json
import threading
import time
from contextlib import closing
from itertools import pairwise

import pytest

from lockstep.admin import AdjustCash, AdjustPosition, AdminCommand, DefineAccount, DefineInstrument
from lockstep.aio import AsyncClient
from lockstep.alerts import AlertsClient, definition
from lockstep.errors import Refused
from lockstep.ops.cli.main import run
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.posttrade.alerts import schema
from lockstep.posttrade.alerts.digest import table_digests
from lockstep.posttrade.alerts.process import FILE
from lockstep.posttrade.alerts.sink import AlertsSink
from lockstep.posttrade.alerts.store import Store
from lockstep.posttrade.reading import executed
from lockstep.replica.stored_journal import StoredJournal
from lockstep.runtime.topology import Client
from tests.calm import CALM
from tests.posttrade.patience import PATIENCE_S, answered, wait_for
from tests.posttrade.test_alerts_fold import give_requests
from tests.posttrade.test_alerts_service import Receiver

ROUNDS = 60
PRICES = [1_000, 1_005, 1_010, 1_005]
pytestmark = pytest.mark.slow


async def fund(client: AsyncClient) -> None:
    session = await client.session(timeout_s=60.0)
    commands: list[AdminCommand] = [DefineInstrument(1, "ACME", 10_000)]
    for account in (1, 2):
        commands += [DefineAccount(account, f"DESK-{account}"), AdjustCash(account, 10**15)]
        commands += [AdjustPosition(account, 1, 10**6)]
    for handle in [await session.submit(command) for command in commands]:
        await handle
    await session.close()


async def trade(client: AsyncClient) -> None:
    """Prices go up and down: ROUNDS trades."""
    session = await client.session(timeout_s=60.0)
    for place in range(ROUNDS):
        price = PRICES[place % len(PRICES)]
        for account, side in ((1, "sell"), (2, "buy")):
            done = await session.place(
                account=account, instrument=1, side=side, quantity_lots=2, price_ticks=price,
                client_order_id=place + 1, tif="gtc",
            )  # fmt: skip
            await done
        await asyncio.sleep(0.02)
    await session.close()


async def with_kills(cluster: LocalCluster) -> None:
    async with AsyncClient(cluster.gateway_addresses, token="t-1", client_number=1, timeout_s=60.0) as client:
        flow = asyncio.create_task(trade(client))
        for role in ("alerts", "primary", "alerts", "sequencer", "alerts"):
            await asyncio.sleep(0.4)
            name = role if role == "alerts" else await asyncio.to_thread(cluster.find, role)
            await asyncio.to_thread(cluster.kill, name)
            if role != "alerts":
                assert await asyncio.to_thread(cluster.wait_until_whole, PATIENCE_S)
        await flow


def test_each_crossing_fires_once_over_failover_and_kills_and_a_rebuild_has_the_same(tmp_path):
    receiver = Receiver()
    plan = ClusterPlan(
        timing=CALM, data_dir=tmp_path / "cluster", alerts=True, webhook_hosts="127.0.0.1",
        webhook_networks="127.0.0.0/8",
        clients=(Client("one", "t-1", 1, admin=True), Client("two", "t-2", 2, accounts=(2,))),
    )  # fmt: skip
    cluster = LocalCluster(plan)
    got: list[tuple[int, str]] = []
    try:
        cluster.start()
        where = cluster.topology.alerts
        client = AlertsClient(f"{where.host}:{where.grpc_port}", token="t-1", timeout_s=30.0)
        asyncio.run(_funded(cluster))
        wanted = definition("price", instrument=1, price="last", direction="crossing", threshold=1_007)
        _created(client, wanted)
        _created(client, definition("fill", account=2))
        answered(lambda: client.create_webhook(receiver.url))

        def follow() -> None:
            try:
                for firing in client.follow(after=0):
                    got.append((firing.number, firing.id))
            except (ValueError, Refused):
                # The channel was closed: the test is over.
                return

        threading.Thread(target=follow, daemon=True).start()
        asyncio.run(with_kills(cluster))
        crossings = sum((a >= 1_007) != (b >= 1_007) for a, b in _steps())
        expected = crossings + ROUNDS
        wait_for(lambda: answered(client.firings).last >= expected, "all firings")
        page = answered(lambda: client.firings(limit=1000))
        assert [one.alert for one in page.firings].count(1) == crossings
        assert [one.alert for one in page.firings].count(2) == ROUNDS
        wait_for(lambda: len(got) >= expected, "the stream")
        assert got == [(one.number, one.id) for one in page.firings]
        wait_for(lambda: client.webhooks()[0].delivered == expected, "the webhook")
        ids = [json.loads(body)["data"]["id"] for _, body in receiver.got]
        assert list(dict.fromkeys(ids)) == [one.id for one in page.firings]
        cluster.kill("alerts")
        client.close()
    finally:
        cluster.stop()
        receiver.close()
    _is_a_rebuild(cluster, tmp_path)


def _steps():
    last = [PRICES[place % len(PRICES)] for place in range(ROUNDS)]
    return pairwise(last)


async def _funded(cluster: LocalCluster) -> None:
    async with AsyncClient(cluster.gateway_addresses, token="t-1", client_number=1, timeout_s=60.0) as client:
        await fund(client)


def _created(client: AlertsClient, wanted) -> None:
    """Once the process knows of instrument and account."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            answered(lambda: client.create(wanted))
            return
        except Refused as refused:
            if "there is no" not in refused.text or time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def _is_a_rebuild(cluster: LocalCluster, tmp_path) -> None:
    with closing(Store(cluster.topology.alerts.data_dir / FILE)) as live:
        through, digests = live.position()[0].seq, table_digests(live)
        requests = live.requests(0)
        assert len(live.table(schema.FIRINGS)) > ROUNDS
    path = tmp_path / "again.db"
    give_requests(path, requests)
    journal = StoredJournal(cluster.topology.engines[0].data_dir)
    try:
        batches = (batch for batch in journal.batches(1) if batch.last_seq <= through)
        with closing(AlertsSink(path)) as again:
            for chunk in executed(batches, "reference"):
                again.apply(chunk)
            assert again.position().seq == through
            assert table_digests(again.store) == digests
    finally:
        journal.close()


def test_a_rebuild_from_running_engines_has_the_same_firings(tmp_path):
    plan = ClusterPlan(timing=CALM, data_dir=tmp_path / "cluster", alerts=True, restart=False)
    cluster = LocalCluster(plan)
    try:
        cluster.start()
        where = cluster.topology.alerts
        asyncio.run(_funded_open(cluster))
        with AlertsClient(f"{where.host}:{where.grpc_port}", timeout_s=30.0) as client:
            _created(client, definition("fill", account=2))
            client.put_watchlist("kept", [1])
            asyncio.run(_traded_open(cluster))
            wait_for(lambda: client.firings().last == ROUNDS, "all firings")
            before = client.firings(limit=1000).firings
        cluster.kill("alerts")
        assert run(["alerts", "rebuild", "--config", str(cluster.config_path)]) == 0
        with closing(Store(where.data_dir / FILE)) as made:
            rows = made.rows("SELECT number, id FROM firings ORDER BY number")
            assert rows == [(one.number, one.id) for one in before]
            assert made.rows("SELECT name FROM watchlists") == [("kept",)]
    finally:
        cluster.stop()


async def _funded_open(cluster: LocalCluster) -> None:
    async with AsyncClient(cluster.gateway_addresses, timeout_s=60.0) as client:
        await fund(client)


async def _traded_open(cluster: LocalCluster) -> None:
    async with AsyncClient(cluster.gateway_addresses, timeout_s=60.0) as client:
        await trade(client)
