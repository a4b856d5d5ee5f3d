"""The state in an engine's snapshot file, for whoever only reads it (the file: `replica/snapshot_file.py`). Pure."""

import struct
from dataclasses import dataclass, field
from typing import Final

from blake3 import blake3

from lockstep.engine.snapshot_format import SnapshotError, StateImage, decode_snapshot
from lockstep.stream.digest import GENESIS, Digest

_MAGIC: Final = b"LKSTFILE"
_VERSION: Final = 3
_FIXED: Final = struct.Struct("<8sIIQQ16sqQIIIQII")
_EPOCH: Final = struct.Struct("<QQ")
_SUM: Final = 32
_HEAD_SUM: Final = 16


class SnapshotUnreadable(ValueError):
    """It is not whole, or not of a version that is read here. The text says which."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state as of `seq`, whose record is of `epoch`."""

    seq: int
    epoch: int
    image: StateImage = field(repr=False)
    timestamp_ns: int = 0
    """Stamped time of the record at `seq`."""
    digest: Digest = GENESIS
    """The engines' chain behind it."""
    epochs: tuple[tuple[int, int], ...] = ()
    """(epoch, its first seq) of all that begin at or before `seq`."""
    state_sum: str = ""
    """BLAKE3 of the state, hexadecimal."""


def read_snapshot(raw: bytes) -> Snapshot:
    """Content of a snapshot file, checked.

    Raises:
        SnapshotUnreadable: it is damaged, cut short, or of another version.
    """
    if len(raw) < _FIXED.size:
        raise SnapshotUnreadable(f"{len(raw)} bytes are no snapshot file")
    fixed = _FIXED.unpack_from(raw)
    magic, version, head_bytes, seq, epoch, digest, timestamp_ns = fixed[:7]
    uuid_bytes, entries = fixed[-2:]
    if magic != _MAGIC or version != _VERSION:
        raise SnapshotUnreadable(f"not a snapshot file of version {_VERSION}")
    table = _FIXED.size + uuid_bytes
    if head_bytes != table + entries * _EPOCH.size + _SUM + _HEAD_SUM or head_bytes > len(raw):
        raise SnapshotUnreadable(f"a head of {head_bytes} bytes in a file of {len(raw)}")
    head, state = raw[:head_bytes], raw[head_bytes:]
    if blake3(head[:-_HEAD_SUM]).digest(length=_HEAD_SUM) != head[-_HEAD_SUM:]:
        raise SnapshotUnreadable("the checksum of its head is wrong")
    state_sum = blake3(state).digest(length=_SUM)
    if state_sum != head[-_HEAD_SUM - _SUM : -_HEAD_SUM]:
        raise SnapshotUnreadable("the checksum of its state is wrong")
    try:
        image = decode_snapshot(state)
    except SnapshotError as error:
        raise SnapshotUnreadable(str(error)) from error
    epochs = tuple(_EPOCH.unpack_from(raw, table + place * _EPOCH.size) for place in range(entries))
    return Snapshot(seq, epoch, image, timestamp_ns, Digest(digest), epochs, state_sum.hex())
