"""Messages, letters and tokens of OUCH 4.2. Pure; who says what when is in `codec.py`.

Layouts and letters are those of Nasdaq's "OUCH 4.2" specification; what differs from Nasdaq is in docs/ouch.md.
"""

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct
from typing import Final

from lockstep.stream.codes import Code

TOKEN_BYTES: Final = 14
BLANK_TOKEN: Final = b" " * TOKEN_BYTES
MARKET_PRICE: Final = 0x7FFF_FFFF
"""In place of a price: whatever it takes."""
DAY: Final = 99_998
SYSTEM_DAY: Final = 99_999
LAST_SECOND: Final = 86_399
OFF_SCALE: Final = 0xFFFF_FFFF
"""Stands for prices and quantities that 32 bits can't hold."""
LONGEST_FIRM: Final = 9_999

# Without their first byte, the type.
ENTER: Final = Struct(">14sc I8sII4sccc Ic")
REPLACE: Final = Struct(">14s14sIIIccI")
CANCEL: Final = Struct(">14sI")
SIZES: Final = {b"O": (48, 49), b"U": (47,), b"X": (19,), b"M": (20,)}
"""Of a client's messages, by type. An Enter Order of 48 bytes has no customer type."""

TERMS: Final = Struct(">cI8sII4scQccIc")
"""What Accepted and Replaced have in common: side, shares, stock, price, time in force, firm, display, reference,
capacity, intermarket sweep, minimum quantity, cross."""
EXECUTED: Final = Struct(">IIcQ")
CANCELED: Final = Struct(">Ic")
AIQ_CANCELED: Final = Struct(">IcIIc")


class Halt(IntEnum):
    """Why the client's bytes are read no further."""

    NONE = 0
    LOGOUT = 1
    BAD_LENGTH = 2
    UNKNOWN_PACKET = 3
    UNKNOWN_MESSAGE = 4
    BAD_TOKEN = 5
    FULL = 6


HALT_TEXTS: Final = {
    Halt.BAD_LENGTH: "a packet has from 1 to 1024 bytes behind its length",
    Halt.UNKNOWN_PACKET: "after the login come packets of type U, R, + and O alone",
    Halt.UNKNOWN_MESSAGE: "not a message of OUCH 4.2: O (48 or 49 bytes), U (47), X (19) or M (20)",
    Halt.BAD_TOKEN: "an order token has 14 printable ASCII characters, not all blank",
    Halt.FULL: "the session has used as many tokens as one may: log in to another session",
}


class Note(IntEnum):
    """What a REFUSED record notes, beside a token."""

    NONE = 0
    """It uses up a number."""
    ENTER = 1
    REPLACE = 2
    CANCEL = 3


REJECT_REASONS: Final[Mapping[int, bytes]] = {
    Code.UNKNOWN_INSTRUMENT: b"S",
    Code.BAD_PRICE: b"X",
    Code.PRICE_OUT_OF_RANGE: b"X",
    Code.OUTSIDE_BAND: b"X",
    Code.PRICE_COLLAR: b"X",
    Code.BAD_QUANTITY: b"Z",
    Code.QUANTITY_OUT_OF_RANGE: b"Z",
    Code.ORDER_TOO_LARGE: b"Z",
    Code.BAD_DISPLAY: b"D",
    Code.BAD_MINIMUM: b"N",
    Code.WRONG_PHASE: b"H",
    Code.UNKNOWN_ACCOUNT: b"L",
    Code.NOT_ENTITLED: b"L",
    Code.ACCOUNT_CLOSE_ONLY: b"a",
    Code.ACCOUNT_RESTRICTED: b"a",
    Code.ACCOUNT_BANNED: b"a",
    Code.ACCOUNT_KILLED: b"a",
    Code.SHORT_SALE: b"i",
    Code.POSITION_LIMIT: b"m",
    Code.ORDER_WORTH_TOO_MUCH: b"n",
}
"""The reason of a Rejected; OTHER for all codes that are not here."""
OTHER: Final = b"O"

CANCEL_REASONS: Final[Mapping[int, bytes]] = {
    Code.CANCEL_REQUESTED: b"U",
    Code.IOC_REMAINDER: b"I",
    Code.FOK_UNFILLABLE: b"I",
    Code.NO_LIQUIDITY: b"I",
    Code.MIN_QUANTITY: b"I",
    Code.EXPIRED: b"T",
    Code.MASS_CANCEL: b"S",
    Code.SELF_TRADE: b"Q",
    Code.ACCOUNT_BLOCKED: b"D",
}
"""The reason of a Canceled; SYSTEM for all codes that are not here."""
SYSTEM: Final = b"Z"
SUPERVISORY: Final = b"S"
"""Also of CANCEL_REQUESTED, where it was another session that requested."""


def reject_reason(code: int) -> bytes:
    """The letter of a Rejected."""
    return REJECT_REASONS.get(code, OTHER)


def cancel_reason(code: int, *, own: bool) -> bytes:
    """The letter of a Canceled. `own`: the session's own command did it."""
    if code == Code.CANCEL_REQUESTED and not own:
        return SUPERVISORY
    return CANCEL_REASONS.get(code, SYSTEM)


# ---- tokens ------------------------------------------------------------------------------------------------------

_ALPHABET: Final = b" 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTERS: Final = len(_ALPHABET)
_SHORT: Final = 12
_TWELVE: Final = _LETTERS**_SHORT
_TEN_DIGITS: Final = 10**10
_END: Final = _TWELVE + _LETTERS**4 * _TEN_DIGITS
TOP: Final = 1 << 63
_U64: Final = (1 << 64) - 1


def is_token(token: bytes) -> bool:
    """Printable, and not blank."""
    return token != BLANK_TOKEN and all(0x20 <= character <= 0x7E for character in token)


def packed(token: bytes) -> int:
    """The 64 bits by which the engine knows an order of this token; never 0.

    Most tokens fit: twelve of ` 0-9A-Z` and two blanks, or four of those and ten digits. Of any other the bits are a
    hash, marked by the top one, and a note in the stream holds the token itself.
    """
    letters, digits = (token[:_SHORT], b"") if token[_SHORT:] == b"  " else (token[:4], token[4:])
    if all(character in _ALPHABET for character in letters) and all(0x30 <= digit <= 0x39 for digit in digits):
        value = 0
        for character in letters:
            value = value * _LETTERS + _ALPHABET.index(character)
        return _TWELVE + value * _TEN_DIGITS + int(digits) if digits else value
    first, last = halves(token)
    return TOP | _mixed(first * 0x9E37_79B9_7F4A_7C15 & _U64 ^ _mixed(last))


def unpacked(bits: int) -> bytes | None:
    """The token of these bits; None: they are those of no token that fits."""
    if not 0 < bits < _END:
        return None
    digits, letters = b"  ", _SHORT
    if bits >= _TWELVE:
        bits, number = divmod(bits - _TWELVE, _TEN_DIGITS)
        digits, letters = b"%010d" % number, 4
    text = bytearray(letters)
    for at in reversed(range(letters)):
        bits, letter = divmod(bits, _LETTERS)
        text[at] = _ALPHABET[letter]
    return bytes(text) + digits


def halves(token: bytes) -> tuple[int, int]:
    """The first six characters and the last eight, as numbers: so a REFUSED record holds a token."""
    return int.from_bytes(token[:6], "big"), int.from_bytes(token[6:], "big")


def joined(first: int, last: int) -> bytes:
    """The token of these halves."""
    return first.to_bytes(6, "big") + last.to_bytes(8, "big")


def _mixed(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58_476D_1CE4_E5B9 & _U64
    value = (value ^ value >> 27) * 0x94D0_49BB_1331_11EB & _U64
    return value ^ value >> 31
