"""Connections that say nothing are closed, before and after the handshake; those that live are not."""

import asyncio
import contextlib
import select
import socket
import threading
import time
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lockstep.ops.local.ports import free_ports
from lockstep.runtime import process
from lockstep.runtime.channel_options import CHANNEL_OPTIONS
from lockstep.v1 import cluster_pb2, cluster_pb2_grpc
from tests.everybody import open_guard

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
SETTINGS_ACK = bytes((0, 0, 0, 4, 1, 0, 0, 0, 0))
HEADERS = bytes((0x83, 0x86)) + b"".join(
    b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value
    for name, value in (
        (b":path", b"/grpc.health.v1.Health/Watch"),
        (b":authority", b"here"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
)
"""POST over http, and the rest in words, not indexed."""
CALL = len(HEADERS).to_bytes(3, "big") + bytes((1, 4, 0, 0, 0, 1)) + HEADERS
NO_REQUEST = bytes((0, 0, 5, 0, 1, 0, 0, 0, 1)) + bytes(5)
"""An empty message of five bytes' head, and the end of what the client sends."""
MUTE_AFTER = {
    "nothing": b"",
    "half of the preface": PREFACE[:10],
    "the preface": PREFACE,
    "its settings": PREFACE + SETTINGS,
    "the handshake": PREFACE + SETTINGS + SETTINGS_ACK,
    "a call's headers": PREFACE + SETTINGS + SETTINGS_ACK + CALL,
    "a call that goes on": PREFACE + SETTINGS + SETTINGS_ACK + CALL + NO_REQUEST,
}
TIMES = ("grpc.server_handshake_timeout_ms", "grpc.http2.settings_timeout", "grpc.keepalive_time_ms",
         "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms", "grpc.max_connection_idle_ms")  # fmt: skip


def value_of(options, name: str) -> int:
    return dict(options)[name]


def faster(options, factor: int, names=TIMES):
    """The same, with shorter times."""
    return tuple((name, value // factor if name in names else value) for name, value in options)


def longest_mute_s(options) -> float:
    """After so long a connection that says nothing must be gone."""
    return (value_of(options, "grpc.keepalive_time_ms") + value_of(options, "grpc.http2.ping_timeout_ms")) / 1000


@contextmanager
def threaded_server():
    address = f"127.0.0.1:{free_ports(1)[0]}"
    server = process.start_grpc_server(
        address, lambda _server: None, (), cluster_pb2.GetStatusReply, access=open_guard()
    )
    try:
        yield address
    finally:
        server.stop(0)


@contextmanager
def clients_server():
    address = f"127.0.0.1:{free_ports(1)[0]}"
    loop = asyncio.new_event_loop()
    server, _ = loop.run_until_complete(
        process.start_aio_grpc_server(
            address, lambda _server: None, (), cluster_pb2.GetStatusReply, access=open_guard()
        )
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield address
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def proxy(address: str, *, hold_s: float = 0.0):
    """Its address, what makes it mute, the two sockets of each connection, and when each came.

    It carries bytes until it is mute; from then on it keeps its connections and carries nothing. The server's first
    word is held back for `hold_s`.
    """
    host, port = address.split(":")
    listener = socket.create_server(("127.0.0.1", 0))
    muted, over = threading.Event(), threading.Event()
    ends: list[socket.socket] = []
    accepted = []

    def carry(source: socket.socket, target: socket.socket, wait_s: float) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(65_536):
                over.wait(wait_s)
                wait_s = 0.0
                if not muted.is_set():
                    target.sendall(received)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near = listener.accept()[0]
                far = socket.create_connection((host, int(port)))
                accepted.append(time.monotonic())
                ends.extend((near, far))
                for args in ((near, far, 0.0), (far, near, hold_s)):
                    threading.Thread(target=carry, args=args, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", muted.set, ends, accepted
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for end in ends:
            end.close()


def is_closed(connection: socket.socket) -> bool:
    """Whether the other end has closed it, after what it said."""
    while select.select([connection], [], [], 0)[0]:
        try:
            if not connection.recv(65_536):
                return True
        except OSError:
            return True
    return False


def close_times(connections: dict[str, socket.socket], patience_s: float) -> dict[str, float]:
    """Seconds until the server closed each, of those that it closed in time."""
    begin = time.monotonic()
    closed: dict[str, float] = {}
    while len(closed) < len(connections) and time.monotonic() < begin + patience_s:
        for name, connection in connections.items():
            if name not in closed and is_closed(connection):
                closed[name] = time.monotonic() - begin
        time.sleep(0.02)
    return closed


def mute_connections(address: str) -> dict[str, socket.socket]:
    host, port = address.split(":")
    connections = {}
    for name, said in MUTE_AFTER.items():
        connections[name] = socket.create_connection((host, int(port)))
        connections[name].sendall(said)
    return connections


@pytest.fixture
def hurried(monkeypatch):
    """All times of servers are a twentieth."""
    for name in ("SERVER_OPTIONS", "CLIENTS_OPTIONS", "PEERS_OPTIONS"):
        monkeypatch.setattr(process, name, faster(getattr(process, name), 20))


@pytest.mark.parametrize("serving", [threaded_server, clients_server])
@pytest.mark.usefixtures("hurried")
def test_a_connection_that_goes_mute_is_closed_before_and_after_the_handshake(serving):
    longest_s = longest_mute_s(process.SERVER_OPTIONS)
    with serving() as address:
        connections = mute_connections(address)
        closed = close_times(connections, longest_s + 5)
        for connection in connections.values():
            connection.close()
    assert set(closed) == set(MUTE_AFTER)
    # One that was well before is asked first. (Where it has sent something for a call, it is asked at once.)
    assert closed["the handshake"] > value_of(process.SERVER_OPTIONS, "grpc.keepalive_time_ms") / 1000


@pytest.mark.slow
@pytest.mark.parametrize("serving", [threaded_server, clients_server])
def test_a_mute_connection_is_gone_within_a_minute(serving):
    with serving() as address:
        connections = mute_connections(address)
        closed = close_times(connections, 60)
        for connection in connections.values():
            connection.close()
    assert set(closed) == set(MUTE_AFTER)


@pytest.mark.parametrize("serving", [threaded_server, clients_server])
@pytest.mark.usefixtures("hurried")
def test_the_stream_of_a_client_that_vanishes_behind_a_proxy_is_ended_by_the_server(serving):
    longest_s = longest_mute_s(process.SERVER_OPTIONS)
    with serving() as address, proxy(address) as (near, mute, ends, _), grpc.insecure_channel(near) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        next(watch)
        far = ends[1]
        # Longer than a mute one would last: the client's own answers to the server's pings keep it.
        time.sleep(longest_s + 1)
        assert watch.is_active()
        mute()
        assert wait_for_end_at(far, longest_s + 5), "the server still holds the connection"
        watch.cancel()


def wait_for_end_at(far: socket.socket, patience_s: float) -> bool:
    """Whether the server ends the proxy's connection to it: what the kernel knows, as a thread reads the bytes."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        state = far.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state != 1:  # not ESTABLISHED any more
            return True
        time.sleep(0.02)
    return False


@pytest.mark.usefixtures("hurried")
def test_streams_and_channels_of_the_cluster_that_live_are_never_cut():
    with threaded_server() as address, grpc.insecure_channel(address, options=list(CHANNEL_OPTIONS)) as channel:
        states: list[grpc.ChannelConnectivity] = []
        channel.subscribe(states.append, try_to_connect=True)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        next(watch)
        watch.cancel()
        time.sleep(2 * longest_mute_s(process.SERVER_OPTIONS))
        assert states[-1] is grpc.ChannelConnectivity.READY
        assert states.count(grpc.ChannelConnectivity.READY) == 1


def test_a_client_that_makes_no_calls_is_let_go_and_one_with_a_stream_is_kept(monkeypatch):
    # The others as they are: a busy machine needs more than a six-hundredth of the time that a ping has.
    quick = faster(process.CLIENTS_OPTIONS, 600, names=("grpc.max_connection_idle_ms",))
    monkeypatch.setattr(process, "CLIENTS_OPTIONS", quick)
    idle_s = value_of(process.CLIENTS_OPTIONS, "grpc.max_connection_idle_ms") / 1000
    with clients_server() as address, proxy(address) as (near, _, ends, accepted):
        lonely = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(near, options=lonely) as kept, grpc.insecure_channel(near, options=lonely) as idle:
            watch = health_pb2_grpc.HealthStub(kept).Watch(health_pb2.HealthCheckRequest(service=""))
            next(watch)
            stub = cluster_pb2_grpc.ClusterStub(idle)
            stub.GetStatus(cluster_pb2.GetStatusRequest(), timeout=30)
            assert wait_for_end_at(ends[3], idle_s + 10)
            time.sleep(2 * idle_s)
            assert watch.is_active()
            assert ends[1].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1
            stub.GetStatus(cluster_pb2.GetStatusRequest(), timeout=30)
            assert len(accepted) == 3
            watch.cancel()


def test_a_peer_that_is_slow_to_accept_is_reached_by_the_first_attempt():
    with threaded_server() as address, proxy(address, hold_s=0.7) as (near, _, _ends, accepted):
        with grpc.insecure_channel(near, options=list(CHANNEL_OPTIONS)) as channel:
            stub = cluster_pb2_grpc.ClusterStub(channel)
            stub.GetStatus(cluster_pb2.GetStatusRequest(), timeout=30, wait_for_ready=True)
        assert len(accepted) == 1


def test_a_restarted_peer_is_reached_within_a_third_of_a_second():
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with grpc.insecure_channel(address, options=list(CHANNEL_OPTIONS)) as channel:
        stub = cluster_pb2_grpc.ClusterStub(channel)
        call = stub.GetStatus.future(cluster_pb2.GetStatusRequest(), timeout=20, wait_for_ready=True)
        # As many refusals as make its pauses as long as they get.
        time.sleep(2)
        server = process.start_grpc_server(
            address, lambda _server: None, (), cluster_pb2.GetStatusReply, access=open_guard()
        )
        try:
            begin = time.monotonic()
            call.result(timeout=30)
            assert time.monotonic() - begin < 0.33 + 0.5  # half a second for a busy machine
        finally:
            server.stop(0)
