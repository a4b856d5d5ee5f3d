"""What every call of every gRPC server goes through before its method's own code, and around it.

A caller that holds calls and does nothing with them must cost no other anything: least of all a sequencer that has to
fence. So calls are coroutines of one loop, and:

* a call that has not said yet what it asks for is waited for a while, beside a bounded number of others;
* methods have places (`places.py`), in all and for each connection, and a call that does not move gives up its own;
* what may block, an operator's order, runs in threads, of which there are as many as those methods have places;
* what is asked in order to take over, and to see how things stand, waits for no place of others.

Bytes that are no message of the method are the caller's fault, and the answer says so: INVALID_ARGUMENT and
MALFORMED_BATCH. gRPC itself says INTERNAL or UNKNOWN there, which reads as a fault of the server, and logs a traceback
each time.
"""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from lockstep.runtime.places import Limit, Place, Places
from lockstep.runtime.refusal import Refusal, busy, malformed

FIRST_MESSAGE_S: Final = 10.0
"""A call says what it asks for within so long."""
STALLED_S: Final = 20.0
"""A stream whose other end takes nothing, or sends nothing, for so long is ended."""
MAX_MUTE: Final = 1_024
"""Calls of a server that have not said yet what they ask for."""
MAX_THREADS: Final = 32
_SETTLE_S: Final = 1.0

LIMITS: Final[Mapping[str, Limit]] = {
    # Not GetStatus and Health/Check: however many ask, it is made once at a time, or costs next to nothing.
    # Answered within a turn of the main loop, or not at all.
    "/lockstep.v1.Replication/Fence": Limit(64, 8),
    "/lockstep.v1.Replication/Query": Limit(512, 128),
    "/lockstep.v1.Replication/FetchJournal": Limit(64, 8),
    "/lockstep.v1.Replication/FetchEvents": Limit(64, 16),
    "/lockstep.v1.Replication/FetchSnapshot": Limit(16, 2),
    "/grpc.health.v1.Health/Watch": Limit(256, 64),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Limit(16, 4),
}
OPERATION_LIMIT: Final = Limit(4, 2)
"""Of methods that run in threads."""

_NO_MESSAGE: Final = "the request's bytes are no message of this method"
_NOTHING: Final = "the call brought no message"


class _Undecodable:
    """Stands for a request whose bytes are no message."""


_UNDECODABLE: Final = _Undecodable()


class _Mute:
    """Calls that have not said yet what they ask for: the oldest of too many is ended."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Timeout, None] = {}

    async def first(self, context: Any) -> Any:
        """The call's message.

        Raises:
            Refusal: none came, or none that is one.
        """
        if len(self._waiting) >= MAX_MUTE:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.reschedule(0)
        limit = asyncio.timeout(FIRST_MESSAGE_S)
        try:
            async with limit:
                self._waiting[limit] = None
                request = await context.read()
        except TimeoutError:
            raise busy("the call's message has not come: say what is asked for") from None
        finally:
            self._waiting.pop(limit, None)
        if request is _UNDECODABLE:
            raise malformed(_NO_MESSAGE)
        if request is grpc.aio.EOF:
            raise malformed(_NOTHING)
        return request


class CallGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the package ships no types
    """Of one server. `limits`: of methods by path; others that stream, or run in this loop, have none."""

    def __init__(self, limits: Mapping[str, Limit] = LIMITS) -> None:
        self._limits = limits
        self._places: dict[str, Places] = {}
        self._made: dict[str, Any] = {}
        self._mute = _Mute()
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="operation")
        self._under_way: set[_Call] = set()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler that serves the call."""
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        made = self._made.get(details.method)
        if made is None:
            made = self._made[details.method] = self._guarded(details.method, handler)
        return made

    async def settled(self) -> None:
        """After the server's end: what calls have opened is closed, but for operations that take longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                while self._under_way:  # noqa: ASYNC110 - at a process' end alone
                    await asyncio.sleep(0.005)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _guarded(self, method: str, handler: Any) -> Any:
        """Whatever the method's own shape: messages are read only when they are asked for."""
        shape = f"{_WORDS[handler.request_streaming]}_{_WORDS[handler.response_streaming]}"
        inner = getattr(handler, shape)
        is_operation = not (inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner))
        limit = self._limits.get(method, OPERATION_LIMIT if is_operation else None)
        places = Places(limit) if limit is not None else None
        if is_operation:
            assert shape == "unary_unary", f"{method}: a stream in threads would hold one for as long as it lasts"
            inner = self._in_thread(inner)
        begin = partial(_Call, self._under_way, places)
        read = self._mute.first if not handler.request_streaming else None
        if handler.response_streaming:
            serve, name = _streaming(inner, begin, read), "stream_stream"
        else:
            serve, name = _answering(inner, begin, read), "stream_unary"
        return handler._replace(
            request_streaming=True,
            request_deserializer=_marking(handler.request_deserializer),
            **{shape: None, name: serve},
        )

    def _in_thread(self, operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def call(request: Any, context: Any) -> Any:
            seen = OperationContext(context)
            running = asyncio.wrap_future(self._threads.submit(operation, request, seen))
            # A refusal that nobody waits for any more is no news, and asyncio would log a traceback.
            running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                # Nobody waits for the answer, but it holds its thread, and so its place, until it ends.
                seen.leave()
                await asyncio.wait((running,))
                raise

        return call


class OperationContext:
    """What an operation's code in a thread may ask of its call."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._active = True

    def is_active(self) -> bool:
        """Whether somebody waits for the answer."""
        return self._active

    def leave(self) -> None:
        """Nobody does."""
        self._active = False

    def time_remaining(self) -> float | None:
        """Seconds to the caller's deadline."""
        remaining: float | None = self._context.time_remaining()
        return remaining

    def abort(self, code: grpc.StatusCode, text: str) -> NoReturn:
        """Refuse."""
        raise Refusal(code, text)


_WORDS: Final = {False: "unary", True: "stream"}
First = Callable[[Any], Awaitable[Any]]
Begin = Callable[[Any], "_Call"]


def _answering(inner: Any, begin: Begin, first: First | None) -> Any:
    async def serve(requests: Any, context: Any) -> Any:
        reply: Any = None
        with begin(context) as call:
            reply = await inner(await call.request(requests, first), context)
        await call.end()
        return reply

    return serve


def _streaming(inner: Any, begin: Begin, first: First | None) -> Any:
    generates = inspect.isasyncgenfunction(inner)

    async def serve(requests: Any, context: Any) -> None:
        with begin(context) as call:
            request = await call.request(requests, first)
            if generates:
                await _send(inner(request, context), context, call.place)
            else:
                await inner(request, context)
        await call.end()

    return serve


class _Call:
    """A call under way: has a place while its code runs, and is refused, where it is, once that place is free again."""

    def __init__(self, under_way: "set[_Call]", places: Places | None, context: Any) -> None:
        self.place: Place | None = None
        self._under_way = under_way
        self._places = places
        self._context = context
        self._refusal: Refusal | None = None

    def __enter__(self) -> "_Call":
        self._under_way.add(self)
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self._under_way.discard(self)
        if self._places is not None and self.place is not None:
            self._places.leave(self.place)
        self._refusal = error if isinstance(error, Refusal) else None
        return self._refusal is not None

    async def request(self, requests: Any, first: First | None) -> Any:
        """What the method's code is given: the message, or the stream of them. It has its place then."""
        if first is None:
            await self._enter()
            return _each(requests, self._context, self.place)
        message = await first(self._context)
        await self._enter()
        return message

    async def _enter(self) -> None:
        if self._places is None:
            return
        self.place = await self._places.enter(self._context.peer())
        if self.place is None:
            raise busy("too many calls of this method at once; try again")

    async def end(self) -> None:
        """Send the refusal, if there is one. Somebody who takes nothing is not reached, until that end is gone."""
        refusal = self._refusal
        if refusal is not None:
            with _gone_ends_quietly():
                await self._context.abort(refusal.code, refusal.text, refusal.metadata)


@contextlib.contextmanager
def _gone_ends_quietly() -> Iterator[None]:
    """An end that has gone is nobody's fault. gRPC logs a traceback where nothing is left to send to."""
    try:
        yield
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None


async def _send(replies: Any, context: Any, place: Place | None) -> None:
    try:
        async for reply in replies:
            with _gone_ends_quietly():
                await _waited_for(context.write(reply), place)
    finally:
        await replies.aclose()


async def _each(requests: Any, context: Any, place: Place | None) -> AsyncIterator[Any]:
    if place is None:
        async for request in requests:
            if request is _UNDECODABLE:
                raise malformed(_NO_MESSAGE)
            yield request
        return
    while (request := await _waited_for(context.read(), place)) is not grpc.aio.EOF:
        if request is _UNDECODABLE:
            raise malformed(_NO_MESSAGE)
        yield request


async def _waited_for[T](other_end: Awaitable[T], place: Place | None) -> T:
    """What the other end does now, or is ended for not doing. Without a place it may take as long as it likes."""
    if place is None:
        return await other_end
    limit = asyncio.timeout(STALLED_S)
    try:
        async with limit:
            place.give_up = lambda: limit.reschedule(0)
            place.waits_since_s = asyncio.get_running_loop().time()
            return await other_end
    except TimeoutError:
        raise busy("the other end of the stream takes or sends nothing, and holds a place that others need") from None
    finally:
        place.waits_since_s = place.give_up = None


def _marking(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode(raw: bytes) -> Any:
        try:
            return read(raw)
        except DecodeError:
            return _UNDECODABLE

    return decode
