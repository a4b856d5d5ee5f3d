"""How every process of the cluster ends: one place decides which exit code an error means.

| code | meaning | what `lockstep up` does |
| --- | --- | --- |
| 0 | it was asked to stop | nothing |
| 1 | something outside is in the way: a port, a disk, a server | starts it again, later each time |
| 2 | the command line or the configuration is wrong | the same |
| 3 | its own state is wrong, or it met an error that nobody expected | leaves it down: somebody has to look |
| 4 | stored data is damaged, and nobody is known to hold it whole | as with 1: a peer may be back |

An error that nobody expected is a broken invariant. Starting again what computes wrongly would only make it compute
wrongly again, and hide it.
"""

import errno
import sys
from collections.abc import Callable
from typing import Final

from lockstep.runtime.faults import (
    EXIT_DAMAGED,
    EXIT_ENVIRONMENT,
    EXIT_INVARIANT,
    EXIT_OK,
    EXIT_USAGE,
    BadInput,
    EnvironmentFault,
    StoredDamage,
    os_error_text,
)
from lockstep.runtime.process_log import ProcessLog

_OUTSIDE: Final = frozenset(
    {
        errno.EACCES, errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EDQUOT, errno.EIO, errno.EMFILE,
        errno.ENFILE, errno.ENOENT, errno.ENOMEM, errno.ENOSPC, errno.EPERM, errno.EROFS, errno.ESTALE,
    }
)  # fmt: skip
"""What the operating system refuses for reasons of its own; any other OSError comes of a wrong call."""


def exit_code(error: BaseException) -> int:
    """The exit code of a process that ended with this error."""
    if isinstance(error, StoredDamage):
        return EXIT_DAMAGED
    if isinstance(error, (EnvironmentFault, MemoryError)) or (isinstance(error, OSError) and error.errno in _OUTSIDE):
        return EXIT_ENVIRONMENT
    return EXIT_USAGE if isinstance(error, BadInput) else EXIT_INVARIANT


def run_to_end(name: str, log: ProcessLog, work: Callable[[], object]) -> int:
    """Do a process's work until it returns or raises; says why, and returns the exit code.

    KeyboardInterrupt and SystemExit pass: they are requests, not errors.
    """
    try:
        work()
    except Exception as error:  # noqa: BLE001 - this is the place that knows what each of them means
        return say_end(name, log, error)
    return EXIT_OK


def say_end(name: str, log: ProcessLog, error: BaseException) -> int:
    """Say why a process ends, to the log and to the operator; the exit code."""
    code = exit_code(error)
    if code == EXIT_INVARIANT:
        log.critical("broken_invariant", exc_info=error)
    elif code == EXIT_DAMAGED:
        log.critical("journal_damaged", text=str(error))
    else:
        text = os_error_text(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        log.error("environment_fault", text=text)
        sys.stderr.write(f"lockstep {name}: {text}\n")
    return code
