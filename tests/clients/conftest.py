"""A small gateway and exchange behind the real public protocol, for tests of the client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

from lockstep.v1 import (
    cluster_pb2,
    cluster_pb2_grpc,
    common_pb2,
    market_data_pb2,
    market_data_pb2_grpc,
    orders_pb2,
    orders_pb2_grpc,
)

Row = common_pb2.ExecutionReport


@dataclass
class FakeExchange:
    """Executes each number of each session once; every command is accepted. Shared by several gateways."""

    seq: int = 100
    epoch: int = 1
    executed: dict[int, list[Any]] = field(default_factory=dict)
    history: dict[int, list[Row]] = field(default_factory=dict)
    watchers: list[Callable[[int, list[Row]], None]] = field(default_factory=list)

    def execute(self, session_id: int, number: int, command: Any) -> list[Row]:
        done = self.executed.setdefault(session_id, [])
        self.seq += 1
        if number == len(done) + 1:
            done.append(command)
            kind, code = common_pb2.EVENT_KIND_ACCEPTED, 0
            if getattr(command, "quantity_lots", 1) == 13:
                kind, code = common_pb2.EVENT_KIND_REJECTED, common_pb2.CODE_INSUFFICIENT_CASH
        elif number <= len(done):
            kind, code = common_pb2.EVENT_KIND_DUPLICATE, 0
        else:
            kind, code = common_pb2.EVENT_KIND_REJECTED, common_pb2.CODE_SESSION_OUT_OF_ORDER
        rows = [self.row(0, kind=kind, code=code, session_no=number, order_id=self.seq, command=command)]
        if getattr(command, "quantity_lots", 0) == 7:
            rows.append(self.row(1, kind=common_pb2.EVENT_KIND_TRADE, session_no=number, order_id=self.seq))
            rows.append(self.row(1, leg=1, kind=common_pb2.EVENT_KIND_TRADE, session_no=0, order_id=self.seq - 1))
        self.history.setdefault(session_id, []).extend(rows)
        for watcher in list(self.watchers):
            watcher(session_id, rows)
        return rows

    def row(self, index: int, *, command: Any = None, **fields: Any) -> Row:
        for name in ("client_order_id", "price_ticks", "quantity_lots", "side", "account"):
            if command is not None and hasattr(command, name):
                fields[name] = getattr(command, name)
        return Row(event_id=common_pb2.EventId(seq=self.seq, index=index), epoch=self.epoch, **fields)


def commands_of(batch: orders_pb2.CommandBatch) -> list[orders_pb2.NewOrder]:
    """Rows of a batch; a column of one row holds for all."""
    found = []
    for place in range(batch.count):
        order = orders_pb2.NewOrder()
        for name in ("account", "instrument", "client_order_id", "price_ticks", "quantity_lots", "side"):
            column = getattr(batch, name)
            if column:
                setattr(order, name, column[place if len(column) > 1 else 0])
        found.append(order)
    return found


class FakeGateway(
    orders_pb2_grpc.OrderEntryServicer, market_data_pb2_grpc.MarketDataServicer, cluster_pb2_grpc.ClusterServicer
):
    """One gateway; the test sets the knobs."""

    def __init__(self, exchange: FakeExchange) -> None:
        self.exchange = exchange
        self.hellos: list[orders_pb2.Hello] = []
        self.batches: list[tuple[int, int]] = []
        self.credit = 0
        self.max_batch = 0
        self.swallow_reports = False
        self.tells_next_no = True
        self.slow_past_s = 0.0
        """How long the reports of the past take to come."""
        self.in_flight_no = 0
        """The gateway has commands in flight up to below this number."""
        self.break_after_commands = 0
        self.refusals: list[tuple[int, int]] = []
        """(number, code): refuse this number once, and take no later one before it came again."""
        self.rows_not_columns = False
        self.repeat_reports = False
        self.unary_failures = 0
        self.keys: list[tuple[int, int]] = []
        self.market_scripts: list[list[market_data_pb2.MarketDataUpdate]] = []
        self.refuse_subscriptions: tuple[grpc.StatusCode, str] | None = None
        self.market_more: asyncio.Queue[market_data_pb2.MarketDataUpdate] | None = None
        """What a stream says after its script."""
        self.subscriptions: list[market_data_pb2.SubscribeRequest] = []
        self.metadata: list[dict[str, str]] = []
        self.outboxes: dict[int, asyncio.Queue[orders_pb2.SessionResponse | None]] = {}
        self.turn_away: list[int] = []
        """Milliseconds for which the next sessions are to stay away."""
        self.turned_away_at: list[float] = []
        self.port = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        """Where it runs in a thread of its own."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stamp(self) -> common_pb2.Stamp:
        return common_pb2.Stamp(epoch=self.exchange.epoch, seq=self.exchange.seq)

    def reports(self, rows: list[Row]) -> orders_pb2.SessionResponse:
        if self.rows_not_columns:
            return orders_pb2.SessionResponse(reports=orders_pb2.Reports(stamp=self.stamp(), reports=rows))
        batch = orders_pb2.ReportBatch(stamp=self.stamp(), count=len(rows))
        for name in batch.DESCRIPTOR.fields_by_name:
            if name in ("seq", "index"):
                values = [getattr(row.event_id, name) for row in rows]
            elif name in ("stamp", "count"):
                continue
            else:
                values = [getattr(row, name) for row in rows]
            if any(values):
                getattr(batch, name).extend(values)
        return orders_pb2.SessionResponse(report_batch=batch)

    async def Session(self, request_iterator: Any, context: Any) -> AsyncIterator[orders_pb2.SessionResponse]:  # noqa: N802
        first = await anext(request_iterator)
        hello = first.hello
        if self.turn_away:
            self.turned_away_at.append(asyncio.get_running_loop().time())
            code = str(int(common_pb2.CODE_BUSY))
            reported = (("lockstep-code", code), ("lockstep-retry-after-ms", str(self.turn_away.pop(0))))
            await context.abort(grpc.StatusCode.UNAVAILABLE, "BUSY: too many at once", reported)
        self.hellos.append(hello)
        self.metadata.append(dict(context.invocation_metadata()))
        out: asyncio.Queue[orders_pb2.SessionResponse | None] = asyncio.Queue()
        old = self.outboxes.get(hello.session_id)
        if old is not None:
            refusal = orders_pb2.Refusal(code=common_pb2.CODE_SESSION_TAKEN_OVER, text="another stream said Hello")
            old.put_nowait(orders_pb2.SessionResponse(refusal=refusal))
            old.put_nowait(None)
        self.outboxes[hello.session_id] = out
        welcome = orders_pb2.Welcome(
            stamp=self.stamp(),
            gateway=1,
            credit=self.credit,
            max_batch=self.max_batch,
            next_number_follows=hello.asks_next_no and self.tells_next_no,
        )
        out.put_nowait(orders_pb2.SessionResponse(welcome=welcome))
        after = (hello.last_seen.seq, hello.last_seen.index)
        past = [
            row
            for row in self.exchange.history.get(hello.session_id, [])
            if (row.event_id.seq, row.event_id.index) > after
        ]
        if past:
            asyncio.get_running_loop().call_later(self.slow_past_s, out.put_nowait, self.reports(past))

        def deliver(session_id: int, rows: list[Row]) -> None:
            if session_id == hello.session_id and not self.swallow_reports:
                for _ in range(2 if self.repeat_reports else 1):
                    out.put_nowait(self.reports(rows))

        self.exchange.watchers.append(deliver)
        if welcome.next_number_follows:
            await asyncio.sleep(self.slow_past_s)
            expected = max(hello.next_no, len(self.exchange.executed.get(hello.session_id, [])) + 1, self.in_flight_no)
            next_number = orders_pb2.NextNumber(stamp=self.stamp(), next_no=expected)
            out.put_nowait(orders_pb2.SessionResponse(next_number=next_number))
        reader = asyncio.create_task(self._read(request_iterator, hello, out))
        try:
            while (response := await out.get()) is not None:
                yield response
        finally:
            reader.cancel()
            self.exchange.watchers.remove(deliver)
            if self.outboxes.get(hello.session_id) is out:
                del self.outboxes[hello.session_id]
        if self.break_after_commands < 0:
            self.break_after_commands = 0
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gateway goes away")

    async def _read(self, requests: Any, hello: orders_pb2.Hello, out: asyncio.Queue[Any]) -> None:
        expected = hello.next_no
        async for request in requests:
            if request.WhichOneof("message") == "command":
                first_no, commands = request.command.session_no, [request.command]
            else:
                first_no, commands = request.batch.first_no, commands_of(request.batch)
            self.batches.append((first_no, len(commands)))
            for number, command in enumerate(commands, first_no):
                if self.refusals and number == self.refusals[0][0]:
                    _, code = self.refusals.pop(0)
                    self.refuse(out, number, code)
                    break
                if number > expected:
                    self.refuse(out, expected, common_pb2.CODE_SESSION_GAP)
                    break
                expected = max(expected, number + 1)
                self.exchange.execute(hello.session_id, number, command)
                if self.break_after_commands > 0:
                    self.break_after_commands -= 1
                    if self.break_after_commands == 0:
                        self.break_after_commands = -1
                        out.put_nowait(None)
                        return

    def refuse(self, out: asyncio.Queue[Any], number: int, code: Any) -> None:
        refusal = orders_pb2.Refusal(
            stamp=self.stamp(), from_no=number, code=code, text="said so", retryable=1100 <= code < 1200
        )
        out.put_nowait(orders_pb2.SessionResponse(refusal=refusal))

    async def Place(self, request: orders_pb2.PlaceRequest, context: Any) -> orders_pb2.CommandReply:  # noqa: N802
        key = request.key
        self.keys.append((key.session_id, key.session_no))
        rows = self.exchange.execute(key.session_id, key.session_no, request.order)
        if self.unary_failures:
            self.unary_failures -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "lost on the way back")
        duplicate = rows[0].kind == common_pb2.EVENT_KIND_DUPLICATE
        if duplicate:
            rows = [row for row in self.exchange.history[key.session_id] if row.session_no == key.session_no][:1]
        return orders_pb2.CommandReply(stamp=self.stamp(), reports=rows, duplicate=duplicate)

    async def GetOrder(self, request: orders_pb2.GetOrderRequest, context: Any) -> orders_pb2.GetOrderReply:  # noqa: N802
        await context.abort(grpc.StatusCode.NOT_FOUND, f"no live order {request.order.order_id}")
        raise AssertionError("abort returns never")

    async def ListInstruments(  # noqa: N802
        self, request: market_data_pb2.ListInstrumentsRequest, context: Any
    ) -> market_data_pb2.ListInstrumentsReply:
        del request, context
        acme = common_pb2.Instrument(id=7, symbol="ACME", tick_micros=10_000, lot_units=1)
        return market_data_pb2.ListInstrumentsReply(stamp=self.stamp(), instruments=[acme])

    async def Subscribe(  # noqa: N802
        self, request: market_data_pb2.SubscribeRequest, context: Any
    ) -> AsyncIterator[market_data_pb2.MarketDataUpdate]:
        self.subscriptions.append(request)
        if self.refuse_subscriptions is not None:
            await context.abort(*self.refuse_subscriptions)
        script = self.market_scripts.pop(0) if self.market_scripts else []
        for update in script:
            yield update
        if self.market_scripts:
            await asyncio.sleep(0.05)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gateway goes away")
        if self.market_more is not None:
            while True:
                yield await self.market_more.get()
        await asyncio.sleep(30)

    async def GetStatus(  # noqa: N802
        self, request: cluster_pb2.GetStatusRequest, context: Any
    ) -> cluster_pb2.GetStatusReply:
        del request, context
        return cluster_pb2.GetStatusReply(member=1, role=cluster_pb2.ROLE_SERVING, epoch=self.exchange.epoch)


@pytest.fixture
def exchange() -> FakeExchange:
    return FakeExchange()


@pytest.fixture
def run_with_gateways(exchange: FakeExchange) -> Callable[..., Any]:
    """Runs an async test body with `count` real gRPC servers that share one exchange."""

    def run(body: Callable[..., Any], count: int = 1) -> Any:
        async def main() -> Any:
            gateways, servers = [], []
            for _ in range(count):
                gateway, server = FakeGateway(exchange), grpc.aio.server()
                orders_pb2_grpc.add_OrderEntryServicer_to_server(gateway, server)
                market_data_pb2_grpc.add_MarketDataServicer_to_server(gateway, server)
                cluster_pb2_grpc.add_ClusterServicer_to_server(gateway, server)
                gateway.port = server.add_insecure_port("127.0.0.1:0")
                await server.start()
                gateways.append(gateway)
                servers.append(server)
            try:
                return await asyncio.wait_for(body(*gateways), 20)
            finally:
                for server in servers:
                    await server.stop(None)

        return asyncio.run(main())

    return run


@pytest.fixture
def gateway_thread(exchange: FakeExchange) -> Iterator[FakeGateway]:
    """One gateway in a thread of its own, for the blocking client."""
    import threading

    gateway = FakeGateway(exchange)
    started, stop = threading.Event(), asyncio.Event()
    loop = gateway.loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = grpc.aio.server()
        orders_pb2_grpc.add_OrderEntryServicer_to_server(gateway, server)
        market_data_pb2_grpc.add_MarketDataServicer_to_server(gateway, server)
        cluster_pb2_grpc.add_ClusterServicer_to_server(gateway, server)
        gateway.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        started.set()
        await stop.wait()
        await server.stop(None)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(5)
    yield gateway
    loop.call_soon_threadsafe(stop.set)
    thread.join(5)
    loop.close()
