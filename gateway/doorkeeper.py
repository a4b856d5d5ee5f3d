"""Before a call: who it is, by its token, while its first message is still unread; and a message that is no message.

A refused call is answered by a handler that reads nothing. A request that can't be decoded is answered with
INVALID_ARGUMENT and a code, as every other fault of a request, where gRPC itself would say UNKNOWN.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from lockstep.gateway.calls import abort
from lockstep.gateway.entitlement import Entitlements, Unauthenticated
from lockstep.stream.codes import Code


class _Undecodable:
    """Stands for a request whose bytes are no message."""


_UNDECODABLE: Final = _Undecodable()


class Doorkeeper(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the package ships no types
    """Of the gateway's own `services`; health, status and reflection are open to everybody."""

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
        return _checked(handler)


def _refusing(why: str) -> Any:
    async def refuse(_requests: Any, context: Any) -> None:
        await abort(context, grpc.StatusCode.UNAUTHENTICATED, why)

    # Whatever the method's own shape: a stream's messages are read only when they are asked for.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _checked(handler: Any) -> Any:
    read = handler.request_deserializer
    if read is None or handler.request_streaming:
        return handler

    def decode(raw: bytes) -> Any:
        try:
            return read(raw)
        except DecodeError:
            return _UNDECODABLE

    if not handler.response_streaming:
        return handler._replace(request_deserializer=decode, unary_unary=_unary(handler.unary_unary))
    return handler._replace(request_deserializer=decode, unary_stream=_stream(handler.unary_stream))


async def _refuse_undecodable(context: Any) -> None:
    text = "the request's bytes are no message of this method"
    await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text, Code.MALFORMED_BATCH)


def _unary(inner: Any) -> Any:
    async def call(request: Any, context: Any) -> Any:
        if request is _UNDECODABLE:
            await _refuse_undecodable(context)
        return await inner(request, context)

    return call


def _stream(inner: Any) -> Any:
    if not inspect.isasyncgenfunction(inner):
        return _unary(inner)

    async def generate(request: Any, context: Any) -> Any:
        if request is _UNDECODABLE:
            await _refuse_undecodable(context)
        async for reply in inner(request, context):
            yield reply

    return generate
