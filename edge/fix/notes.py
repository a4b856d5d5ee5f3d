"""What a FIX session puts down in the stream, as commands without effect that come back as events. Pure.

An order has no room for a ClOrdID, nor for the MsgSeqNum it came under. So each message of a client that means
something becomes a *note*, followed by at most one command: the note speaks of the command of the next number. Another
kind of note says that numbers were given to messages of the session layer (docs/adr/0046).

A note is one REFUSED command with code NOTED, or several in a row: 16 bytes each, in `order_id` and `client_order_id`.
The first byte of each is its kind, and has its highest bit set; the second byte of the first one counts those that
follow.
"""

from enum import IntEnum
from typing import Any, Final

from lockstep.stream.codes import Code
from lockstep.stream.records import CommandKind, EventKind
from lockstep.stream.values import frozen

Fields = dict[str, int]
"""Of a COMMAND; those that are missing are 0."""

_MARK: Final = 0x80
_MORE: Final = 0x7F
_FIRST: Final = 14
_NEXT: Final = 15
MAX_TEXT: Final = 64
"""Characters of a ClOrdID, or of another name of a client."""


class NoteKind(IntEnum):
    """What a note says. The numbers stand in journals: they never change."""

    SEAL = 1
    """Nothing: it uses up a number (docs/adr/0022)."""
    GIVEN = 2
    """So many numbers went to messages of the session layer, behind application message `ordinal`."""
    OPENED = 3
    """The same, and these are the first ones of a connection."""
    RESTARTED = 4
    """The same, and with them both numbers start at one again."""
    NEW = 8
    CANCEL = 9
    REPLACE = 10
    MASS_CANCEL = 11
    """The command that follows is of this kind, and came under this MsgSeqNum and ClOrdID."""
    STATUS = 16
    STATUSES = 17
    """An order's state is asked for, or that of all."""
    NOT_NEW = 20
    NOT_CHANGED = 21
    NOT_MASS_CANCELED = 22
    NOT_UNDERSTOOD = 23
    """A message was refused by the door."""


OF_COMMANDS: Final = frozenset((NoteKind.NEW, NoteKind.CANCEL, NoteKind.REPLACE, NoteKind.MASS_CANCEL))
"""Those that speak of the command of the next number."""
OF_NUMBERS: Final = frozenset((NoteKind.GIVEN, NoteKind.OPENED, NoteKind.RESTARTED))


@frozen
class Given:
    """`count` numbers went to messages of the session layer, when `ordinal` application messages had been numbered."""

    kind: NoteKind
    ordinal: int
    count: int
    next_in: int
    """All messages of the client below it were dealt with."""
    since_ns: int = 0
    """When the numbers started again."""


@frozen
class Note:
    """A message of the client. Which fields are used depends on the kind; the others are 0 or empty."""

    kind: NoteKind
    number: int = 0
    """Its MsgSeqNum."""
    name: bytes = b""
    """Its ClOrdID, or the name of the request."""
    other: bytes = b""
    """OrigClOrdID, OrdStatusReqID, or what else it names."""
    symbol: bytes = b""
    code: int = 0
    """Why it is refused."""
    tag: int = 0
    """The field it is refused for; 0: none."""
    side: int = 0
    """A character."""
    type: int = 0
    """A character: the kind of a mass request, or of a refusal."""
    instrument: int = 0


def note_commands(said: Note | Given) -> list[Fields]:
    """The commands that put it down, in order."""
    payload = _given_bytes(said) if isinstance(said, Given) else _note_bytes(said)
    first, rest = payload[:_FIRST], payload[_FIRST:]
    parts = [rest[at : at + _NEXT] for at in range(0, len(rest), _NEXT)]
    words = [bytes((_MARK | said.kind, len(parts))) + first, *(bytes((_MARK | _MORE,)) + part for part in parts)]
    return [_command(word.ljust(16, b"\0")) for word in words]


def seal_command() -> Fields:
    """Uses up a number."""
    return _command(bytes((_MARK | NoteKind.SEAL, 0)).ljust(16, b"\0"))


def _command(word: bytes) -> Fields:
    return {
        "kind": CommandKind.REFUSED,
        "order_id": int.from_bytes(word[:8], "big"),
        "client_order_id": int.from_bytes(word[8:], "big"),
        "tag": Code.NOTED,
    }


class NoteReader:
    """Puts notes together again from a session's rows.

    Invariant: the parts of a note have consecutive session numbers; one that is interrupted was never said.
    """

    def __init__(self) -> None:
        self._kind = 0
        self._payload = b""
        self._missing = 0
        self._next_no = 0

    def take(self, row: Any) -> Note | Given | None:
        """A row that is part of a note; the note, if it is the last part."""
        word = int(row["order_id"]).to_bytes(8, "big") + int(row["client_order_id"]).to_bytes(8, "big")
        number, kind = int(row["session_no"]), word[0] & _MORE
        if kind == _MORE:
            if not self._missing or number != self._next_no:
                self._missing = 0
                return None
            self._payload += word[1:]
            self._missing -= 1
        else:
            self._kind, self._missing, self._payload = kind, word[1], word[2:]
        self._next_no = number + 1
        if self._missing:
            return None
        try:
            return _said(self._kind, self._payload)
        except IndexError:
            # Shorter than it says: no door has written it.
            return None


def is_note(row: Any) -> bool:
    """Whether a row of the session is part of a note."""
    noted = row["kind"] == EventKind.REJECTED and row["code"] == Code.NOTED
    return bool(noted) and bool(int(row["order_id"]) >> 63)


def _given_bytes(given: Given) -> bytes:
    text = given.ordinal.to_bytes(5, "big") + given.count.to_bytes(2, "big") + given.next_in.to_bytes(7, "big")
    return text + given.since_ns.to_bytes(8, "big") if given.kind is NoteKind.RESTARTED else text


def _note_bytes(note: Note) -> bytes:
    head = note.number.to_bytes(7, "big") + _text(note.name)
    match note.kind:
        case NoteKind.NEW:
            return head + bytes((note.side,))
        case NoteKind.CANCEL | NoteKind.REPLACE:
            return head
        case NoteKind.MASS_CANCEL:
            return head + bytes((note.type,))
        case NoteKind.STATUSES:
            return head + bytes((note.type,)) + note.instrument.to_bytes(4, "big")
        case _:
            numbers = note.code.to_bytes(2, "big") + note.tag.to_bytes(4, "big") + bytes((note.side, note.type))
            return head + numbers + _text(note.other) + _text(note.symbol)


def _text(text: bytes) -> bytes:
    if len(text) > MAX_TEXT:
        raise ValueError(f"{len(text)} characters are more than a note has room for")
    return bytes((len(text),)) + text


def _said(kind: int, payload: bytes) -> Note | Given | None:
    """What the bytes of a note mean; None: nothing, or nothing that this version knows."""
    if kind == NoteKind.SEAL:
        return Note(NoteKind.SEAL)
    if kind in OF_NUMBERS:
        ordinal, count, next_in, since = (payload[at:end] for at, end in ((0, 5), (5, 7), (7, 14), (14, 22)))
        restarts = kind == NoteKind.RESTARTED
        since_ns = int.from_bytes(since, "big") if restarts else 0
        return Given(
            NoteKind(kind),
            int.from_bytes(ordinal, "big"),
            int.from_bytes(count, "big"),
            int.from_bytes(next_in, "big"),
            since_ns,
        )
    try:
        known = NoteKind(kind)
    except ValueError:
        return None
    number, at = int.from_bytes(payload[:7], "big"), 8 + payload[7]
    name, rest = payload[8:at], payload[at:]
    match known:
        case NoteKind.NEW:
            return Note(known, number, name, side=rest[0])
        case NoteKind.CANCEL | NoteKind.REPLACE:
            return Note(known, number, name)
        case NoteKind.MASS_CANCEL:
            return Note(known, number, name, type=rest[0])
        case NoteKind.STATUSES:
            return Note(known, number, name, type=rest[0], instrument=int.from_bytes(rest[1:5], "big"))
        case _:
            other_end = 9 + rest[8]
            symbol_end = other_end + 1 + rest[other_end]
            return Note(
                known,
                number,
                name,
                other=rest[9:other_end],
                symbol=rest[other_end + 1 : symbol_end],
                code=int.from_bytes(rest[:2], "big"),
                tag=int.from_bytes(rest[2:6], "big"),
                side=rest[6],
                type=rest[7],
            )
