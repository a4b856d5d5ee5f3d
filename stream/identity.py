"""The cluster's uuid as the stream's control records carry it: two integers, because a record has no text. Pure."""

from typing import Final

_DIGITS: Final = frozenset("0123456789abcdef")
_GROUPS: Final = (8, 4, 4, 4, 12)
_LOW: Final = 2**64 - 1


def split_uuid(text: str) -> tuple[int, int]:
    """The high and the low 64 bits of a uuid.

    Raises:
        ValueError: it is not written as a uuid is (lower case, five groups), or it is zero.
    """
    groups = text.split("-")
    if tuple(map(len, groups)) != _GROUPS or not _DIGITS.issuperset("".join(groups)):
        raise ValueError(f"{text!r} is not a uuid, such as 0b5e2c1a-7a3f-4f0e-9a63-5a1f0d3c2b11")
    number = int("".join(groups), 16)
    if not number:
        raise ValueError("the uuid is zero, which stands for none")
    return number >> 64, number & _LOW


def join_uuid(high: int, low: int) -> str:
    """The uuid of two halves; empty if both are zero: the record names no cluster."""
    if not high and not low:
        return ""
    digits = f"{high:016x}{low:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
