"""Before a call of any process: who makes it, and whether its roles allow it, while its first message is still unread.

Nothing is served that has no row in `permissions.METHODS`. A refused call says what is missing, and reads nothing.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

import grpc

from lockstep.runtime.access.open_streams import OpenStreams, host_of
from lockstep.runtime.access.permissions import AUDITED, PUBLIC, Roles, roles_for
from lockstep.runtime.access.trail import Trail
from lockstep.runtime.budget import CANCELS, METHOD_COSTS
from lockstep.runtime.client_calls import abort, abort_unknown, authorization_of, spend
from lockstep.runtime.tokens import OPEN_CLIENT, Entitlements, Unauthenticated, can_end
from lockstep.runtime.topology import Principal

_CALLER: ContextVar[Principal] = ContextVar("caller")
_FULL_RETRY_MS: Final = 1_000
_WORDS: Final = {False: "unary", True: "stream"}


def caller() -> Principal:
    """Who makes the call that is being served."""
    return _CALLER.get()


class AccessGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the package ships no types
    """Of one server; stands before `CallGuard`, so that who may not call takes nobody's place."""

    def __init__(self, entitlements: Entitlements, trail: Trail) -> None:
        self._entitlements = entitlements
        self._trail = trail
        self._made: dict[str, Any] = {}
        self._open_streams = OpenStreams()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler that serves the call."""
        method = details.method
        made = self._made.get(method)
        if made is None:
            handler = await continuation(details)
            if handler is None:
                return None
            made = self._made[method] = self._guarded(method, handler)
        return made

    def _guarded(self, method: str, handler: Any) -> Any:
        allowed = roles_for(method)
        if allowed is PUBLIC:
            return handler
        shape = f"{_WORDS[handler.request_streaming]}_{_WORDS[handler.response_streaming]}"
        inner = getattr(handler, shape)
        assert handler.request_streaming, f"{method}: its message would be read before anybody asks who it is from"
        assert inspect.iscoroutinefunction(inner), f"{method}: a generator could not be refused"
        audited, streams = method in AUDITED, handler.response_streaming
        cost = METHOD_COSTS.get(method, 0)

        async def serve(requests: Any, context: Any) -> Any:
            principal = await self._admit(method, allowed, context)
            _CALLER.set(principal)
            budget = self._entitlements.budgets.of(principal) if cost else None
            if budget is not None:
                await spend(context, principal, budget, cost, cancels=method in CANCELS)
            if audited:
                return await self._watched(method, principal, inner(requests, context), context)
            if not streams:
                return await inner(requests, context)
            host = host_of(context.peer())
            full = self._open_streams.enter(principal, host)
            if full:
                await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, full, retry_after_ms=_FULL_RETRY_MS)
            try:
                if can_end(principal):
                    await self._while_known(method, principal, inner(requests, context), context)
                else:
                    await inner(requests, context)
            finally:
                self._open_streams.leave(principal, host)
            return None

        return handler._replace(**{shape: serve})

    async def _admit(self, method: str, allowed: Roles | None, context: Any) -> Principal:
        """Who calls; the call is ended if it may not."""
        if self._entitlements.open and allowed is not None:
            return OPEN_CLIENT
        try:
            principal = await self._entitlements.identify(authorization_of(context))
        except Unauthenticated as error:
            self._trail.refusal(method, "", context.peer(), str(error))
            await abort_unknown(context, error)
        if allowed is None or not principal.may(allowed):
            has = ", ".join(sorted(principal.rights))
            needs = ", ".join(sorted(allowed or ())) or "nobody"
            text = f"{principal.name!r} has the role {has}; {method} is for: {needs}"
            self._trail.refusal(method, principal.name, context.peer(), text)
            await abort(context, grpc.StatusCode.PERMISSION_DENIED, text)
        return principal

    async def _while_known(self, method: str, principal: Principal, serving: Awaitable[Any], context: Any) -> None:
        """A stream lasts all day; it ends when its principal is revoked, or what it has shown is over."""
        limit = asyncio.timeout(None)
        unwatch = self._entitlements.watch(principal, lambda: limit.reschedule(0))
        try:
            async with limit:
                await serving
                return
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            unwatch()
        text = f"the credential of {principal.name!r} was revoked, changed, or is over: log in again"
        self._trail.refusal(method, principal.name, context.peer(), text)
        await abort(context, grpc.StatusCode.UNAUTHENTICATED, text)

    async def _watched(self, method: str, principal: Principal, serving: Awaitable[Any], context: Any) -> Any:
        """Written down before it is done, and with what came of it."""
        name, peer = principal.name or "anonymous", context.peer()
        self._trail.deed(method, name, peer)
        outcome = "done"
        try:
            return await serving
        except asyncio.CancelledError:
            outcome = "its caller has gone"
            raise
        except BaseException as error:
            outcome = f"refused: {context.details() or type(error).__name__}"
            raise
        finally:
            self._trail.deed(method, name, peer, outcome)
