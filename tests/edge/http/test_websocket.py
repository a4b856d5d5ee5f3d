"""The WebSocket door over real sockets: what it says and refuses, its bounds, and a reader that takes nothing."""

import asyncio
import contextlib
import json
import socket
import time
import zlib
from types import SimpleNamespace
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lockstep.edge.http import websocket
from lockstep.edge.http.websocket import WebSocketDoor
from lockstep.enums import Feed
from lockstep.feed_book import FeedState
from lockstep.feed_machine import FeedMachine
from lockstep.marketdata import feed_hub
from lockstep.marketdata.driver import FeedDriver
from lockstep.marketdata.feed_beginning import Start
from lockstep.marketdata.feed_events import Refusal, Started
from lockstep.marketdata.machine import FeedMachine as Machine
from lockstep.ops.local.ports import free_ports
from lockstep.runtime import http_connections
from lockstep.runtime.access.jwt_login import LEEWAY_S
from lockstep.runtime.access.registry import Credential, Entry, Registry
from lockstep.runtime.tokens import Entitlements
from lockstep.runtime.topology import Client
from lockstep.stream.codes import Code
from lockstep.stream.messages import Release
from lockstep.v1 import feed_pb2
from tests.everybody import NO_TRAIL, PLAIN
from tests.marketdata.flows import INSTRUMENTS, Flow, levels_of


class Shell:
    """The feed's driver and machine as they are, in a loop without a cluster: what happened is put in by the test."""

    def __init__(self, clients: tuple[Client, ...] = ()) -> None:
        self.flow = Flow(1)
        self.machine = Machine()
        self.driver = FeedDriver(self.machine, self, engines=(1,), least_epoch=0, begin_is_gone=False)  # type: ignore[arg-type]
        self.entitlements, self.trail, self.entrance = Entitlements(clients), NO_TRAIL, PLAIN
        self.member = SimpleNamespace(host="127.0.0.1")
        self.handshakes_refused = 0
        self.tasks: list[asyncio.Task] = []
        self.driver._step(Started(Start(self.flow.seq, 1)))
        self.tell(self.flow.first, 1)

    def tell(self, events: Any, first: int) -> None:
        self.driver.on_frames([Release(1, 1, 0, first, self.flow.seq, self.flow.seq, events)])

    def trade(self) -> None:
        first = self.flow.seq + 1
        self.tell(self.flow.next(), first)

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def at(self, due_ns: int, action: Any) -> Any:
        return asyncio.get_running_loop().call_later(max(0, (due_ns - self.now_ns()) / 1e9), action)

    def on_events(self, count: int, took_ns: int) -> None: ...

    def fetch_band(self, seq: int, heard: Any) -> None: ...

    def spawn(self, work: Any) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    def guarded(self, action: Any) -> Any:
        return action()


def served(test: Any, **words: Any) -> None:
    """Run a test of a door that is open: `await test(shell, url, session)`."""

    async def run() -> None:
        shell = Shell(**words)
        door = WebSocketDoor(shell)  # type: ignore[arg-type]
        (port,) = free_ports(1)
        await door.open("127.0.0.1", port)
        try:
            async with aiohttp.ClientSession() as session:
                async with asyncio.timeout(120):
                    await test(
                        SimpleNamespace(shell=shell, door=door, url=f"http://127.0.0.1:{port}/feed", http=session)
                    )
        finally:
            for task in shell.tasks:
                task.cancel()
            await door.close()

    asyncio.run(run())


def ask(**subscription: Any) -> bytes:
    return feed_pb2.FeedRequest(subscribe=feed_pb2.Subscription(**subscription)).SerializeToString()


async def follow(ws: Any, machine: FeedMachine, seq: int) -> None:
    while machine.state is not FeedState.LIVE or machine.seq < seq:
        message = await ws.receive()
        assert message.type is aiohttp.WSMsgType.BINARY, message
        machine.on_frame(feed_pb2.FeedFrame.FromString(message.data))


def test_books_come_over_it_as_over_grpc_and_are_the_engines() -> None:
    async def test(site: Any) -> None:
        async with site.http.ws_connect(site.url, protocols=("lockstep.feed",)) as ws:
            assert ws.protocol == "lockstep.feed"
            await ws.send_bytes(ask(feed="FEED_L2", depth=5, interval_ms=10))
            machine = FeedMachine(Feed.L2, 5)
            for _ in range(40):
                site.shell.trade()
                await asyncio.sleep(0.002)
            await asyncio.sleep(0.05)
            site.shell.driver.on_tick()
            last = max(site.shell.machine.hub.fold.books.book(number).changed for number in INSTRUMENTS)
            await follow(ws, machine, last)
            for number in INSTRUMENTS:
                book = machine.books[number]
                shown = [[(one.price_ticks, one.quantity_lots, one.orders) for one in half]
                         for half in (book.bids(), book.asks())]  # fmt: skip
                assert shown == levels_of(site.shell.flow.engine, number, 5)
            await ws.send_bytes(feed_pb2.FeedRequest(ping=7).SerializeToString())
            while True:
                frame = feed_pb2.FeedFrame.FromString((await ws.receive()).data)
                if frame.pong:
                    break
            assert frame.pong == 7

    served(test)


def test_json_is_spoken_by_who_asks_for_it() -> None:
    async def test(site: Any) -> None:
        async with site.http.ws_connect(site.url + "?format=json") as ws:
            await ws.send_str(json.dumps({"subscribe": {"feed": "FEED_INSTRUMENTS"}}))
            message = await ws.receive()
            assert message.type is aiohttp.WSMsgType.TEXT
            updates = json.loads(message.data)["updates"]
            assert [row["instrument"] for row in updates] == list(INSTRUMENTS)
            assert updates[0]["definition"]["symbol"] == "I7"

    served(test)


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"\xff\xff", "no FeedRequest"),
        ("{", "no FeedRequest"),
        ('{"subscribe": {"feed": "FEED_L9"}}', "no FeedRequest"),
        (b"", "has one of"),
        (ask(feed="FEED_L2", depth=3), "no depth 3"),
        (ask(feed="FEED_L2", instruments=[99]), "unknown instruments"),
    ],
)
def test_what_is_wrong_ends_the_connection_with_code_and_reason(sent: Any, text: str) -> None:
    async def test(site: Any) -> None:
        async with site.http.ws_connect(site.url) as ws:
            await (ws.send_str(sent) if isinstance(sent, str) else ws.send_bytes(sent))
            said = feed_pb2.FeedFrame.FromString((await ws.receive()).data).closing
            assert text in said.reason
            assert said.code
            assert (await ws.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING)
            assert ws.close_code == 4000
        assert site.shell.driver.readers == 0

    served(test)


def test_clients_with_tokens_show_them_in_a_header_or_as_a_subprotocol() -> None:
    async def test(site: Any) -> None:
        wrong: list[dict[str, Any]] = [{}, {"headers": {"Authorization": "Bearer wrong"}}]
        right: list[dict[str, Any]] = [{"headers": {"Authorization": "Bearer secret"}}]
        right.append({"protocols": ("lockstep.feed", "bearer.secret")})
        for words in wrong:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await site.http.ws_connect(site.url, **words)
            assert refused.value.status == 401
        for words in right:
            async with site.http.ws_connect(site.url, **words) as ws:
                await ws.send_bytes(ask(feed="FEED_L1"))
                assert (await ws.receive()).type is aiohttp.WSMsgType.BINARY

    served(test, clients=(Client("a", "secret", 1),))


def test_a_reader_that_came_by_a_signed_login_is_sent_away_when_that_is_over() -> None:
    private, end = Ed25519PrivateKey.generate(), int(time.time()) + 4 - LEEWAY_S
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    entry = Entry("machine", ("market-data",), 7, (), (Credential("kid-1", "public-key", public),))
    claims = {"sub": "machine", "aud": "c", "iat": end - 60, "exp": end}
    token = jwt.encode(claims, private, algorithm="EdDSA", headers={"kid": "kid-1"})

    async def test(site: Any) -> None:
        known = site.shell.entitlements = Entitlements((), anonymous=False, key=b"k" * 32, cluster="c")
        known.replace(Registry(1, (entry,)))
        async with site.http.ws_connect(site.url, headers={"Authorization": f"Bearer {token}"}) as ws:
            while not ws.closed:
                # As a process does twice a second.
                known.end_over()
                with contextlib.suppress(TimeoutError):
                    await ws.receive(timeout=0.1)
            assert ws.close_code == 4000
            assert time.time() >= end + LEEWAY_S

    served(test)


def test_pages_of_other_hosts_and_plain_requests_are_refused() -> None:
    async def test(site: Any) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await site.http.ws_connect(site.url, headers={"Origin": "https://elsewhere.example"})
        assert refused.value.status == 403
        own = site.url.removesuffix("/feed")
        await (await site.http.ws_connect(site.url, headers={"Origin": own})).close()
        async with site.http.get(site.url) as answer:
            assert answer.status == 426

    served(test)


@pytest.mark.parametrize("strange", ["evil.example", "127.0.0.1.evil.example"])
def test_where_no_tokens_are_needed_no_name_of_somebody_elses_is_served(strange) -> None:
    """A page whose name was made to resolve to this machine has an `Origin` that is like its `Host`."""

    async def test(site: Any) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await site.http.ws_connect(site.url, headers={"Origin": f"http://{strange}", "Host": strange})
        assert refused.value.status == 421

    served(test)


def test_handshakes_connections_and_messages_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "HANDSHAKES_PER_S", 1)
    monkeypatch.setattr(websocket, "HANDSHAKE_BURST", 2)
    monkeypatch.setattr(websocket, "MESSAGE_BURST", 3)

    async def test(site: Any) -> None:
        first = await site.http.ws_connect(site.url)
        second = await site.http.ws_connect(site.url)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await site.http.ws_connect(site.url)
        assert refused.value.status == 503
        assert refused.value.headers is not None
        assert int(refused.value.headers["Retry-After"]) >= 1
        assert site.shell.handshakes_refused == 1
        for _ in range(5):
            await first.send_bytes(feed_pb2.FeedRequest(ping=1).SerializeToString())
        async for message in first:
            frame = feed_pb2.FeedFrame.FromString(message.data)
            if frame.HasField("closing"):
                break
        assert frame.closing.code == int(Code.BUSY)
        await second.close()

    served(test)


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connections, "HELLO_S", 0.1)

    async def test(site: Any) -> None:
        host, port = site.url.removeprefix("http://").removesuffix("/feed").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await reader.read() == b""
        writer.close()
        async with site.http.ws_connect(site.url) as ws:
            await asyncio.sleep(0.3)
            await ws.send_bytes(ask(feed="FEED_L1"))
            assert (await ws.receive()).type is aiohttp.WSMsgType.BINARY

    served(test)


def test_one_that_takes_nothing_costs_no_queue_and_is_closed_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_hub, "SLOW_NS", 300_000_000)
    monkeypatch.setattr(websocket, "_HIGH_BYTES", 8 << 10)
    monkeypatch.setattr(websocket, "_SEND_BUFFER_BYTES", 8 << 10)

    async def test(site: Any) -> None:
        host, port = site.url.removeprefix("http://").removesuffix("/feed").split(":")
        small = socket.socket()
        # What the kernel takes in place of the reader would otherwise be megabytes.
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.setblocking(False)
        await asyncio.get_running_loop().sock_connect(small, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=small, limit=1024)
        writer.write(
            b"GET /feed HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        payload = ask(feed="FEED_L3", interval_ms=0)
        writer.write(bytes((0x82, 0x80 | len(payload))) + bytes(4) + payload)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        (held,) = site.shell.machine.hub.readers.values()
        until = time.monotonic() + 20
        while site.shell.driver.readers:
            assert time.monotonic() < until
            for _ in range(50):
                site.shell.trade()
            site.shell.driver.on_tick()
            assert held.bytes <= feed_hub.MAX_WAITING_BYTES
            await asyncio.sleep(0)
        assert site.shell.machine.hub.counts.slow == 1
        writer.close()

    served(test)


def test_a_feed_that_stops_says_so_to_all() -> None:
    async def test(site: Any) -> None:
        async with site.http.ws_connect(site.url) as ws:
            await ws.send_bytes(ask(feed="FEED_L1"))
            await ws.receive()
            site.shell.driver.end_all(Refusal(int(Code.SHUTTING_DOWN), "this feed is being stopped", 50))
            said = feed_pb2.FeedFrame.FromString((await ws.receive()).data).closing
            assert (said.code, said.retry_after_ms) == (int(Code.SHUTTING_DOWN), 50)
            await ws.receive()
            assert ws.close_code == 1001

    served(test)


def test_a_message_that_is_too_long_ends_with_its_code_though_the_rest_of_it_is_on_its_way() -> None:
    async def test(here: Any) -> None:
        async with here.http.ws_connect(here.url) as ws:
            sending = asyncio.ensure_future(ws.send_bytes(bytes(20 * websocket.MAX_MESSAGE_BYTES)))
            message = await ws.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)
            sending.cancel()

    served(test)


def test_nothing_is_unpacked_so_nothing_grows_when_it_is() -> None:
    """Compression is not agreed on, and a frame that says that it is compressed ends the connection."""

    async def test(site: Any) -> None:
        headers = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
        async with site.http.ws_connect(site.url, headers=headers) as ws:
            assert ws._response.headers.get("Sec-WebSocket-Extensions") is None
            # FIN, RSV1, binary; masked with zeros: what would be a deflated frame.
            raw = zlib.compress(bytes(1 << 20))[2:-4]
            ws._response.connection.transport.write(
                bytes((0xC2, 0x80 | 126)) + len(raw).to_bytes(2, "big") + bytes(4) + raw
            )
            while (message := await ws.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            assert ws.close_code == 1002

    served(test)
