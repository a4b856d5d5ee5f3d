"""RocksDB as the replica uses it: options, and its errors as one exception with a remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rocksdict import Options

MEMTABLE_BYTES: Final = 32 << 20


class JournalFault(RuntimeError):
    """The journal can't be opened, read or written; the text names the directory and the remedy. Terminal."""


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
def faults(action: str, directory: Path) -> Iterator[None]:
    """RocksDB's binding raises bare Exception with RocksDB's own text."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception and type(error).__module__ != "rocksdict":
            raise
        text = str(error)
        if "lock" in text.lower() and "LOCK" in text:
            raise JournalFault(
                f"journal {directory} is in use by another process; stop that engine or change `data_dir`"
            ) from error
        raise JournalFault(f"cannot {action} journal {directory}: {text}") from error
