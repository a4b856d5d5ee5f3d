"""The trading page: its files, and the WebSocket that it speaks over (docs/page.md)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from lockstep.edge.http.cluster_watch import ClusterWatch
from lockstep.edge.http.page_socket import PageSocket
from lockstep.edge.http.relay import Gateways
from lockstep.edge.http.site import HEADERS, File, read_site
from lockstep.edge.http.websocket import WebSocketDoor
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.http_connections import strange_host
from lockstep.stream.messages import Release

PATH: Final = "/page"
PROTOCOL: Final = "lockstep.page"
MAX_PAGES: Final = 256
"""Open at once at one feed; each has a session's stream at a gateway."""
MAX_MESSAGE_BYTES: Final = 64 << 10


class Page:
    """Everything that a feed's door has for browsers, beside the feed itself. Belongs to one loop."""

    def __init__(self, shell: FeedShell) -> None:
        self._shell = shell
        self._site = read_site()
        self._gateways = Gateways([gateway.grpc_address for gateway in shell.topology.gateways])
        self._cluster = ClusterWatch(shell.topology, self._on_state)
        self._open = 0
        self._pages: set[PageSocket] = set()
        """Those that are signed in."""

    def add_to(self, application: web.Application) -> None:
        """Put its paths into a server."""
        application.router.add_get(PATH, self._serve_socket)
        for path, file in self._site.items():
            application.router.add_get(path, self._answer_with(file))

    def start(self, door: WebSocketDoor) -> None:
        """Stand behind this door, and watch the cluster as long as somebody looks."""
        self._door = door
        self._shell.on_burst = self._on_burst
        self._shell.spawn(self._cluster.run())

    async def close(self) -> None:
        """End the connections to gateways and the cluster."""
        await self._gateways.close()
        await self._cluster.close()

    def _on_burst(self, releases: Sequence[Release]) -> None:
        self._cluster.on_releases(releases)

    def _on_state(self, state: bytes) -> None:
        for page in self._pages:
            page.writer.say_if_room(state)

    def _answer_with(self, file: File) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            strange = self._strange_host(request)
            if strange is not None:
                return strange
            if request.headers.get("If-None-Match") == file.etag:
                return web.Response(status=304, headers={**HEADERS, "ETag": file.etag})
            return web.Response(body=file.body, headers=file.headers)

        return answer

    def _strange_host(self, request: web.Request) -> web.Response | None:
        shell = self._shell
        why = strange_host(request, open_to_all=shell.entitlements.open, host=shell.member.host)
        return web.Response(status=421, text=f"this page is {why}") if why else None

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        """`GET /page`."""
        refused = self._strange_host(request) or self._not_own(request) or self._door.refused(request)
        if refused is not None:
            return refused
        if self._open >= MAX_PAGES:
            text = f"{MAX_PAGES} pages are open at this feed"
            return web.Response(status=503, text=text, headers={"Retry-After": "5"})
        connection = await self._door.upgrade(request, PROTOCOL, MAX_MESSAGE_BYTES)
        if isinstance(connection, web.WebSocketResponse):
            await self._run(PageSocket(self._shell, self._door, self._gateways, request, connection, self._admit))
        return connection

    def _not_own(self, request: web.Request) -> web.Response | None:
        """A browser always names its origin; who does not is no page of ours, and has gRPC."""
        if request.headers.get("Origin"):
            return None
        return web.Response(status=403, text="only the trading page itself speaks here; programs have gRPC and /feed")

    async def _run(self, page: PageSocket) -> None:
        self._open += 1
        self._cluster.look()
        try:
            await page.run()
        finally:
            self._open -= 1
            self._pages.discard(page)
            self._cluster.watchers -= 1

    def _admit(self, page: PageSocket) -> None:
        """It is known who it is for."""
        self._pages.add(page)
        if self._cluster.state:
            page.writer.say(self._cluster.state)
