"""Shamir's secret sharing over GF(256), octet by octet, as draft-mcgrew-tss-03 has it. Pure.

A secret is split into n shares, so that any `needed` of them give it back and fewer say nothing about it. Share x is
the values at x of one polynomial for each octet, whose constant term is the octet; the field is that of AES
(FIPS 197: x^8 + x^4 + x^3 + x + 1). The random octets come from the caller.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import xor
from typing import Final

_REDUCE: Final = 0x11B
MOST: Final = 255
"""Shares of one secret."""


class SharesFault(ValueError):
    """These shares give no secret. The text says why."""


def multiply(one: int, other: int) -> int:
    """The product of two octets in the field."""
    product = 0
    while other:
        if other & 1:
            product ^= one
        one <<= 1
        if one & 0x100:
            one ^= _REDUCE
        other >>= 1
    return product


def inverse(octet: int) -> int:
    """What gives 1 when multiplied with it: its 254th power."""
    assert octet, "0 has no inverse"
    found = 1
    for bit in f"{254:b}":
        found = multiply(found, found)
        if bit == "1":
            found = multiply(found, octet)
    return found


def split(secret: bytes, shares: int, needed: int, random: bytes) -> dict[int, bytes]:
    """Shares by their x, from 1 on; each is as long as the secret.

    `random`: `(needed - 1) * len(secret)` octets that nobody can guess and that are used for nothing else.
    """
    assert 1 <= needed <= shares <= MOST, f"{needed} of {shares} shares can't be"
    assert len(random) == (needed - 1) * len(secret), "one random octet for each coefficient"
    coefficients = [secret, *(random[at : at + len(secret)] for at in range(0, len(random), len(secret) or 1))]
    return {x: bytes(_value(column, x) for column in zip(*coefficients, strict=True)) for x in range(1, shares + 1)}


def _value(coefficients: tuple[int, ...], x: int) -> int:
    found = 0
    for coefficient in reversed(coefficients):
        found = multiply(found, x) ^ coefficient
    return found


def combine(shares: Mapping[int, bytes]) -> bytes:
    """The secret of these shares; of wrong ones, or of too few, something else: who needs to know has to check it.

    Raises:
        SharesFault: there is none, one has no place, or they differ in length.
    """
    if not shares or not all(1 <= x <= MOST for x in shares):
        raise SharesFault("there are no shares, or one that has no place")
    if len({len(share) for share in shares.values()}) > 1:
        raise SharesFault("shares of one secret have one length")
    weights = {x: _weight(x, [other for other in shares if other != x]) for x in shares}
    columns = zip(*shares.values(), strict=True)
    return bytes(
        _sum(multiply(octet, weights[x]) for x, octet in zip(shares, column, strict=True)) for column in columns
    )


def _weight(x: int, others: list[int]) -> int:
    """Lagrange's, at 0: what is subtracted is added in this field."""
    found = 1
    for other in others:
        found = multiply(found, multiply(other, inverse(other ^ x)))
    return found


def _sum(octets: Iterable[int]) -> int:
    return reduce(xor, octets, 0)
