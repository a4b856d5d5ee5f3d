"""Whose pseudonyms there are: accounts, clients and their sessions. How a pseudonym follows from a key. Pure."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ACCOUNT: Final = "account"
CLIENT: Final = "client"
SESSION: Final = "session"
KINDS: Final = (ACCOUNT, CLIENT, SESSION)
CLIENT_SHIFT: Final = 32
"""A session's number begins with its client's."""
_DIGITS: Final = {ACCOUNT: 32, CLIENT: 32, SESSION: 16}
"""Hexadecimal digits of a pseudonym. There are many sessions, and each record has one."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose pseudonym."""

    kind: str
    """`account`; `client`: whose session it was; `session`: which one."""
    number: int

    @property
    def text(self) -> str:
        """Who it is."""
        return f"{self.kind} {self.number}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pseudonym at a place of the history."""

    subject: Subject
    seq: int
    place: str
    """Where exactly: which record of the seq, and which of its fields."""
    from_beginning: bool
    """The asker has seen all of the history, and this is the first place where the subject comes up."""


@dataclass(frozen=True, slots=True)
class Named:
    """A pseudonym, and from which seq to which it counts."""

    pseudonym: str
    from_seq: int
    to_seq: int


def pseudonym_of(key: bytes, subject: Subject) -> str:
    """128 bits of HMAC-SHA256(key, who it is), hexadecimal; of a session 64."""
    return hmac.new(key, subject.text.encode(), hashlib.sha256).hexdigest()[: _DIGITS[subject.kind]]


def subject_from(text: bytes) -> Subject:
    """What `Subject.text` has written."""
    kind, _, number = text.decode("ascii").partition(" ")
    return Subject(kind, int(number))


def share_purpose(pseudonym: str) -> bytes:
    """What a sealed share is for: it opens nothing else."""
    return f"share {pseudonym}".encode()


def subjects_of(accounts: Iterable[int], clients: Iterable[int]) -> list[Subject]:
    """As a command line names them."""
    return [*(Subject(ACCOUNT, one) for one in accounts), *(Subject(CLIENT, one) for one in clients)]
