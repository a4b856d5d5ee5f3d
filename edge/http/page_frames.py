"""What the page is sent, as bytes of `PageFrame` (proto/lockstep/v1/page.proto). Pure.

What comes from elsewhere as bytes (frames of the feed, a gateway's messages, its answers) stays bytes: a message inside
another one is its tag, its length and itself.
"""

from collections.abc import Mapping
from typing import Any, Final

from lockstep.v1 import page_pb2

_LENGTH_DELIMITED: Final = 2
_SEVEN_BITS: Final = 0x7F


def _numbers(message: Any) -> Mapping[str, int]:
    return {field.name: field.number for field in message.DESCRIPTOR.fields}


_OF_FRAME: Final = _numbers(page_pb2.PageFrame)
_OF_ANSWER: Final = _numbers(page_pb2.Answer)


def varint(number: int) -> bytes:
    """An unsigned number as protobuf has it."""
    out = bytearray()
    while number > _SEVEN_BITS:
        out.append(number & _SEVEN_BITS | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def inside(field: int, message: bytes) -> bytes:
    """A message as field number `field` (below 16) of another one."""
    return b"".join((bytes((field << 3 | _LENGTH_DELIMITED,)), varint(len(message)), message))


def page_frame(name: str, message: bytes) -> bytes:
    """A PageFrame of the named content."""
    return inside(_OF_FRAME[name], message)


def answer(number: int, name: str, message: bytes) -> bytes:
    """A PageFrame that answers a question with the named content."""
    head = page_pb2.Answer(id=number).SerializeToString()
    return page_frame("answer", head + inside(_OF_ANSWER[name], message))


def failure(number: int, code: int, text: str, retry_after_ms: int = 0) -> bytes:
    """A PageFrame that says why there is no answer."""
    said = page_pb2.Failure(code=code, text=text, retry_after_ms=retry_after_ms)  # type: ignore[arg-type]  # a number
    return answer(number, "failure", said.SerializeToString())
