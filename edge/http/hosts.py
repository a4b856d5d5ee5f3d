"""Under which names a door that asks for no tokens is served.

Where no tokens are needed, being asked is all the proof there is. A page of another host can have its own name resolve
to this machine (DNS rebinding), and the browser then takes it for the same origin. An address, and the names that the
configuration has, can't be bent so.
"""

import ipaddress

from aiohttp import web

from lockstep.marketdata.shell import FeedShell


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
