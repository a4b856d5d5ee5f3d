"""The ledger in SQLite: the default, without any set-up.

One writer in WAL mode, readers beside it with connections of their own. A commit is not synced each time: after a power
failure the last ones may be missing, all of each, and are read from the engines again.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from lockstep.posttrade.chunks import Position
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import parts_of
from lockstep.posttrade.ledger.lots import Holding
from lockstep.posttrade.ledger.rows import Ints, columns_of
from lockstep.posttrade.ledger.store import KEYS, LedgerForeign, Store, holding_of, lot_of
from lockstep.runtime.process import EnvironmentFault

_CACHE_KIB: Final = 65_536
_CHECKPOINT_PAGES: Final = 16_384
_PATIENCE_S: Final = 20.0


def _statements() -> list[str]:
    dialect = sqlite.dialect()
    made = [str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)) for table in schema.DIGESTED]
    for table in schema.DIGESTED:
        indexes = sorted(table.indexes, key=lambda one: str(one.name))
        made += [str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)) for index in indexes]
    return made


def _marks(count: int) -> str:
    return ",".join("?" * count)


class SqliteStore(Store):
    """See the module.

    Raises:
        EnvironmentFault: the file can't be used.
        LedgerForeign: it is of another version.
    """

    def __init__(self, path: Path, step: Callable[[str], None] | None = None) -> None:
        super().__init__(step)
        self.path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE_S)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            # A page that many commits change is copied into the file once.
            self._db.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            self._db.execute("BEGIN IMMEDIATE")
            for statement in _statements():
                self._db.execute(statement)
            self._db.execute("INSERT OR IGNORE INTO position VALUES (1, 0, 0, 0, ?)", (schema.VERSION,))
            self._db.execute("COMMIT")
            self.position()
        except sqlite3.Error as error:
            raise EnvironmentFault(f"the ledger {path} can't be used: {error}; move it away, or rebuild it") from error
        except LedgerForeign:
            self._db.close()
            raise

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `Store`."""
        return self._db.execute(sql, tuple(values)).fetchall()

    def holdings(self, keys: list[int]) -> dict[int, Holding]:
        """See `Store`."""
        found: dict[int, Holding] = {}
        for key in keys:
            place = parts_of(key)
            row = self._db.execute(_BALANCE, place).fetchone()
            if row is not None:
                holding = found[key] = holding_of(row)
                if place[1]:
                    holding.lots.extend(map(lot_of, self._db.execute(_OPEN_LOTS, place)))
        return found

    def close(self) -> None:
        """See `Store`."""
        self._db.close()

    def _begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _insert(self, table: str, rows: Ints) -> None:
        if len(rows):
            self._db.executemany(f"INSERT INTO {table} VALUES ({_marks(rows.shape[1])})", rows.tolist())  # noqa: S608

    def _replace(self, table: str, rows: Ints) -> None:
        if len(rows):
            self._db.executemany(_upsert(table), rows.tolist())

    def _update(self, table: str, key: str, put: Sequence[str], add: Sequence[str], rows: Ints) -> None:
        if not len(rows):
            return
        changes = [f"{name}=?{place}" for place, name in enumerate(put, 2)]
        changes += [f"{name}={name}+?{place}" for place, name in enumerate(add, 2 + len(put))]
        self._db.executemany(f"UPDATE {table} SET {', '.join(changes)} WHERE {key}=?1", rows.tolist())  # noqa: S608

    def _put(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        self._db.executemany(_upsert(table), rows)

    def _advance(self, before: Position, after: Position) -> int:
        sql = "UPDATE position SET seq=?, epoch=?, timestamp_ns=? WHERE id=1 AND seq=? AND epoch=?"
        values = (after.seq, after.epoch, after.timestamp_ns, before.seq, before.epoch)
        return self._db.execute(sql, values).rowcount


def _upsert(table: str) -> str:
    names = columns_of(table)
    rest = [name for name in names if name not in KEYS[table]]
    changes = ", ".join(f"{name}=excluded.{name}" for name in rest)
    keys = ", ".join(KEYS[table])
    return f"INSERT INTO {table} VALUES ({_marks(len(names))}) ON CONFLICT ({keys}) DO UPDATE SET {changes}"  # noqa: S608


_BALANCE: Final = (
    "SELECT amount, cost_micros, profit_micros, fifo_profit_micros, updated_seq FROM balances "
    "WHERE account=? AND instrument=?"
)
_OPEN_LOTS: Final = (
    "SELECT seq, event_index, leg, lots, micros, open_lots, open_micros, timestamp_ns FROM lots "
    "WHERE account=? AND instrument=? AND open_lots != 0 ORDER BY seq, event_index, leg"
)
