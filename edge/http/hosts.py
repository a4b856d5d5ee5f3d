"""Under which names a door that asks for no tokens is served; and how many connections one address may have.

Where no tokens are needed, being asked is all the proof there is. A page of another host can have its own name resolve
to this machine (DNS rebinding), and the browser then takes it for the same origin. An address, and the names that the
configuration has, can't be bent so.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from lockstep.marketdata.shell import FeedShell

MAX_OF_HOST: Final = 8_000
"""TCP connections from one address: it does not have all that there are."""


def strange_host(shell: FeedShell, request: web.Request) -> str:
    """Why a request is not served under the name that it asks for; empty: it is."""
    name = request.url.host or ""
    if _is_address(name) or not shell.entitlements.open or name in ("localhost", shell.member.host):
        return ""
    return (
        f"not served as {name[:200]}: the cluster lists no clients, so only an address, localhost or the feed's "
        "configured host will do; list clients with tokens to serve it by name"
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Hosts:
    """TCP connections of a server by the address that they come from."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()
        self._host_of: dict[Any, str] = {}

    def count(self, server: Any, too_many: Callable[[Any], None]) -> None:
        """From now on, for as long as the server lives. `too_many`: called with the protocol of one beyond the bound.

        aiohttp says to the server of each connection that it was made and that it is lost, and to nobody else.
        """
        made, lost = server.connection_made, server.connection_lost

        def on_made(handler: Any, transport: asyncio.Transport) -> None:
            made(handler, transport)
            found = transport.get_extra_info("peername")
            host = str(found[0]) if found else ""
            if self.of[host] >= MAX_OF_HOST:
                too_many(handler)
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
