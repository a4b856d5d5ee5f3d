"""Who opens a WebSocket, and what is answered to who may not. A browser can send no header of its own with it.

The token comes as `Authorization: Bearer ...`, or as the subprotocol `bearer.TOKEN`.
"""

import time
from typing import Final

from aiohttp import web

from lockstep.runtime.access.roles import Role
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.budget import Cost
from lockstep.runtime.http_connections import pause_s
from lockstep.runtime.tokens import Entitlements, NotLookedAt, Unauthenticated
from lockstep.runtime.topology import Principal

_BEARER: Final = "bearer."


async def who_comes(
    request: web.Request, entitlements: Entitlements, trail: Trail, *, roles: frozenset[Role], lacking: str
) -> Principal | web.Response:
    """Who comes in, or why not. `roles`: one of them is needed; `lacking`: what nobody else may do."""
    said = request.headers.get("Authorization")
    for word in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if word.strip().startswith(_BEARER):
            said = f"Bearer {word.strip()[len(_BEARER) :]}"
    try:
        principal = await entitlements.identify(said)
    except Unauthenticated as error:
        trail.refusal(request.path, "", str(request.remote), str(error))
        if isinstance(error, NotLookedAt):
            return web.Response(status=error.http, text=str(error), headers={"Retry-After": str(error.RETRY_S)})
        return web.Response(status=401, text=str(error), headers={"WWW-Authenticate": "Bearer"})
    if not principal.may(roles):
        text = f"{principal.name!r} has no role that may {lacking}"
        trail.refusal(request.path, principal.name, str(request.remote), text)
        return web.Response(status=403, text=text)
    return principal


def pay_for_login(entitlements: Entitlements, principal: Principal) -> web.Response | None:
    """Take what a login costs out of the budget that the principal has over all doors; an answer if that is used up."""
    budget = entitlements.budgets.of(principal)
    wait_ns = 0 if budget is None else budget.take(Cost.LOGIN, time.monotonic_ns())
    if not wait_ns:
        return None
    text = f"the budget of {principal.name!r} is used up; open fewer WebSockets a second"
    return web.Response(status=429, text=text, headers={"Retry-After": str(pause_s(wait_ns))})


def of_another_host(request: web.Request) -> web.Response | None:
    """Why a page of another host may not come in, if it is one."""
    origin = request.headers.get("Origin")
    if origin is None or origin.partition("://")[2] == request.host:
        return None
    text = f"pages of {origin[:200]} may not read this; serve them from {request.host}"
    return web.Response(status=403, text=text)
