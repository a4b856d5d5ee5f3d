"""Before a call: who it is, by its token, while its first message is still unread.

A refused call is answered by a handler that reads nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from lockstep.runtime.client_calls import abort
from lockstep.runtime.tokens import Entitlements, Unauthenticated


class Doorkeeper(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the package ships no types
    """Of the process' own `services`; health, status and reflection are open to everybody."""

    def __init__(self, entitlements: Entitlements, services: tuple[str, ...]) -> None:
        self._entitlements = entitlements
        self._guarded = tuple(f"/{service}/" for service in services)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler that serves the call."""
        handler = await continuation(details)
        if handler is None:
            return None
        if details.method.startswith(self._guarded):
            said = dict(details.invocation_metadata or ()).get("authorization")
            try:
                self._entitlements.authenticate(said if isinstance(said, str) else None)
            except Unauthenticated as error:
                return _refusing(str(error))
        return handler


def _refusing(why: str) -> Any:
    async def refuse(_requests: Any, context: Any) -> None:
        await abort(context, grpc.StatusCode.UNAUTHENTICATED, why)

    # Whatever the method's own shape: a stream's messages are read only when they are asked for.
    return grpc.stream_stream_rpc_method_handler(refuse)
