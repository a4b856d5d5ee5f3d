"""The ledger in SQLite: the default, without any set-up.

One writer in WAL mode, readers beside it with connections of their own. A commit is not synced each time: after a power
failure the last ones may be missing, all of each, and are read from the engines again.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from lockstep.posttrade.chunks import EpochBegin, Position
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import parts_of
from lockstep.posttrade.ledger.lots import Holding
from lockstep.posttrade.ledger.rows import Ints, Rows, columns_of
from lockstep.posttrade.ledger.store import KEYS, LedgerAway, LedgerUnreadable, Store, added, holding_of, lot_of
from lockstep.runtime.faults import EnvironmentFault, disk_text

_CACHE_KIB: Final = 65_536
_CHECKPOINT_PAGES: Final = 16_384
_PATIENCE_S: Final = 20.0
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DISK: Final = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_PROTOCOL,
)  # fmt: skip


def fault_of(action: str, path: Path, error: sqlite3.Error) -> Exception:
    """What an error of SQLite means: by its code, because Python raises one class for a full disk and a wrong query.

    A lock of another program passes; what a disk refuses an operator mends; anything else is as it was raised.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _LOCKED:
        text = f"the ledger {path} is locked by another program; end that one (`fuser {path}` names it)"
        return LedgerAway(text)
    if code in _DAMAGED:
        text = f"the ledger {path} is damaged or none: {error}; keep a copy for a look, and `lockstep ledger rebuild`"
        return LedgerUnreadable(f"{text} makes it anew")
    if code in _DISK:
        return EnvironmentFault(disk_text(action, f"the ledger {path}", error))
    if action == "open" and code == sqlite3.SQLITE_ERROR:
        return LedgerUnreadable(f"{path} is no ledger of this program: {error}; move it away, or rebuild it")
    return error


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
        EnvironmentFault: the file can't be used: a full or failing disk, no right to write, damage.
        LedgerAway: another program has it locked.
        LedgerUnreadable: there is none to read.
        LedgerForeign: it is of another version.
    """

    def __init__(
        self,
        path: Path,
        step: Callable[[str], None] | None = None,
        *,
        write: bool = True,
        any_version: bool = False,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """`write`: not for one that only reads. `patience_s`: how long to wait for a lock of another program."""
        super().__init__(step)
        self.path = path
        self._db: sqlite3.Connection
        with self._faults("open"):
            if not write and not path.exists():
                raise LedgerUnreadable(f"there is no ledger {path}; `lockstep ledger run` makes one")
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=patience_s)
        try:
            with self._faults("open"):
                self._prepare(write=write)
            if not any_version:
                self.position()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, *, write: bool) -> None:
        if not write:
            self._db.execute("PRAGMA query_only=ON")
            self._db.execute("SELECT count(*) FROM position")
            return
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

    @contextmanager
    def _faults(self, action: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise fault_of(action, self.path, error) from error

    def write(self, rows: Rows, epochs: Sequence[EpochBegin], before: Position, after: Position) -> None:
        """See `Store`."""
        with self._faults("write"):
            super().write(rows, epochs, before, after)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `Store`."""
        with self._faults("read"):
            return self._db.execute(sql, tuple(values)).fetchall()

    def has_table(self, name: str) -> bool:
        """See `Store`."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)))

    def holdings(self, keys: list[int]) -> dict[int, Holding]:
        """See `Store`."""
        with self._faults("read"):
            return self._holdings(keys)

    def _holdings(self, keys: list[int]) -> dict[int, Holding]:
        found: dict[int, Holding] = {}
        for key in keys:
            place = parts_of(key)
            row = self._db.execute(_BALANCE, place).fetchone()
            if row is not None:
                holding = found[key] = holding_of(row)
                if place[1]:
                    holding.lots.extend(map(lot_of, self._db.execute(_OPEN_LOTS, place)))
        return found

    def hold_still(self) -> None:
        """See `Store`."""
        with self._faults("read"):
            self._db.execute("BEGIN")
            # The state is the one of the first query.
            self._db.execute("SELECT seq FROM position").fetchall()

    def close(self) -> None:
        """See `Store`."""
        self._db.close()

    def _begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    def _rollback(self) -> None:
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:
                # What was raised before says what is wrong; without a connection there is no transaction.
                self._db.close()

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
        changes += [f"{name}={added(name, f'?{place}')}" for place, name in enumerate(add, 2 + len(put))]
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
    "SELECT amount, amount_high, cost_micros, profit_micros, fifo_profit_micros, updated_seq FROM balances "
    "WHERE account=? AND instrument=?"
)
_OPEN_LOTS: Final = (
    "SELECT seq, event_index, leg, lots, micros, open_lots, open_micros, timestamp_ns FROM lots "
    "WHERE account=? AND instrument=? AND open_lots != 0 ORDER BY seq, event_index, leg"
)
