"""What a client says over a WebSocket, and what is said to it, in protobuf or JSON. Pure."""

import re
from collections import OrderedDict
from typing import Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from lockstep.edge.http.frames import TEXT, frame_of
from lockstep.marketdata.feed_subscriptions import FeedRefused
from lockstep.stream.codes import Code
from lockstep.v1 import feed_pb2

_KEPT: Final = 256
_NAMED: Final = 40
_FIELD: Final = re.compile(r"Failed to parse (\w+) field")
_NO_FIELD: Final = re.compile(r'has no field named "([^"]*)"')
_NO_VALUE: Final = re.compile(r"Invalid enum value (\S+)")


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
        raise FeedRefused(Code.MALFORMED_BATCH, f"no FeedRequest: {_why(str(error))}") from None
    if request.WhichOneof("request") is None:
        raise FeedRefused(Code.MISSING_FIELD, "a FeedRequest has one of: subscribe, unsubscribe, ping")
    return request


def _why(said: str) -> str:
    """What is wrong with a message, in words about it: the parser's own may be about Python's types."""
    if said.startswith("Failed to load JSON"):
        return "it is not JSON, or says something twice"
    unknown = _NO_FIELD.search(said)
    if unknown:
        return f"there is no field {unknown.group(1)[:_NAMED]!r}"
    if "oneof" in said:
        return "it asks for several things; send one message for each"
    field = "".join(f" {name[:_NAMED]}" for name in _FIELD.findall(said)[-1:])
    value = _NO_VALUE.search(said)
    if value:
        return f"the field{field} has no value {value.group(1)[:_NAMED]!r}"
    if field:
        return f"the field{field} does not have a value of its kind, or one out of range"
    return "it is neither a JSON object nor a message of that type"


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
