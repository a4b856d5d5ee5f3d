"""Frames: what one link carries in one message, and what one journal entry holds.

A frame is a 64-byte header and a payload of fixed-size records. The header fields are the same for all types, their
meaning is in the table; CRC32C covers the header (with the CRC field zero) and the payload. `timestamp_ns` is the
stamped time of a STREAM frame, the parent epoch of a RELEASE, and the reign that a SUBMIT is meant for and a RECEIPT
is of.

| type | link | epoch | first_seq | aux | committed_seq | payload |
| --- | --- | --- | --- | --- | --- | --- |
| SUBMIT | gateway -> sequencer | gateway's view | link number of the first command | link incarnation | - | COMMAND |
| RECEIPT | sequencer -> gateway | the leader's | next link number due | credit (commands) | committed | incarnation |
| STREAM | sequencer -> engine; journal | stamping epoch | first seq | leader's epoch; 0 | committed; 0 | COMMAND |
| ACK | engine -> engine, sequencer | engine's current | last seq acked | its journal | committed, known | ACK_ENTRY |
| RELEASE | primary -> gateway | primary's | first seq covered | last seq covered | committed | EVENT |

A link number counts the commands that one gateway incarnation has sent to one sequencer, from 1, so that a lost frame
is noticed before a later one is stamped.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final

import numpy as np
from crc32c import crc32c

from lockstep.stream.records import COMMAND, EVENT, LAYOUT_VERSION, Commands, Events

MAGIC: Final = 0x5453_4B4C  # "LKST"
HEADER_SIZE: Final = 64
_HEADER: Final = struct.Struct("<IHHQQIIqQQHHI")
_CRC_OFFSET: Final = HEADER_SIZE - 4
_ZERO_CRC: Final = bytes(4)

MAX_FRAME_COMMANDS: Final = 4096
"""Commands in one frame at the most: 512 KiB, below Aeron's limit of one eighth of a term."""

ACK_ENTRY: Final = np.dtype([("last_seq", "<u8"), ("digest", "V16")])


class FrameType(IntEnum):
    """What a frame is."""

    SUBMIT = 1
    RECEIPT = 2
    STREAM = 3
    ACK = 4
    RELEASE = 5


class FrameFlag(IntFlag):
    """Bits of a frame's flags."""

    OPEN = 1
    """RECEIPT: the sequencer leads and takes commands. Without it: it does not, keep them."""
    REWIND = 2
    """RECEIPT: a frame was missing; send again from `first_seq`."""
    UNJOINED = 4
    """ACK: its journal is new and was not taken into the cluster yet; the ack counts for no commit."""
    ADMINISTRATIVE = 8
    """SUBMIT: the gateway's word that an admin principal gave each administrative command in it. Without it no such
    command is taken."""


class FrameError(ValueError):
    """The bytes are not a frame of this layout version, or were damaged."""


_PAYLOAD: Final = {
    FrameType.SUBMIT: COMMAND,
    FrameType.STREAM: COMMAND,
    FrameType.ACK: ACK_ENTRY,
    FrameType.RELEASE: EVENT,
    FrameType.RECEIPT: np.dtype("u1"),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame. `records` is a read-only view into the received bytes."""

    type: FrameType
    sender: int
    epoch: int
    first_seq: int
    records: Commands | Events = field(repr=False)
    timestamp_ns: int = 0
    committed_seq: int = 0
    aux: int = 0
    flags: int = 0

    @property
    def count(self) -> int:
        """Records in the payload."""
        return len(self.records)

    @property
    def last_seq(self) -> int:
        """Seq of the last record of a STREAM frame (`first_seq - 1` when it is empty)."""
        return self.first_seq + len(self.records) - 1

    @property
    def parent_epoch(self) -> int:
        """RELEASE: epoch in which the record before `first_seq` was stamped; 0: not known. With that seq it names one
        record for ever, and so the whole history up to it."""
        return self.timestamp_ns


def frame(
    type: FrameType,
    *,
    sender: int,
    epoch: int,
    first_seq: int,
    records: Commands | Events | None = None,
    timestamp_ns: int = 0,
    committed_seq: int = 0,
    aux: int = 0,
    flags: int = 0,
) -> Frame:
    """Build a frame; without `records` the payload is empty."""
    payload = records if records is not None else np.empty(0, dtype=_PAYLOAD[type])
    return Frame(type, sender, epoch, first_seq, payload, timestamp_ns, committed_seq, aux, flags)


def encode_frame(frame: Frame) -> bytes:
    """Bytes of a frame, CRC included."""
    payload = frame.records.tobytes()
    head = bytearray(HEADER_SIZE)
    _HEADER.pack_into(
        head,
        0,
        MAGIC,
        LAYOUT_VERSION,
        frame.type,
        frame.epoch,
        frame.first_seq,
        len(frame.records),
        len(payload),
        frame.timestamp_ns,
        frame.committed_seq,
        frame.aux,
        frame.sender,
        frame.flags,
        0,
    )
    crc = crc32c(payload, crc32c(bytes(head)))
    head[_CRC_OFFSET:] = crc.to_bytes(4, "little")
    return bytes(head) + payload


def seqs_of(raw: bytes) -> tuple[int, int]:
    """First and last seq of a frame with records, by its head alone: nothing is checked.

    Raises:
        FrameError: it has no head.
    """
    if len(raw) < HEADER_SIZE:
        raise FrameError(f"a frame has at least {HEADER_SIZE} bytes, this has {len(raw)}")
    (_, _, _, _, first_seq, count, *_) = _HEADER.unpack_from(raw)
    return first_seq, first_seq + count - 1


def decode_frame(raw: bytes) -> Frame:
    """Decode and check one frame.

    Raises:
        FrameError: wrong magic, layout version, type, length or CRC.
    """
    if len(raw) < HEADER_SIZE:
        raise FrameError(f"a frame has at least {HEADER_SIZE} bytes, this has {len(raw)}")
    (magic, version, kind, epoch, first_seq, count, length, timestamp_ns, committed, aux, sender, flags, crc) = (
        _HEADER.unpack_from(raw)
    )
    if magic != MAGIC:
        raise FrameError(f"frame magic is {magic:#x}, not {MAGIC:#x}")
    if version != LAYOUT_VERSION:
        raise FrameError(f"frame layout version is {version}, this process speaks {LAYOUT_VERSION}")
    if length != len(raw) - HEADER_SIZE:
        raise FrameError(f"frame says {length} payload bytes, {len(raw) - HEADER_SIZE} came")
    body = memoryview(raw)
    if crc32c(body[HEADER_SIZE:], crc32c(raw[:_CRC_OFFSET] + _ZERO_CRC)) != crc:
        raise FrameError(f"frame CRC32C mismatch (type {kind}, epoch {epoch}, seq {first_seq})")
    if kind not in _PAYLOAD:
        raise FrameError(f"unknown frame type {kind}")
    dtype = _PAYLOAD[FrameType(kind)]
    if count * dtype.itemsize != length:
        raise FrameError(f"frame says {count} records of {dtype.itemsize} bytes in {length} bytes")
    records = np.frombuffer(raw, dtype=dtype, offset=HEADER_SIZE, count=count)
    return Frame(FrameType(kind), sender, epoch, first_seq, records, timestamp_ns, committed, aux, flags)
