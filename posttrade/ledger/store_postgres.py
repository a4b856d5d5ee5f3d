"""The ledger in PostgreSQL: rows go in by COPY, as columns of 64-bit integers in the binary format.

What is new is copied into its table; what may be there is copied into a temporary table and merged by one statement.
Nothing is built row by row in Python. One connection, one transaction for each chunk.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import numpy as np
import psycopg
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from lockstep.posttrade.chunks import Position
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import key_of, parts_of
from lockstep.posttrade.ledger.lots import Holding
from lockstep.posttrade.ledger.postgres_link import ANSWER_S, DEAD_S, away, connect, limited
from lockstep.posttrade.ledger.rows import Ints, columns_of
from lockstep.posttrade.ledger.store import KEYS, LedgerTaken, LedgerUnreadable, Store, added, holding_of, lot_of
from lockstep.runtime.faults import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TAIL: Final = b"\xff\xff"
_LOCK_CLASS: Final = 0x4C4B4C47  # "LKLG"
_LOCK_LOOK_S: Final = 0.25


def copy_bytes(rows: Ints) -> bytes:
    """Rows of 64-bit integers in the binary format of COPY: for each its number of fields, for each field its length
    and bytes, all in network order."""
    count, width = rows.shape
    layout = [("fields", ">i2")]
    for place in range(width):
        layout += [(f"length{place}", ">i4"), (f"value{place}", ">i8")]
    made = np.empty(count, dtype=layout)
    made["fields"] = width
    for place in range(width):
        made[f"length{place}"] = 8
        made[f"value{place}"] = rows[:, place]
    return _HEAD + made.tobytes() + _TAIL


def _ddl(name: str) -> list[str]:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = [f'CREATE SCHEMA IF NOT EXISTS "{name}"', f'SET search_path TO "{name}"']
    for table in schema.DIGESTED:
        made.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
        indexes = sorted(table.indexes, key=lambda one: str(one.name))
        made += [str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)) for index in indexes]
    # Rows that change in their place need room on their page.
    made += [f"ALTER TABLE {table} SET (fillfactor = 60)" for table in ("orders", "balances", "lots")]
    return made


class PostgresStore(Store):
    """See the module. `name`: the schema that holds the tables.

    Raises:
        EnvironmentFault: the database can't be used.
        LedgerAway: it does not answer.
        LedgerTaken: another process writes there.
        LedgerUnreadable: there is none to read.
        LedgerForeign: it is of another version.
    """

    def __init__(
        self,
        url: str,
        name: str,
        step: Callable[[str], None] | None = None,
        *,
        write: bool = True,
        any_version: bool = False,
        owner: str = "",
        patience_s: float = DEAD_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        """`write`: not for one that only reads.

        `owner`: names whoever opens this store again after its connection was lost: what is left of that one is ended.
        `patience_s`: how long to wait for another one's session to end. `answer_s`: how long for one statement.
        """
        super().__init__(step)
        self._temporary: set[str] = set()
        self._answer_s = answer_s
        self._owner = owner or uuid4().hex
        self._db = connect(url, f"lockstep-ledger {self._owner}", answer_s=answer_s)
        try:
            if write:
                # Before anything else: a dead writer's transaction may hold the tables.
                self._hold(name, patience_s)
            self._prepare(name, write=write)
            if not any_version:
                self.position()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, name: str, *, write: bool) -> None:
        try:
            with self._asking():
                with self._db.transaction():
                    for statement in _ddl(name) if write else [f'SET search_path TO "{name}"']:
                        self._db.execute(statement)  # our own names
                    if write:
                        sql = "INSERT INTO position VALUES (1, 0, 0, 0, %s) ON CONFLICT DO NOTHING"
                        self._db.execute(sql, (schema.VERSION,))
                self._db.execute(f'SET search_path TO "{name}"')
                self._db.execute("SELECT count(*) FROM position")
        except psycopg.errors.UndefinedTable as error:
            text = f"there is no ledger in schema {name} of this database; `lockstep ledger run` makes one"
            raise LedgerUnreadable(text) from error
        except psycopg.Error as error:
            raise EnvironmentFault(f"the ledger in schema {name} can't be used: {error}; see --database") from error

    def _hold(self, name: str, patience_s: float) -> None:
        """Be the one writer. A session that was ours, and that the server still believes in, is ended."""
        give_up_s = time.monotonic() + patience_s
        while True:
            with self._asking():
                found = self._db.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_LOCK_CLASS, name))
                if (found.fetchone() or (False,))[0]:
                    return
                holder = self._db.execute(_HOLDER, (_LOCK_CLASS, name)).fetchone()
                if holder is not None and holder[1] == f"lockstep-ledger {self._owner}":
                    self._db.execute("SELECT pg_terminate_backend(%s)", (holder[0],))
            if time.monotonic() >= give_up_s:
                who = f"backend {holder[0]} from {holder[2] or 'this host'}, since {holder[3]}" if holder else "unknown"
                raise LedgerTaken(
                    f"another process writes into schema {name} of this database ({who}); stop it, or name another "
                    "database. What is left of a process that died, PostgreSQL ends by itself after some seconds"
                )
            time.sleep(_LOCK_LOOK_S)

    @contextmanager
    def _asking(self) -> "Iterator[None]":
        """One statement, or some short ones: in time, or the database is away."""
        with away(), limited(self._db, self._answer_s):
            yield

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See `Store`."""
        with self._asking():
            return self._db.execute(sql.replace("?", "%s"), tuple(values)).fetchall()

    def has_table(self, name: str) -> bool:
        """See `Store`."""
        return self.rows("SELECT to_regclass(?) IS NOT NULL", (name,)) == [(True,)]

    def holdings(self, keys: list[int]) -> dict[int, Holding]:
        """See `Store`."""
        places = [parts_of(key) for key in keys]
        asked = ([place[0] for place in places], [place[1] for place in places])
        found: dict[int, Holding] = {}
        with self._asking():
            for account, instrument, *row in self._db.execute(_BALANCES, asked).fetchall():
                found[key_of(account, instrument)] = holding_of(row)
            for account, instrument, *row in self._db.execute(_OPEN_LOTS, asked).fetchall():
                found[key_of(account, instrument)].lots.append(lot_of(row))
        return found

    def hold_still(self) -> None:
        """See `Store`."""
        with self._asking():
            self._db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def close(self) -> None:
        """See `Store`."""
        self._db.close()

    def _begin(self) -> None:
        with self._asking():
            self._db.execute("BEGIN")

    def _commit(self) -> None:
        with self._asking():
            self._db.execute("COMMIT")

    def _rollback(self) -> None:
        if not self._db.closed and self._db.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            try:
                with limited(self._db, self._answer_s):
                    self._db.execute("ROLLBACK")
            except psycopg.Error:
                self._db.close()

    def _copy(self, table: str, rows: Ints) -> None:
        with (
            self._asking(),
            self._db.cursor() as cursor,
            cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.write(copy_bytes(rows))

    def _insert(self, table: str, rows: Ints) -> None:
        if len(rows):
            self._copy(table, rows)

    def _fresh(self, name: str, columns: Sequence[str], rows: Ints) -> None:
        """A temporary table of this connection with these rows, in place of what it had."""
        with self._asking():
            if name not in self._temporary:
                fields = ", ".join(f"{column} bigint" for column in columns)
                self._db.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ({fields})")
            self._db.execute(f"TRUNCATE {name}")
        self._copy(name, rows)

    def _replace(self, table: str, rows: Ints) -> None:
        if len(rows):
            names = columns_of(table)
            self._fresh(f"new_{table}", names, rows)
            with self._asking():
                self._db.execute(f"INSERT INTO {table} SELECT * FROM new_{table} {_merge(table)}")  # noqa: S608

    def _update(self, table: str, key: str, put: Sequence[str], add: Sequence[str], rows: Ints) -> None:
        if not len(rows):
            return
        name = f"changed_{table}_{len(put)}_{len(add)}"
        self._fresh(name, (key, *put, *add), rows)
        changes = [f"{column} = n.{column}" for column in put] + [
            f"{column} = {added(f'o.{column}', f'n.{column}')}" for column in add
        ]
        with self._asking():
            sql = f"UPDATE {table} o SET {', '.join(changes)} FROM {name} n WHERE o.{key} = n.{key}"  # noqa: S608
            self._db.execute(sql)

    def _put(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        found = list(rows)
        if found:
            marks = ", ".join(["%s"] * len(found[0]))
            sql = f"INSERT INTO {table} VALUES ({marks}) {_merge(table)}"  # noqa: S608
            with self._asking(), self._db.cursor() as cursor:
                cursor.executemany(sql, found)

    def _advance(self, before: Position, after: Position) -> int:
        sql = "UPDATE position SET seq=%s, epoch=%s, timestamp_ns=%s WHERE id=1 AND seq=%s AND epoch=%s"
        values = (after.seq, after.epoch, after.timestamp_ns, before.seq, before.epoch)
        with self._asking():
            return self._db.execute(sql, values).rowcount


def _merge(table: str) -> str:
    rest = [name for name in columns_of(table) if name not in KEYS[table]]
    changes = ", ".join(f"{name} = excluded.{name}" for name in rest)
    return f"ON CONFLICT ({', '.join(KEYS[table])}) DO UPDATE SET {changes}"


_HOLDER: Final = """
SELECT a.pid, a.application_name, host(a.client_addr), date_trunc('second', a.backend_start)::text
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = %s AND l.objid::bigint = hashtext(%s)::bigint & 4294967295
"""
_ASKED: Final = "JOIN unnest(%s::bigint[], %s::bigint[]) AS k(a, i) ON t.account = k.a AND t.instrument = k.i"
_BALANCES: Final = (
    "SELECT t.account, t.instrument, amount, amount_high, cost_micros, profit_micros, fifo_profit_micros, updated_seq "
    "FROM balances t " + _ASKED
)
_OPEN_LOTS: Final = (
    "SELECT t.account, t.instrument, seq, event_index, leg, lots, micros, open_lots, open_micros, timestamp_ns "
    "FROM lots t " + _ASKED + " WHERE t.open_lots != 0 ORDER BY seq, event_index, leg"
)
