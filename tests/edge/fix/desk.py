"""An engine and a FIX session at it, without a cluster between them: doors that write notes, and die."""

from random import Random
from typing import Any

import numpy as np

from lockstep.edge.fix.entry import Entry
from lockstep.edge.fix.notes import Fields, Given, NoteKind, note_commands, seal_command
from lockstep.edge.fix.story import Story
from lockstep.edge.fix.symbols import Symbols
from lockstep.edge.fix.wire import Message
from lockstep.engine import EngineDriver
from lockstep.gateway.reports import join, route
from lockstep.stream.records import COMMAND

SESSION = 5 << 32 | 1 << 31 | 7
NOON_NS = 1_796_000_000_000_000_000


def message(kind: str, fields: dict[str, str]) -> Message:
    return Message(b"FIX.4.4", kind.encode(), tuple((int(tag), text.encode()) for tag, text in fields.items()))


class Desk:
    """What a door does: numbers commands, reads rows, gives numbers to the session layer."""

    def __init__(self, engine_type: Any) -> None:
        self._engine = engine_type()
        self._desk = EngineDriver(self._engine)
        self._now_ns = NOON_NS
        add = self._desk.commands
        add.define_instrument(instrument=1, symbol="ACME", tick_micros=10_000)
        add.define_account(account=1, name="A1", unlimited_cash=True, unlimited_positions=True)
        self._desk.apply(self._now_ns)
        self._seq = self._engine.last_seq + 1
        self.symbols = Symbols()
        self.symbols.define(1, b"ACME", 10_000, 1)
        self._rows: list[Any] = []
        self._unread = 0
        self._last_no = 0
        self._waiting: list[tuple[int, int, int]] = []
        self.restart_door()

    def restart_door(self) -> None:
        """A gateway that has just read all rows."""
        self.story = self.reader()
        self._unread = len(self._rows)
        self.story.live = True
        self.entry = Entry(self.story, self.symbols, SESSION, 1, ())
        self._sent: dict[int, object] = {}
        self._told = self.story.count
        self._waiting.clear()

    def reader(self) -> Story:
        """Another gateway, that reads all rows."""
        story = Story(self.symbols, SESSION)
        if self._rows:
            rows = join(self._rows)
            story.take(rows.rows, rows.legs)
        return story

    def put(self, commands: list[Fields]) -> None:
        """Execute commands under the session's next numbers."""
        records = np.zeros(len(commands), dtype=COMMAND)
        for at, fields in enumerate(commands):
            for name, value in fields.items():
                records[name][at] = value
        records["session_id"] = SESSION
        records["session_no"] = np.arange(self._last_no + 1, self._last_no + 1 + len(commands), dtype=np.uint64)
        self._last_no += len(commands)
        self._now_ns += 1_000_000
        events = self._engine.apply(records, first_seq=self._seq, timestamp_ns=self._now_ns)
        self._seq += len(commands)
        routed = route(events, SESSION)
        if routed is not None:
            self._rows.append(routed.of(0))

    def send(self, said: Message, only: int | None = None) -> int:
        """A client's message; how many commands it became. `only`: so many of them reach the engine."""
        commands = self.entry.commands(said)
        if commands:
            self.put(commands[:only])
        return len(commands)

    def seal(self, count: int) -> None:
        """The next connection uses up numbers."""
        self.put([seal_command()] * count)

    def open(self, next_in: int = 1) -> None:
        """The first note of a connection."""
        self.give(1, NoteKind.OPENED, next_in)

    def give(self, count: int, kind: NoteKind = NoteKind.GIVEN, next_in: int = 1) -> None:
        """Numbers for the session layer, in front of the next report that is read."""
        given = Given(kind, self.story.count, count, next_in)
        number = self.story.next_out
        self.story.numbering.give(given.ordinal, count)
        self.put(note_commands(given))
        self._waiting.append((self._last_no, number, count))

    def read(self) -> None:
        """All rows that there are."""
        for part in self._rows[self._unread :]:
            self.story.take(part.rows, part.legs)
        self._unread = len(self._rows)

    def sent(self) -> dict[int, object]:
        """What has gone to the client on this connection, by number: all whose notes have come back."""
        for need_no, number, count in self._waiting:
            if need_no <= self.story.seen_no:
                self._sent |= dict.fromkeys(range(number, number + count), "session layer")
        for ordinal in range(self._told, self.story.count):
            self._sent[self.story.numbering.number_of(ordinal)] = self.story.bodies[ordinal]
        return self._sent

    @property
    def numbers(self) -> list[int]:
        """Of all reports, as this door counts."""
        return [self.story.numbering.number_of(at) for at in range(self.story.count)]

    def die(self, dice: Random) -> None:
        """The door dies; the next connection seals, some numbers of which commands of the dead one still take."""
        self.seal(dice.randrange(1, 4))
        if dice.random() < 0.5:
            self.put(note_commands(Given(NoteKind.GIVEN, self.story.count, 1, 1)))
        self.seal(4)
