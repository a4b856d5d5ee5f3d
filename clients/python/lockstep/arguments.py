"""What callers hand in, checked in one place: each function gives the plain value of the wire, or says what is wrong.

Rows, columns, administrative commands and queries all take their values through here, at the call. So nothing that the
wire can't hold reaches the task that writes, and no value is bent into another one: True is not 1, "false" is not true,
a float is no price, and a member of one enum is none of another.

Money is exact: its arithmetic is that of integers, so the caller's decimal context (precision, rounding, traps) decides
nothing.
"""

import math
import operator
import re
from decimal import Context, Decimal, InvalidOperation
from enum import Enum, IntEnum
from functools import cache
from typing import Final, SupportsIndex, TypeGuard, TypeVar

import numpy as np

E = TypeVar("E", bound=IntEnum)

Price = Decimal | str | int
"""An amount of money for one unit, exactly. Floats are refused: 0.1 is not a tenth."""

U32: Final = 2**32 - 1
U64: Final = 2**64 - 1
I64: Final = 2**63 - 1
MICROS: Final = 1_000_000
MOST_NAME: Final = 32
LONGEST_S: Final = 1_000_000
"""The longest time that a call may be asked to wait."""

_DECIMAL: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
# Far beyond what 63 bits of ticks of any size can be worth, and small enough to count with.
_MOST_DIGITS: Final = 40
_MOST_WHOLE: Final = 10**_MOST_DIGITS
# Says what happens to text that is no number; nothing is ever rounded to its precision.
_OWN: Final = Context(traps=[InvalidOperation])
_MOST_SHOWN: Final = 60
_MOST_SHOWN_BITS: Final = 256


def shown(value: object) -> str:
    """A value for an error message, cut to a length that can be read."""
    if isinstance(value, int) and value.bit_length() > _MOST_SHOWN_BITS:
        return f"(an integer of {value.bit_length()} bits)"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _countable(value: object) -> TypeGuard[SupportsIndex]:
    """Whether it is one whole number: not a bool, and no array (which has the method of one as well)."""
    return isinstance(value, SupportsIndex) and not isinstance(value, bool | np.bool_ | np.ndarray)


def integer(name: str, value: object, low: int, high: int) -> int:
    """A whole number as a plain int, also from NumPy's integers.

    Raises:
        TypeError: not an integer; bools and floats are none. ValueError: outside `low`..`high`.
    """
    if type(value) is not int:
        if not _countable(value):
            raise TypeError(f"{name} must be an integer, not {shown(value)}")
        value = operator.index(value)
    if not low <= value <= high:
        raise ValueError(f"{name} {shown(value)} is outside {low}..{high}")
    return value


def flag(name: str, value: object) -> bool:
    """True or False.

    Raises:
        TypeError: anything else; a word like "false" would count as true.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def name_text(name: str, value: object) -> str:
    """A symbol or the name of an account, as the wire and the journal hold it.

    Raises:
        TypeError: no string. ValueError: not 1 to 32 printable ASCII characters.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {shown(value)}")
    if not 1 <= len(value) <= MOST_NAME or not value.isascii() or not value.isprintable():
        raise ValueError(f"{name} {shown(value)}: it must be 1 to {MOST_NAME} printable ASCII characters")
    return str(value)


def word(words: type[E], name: str, value: E | str | int) -> E:
    """A member of an enum, from itself, its number, or its name in any case.

    Raises:
        TypeError: it is something else, or of another enum. ValueError: there is none; the text names those there are.
    """
    if isinstance(value, words):
        return value
    if isinstance(value, str):
        # Upper case of some other letters is ASCII as well.
        member: E | None = _members(words).get(value.upper()) if value.isascii() else None
        if member is None:
            raise ValueError(f"{name} {shown(value)} is unknown; use one of: {_names_of(words)}")
        return member
    if isinstance(value, Enum) and type(value).__name__ != words.__name__:
        raise TypeError(f"{name} must be a {words.__name__}, not {value!s} of {type(value).__name__}")
    if not _countable(value):
        raise TypeError(f"{name} must be a {words.__name__} or its name, not {shown(value)}")
    number = integer(name, value, -I64, I64)
    if number not in _members(words).values():
        raise ValueError(f"{name} {number} is unknown; use one of: {_names_of(words)}")
    return words(number)


@cache
def _members(words: type[E]) -> dict[str, E]:
    return dict(words.__members__)


def _names_of(words: type[IntEnum]) -> str:
    return ", ".join(member.name.lower() for member in words)


def instrument_name(value: object) -> str | int:
    """What names an instrument: its symbol, or its id.

    Raises:
        TypeError: neither. ValueError: the id is out of range.
    """
    if isinstance(value, str):
        return str(value)
    if not _countable(value):
        raise TypeError(f"instrument must be a symbol or an id, not {shown(value)}")
    return integer("instrument", value, 0, U32)


def span(name: str, value: object, low: float, high: float) -> float:
    """A time in the unit that its name says; fractions are allowed.

    Raises:
        TypeError: no number. ValueError: not finite, or outside `low`..`high`.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    if not low <= value <= high or not math.isfinite(value):
        raise ValueError(f"{name}={value}; use {low:g} to {high:g}")
    return float(value)


def wait_s(name: str, value: object) -> float | None:
    """How many seconds a call waits; None: without end. Below 0 the time is over, as for the standard library.

    A NaN would not end one wait: it would end the event loop, and everything in it.

    Raises:
        TypeError: no number. ValueError: not finite, or more than `LONGEST_S`.
    """
    return None if value is None else max(0.0, span(name, value, -LONGEST_S, LONGEST_S))


def bearer_token(value: object) -> str | None:
    """A client's token, as a header can hold it; None or an empty one: none.

    Raises:
        TypeError: no string. ValueError: something else than printable ASCII without blanks.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"token must be a string or None, not {type(value).__name__}")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("token must be printable ASCII without blanks (a line end of the file it was read from?)")
    return value or None


# ---- money -----------------------------------------------------------------------------------------------------------


def decimal_number(name: str, value: object) -> Decimal:
    """An exact, finite number of a size that can be money.

    Raises:
        TypeError: a float, a bool, or no number. ValueError: not a decimal number, not finite, or far too large.
    """
    if isinstance(value, float | np.floating):
        raise TypeError(f"{name} {value!r} is a float; give a Decimal or a string, e.g. {name}={str(value)!r}")
    if not isinstance(value, Decimal | str) and not _countable(value):
        raise TypeError(f"{name} must be a Decimal, a string or an integer, not {shown(value)}")
    if isinstance(value, str):
        number = _parsed(name, value)
    elif isinstance(value, Decimal):
        number = value
    else:
        number = Decimal(integer(name, value, -_MOST_WHOLE, _MOST_WHOLE), _OWN)
    if not number.is_finite():
        raise ValueError(f"{name} {number} is not a finite number")
    if number and number.adjusted() >= _MOST_DIGITS:
        raise ValueError(f"{name} {shown(value)} is out of range: it has {number.adjusted() + 1} digits")
    return number


def _parsed(name: str, text: str) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        not_finite = text.strip().lstrip("+-").lower() in ("nan", "snan", "inf", "infinity")
        kind = "a finite number" if not_finite else 'a decimal number; write it like "101.50"'
        raise ValueError(f"{name} {shown(text)} is not {kind}")
    try:
        return Decimal(text, _OWN)
    except InvalidOperation:
        raise ValueError(f"{name} {shown(text)} is out of range") from None


def floor_micros(number: Decimal) -> tuple[int, bool]:
    """A number of `decimal_number` in whole millionths, rounded down, and whether that is all of it."""
    sign, digits, exponent = number.as_tuple()
    if not number or not isinstance(exponent, int):
        return 0, True
    text = "".join(map(str, digits))
    shift = exponent + 6
    if shift >= 0:
        micros, exact = int(text) * 10**shift, True
    else:
        micros, exact = int(text[:shift] or "0"), not text[shift:].strip("0")
    if sign:
        micros = -micros if exact else -micros - 1
    return micros, exact


def micros(name: str, amount: Price) -> int:
    """Money in millionths.

    Raises:
        TypeError: a float, or no number. ValueError: finer than a millionth, or beyond 63 bits of millionths.
    """
    whole, exact = floor_micros(decimal_number(name, amount))
    if not exact:
        raise ValueError(f"{name} {shown(amount)} is finer than a millionth of the currency unit")
    if not -I64 <= whole <= I64:
        raise ValueError(f"{name} {shown(amount)} is outside -{from_micros(I64)}..{from_micros(I64)}")
    return whole


def from_micros(amount: int) -> Decimal:
    """Money of that many millionths, exactly, without trailing zeros."""
    whole, fraction = divmod(abs(amount), MICROS)
    sign = "-" if amount < 0 else ""
    text = f"{sign}{whole}.{fraction:06d}".rstrip("0").rstrip(".")
    # A decimal made from text has all its digits, whatever the caller's context says.
    return Decimal(text, _OWN)
