"""Snapshot files: the engine's canonical state as of one seq, and what else a replica needs to go on from there.

Little endian, nothing aligned. One cluster has one file for one seq, whichever engine wrote it: nothing in it depends
on who took it, or when.

| part | content |
| --- | --- |
| fixed | magic `LKSTFILE`, version u32, bytes of the whole head u32, seq u64, epoch u64, chain digest 16 bytes, stamped time i64, in-sync bits u64, primary u32, ack policy u32, sequencer u32, bytes of the state u64, bytes of the uuid u32, entries of the epoch table u32 |
| uuid | of the cluster |
| epoch table | epoch u64, first seq u64, for each epoch that begins at or before seq |
| checksums | BLAKE3-256 of the state, then BLAKE3-128 of the head before it |
| state | `lockstep.engine.snapshot_format` |

The epoch table is not decoration: it shows a replica whether its journal, or a peer's, continues this state.
"""  # noqa: E501 - a table

import struct
from typing import Final

from blake3 import blake3

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.settings import Base
from lockstep.stream.digest import Digest
from lockstep.stream.values import frozen

MAGIC: Final = b"LKSTFILE"
VERSION: Final = 3
"""3: the chain digest is that over batches as bytes."""
_FIXED: Final = struct.Struct("<8sIIQQ16sqQIIIQII")
_EPOCH: Final = struct.Struct("<QQ")
_STATE_SUM: Final = 32
_HEAD_SUM: Final = 16
MAX_HEAD_BYTES: Final = 16 << 20
"""A head is read before its checksum is known to be right: this bounds what is believed of its length."""


class SnapshotDamaged(ValueError):
    """The bytes are not a whole snapshot file of this version; the text says what is wrong with them."""


@frozen
class SnapshotHead:
    """What a snapshot file says before the state itself."""

    cluster_uuid: str
    base: Base
    head_bytes: int
    state_bytes: int
    state_checksum: bytes

    @property
    def seq(self) -> int:
        """The last seq that the state has executed."""
        return self.base.seq

    @property
    def epoch(self) -> int:
        """Epoch of the record at `seq`."""
        return self.base.epochs[-1].epoch

    @property
    def file_bytes(self) -> int:
        """Size of the whole file."""
        return self.head_bytes + self.state_bytes


def encode_snapshot_file(cluster_uuid: str, base: Base, state: bytes) -> bytes:
    """Bytes of a snapshot file."""
    uuid = cluster_uuid.encode()
    head_bytes = _FIXED.size + len(uuid) + len(base.epochs) * _EPOCH.size + _STATE_SUM + _HEAD_SUM
    head = b"".join(
        (
            _FIXED.pack(
                MAGIC,
                VERSION,
                head_bytes,
                base.seq,
                base.epochs[-1].epoch,
                base.digest,
                base.timestamp_ns,
                base.in_sync,
                base.primary,
                base.policy,
                base.sequencer,
                len(state),
                len(uuid),
                len(base.epochs),
            ),
            uuid,
            *(_EPOCH.pack(entry.epoch, entry.first_seq) for entry in base.epochs),
            blake3(state).digest(length=_STATE_SUM),
        )
    )
    return head + blake3(head).digest(length=_HEAD_SUM) + state


def head_size(start: bytes) -> int:
    """Length of the head of a file that starts with these bytes (at least 16).

    Raises:
        SnapshotDamaged: they are not the start of a snapshot file of this version.
    """
    if len(start) < 16:
        raise SnapshotDamaged("shorter than a snapshot's head")
    magic, version, size = struct.unpack_from("<8sII", start)
    if magic != MAGIC:
        raise SnapshotDamaged("not a snapshot file: it does not start with LKSTFILE")
    if version != VERSION:
        raise SnapshotDamaged(f"snapshot file of version {version}, this program reads {VERSION}")
    if not _FIXED.size <= size <= MAX_HEAD_BYTES:
        raise SnapshotDamaged(f"its head claims to have {size} bytes")
    return int(size)


def decode_head(raw: bytes) -> SnapshotHead:
    """The head of a snapshot file; `raw` may go on behind it.

    Raises:
        SnapshotDamaged: it is not whole, or contradicts itself.
    """
    size = head_size(raw)
    if len(raw) < size:
        raise SnapshotDamaged("shorter than its head")
    if blake3(raw[: size - _HEAD_SUM]).digest(length=_HEAD_SUM) != raw[size - _HEAD_SUM : size]:
        raise SnapshotDamaged("the checksum of its head is wrong")
    _, _, _, seq, epoch, digest, timestamp_ns, in_sync, primary, policy, sequencer, state_bytes, uuid_bytes, entries = (
        _FIXED.unpack_from(raw)
    )
    table = _FIXED.size + uuid_bytes
    end = table + entries * _EPOCH.size
    if end + _STATE_SUM + _HEAD_SUM != size:
        raise SnapshotDamaged("the lengths in its head contradict each other")
    epochs = tuple(EpochEntry(*_EPOCH.unpack_from(raw, at)) for at in range(table, end, _EPOCH.size))
    if not epochs or epochs[-1].epoch != epoch or epochs[-1].first_seq > seq:
        raise SnapshotDamaged(f"its epoch table does not lead to epoch {epoch} at seq {seq}")
    return SnapshotHead(
        raw[_FIXED.size : table].decode(errors="replace"),
        Base(seq, Digest(digest), timestamp_ns, epochs, in_sync, primary, policy, sequencer),
        size,
        state_bytes,
        raw[end : end + _STATE_SUM],
    )


def decode_snapshot_file(raw: bytes) -> tuple[SnapshotHead, bytes]:
    """Head and state of a whole file, checked.

    Raises:
        SnapshotDamaged: it is not whole, or not what was written.
    """
    head = check_snapshot_file(raw)
    return head, raw[head.head_bytes :]


def check_snapshot_file(raw: bytes) -> SnapshotHead:
    """The head of a whole file that is checked to its last byte; without a copy of the state.

    Raises:
        SnapshotDamaged: it is not whole, or not what was written.
    """
    head = decode_head(raw)
    state = memoryview(raw)[head.head_bytes :]
    if len(state) != head.state_bytes:
        raise SnapshotDamaged(f"{len(state)} bytes of state where its head says {head.state_bytes}")
    if blake3(state).digest(length=_STATE_SUM) != head.state_checksum:
        raise SnapshotDamaged("the checksum of its state is wrong")
    return head
