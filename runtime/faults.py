"""How a process ends, and the errors that an operator can mend. It imports nothing: every process begins with it."""

from typing import Final

EXIT_OK: Final = 0
EXIT_ENVIRONMENT: Final = 1
EXIT_USAGE: Final = 2
EXIT_INVARIANT: Final = 3
EXIT_DAMAGED: Final = 4
"""Stored data is damaged and nobody else is known to hold it: starting again does not help by itself."""


class EnvironmentFault(Exception):
    """Something outside the program is wrong; the text says what, and what to do about it."""


class StoredDamage(EnvironmentFault):
    """Stored data is damaged, and no other process is known to hold it whole."""


class BadInput(Exception):
    """The configuration or an input file can't be used; the text names the file, the place and the remedy."""


_REMEDIES: Final = (
    (
        ("No space left", "disk quota exceeded", "disk is full"),
        "the disk is full: free room on its file system, then start it again",
    ),
    (
        ("Read-only file system", "readonly database"),
        "it is mounted read-only: look why (`dmesg`), mount it writable, then start it again",
    ),
    (("Permission denied", "not permitted"), "give the user of this process the right to write there"),
    (
        ("File too large",),
        "the file has grown to the limit of this process (`ulimit -f`) or of its file system: raise it",
    ),
    (
        # SQLite's words, for a limit, too: it does not say which error of the system it was.
        ("disk I/O error",),
        "the disk fails (look at `dmesg`), or the file has grown to a limit (`ulimit -f`)",
    ),
    (
        ("Input/output error", "I/O error", "IO error"),
        "the disk fails: look at `dmesg`; replace it, or use another `data_dir`",
    ),
    (("Too many open files",), "raise the limit of open files (`ulimit -n`)"),
)
"""What is in an error of the system, or of a library that passes it on, and what to do about it."""


def why_not_to_run() -> str:
    """Why this interpreter must not run any process of the cluster; empty if it may."""
    if __debug__:
        return ""
    return "it runs with -O (or PYTHONOPTIMIZE), which removes the checks of its own invariants: start it without"


def disk_text(action: str, path: object, error: object) -> str:
    """What could not be done with a file or directory, where, and the remedy. `error`: the system's, or a library's."""
    said = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    place = getattr(error, "filename", None) or path
    beside = "" if str(place) in (str(path), "") else f" ({place})"
    for signs, remedy in _REMEDIES:
        if any(sign.lower() in said.lower() for sign in signs):
            return f"cannot {action} {path}{beside}: {said}; {remedy}"
    return f"cannot {action} {path}{beside}: {said}; check the disk, and that it is writable"


def os_error_text(error: OSError) -> str:
    """An error of the operating system as a message."""
    return (
        f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}; choose another path, or mend it"
    )
