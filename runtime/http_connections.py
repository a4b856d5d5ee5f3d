"""Connections to an aiohttp server: how many there may be, what those that ask for nothing get, and under which names.

Where no tokens are needed, being asked is all the proof there is. A page of another host can have its own name resolve
to this machine (DNS rebinding), and the browser then takes it for the same origin. An address, and the names that the
configuration has, can't be bent so.
"""

import asyncio
import ipaddress
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ssl import SSLContext
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger
from aiohttp.web_protocol import PayloadAccessError, RequestHandler, RequestPayloadError

from lockstep.runtime import half_open
from lockstep.runtime.faults import EnvironmentFault

HELLO_S: Final = 5.0
"""A connection that has asked for nothing by then is closed."""
SERVER: Final = "lockstep"
"""What a server says of itself: no versions, which say what it can be attacked with."""
_BACKLOG: Final = 1_024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_NO_HTTP: Final = (HttpProcessingError, RequestPayloadError, PayloadAccessError)


class OfOurOwn(logging.Filter):
    """Keeps what clients send that is no HTTP out of the log: it would fill it, with whatever they like."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        return not (record.exc_info and isinstance(record.exc_info[1], _NO_HTTP))


_OF_OUR_OWN: Final = OfOurOwn()


def pause_s(wait_ns: int) -> int:
    """`Retry-After`: whole seconds, one more for every other one, so that not all come again together."""
    return 1 + wait_ns // 1_000_000_000 + random.randrange(2)  # noqa: S311 - keeps no secret


class _Protocol(RequestHandler):
    """Of one connection. What is no HTTP is refused in words of ours, and nothing that was sent comes back."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """See aiohttp."""
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            message = f"{status}: {HTTPStatus(status).phrase}: this is no request that can be read"
        answer = super().handle_error(request, status, exc, message)
        _say_little(answer)
        return answer


def _say_little(answer: web.StreamResponse) -> None:
    answer.headers["Server"] = SERVER
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")


async def _on_prepare(_request: web.BaseRequest, answer: web.StreamResponse) -> None:
    _say_little(answer)


class HttpConnections:
    """Those of one server, which is made here. Belongs to one loop."""

    def __init__(self, most: int, most_of_host: int, on_refused: Callable[[], None] = lambda: None) -> None:
        """`most`: TCP connections, of all together and from one address: it does not have all that there are."""
        self._most = most
        self._most_of_host = most_of_host
        self._on_refused = on_refused
        self._mute: dict[Any, None] = {}
        """Protocols of new connections that have asked for nothing yet, oldest first."""
        self.of: Counter[str] = Counter()
        """By the address that they come from."""
        self._host_of: dict[Any, str] = {}
        self._server: Any = None
        server_logger.addFilter(_OF_OUR_OWN)

    @web.middleware
    async def hear(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The application's first middleware: this connection has asked for something."""
        self._mute.pop(request.protocol, None)
        return await handler(request)

    async def listen(self, runner: web.AppRunner, host: str, port: int, tls: SSLContext | None) -> asyncio.Server:
        """Set the runner up, and listen.

        Raises:
            EnvironmentFault: the port can't be had.
        """
        # Before the set-up, which freezes it.
        runner.app.on_response_prepare.append(_on_prepare)
        await runner.setup()
        self._server = runner.server
        self._count()
        try:
            listening = await asyncio.get_running_loop().create_server(
                self._connection, host, port, backlog=_BACKLOG, ssl=tls,
                ssl_handshake_timeout=None if tls is None else HELLO_S,
            )  # fmt: skip
        except OSError as error:
            await runner.cleanup()
            remedy = "stop the program that uses it or choose another http_port"
            raise EnvironmentFault(f"cannot listen on {host}:{port}: {error.strerror}; {remedy}") from error
        half_open.end_half_open(listening.sockets)
        return listening

    def _connection(self) -> asyncio.BaseProtocol:
        """The protocol of a new TCP connection, which has to ask for something soon."""
        loop = asyncio.get_running_loop()
        settings = self._server._kwargs  # noqa: SLF001 - as a `web.Server` makes its own; there is no other way
        protocol: Any = _Protocol(self._server, loop=loop, **settings)
        full = len(self._server.connections) >= self._most
        oldest = next(iter(self._mute), None) if full else None
        if full:
            self._on_refused()
        if oldest is not None:
            # Of those that only connect the oldest gives way: so whoever asks for something finds room.
            del self._mute[oldest]
            _drop(oldest)
        if full and oldest is None:
            loop.call_soon(_drop, protocol)
        else:
            self._mute[protocol] = None
            loop.call_later(HELLO_S, self._expect_hello, protocol)
        made: asyncio.BaseProtocol = protocol
        return made

    def _expect_hello(self, protocol: Any) -> None:
        if protocol in self._mute:
            del self._mute[protocol]
            _drop(protocol)

    def _count(self) -> None:
        """By address, for as long as the server lives.

        aiohttp says to the server of each connection that it was made and that it is lost, and to nobody else.
        """
        server = self._server
        made, lost = server.connection_made, server.connection_lost

        def on_made(handler: Any, transport: asyncio.Transport) -> None:
            made(handler, transport)
            found = transport.get_extra_info("peername")
            host = str(found[0]) if found else ""
            if self.of[host] >= self._most_of_host:
                self._mute.pop(handler, None)
                self._on_refused()
                _drop(handler)
                return
            self.of[host] += 1
            self._host_of[handler] = host

        def on_lost(handler: Any, error: BaseException | None = None) -> None:
            lost(handler, error)
            host = self._host_of.pop(handler, None)
            if host is not None:
                self.of[host] -= 1
                if not self.of[host]:
                    del self.of[host]

        server.connection_made, server.connection_lost = on_made, on_lost


def strange_host(request: web.Request, *, open_to_all: bool, host: str) -> str:
    """Why a request is not served under the name that it asks for; empty: it is.

    `open_to_all`: no tokens are needed; `host`: the configured one.
    """
    name = request.url.host or ""
    if _is_address(name) or not open_to_all or name in ("localhost", host):
        return ""
    return (
        f"not served as {name[:200]}: the cluster lists no clients, so only an address, localhost or the configured "
        "host will do; list clients with tokens to serve it by name"
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _drop(protocol: Any) -> None:
    if protocol.transport is not None:
        protocol.transport.abort()
