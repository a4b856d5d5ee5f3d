"""A session's stream between a page and a gateway: the messages go through as they are.

Nothing is kept here. The page numbers its commands, keeps what is unanswered and resumes, as any client does
(docs/client-protocol.md), so whatever dies between the page and the cluster loses no command and doubles none.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import grpc

from lockstep.runtime.access.dialing import open_aio_channel
from lockstep.runtime.channel_options import CHANNEL_OPTIONS
from lockstep.stream.codes import CODE_METADATA, RETRY_METADATA, Code
from lockstep.v1 import page_pb2

_SESSION: Final = "/lockstep.v1.OrderEntry/Session"
MOST_WAITING: Final = 256
"""Messages of the page that its gateway has not taken yet."""
ASK_S: Final = 3.0

Say = Callable[[bytes], Awaitable[None]]
"""Hands a message of the gateway on; returns when there is room for the next one."""


class Gateways:
    """Channels to the gateways of a cluster, made when they are needed; whose turn it is."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)
        self._channels: dict[str, Any] = {}
        self._turn = 0

    def next(self) -> Any:
        """The channel to the next gateway."""
        self._turn = (self._turn + 1) % len(self._addresses)
        return self._channel(self._addresses[self._turn])

    def _channel(self, address: str) -> Any:
        found = self._channels.get(address)
        if found is None:
            found = self._channels[address] = open_aio_channel(address, CHANNEL_OPTIONS, named=False)
        return found

    async def ask(self, method: str, request: bytes, token: str) -> bytes:
        """A single call, at the next gateway if one does not answer. Raises grpc.aio.AioRpcError."""
        for last in (False, True):
            try:
                call = self.next().unary_unary(f"/lockstep.v1.{method}")
                reply: bytes = await call(request, metadata=authorization(token), timeout=ASK_S)
            except grpc.aio.AioRpcError as error:
                if last or error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            else:
                return reply
        raise AssertionError("the second one returns or raises")

    async def close(self) -> None:
        """End all connections."""
        for channel in self._channels.values():
            await channel.close()


def authorization(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata of a call."""
    return (("authorization", f"Bearer {token}"),) if token else ()


class Overfull(Exception):
    """The gateway does not take what the page sends."""


class Relay:
    """One stream of one session at one gateway, from its Hello to its end."""

    def __init__(self, gateways: Gateways, token: str, say: Say) -> None:
        self._call = gateways.next().stream_stream(_SESSION)(metadata=authorization(token))
        self._say = say
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)

    def put(self, request: bytes) -> None:
        """A SessionRequest of the page. Raises Overfull."""
        try:
            self._waiting.put_nowait(request)
        except asyncio.QueueFull:
            raise Overfull from None

    async def run(self) -> page_pb2.SessionEnded:
        """Until the stream ends: how."""
        writer = asyncio.ensure_future(self._write())
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                await self._say(message)
            return await self._how_it_ended()
        except grpc.aio.AioRpcError as error:
            return ended(error)
        finally:
            writer.cancel()
            self._call.cancel()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await writer

    async def _write(self) -> None:
        # What breaks here ends the stream, and the reader says how.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await self._call.write(await self._waiting.get())

    async def _how_it_ended(self) -> page_pb2.SessionEnded:
        status = await self._call.code()
        details, trailing = await self._call.details(), await self._call.trailing_metadata()
        return _ended(status, details or "", trailing)


def ended(error: grpc.aio.AioRpcError) -> page_pb2.SessionEnded:
    """How a call failed."""
    return _ended(error.code(), error.details() or "", error.trailing_metadata())


def _ended(status: grpc.StatusCode, text: str, trailing: Any) -> page_pb2.SessionEnded:
    said = {key: value for key, value in trailing or () if key in (CODE_METADATA, RETRY_METADATA)}
    code, pause_ms = (int(said.get(key, 0)) for key in (CODE_METADATA, RETRY_METADATA))
    if status is grpc.StatusCode.UNAVAILABLE and not code:
        code, text = int(Code.UNAVAILABLE), "the gateway can't be reached"
    return page_pb2.SessionEnded(
        status=status.name,
        code=code,  # type: ignore[arg-type]  # a number
        text=text,
        retry_after_ms=pause_ms,
    )
