"""The reconciler's memory between two checkpoints: one SQLite file with one long transaction.

Everything that moves on together (the execution's state, what clients still have to show, their logs' positions, sums
of the fills) is written here and committed at checkpoints only. So after a crash all of it stands at the same command,
and the work since then is done again; breaks are kept elsewhere (`case_file.py`) and found again under the same keys.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from lockstep.reconciler.checks import Fills, fill_sum, sessions_of
from lockstep.reconciler.proof import rows_for_session
from lockstep.reconciler.twin import Start
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.digest import Digest
from lockstep.stream.records import Events

BLOCK_SEQS: Final = 4096
"""Seqs in one sum of fills."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS start (
  id INTEGER PRIMARY KEY CHECK (id = 1), seq BLOB, epoch BLOB, timestamp_ns INTEGER, digest BLOB, state BLOB,
  range_text TEXT);
CREATE TABLE IF NOT EXISTS expected (
  session BLOB, seq INTEGER, event_index INTEGER, leg INTEGER, kind INTEGER, session_no INTEGER, order_id INTEGER,
  price_ticks INTEGER, quantity_lots INTEGER, PRIMARY KEY (session, seq, event_index, leg)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clients (
  path TEXT PRIMARY KEY, session BLOB, offset INTEGER, seq INTEGER, event_index INTEGER, leg INTEGER,
  since INTEGER, resumed INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fill_sums (block INTEGER PRIMARY KEY, number INTEGER, sum BLOB);
"""


@dataclass(slots=True)
class ClientPosition:
    """How far a client's log was compared."""

    path: str
    session_id: int
    offset: int
    last: tuple[int, int, int]
    """(seq, index, leg) of the last row compared."""
    since_seq: int
    """What the session must have received is known from the command after this one on."""
    resumed: bool = False
    """The session was taken up: rows up to `last` may stand in the log again."""


class Work:
    """See the module. Raises EnvironmentFault if the file can't be used."""

    def __init__(self, directory: Path) -> None:
        path = directory / "work.db"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._db.execute("BEGIN")
        except (sqlite3.Error, OSError) as error:
            raise EnvironmentFault(f"{path} can't be used: {error}; check the reconciler's data_dir") from error

    # ---- checkpoints -----------------------------------------------------------------------------------------------

    def start(self) -> tuple[Start, str]:
        """Where the last checkpoint stood, and the range's figures as they were given then (empty: there was none)."""
        row = self._db.execute("SELECT seq, epoch, timestamp_ns, digest, state, range_text FROM start").fetchone()
        if row is None:
            return Start(), ""
        seq, epoch, timestamp_ns, digest, state, text = row
        return Start(_number(seq), _number(epoch), timestamp_ns, Digest(digest), state), text

    def checkpoint(self, start: Start, range_text: str) -> None:
        """Make everything since the last checkpoint durable, together with this position."""
        self._db.execute(
            "INSERT OR REPLACE INTO start VALUES (1,?,?,?,?,?,?)",
            (_blob(start.seq), _blob(start.epoch), start.timestamp_ns, start.digest, start.state, range_text),
        )
        self._db.execute("COMMIT")
        self._db.execute("BEGIN")

    def clear(self) -> None:
        """Forget everything."""
        for table in ("start", "expected", "clients", "fill_sums"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this function

    def close(self) -> None:
        """Discard what came after the last checkpoint, and close."""
        self._db.execute("ROLLBACK")
        self._db.close()

    # ---- clients ---------------------------------------------------------------------------------------------------

    def clients(self) -> list[ClientPosition]:
        """All client logs known."""
        rows = self._db.execute("SELECT path, session, offset, seq, event_index, leg, since, resumed FROM clients")
        return [ClientPosition(row[0], _number(row[1]), row[2], row[3:6], row[6], bool(row[7])) for row in rows]

    def save_client(self, client: ClientPosition) -> None:
        """Add a client log, or its new position."""
        self._db.execute(
            "INSERT OR REPLACE INTO clients VALUES (?,?,?,?,?,?,?,?)",
            (
                client.path,
                _blob(client.session_id),
                client.offset,
                *client.last,
                client.since_seq,
                client.resumed,
            ),
        )

    def expect(self, events: Events, session_ids: Iterable[int]) -> None:
        """Note which of these events sessions must receive."""
        for session in sorted(sessions_of(events).intersection(session_ids)):
            rows = rows_for_session(session, events).tolist()
            self._db.executemany(
                "INSERT OR IGNORE INTO expected VALUES (?,?,?,?,?,?,?,?,?)",
                [(_blob(session), *map(_signed, row)) for row in rows],
            )

    def expected(self, session_id: int, through: tuple[int, int, int]) -> list[tuple[int, ...]]:
        """Take what a session must have received up to a report id, ascending; it is not given again."""
        parameters = (_blob(session_id), *through)
        rows = self._db.execute(
            "SELECT seq, event_index, leg, kind, session_no, order_id, price_ticks, quantity_lots FROM expected "
            "WHERE session = ? AND (seq, event_index, leg) <= (?, ?, ?) ORDER BY seq, event_index, leg",
            parameters,
        ).fetchall()
        self._db.execute("DELETE FROM expected WHERE session = ? AND (seq, event_index, leg) <= (?, ?, ?)", parameters)
        return [(*row[:4], *map(_unsigned, row[4:6]), *row[6:]) for row in rows]

    def pending_answers(self, session_id: int) -> int:
        """How many reports a session's log does not show yet."""
        query = "SELECT COUNT(*) FROM expected WHERE session = ?"
        return int(self._db.execute(query, (_blob(session_id),)).fetchone()[0])

    # ---- sums of fills ---------------------------------------------------------------------------------------------

    def add_fills(self, fills: Fills) -> None:
        """Add fills to the sums of their blocks."""
        blocks = fills["seq"] // BLOCK_SEQS
        for block in np.unique(blocks).tolist():
            mine = fills[blocks == block]
            number, total = self.fill_sum(block)
            total = (total + fill_sum(mine)) % (1 << 128)
            row = (block, number + len(mine), total.to_bytes(16, "little"))
            self._db.execute("INSERT OR REPLACE INTO fill_sums VALUES (?,?,?)", row)

    def fill_sum(self, block: int) -> tuple[int, int]:
        """(number, sum) of the fills of a block of seqs."""
        row = self._db.execute("SELECT number, sum FROM fill_sums WHERE block = ?", (block,)).fetchone()
        return (row[0], int.from_bytes(row[1], "little")) if row is not None else (0, 0)


def _blob(number: int) -> bytes:
    # SQLite's integers are signed; ids use all 64 bits.
    return number.to_bytes(8, "big")


def _number(blob: bytes) -> int:
    return int.from_bytes(blob, "big")


def _signed(number: Any) -> int:
    return int(number) - (1 << 64) if int(number) >= 1 << 63 else int(number)


def _unsigned(number: int) -> int:
    return number + (1 << 64) if number < 0 else number
