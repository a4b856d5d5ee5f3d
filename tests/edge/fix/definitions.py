"""Runs acceptance definitions of the QuickFIX project against this session layer. Time passes when it is waited for.

The format: `iCONNECT` and `iDISCONNECT` are done to the acceptor, `eDISCONNECT` is expected of it; `I<message>` is
sent, `E<message>` is expected. `i2,` and the like name one of several connections. `<TIME+n>` is now, n seconds later.
A message without 9 or 10 gets right ones. Fields are compared in order; those in `fields.fmt` by pattern.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lockstep.edge.fix import tags
from lockstep.edge.fix.dictionary import Dictionary
from lockstep.edge.fix.session import Session
from lockstep.edge.fix.times import NS, timestamp
from lockstep.edge.fix.values import (
    Accepted,
    Came,
    Dropped,
    Effects,
    Event,
    Fetched,
    Numbers,
    Profile,
    Refused,
    Regenerated,
    Send,
    State,
    Ticked,
)
from lockstep.edge.fix.wire import Field, Message

START_NS: Final = 1_780_000_000 * NS
TICK_NS: Final = NS // 10
PATIENCE_NS: Final = 60 * NS

TEXTS: Final[dict[str, str]] = {}
"""Texts (58) that are worded otherwise here: theirs, ours. None is."""

_TIME: Final = re.compile(rb"<TIME([+-]\d+)?>")
_LINE: Final = re.compile(rb"([ieIE])(?:(\d+),)?(.*)", re.DOTALL)


class Unexpected(AssertionError):
    """A definition does not hold."""


@dataclass
class Connection:
    """One connection to the acceptor, seen from the definition."""

    session: Session
    said: deque[bytes] = field(default_factory=deque)
    closed: bool = False


@dataclass
class Acceptor:
    """A venue with one client, and an application that sends orders and definitions back."""

    dictionary: Dictionary
    client: bytes
    now_ns: int = START_NS
    numbers: Numbers = field(default_factory=Numbers)
    holder: Connection | None = None
    """The connection that has the session."""
    sent: dict[tuple[int, int], Regenerated] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    """ClOrdIDs."""

    def connect(self) -> Connection:
        """A new connection."""
        profile = Profile(self.dictionary, b"ISLD", reset_on_logon=True)
        return Connection(Session(profile, self.now_ns))

    def do(self, connection: Connection, event: Event) -> None:
        """One event, and all that follows from it."""
        effects = connection.session.step(event, self.now_ns)
        if effects.numbers is not None:
            self.numbers = Numbers.unpacked(effects.numbers.packed())
        if effects.send:
            connection.said.extend(part + b"\x01" for part in re.split(rb"(?<=\x0110=\d{3})\x01", effects.send) if part)
        self._answer(connection, effects)
        if effects.close:
            connection.closed = True
            if self.holder is connection:
                self.holder = None

    def _answer(self, connection: Connection, effects: Effects) -> None:
        if effects.claim is not None:
            if effects.claim.sender == self.client and self.holder is None:
                self.holder = connection
                self.do(connection, Accepted(self.numbers))
            else:
                self.do(connection, Refused("nobody of that name, or logged on already"))
        for message in effects.deliver:
            self._on_message(connection, message)
        if effects.fetch is not None:
            fetch = effects.fetch
            numbers = range(fetch.begin, fetch.end + 1)
            found = tuple(self.sent[fetch.life, number] for number in numbers if (fetch.life, number) in self.sent)
            self.do(connection, Fetched(fetch.life, fetch.begin, fetch.end, found))

    def _on_message(self, connection: Connection, message: Message) -> None:
        if message.kind not in (b"D", b"d"):
            number = message.value(tags.MSG_SEQ_NUM) or b""
            body = ((45, number), (58, b"Unsupported Message Type"), (372, message.kind), (380, b"3"))
            # The application behind the definitions names its version here, though the message has no such field.
            version = self.dictionary.appl_version
            self._send(connection, b"j", (*body, (tags.DEFAULT_APPL_VER_ID, version)) if version else body)
            return
        order = message.value(11)
        resent = message.value(tags.POSS_RESEND) == b"Y"
        if order is not None and resent and order in self.seen:
            return
        self.seen.add(order or b"")
        header = [(tags.POSS_RESEND, b"Y")] if resent else []
        skipped = self.dictionary.header.members
        body_fields = sorted(pair for pair in message.fields if pair[0] not in skipped)
        self._send(connection, message.kind, (*header, *body_fields))

    def _send(self, connection: Connection, kind: bytes, fields: tuple[Field, ...]) -> None:
        numbers = connection.session.numbers
        key = (numbers.life, numbers.next_out)
        self.sent[key] = Regenerated(numbers.next_out, kind, fields, self.now_ns)
        self.do(connection, Send(kind, fields))


class Definition:
    """One file, run against one acceptor."""

    def __init__(self, path: Path, acceptor: Acceptor, patterns: dict[int, re.Pattern[bytes]]) -> None:
        self._lines = [line.rstrip(b"\r\n") for line in path.read_bytes().split(b"\n")]
        self._acceptor = acceptor
        self._patterns = patterns
        self._connections: dict[bytes, Connection] = {}

    def run(self) -> int:
        """Returns how many messages were compared. Raises `Unexpected`."""
        compared = 0
        for number, line in enumerate(self._lines, 1):
            if not line.strip() or line.startswith(b"#"):
                continue
            found = _LINE.fullmatch(line)
            if found is None:
                raise Unexpected(f"line {number} is no step: {line!r}")
            letter, name, text = found[1], found[2] or b"1", found[3]
            try:
                if letter == b"i":
                    self._do(name, text)
                elif letter == b"I":
                    self._acceptor.do(self._connections[name], Came(completed(text, self._acceptor.now_ns)))
                elif letter == b"e":
                    self._expect_end(name)
                else:
                    self._expect(name, text)
                    compared += 1
            except Unexpected as error:
                raise Unexpected(f"line {number}, {line!r}: {error}") from None
        return compared

    def _do(self, name: bytes, text: bytes) -> None:
        if text == b"CONNECT":
            self._connections[name] = self._acceptor.connect()
        elif text == b"DISCONNECT":
            self._acceptor.do(self._connections[name], Dropped())
        else:
            raise Unexpected("what is to be done?")

    def _wait(self, connection: Connection) -> bytes | None:
        """What the acceptor says next; None if it ends the connection."""
        until_ns = self._acceptor.now_ns + PATIENCE_NS
        while not connection.said and not connection.closed:
            if self._acceptor.now_ns >= until_ns:
                raise Unexpected("nothing came in a minute")
            self._acceptor.now_ns += TICK_NS
            self._acceptor.do(connection, Ticked())
        return connection.said.popleft() if connection.said else None

    def _expect_end(self, name: bytes) -> None:
        said = self._wait(self._connections[name])
        if said is not None:
            raise Unexpected(f"{said!r} came instead")
        if self._connections[name].session.state is not State.OVER:
            raise Unexpected("the session goes on")

    def _expect(self, name: bytes, text: bytes) -> None:
        said = self._wait(self._connections[name])
        if said is None:
            raise Unexpected("the connection was ended instead")
        wanted, came = fields_of(text), fields_of(said)
        named = {tag for tag, _ in wanted}
        came = [(tag, value) for tag, value in came if tag in named or tag not in (9, 10)]
        same = len(wanted) == len(came) and all(
            tag == other and self._is_same(tag, value, actual)
            for (tag, value), (other, actual) in zip(wanted, came, strict=True)
        )
        if not same:
            raise Unexpected(f"{said!r} came instead")

    def _is_same(self, tag: int, wanted: bytes, came: bytes) -> bool:
        if tag in self._patterns:
            return self._patterns[tag].match(came) is not None
        if tag == tags.TEXT:
            return came.decode() == TEXTS.get(wanted.decode(), wanted.decode())
        return came == wanted


def patterns_of(text: str) -> dict[int, re.Pattern[bytes]]:
    """Of a `fields.fmt`."""
    pairs = (line.split("=", 1) for line in text.split())
    return {int(tag): re.compile(pattern.encode()) for tag, pattern in pairs}


def fields_of(text: bytes) -> list[tuple[int, bytes]]:
    """Of a message in a definition, or of one that came."""
    pairs = (part.split(b"=", 1) for part in text.split(b"\x01") if part)
    return [(int(tag), value) for tag, value in pairs]


def completed(text: bytes, now_ns: int) -> bytes:
    """A message as it goes over the wire: times filled in, length and sum added where they are missing."""

    def time(found: re.Match[bytes]) -> bytes:
        return timestamp(now_ns + int(found[1] or 0) * NS)[:17]

    text = _TIME.sub(time, text)
    begin, _, rest = text.partition(b"\x01")
    has_sum = re.search(rb"\x0110=", text) is not None
    if re.search(rb"\x019=", text) is None:
        body = rest[: rest.rindex(b"\x0110=") + 1] if has_sum else rest
        text = b"%b\x019=%d\x01%b" % (begin, len(body), rest)
    if not has_sum:
        text = b"%b10=%03d\x01" % (text, sum(text) & 0xFF)
    return text
