"""Tag=value encoding: bytes to messages and back. Pure, strict, bounded.

A message is `8=...|9=length|35=type|...|10=sum|`, where `|` is the byte 1. One that does not hold to this is *garbled*:
it is read over, and has no number. Where a garbled message ends is the standard's weak spot, since its length may be
what is wrong. Here it ends at the first checksum field at or behind the place that its length names, as most engines
have it, so both sides agree on what was lost.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from lockstep.edge.fix import tags
from lockstep.stream.values import frozen

SOH: Final = b"\x01"
MAX_MESSAGE: Final = 16_384
"""Bytes of a message, its first and last field included."""
MAX_FIELDS: Final = 1_024

_START: Final = b"8=FIX"
_LENGTH: Final = re.compile(rb"8=([^\x01]{1,16})\x019=(\d{1,7})\x01")
_TRAILER: Final = re.compile(rb"10=(\d{3})\x01")
_TAG: Final = re.compile(rb"0|-?[1-9]\d{0,8}")
_HEAD_ROOM: Final = 64
"""The first two fields fit in so many bytes."""
_LENGTH_TAGS: Final = re.compile(b"\x01(?:" + b"|".join(b"%d" % tag for tag in sorted(tags.DATA_OF)) + b")=")

type Field = tuple[int, bytes]


@frozen
class Message:
    """A message whose frame is right: length, sum, first three fields. Nothing else about it was checked."""

    begin: bytes
    kind: bytes
    """Its type, MsgType (35)."""
    fields: tuple[Field, ...]
    """What stands between MsgType and the checksum, in the order it came in. At most `MAX_FIELDS`."""

    def value(self, tag: int) -> bytes | None:
        """Of the first field with this tag; None if there is none."""
        for number, value in self.fields:
            if number == tag:
                return value
        return None


@frozen
class Garbled:
    """Bytes that are no message. They are read over."""

    why: str


@frozen
class TooLong:
    """A message that is longer than `MAX_MESSAGE`: the connection can't go on, since nobody would resend it shorter."""

    why: str


type Frame = Message | Garbled | TooLong


class Framer:
    """Cuts a stream of bytes into messages. Invariant: holds fewer than `MAX_MESSAGE` bytes between two calls."""

    def __init__(self) -> None:
        self._held = b""
        self._over = False

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their message."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that end in `data`, in order. Nothing follows a `TooLong`."""
        if self._over:
            return []
        held = self._held + data
        at = 0
        frames: list[Frame] = []
        while not self._over:
            step = _next_frame(held, at)
            if step is None:
                break
            frame, at = step
            frames.append(frame)
            self._over = isinstance(frame, TooLong)
        self._held = b"" if self._over else held[at:]
        return frames


def _next_frame(data: bytes, at: int) -> tuple[Frame, int] | None:
    """What comes next, and where it ends; None if more bytes are needed."""
    if at >= len(data):
        return None
    start = _next_start(data, at)
    if start != at:
        return Garbled("bytes between messages"), start
    if len(data) - at < len(_START):
        return None
    head = _LENGTH.match(data, at)
    if head is None:
        if len(data) - at < _HEAD_ROOM and data.find(b"\x0135=", at) < 0 and data.find(b"\x0110=", at) < 0:
            return None
        return Garbled("no BodyLength (9) behind BeginString (8)"), _next_start(data, at + 1)
    body = head.end()
    if body - at + int(head[2]) + 7 > MAX_MESSAGE:
        return TooLong(f"BodyLength (9) is {int(head[2])}: at most {MAX_MESSAGE - 7 - (body - at)} here"), at
    claimed = body + int(head[2])
    mark = data.find(b"\x0110=", claimed - 1)
    end = data.find(SOH, mark + 1) if mark >= 0 else -1
    if end < 0:
        if len(data) - at < MAX_MESSAGE:
            return None
        return TooLong(f"no CheckSum (10) within {MAX_MESSAGE} bytes"), at
    if mark + 1 != claimed:
        return Garbled("BodyLength (9) is wrong"), end + 1
    return _checked(data, at, head[1], body, claimed), end + 1


def _next_start(data: bytes, at: int) -> int:
    """Of the next message from `at` on, or of what may become one at the end of the data."""
    found = data.find(_START, at)
    if found >= 0:
        return found
    for length in range(min(len(_START) - 1, len(data) - at), 0, -1):
        if data.endswith(_START[:length]):
            return len(data) - length
    return len(data)


def _checked(data: bytes, at: int, begin: bytes, body: int, end: int) -> Message | Garbled:
    trailer = _TRAILER.match(data, end)
    if trailer is None:
        return Garbled("CheckSum (10) is not three digits")
    if int(trailer[1]) != sum(data[at:end]) & 0xFF:
        return Garbled("CheckSum (10) is wrong")
    if data[body : body + 3] != b"35=":
        return Garbled("MsgType (35) is not the third field")
    return _parsed(begin, data[body:end])


def _parsed(begin: bytes, text: bytes) -> Message | Garbled:
    """The message of a body, which starts with MsgType and ends with SOH."""
    parts = text[:-1].split(SOH) if _LENGTH_TAGS.search(text) is None else _split_with_data(text)
    if isinstance(parts, Garbled):
        return parts
    if len(parts) > MAX_FIELDS:
        return Garbled(f"more than {MAX_FIELDS} fields")
    fields: list[Field] = []
    for part in parts:
        tag, equals, value = part.partition(b"=")
        if not equals or _TAG.fullmatch(tag) is None:
            return Garbled("a field without a tag")
        fields.append((int(tag), value))
    for number, _ in fields[1:]:
        if number == tags.CHECK_SUM:
            return Garbled("CheckSum (10) is not the last field")
    return Message(begin, fields[0][1], tuple(fields[1:]))


def _split_with_data(text: bytes) -> list[bytes] | Garbled:
    """Fields of a body in which some are data: those are as long as the field before them says."""
    parts: list[bytes] = []
    at = 0
    while at < len(text):
        if len(parts) > MAX_FIELDS:
            break
        end = text.find(SOH, at)
        if parts:
            tag, _, length = parts[-1].partition(b"=")
            data_tag = tags.DATA_OF.get(int(tag)) if _TAG.fullmatch(tag) else None
            start = b"%d=" % data_tag if data_tag is not None else b""
            if start and text.startswith(start, at):
                if not length.isdigit() or len(length) > 5:
                    return Garbled(f"no length in front of data field {data_tag}")
                end = at + len(start) + int(length)
                if text[end : end + 1] != SOH:
                    return Garbled(f"data field {data_tag} is not as long as stated")
        parts.append(text[at:end])
        at = end + 1
    return parts


def encode(begin: bytes, kind: bytes, fields: Iterable[Field]) -> bytes:
    """A message with its length and sum. `fields`: as in `Message`. The caller answers for what is in them."""
    body = b"35=" + kind + SOH + b"".join([b"%d=%b\x01" % field for field in fields])
    text = b"8=%b\x019=%d\x01%b" % (begin, len(body), body)
    return b"%b10=%03d\x01" % (text, sum(text) & 0xFF)


def is_plain(value: bytes) -> bool:
    """Whether a value may stand in a field that is no data field."""
    return bool(value) and SOH not in value


def with_data(tag: int, value: bytes) -> Sequence[Field]:
    """A data field, with its length in front of it."""
    for length_tag, data_tag in tags.DATA_OF.items():
        if data_tag == tag:
            return ((length_tag, b"%d" % len(value)), (tag, value))
    raise ValueError(f"{tag} is no data field")
