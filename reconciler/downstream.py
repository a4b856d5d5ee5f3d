"""The downstream copy of the fills: an exactly-once projection of the event stream into SQLite.

A fill's key is its event id, and the position reached is written in the same transaction as the rows: whoever feeds it
events twice, or dies in the middle, changes nothing. Rebuilt from the journals it has the same rows. Balances are kept
beside as a downstream system would keep them: from events alone.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from lockstep.reconciler.checks import FILL, Fills, fills_of
from lockstep.runtime.process import EnvironmentFault
from lockstep.stream.records import DEFINITION_EVENT, EventKind, Events, Side

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS fills (
  seq INTEGER NOT NULL, event_index INTEGER NOT NULL, instrument INTEGER NOT NULL, side INTEGER NOT NULL,
  price_ticks INTEGER NOT NULL, quantity_lots INTEGER NOT NULL, account INTEGER NOT NULL, order_id INTEGER NOT NULL,
  taker_fee_micros INTEGER NOT NULL, maker_account INTEGER NOT NULL, maker_order_id INTEGER NOT NULL,
  maker_fee_micros INTEGER NOT NULL, timestamp_ns INTEGER NOT NULL,
  PRIMARY KEY (seq, event_index)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS balances (
  account INTEGER NOT NULL, instrument INTEGER NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (account, instrument)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (instrument INTEGER PRIMARY KEY, micros INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL);
INSERT OR IGNORE INTO position VALUES (1, 0);
"""
# A row that stands under an id already was put there by somebody else: it stays, and the comparison finds it.
_INSERT: Final = "INSERT OR IGNORE INTO fills VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
_UPSERT: Final = "INSERT INTO balances VALUES (?,?,?) ON CONFLICT (account, instrument) DO UPDATE SET amount = "
_ADD: Final = f"{_UPSERT} amount + excluded.amount"
_SET: Final = f"{_UPSERT} excluded.amount"


class Downstream:
    """One projection. Belongs to one thread.

    Raises:
        EnvironmentFault: the file can't be opened, or is no projection.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise EnvironmentFault(f"downstream copy {path} can't be used: {error}; move it away") from error

    @property
    def seq(self) -> int:
        """Events up to this seq are in it."""
        return int(self._db.execute("SELECT seq FROM position").fetchone()[0])

    def apply(self, events: Events, through_seq: int) -> None:
        """Take the events after `seq` up to `through_seq`; what it has already is left out."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            reached = self.seq
            fresh = events[(events["seq"] > reached) & (events["seq"] <= through_seq)]
            db.executemany(_INSERT, fills_of(fresh).tolist())
            self._book(fresh)
            if through_seq > reached:
                db.execute("UPDATE position SET seq = ?", (through_seq,))
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def start_at(self, seq: int, amounts: dict[tuple[int, int], int], units: dict[int, int]) -> None:
        """Begin an empty projection in the middle of the history, with the balances of then."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        db.executemany(_SET, [(*key, amount) for key, amount in amounts.items()])
        db.executemany("INSERT OR REPLACE INTO units VALUES (?,?)", list(units.items()))
        db.execute("UPDATE position SET seq = ?", (seq,))
        db.execute("COMMIT")

    def _book(self, events: Events) -> None:
        kinds = events["kind"]
        wanted = (kinds == EventKind.TRADE) | (
            (kinds >= EventKind.INSTRUMENT_DEFINED) & (kinds <= EventKind.POSITION_TRANSFERRED)
        )
        units = dict(self._db.execute("SELECT instrument, micros FROM units").fetchall())
        # Fills move balances; adjustments say what they are then, so what was moved before no longer counts.
        moved: dict[tuple[int, int], int] = {}
        definitions = np.ascontiguousarray(events).view(DEFINITION_EVENT)
        for place in np.flatnonzero(wanted).tolist():
            kind = int(kinds[place])
            if kind == EventKind.TRADE:
                for account, instrument, amount in _moves(events[place], units):
                    moved[account, instrument] = moved.get((account, instrument), 0) + amount
                continue
            change = definitions[place]
            account, instrument = int(change["account"]), int(change["instrument"])
            if kind == EventKind.INSTRUMENT_DEFINED:
                units[instrument] = int(change["tick_micros"]) * int(change["lot_units"])
                self._db.execute("INSERT OR REPLACE INTO units VALUES (?,?)", (instrument, units[instrument]))
            elif kind == EventKind.CASH_ADJUSTED:
                self._state(moved, account, 0, int(change["amount_micros"]))
            elif kind in (EventKind.POSITION_ADJUSTED, EventKind.POSITION_TRANSFERRED):
                self._state(moved, account, instrument, int(change["quantity_lots"]))
        self._db.executemany(_ADD, [(*key, amount) for key, amount in moved.items()])

    def _state(self, moved: dict[tuple[int, int], int], account: int, instrument: int, amount: int) -> None:
        moved.pop((account, instrument), None)
        self._db.execute(_SET, (account, instrument, amount))

    def fills(self, first_seq: int, last_seq: int) -> Fills:
        """Fills of a range of seqs, in order of event id."""
        rows = self._db.execute(
            "SELECT * FROM fills WHERE seq BETWEEN ? AND ? ORDER BY seq, event_index", (first_seq, last_seq)
        ).fetchall()
        return np.array(rows, dtype=FILL) if rows else np.zeros(0, FILL)

    def stray_fills(self) -> Fills:
        """Fills behind the position reached: nobody who keeps the rules wrote them."""
        return self.fills(self.seq + 1, 2**63 - 1)

    def balances(self) -> dict[tuple[int, int], int]:
        """By (account, instrument): lots; instrument 0: cash in micros."""
        return {(account, instrument): amount for account, instrument, amount in self._rows("balances")}

    def _rows(self, table: str) -> list[tuple[int, int, int]]:
        return self._db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a name from this module

    def close(self) -> None:
        """Close it."""
        self._db.close()


def _moves(trade: Any, units: dict[int, int]) -> Iterator[tuple[int, int, int]]:
    instrument, lots = int(trade["instrument"]), int(trade["quantity_lots"])
    value = int(trade["price_ticks"]) * lots * units[instrument]
    sign = 1 if int(trade["side"]) == Side.BUY else -1
    taker, maker = int(trade["account"]), int(trade["maker_account"])
    yield taker, 0, -sign * value - int(trade["taker_fee_micros"])
    yield maker, 0, sign * value - int(trade["maker_fee_micros"])
    yield taker, instrument, sign * lots
    yield maker, instrument, -sign * lots


def dump(path: Path) -> list[tuple[int, ...]]:
    """All rows of a projection, for comparing two of them."""
    with closing(sqlite3.connect(path)) as db:
        fills = db.execute("SELECT * FROM fills ORDER BY seq, event_index").fetchall()
        balances = db.execute("SELECT * FROM balances WHERE amount != 0 ORDER BY account, instrument").fetchall()
    return [*fills, *balances]
