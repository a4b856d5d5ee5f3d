"""What can't be decoded is the caller's fault, at whatever method of whatever server."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import contextmanager

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lockstep.ops.local.ports import free_ports
from lockstep.runtime.process import start_aio_grpc_server, start_grpc_server
from lockstep.stream.codes import Code
from lockstep.v1 import (
    accounts_pb2_grpc,
    cluster_pb2,
    market_data_pb2_grpc,
    orders_pb2_grpc,
    replication_pb2_grpc,
)
from tests.everybody import open_guard

NO_MESSAGE = b"\x0a\xff\xff\xff\xff\x0f"
"""A field that is longer than what follows."""
REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, str(int(Code.MALFORMED_BATCH)))
SERVICES = {
    "lockstep.v1.OrderEntry": orders_pb2_grpc.add_OrderEntryServicer_to_server,
    "lockstep.v1.Accounts": accounts_pb2_grpc.add_AccountsServicer_to_server,
    "lockstep.v1.MarketData": market_data_pb2_grpc.add_MarketDataServicer_to_server,
    "lockstep.v1.Replication": replication_pb2_grpc.add_ReplicationServicer_to_server,
}
BASES = {
    "lockstep.v1.OrderEntry": orders_pb2_grpc.OrderEntryServicer,
    "lockstep.v1.Accounts": accounts_pb2_grpc.AccountsServicer,
    "lockstep.v1.MarketData": market_data_pb2_grpc.MarketDataServicer,
    "lockstep.v1.Replication": replication_pb2_grpc.ReplicationServicer,
}
ALL = (*SERVICES, "lockstep.v1.Cluster", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")
METHODS = tuple(method for name in ALL for method in descriptor_pool.Default().FindServiceByName(name).methods)


def echo(method):
    """A method's code that reads what it is given and answers once."""
    reply = message_factory.GetMessageClass(method.output_type)

    async def read(requests) -> None:
        if isinstance(requests, AsyncIterator):
            async for _ in requests:
                pass

    async def call(_self, requests, _context):
        await read(requests)
        return reply()

    async def stream(_self, requests, _context):
        await read(requests)
        yield reply()

    return stream if method.server_streaming else call


def register(server) -> None:
    for name, add in SERVICES.items():
        methods = descriptor_pool.Default().FindServiceByName(name).methods
        servicer = type("Echo", (BASES[name],), {method.name: echo(method) for method in methods})
        add(servicer(), server)


@contextmanager
def peers_server():
    address = f"127.0.0.1:{free_ports(1)[0]}"
    server = start_grpc_server(address, register, tuple(SERVICES), cluster_pb2.GetStatusReply, access=open_guard())
    try:
        yield address
    finally:
        server.stop(0)


@contextmanager
def clients_server():
    address = f"127.0.0.1:{free_ports(1)[0]}"
    loop = asyncio.new_event_loop()

    async def start():
        return await start_aio_grpc_server(
            address, register, tuple(SERVICES), cluster_pb2.GetStatusReply, access=open_guard()
        )

    server, _ = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield address
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module", params=[peers_server, clients_server])
def channel(request):
    with request.param() as address, grpc.insecure_channel(address) as opened:
        yield opened


def status_of(channel, method, *messages: bytes) -> tuple[grpc.StatusCode, str]:
    """Status and code of a call of a method, of whatever shape, with these bytes."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    shape = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    call = getattr(channel, shape)(path)
    argument = iter(messages) if method.client_streaming else messages[0]
    try:
        reply = call(argument, timeout=30)
        if method.server_streaming:
            list(reply)
    except grpc.RpcError as error:
        return error.code(), dict(error.trailing_metadata() or ()).get("lockstep-code", "")
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.containing_service.name}.{method.name}")
def test_bytes_that_are_no_message_are_an_invalid_argument_with_a_code(channel, method):
    assert status_of(channel, method, NO_MESSAGE) == REFUSED


@pytest.mark.parametrize("raw", [b"\xff", b"\x07" * 100, b"\x0a\x05ab"])
def test_whatever_is_wrong_with_them(channel, raw):
    method = descriptor_pool.Default().FindMethodByName("lockstep.v1.Replication.Query")
    assert status_of(channel, method, raw) == REFUSED


def test_a_stream_ends_where_its_first_bad_message_is(channel):
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    replies = stub(iter([asked.SerializeToString(), NO_MESSAGE, asked.SerializeToString()]), timeout=30)
    delivered = []
    with pytest.raises(grpc.RpcError) as failed:
        delivered.extend(replies)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(delivered) == 1


def test_an_honest_call_is_served(channel):
    method = descriptor_pool.Default().FindMethodByName("lockstep.v1.Cluster.GetStatus")
    assert status_of(channel, method, b"") == (grpc.StatusCode.OK, "")
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    replies = list(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked, timeout=30))
    assert len(replies) == 1


def test_watchers_of_health_take_no_thread_of_the_server(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    watches = [stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=30) for _ in range(20)]
    try:
        for watch in watches:
            next(watch)
        method = descriptor_pool.Default().FindMethodByName("lockstep.v1.Cluster.GetStatus")
        assert status_of(channel, method, b"") == (grpc.StatusCode.OK, "")
    finally:
        for watch in watches:
            watch.cancel()
