"""Command records, one after the other, under the running numbers of one session."""

import struct
from typing import Any, Final

import numpy as np

from lockstep.engine.command_arguments import U64, whole
from lockstep.engine.contract import MatchingEngine
from lockstep.stream.records import COMMAND, CommandKind, Commands

_FIRST_CONTROL: Final = int(CommandKind.EPOCH_START)
"""From this kind on commands are the stream's own, and have no session."""


def record_struct(layout: "np.dtype[Any]") -> tuple[struct.Struct, tuple[str, ...]]:
    """A record layout as a `struct`, and the names of its fields in order; reserved bytes are left out."""
    letters = {"u1": "B", "u2": "H", "u4": "I", "u8": "Q", "i8": "q"}
    names, parts = [], ["<"]
    for name in layout.names or ():
        field = layout[name]
        if field.kind == "V":
            parts.append(f"{field.itemsize}x")
            continue
        names.append(name)
        parts.append(f"{field.itemsize}s" if field.kind == "S" else letters[field.str[1:]])
    return struct.Struct("".join(parts)), tuple(names)


class Layout:
    """How the records of one overlay are packed; fields that are not given are 0."""

    __slots__ = ("_blank", "_pack", "_places")

    def __init__(self, layout: "np.dtype[Any]") -> None:
        packer, names = record_struct(layout)
        self._pack = packer.pack
        self._blank: list[Any] = [b"" if layout[name].kind == "S" else 0 for name in names]
        self._places = {name: place for place, name in enumerate(names)}

    def pack(self, fields: dict[str, Any]) -> bytes:
        """One record of 128 bytes."""
        values = self._blank.copy()
        places = self._places
        for name, value in fields.items():
            values[places[name]] = value
        return self._pack(*values)


class CommandRows:
    """Commands that wait to be taken, numbered by one session. The session is this builder's alone."""

    def __init__(self, *, session_id: int = 1, first_no: int = 1) -> None:
        """A builder for a session whose next number is `first_no`; `of` asks an engine for it.

        Raises:
            ValueError: session or number is not in 1..2^64 - 1.
        """
        self._session_id = whole("session_id", session_id, 1, U64)
        self._next_no = self._first_no = whole("first_no", first_no, 1, U64)
        self._rows: list[bytes] = []

    @classmethod
    def of[B: "CommandRows"](cls: type[B], engine: MatchingEngine, *, session_id: int = 1) -> B:
        """A builder that goes on where a session of this engine stands; new sessions begin with number 1.

        Raises:
            ValueError: the session is not in 1..2^64 - 1.
        """
        whole("session_id", session_id, 1, U64)
        return cls(session_id=session_id, first_no=engine.session_last_no(session_id) + 1)

    @property
    def session_id(self) -> int:
        """The session of all commands."""
        return self._session_id

    @property
    def first_no(self) -> int:
        """Number of the first command that waits; the next one's if none does."""
        return self._first_no

    @property
    def next_no(self) -> int:
        """Number of the next command."""
        return self._next_no

    def __len__(self) -> int:
        """How many commands wait."""
        return sum(map(len, self._rows)) // COMMAND.itemsize

    def pending(self) -> Commands:
        """The commands that wait, as an array of dtype COMMAND, shape (len(self),); they go on waiting."""
        return np.frombuffer(b"".join(self._rows), dtype=COMMAND)

    def take(self) -> Commands:
        """The same, and none waits any more: the caller applies them, in this order, before others of the session."""
        rows = self.pending()
        self._rows.clear()
        self._first_no = self._next_no
        return rows

    def drop(self) -> None:
        """Forget the commands that wait; their numbers are given again."""
        self._rows.clear()
        self._next_no = self._first_no

    def add_rows(self, rows: Commands) -> int:
        """Add records made by hand, column by column, which is the fast way for many.

        Session and number of the copy that is kept are set here; all else is as given, unchecked: what is wrong with it
        the engine says, by a refusal.

        Args:
            rows: dtype COMMAND or an overlay of it, shape (n,).

        Returns:
            The number of the first of them.

        Raises:
            ValueError: no one-dimensional array of 128-byte records.
        """
        if not isinstance(rows, np.ndarray) or rows.ndim != 1 or rows.dtype.itemsize != COMMAND.itemsize:
            raise ValueError(f"rows must be a one-dimensional array of {COMMAND.itemsize}-byte command records")
        copy = np.frombuffer(bytearray(rows.tobytes()), dtype=COMMAND)
        numbered = copy["kind"] < _FIRST_CONTROL
        first, count = self._next_no, int(numbered.sum())
        copy["session_id"][numbered] = self._session_id
        copy["session_no"][numbered] = np.uint64(first) + np.arange(count, dtype=np.uint64)
        self._rows.append(copy.tobytes())
        self._next_no += count
        return first

    def _add(self, layout: Layout, kind: CommandKind, fields: dict[str, Any]) -> int:
        """Number and keep one command, which was checked; returns its number, 0 for the stream's own."""
        if kind >= _FIRST_CONTROL:
            self._rows.append(layout.pack({"kind": kind, **fields}))
            return 0
        number = self._next_no
        self._rows.append(layout.pack({"kind": kind, "session_id": self._session_id, "session_no": number, **fields}))
        self._next_no = number + 1
        return number
