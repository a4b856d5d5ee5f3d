"""SoupBinTCP 3: packets, and what a login asks for. Pure. A packet is its length in two bytes, its type, its
content."""

from dataclasses import dataclass, field
from struct import Struct
from typing import Final

MAX_PACKET: Final = 1024
"""Bytes behind the length. A client's longest packet is a Debug; a login has 47, an order 50."""
HEARTBEAT: Final = b"\0\1H"
END_OF_SESSION: Final = b"\0\1Z"
NOT_AUTHORIZED: Final = b"A"
NO_SUCH_SESSION: Final = b"S"
"""Reasons of a Login Rejected."""

_LOGIN: Final = Struct(">6s10s10s20s")
_LONGEST_SESSION: Final = 0xFFFF_FFFF
_LONGEST_NUMBER: Final = 19


@dataclass(frozen=True, slots=True)
class Login:
    """A Login Request."""

    user: str
    password: str = field(repr=False)
    session: int
    """The session's name as a number; 0: the current one."""
    sequence: int
    """Number of the first message that is wanted; 0: the next one that there will be."""


class BadLogin(ValueError):
    """The first packet is no login that can be looked at. The text says what is wrong."""


def login_of(buffer: bytes) -> tuple[Login, int] | None:
    """The login that a connection begins with, and its bytes; None: there are more to come.

    Raises:
        BadLogin: it is none.
    """
    if len(buffer) >= 3 and (buffer[:2] != b"\0\x2f" or buffer[2:3] != b"L"):
        raise BadLogin("the first packet is a Login Request: 47 bytes behind the length, of type L")
    if len(buffer) < 49:
        return None
    user, password, session, sequence = (_text(part) for part in _LOGIN.unpack(buffer[3:49]))
    # Blank stands for 0 in both.
    return Login(
        user, password, _number(session, _LONGEST_SESSION, "session"), _number(sequence, 2**63, "sequence")
    ), 49


def _text(raw: bytes) -> str:
    if not all(0x20 <= character <= 0x7E for character in raw):
        raise BadLogin("a login has printable ASCII characters alone, filled up with blanks")
    return raw.decode("ascii").strip()


def _number(text: str, largest: int, what: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or len(text) > _LONGEST_NUMBER or int(text) > largest:
        raise BadLogin(f"the {what} is a number from 0 to {largest}, or blank, not {text!r}")
    return int(text)


def whole_packet(buffer: bytes | bytearray) -> bool:
    """Whether it begins with one."""
    return len(buffer) >= 2 and len(buffer) >= 2 + int.from_bytes(buffer[:2], "big")


def accepted(session: int, sequence: int) -> bytes:
    """Login Accepted: the next sequenced packet has this number."""
    return _packet(b"A", f"{session:>10}{sequence:>20}".encode("ascii"))


def rejected(reason: bytes) -> bytes:
    """Login Rejected."""
    return _packet(b"J", reason)


def debug(text: str) -> bytes:
    """A Debug packet, for people."""
    return _packet(b"+", text.encode("ascii", "replace")[: MAX_PACKET - 1])


def _packet(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 1).to_bytes(2, "big") + kind + content
