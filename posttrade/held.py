"""A directory that one process at a time works in."""

import fcntl
from pathlib import Path
from typing import IO

from lockstep.runtime.faults import EnvironmentFault


class Taken(EnvironmentFault):
    """Another process does the same there. The text says what to do."""


def hold_directory(directory: Path, what: str, otherwise: str = "choose another --data-dir") -> IO[str]:
    """Hold a directory against a second process that does `what`, until the result is closed.

    `otherwise`: what else one can do than to stop the other.

    Raises:
        Taken: there is one.
        EnvironmentFault: the directory can't be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / f"{what}.lock").open("a", encoding="ascii")
    except OSError as error:
        raise EnvironmentFault(f"{directory} can't be used: {error.strerror}; choose another data_dir") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        text = f"another process does `{what}` in {directory}; stop that one, or {otherwise}"
        raise Taken(text) from None
    return lock
