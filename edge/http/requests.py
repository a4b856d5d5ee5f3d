"""What a client says over a WebSocket, and what is said to it, in protobuf or JSON. Pure."""

from collections import OrderedDict
from typing import Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from lockstep.edge.http.frames import TEXT, frame_of
from lockstep.marketdata.feed_subscriptions import FeedRefused
from lockstep.stream.codes import Code
from lockstep.v1 import feed_pb2

_KEPT: Final = 256


def request_of(message: bytes | str) -> feed_pb2.FeedRequest:
    """A message of a client: binary is protobuf, text is JSON.

    Raises:
        FeedRefused: it is neither, or asks for nothing.
    """
    if isinstance(message, str) and not message.lstrip().startswith("{"):
        raise FeedRefused(Code.MALFORMED_BATCH, "no FeedRequest: text is a JSON object here")
    try:
        if isinstance(message, str):
            request = json_format.Parse(message, feed_pb2.FeedRequest(), max_recursion_depth=8)
        else:
            request = feed_pb2.FeedRequest.FromString(message)
    except (DecodeError, json_format.ParseError) as error:
        first = str(error).splitlines()[0] if str(error) else "not protobuf"
        raise FeedRefused(Code.MALFORMED_BATCH, f"no FeedRequest: {first[:80]}") from None
    if request.WhichOneof("request") is None:
        raise FeedRefused(Code.MISSING_FIELD, "a FeedRequest has one of: subscribe, unsubscribe, ping")
    return request


class JsonFrames:
    """Frames as JSON, each made once while it is among the latest."""

    def __init__(self) -> None:
        self._made: OrderedDict[bytes, bytes] = OrderedDict()

    def of(self, frame: bytes) -> bytes:
        """A frame of the feed as a WebSocket text frame. 64-bit numbers are strings, as protobuf's JSON has them."""
        found = self._made.get(frame)
        if found is None:
            message = feed_pb2.FeedFrame.FromString(frame)
            text = json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)
            found = self._made[frame] = frame_of(text.encode(), TEXT)
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return found
