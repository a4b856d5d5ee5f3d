"""The data directory of a local cluster: one `lockstep up` at a time works in it."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO

from lockstep.runtime.process import EnvironmentFault


def lock_data_dir(data_dir: Path) -> IO[str]:
    """Hold a data directory against a second cluster.

    Raises:
        EnvironmentFault: another process holds it, or it can't be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "up.lock").open("a+", encoding="ascii")
    except OSError as error:
        raise EnvironmentFault(
            f"data directory {data_dir} can't be used: {error.strerror}; choose another --data-dir"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise EnvironmentFault(
            f"data directory {data_dir} is in use by another `lockstep up` (process {owner}); "
            "stop that one, or choose another --data-dir"
        ) from None
    with contextlib.suppress(OSError):
        lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock
