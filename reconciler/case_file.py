"""What the reconciler found and how far it is, in SQLite: breaks with a life cycle, certificates, and its progress.

The reconciler writes; the command line reads, and moves breaks on. A break is *open* when a rule finds it; an operator
*explains* it (known, looked into) and *resolves* it (mended). Rules that look at everything in each pass resolve their
breaks themselves when these are gone. What is found again by a look that began after it was resolved is open again.
Nothing is ever deleted.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from lockstep.reconciler.rules import Break, Rule
from lockstep.runtime.process import EnvironmentFault

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS breaks (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, rule TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL,
  seq INTEGER NOT NULL, state TEXT NOT NULL, note TEXT NOT NULL DEFAULT '', found_ns INTEGER NOT NULL,
  seen_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS breaks_by_state ON breaks (state, rule);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS certificates (to_seq INTEGER PRIMARY KEY, from_seq INTEGER NOT NULL, text TEXT NOT NULL);
"""
CASE_FILE: Final = "breaks.db"
_MOST_BREAKS: Final = 100_000
"""A cluster that is wholly wrong must not fill the disk with saying so."""


class BreakState(StrEnum):
    """Where a break stands in its life cycle."""

    OPEN = "open"
    EXPLAINED = "explained"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class BreakRecord:
    """A break as it is kept."""

    id: int
    rule: str
    subject: str
    detail: str
    seq: int
    state: str
    note: str
    found_ns: int
    """Unix time at which it was first found."""
    seen_ns: int
    changed_ns: int


class NoSuchBreak(ValueError):
    """There is no break of that number, or it is past that change."""


class CaseFile:
    """One file; several processes may have it open.

    Raises:
        EnvironmentFault: it can't be opened.
    """

    def __init__(self, directory: Path, *, create: bool = False) -> None:
        path = directory / CASE_FILE
        if not create and not path.exists():
            raise EnvironmentFault(
                f"{directory} holds no reconciler's records; start one with `lockstep reconcile run`, or name its "
                "directory with --data-dir"
            )
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise EnvironmentFault(f"{path} can't be used: {error}; check the reconciler's data_dir") from error

    def found(self, breaks: Iterable[Break], *, looked_ns: int | None = None) -> int:
        """Write breaks down; how many are new or open again.

        Args:
            breaks: what rules found.
            looked_ns: Unix time at which the look began (None: now). It may have seen what was mended and resolved
                since; that stays resolved.
        """
        fresh = 0
        now_ns = time.time_ns()
        looked_ns = now_ns if looked_ns is None else looked_ns
        room = _MOST_BREAKS - int(self._db.execute("SELECT COUNT(*) FROM breaks").fetchone()[0])
        self._db.execute("BEGIN IMMEDIATE")
        for each in breaks:
            query = "SELECT id, state, changed_ns FROM breaks WHERE key = ?"
            row = self._db.execute(query, (each.key,)).fetchone()
            if row is None and room > 0:
                room -= 1
                fresh += 1
                self._db.execute(
                    "INSERT INTO breaks (key, rule, subject, detail, seq, state, found_ns, seen_ns, changed_ns) "
                    "VALUES (?,?,?,?,?,?,?,?,?)",
                    (each.key, each.rule, each.subject, each.detail, each.seq, BreakState.OPEN, *[now_ns] * 3),
                )
            elif row is not None:
                again = row[1] == BreakState.RESOLVED and row[2] <= looked_ns
                fresh += again
                state = BreakState.OPEN if again else row[1]
                self._db.execute(
                    "UPDATE breaks SET detail = ?, seen_ns = ?, state = ?, changed_ns = "
                    "CASE WHEN ? THEN ? ELSE changed_ns END WHERE id = ?",
                    (each.detail, now_ns, state, again, now_ns, row[0]),
                )
        self._db.execute("COMMIT")
        return fresh

    def settle(self, rule: Rule, still: Iterable[Break], note: str, *, prefix: str = "") -> None:
        """Resolve the breaks of a rule (whose subject starts with `prefix`) that its latest look did not find."""
        keys = {each.key for each in still}
        for row in self.breaks(all_states=False):
            if row.rule == rule and row.subject.startswith(prefix) and f"{row.rule}:{row.subject}" not in keys:
                self._change(row, BreakState.RESOLVED, note)

    def breaks(self, *, all_states: bool = True) -> list[BreakRecord]:
        """Breaks in the order in which they were found; without `all_states` those that are not resolved."""
        hidden = "" if all_states else BreakState.RESOLVED
        rows = self._db.execute(
            "SELECT id, rule, subject, detail, seq, state, note, found_ns, seen_ns, changed_ns FROM breaks "
            "WHERE state != ? ORDER BY id",
            (hidden,),
        ).fetchall()
        return [BreakRecord(*row) for row in rows]

    def counts(self, state: BreakState) -> dict[str, int]:
        """By rule, how many breaks are in a state; every rule is there."""
        counts = {str(rule): 0 for rule in Rule}
        query = "SELECT rule, COUNT(*) FROM breaks WHERE state = ? GROUP BY rule"
        counts.update(self._db.execute(query, (state,)).fetchall())
        return counts

    def change(self, number: int, state: BreakState, note: str) -> BreakRecord:
        """Explain or resolve a break.

        Raises:
            NoSuchBreak: the number is unknown, or the break is resolved already.
        """
        for row in self.breaks():
            if row.id == number:
                if row.state == BreakState.RESOLVED:
                    raise NoSuchBreak(f"break {number} is resolved already ({row.note or 'no note'})")
                self._change(row, state, note)
                return next(after for after in self.breaks() if after.id == number)
        raise NoSuchBreak(f"there is no break {number}; `lockstep reconcile breaks --all` lists them")

    def _change(self, row: BreakRecord, state: BreakState, note: str) -> None:
        query = "UPDATE breaks SET state = ?, note = ?, changed_ns = ? WHERE id = ?"
        self._db.execute(query, (state, note, time.time_ns(), row.id))

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Progress, for `status`: anything that JSON can hold."""
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?,?)", rows)

    def facts(self) -> dict[str, Any]:
        """What `write_facts` wrote last."""
        return {name: json.loads(value) for name, value in self._db.execute("SELECT name, value FROM facts")}

    def add_certificate(self, from_seq: int, to_seq: int, text: str) -> None:
        """Keep a certificate."""
        self._db.execute("INSERT OR REPLACE INTO certificates VALUES (?,?,?)", (to_seq, from_seq, text))

    def certificates(self) -> list[tuple[int, int, str]]:
        """(from seq, to seq, text) of all certificates, ascending."""
        return self._db.execute("SELECT from_seq, to_seq, text FROM certificates ORDER BY to_seq").fetchall()

    def close(self) -> None:
        """Close it."""
        self._db.close()
