"""What a caller hands to the command builder, checked at the call: the plain value of the record, or a ValueError.

Every error names the argument, what it was, and what it may be. Nothing is bent: True is not 1, a float is no number of
ticks. (The clients' `arguments.py` does the same for what comes over the wire; an engine stands below the clients and
can't ask it.)
"""

import operator
from enum import IntEnum
from typing import Final, SupportsIndex

import numpy as np

U32: Final = 2**32 - 1
U64: Final = 2**64 - 1
I64: Final = 2**63 - 1
_MOST_NAME: Final = 32
_MOST_SHOWN: Final = 60


def whole(name: str, value: SupportsIndex, low: int, high: int) -> int:
    """A whole number within `low`..`high`, as a plain int.

    Raises:
        ValueError: it is none, or outside.
    """
    if type(value) is not int:
        if isinstance(value, bool | np.bool_ | np.ndarray) or not isinstance(value, SupportsIndex):
            raise ValueError(f"{name} is {_shown(value)}: give a whole number ({_unit_of(name)})")
        value = operator.index(value)
    if not low <= value <= high:
        raise ValueError(f"{name} is {_shown(value)}: it must be in {low}..{high} ({_unit_of(name)})")
    return value


def switch(name: str, value: bool) -> bool:
    """True or False.

    Raises:
        ValueError: anything else; a word like "no" would count as true.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} is {_shown(value)}: give True or False")
    return bool(value)


def text(name: str, value: str) -> bytes:
    """A symbol or the name of an account, as a record holds it.

    Raises:
        ValueError: not 1 to 32 printable ASCII characters.
    """
    good = isinstance(value, str) and 1 <= len(value) <= _MOST_NAME and value.isascii() and value.isprintable()
    if not good:
        raise ValueError(f"{name} is {_shown(value)}: give a string of 1 to {_MOST_NAME} printable ASCII characters")
    return value.encode("ascii")


def word[E: IntEnum](words: type[E], name: str, value: E | str | int) -> E:
    """A member of an enum, from itself, its number, or its name in any case.

    Raises:
        ValueError: there is none such, or it is a member of another enum; the text names those there are.
    """
    if isinstance(value, words):
        return value
    if isinstance(value, str) and value.isascii() and value.upper() in words.__members__:
        return words[value.upper()]
    plain = isinstance(value, int | np.integer) and not isinstance(value, bool | IntEnum)
    if plain and int(value) in words.__members__.values():
        return words(int(value))
    names = ", ".join(f"{words.__name__}.{member}" for member in words.__members__)
    raise ValueError(f"{name} is {_shown(value)}: use one of {names}")


def _unit_of(name: str) -> str:
    """What a field's name says about its unit, in words."""
    units = {
        "ticks": "a price in ticks: divide it by the instrument's tick",
        "lots": "a quantity in lots: divide it by the instrument's lot",
        "micros": "an amount in millionths of the currency unit",
        "ns": "a time in nanoseconds, on the clock of timestamp_ns",
        "ppm": "a share in millionths",
    }
    return units.get(name.rpartition("_")[2], "a plain number")


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."
