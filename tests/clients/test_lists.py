"""Lists are fetched page by page to their end, and a page that is slow is waited for, not asked for again."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import grpc
import pytest

from lockstep import AsyncClient, Client
from lockstep.v1 import accounts_pb2, accounts_pb2_grpc, common_pb2, market_data_pb2, market_data_pb2_grpc, orders_pb2

ROWS, PAGE = 23, 5


class Gateway(accounts_pb2_grpc.AccountsServicer, market_data_pb2_grpc.MarketDataServicer):
    """Has ROWS orders, accounts and instruments; each page is as of a later seq, and one of them is empty."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int, int]] = []
        self.delay = threading.Event()
        self.delay.set()
        self.slow_s = 0.0
        self.busy = 0
        self.address = ""

    def _page(self, name, request, context):
        self.asked.append((name, request.cursor, request.limit, request.min_seq))
        if self.busy:
            self.busy -= 1
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "others list")
        if self.slow_s:
            self.delay.wait(self.slow_s)
        begin = request.cursor % 1_000
        size = min(request.limit or PAGE, PAGE) if begin != 10 or request.cursor > 1_000 else 0
        rows = range(begin + 1, min(begin + size, ROWS) + 1)
        end = begin + len(rows)
        # The empty page's cursor is another one than where it began, or it would never end.
        next_cursor = 0 if end == ROWS else end + (1_000 if not rows else 0)
        return rows, common_pb2.Stamp(epoch=1, seq=100 + len(self.asked)), next_cursor

    def ListAccounts(self, request, context):  # noqa: N802
        rows, stamp, after = self._page("accounts", request, context)
        accounts = [accounts_pb2.Account(account=row) for row in rows]
        return accounts_pb2.ListAccountsReply(stamp=stamp, accounts=accounts, next_cursor=after)

    def ListOpenOrders(self, request, context):  # noqa: N802
        rows, stamp, after = self._page(f"orders of {request.account}", request, context)
        orders = [
            orders_pb2.Order(
                order_id=row,
                side=common_pb2.SIDE_BUY,
                order_type=common_pb2.ORDER_TYPE_LIMIT,
                tif=common_pb2.TIME_IN_FORCE_DAY,
            )
            for row in rows
        ]
        return accounts_pb2.ListOpenOrdersReply(stamp=stamp, orders=orders, next_cursor=after)

    def ListInstruments(self, request, context):  # noqa: N802
        rows, stamp, after = self._page("instruments", request, context)
        terms: dict[str, Any] = {"tick_micros": 1, "lot_units": 1, "phase": common_pb2.PHASE_CONTINUOUS}
        found = [common_pb2.Instrument(id=row, symbol=f"I{row}", **terms) for row in rows]
        return market_data_pb2.ListInstrumentsReply(stamp=stamp, instruments=found, next_cursor=after)


@pytest.fixture
def gateway():
    made = Gateway()
    server = grpc.server(ThreadPoolExecutor(4))
    accounts_pb2_grpc.add_AccountsServicer_to_server(made, server)
    market_data_pb2_grpc.add_MarketDataServicer_to_server(made, server)
    made.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield made
    made.delay.set()
    server.stop(None).wait()


def test_both_clients_fetch_every_page_each_as_of_the_one_before_or_later(gateway):
    async def with_asyncio():
        async with AsyncClient(gateway.address) as client:
            return await client.open_orders(3), await client.accounts(), await client.instruments()

    with Client(gateway.address) as client:
        blocking = client.open_orders(3), client.accounts(), client.instruments()
    for orders, accounts, instruments in (asyncio.run(with_asyncio()), blocking):
        assert [order.order_id for order in orders] == list(range(1, ROWS + 1))
        assert [account.account for account in accounts] == list(range(1, ROWS + 1))
        assert [instrument.id for instrument in instruments] == list(range(1, ROWS + 1))
        assert len({account.seq for account in accounts}) == 5, "each account says as of when it is"
    least = [min_seq for name, _, _, min_seq in gateway.asked if name == "instruments"][:6]
    assert least == sorted(least)
    assert least[0] == 0 < least[1]
    assert {name for name, *_ in gateway.asked} == {"orders of 3", "accounts", "instruments"}


def test_rows_are_fetched_as_they_are_read_and_as_many_at_once_as_is_said(gateway):
    async def first_three():
        async with AsyncClient(gateway.address) as client:
            found = []
            async for order in client.each_open_order(3, page_rows=2):
                found.append(order.order_id)
                if len(found) == 3:
                    break
            return found

    assert asyncio.run(first_three()) == [1, 2, 3]
    with Client(gateway.address) as client:
        assert [account.account for account in islice(client.each_account(page_rows=2), 3)] == [1, 2, 3]
        assert [(cursor, limit) for _, cursor, limit, _ in gateway.asked] == [(0, 2), (2, 2)] * 2
        assert [order.order_id for order in client.each_open_order(1)] == list(range(1, ROWS + 1))
        with pytest.raises(ValueError, match="page_rows"):
            client.each_account(page_rows=-1)


def test_a_page_that_takes_longer_than_an_attempt_of_other_calls_is_asked_for_once(gateway):
    gateway.slow_s = 1.3
    with Client(gateway.address, timeout_s=8) as client:
        assert len(list(islice(client.each_account(), 2))) == 2
    assert len(gateway.asked) == 1


def test_a_busy_gateway_is_asked_for_the_same_page_again_after_a_pause(gateway):
    gateway.busy = 2
    with Client(gateway.address) as client:
        assert len(client.accounts()) == ROWS
    assert [cursor for _, cursor, _, _ in gateway.asked[:4]] == [0, 0, 0, 5]
