"""gRPC `Ledger`: the ledger's answers. Queries run in threads of their own; the loop follows the stream meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from lockstep.posttrade.ledger import messages
from lockstep.posttrade.ledger.queries import MOST_ROWS, Filter, TooSlow, UnknownAccount, UnknownOrder, View, view_of
from lockstep.posttrade.ledger.statement import (
    DoesNotAddUp,
    NotKnown,
    PeriodEndsFirst,
    Statement,
    TooLong,
    statement_of,
)
from lockstep.posttrade.shell import FollowerShell, NotThere, TooManyWait
from lockstep.runtime.client_calls import abort, authenticate, require_instruments
from lockstep.runtime.tokens import Entitlements
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.v1 import ledger_pb2, ledger_pb2_grpc

SERVICE: Final = "lockstep.v1.Ledger"
PATIENCE_S: Final = 1.0
"""How long an answer waits for `min_seq`."""
QUERY_S: Final = 20.0
"""How long one answer may keep the database."""
_THREADS: Final = 4
MOST_CALLS: Final = 64
MOST_STATEMENTS: Final = 4
"""Under way at once: the longest is some tens of megabytes."""
TAKEN_S: Final = 30.0
"""So long its client has to take a statement."""
_AGAIN_MS: Final = 1_000
_PART: Final = 500


class LedgerService(ledger_pb2_grpc.LedgerServicer):
    """See proto/lockstep/v1/ledger.proto."""

    def __init__(self, shell: FollowerShell, reader: Engine, entitlements: Entitlements) -> None:
        self._shell = shell
        self._reader = reader
        self._entitlements = entitlements
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ledger-query")
        self._calls = 0
        self._statements = 0
        """Under way: each holds what it has not yet sent."""

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service."""
        ledger_pb2_grpc.add_LedgerServicer_to_server(self, server)

    def close(self) -> None:
        """End its threads."""
        self._threads.shutdown(cancel_futures=True)

    async def _answer[T](self, context: Any, account: int, min_seq: int, ask: Callable[[View], T]) -> T:
        """Who may see the account gets what `ask` finds, as of one position that is not before `min_seq`."""
        client = await authenticate(context, self._entitlements)
        if account and client.accounts and account not in client.accounts:
            text = f"client {client.name!r} may not see account {account}"
            await abort(context, grpc.StatusCode.PERMISSION_DENIED, text)
        if self._calls >= MOST_CALLS:
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "the ledger answers others; ask again")
        self._calls += 1
        try:
            await self._shell.reached(min_seq, PATIENCE_S)
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._look, ask)
        except NotThere as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, str(error))
        except TooManyWait as error:
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except UnknownAccount as error:
            await abort(context, grpc.StatusCode.NOT_FOUND, str(error), Code.UNKNOWN_ACCOUNT)
        except UnknownOrder as error:
            await abort(context, grpc.StatusCode.NOT_FOUND, str(error), Code.UNKNOWN_ORDER)
        except (DoesNotAddUp, TooLong, TooSlow, messages.TooWide) as error:
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(error), Code.NOT_SUPPORTED)
        except (OperationalError, PoolTimeout) as error:
            text = f"the ledger's database does not answer: {str(error.__cause__ or error).splitlines()[0]}"
            await abort(context, grpc.StatusCode.UNAVAILABLE, text)
        except NotKnown as error:
            text = f"{error}; ask from {error.from_ns} on"
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, text, Code.NOT_SUPPORTED)
        except (messages.BadCursor, PeriodEndsFirst) as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            self._calls -= 1

    async def _reader_of(self, instrument: int, context: Any) -> Principal:
        """Who reads an instrument's history (0: all that it may read); PERMISSION_DENIED if it may not."""
        client = await authenticate(context, self._entitlements)
        if instrument:
            await require_instruments(context, client, (instrument,))
        return client

    def _look[T](self, ask: Callable[[View], T]) -> T:
        with view_of(self._reader, QUERY_S) as view:
            return ask(view)

    async def GetPortfolio(  # noqa: N802 - gRPC's name
        self, request: ledger_pb2.GetPortfolioRequest, context: Any
    ) -> ledger_pb2.GetPortfolioReply:
        """What an account has."""

        def ask(view: View) -> ledger_pb2.GetPortfolioReply:
            return messages.portfolio(view.portfolio(request.account, fifo=request.fifo))

        return await self._answer(context, request.account, request.min_seq, ask)

    async def ListOrders(  # noqa: N802
        self, request: ledger_pb2.ListLedgerRequest, context: Any
    ) -> ledger_pb2.ListLedgerOrdersReply:
        """A page of orders."""
        client = await self._reader_of(request.instrument, context)

        def ask(view: View) -> ledger_pb2.ListLedgerOrdersReply:
            view.account(request.account)
            page = view.orders(request.account, _filter(request, 1, client))
            orders = [messages.order(row) for row in page.rows]
            return ledger_pb2.ListLedgerOrdersReply(
                stamp=messages.stamp(view.position), orders=orders, next_cursor=messages.cursor_of(page.next)
            )

        return await self._answer(context, request.account, request.min_seq, ask)

    async def ListTrades(  # noqa: N802
        self, request: ledger_pb2.ListLedgerRequest, context: Any
    ) -> ledger_pb2.ListLedgerTradesReply:
        """A page of trades."""
        client = await self._reader_of(request.instrument, context)

        def ask(view: View) -> ledger_pb2.ListLedgerTradesReply:
            view.account(request.account)
            page = view.trades(request.account, _filter(request, 3, client))
            trades = [messages.trade(row) for row in page.rows]
            return ledger_pb2.ListLedgerTradesReply(
                stamp=messages.stamp(view.position), trades=trades, next_cursor=messages.cursor_of(page.next)
            )

        return await self._answer(context, request.account, request.min_seq, ask)

    async def GetOrderHistory(  # noqa: N802
        self, request: ledger_pb2.GetOrderHistoryRequest, context: Any
    ) -> ledger_pb2.GetOrderHistoryReply:
        """One order's life. Of an account that the client may not see it is as if there were none."""
        client = await authenticate(context, self._entitlements)

        def ask(view: View) -> ledger_pb2.GetOrderHistoryReply:
            row, events = view.order(messages.signed(request.order_id))
            strange = client.instruments is not None and row["instrument"] not in client.instruments
            if strange or (client.accounts and row["account"] not in client.accounts):
                raise UnknownOrder(f"this ledger has no order {request.order_id}, as of seq {view.position.seq}")
            return ledger_pb2.GetOrderHistoryReply(
                stamp=messages.stamp(view.position),
                order=messages.order(row),
                events=[messages.order_event(one) for one in events.rows],
                more_events=events.more,
            )

        return await self._answer(context, 0, request.min_seq, ask)

    async def ListLots(self, request: ledger_pb2.ListLotsRequest, context: Any) -> ledger_pb2.ListLotsReply:  # noqa: N802
        """What explains a position's profit."""
        await self._reader_of(request.instrument, context)

        def ask(view: View) -> ledger_pb2.ListLotsReply:
            view.account(request.account)
            lots, closings = view.lots(request.account, request.instrument)
            return ledger_pb2.ListLotsReply(
                stamp=messages.stamp(view.position),
                lots=[messages.lot(row) for row in lots.rows],
                closings=[messages.closing(row) for row in closings.rows],
                more_lots=lots.more,
                more_closings=closings.more,
            )

        return await self._answer(context, request.account, request.min_seq, ask)

    async def ListDays(self, request: ledger_pb2.ListDaysRequest, context: Any) -> ledger_pb2.ListDaysReply:  # noqa: N802
        """A page of daily sums."""

        def ask(view: View) -> ledger_pb2.ListDaysReply:
            view.account(request.account)
            wanted = Filter(
                from_ns=request.from_ns,
                to_ns=request.to_ns,
                before=messages.cursor_from(request.cursor, 2),
                limit=request.limit or MOST_ROWS,
            )
            page = view.days(request.account, wanted)
            return ledger_pb2.ListDaysReply(
                stamp=messages.stamp(view.position),
                days=[messages.day(row) for row in page.rows],
                next_cursor=messages.cursor_of(page.next),
            )

        return await self._answer(context, request.account, request.min_seq, ask)

    async def GetStatement(  # noqa: N802
        self, request: ledger_pb2.GetStatementRequest, context: Any
    ) -> None:
        """The head, then the movements: to few at once, each of whom has to take them in time."""

        def ask(view: View) -> Statement:
            made = statement_of(view, request.account, request.from_ns, request.to_ns)
            messages.check_fits(made)
            return made

        if self._statements >= MOST_STATEMENTS:
            await abort(
                context, grpc.StatusCode.RESOURCE_EXHAUSTED, "the ledger writes statements of others; ask again"
            )
        self._statements += 1
        try:
            made = await self._answer(context, request.account, request.min_seq, ask)
            taken = await self._send(context, made)
        finally:
            self._statements -= 1
        if not taken:
            # Its place is free: whoever takes nothing is not reached by this either, until it goes.
            del made
            text = f"the statement was not taken within {TAKEN_S:.0f} s; read it faster, or ask for a shorter period"
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, text, retry_after_ms=_AGAIN_MS)

    async def _send(self, context: Any, made: Statement) -> bool:
        """Whether its client has taken it in time."""
        try:
            async with asyncio.timeout(TAKEN_S):
                await context.write(messages.statement_head(made))
                for begin in range(0, len(made.movements), _PART):
                    await context.write(messages.statement_part(made, begin, begin + _PART))
        except TimeoutError:
            return False
        return True


def _filter(request: ledger_pb2.ListLedgerRequest, numbers: int, client: Principal) -> Filter:
    return Filter(
        instrument=request.instrument,
        within=client.instruments,
        state=request.state,
        side=request.side,
        from_ns=request.from_ns,
        to_ns=request.to_ns,
        before=messages.cursor_from(request.cursor, numbers),
        limit=request.limit or 100,
    )
