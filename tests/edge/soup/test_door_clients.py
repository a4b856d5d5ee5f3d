"""The door of a cluster that lists its clients: passwords, accounts, cancel on disconnect, self-trade prevention."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lockstep import Client, DefineAccount, DefineInstrument
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.config_file import HEADING
from lockstep.ops.local.kept_config import Chosen
from lockstep.ops.local.plan import ClusterPlan
from lockstep.runtime import config
from lockstep.runtime import topology as parts
from tests.calm import CALM
from tests.edge.soup.conftest import Trader
from tests.edge.soup.ouch_messages import enter

GRACE_MS = 3_000
DESK = parts.Client("desk", "token-1", 5, (3, 4), soup_user="DESK1", soup_password="secret", soup_cancel_ms=GRACE_MS)
CAREFUL = parts.Client(
    "careful", "token-2", 6, (7,), soup_user="CARE", soup_password="longerpwd", soup_self_trade="cancel_newest"
)
ADMIN = parts.Client("admin", "token-3", 9, admin=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data_dir = tmp_path_factory.mktemp("clients")
    plan = ClusterPlan(timing=CALM, soup=True, data_dir=data_dir, chosen=Chosen())
    with LocalCluster(plan) as first:
        listed = replace(first.topology, clients=(DESK, CAREFUL, ADMIN))
    (data_dir / "cluster.toml").write_text(config.render(listed, heading=HEADING))
    with LocalCluster(plan) as running:
        admin = Client(running.gateway_addresses[0], token=ADMIN.token, client_number=9)
        with admin as client, client.session() as session:
            handles = [session.submit(DefineInstrument(1, "ACME", 10_000))]
            handles += [session.submit(DefineAccount(number, f"A{number}", True, True)) for number in (3, 4, 7)]
            for handle in handles:
                handle.result(timeout=20)
        yield running


def live_orders(cluster: LocalCluster) -> list[int]:
    """Of account 4, by exchange id."""
    with Client(cluster.gateway_addresses[0], token=DESK.token, client_number=DESK.number) as client:
        return [order.order_id for order in client.open_orders(4)]


@pytest.mark.parametrize(
    ("user", "password"), [("DESK1", "wrong"), ("NOBODY", "secret"), ("admin", "token-3"), ("", "")]
)
def test_nobody_logs_in_without_the_password_of_a_client(cluster, user, password):
    async def call():
        with pytest.raises(ConnectionRefusedError, match="NOT_AUTHORIZED"):
            await Trader(user, password).connect(cluster.soup_addresses[0])

    asyncio.run(call())


def test_a_client_trades_its_own_accounts_alone(cluster):
    async def trade():
        trader = Trader(DESK.soup_user, DESK.soup_password)
        await trader.connect(cluster.soup_addresses[0])
        trader.send(enter("A", firm="", price=900_000), enter("B", firm="4", price=900_000), enter("C", firm="7"))
        said = await trader.until(4)
        assert [(one["type"], one.get("firm", one.get("reason"))) for one in said[1:]] == [
            ("A", "3   "), ("A", "4   "), ("J", "L"),
        ]  # fmt: skip
        await trader.close()

    asyncio.run(trade())


def test_orders_are_canceled_when_the_connection_is_gone_for_long_enough_and_stay_when_it_comes_back(cluster):
    async def trade():
        address = cluster.soup_addresses[0]
        trader = Trader(DESK.soup_user, DESK.soup_password, "2")
        await trader.connect(address)
        trader.send(enter("GONE", price=900_000, firm="4"))
        assert (await trader.until(2))[1]["type"] == "A"
        order_id = trader.said[1]["reference"]
        await trader.close()
        await trader.connect(address)
        await asyncio.sleep(GRACE_MS / 1e3 + 0.5)
        assert len(trader.said) == 2, "it came back in time"
        await trader.close()
        async with asyncio.timeout(60):
            while order_id in await asyncio.to_thread(live_orders, cluster):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        await trader.connect(address)
        said = await trader.until(3)
        assert (said[2]["type"], said[2]["token"].strip(), said[2]["reason"]) == ("C", "GONE", "Z")
        trader.send(enter("AGAIN", price=900_000))
        assert (await trader.until(4))[3]["type"] == "A", "the session is open again"
        await trader.close()

    asyncio.run(trade())


def test_self_trade_prevention_is_that_of_the_client(cluster):
    async def trade():
        trader = Trader(CAREFUL.soup_user, CAREFUL.soup_password)
        await trader.connect(cluster.soup_addresses[0])
        trader.send(enter("S", "S", 10, price=1_200_000), enter("B", "B", 10, price=1_200_000))
        assert [one["type"] for one in await trader.until(4)] == ["S", "A", "A", "D"]
        await trader.close()

    asyncio.run(trade())
