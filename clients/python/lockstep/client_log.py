"""A session's own record of what it sent and what it received, in a file: the client's side of every later audit.

A block is written *before* the reports in it are handed to the owner, so what the owner acted on stands in the log; the
last block may be cut short by the death of the process, and readers leave it out. The file is only ever appended to.
It is handed to the operating system block by block and not synced: it survives the process, not the host.

Layout, little endian. First the magic `LKSTCLOG`, version u32, 4 bytes zero, session id u64. Then blocks: kind u32,
CRC-32 of the payload u32, payload length u64, payload. Kinds:

* 1 SENT: first number u64, count u64, Unix time in ns i64;
* 2 REPORTS: rows of `ROW`, in the order in which the owner got them;
* 3 RESUMED: seq u64, index u32, leg u32: the session goes on behind this row; later ones may stand here twice.
"""

import errno
import os
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from lockstep.columns import ReportColumns
from lockstep.session_events import Checkpoint, Parcel, ReportId

MAGIC: Final = b"LKSTCLOG"
VERSION: Final = 1
SUFFIX: Final = ".clog"
ROW: Final = np.dtype(
    [
        ("seq", "<u8"),
        ("index", "<u4"),
        ("leg", "u1"),
        ("kind", "u1"),
        ("session_no", "<u8"),
        ("order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("quantity_lots", "<i8"),
    ]
)
"""One report row as the owner got it; the last three are 0 in reports that concern no order."""
_FIRST_ADMIN_KIND: Final = 64
_HEAD: Final = struct.Struct("<8sIIQ")
_BLOCK: Final = struct.Struct("<IIQ")
_SENT: Final = struct.Struct("<QQq")
_RESUMED: Final = struct.Struct("<QII")


class BlockKind(IntEnum):
    """What a block of the file holds."""

    SENT = 1
    REPORTS = 2
    RESUMED = 3


class ClientLogFault(ValueError):
    """The file is no client log, of another version or session, or damaged; the text names it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Commands `first_no` to `first_no + count - 1` left for a gateway; those that go again are written again."""

    first_no: int
    count: int
    at_ns: int
    """Unix time, nanoseconds, by the client's clock."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Report rows (`ROW`), in order."""

    rows: NDArray[np.void] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session was taken up after `after`."""

    after: ReportId


Block = Sent | Reported | Resumed


class ClientLog:
    """Appends to the log of one session. Not thread safe: the session's loop writes.

    Raises:
        ClientLogFault: the file is there and belongs to another session, or is no client log.
        OSError: it can't be written.
    """

    def __init__(self, directory: Path, checkpoint: Checkpoint, *, resumed: bool) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"session-{checkpoint.session_id}{SUFFIX}"
        if self.path.exists() and self.path.stat().st_size >= _HEAD.size:
            self._cut_torn_block(checkpoint.session_id)
        else:
            self.path.write_bytes(_HEAD.pack(MAGIC, VERSION, 0, checkpoint.session_id))
        self._file = self.path.open("ab", buffering=0)
        self._fault: OSError | None = None
        if resumed:
            last = checkpoint.last_seen
            self._write(BlockKind.RESUMED, _RESUMED.pack(last.seq, last.index, last.leg))

    def _cut_torn_block(self, session_id: int) -> None:
        reader = ClientLogReader(self.path)
        if reader.session_id != session_id:
            raise ClientLogFault(f"{self.path} is the log of session {reader.session_id}, not of {session_id}")
        for _block in reader.blocks():
            pass
        with self.path.open("r+b") as file:
            file.truncate(reader.offset)

    def sent(self, parcels: tuple[Parcel, ...]) -> None:
        """Write down what leaves now."""
        now_ns = time.time_ns()
        for parcel in parcels:
            self._write(BlockKind.SENT, _SENT.pack(parcel.first_no, parcel.count, now_ns))

    def reported(self, batch: ReportColumns) -> None:
        """Write down what the owner is about to be handed."""
        self._write(BlockKind.REPORTS, rows_of(batch).tobytes())

    def close(self) -> None:
        """Close the file; may be called again."""
        self._file.close()

    def _write(self, kind: BlockKind, payload: bytes) -> None:
        if self._fault is not None:
            raise self._fault
        block = _BLOCK.pack(kind, zlib.crc32(payload), len(payload)) + payload
        try:
            # A disk that has become full takes a part. What came after that would be read as damage.
            if self._file.write(block) != len(block):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            remedy = "make it writable or free room, and open the session anew"
            text = f"the client log can't be written: {error.strerror}; {remedy}"
            self._fault = OSError(error.errno, text, str(self.path))
            raise self._fault from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def rows_of(batch: ReportColumns) -> NDArray[np.void]:
    """Report columns as `ROW` records."""
    rows = np.zeros(len(batch), ROW)
    for name in ("seq", "index", "leg", "kind", "session_no"):
        rows[name] = getattr(batch, name)
    orders = batch.kind < _FIRST_ADMIN_KIND
    for name in ("order_id", "price_ticks", "quantity_lots"):
        rows[name] = np.where(orders, getattr(batch, name), 0)
    return rows


class ClientLogReader:
    """Reads a log that may still be written: `blocks` yields what is whole, and goes on there when called again.

    Raises:
        ClientLogFault: it is no client log, or of another version.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
        if len(head) < _HEAD.size or head[: len(MAGIC)] != MAGIC:
            raise ClientLogFault(f"{path} is no client log: it does not start with {MAGIC.decode()}")
        _magic, version, _zero, self.session_id = _HEAD.unpack(head)
        if version != VERSION:
            raise ClientLogFault(f"{path} has version {version}; this package reads version {VERSION}")
        self.offset = max(offset, _HEAD.size)
        """Where the next block starts."""

    def blocks(self, *, most_bytes: int = 1 << 62) -> Iterator[Block]:
        """Whole blocks from `offset` on, which moves along; about `most_bytes` at the most.

        Raises:
            ClientLogFault: a block that is whole does not fit its CRC, or is of an unknown kind.
        """
        end = self.offset + most_bytes
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while self.offset < end:
                head = file.read(_BLOCK.size)
                if len(head) < _BLOCK.size:
                    return
                kind, crc, length = _BLOCK.unpack(head)
                payload = file.read(length)
                if len(payload) < length:
                    return
                if zlib.crc32(payload) != crc:
                    raise ClientLogFault(f"{self.path} is damaged at byte {self.offset}: the CRC of a block is wrong")
                block = self._decode(kind, payload)
                self.offset += _BLOCK.size + length
                yield block

    def _decode(self, kind: int, payload: bytes) -> Block:
        if kind == BlockKind.SENT and len(payload) == _SENT.size:
            return Sent(*_SENT.unpack(payload))
        if kind == BlockKind.REPORTS and len(payload) % ROW.itemsize == 0:
            return Reported(np.frombuffer(payload, ROW))
        if kind == BlockKind.RESUMED and len(payload) == _RESUMED.size:
            return Resumed(ReportId(*_RESUMED.unpack(payload)))
        raise ClientLogFault(f"{self.path}: unknown block of kind {kind} and {len(payload)} bytes at {self.offset}")
