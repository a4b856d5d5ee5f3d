"""Lists of what there is: accounts, open orders, instruments. Each comes in pages, and is fetched to its end.

A page is committed state as of a moment of its own, none of an earlier one than the page before. So what is there all
the time is in the list, once; what comes, goes or changes while it is fetched may be in it as it was before or after.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from lockstep.arguments import U32, integer
from lockstep.reference import Instrument, Reference, instrument_from_proto
from lockstep.v1 import accounts_pb2, accounts_pb2_grpc, market_data_pb2, market_data_pb2_grpc
from lockstep.values import Account, Order, account_from_proto, order_from_proto

T = TypeVar("T")


class Lists(ABC):
    """Of `AsyncClient`."""

    reference: Reference

    async def accounts(self) -> list[Account]:
        """All accounts that this client may see, by id, each as of its own `seq`."""
        return [account async for account in self.each_account()]

    def each_account(self, *, page_rows: int = 0) -> AsyncIterator[Account]:
        """The accounts of `accounts`, fetched as they are read.

        Args:
            page_rows: how many are fetched at once, at the most; 0: as many as the gateway gives.

        Raises:
            TypeError, ValueError: an argument is wrong. Unavailable: a page didn't come in time.
        """
        return _rows(self.account_pages(page_rows))

    def account_pages(self, page_rows: int = 0) -> AsyncIterator[list[Account]]:
        """The same, a page at a time; one may be empty."""
        request = accounts_pb2.ListAccountsRequest(limit=integer("page_rows", page_rows, 0, U32))
        return self._pages(accounts_pb2_grpc.AccountsStub, "ListAccounts", request, _accounts)

    async def open_orders(self, account: int) -> list[Order]:
        """Live orders of an account, by exchange id."""
        return [order async for order in self.each_open_order(account)]

    def each_open_order(self, account: int, *, page_rows: int = 0) -> AsyncIterator[Order]:
        """The orders of `open_orders`, fetched as they are read; see `each_account`."""
        return _rows(self.open_order_pages(account, page_rows))

    def open_order_pages(self, account: int, page_rows: int = 0) -> AsyncIterator[list[Order]]:
        """The same, a page at a time; one may be empty."""
        number, rows = integer("account", account, 0, U32), integer("page_rows", page_rows, 0, U32)
        request = accounts_pb2.ListOpenOrdersRequest(account=number, limit=rows)
        return self._pages(accounts_pb2_grpc.AccountsStub, "ListOpenOrders", request, _orders)

    async def instruments(self) -> list[Instrument]:
        """All instruments, by id, fetched anew."""
        request = market_data_pb2.ListInstrumentsRequest()
        pages = self._pages(market_data_pb2_grpc.MarketDataStub, "ListInstruments", request, _instruments)
        found = [instrument async for instrument in _rows(pages)]
        self.reference.learn(found)
        return found

    async def _pages(
        self, stub: Callable[[Any], Any], method: str, request: Any, rows: Callable[[Any], list[T]]
    ) -> AsyncIterator[list[T]]:
        while True:
            reply = await self._call(stub, method, request, patient=True)
            yield rows(reply)
            if not reply.next_cursor:
                return
            request.cursor = reply.next_cursor
            request.min_seq = max(request.min_seq, reply.stamp.seq)

    @abstractmethod
    async def _call(self, stub: Callable[[Any], Any], method: str, request: Any, *, patient: bool = False) -> Any:
        """One call, over all gateways."""


async def _rows(pages: AsyncIterator[list[T]]) -> AsyncIterator[T]:
    async for page in pages:
        for row in page:
            yield row


def _accounts(reply: accounts_pb2.ListAccountsReply) -> list[Account]:
    return [account_from_proto(row, reply.stamp) for row in reply.accounts]


def _orders(reply: accounts_pb2.ListOpenOrdersReply) -> list[Order]:
    return [order_from_proto(row) for row in reply.orders]


def _instruments(reply: market_data_pb2.ListInstrumentsReply) -> list[Instrument]:
    return [instrument_from_proto(row) for row in reply.instruments]


class BlockingLists(ABC):
    """Of `Client`."""

    def accounts(self) -> list[Account]:
        """All accounts that this client may see, by id, each as of its own `seq`."""
        return self._run(self._lists().accounts())

    def each_account(self, *, page_rows: int = 0) -> Iterator[Account]:
        """The accounts of `accounts`, fetched as they are read; see `AsyncClient.each_account`."""
        return self._iterate(self._lists().account_pages(page_rows))

    def open_orders(self, account: int) -> list[Order]:
        """Live orders of an account, by exchange id."""
        return self._run(self._lists().open_orders(account))

    def each_open_order(self, account: int, *, page_rows: int = 0) -> Iterator[Order]:
        """The orders of `open_orders`, fetched as they are read; see `AsyncClient.each_account`."""
        return self._iterate(self._lists().open_order_pages(account, page_rows))

    def instruments(self) -> list[Instrument]:
        """All instruments, by id, fetched anew."""
        return self._run(self._lists().instruments())

    def _iterate(self, pages: AsyncIterator[list[T]]) -> Iterator[T]:
        while (page := self._run(_next(pages))) is not None:
            yield from page

    @abstractmethod
    def _lists(self) -> Lists:
        """The asyncio client behind this one."""

    @abstractmethod
    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of it and wait."""


async def _next(pages: AsyncIterator[list[T]]) -> list[T] | None:
    return await anext(pages, None)
