"""The alerts' WebSocket, `/alerts`: what fires, as JSON, in order, to whom it belongs.

A client shows its token as at the feed: `Authorization: Bearer ...`, or, from a browser, the subprotocol `bearer.TOKEN`
beside `lockstep.alerts`. `?after=N` begins behind firing N; without it, with what fires from now on. Whoever comes back
says the number of the last one that it has seen, and misses none.
"""

import asyncio
import json
from functools import partial
from typing import Any, Final

from aiohttp import WSMsgType, web

from lockstep.posttrade.alerts import messages
from lockstep.posttrade.alerts.desk import Desk
from lockstep.posttrade.alerts.hub import PAGE, Hub, pause, visible
from lockstep.posttrade.alerts.limits import Refused
from lockstep.posttrade.alerts.sender import Asker
from lockstep.runtime.access.entering import Entrance
from lockstep.runtime.access.permissions import ALERT_SOCKET
from lockstep.runtime.http_connections import HttpConnections, strange_host
from lockstep.runtime.http_login import of_another_host, pay_for_login, who_comes
from lockstep.runtime.topology import Principal

PATH: Final = "/alerts"
PROTOCOL: Final = "lockstep.alerts"
TAKEN_S: Final = 30.0
"""So long a client has to take a message."""
_PING_S: Final = 20.0
MOST_CONNECTIONS: Final = 3_000
"""TCP connections, those without a WebSocket included."""
MOST_OF_HOST: Final = 2_000
"""TCP connections from one address."""
_MOST_HEARD: Final = 1 << 10
"""Bytes of one message of a client, which has nothing to say."""
_GONE, _SLOW, _WRONG, _OVER = 4001, 4008, 4000, 1001


class SocketDoor:
    """See the module. Belongs to one loop."""

    def __init__(self, host: str, ask: Asker, hub: Hub, entrance: Entrance) -> None:
        self._host = host
        self._ask = ask
        self._hub = hub
        self._entrance = entrance
        self._open: set[web.WebSocketResponse] = set()
        self._connections = HttpConnections(MOST_CONNECTIONS, MOST_OF_HOST)
        application = web.Application(middlewares=[self._connections.hear])
        application.router.add_get(PATH, self.serve)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, keepalive_timeout=10)

    async def open(self, port: int) -> None:
        """Listen.

        Raises:
            EnvironmentFault: the port can't be had.
        """
        self._server = await self._connections.listen(self._runner, self._host, port, self._entrance.ssl_context())

    async def close(self) -> None:
        """Nobody comes in any more; those that are there are sent away."""
        self._server.close()
        for one in list(self._open):
            await _end(one, _OVER, "this process ends")
        await self._runner.cleanup()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /alerts`."""
        refused = self._strange(request)
        if refused is not None:
            return refused
        entrance = self._entrance
        principal = await who_comes(
            request, entrance.entitlements, entrance.trail, roles=ALERT_SOCKET, lacking="have alerts"
        )
        if isinstance(principal, web.Response):
            return principal
        poor = pay_for_login(entrance.entitlements, principal)
        if poor is not None:
            return poor
        said = request.query.get("after")
        if said is not None and not (said.isascii() and said.isdecimal() and len(said) < 19):
            return web.Response(status=400, text="after is the number of a firing")
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,), max_msg_size=_MOST_HEARD, compress=False, heartbeat=_PING_S, timeout=1.0
        )
        if not socket.can_prepare(request).ok:
            return web.Response(status=426, text="this is a WebSocket", headers={"Upgrade": "websocket"})
        await socket.prepare(request)
        self._open.add(socket)
        try:
            await self._follow(socket, principal, None if said is None else int(said))
        finally:
            self._open.discard(socket)
        return socket

    def _strange(self, request: web.Request) -> web.Response | None:
        """Pages of other hosts, and, where no tokens are needed, names that may be bent to this machine."""
        foreign = of_another_host(request)
        if foreign is not None:
            return foreign
        strange = strange_host(request, open_to_all=self._entrance.entitlements.open, host=self._host)
        return web.Response(status=421, text=strange) if strange else None

    async def _follow(self, socket: web.WebSocketResponse, principal: Principal, after: int | None) -> None:
        try:
            with self._hub.following(principal.number) as event:
                writing = asyncio.ensure_future(self._write(socket, principal, after, event))
                unwatch = self._entrance.entitlements.watch(principal, partial(_cancel, writing))
                hearing = asyncio.ensure_future(_hear(socket))
                try:
                    await asyncio.wait((writing, hearing), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    unwatch()
                    over = writing.cancelled()
                    for work in (writing, hearing):
                        work.cancel()
                    await asyncio.gather(writing, hearing, return_exceptions=True)
        except Refused as refused:
            await _end(socket, _WRONG, str(refused))
            return
        if over:
            await _end(socket, _GONE, "the credential was revoked, changed, or is over: log in again")
        elif not socket.closed:
            await _end(socket, _SLOW, "it took nothing for too long")

    async def _write(
        self, socket: web.WebSocketResponse, principal: Principal, after: int | None, event: asyncio.Event
    ) -> None:
        owner = principal.number
        at = await self._ask(lambda desk: desk.last(owner)) if after is None else after
        while not socket.closed:
            event.clear()
            begin = at

            def look(desk: Desk, begin: int = begin) -> Any:
                return desk.firings(owner, begin, PAGE)

            page = await self._ask(look)
            for firing, id_ in visible(page, principal):
                try:
                    async with asyncio.timeout(TAKEN_S):
                        await socket.send_str(json.dumps(messages.firing_json(firing, id_), separators=(",", ":")))
                except (TimeoutError, ConnectionError):
                    return
            if page.firings:
                at = page.firings[-1][0].number
            else:
                await pause(event)


async def _hear(socket: web.WebSocketResponse) -> None:
    """Until the client has gone. What it says is passed over."""
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            return


async def _end(socket: web.WebSocketResponse, code: int, text: str) -> None:
    try:
        async with asyncio.timeout(2.0):
            await socket.close(code=code, message=text.encode()[:120])
    except (TimeoutError, ConnectionError):
        return


def _cancel(work: "asyncio.Future[None]") -> None:
    work.cancel()
