"""Requests whose bytes are no message of their method: the caller's fault, and told so, on every gRPC server.

gRPC itself says INTERNAL or UNKNOWN there, which reads as a fault of the server, and logs a traceback each time. Here
the call ends with INVALID_ARGUMENT and MALFORMED_BATCH, as every other wrong request. `process.py` puts one of the two
interceptors into every server that it starts, and no other module starts one (`tests/house/test_servers.py`).
"""

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from lockstep.stream.codes import CODE_METADATA, RETRY_METADATA, Code

_TEXT: Final = "the request's bytes are no message of this method"
_METADATA: Final = ((CODE_METADATA, str(int(Code.MALFORMED_BATCH))), (RETRY_METADATA, "0"))


class _Undecodable:
    """Stands for a request whose bytes are no message."""


_UNDECODABLE: Final = _Undecodable()


class UndecodableRefused(grpc.ServerInterceptor):  # type: ignore[misc]  # the package ships no types
    """Of a threaded server."""

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """The handler that serves the call."""
        handler = continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        name, inner = _behaviour(handler)
        if handler.request_streaming:

            def serve(requests: Any, context: Any, *more: Any) -> Any:
                return inner(_each(requests, context), context, *more)

        else:

            def serve(requests: Any, context: Any, *more: Any) -> Any:
                if requests is _UNDECODABLE:
                    _refuse(context)
                return inner(requests, context, *more)

        # A method may carry marks for the server: health's Watch takes no thread while it waits.
        functools.update_wrapper(serve, inner)
        return handler._replace(request_deserializer=_marking(handler.request_deserializer), **{name: serve})


class AioUndecodableRefused(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the package ships no types
    """Of an asyncio server."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler that serves the call."""
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        name, inner = _behaviour(handler)
        wrap = _generating if inspect.isasyncgenfunction(inner) else _calling
        return handler._replace(
            request_deserializer=_marking(handler.request_deserializer),
            **{name: wrap(inner, handler.request_streaming)},
        )


def _behaviour(handler: Any) -> tuple[str, Any]:
    shape = {False: "unary", True: "stream"}
    name = f"{shape[handler.request_streaming]}_{shape[handler.response_streaming]}"
    return name, getattr(handler, name)


def _marking(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode(raw: bytes) -> Any:
        try:
            return read(raw)
        except DecodeError:
            return _UNDECODABLE

    return decode


def _refuse(context: Any) -> NoReturn:
    context.set_trailing_metadata(_METADATA)
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, _TEXT)
    raise AssertionError("abort returns never")


def _each(requests: Iterator[Any], context: Any) -> Iterator[Any]:
    for request in requests:
        if request is _UNDECODABLE:
            _refuse(context)
        yield request


async def _aio_checked(requests: Any, context: Any, streaming: bool) -> Any:
    """What the method's own code is given: the request, or the stream of them."""
    if streaming:
        return _aio_each(requests, context)
    if requests is _UNDECODABLE:
        await _aio_refuse(context)
    return requests


async def _aio_refuse(context: Any) -> NoReturn:
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _TEXT, _METADATA)
    raise AssertionError("abort returns never")


async def _aio_each(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    async for request in requests:
        if request is _UNDECODABLE:
            await _aio_refuse(context)
        yield request


def _calling(inner: Any, streaming: bool) -> Any:
    async def call(requests: Any, context: Any) -> Any:
        return await inner(await _aio_checked(requests, context, streaming), context)

    return call


def _generating(inner: Any, streaming: bool) -> Any:
    async def generate(requests: Any, context: Any) -> Any:
        async for reply in inner(await _aio_checked(requests, context, streaming), context):
            yield reply

    return generate
