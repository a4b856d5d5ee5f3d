"""Where a ledger's rows and its position are kept, in one transaction: what both databases have in common.

`Store.write` is the whole transaction of one chunk. Between any two of its steps the process, or the database, may be
killed: then none of it is there. `step` is called before each of them, for the tests that do that.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lockstep.posttrade.chunks import EpochBegin, Position
from lockstep.posttrade.follower import SinkAway
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import AccountRow, Instrument, amount_of
from lockstep.posttrade.ledger.lots import I64_MAX, Holding, Lot
from lockstep.posttrade.ledger.rows import ORDER_ADD, ORDER_SET, ORDER_TERMS, Ints, Rows, columns_of
from lockstep.runtime.faults import EnvironmentFault

INSERTED: Final = ("orders", "order_events", "entries", "lot_closings")
REPLACED: Final = ("balances", "lots")
KEYS: Final = {name: tuple(c.name for c in table.primary_key) for name, table in schema.METADATA.tables.items()}


class LedgerTaken(EnvironmentFault):
    """Somebody else writes into the same ledger. The text says what to do."""


class LedgerForeign(EnvironmentFault):
    """What is there is no ledger of this version. The text says what to do."""


class LedgerUnreadable(EnvironmentFault):
    """There is none, or what is there can't be read at all. The text says what to do."""


class LedgerAway(SinkAway):
    """The database does not answer now; what was to be stored is not."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a ledger is, and over which epochs it came there."""

    position: Position
    epochs: tuple[EpochBegin, ...]
    begins_behind: int = 0
    """The seq of the snapshot that it begins with; 0: it begins with the first command."""


class Store(ABC):
    """One ledger's tables. Belongs to one thread."""

    def __init__(self, step: Callable[[str], None] | None = None) -> None:
        self._step = step or (lambda _what: None)

    # ---- what a database has of its own ----------------------------------------------------------------------------

    @abstractmethod
    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query; `?` stands for each value."""

    @abstractmethod
    def has_table(self, name: str) -> bool:
        """Whether there is such a one: older versions had not all."""

    @abstractmethod
    def holdings(self, keys: list[int]) -> dict[int, Holding]:
        """See `books.Loader`."""

    @abstractmethod
    def hold_still(self) -> None:
        """Have all queries from here on see one state, for a store that only reads."""

    @abstractmethod
    def close(self) -> None:
        """Release it."""

    @abstractmethod
    def _begin(self) -> None:
        """Begin a transaction that writes."""

    @abstractmethod
    def _commit(self) -> None:
        """All of it."""

    @abstractmethod
    def _rollback(self) -> None:
        """None of it."""

    @abstractmethod
    def _insert(self, table: str, rows: Ints) -> None:
        """New rows."""

    @abstractmethod
    def _replace(self, table: str, rows: Ints) -> None:
        """Rows that may be there."""

    @abstractmethod
    def _update(self, table: str, key: str, put: Sequence[str], add: Sequence[str], rows: Ints) -> None:
        """Rows that are there, by their key in the first column: values to set, then values to add."""

    @abstractmethod
    def _put(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Few rows, with text, that may be there."""

    @abstractmethod
    def _advance(self, before: Position, after: Position) -> int:
        """Set the position where it is `before`; how many rows that changed."""

    # ---- what is the same -------------------------------------------------------------------------------------------

    def write(self, rows: Rows, epochs: Sequence[EpochBegin], before: Position, after: Position) -> None:
        """Store a chunk's rows and the position behind it, or nothing.

        Raises:
            LedgerTaken: the position is not the one that this process left there.
        """
        self._step("begin")
        self._begin()
        try:
            self._step("position")
            if self._advance(before, after) != 1:
                raise LedgerTaken(
                    f"this ledger is not at seq {before.seq} any more: another process writes into it; stop one of them"
                )
            for table in INSERTED:
                self._step(table)
                self._insert(table, getattr(rows, table))
            self._step("orders changed")
            self._update("orders", "order_id", ORDER_SET, ORDER_ADD, rows.orders_changed)
            self._step("order terms")
            self._update("orders", "order_id", ORDER_TERMS, (), rows.order_terms)
            for table in REPLACED:
                self._step(table)
                self._replace(table, getattr(rows, table))
            self._step("definitions")
            self._put("instruments", rows.instruments)
            self._put("accounts", rows.accounts)
            self._put("openings", rows.openings)
            self._put("epochs", [(one.epoch, one.first_seq) for one in epochs])
            self._step("commit")
            self._commit()
        except BaseException:
            self._rollback()
            raise
        self._step("committed")

    def position(self) -> Position:
        """As stored.

        Raises:
            LedgerForeign: it is of another version.
        """
        found = self.rows("SELECT seq, epoch, timestamp_ns, version FROM position")
        if len(found) != 1 or found[0][3] != schema.VERSION:
            version = found[0][3] if found else "none"
            raise LedgerForeign(
                f"this is a ledger of version {version}, this program writes {schema.VERSION}: "
                "`lockstep ledger rebuild` makes it anew"
            )
        seq, epoch, timestamp_ns, _ = found[0]
        return Position(seq, epoch, timestamp_ns)

    def reached(self) -> Reached:
        """As stored, of whatever version."""
        seq, epoch, timestamp_ns = self.rows("SELECT seq, epoch, timestamp_ns FROM position")[0]
        behind = 0
        if self.has_table("openings"):
            ((behind,),) = self.rows("SELECT coalesce(max(seq), 0) FROM openings")
        return Reached(Position(seq, epoch, timestamp_ns), tuple(self.epochs()), behind)

    def epochs(self) -> list[EpochBegin]:
        """As stored, ascending."""
        return [EpochBegin(*row) for row in self.rows("SELECT epoch, first_seq FROM epochs ORDER BY epoch")]

    def instruments(self) -> dict[int, Instrument]:
        """All, by number."""
        names = ", ".join(columns_of("instruments"))
        return {row[0]: Instrument(*row) for row in self.rows(f"SELECT {names} FROM instruments")}  # noqa: S608

    def accounts(self) -> dict[int, AccountRow]:
        """All, by number."""
        names = ", ".join(columns_of("accounts"))
        return {row[0]: AccountRow(*row) for row in self.rows(f"SELECT {names} FROM accounts")}  # noqa: S608


def added(column: str, more: str) -> str:
    """SQL: a column and more of it, held at 2^63 - 1 on either side."""
    return (
        f"CASE WHEN {more} > 0 AND {column} > {I64_MAX} - {more} THEN {I64_MAX} "
        f"WHEN {more} < 0 AND {column} < -{I64_MAX} - {more} THEN -{I64_MAX} ELSE {column} + {more} END"
    )


def holding_of(row: Sequence[int]) -> Holding:
    """From both halves of the amount, cost, profit, profit under FIFO, seq of the last change."""
    low, high, cost, profit, fifo_profit, seq = row
    return Holding(amount_of(low, high), cost, profit, fifo_profit, updated_seq=seq)


def lot_of(row: Sequence[int]) -> Lot:
    """From its columns behind account and instrument."""
    return Lot(*row)
