"""gRPC calls around a feed's line: where it is sent, what got lost on the way again, and how to begin."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from lockstep.marketdata.feed_hub import FeedHub
from lockstep.marketdata.feed_line import CONTENT, FeedLine
from lockstep.marketdata.line_sender import STREAM_ID, channel_of
from lockstep.marketdata.shell import FeedShell
from lockstep.runtime.client_calls import abort, authenticate, require_instruments
from lockstep.stream.codes import Code
from lockstep.v1 import feed_pb2

ANSWERS_AT_ONCE: Final = 64
"""Retransmissions and beginnings under way at one feed."""
_ANSWER_BYTES: Final = 256 << 10


class LineCalls:
    """Of `MarketFeed`. Any client may have everything."""

    def __init__(self, shell: FeedShell) -> None:
        self._shell = shell
        self._under_way = 0

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """By the calls' names. Frames are written as the bytes that they are."""
        return {
            "DescribeLine": grpc.unary_unary_rpc_method_handler(
                self.describe_line,
                request_deserializer=feed_pb2.DescribeLineRequest.FromString,
                response_serializer=feed_pb2.DescribeLineReply.SerializeToString,
            ),
            "Retransmit": grpc.unary_stream_rpc_method_handler(
                self.retransmit, request_deserializer=feed_pb2.RetransmitRequest.FromString
            ),
            "JoinLine": grpc.unary_stream_rpc_method_handler(
                self.join_line, request_deserializer=feed_pb2.JoinLineRequest.FromString
            ),
        }

    async def describe_line(self, request: feed_pb2.DescribeLineRequest, context: Any) -> feed_pb2.DescribeLineReply:
        """Where it is sent."""
        del request
        # A line is of all instruments.
        await require_instruments(context, await authenticate(context, self._shell.entitlements), ())
        member = self._shell.member
        if not member.udp:
            text = "this feed sends no line; give it a `udp` in its [[feed]], or `lockstep up --udp`"
            await abort(context, grpc.StatusCode.NOT_FOUND, text, Code.NOT_SUPPORTED)
        reply = feed_pb2.DescribeLineReply(channel=channel_of(member.udp), stream_id=STREAM_ID)
        reply.feeds.extend(CONTENT)  # type: ignore[arg-type]  # same numbers
        hub = self._shell.machine.hub
        if hub is not None and hub.line is not None:
            reply.epoch, reply.seq, reply.oldest_seq = hub.epoch, hub.line.seq, hub.line.oldest_seq
        return reply

    async def retransmit(self, request: feed_pb2.RetransmitRequest, context: Any) -> AsyncIterator[bytes]:
        """What follows a seq, again."""
        hub, line = await self._line(context)
        if request.epoch > hub.epoch:
            text = f"this feed has not heard of epoch {request.epoch} yet, it is in {hub.epoch}"
            await abort(context, grpc.StatusCode.UNAVAILABLE, text)
        if request.epoch and not hub.fold.is_history(request.epoch, request.after_seq):
            text = (
                f"seq {request.after_seq} of epoch {request.epoch} is no position of the cluster's history: an "
                "operator had it go on without what was reported there; begin anew (JoinLine)"
            )
            await abort(context, grpc.StatusCode.FAILED_PRECONDITION, text, Code.UNAVAILABLE)
        frames = line.again(request.after_seq, request.through_seq, hub.epoch)
        if frames is None:
            text = f"this feed has its line from seq {line.oldest_seq} on; ask another one, or begin anew (JoinLine)"
            await abort(context, grpc.StatusCode.OUT_OF_RANGE, text, Code.UNAVAILABLE)
        with self._one_more():
            for frame in frames:
                yield frame

    async def join_line(self, request: feed_pb2.JoinLineRequest, context: Any) -> AsyncIterator[bytes]:
        """Everything as it is now."""
        del request
        hub, _line = await self._line(context)
        with self._one_more():
            parts: list[bytes] = []
            size = 0
            for part in hub.line_snapshots():
                parts.append(part)
                size += len(part)
                if size >= _ANSWER_BYTES:
                    yield b"".join(parts)
                    parts, size = [], 0
            yield b"".join(parts)

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _line(self, context: Any) -> tuple[FeedHub, FeedLine]:
        """The line, for a client that may have it now."""
        # A line is of all instruments.
        await require_instruments(context, await authenticate(context, self._shell.entitlements), ())
        hub = self._shell.machine.hub
        if hub is None or hub.line is None:
            if self._shell.member.udp:
                await abort(context, grpc.StatusCode.UNAVAILABLE, "this feed's line has not begun yet")
            await abort(context, grpc.StatusCode.NOT_FOUND, "this feed sends no line", Code.NOT_SUPPORTED)
        if self._under_way >= ANSWERS_AT_ONCE:
            text = f"{ANSWERS_AT_ONCE} answers are under way; try again, or ask another feed"
            await abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        return hub, hub.line
