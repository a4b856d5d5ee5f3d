"""The marks of a journal (`evidence.py`) on the disk, apart from the journal: the file `witness` beside it.

A ring of 64 pages, one mark in each, written in turn and in place: the file never grows, so a sync of it costs one
small write, and what goes wrong with one page leaves the others. A mark is 176 bytes, little endian:

| bytes | field |
| --- | --- |
| 4, 4 | magic, CRC32C of the rest |
| 8 | count: how manieth mark this is |
| 8 | journal |
| 40, 16 | cluster uuid as text (zeros behind its end), id of the boot |
| 4 x 8 | written and synced tip: epoch, seq |
| 8, 8 | promised, flags |
| 8, 32 | applied seq, digest (zeros behind its end) |
"""

import os
import struct
from pathlib import Path
from typing import Final

from crc32c import crc32c

from lockstep.replica.evidence import Mark, Tip
from lockstep.runtime.boot import boot_id
from lockstep.stream.values import frozen

PAGES: Final = 64
PAGE_BYTES: Final = 4096
_MAGIC: Final = 0x4B524D4C
_HEAD: Final = struct.Struct("<II")
_BODY: Final = struct.Struct("<QQ40s16sQQQQQQQ32s")
_JOINED, _UNSYNCED, _HAS_DIGEST = 1, 2, 4
_DIGEST_BYTES: Final = 16


@frozen
class Said:
    """What a witness says when it is read."""

    mark: Mark | None
    """The newest one that can be read."""
    same_boot: bool
    """It was written since the machine started."""
    count: int
    damaged: int
    """Pages that hold something else than a mark."""


def witness_path(data_dir: Path) -> Path:
    """Where the witness lies in an engine's data directory."""
    return data_dir / "witness"


def read_witness(path: Path) -> Said:
    """What it says; nothing at all if there is none.

    Raises:
        OSError: it can't be read.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Said(None, same_boot=False, count=0, damaged=0)
    newest: tuple[int, Mark, bytes] | None = None
    damaged = int(bool(raw) and len(raw) != PAGES * PAGE_BYTES)
    for start in range(0, len(raw), PAGE_BYTES):
        page = raw[start : start + PAGE_BYTES]
        if not any(page):
            continue
        read = _decode(page)
        if read is None:
            damaged += 1
        elif newest is None or read[0] > newest[0]:
            newest = read
    if newest is None:
        return Said(None, same_boot=False, count=0, damaged=damaged)
    count, mark, boot = newest
    return Said(mark, boot == boot_id() != bytes(16), count, damaged)


class Witness:
    """The file, open for writing. One thread at a time. Raises OSError."""

    def __init__(self, path: Path, count: int) -> None:
        """`count`: as `read_witness` gave it."""
        self._count = count
        self._boot = boot_id()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._file).st_size != PAGES * PAGE_BYTES:
            # Blocks that exist: a mark then changes no metadata, and costs one write.
            os.pwrite(self._file, bytes(PAGES * PAGE_BYTES), 0)
            os.ftruncate(self._file, PAGES * PAGE_BYTES)
            os.fsync(self._file)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def put(self, mark: Mark, *, sync: bool) -> None:
        """Write a mark down; on the disk on return if `sync`."""
        self._count += 1
        raw = _encode(self._count, mark, self._boot)
        os.pwritev(self._file, (raw,), self._count % PAGES * PAGE_BYTES, os.RWF_DSYNC if sync else 0)

    def close(self) -> None:
        """Close it."""
        os.close(self._file)


def _encode(count: int, mark: Mark, boot: bytes) -> bytes:
    flags = (_JOINED if mark.joined else 0) | (_UNSYNCED if mark.unsynced else 0) | (_HAS_DIGEST if mark.digest else 0)
    body = _BODY.pack(
        count,
        mark.journal,
        mark.cluster_uuid.encode(),
        boot,
        mark.written.epoch,
        mark.written.seq,
        mark.synced.epoch,
        mark.synced.seq,
        mark.promised,
        flags,
        mark.applied_seq,
        mark.digest,
    )
    return _HEAD.pack(_MAGIC, crc32c(body)) + body


def _decode(page: bytes) -> tuple[int, Mark, bytes] | None:
    if len(page) < _HEAD.size + _BODY.size:
        return None
    magic, crc = _HEAD.unpack_from(page)
    body = page[_HEAD.size : _HEAD.size + _BODY.size]
    if magic != _MAGIC or crc32c(body) != crc:
        return None
    count, journal, cluster, boot, *tips, promised, flags, applied_seq, digest = _BODY.unpack(body)
    mark = Mark(
        journal,
        cluster.rstrip(b"\0").decode(errors="replace"),
        Tip(tips[0], tips[1]),
        Tip(tips[2], tips[3]),
        promised,
        bool(flags & _JOINED),
        bool(flags & _UNSYNCED),
        applied_seq,
        digest[:_DIGEST_BYTES] if flags & _HAS_DIGEST else b"",
    )
    return count, mark, boot
