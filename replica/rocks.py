"""RocksDB as the replica uses it: options, and its errors as one exception with a remedy."""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rocksdict import Options

from lockstep.replica.evidence import Tip
from lockstep.runtime.faults import EnvironmentFault, StoredDamage, disk_text

MEMTABLE_BYTES: Final = 32 << 20
# struct flock of 64-bit Linux: type, whence, start, length (0: to the end), pid.
_FLOCK: Final = struct.Struct("hhqqi4x")


class JournalFault(EnvironmentFault):
    """The journal can't be opened, read or written; the text names the directory and the remedy. Terminal."""


class JournalDamaged(JournalFault, StoredDamage):
    """What the journal held is not all there any more, or cannot be read: it is no in-sync log.

    `needed` is the last record that it is known to have held; seq 0: not known.
    """

    def __init__(self, path: Path, why: str, needed: Tip | None = None, cluster_uuid: str = "") -> None:
        super().__init__(f"journal {path} is damaged: {why}")
        self.path = path
        self.why = why
        self.needed = needed or Tip()
        self.cluster_uuid = cluster_uuid

    def apart(self) -> "JournalDamaged":
        """The same without the calls that it came through: those may still have the journal open."""
        return JournalDamaged(self.path, self.why, self.needed, self.cluster_uuid)


class DerivedDamaged(JournalFault):
    """Stored results can't be relied on: they are made again from the journal."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is damaged: {why}")
        self.why = why


# In RocksDB's texts of what no retry mends: a checksum that differs, a file that is not there, too short, or no file.
_DAMAGE: Final = (
    "Corruption", "No such file", "Not implemented", "does not exist", "Invalid argument", "Not found",
    "Is a directory", "Not a directory",
)  # fmt: skip


def family_options(memtable_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.set_write_buffer_size(memtable_bytes)
    options.set_max_write_buffer_number(3)
    return options


def database_options(*, recycle_logs: int) -> Options:
    options = family_options(MEMTABLE_BYTES)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_max_background_jobs(2)
    options.set_recycle_log_file_num(recycle_logs)
    options.set_max_total_wal_size(256 << 20)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(256)
    options.set_stats_dump_period_sec(0)
    return options


@contextmanager
def faults(
    action: str, directory: Path, damaged: type[JournalDamaged] | type[DerivedDamaged] = JournalDamaged
) -> Iterator[None]:
    """RocksDB's binding raises bare Exception with RocksDB's own text."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError):
            # The binding's own files, or a directory that is not what it should be.
            raise JournalFault(disk_text(action, f"journal {directory}", error)) from error
        if type(error) is not Exception and type(error).__module__ != "rocksdict":
            raise
        text = str(error)
        if "lock" in text.lower() and "LOCK" in text:
            raise in_use(directory) from error
        if any(sign in text for sign in _DAMAGE):
            raise damaged(directory, f"it cannot be {action_done(action)}: {text}") from error
        raise JournalFault(disk_text(action, f"journal {directory}", text)) from error


def in_use(directory: Path) -> JournalFault:
    """Another process has it open."""
    return JournalFault(f"journal {directory} is in use by another process; stop that engine or change `data_dir`")


def action_done(action: str) -> str:
    """The participle of what was tried."""
    return {"open": "opened", "write": "written", "read": "read", "sync": "synced"}.get(action, f"used ({action})")


@contextmanager
def file_faults(action: str, path: Path) -> Iterator[None]:
    """Errors of the file system as a JournalFault."""
    try:
        yield
    except OSError as error:
        raise JournalFault(disk_text(action, path, error)) from error


def lock_owner(lock: Path) -> int:
    """Process that holds RocksDB's lock on a database; 0: none."""
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    finally:
        os.close(fd)
    kind, _, _, _, pid = _FLOCK.unpack(answer)
    return 0 if kind == fcntl.F_UNLCK else int(pid)
