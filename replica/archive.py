"""What an engine discards is moved into its `archive` folder, never deleted: tails of journals, and whole ones."""

import json
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from lockstep.replica.rocks import JournalFault
from lockstep.runtime.faults import disk_text
from lockstep.stream.batch import Batch

# The journal last: without it the rest is nobody's. The witness after it: it records what was there.
_PARTS: Final = ("snapshots", "derived", "journal", "witness", "damage")


def archive_tail(data_dir: Path, name: str, tail: Iterable[Batch]) -> Path:
    """Write batches as `<name>.batches` (u32 length + batch, repeated) and as readable JSON lines, durably.

    Raises:
        JournalFault: the disk does not take them.
    """
    folder = data_dir / "archive"
    stem = folder / name
    archive = stem.with_suffix(".batches")
    try:
        folder.mkdir(exist_ok=True)
        with archive.open("wb") as binary, stem.with_suffix(".jsonl").open("w", encoding="utf-8") as readable:
            for batch in tail:
                binary.write(struct.pack("<I", len(batch.raw)) + batch.raw)
                for offset, record in enumerate(batch.records):
                    line = {
                        "epoch": batch.epoch,
                        "seq": batch.first_seq + offset,
                        "timestamp_ns": batch.timestamp_ns,
                    }
                    line |= {name: _plain(record[name]) for name in record.dtype.names or ()}
                    readable.write(json.dumps(line) + "\n")
            for file in (binary, readable):
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise JournalFault(disk_text("archive the divergent tail to", archive, error)) from error
    return archive


def archive_all(data_dir: Path, why: str = "reinit") -> Path:
    """Move the journal of an engine that does not run, and all that belongs to it, into its archive; where that is.

    Raises:
        JournalFault: it can't be moved.
    """
    return archive_parts(data_dir, why, _PARTS)


def archive_parts(data_dir: Path, why: str, parts: Iterable[str]) -> Path:
    """Move some parts of a data directory into `archive/<why>-<n>`; where that is.

    Raises:
        JournalFault: they can't be moved.
    """
    target = new_archive(data_dir, why)
    try:
        for name in parts:
            if (data_dir / name).exists():
                (data_dir / name).rename(target / name)
    except OSError as error:
        raise JournalFault(disk_text("move into its archive", data_dir, error)) from error
    return target


def new_archive(data_dir: Path, why: str) -> Path:
    """A new folder `archive/<why>-<n>`.

    Raises:
        JournalFault: it can't be made.
    """
    folder = data_dir / "archive"
    try:
        folder.mkdir(exist_ok=True)
        taken = {path.name for path in folder.iterdir()}
        target = next(folder / f"{why}-{n}" for n in range(1, len(taken) + 2) if f"{why}-{n}" not in taken)
        target.mkdir()
    except OSError as error:
        raise JournalFault(disk_text("make an archive in", data_dir, error)) from error
    return target


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return value.item() if hasattr(value, "item") else value
