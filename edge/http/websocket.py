"""The feed's WebSocket: `/feed`, protobuf binary, or JSON with `?format=json`; the messages are those of gRPC.

aiohttp does the handshake, and reads what a client says. What the feed says does not go through it: a frame is made
before, and written to the transport in one call, once per turn and connection.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final
from weakref import WeakSet

from aiohttp import WSMsgType, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger

from lockstep.edge.http.admission import Rate
from lockstep.edge.http.frames import close_frame, frame_of
from lockstep.edge.http.requests import JsonFrames, request_of
from lockstep.edge.rest.door import RestDoor
from lockstep.marketdata.feed_encoding import encode_closing
from lockstep.marketdata.feed_events import Refusal
from lockstep.marketdata.feed_subscriptions import FeedRefused, wanted_of
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.tokens import Unauthenticated
from lockstep.stream.codes import Code
from lockstep.v1 import feed_pb2

PATH: Final = "/feed"
PROTOCOL: Final = "lockstep.feed"
_BEARER: Final = "bearer."
HANDSHAKES_PER_S: Final = 500
HANDSHAKE_BURST: Final = 1_000
MAX_CONNECTIONS: Final = 12_000
"""TCP connections, those without a WebSocket included."""
MESSAGES_PER_S: Final = 50
MESSAGE_BURST: Final = 200
MAX_MESSAGE_BYTES: Final = 256 << 10
_HELLO_S: Final = 5.0
"""A connection that has asked for nothing by then is closed."""
_HIGH_BYTES: Final = 64 << 10
"""Above this, what waits in a connection's buffer is enough."""
_SEND_BUFFER_BYTES: Final = 128 << 10
"""Of the kernel, for one connection: what lies there is old when it arrives."""
_LOOK_S: Final = 0.01
_ABORT_S: Final = 1.0
_BACKLOG: Final = 1_024
_CLOSE_CODES: Final = {int(Code.SHUTTING_DOWN): 1001, int(Code.UNAVAILABLE): 1013, int(Code.BUSY): 4008}
_WRONG: Final = 4000
"""What a client asked for can't be had; the reason says why."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OfOurOwn(logging.Filter):
    """Keeps what clients send that is no HTTP out of the log: it would fill it, with whatever they like."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_OF_OUR_OWN: Final = OfOurOwn()


class SocketWriter:
    """The way to one WebSocket."""

    def __init__(self, door: "WebSocketDoor", transport: asyncio.Transport, json: JsonFrames | None) -> None:
        self._door = door
        self._transport = transport
        self._json = json
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
        self._transport.write(self._door.framed(frame) if self._json is None else self._json.of(frame))
        if not self.full:
            return True
        self._door.blocked[self] = None
        return False

    def end(self, refusal: Refusal) -> None:
        """See `Writer`."""
        self._door.blocked.pop(self, None)
        if self._transport.is_closing():
            return
        closing = encode_closing(refusal.code, refusal.text, refusal.retry_after_ms)
        self._transport.write(frame_of(closing) if self._json is None else self._json.of(closing))
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
        self._spoken: WeakSet[Any] = WeakSet()
        """Connections that have asked for something."""
        self._last = self._last_framed = b""
        server_logger.addFilter(_OF_OUR_OWN)
        application = web.Application(middlewares=[self._hear])
        application.router.add_get(PATH, self.serve)
        for add_to in also:
            add_to(application)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, keepalive_timeout=_HELLO_S)

    def framed(self, frame: bytes) -> bytes:
        """A frame of the feed as one of a WebSocket; the same one for all who get it in a row."""
        if frame is not self._last:
            self._last, self._last_framed = frame, frame_of(frame)
        return self._last_framed

    async def open(self, host: str, port: int) -> None:
        """Listen. Raises EnvironmentFault: the port can't be had."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host, port, backlog=_BACKLOG)
        except OSError as error:
            await self._runner.cleanup()
            remedy = "stop the program that uses it or choose another http_port"
            raise EnvironmentFault(f"cannot listen on {host}:{port}: {error.strerror}; {remedy}") from error
        self._shell.spawn(self._watch())

    async def close(self) -> None:
        """Nobody comes in any more; connections that are left end."""
        self._server.close()
        await self._runner.cleanup()

    def _connection(self) -> asyncio.BaseProtocol:
        """The protocol of a new TCP connection, which has to ask for something soon."""
        server = self._runner.server
        assert server is not None, "the runner is set up"
        protocol: Any = server()
        loop = asyncio.get_running_loop()
        if len(server.connections) >= MAX_CONNECTIONS:
            self._shell.handshakes_refused += 1
            loop.call_soon(_drop, protocol)
        else:
            loop.call_later(_HELLO_S, self._expect_hello, protocol)
        made: asyncio.BaseProtocol = protocol
        return made

    def _expect_hello(self, protocol: Any) -> None:
        if protocol.transport is not None and protocol.transport not in self._spoken:
            _drop(protocol)

    async def _watch(self) -> None:
        """Notice whose buffer has room again: the transport says so to aiohttp alone."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for writer in [one for one in self.blocked if not one.full]:
                del self.blocked[writer]
                self._shell.guarded(partial(self._shell.driver.on_ready, writer.reader))

    # ---- one connection ------------------------------------------------------------------------------------------

    @web.middleware
    async def _hear(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._spoken.add(request.transport)
        return await handler(request)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /feed`."""
        transport: Any = request.transport
        wait_ns = self._handshakes.wait_ns(time.monotonic_ns())
        if wait_ns:
            self._shell.handshakes_refused += 1
            seconds = str(1 + wait_ns // 1_000_000_000)
            return web.Response(status=503, text="too many come at once; try again", headers={"Retry-After": seconds})
        refused = self._who(request)
        if refused is not None:
            return refused
        if not web.WebSocketResponse(protocols=(PROTOCOL,)).can_prepare(request).ok:
            return web.Response(status=426, text="this is a WebSocket", headers={"Upgrade": "websocket"})
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        connection = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        await connection.prepare(request)
        writer = SocketWriter(self, transport, self._json if request.query.get("format") == "json" else None)
        entered = self._shell.guarded(lambda: self._shell.driver.enter(writer))
        if isinstance(entered, Refusal):
            writer.end(entered)
            return connection
        writer.reader = entered
        try:
            await self._listen(connection, writer)
        finally:
            self.blocked.pop(writer, None)
            self._shell.guarded(lambda: self._shell.driver.leave(entered))
            with contextlib.suppress(ConnectionError):
                await connection.close()
        return connection

    def _who(self, request: web.Request) -> web.Response | None:
        """Why not, if the client may not come in; None: it may."""
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            text = f"pages of {origin} may not read this feed; serve them from {request.host}"
            return web.Response(status=403, text=text)
        said = request.headers.get("Authorization")
        for word in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
            if word.strip().startswith(_BEARER):
                # A browser can send no header of its own with a WebSocket.
                said = f"Bearer {word.strip()[len(_BEARER) :]}"
        try:
            self._shell.entitlements.authenticate(said)
        except Unauthenticated as error:
            return web.Response(status=401, text=str(error), headers={"WWW-Authenticate": "Bearer"})
        return None

    async def _listen(self, connection: web.WebSocketResponse, writer: SocketWriter) -> None:
        rate = Rate(MESSAGES_PER_S, MESSAGE_BURST)
        async for message in connection:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                if message.type is WSMsgType.ERROR:
                    await self._let_read(writer)
                return
            if rate.wait_ns(time.monotonic_ns()):
                text = f"more than {MESSAGES_PER_S} messages a second; name several instruments in one"
                self._end(writer, Refusal(int(Code.BUSY), text, 1000))
                return
            refusal = self._on_message(writer, message.data)
            if refusal is not None:
                self._end(writer, refusal)
                return

    def _on_message(self, writer: SocketWriter, message: bytes | str) -> Refusal | None:
        try:
            return self._on_request(writer, request_of(message))
        except FeedRefused as refused:
            return Refusal(int(refused.code), str(refused), refused.retry_after_ms)

    async def _let_read(self, writer: SocketWriter) -> None:
        """aiohttp has said what was wrong (a message too long, say). With the rest of it unread the connection would be
        reset, and its client might never read why."""
        for _ in range(round(_ABORT_S / _LOOK_S)):
            if writer.gone:
                return
            await asyncio.sleep(_LOOK_S)

    def _end(self, writer: SocketWriter, refusal: Refusal) -> None:
        self._shell.guarded(lambda: self._shell.driver.leave(writer.reader))
        writer.end(refusal)

    def _on_request(self, writer: SocketWriter, request: feed_pb2.FeedRequest) -> Refusal | None:
        driver, reader = self._shell.driver, writer.reader
        work: Callable[[], Refusal | None]
        match request.WhichOneof("request"):
            case "subscribe":
                work = partial(driver.subscribe, reader, wanted_of(request.subscribe))
            case "unsubscribe":
                asked = request.unsubscribe
                work = partial(driver.unsubscribe, reader, asked.feed, tuple(asked.instruments))
            case _:
                work = partial(driver.ping, reader, request.ping)
        return self._shell.guarded(work)


def _drop(protocol: Any) -> None:
    if protocol.transport is not None:
        protocol.transport.abort()


async def open_door(shell: FeedShell, stack: AsyncExitStack) -> None:
    """Open the WebSocket and the REST door of a feed, if it has a port. See `marketdata.process.Door`."""
    member = shell.member
    if member.http_port:
        rest = RestDoor(shell)
        stack.push_async_callback(rest.close)
        door = WebSocketDoor(shell, also=(rest.add_to,))
        await door.open(member.host, member.http_port)
        stack.push_async_callback(door.close)
