"""The feed's WebSocket: `/feed`, protobuf binary, or JSON with `?format=json`; the messages are those of gRPC.

aiohttp does the handshake, and reads what a client says. What the feed says does not go through it: a frame is made
before, and written to the transport in one call, once per turn and connection.
"""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from aiohttp import WSMsgType, web

from lockstep.edge.http.frames import close_frame, frame_of
from lockstep.edge.http.requests import JsonFrames, request_of
from lockstep.marketdata.feed_encoding import encode_closing
from lockstep.marketdata.feed_events import Refusal
from lockstep.marketdata.feed_subscriptions import FeedRefused, wanted_of
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.access.instruments import why_not
from lockstep.runtime.access.permissions import FEED_SOCKET
from lockstep.runtime.budget import BYTES_PER_POINT, Cost
from lockstep.runtime.http_connections import HttpConnections, pause_s, strange_host
from lockstep.runtime.http_login import of_another_host, pay_for_login, who_comes
from lockstep.runtime.rate import Rate
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.v1 import feed_pb2

PATH: Final = "/feed"
PROTOCOL: Final = "lockstep.feed"
HANDSHAKES_PER_S: Final = 500
HANDSHAKE_BURST: Final = 1_000
MAX_CONNECTIONS: Final = 12_000
"""TCP connections, those without a WebSocket included."""
MAX_OF_HOST: Final = 8_000
"""TCP connections from one address."""
MESSAGES_PER_S: Final = 50
MESSAGE_BURST: Final = 200
MAX_MESSAGE_BYTES: Final = 256 << 10
MAX_READERS_OF_ONE: Final = 2_000
"""WebSockets of one principal, where the cluster knows who reads."""
_IDLE_S: Final = 30.0
"""One that has asked, and then asks for nothing for so long, is closed. A browser keeps some for its next request."""
_HIGH_BYTES: Final = 64 << 10
"""Above this, what waits in a connection's buffer is enough."""
_SEND_BUFFER_BYTES: Final = 128 << 10
"""Of the kernel, for one connection: what lies there is old when it arrives."""
_LOOK_S: Final = 0.01
_ABORT_S: Final = 1.0
_CLOSE_CODES: Final = {int(Code.SHUTTING_DOWN): 1001, int(Code.UNAVAILABLE): 1013, int(Code.BUSY): 4008}
_WRONG: Final = 4000
"""What a client asked for can't be had; the reason says why."""

GONE: Final = Refusal(int(Code.UNAUTHENTICATED), "the credential was revoked, changed, or is over: log in again", 0)


class SocketWriter:
    """The way to one WebSocket."""

    def __init__(
        self,
        blocked: "dict[SocketWriter, None]",
        transport: asyncio.Transport,
        framed: Callable[[bytes], bytes],
    ) -> None:
        """`blocked`: those whose buffers are full; `framed`: a frame of the feed as this connection gets it."""
        self._blocked = blocked
        self._transport = transport
        self._framed = framed
        self.reader = 0

    @property
    def gone(self) -> bool:
        """Whether the connection is being closed."""
        return self._transport.is_closing()

    @property
    def full(self) -> bool:
        """Whether enough waits in the connection's buffer."""
        return self._transport.get_write_buffer_size() > _HIGH_BYTES

    def write(self, frame: bytes) -> bool:
        """See `Writer`."""
        if self._transport.is_closing():
            return False
        self._transport.write(self._framed(frame))
        if not self.full:
            return True
        self._blocked[self] = None
        return False

    def say(self, message: bytes) -> None:
        """Write a whole message that is none of the feed's."""
        if not self._transport.is_closing():
            self._transport.write(frame_of(message))

    def say_if_room(self, message: bytes) -> None:
        """The same for what a later message replaces: a connection that takes nothing does without."""
        if not self.full:
            self.say(message)

    def end(self, refusal: Refusal) -> None:
        """See `Writer`."""
        self._blocked.pop(self, None)
        if self._transport.is_closing():
            return
        self._transport.write(self._framed(encode_closing(refusal.code, refusal.text, refusal.retry_after_ms)))
        self._transport.write(close_frame(_CLOSE_CODES.get(refusal.code, _WRONG), refusal.text))
        self._transport.close()
        # One that takes nothing would keep its buffer for ever.
        asyncio.get_running_loop().call_later(_ABORT_S, self._transport.abort)


class WebSocketDoor:
    """All WebSockets of one feed. Belongs to one loop."""

    def __init__(self, shell: FeedShell, also: Sequence[Callable[[web.Application], None]] = ()) -> None:
        """`also`: what else stands on this server, each puts its paths into it."""
        self._shell = shell
        self._handshakes = Rate(HANDSHAKES_PER_S, HANDSHAKE_BURST)
        self._json = JsonFrames()
        self.blocked: dict[SocketWriter, None] = {}
        """Those whose buffers are full."""
        self._readers: Counter[str] = Counter()
        """WebSockets of each principal."""
        self.connections = HttpConnections(MAX_CONNECTIONS, MAX_OF_HOST, self._on_refused)
        self._last = self._last_framed = b""
        application = web.Application(middlewares=[self.connections.hear])
        application.router.add_get(PATH, self.serve)
        for add_to in also:
            add_to(application)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, keepalive_timeout=_IDLE_S)

    def _on_refused(self) -> None:
        self._shell.handshakes_refused += 1

    def framed(self, frame: bytes) -> bytes:
        """A frame of the feed as one of a WebSocket; the same one for all who get it in a row."""
        if frame is not self._last:
            self._last, self._last_framed = frame, frame_of(frame)
        return self._last_framed

    async def open(self, host: str, port: int) -> None:
        """Listen. Raises EnvironmentFault: the port can't be had."""
        tls = self._shell.entrance.ssl_context()
        self._server = await self.connections.listen(self._runner, host, port, tls)
        self._shell.spawn(self._watch())

    async def close(self) -> None:
        """Nobody comes in any more; connections that are left end."""
        self._server.close()
        await self._runner.cleanup()

    async def _watch(self) -> None:
        """Notice whose buffer has room again: the transport says so to aiohttp alone."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for writer in [one for one in self.blocked if not one.full]:
                del self.blocked[writer]
                self._shell.guarded(partial(self._shell.driver.on_ready, writer.reader))

    # ---- one connection ------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /feed`."""
        refused = self.refused(request)
        if refused is not None:
            return refused
        shell = self._shell
        principal = await who_comes(
            request, shell.entitlements, shell.trail, roles=FEED_SOCKET, lacking="read market data"
        )
        if isinstance(principal, web.Response):
            return principal
        if self._readers[principal.name] >= MAX_READERS_OF_ONE and not self._shell.entitlements.open:
            text = f"{MAX_READERS_OF_ONE} WebSockets of {principal.name!r} are open at this feed"
            return web.Response(status=429, text=text, headers={"Retry-After": "5"})
        poor = pay_for_login(shell.entitlements, principal)
        if poor is not None:
            return poor
        connection = await self.upgrade(request, PROTOCOL, MAX_MESSAGE_BYTES)
        if isinstance(connection, web.WebSocketResponse):
            transport: Any = request.transport
            framed = self._json.of if request.query.get("format") == "json" else self.framed
            await self._serve(connection, SocketWriter(self.blocked, transport, framed), principal)
        return connection

    def _crowded(self) -> web.Response | None:
        """Too many handshakes a second, if so."""
        wait_ns = self._handshakes.wait_ns(time.monotonic_ns())
        if not wait_ns:
            return None
        self._shell.handshakes_refused += 1
        seconds = str(pause_s(wait_ns))
        return web.Response(status=503, text="too many come at once; try again", headers={"Retry-After": seconds})

    def spend(self, principal: Principal, points: int) -> int:
        """Take them out of the budget that it has over all doors; 0, or in how many nanoseconds they are there."""
        budget = self._shell.entitlements.budgets.of(principal)
        return 0 if budget is None else budget.take(points, time.monotonic_ns())

    def refused(self, request: web.Request) -> web.Response | None:
        """Why a handshake is refused whoever it is, if it is: too many come, or a page of another host."""
        shell = self._shell
        strange = strange_host(request, open_to_all=shell.entitlements.open, host=shell.member.host)
        if strange:
            return web.Response(status=421, text=f"this feed is {strange}")
        return self._crowded() or of_another_host(request)

    async def upgrade(self, request: web.Request, protocol: str, most_bytes: int) -> web.StreamResponse:
        """The WebSocket, or an answer that it takes one."""
        if not web.WebSocketResponse(protocols=(protocol,)).can_prepare(request).ok:
            return web.Response(status=426, text="this is a WebSocket", headers={"Upgrade": "websocket"})
        sock = None if request.transport is None else request.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        connection = web.WebSocketResponse(protocols=(protocol,), max_msg_size=most_bytes, compress=False)
        await connection.prepare(request)
        return connection

    async def _serve(self, connection: web.WebSocketResponse, writer: SocketWriter, principal: Principal) -> None:
        if not self.enter(writer):
            return
        unwatch = self._shell.entitlements.watch(principal, lambda: self.end(writer, GONE))
        self._readers[principal.name] += 1
        try:
            await self._listen(connection, writer, principal)
        finally:
            unwatch()
            self._readers[principal.name] -= 1
            if not self._readers[principal.name]:
                del self._readers[principal.name]
            await self.leave(connection, writer)

    def enter(self, writer: SocketWriter) -> bool:
        """Make it a reader of the feed; if it can't be one, it is told why."""
        entered = self._shell.guarded(lambda: self._shell.driver.enter(writer))
        if isinstance(entered, Refusal):
            writer.end(entered)
            return False
        writer.reader = entered
        return True

    async def leave(self, connection: web.WebSocketResponse, writer: SocketWriter) -> None:
        """The end of a reader and of its connection."""
        self.blocked.pop(writer, None)
        self._shell.guarded(lambda: self._shell.driver.leave(writer.reader))
        with contextlib.suppress(ConnectionError):
            await connection.close()

    async def _listen(self, connection: web.WebSocketResponse, writer: SocketWriter, principal: Principal) -> None:
        rate = Rate(MESSAGES_PER_S, MESSAGE_BURST)
        async for message in connection:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                if message.type is WSMsgType.ERROR:
                    await self._let_read(writer)
                return
            if rate.wait_ns(time.monotonic_ns()):
                text = f"more than {MESSAGES_PER_S} messages a second; name several instruments in one"
                self.end(writer, Refusal(int(Code.BUSY), text, 1000))
                return
            wait_ns = self.spend(principal, Cost.MESSAGE + len(message.data) // BYTES_PER_POINT)
            if wait_ns:
                text = f"the budget of {principal.name!r} is used up; ask for less"
                self.end(writer, Refusal(int(Code.BUSY), text, 1_000 * pause_s(wait_ns)))
                return
            refusal = self._on_message(writer, message.data, principal)
            if refusal is not None:
                self.end(writer, refusal)
                return

    def _on_message(self, writer: SocketWriter, message: bytes | str, principal: Principal) -> Refusal | None:
        try:
            return self.on_request(writer, request_of(message), principal)
        except FeedRefused as refused:
            return Refusal(int(refused.code), str(refused), refused.retry_after_ms)

    async def _let_read(self, writer: SocketWriter) -> None:
        """aiohttp has said what was wrong (a message too long, say). With the rest of it unread the connection would be
        reset, and its client might never read why."""
        for _ in range(round(_ABORT_S / _LOOK_S)):
            if writer.gone:
                return
            await asyncio.sleep(_LOOK_S)

    def end(self, writer: SocketWriter, refusal: Refusal) -> None:
        """End a reader's connection with a reason."""
        self._shell.guarded(lambda: self._shell.driver.leave(writer.reader))
        writer.end(refusal)

    def on_request(self, writer: SocketWriter, request: feed_pb2.FeedRequest, principal: Principal) -> Refusal | None:
        """Do what a reader asks for; why it can't be had, if so. Raises FeedRefused: it is wrong in itself."""
        driver, reader = self._shell.driver, writer.reader
        work: Callable[[], Refusal | None]
        match request.WhichOneof("request"):
            case "subscribe":
                wanted = wanted_of(request.subscribe)
                why = why_not(principal, request.subscribe.instruments)
                if why:
                    return Refusal(int(Code.NOT_ENTITLED), why, 0)
                work = partial(driver.subscribe, reader, wanted)
            case "unsubscribe":
                asked = request.unsubscribe
                work = partial(driver.unsubscribe, reader, asked.feed, tuple(asked.instruments))
            case _:
                work = partial(driver.ping, reader, request.ping)
        return self._shell.guarded(work)
