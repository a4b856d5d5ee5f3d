"""What users have written down, read and written beside the follower: lists, webhooks, and all that has fired.

A connection of its own to the file that the follower writes. Belongs to one thread (`process.py` gives it one).
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lockstep.posttrade.alerts import codec
from lockstep.posttrade.alerts.limits import MOST_ENDPOINTS, MOST_LISTED, MOST_WATCHLISTS, Refused
from lockstep.posttrade.alerts.machine import Alert, Firing
from lockstep.posttrade.alerts.store import connect, faults
from lockstep.posttrade.chunks import Position
from lockstep.stream.codes import Code

MOST_NAME: Final = 60
MOST_HOOKS: Final = 1_000
"""Webhooks of all users."""
Hook = tuple[int, int]
"""(owner, number)"""


_FIRINGS: Final = """
SELECT * FROM firings WHERE owner=:owner AND number>:after
AND (:accounts IS NULL OR account=0 OR account IN (SELECT value FROM json_each(:accounts)))
AND (:instruments IS NULL OR instrument=0 OR instrument IN (SELECT value FROM json_each(:instruments)))
ORDER BY number LIMIT :limit
"""
_ENDS: Final = """
SELECT coalesce(min(number), 0), coalesce(max(number), 0) FROM firings WHERE owner=:owner
AND (:accounts IS NULL OR account=0 OR account IN (SELECT value FROM json_each(:accounts)))
AND (:instruments IS NULL OR instrument=0 OR instrument IN (SELECT value FROM json_each(:instruments)))
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook, as it stands."""

    owner: int
    number: int
    delivered: int
    discarded: int
    attempts: int
    """Without success, of the firing that comes next."""
    failing_since_ns: int
    url: str
    secret: bytes = field(repr=False)
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """What an owner may see now: something may have been taken from him since an alert was made."""

    accounts: tuple[int, ...] = ()
    """Empty: all."""
    instruments: tuple[int, ...] | None = None
    """None: all."""

    @property
    def whole(self) -> bool:
        """He may see all."""
        return not self.accounts and self.instruments is None

    def has(self, account: int, instrument: int) -> bool:
        """Whether he may see something of both; 0: of none."""
        return (not self.accounts or not account or account in self.accounts) and (
            self.instruments is None or not instrument or instrument in self.instruments
        )

    def values(self) -> dict[str, str | None]:
        """The same for `_FIRINGS` and `_ENDS`."""
        accounts, instruments = self.accounts or None, self.instruments
        return {
            "accounts": None if accounts is None else json.dumps(accounts),
            "instruments": None if instruments is None else json.dumps(instruments),
        }


@dataclass(frozen=True, slots=True)
class Page:
    """Firings in order, as of a position. `first`, `last`: of all that are kept, as far as its reader may see them."""

    position: Position
    firings: tuple[tuple[Firing, str], ...]
    first: int
    last: int


EVERYTHING: Final = Sight()


class Desk:
    """See the module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with faults("open", path):
            self._db = connect(path)

    @contextmanager
    def _transaction(self, kind: str = "DEFERRED") -> Iterator[sqlite3.Connection]:
        with faults("use", self.path):
            self._db.execute(f"BEGIN {kind}")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # ---- alerts ----------------------------------------------------------------------------------------------------

    def alerts(self, owner: int) -> tuple[Position, list[Alert]]:
        """All of an owner's, oldest first."""
        with self._transaction() as db:
            rows = db.execute("SELECT * FROM alerts WHERE owner=? ORDER BY number", (owner,)).fetchall()
            return _position(db), [codec.alert_of(row) for row in rows]

    def firings(self, owner: int, after: int, limit: int, sight: Sight = EVERYTHING) -> Page:
        """What has fired behind a number, of what is in sight."""
        asked = {"owner": owner, "after": after, "limit": limit, **sight.values()}
        with self._transaction() as db:
            rows = db.execute(_FIRINGS, asked).fetchall()
            first, _ = db.execute(_ENDS, asked).fetchone()
            return Page(_position(db), tuple(map(codec.firing_of, rows)), first, _last(db, owner, sight))

    def last(self, owner: int, sight: Sight = EVERYTHING) -> int:
        """The number of an owner's last firing, of those in sight."""
        with self._transaction() as db:
            return _last(db, owner, sight)

    # ---- watchlists ------------------------------------------------------------------------------------------------

    def put_watchlist(self, owner: int, name: str, instruments: Sequence[int]) -> None:
        """Make one, or put it in place of the one with its name.

        Raises:
            Refused: it can't be had.
        """
        if not (0 < len(name) <= MOST_NAME and name.isprintable() and name == name.strip()):
            raise Refused(f"a watchlist's name is one line of at most {MOST_NAME} letters, without blanks around it")
        if len(instruments) > MOST_LISTED:
            raise Refused(f"a watchlist has at most {MOST_LISTED} instruments", full=True)
        if len(set(instruments)) != len(instruments):
            raise Refused("a watchlist has each instrument once")
        with self._transaction("IMMEDIATE") as db:
            for number in instruments:
                if not db.execute("SELECT 1 FROM instruments WHERE instrument=?", (number,)).fetchone():
                    raise Refused(f"there is no instrument {number}", known=False, code=Code.UNKNOWN_INSTRUMENT)
            text = json.dumps(list(instruments))
            found = db.execute("UPDATE watchlists SET instruments=? WHERE owner=? AND name=?", (text, owner, name))
            if found.rowcount:
                return
            sql = "SELECT count(*), coalesce(max(number), 0) FROM watchlists WHERE owner=?"
            count, number = db.execute(sql, (owner,)).fetchone()
            if count >= MOST_WATCHLISTS:
                raise Refused(f"you have {MOST_WATCHLISTS} watchlists, which is all: remove some", full=True)
            db.execute("INSERT INTO watchlists VALUES (?,?,?,?)", (owner, number + 1, name, text))

    def remove_watchlist(self, owner: int, name: str) -> None:
        """Raises:
        Refused: there is none.
        """
        with self._transaction("IMMEDIATE") as db:
            if not db.execute("DELETE FROM watchlists WHERE owner=? AND name=?", (owner, name)).rowcount:
                raise Refused(f"you have no watchlist {name[:MOST_NAME]!r}", known=False)

    def watchlists(self, owner: int) -> dict[str, list[int]]:
        """All of an owner's, by name."""
        with self._transaction() as db:
            rows = db.execute("SELECT name, instruments FROM watchlists WHERE owner=? ORDER BY name", (owner,))
            return {name: json.loads(text) for name, text in rows}

    # ---- webhooks --------------------------------------------------------------------------------------------------

    def create_endpoint(self, owner: int, url: str, secret: bytes) -> Endpoint:
        """One that gets what fires from now on.

        Raises:
            Refused: there are too many.
        """
        with self._transaction("IMMEDIATE") as db:
            sql = "SELECT count(*), coalesce(max(number), 0) FROM endpoints WHERE owner=?"
            count, number = db.execute(sql, (owner,)).fetchone()
            if count >= MOST_ENDPOINTS:
                raise Refused(f"you have {MOST_ENDPOINTS} webhooks, which is all: remove one", full=True)
            if db.execute("SELECT count(*) FROM endpoints").fetchone()[0] >= MOST_HOOKS:
                raise Refused(f"all users together have {MOST_HOOKS} webhooks, which is all", full=True)
            row = (owner, number + 1, _last(db, owner), 0, 0, 0, url, secret.hex(), "")
            db.execute("INSERT INTO endpoints VALUES (?,?,?,?,?,?,?,?,?)", row)
            return _endpoint(row)

    def remove_endpoint(self, owner: int, number: int) -> None:
        """Raises:
        Refused: there is none.
        """
        with self._transaction("IMMEDIATE") as db:
            if not db.execute("DELETE FROM endpoints WHERE owner=? AND number=?", (owner, number)).rowcount:
                raise Refused(f"you have no webhook {number}", known=False)

    def endpoints(self, owner: int | None = None) -> list[Endpoint]:
        """An owner's, or all."""
        where, values = ("", ()) if owner is None else ("WHERE owner=?", (owner,))
        with self._transaction() as db:
            rows = db.execute(f"SELECT * FROM endpoints {where} ORDER BY owner, number", values)  # noqa: S608
            return [_endpoint(row) for row in rows]

    def waiting(self, key: Hook) -> tuple[Page, Endpoint | None]:
        """What a webhook has to take next, and how it stands; None: it is no more. Firings that are no longer kept are
        counted as discarded."""
        with self._transaction("IMMEDIATE") as db:
            row = db.execute("SELECT * FROM endpoints WHERE owner=? AND number=?", key).fetchone()
            if row is None:
                return Page(Position(), (), 0, 0), None
            now = _endpoint(row)
            (first,) = db.execute("SELECT coalesce(min(number), 0) FROM firings WHERE owner=?", key[:1]).fetchone()
            lost = first - 1 - now.delivered
            if lost > 0:
                sql = "UPDATE endpoints SET delivered=?, discarded=discarded+?, attempts=0 WHERE owner=? AND number=?"
                db.execute(sql, (first - 1, lost, *key))
                now = _endpoint(db.execute("SELECT * FROM endpoints WHERE owner=? AND number=?", key).fetchone())
            sql = "SELECT * FROM firings WHERE owner=? AND number>? ORDER BY number LIMIT 1"
            rows = db.execute(sql, (key[0], now.delivered)).fetchall()
            return Page(_position(db), tuple(map(codec.firing_of, rows)), first, _last(db, key[0])), now

    def took(self, hook: Hook, number: int, *, discarded: bool = False) -> None:
        """A webhook has taken a firing, or it was discarded."""
        sql = (
            "UPDATE endpoints SET delivered=?, discarded=discarded+?, attempts=0, failing_since_ns=0, last_error='' "
            "WHERE owner=? AND number=? AND delivered<?"
        )
        with self._transaction("IMMEDIATE") as db:
            db.execute(sql, (number, int(discarded), *hook, number))

    def failed(self, hook: Hook, text: str, now_ns: int) -> None:
        """A webhook has not taken one."""
        sql = (
            "UPDATE endpoints SET attempts=attempts+1, last_error=?, "
            "failing_since_ns=CASE failing_since_ns WHEN 0 THEN ? ELSE failing_since_ns END WHERE owner=? AND number=?"
        )
        with self._transaction("IMMEDIATE") as db:
            db.execute(sql, (text[:200], now_ns, *hook))

    def close(self) -> None:
        """Release it."""
        self._db.close()


def _position(db: sqlite3.Connection) -> Position:
    return Position(*db.execute("SELECT seq, epoch, timestamp_ns FROM position").fetchone())


def _last(db: sqlite3.Connection, owner: int, sight: Sight = EVERYTHING) -> int:
    if not sight.whole:
        _, last = db.execute(_ENDS, {"owner": owner, **sight.values()}).fetchone()
        return int(last)
    found = db.execute("SELECT fired FROM owners WHERE owner=?", (owner,)).fetchone()
    return int(found[0]) if found else 0


def _endpoint(row: Sequence[Any]) -> Endpoint:
    owner, number, delivered, discarded, attempts, failing_since_ns, url, secret, last_error = row
    return Endpoint(
        owner, number, delivered, discarded, attempts, failing_since_ns, url, bytes.fromhex(secret), last_error
    )
