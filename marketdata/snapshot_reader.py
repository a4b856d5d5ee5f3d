"""The state in an engine's snapshot file, for whoever only reads it (the file: `replica/snapshot_file.py`). Pure."""

import struct
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from lockstep.engine.snapshot_format import SnapshotError, StateImage, decode_snapshot

_MAGIC: Final = b"LKSTFILE"
_VERSION: Final = 3
_START: Final = struct.Struct("<8sIIQQ")
_SUM: Final = 32
_HEAD_SUM: Final = 16


class SnapshotUnreadable(ValueError):
    """It is not whole, or not of a version that is read here. The text says which."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state as of `seq`, whose record is of `epoch`."""

    seq: int
    epoch: int
    image: StateImage


def read_snapshot(raw: bytes) -> Snapshot:
    """Content of a snapshot file, checked.

    Raises:
        SnapshotUnreadable: it is damaged, cut short, or of another version.
    """
    if len(raw) < _START.size:
        raise SnapshotUnreadable(f"{len(raw)} bytes are no snapshot file")
    magic, version, head_bytes, seq, epoch = _START.unpack_from(raw)
    if magic != _MAGIC or version != _VERSION:
        raise SnapshotUnreadable(f"not a snapshot file of version {_VERSION}")
    if not _START.size + _SUM + _HEAD_SUM <= head_bytes <= len(raw):
        raise SnapshotUnreadable(f"a head of {head_bytes} bytes in a file of {len(raw)}")
    head, state = raw[:head_bytes], raw[head_bytes:]
    if blake3(head[:-_HEAD_SUM]).digest(length=_HEAD_SUM) != head[-_HEAD_SUM:]:
        raise SnapshotUnreadable("the checksum of its head is wrong")
    if blake3(state).digest(length=_SUM) != head[-_HEAD_SUM - _SUM : -_HEAD_SUM]:
        raise SnapshotUnreadable("the checksum of its state is wrong")
    try:
        return Snapshot(seq, epoch, decode_snapshot(state))
    except SnapshotError as error:
        raise SnapshotUnreadable(str(error)) from error
