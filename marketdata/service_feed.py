"""gRPC `MarketFeed`: streams of market data, and candles."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NoReturn

import grpc

from lockstep.marketdata.candle_query import listed_candles
from lockstep.marketdata.feed_encoding import encode_closing
from lockstep.marketdata.feed_events import Refusal
from lockstep.marketdata.feed_subscriptions import FeedRefused, Wanted, wanted_of
from lockstep.marketdata.service_line import LineCalls
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.client_calls import abort, authenticate, require_instruments
from lockstep.stream.codes import Code
from lockstep.v1 import feed_pb2

SERVICE: Final = "lockstep.v1.MarketFeed"
MAX_SUBSCRIPTIONS: Final = 64
_BEHIND_PATIENCE_S: Final = 3.0
_BEHIND_PAUSE_S: Final = 0.02
_STATUS: Final = {
    int(Code.UNAVAILABLE): grpc.StatusCode.UNAVAILABLE,
    int(Code.SHUTTING_DOWN): grpc.StatusCode.UNAVAILABLE,
    int(Code.BUSY): grpc.StatusCode.RESOURCE_EXHAUSTED,
    int(Code.UNKNOWN_INSTRUMENT): grpc.StatusCode.NOT_FOUND,
}


class CallWriter:
    """The way to one call. One message is under way at a time; the next frame is made when it was taken."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue(maxsize=2)
        self.refusal: Refusal | None = None

    def write(self, frame: bytes) -> bool:
        """See `Writer`."""
        self.frames.put_nowait(frame)
        return False

    def end(self, refusal: Refusal) -> None:
        """See `Writer`."""
        self.refusal = refusal
        if self.frames.empty():
            self.frames.put_nowait(encode_closing(refusal.code, refusal.text, refusal.retry_after_ms))


class MarketFeedService:
    """Any client may see what it is entitled to: everything, or some instruments."""

    def __init__(self, shell: FeedShell) -> None:
        self._shell = shell
        self._line_calls = LineCalls(shell)

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service. Frames are written as the bytes that they are."""
        handlers = {
            "Follow": grpc.unary_stream_rpc_method_handler(
                self.follow, request_deserializer=feed_pb2.FollowRequest.FromString
            ),
            "ListCandles": grpc.unary_unary_rpc_method_handler(
                self.list_candles,
                request_deserializer=feed_pb2.ListCandlesRequest.FromString,
                response_serializer=feed_pb2.ListCandlesReply.SerializeToString,
            ),
            **self._line_calls.handlers(),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def follow(self, request: feed_pb2.FollowRequest, context: Any) -> None:
        """Snapshots, then increments until the client ends it."""
        client = await authenticate(context, self._shell.entitlements)
        if not 1 <= len(request.subscriptions) <= MAX_SUBSCRIPTIONS:
            text = f"1 to {MAX_SUBSCRIPTIONS} subscriptions, not {len(request.subscriptions)}"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text, Code.FIELD_OUT_OF_RANGE)
        try:
            wanted = [wanted_of(one) for one in request.subscriptions]
        except FeedRefused as refused:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(refused), refused.code)
        for subscription in request.subscriptions:
            await require_instruments(context, client, subscription.instruments)
        await self._come_up_to(request.at_least.epoch, request.at_least.seq, context)
        writer, driver = CallWriter(), self._shell.driver
        entered = self._shell.guarded(lambda: driver.enter(writer))
        if isinstance(entered, Refusal):
            await _refuse(context, entered)
        try:
            await self._write(entered, wanted, writer, context)
        finally:
            self._shell.guarded(lambda: driver.leave(entered))

    async def _write(self, reader: int, wanted: Sequence[Wanted], writer: CallWriter, context: Any) -> None:
        driver = self._shell.driver
        for one in wanted:
            refusal = self._shell.guarded(partial(driver.subscribe, reader, one))
            if refusal is not None:
                await _refuse(context, refusal)
        while True:
            await context.write(await writer.frames.get())
            if writer.refusal is not None:
                await _refuse(context, writer.refusal)
            if writer.frames.empty():
                self._shell.guarded(lambda: driver.on_ready(reader))

    async def _come_up_to(self, epoch: int, seq: int, context: Any) -> None:
        """Wait until this feed is not behind what its client has received; `epoch` 0: under which, is not known."""
        machine = self._shell.machine
        give_up_s = asyncio.get_running_loop().time() + _BEHIND_PATIENCE_S
        while epoch > machine.epoch or (epoch in (0, machine.epoch) and seq > machine.seq):
            if asyncio.get_running_loop().time() > give_up_s:
                text = (
                    f"this feed is at seq {machine.seq} of epoch {machine.epoch}, its client has seen {seq} of {epoch}"
                )
                await abort(context, grpc.StatusCode.UNAVAILABLE, text)
            await asyncio.sleep(_BEHIND_PAUSE_S)

    async def list_candles(self, request: feed_pb2.ListCandlesRequest, context: Any) -> feed_pb2.ListCandlesReply:
        """Candles, oldest first, gaps filled."""
        client = await authenticate(context, self._shell.entitlements)
        await require_instruments(context, client, (request.instrument,))
        try:
            return listed_candles(self._shell, request)
        except FeedRefused as refused:
            await _refuse(context, Refusal(int(refused.code), str(refused), refused.retry_after_ms))


async def _refuse(context: Any, refusal: Refusal) -> NoReturn:
    status = _STATUS.get(refusal.code, grpc.StatusCode.INVALID_ARGUMENT)
    await abort(context, status, refusal.text, Code(refusal.code), retry_after_ms=refusal.retry_after_ms)
