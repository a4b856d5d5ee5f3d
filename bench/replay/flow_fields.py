"""The single fields of an order-flow file: exact numbers and words, and what is said about a wrong one.

Numbers are read as integers, digit by digit: no float and no decimal context has a say.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lockstep.bench.replay.numbers import MICROS, format_micros
from lockstep.runtime.faults import BadInput
from lockstep.stream.records import I64_MAX

_DECIMAL: Final = re.compile(r"(\d{1,18})(?:\.(\d*))?\Z", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,20}\Z", re.ASCII)
_DECIMALS: Final = 6
_SHOWN: Final = 60


class FlowError(BadInput):
    """The flow file can't be used. The text names the file, the line and the remedy."""


def shown(text: str) -> str:
    """A field for a message: one that is very long is cut."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


class Place:
    """Where in which file the reader is, for messages; and the fields there."""

    __slots__ = ("line", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0

    def error(self, what: str, remedy: str) -> FlowError:
        """The message about something on this line."""
        return FlowError(f"{self.path}:{self.line}: {what}; {remedy}")

    def whole(self, text: str, column: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`. Raises FlowError."""
        if not _WHOLE.match(text):
            raise self.error(f"{column} {shown(text)} is not a whole number", f"use {low} to {high}")
        value = int(text)
        if not low <= value <= high:
            raise self.error(f"{column} {text} is out of range", f"use {low} to {high}")
        return value

    def micros(self, text: str, column: str) -> int:
        """An amount in millionths. Raises FlowError."""
        match = _DECIMAL.match(text)
        if match is None:
            raise self.error(f"{column} {shown(text)} is not a decimal number", "write it like 12.34, without a sign")
        fraction = (match[2] or "").rstrip("0")
        if len(fraction) > _DECIMALS:
            raise self.error(f"{column} {shown(text)} has more than 6 decimals", "the smallest unit is 0.000001")
        micros = int(match[1]) * MICROS + int(fraction.ljust(_DECIMALS, "0"))
        if micros > I64_MAX:
            raise self.error(f"{column} {text} is out of range", f"use at most {format_micros(I64_MAX)}")
        return micros

    def word(self, text: str, words: Mapping[str, int], column: str) -> int:
        """The number of a word. Raises FlowError."""
        value = words.get(text)
        if value is None:
            raise self.error(f"{column} {shown(text)}", f"use one of: {', '.join(words)}")
        return value

    def flag(self, text: str, column: str) -> bool:
        """0, 1 or nothing. Raises FlowError."""
        if text in ("", "0"):
            return False
        if text == "1":
            return True
        raise self.error(f"{column} {shown(text)}", "use 0 or 1")


def is_zero(text: str) -> bool:
    """Whether a field is empty or a way to write 0."""
    return not text or (_DECIMAL.match(text) is not None and not text.strip("0."))
