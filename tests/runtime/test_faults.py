"""An error of a disk says what could not be done, where, and the remedy, whoever reports it."""

import errno
import os
import sqlite3

import pytest

from lockstep.runtime.faults import disk_text


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "free room"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "free room"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "mounted read-only"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "the right to write"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "the disk fails"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "ulimit"),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), "ulimit -f"),
        (sqlite3.OperationalError("disk I/O error"), "ulimit -f"),
        (Exception("IO error: File too large: While appending to file: x"), "ulimit -f"),
        (OSError(errno.ELOOP, os.strerror(errno.ELOOP)), "check the disk"),
        (Exception("IO error: No space left on device: While appending to file: x"), "free room"),
        (Exception("IO error: While open a file for appending: x: Read-only file system"), "mounted read-only"),
        (sqlite3.OperationalError("database or disk is full"), "free room"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "mounted read-only"),
        (sqlite3.OperationalError("disk I/O error"), "the disk fails"),
    ],
    ids=str,
)
def test_each_kind_of_disk_error_has_its_remedy(error: Exception, remedy: str) -> None:
    text = disk_text("write", "/data/x", error)
    assert text.startswith("cannot write /data/x: ")
    assert remedy in text


def test_the_file_that_the_system_names_is_told_beside_the_directory() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/x/000004.log")
    assert "cannot write /data/x (/data/x/000004.log): No space left on device" in disk_text("write", "/data/x", error)
