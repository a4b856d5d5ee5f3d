"""Data types of fields: which values they have. Pure."""

import re
from collections.abc import Callable
from enum import Enum
from typing import Final

from lockstep.edge.fix.times import timestamp_ns


class Type(Enum):
    """Of a field. The standard's finer names (Price, Qty, Amt, ...) say what a number means, not how it is written."""

    INT = "int"
    SEQ_NUM = "seqnum"
    LENGTH = "length"
    COUNT = "numingroup"
    FLOAT = "float"
    CHAR = "char"
    BOOLEAN = "boolean"
    STRING = "string"
    MULTIPLE = "multiple"
    CURRENCY = "currency"
    TIMESTAMP = "utctimestamp"
    TIME = "utctimeonly"
    DATE = "utcdateonly"
    LOCAL_DATE = "localmktdate"
    MONTH = "monthyear"
    DATA = "data"


_INT: Final = re.compile(rb"-?\d{1,18}")
_NATURAL: Final = re.compile(rb"\d{1,18}")
_FLOAT: Final = re.compile(rb"-?(?:\d{1,20}\.?\d{0,20}|\.\d{1,20})")
_TEXT: Final = re.compile(rb"[\x20-\xff\t\r\n]+")
_CURRENCY: Final = re.compile(rb"[A-Z]{3}")
_TIME: Final = re.compile(rb"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.(\d{3}|\d{6}|\d{9}))?")
_DATE: Final = re.compile(rb"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_MONTH: Final = re.compile(rb"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01]|w[1-5])?")


def _is(pattern: re.Pattern[bytes]) -> Callable[[bytes], bool]:
    def matches(value: bytes) -> bool:
        return pattern.fullmatch(value) is not None

    return matches


CHECKS: Final[dict[Type, Callable[[bytes], bool]]] = {
    Type.INT: _is(_INT),
    Type.SEQ_NUM: _is(_NATURAL),
    Type.LENGTH: _is(_NATURAL),
    Type.COUNT: _is(_NATURAL),
    Type.FLOAT: _is(_FLOAT),
    Type.CHAR: lambda value: len(value) == 1 and value > b" ",
    Type.BOOLEAN: lambda value: value in (b"Y", b"N"),
    Type.STRING: _is(_TEXT),
    Type.MULTIPLE: _is(_TEXT),
    Type.CURRENCY: _is(_CURRENCY),
    Type.TIMESTAMP: lambda value: timestamp_ns(value) is not None,
    Type.TIME: _is(_TIME),
    Type.DATE: _is(_DATE),
    Type.LOCAL_DATE: _is(_DATE),
    Type.MONTH: _is(_MONTH),
    Type.DATA: bool,
}


def natural(value: bytes | None) -> int | None:
    """A whole number that is not negative; None if it is none, or there is no value."""
    return int(value) if value is not None and _NATURAL.fullmatch(value) else None
