"""Where alerts lie: a file of SQLite, one transaction for each chunk of the stream and for each request.

Between any two steps of `Store.write` the process may be killed: then none of it is there. `step` is called before
each of them, for the tests that do that.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from lockstep.posttrade.alerts import codec, schema
from lockstep.posttrade.alerts.machine import Alert, AlertMachine, Firing, Request
from lockstep.posttrade.alerts.world import Account, Instrument, Order, World
from lockstep.posttrade.chunks import EpochBegin, Position
from lockstep.posttrade.follower import SinkAway
from lockstep.runtime.faults import EnvironmentFault, disk_text

KEEP_FIRINGS: Final = 10_000
"""Of one owner; older ones are dropped."""
PATIENCE_S: Final = 20.0
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class AlertsAway(SinkAway):
    """The file is locked by another program; nothing was stored."""


class AlertsForeign(EnvironmentFault):
    """What is there is none of this version. The text says what to do."""


class AlertsTaken(EnvironmentFault):
    """Somebody else writes into the same file. The text says what to do."""


@dataclass(slots=True)
class Output:
    """What a transaction has to store, beside what the world and the machine have marked as changed."""

    firings: list[Firing] = field(default_factory=list)
    epochs: Sequence[EpochBegin] = ()
    request: Request | None = None
    """A new one."""
    requests: int = 0
    """The last that counts."""
    opened_seq: int = 0


@contextmanager
def faults(action: str, path: Path) -> Iterator[None]:
    """What an error of SQLite means: a lock passes, a disk's refusal an operator mends."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _LOCKED:
            raise AlertsAway(f"{path} is locked by another program; `fuser {path}` names it") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            text = (
                f"{path} is damaged: {error}; keep a copy for a look, put back a backup, then `lockstep alerts rebuild`"
            )
            raise EnvironmentFault(text) from error
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise EnvironmentFault(disk_text(action, str(path), error)) from error
        raise


def connect(path: Path) -> sqlite3.Connection:
    """A connection that waits for locks."""
    made = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=PATIENCE_S)
    made.execute("PRAGMA journal_mode=WAL")
    # Requests of users are in no journal of the cluster: what was answered must be on the disk.
    made.execute("PRAGMA synchronous=FULL")
    return made


def columns_of(table: Table) -> str:
    """Their names, as SQL."""
    return ", ".join(column.name for column in table.columns)


class Store:
    """See the module. Belongs to one thread.

    Raises:
        EnvironmentFault: the file can't be used.
        AlertsAway: another program has it locked.
        AlertsForeign: it is of another version.
    """

    def __init__(self, path: Path, step: Callable[[str], None] | None = None) -> None:
        self.path = path
        self._step = step or (lambda _what: None)
        self._forget = False
        with faults("open", path):
            # Secrets of webhooks are in it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = connect(path)
            self._db.execute("BEGIN IMMEDIATE")
            dialect = sqlite.dialect()
            for table in schema.METADATA.sorted_tables:
                self._db.execute(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
            self._db.execute("INSERT OR IGNORE INTO position VALUES (1, 0, 0, 0, 0, 0, ?)", (schema.VERSION,))
            self._db.execute("COMMIT")
        version = self.rows("SELECT version FROM position")[0][0]
        if version != schema.VERSION:
            self._db.close()
            text = f"{path} is of version {version}, this program has {schema.VERSION}; use the program that wrote it"
            raise AlertsForeign(text)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with faults("read", self.path):
            return self._db.execute(sql, tuple(values)).fetchall()

    def table(self, table: Table) -> list[tuple[Any, ...]]:
        """All of a table, by its key."""
        keys = ", ".join(column.name for column in table.primary_key)
        return self.rows(f"SELECT * FROM {table.name} ORDER BY {keys}")  # noqa: S608 - names of ours

    def position(self) -> tuple[Position, int, int]:
        """How far it is, the last request that counts, and the seq of the snapshot that it begins with."""
        seq, epoch, stamp, requests, opened = self.rows(
            "SELECT seq, epoch, timestamp_ns, requests, opened_seq FROM position"
        )[0]
        return Position(seq, epoch, stamp), requests, opened

    def epochs(self) -> list[EpochBegin]:
        """All up to there."""
        return [EpochBegin(*row) for row in self.table(schema.EPOCHS)]

    def world(self) -> World:
        """As stored."""
        world = World()
        world.load(
            (Instrument(*row) for row in self.table(schema.INSTRUMENTS)),
            (Account(*row) for row in self.table(schema.ACCOUNTS)),
            (_order(row) for row in self.table(schema.ORDERS)),
            self.table(schema.POSITIONS),
        )
        return world

    def alerts(self) -> list[Alert]:
        """As stored."""
        return [codec.alert_of(row) for row in self.table(schema.ALERTS)]

    def fired(self) -> dict[int, int]:
        """The number of each owner's last firing."""
        return dict(self.table(schema.OWNERS))

    def requests(self, after: int) -> list[Request]:
        """Those behind a number, in order."""
        rows = self.rows("SELECT * FROM requests WHERE number > ? ORDER BY number", (after,))
        return [codec.request_of(row) for row in rows]

    # ---- writing ---------------------------------------------------------------------------------------------------

    def write(self, machine: AlertMachine, out: Output, before: Position, after: Position) -> None:
        """Store what has changed and the position, or nothing.

        Raises:
            AlertsTaken: the position is not the one that this process left there.
        """
        with faults("write", self.path):
            self._step("begin")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._write(machine, out, before, after)
                self._step("commit")
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        self._forget = False
        self._step("committed")

    def _write(self, machine: AlertMachine, out: Output, before: Position, after: Position) -> None:
        self._step("position")
        sql = "UPDATE position SET seq=?, epoch=?, timestamp_ns=?, requests=?, opened_seq=? WHERE id=1 AND seq=?"
        values = (after.seq, after.epoch, after.timestamp_ns, out.requests, out.opened_seq, before.seq)
        if self._db.execute(sql, values).rowcount != 1:
            text = f"{self.path} is not at seq {before.seq} any more: another process writes into it; stop one of them"
            raise AlertsTaken(text)
        self._step("requests")
        if out.request is not None:
            self._put(schema.REQUESTS, [codec.request_row(out.request)])
        self._put(schema.EPOCHS, [(one.epoch, one.first_seq) for one in out.epochs])
        world = machine.world
        self._step("world")
        if self._forget:
            for table in (schema.INSTRUMENTS, schema.ACCOUNTS, schema.POSITIONS, schema.ORDERS):
                self._db.execute(f"DELETE FROM {table.name}")  # noqa: S608 - names of ours
        self._put(schema.INSTRUMENTS, [astuple(world.instruments[n]) for n in sorted(world.changed_instruments)])
        self._put(schema.ACCOUNTS, [astuple(world.accounts[n]) for n in sorted(world.changed_accounts)])
        self._put(schema.POSITIONS, [(*key, world.positions[key]) for key in sorted(world.changed_positions)])
        self._step("orders")
        live = [world.orders[n] for n in sorted(world.changed_orders) if n in world.orders]
        self._put(schema.ORDERS, [_order_row(one) for one in live])
        self._remove("orders", "order_id", (codec.signed(n) for n in world.changed_orders if n not in world.orders))
        self._step("alerts")
        changed = sorted(machine.changed)
        self._put(schema.ALERTS, [codec.alert_row(machine.alerts[n]) for n in changed if n in machine.alerts])
        self._remove("alerts", "number", (n for n in changed if n not in machine.alerts))
        self._step("firings")
        self._put(schema.FIRINGS, map(codec.firing_row, out.firings))
        owners = sorted({one.owner for one in out.firings})
        self._put(schema.OWNERS, [(owner, machine.fired[owner]) for owner in owners])
        for owner in owners:
            old = (owner, machine.fired[owner] - KEEP_FIRINGS)
            self._db.execute("DELETE FROM firings WHERE owner=? AND number<=?", old)

    def forget_world(self) -> None:
        """Have the next transaction begin with no world: all of it comes anew."""
        self._forget = True

    def pull_requests(self, after: int, seq: int) -> None:
        """Requests behind a number count from behind a seq on, if they stood later."""
        with faults("write", self.path):
            self._db.execute("UPDATE requests SET after_seq=? WHERE number>? AND after_seq>?", (seq, after, seq))

    def _put(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        marks = ",".join("?" * len(table.columns))
        self._db.executemany(f"INSERT OR REPLACE INTO {table.name} VALUES ({marks})", rows)  # noqa: S608

    def _remove(self, table: str, key: str, numbers: Iterable[int]) -> None:
        self._db.executemany(f"DELETE FROM {table} WHERE {key}=?", ((number,) for number in numbers))  # noqa: S608

    def close(self) -> None:
        """Release it."""
        self._db.close()


def _order_row(one: Order) -> tuple[int, ...]:
    row = astuple(one)
    return (codec.signed(one.order_id), *row[1:-1], codec.signed(one.client_order_id))


def _order(row: Sequence[int]) -> Order:
    found = Order(*row)
    found.order_id, found.client_order_id = codec.unsigned(found.order_id), codec.unsigned(found.client_order_id)
    return found
