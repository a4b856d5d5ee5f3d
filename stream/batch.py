"""The stamped batch: what the sequencer stamps once and nobody encodes again.

A batch is its bytes: a 40-byte header and COMMAND records, little endian. The same bytes go over the wire (inside a
STREAM, `messages.py`), lie on every engine's disk as the value of one journal entry, go from journal to journal when an
engine catches up or a leader takes over, go into the archive, and are what the digest chain hashes (`digest.py`).
Nothing in them concerns one link or one leader, so a new leader sends what a former one stamped as it is.

| offset | field | type | holds |
| --- | --- | --- | --- |
| 0 | `magic` | u32 | "LKSB" |
| 4 | `crc` | u32 | CRC32C of all bytes behind it |
| 8 | `version` | u16 | of this header: `BATCH_VERSION` |
| 10 | `records_version` | u16 | of the COMMAND layouts: `LAYOUT_VERSION` |
| 12 | `count` | u32 | commands behind the header |
| 16 | `epoch` | u64 | in which it was stamped |
| 24 | `first_seq` | u64 | of its first command |
| 32 | `timestamp_ns` | i64 | stamped time |

Only the sequencer's window calls `stamp_batch` (`tests/house/test_batches.py`); everybody else decodes, and passes
`raw` on.
"""

import struct
from dataclasses import field
from typing import Final

import numpy as np
from crc32c import crc32c

from lockstep.stream.records import COMMAND, LAYOUT_VERSION, Commands
from lockstep.stream.values import frozen

BATCH_MAGIC: Final = 0x4253_4B4C  # "LKSB"
BATCH_VERSION: Final = 1
HEADER_SIZE: Final = 40
MAX_BATCH_COMMANDS: Final = 4096
"""Commands in one batch, and in one SUBMIT, at the most: 512 KiB, below Aeron's limit of one eighth of a term."""

_HEADER: Final = struct.Struct("<IIHHIQQq")
_COVERED: Final = struct.Struct("<HHIQQq")
_PREFIX: Final = struct.Struct("<II")
_COUNT: Final = struct.Struct("<IQQ")
_COUNT_OFFSET: Final = 12


class LayoutError(ValueError):
    """The bytes are not a batch or message of the version that this process speaks, or were damaged."""


@frozen
class Batch:
    """One stamped batch. `raw` is all of it; the other fields are read from there. Equal bytes are equal batches."""

    epoch: int
    """In which it was stamped."""
    first_seq: int
    timestamp_ns: int
    """Stamped time."""
    count: int
    """Commands in it. 0: a STREAM that only says where the stream stands; no journal holds such a one."""
    raw: bytes = field(repr=False)

    @property
    def records(self) -> Commands:
        """Its commands: a read-only view into `raw`."""
        return np.frombuffer(self.raw, dtype=COMMAND, offset=HEADER_SIZE)

    @property
    def last_seq(self) -> int:
        """Seq of its last command (`first_seq - 1` when it is empty)."""
        return self.first_seq + self.count - 1


def stamp_batch(records: Commands, *, epoch: int, first_seq: int, timestamp_ns: int) -> Batch:
    """Encode a batch: once, where it is stamped."""
    payload, count = np.ascontiguousarray(records), len(records)
    covered = _COVERED.pack(BATCH_VERSION, LAYOUT_VERSION, count, epoch, first_seq, timestamp_ns)
    raw = b"".join((_PREFIX.pack(BATCH_MAGIC, crc32c(payload, crc32c(covered))), covered, payload))
    return Batch(epoch, first_seq, timestamp_ns, count, raw)


def decode_batch(raw: bytes) -> Batch:
    """Read and check a batch; its records are not copied.

    Raises:
        LayoutError: wrong magic, version, length or CRC.
    """
    if len(raw) < HEADER_SIZE:
        raise LayoutError(f"a batch has at least {HEADER_SIZE} bytes, this has {len(raw)}")
    magic, crc, version, records_version, count, epoch, first_seq, timestamp_ns = _HEADER.unpack_from(raw)
    if magic != BATCH_MAGIC:
        raise LayoutError(f"batch magic is {magic:#x}, not {BATCH_MAGIC:#x}")
    if (version, records_version) != (BATCH_VERSION, LAYOUT_VERSION):
        raise LayoutError(
            f"batch version is {version}, of its commands {records_version}; this process speaks {BATCH_VERSION} and "
            f"{LAYOUT_VERSION}"
        )
    if count * COMMAND.itemsize != len(raw) - HEADER_SIZE:
        raise LayoutError(f"batch says {count} commands of {COMMAND.itemsize} bytes in {len(raw) - HEADER_SIZE} bytes")
    if crc32c(memoryview(raw)[8:]) != crc:
        raise LayoutError(f"batch CRC32C mismatch (epoch {epoch}, seq {first_seq})")
    return Batch(epoch, first_seq, timestamp_ns, count, raw)


def seqs_of(raw: bytes) -> tuple[int, int]:
    """First and last seq of a batch with commands, by its header alone: nothing is checked.

    Raises:
        LayoutError: it has no header.
    """
    if len(raw) < HEADER_SIZE:
        raise LayoutError(f"a batch has at least {HEADER_SIZE} bytes, this has {len(raw)}")
    count, _epoch, first_seq = _COUNT.unpack_from(raw, _COUNT_OFFSET)
    return first_seq, first_seq + count - 1
