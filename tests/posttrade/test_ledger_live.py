"""A ledger beside a cluster that loses processes, and dies itself: nothing is lost, doubled, or unlike a rebuild."""

import asyncio
import urllib.request
from contextlib import closing

import pytest

from lockstep.admin import AdjustCash, AdjustPosition, AdminCommand, DefineAccount, DefineInstrument, SetFees
from lockstep.aio import AsyncClient
from lockstep.columns import CommandColumns
from lockstep.enums import CommandKind, OrderType, Side, TimeInForce
from lockstep.errors import Refused, Unavailable
from lockstep.ledger import LedgerClient
from lockstep.ops.cli.main import run
from lockstep.ops.local.cluster import LocalCluster
from lockstep.ops.local.plan import ClusterPlan
from lockstep.posttrade.ledger.digest import table_digests
from lockstep.posttrade.ledger.place import SqlitePlace
from lockstep.posttrade.ledger.rebuild import rebuild_from_chunks
from lockstep.posttrade.reading import executed
from lockstep.replica.stored_journal import StoredJournal
from lockstep.runtime.access.dialing import headers_for
from lockstep.runtime.topology import Client
from tests.calm import CALM
from tests.posttrade.patience import PATIENCE_S, answered, wait_for

ROUNDS = 120


async def fund(client: AsyncClient) -> None:
    session = await client.session(timeout_s=30.0)
    commands: list[AdminCommand] = [
        DefineInstrument(1, "ACME", 10_000),
        SetFees(1, maker_fee_ppm=100, taker_fee_ppm=300),
    ]
    for account in (1, 2):
        commands += [DefineAccount(account, f"DESK-{account}"), AdjustCash(account, 10**15)]
        commands += [AdjustPosition(account, 1, 10**6)]
    for handle in [await session.submit(command) for command in commands]:
        await handle
    await session.close()


async def trade(client: AsyncClient, rounds: int) -> None:
    session = await client.session(timeout_s=30.0)
    for place in range(rounds):
        for account, side in ((1, Side.SELL), (2, Side.BUY)):
            ids = range(place * 10 + 1, place * 10 + 11)
            await session.submit_columns(
                CommandColumns(
                    count=10, kind=CommandKind.NEW_ORDER, account=account, instrument=1, side=side,
                    order_type=OrderType.LIMIT, tif=TimeInForce.GTC, client_order_id=list(ids),
                    price_ticks=[1000 + number % 3 for number in ids],
                    quantity_lots=[1 + number % 5 for number in ids],
                )
            )  # fmt: skip
            await session.drain()
        await asyncio.sleep(0.01)
    await session.close()


async def with_kills(cluster: LocalCluster) -> None:
    """Trade while the primary, the ledger, the leading sequencer and the ledger again are killed."""
    async with AsyncClient(cluster.gateway_addresses, token="t-1", client_number=1, timeout_s=60.0) as client:
        await fund(client)
        flow = asyncio.create_task(trade(client, ROUNDS))
        for role in ("primary", "ledger", "sequencer", "ledger"):
            await asyncio.sleep(0.4)
            name = role if role == "ledger" else await asyncio.to_thread(cluster.find, role)
            await asyncio.to_thread(cluster.kill, name)
            if role != "ledger":
                assert await asyncio.to_thread(cluster.wait_until_whole, PATIENCE_S)
        await flow


def committed(cluster: LocalCluster) -> int:
    primary = cluster.status().primary()
    assert primary is not None
    assert primary.reply is not None
    return int(primary.reply.committed_seq)


@pytest.fixture(scope="module")
def traded(tmp_path_factory):
    """A cluster with a ledger, after kills; the seq that the ledger had stored when all was stopped."""
    root = tmp_path_factory.mktemp("live") / "cluster"
    clients = (
        Client("one", "t-1", 1, admin=True),
        Client("two", "t-2", 2, accounts=(2,)),
    )
    plan = ClusterPlan(timing=CALM, data_dir=root, ledger=True, clients=clients)
    cluster = LocalCluster(plan)
    try:
        cluster.start()
        asyncio.run(with_kills(cluster))
        yield cluster
    finally:
        cluster.stop()


def client_of(cluster: LocalCluster, token: str = "t-1") -> LedgerClient:
    ledger = cluster.topology.ledger
    return LedgerClient(f"{ledger.host}:{ledger.grpc_port}", token=token, timeout_s=30.0)


def test_a_ledger_answers_over_grpc_after_kills_as_of_the_seq_that_was_asked_for(traded):
    seq = committed(traded)
    with client_of(traded) as ledger:
        first = answered(lambda: ledger.portfolio(1, min_seq=seq))
        second = ledger.portfolio(2, min_seq=seq)
        assert first.stamp.seq >= seq
        sold = sum(trade.quantity_lots for trade in ledger.trades(1))
        assert sold == sum(trade.quantity_lots for trade in ledger.trades(2)) > 0
        assert first.positions[0].quantity_lots == 10**6 - sold
        assert second.positions[0].quantity_lots == 10**6 + sold
        assert first.cash_micros + second.cash_micros + first.fees_micros + second.fees_micros == 2 * 10**15
        orders = list(ledger.orders(2))
        assert len(orders) == ROUNDS * 10
        assert len({order.order_id for order in orders}) == len(orders)
        history = ledger.order_history(orders[0].order_id)
        assert history.events[0].kind == 1
        statement = ledger.statement(2)
        assert statement.head.movements == len(statement.movements) >= len(list(ledger.trades(2)))
        assert statement.movements[-1].cash_after_micros == second.cash_micros
        assert sum(day.trades for day in ledger.days(2)) == len(list(ledger.trades(2)))
        assert sum(lot.open_lots for lot in ledger.lots(1, 1).lots) == first.positions[0].quantity_lots
        assert len(ledger.lots(2, 1).lots) == 1_000, "a page, and no more"


def test_who_asks_sees_its_own_accounts_only_and_is_told_what_is_wrong(traded):
    with client_of(traded, "t-2") as ledger:
        assert answered(lambda: ledger.portfolio(2)).account == 2
        with pytest.raises(Refused, match="may not see account 1"):
            ledger.portfolio(1)
        other = next(iter(client_of(traded).orders(1))).order_id
        with pytest.raises(Refused, match="no order"):
            ledger.order_history(other)
    with client_of(traded) as ledger:
        with pytest.raises(Refused, match="no account 77"):
            ledger.portfolio(77)
        with pytest.raises(Unavailable, match="was asked for"):
            ledger.portfolio(1, min_seq=10**9)
    with client_of(traded, "nobody") as ledger, pytest.raises(Refused, match="token"):
        ledger.portfolio(1)


def test_figures_show_how_far_it_is(traded):
    port = traded.topology.ledger.metrics_port

    def page() -> str:
        address = f"127.0.0.1:{port}"
        asked = urllib.request.Request(f"http://{address}/metrics", headers=headers_for(address))
        with urllib.request.urlopen(asked) as found:
            return found.read().decode()

    wait_for(lambda: "lockstep_ledger_lag_commands 0.0" in page(), "the ledger's end of the stream")
    assert "lockstep_ledger_seq " in page()
    assert "lockstep_ledger_rows_total" in page()


def test_a_rebuild_from_the_running_engines_is_taken_up_and_a_rebuild_from_a_journal_is_equal(traded, tmp_path):
    seq = committed(traded)
    with client_of(traded) as ledger:
        before = answered(lambda: ledger.portfolio(2, min_seq=seq))
        assert run(["ledger", "rebuild", "--config", str(traded.config_path)]) == 0
        place = SqlitePlace(traded.topology.ledger.data_dir)
        assert place.current() == 2
        after = answered(lambda: ledger.portfolio(2, min_seq=seq))
        assert after.positions == before.positions
        assert after.cash_micros == before.cash_micros
    traded.stop()
    with closing(place.open(2, write=False)) as live:
        through, digests = live.position().seq, table_digests(live)
    journal = StoredJournal(traded.topology.engines[0].data_dir)
    try:
        batches = (batch for batch in journal.batches(1) if batch.last_seq <= through)
        again = SqlitePlace(tmp_path)
        assert rebuild_from_chunks(again, executed(batches, "reference")).seq == through
    finally:
        journal.close()
    with closing(again.open(again.current(), write=False)) as made:
        assert table_digests(made) == digests
