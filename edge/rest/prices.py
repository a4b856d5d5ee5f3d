"""Prices and money as decimal strings, exactly. Pure.

A price is so many ticks of its instrument, a tick so many millionths of the currency unit; no number here is a float.
"""

import re
from typing import Final

MICROS: Final = 1_000_000
PRICE_PATTERN: Final = r"^(0|[1-9][0-9]{0,12})(\.[0-9]{1,6})?$"
_PRICE: Final = re.compile(PRICE_PATTERN, re.ASCII)


def decimal_of(value: int, per_unit: int = MICROS) -> str:
    """`value` of so many a unit (a power of ten), without zeros at the end."""
    whole, rest = divmod(abs(value), per_unit)
    sign = "-" if value < 0 else ""
    if not rest:
        return f"{sign}{whole}"
    digits = f"{rest:0{len(str(per_unit)) - 1}d}".rstrip("0")
    return f"{sign}{whole}.{digits}"


def price_of(ticks: int, tick_micros: int) -> str:
    """A price in currency units."""
    return decimal_of(ticks * tick_micros)


def shortest(price: str) -> str:
    """A price without zeros at the end: the same text for all ways to write it."""
    whole, _, rest = price.partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest}" if rest else whole


def ticks_of(price: str, tick_micros: int) -> int | None:
    """A price in ticks; None: it is no whole number of them.

    Raises:
        ValueError: it is not written as a price.
    """
    if not isinstance(price, str) or not _PRICE.fullmatch(price):
        raise ValueError('a price is a decimal string, at most six digits behind the point, such as "101.50"')
    whole, _, rest = price.partition(".")
    micros = int(whole) * MICROS + int(f"{rest:0<6}")
    ticks, odd = divmod(micros, tick_micros)
    return None if odd else ticks
