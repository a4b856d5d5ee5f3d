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


class BadInput(Exception):
    """The configuration or an input file can't be used; the text names the file, the place and the remedy."""


def os_error_text(error: OSError) -> str:
    """An error of the operating system as a message."""
    return (
        f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}; choose another path, or mend it"
    )
