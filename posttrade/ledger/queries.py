"""What a ledger is asked, in SQLAlchemy Core. Each view is of one position: a query never mixes two."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine, Integer, Select, and_, func, literal_column, select, text, true, tuple_
from sqlalchemy.exc import DBAPIError

from lockstep.posttrade.chunks import Position
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import AccountRow, Instrument
from lockstep.posttrade.ledger.rows import columns_of
from lockstep.stream.records import AccountFlag, OrderType, Side

MOST_ROWS: Final = 1_000
DAY_NS: Final = 86_400 * 10**9
_AGAIN_S: Final = 0.5
_PPM: Final = 1_000_000
_HALF: Final = literal_column("32", Integer)
"""Not a parameter: it would be a bigint, by which PostgreSQL shifts nothing."""
_O, _E, _B = schema.ORDERS.c, schema.ENTRIES.c, schema.BALANCES.c


class UnknownAccount(LookupError):
    """The ledger has no such account."""


class UnknownOrder(LookupError):
    """The ledger has no such order."""


class TooSlow(Exception):
    """The answer takes longer than it may."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A ledger that begins with the balances of an engine's snapshot: what was before is not in it."""

    seq: int
    epoch: int
    timestamp_ns: int
    digest: str
    """The engines' chain behind it, hexadecimal."""

    @property
    def text(self) -> str:
        """For people."""
        return (
            f"opening balances from the snapshot at seq {self.seq}, epoch {self.epoch} (chain digest {self.digest}); "
            "what was before is not in this ledger"
        )


@dataclass(frozen=True, slots=True)
class Holding:
    """A position, valued at the mark. Money in micros."""

    instrument: int
    symbol: str
    lots: int
    reserved_lots: int
    cost: int
    mark_ticks: int
    """Price of the latest trade, or before the first one the reference price; 0: none is known."""
    value: int
    realised: int
    unrealised: int
    """0 where there is no mark."""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """What an account has as of `position`. Money in micros."""

    position: Position
    account: AccountRow
    cash: int
    reserved: int
    """Bound by live buys."""
    equity: int
    buying_power: int
    """Cash that is not reserved; of a margin account equity above the initial margin of positions and orders."""
    fees: int
    """Paid in all."""
    holdings: tuple[Holding, ...]
    opened: Opened | None = None
    """Where the ledger begins, if that is not the first command: fees are of since then."""

    @property
    def unlimited(self) -> bool:
        """Its cash may go below zero: its buying power is no bound."""
        return bool(self.account.flags & AccountFlag.UNLIMITED_CASH)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows of a history. 0: not asked for. Newest first, but days: oldest first."""

    instrument: int = 0
    state: int = 0
    side: int = 0
    from_ns: int = 0
    to_ns: int = 0
    within: tuple[int, ...] | None = None
    """Only these instruments; None: all that there are."""
    before: tuple[int, ...] = field(default=())
    """Cursor: rows before this key; days: behind it."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Rows by column name, in the order of the list; `next`: where the next page begins, empty: this was the last."""

    rows: tuple[dict[str, Any], ...]
    next: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The first `MOST_ROWS` rows, by column name, and whether there are more."""

    rows: tuple[dict[str, Any], ...]
    more: bool


class View:
    """A ledger as of one position."""

    def __init__(self, connection: Connection, position: Position) -> None:
        self.connection = connection
        self.position = position
        self._instruments: dict[int, Instrument] | None = None

    def rows(self, query: Select[Any]) -> list[dict[str, Any]]:
        """Rows by column name."""
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def opening(self) -> Opened | None:
        """What it begins with; None: with the first command."""
        one = schema.OPENINGS.c
        found = self.connection.execute(select(one.seq, one.epoch, one.timestamp_ns, one.digest)).first()
        return None if found is None else Opened(*found)

    def instruments(self) -> dict[int, Instrument]:
        """All, by number."""
        if self._instruments is None:
            columns = [schema.INSTRUMENTS.c[name] for name in columns_of("instruments")]
            self._instruments = {row[0]: Instrument(*row) for row in self.connection.execute(select(*columns))}
        return self._instruments

    def account(self, account: int) -> AccountRow:
        """Its row.

        Raises:
            UnknownAccount: there is none.
        """
        columns = [schema.ACCOUNTS.c[name] for name in columns_of("accounts")]
        found = self.connection.execute(select(*columns).where(schema.ACCOUNTS.c.account == account)).first()
        if found is None:
            raise UnknownAccount(f"this ledger has no account {account}, as of seq {self.position.seq}")
        return AccountRow(*found)

    def portfolio(self, account: int, *, fifo: bool = False) -> Portfolio:
        """What it has. `fifo`: cost and profit by first in, first out, in place of average cost.

        Raises:
            UnknownAccount: there is none.
        """
        own = self.account(account)
        rows = self.rows(select(schema.BALANCES).where(_B.account == account).order_by(_B.instrument))
        bound = self._bound(account)
        fifo_costs = self._fifo_costs(account) if fifo else {}
        cash = next((row["amount"] for row in rows if row["instrument"] == schema.CASH), 0)
        instruments = self.instruments()
        holdings = tuple(
            _holding(row, instruments[row["instrument"]], bound, fifo_costs if fifo else None)
            for row in rows
            if row["instrument"] != schema.CASH
        )
        reserved = sum(micros for (_, side), (_, micros) in bound.items() if side == Side.BUY)
        equity = cash + sum(one.value for one in holdings)
        power = cash - reserved
        if own.flags & AccountFlag.MARGIN:
            power = equity - self._initial_margin(holdings, bound)
        ((fees,),) = sum_by(self.connection, (), _E.fee_micros, _E.account == account)
        return Portfolio(self.position, own, cash, reserved, equity, power, fees, holdings, self.opening())

    def _bound(self, account: int) -> dict[tuple[int, int], tuple[int, int]]:
        """By (instrument, side): open lots of live orders, and the micros that they bind."""
        lots, micros = func.sum(_O.leaves_lots), func.sum(_O.leaves_lots * _O.lot_micros)
        query = select(_O.instrument, _O.side, lots, micros).where(_O.account == account, _O.state == schema.LIVE)
        # Those that wait for their parent bind nothing yet.
        query = query.where((_O.lot_micros != 0) | (_O.order_type == int(OrderType.MARKET)))
        found = self.connection.execute(query.group_by(_O.instrument, _O.side))
        return {(number, side): (int(lots), int(micros)) for number, side, lots, micros in found}

    def _fifo_costs(self, account: int) -> dict[int, int]:
        one = schema.LOTS.c
        return dict(
            sum_by(self.connection, (one.instrument,), one.open_micros, one.account == account, one.open_lots != 0)
        )

    def _initial_margin(self, holdings: Sequence[Holding], bound: dict[tuple[int, int], tuple[int, int]]) -> int:
        """Docs/engine.md, *Margin accounts*: of the largest position that open orders may make of each one."""
        required = 0
        held = {one.instrument: one for one in holdings}
        for number in sorted(held.keys() | {number for number, _ in bound}):
            instrument = self.instruments()[number]
            lots = held[number].lots if number in held else 0
            buys, sells = (bound.get((number, side), (0, 0))[0] for side in (Side.BUY, Side.SELL))
            most = max(abs(lots + buys), abs(lots - sells)) * _mark(instrument) * instrument.unit
            required += -(-most * instrument.initial_margin_ppm // _PPM)
        return required

    # ---- history --------------------------------------------------------------------------------------------------

    def orders(self, account: int, wanted: Filter) -> Page:
        """An account's orders."""
        query = select(schema.ORDERS).where(_O.account == account)
        for column, value in ((_O.instrument, wanted.instrument), (_O.state, wanted.state), (_O.side, wanted.side)):
            query = query.where(column == value) if value else query
        query = query.where(_O.instrument.in_(wanted.within)) if wanted.within is not None else query
        query = query.where(_O.entered_ns >= wanted.from_ns) if wanted.from_ns else query
        query = query.where(_O.entered_ns < wanted.to_ns) if wanted.to_ns else query
        if wanted.before:
            query = query.where(_O.order_id < wanted.before[0])
        return self._page(query.order_by(_O.order_id.desc()), wanted, ("order_id",))

    def trades(self, account: int, wanted: Filter) -> Page:
        """An account's sides of trades."""
        query = select(schema.ENTRIES).where(_E.account == account, _E.kind == schema.TRADE)
        query = query.where(_E.instrument == wanted.instrument) if wanted.instrument else query
        query = query.where(_E.instrument.in_(wanted.within)) if wanted.within is not None else query
        if wanted.side:
            query = query.where(_E.lots > 0 if wanted.side == Side.BUY else _E.lots < 0)
        query = query.where(_E.timestamp_ns >= wanted.from_ns) if wanted.from_ns else query
        query = query.where(_E.timestamp_ns < wanted.to_ns) if wanted.to_ns else query
        key = (_E.seq, _E.event_index, _E.leg)
        if wanted.before:
            query = query.where(tuple_(*key) < tuple_(*wanted.before))
        return self._page(query.order_by(*(one.desc() for one in key)), wanted, ("seq", "event_index", "leg"))

    def _page(self, query: Select[Any], wanted: Filter, key: Sequence[str]) -> Page:
        limit = min(max(wanted.limit, 1), MOST_ROWS)
        rows = self.rows(query.limit(limit + 1))
        more = len(rows) > limit
        rows = rows[:limit]
        return Page(tuple(rows), tuple(rows[-1][name] for name in key) if more else ())

    def order(self, order_id: int) -> tuple[dict[str, Any], "Part"]:
        """An order and what happened to it, in order.

        Raises:
            UnknownOrder: there is none.
        """
        found = self.rows(select(schema.ORDERS).where(_O.order_id == order_id))
        if not found:
            raise UnknownOrder(f"this ledger has no order {order_id}, as of seq {self.position.seq}")
        one = schema.ORDER_EVENTS.c
        query = select(schema.ORDER_EVENTS).where(one.order_id == order_id).order_by(one.seq, one.event_index)
        return found[0], self._part(query)

    def lots(self, account: int, instrument: int) -> tuple["Part", "Part"]:
        """(open lots, latest closings) of a position, first in, first out: what explains its profit."""
        one, closing = schema.LOTS.c, schema.LOT_CLOSINGS.c
        query = select(schema.LOTS).where(one.account == account, one.instrument == instrument, one.open_lots != 0)
        open_lots = self._part(query.order_by(one.seq, one.event_index, one.leg))
        query = select(schema.LOT_CLOSINGS).where(closing.account == account, closing.instrument == instrument)
        return open_lots, self._part(query.order_by(closing.seq.desc(), closing.event_index.desc()))

    def _part(self, query: Select[Any]) -> "Part":
        rows = self.rows(query.limit(MOST_ROWS + 1))
        return Part(tuple(rows[:MOST_ROWS]), more=len(rows) > MOST_ROWS)

    def days(self, account: int, wanted: Filter) -> Page:
        """Sums of each day (UTC) and instrument (0: cash that came or went) with anything booked, oldest first."""
        day = _E.timestamp_ns - _E.timestamp_ns % DAY_NS
        traded = _E.kind == schema.TRADE
        sums = {
            "bought_lots": (func.abs(_E.lots), and_(traded, _E.lots > 0)),
            "sold_lots": (func.abs(_E.lots), and_(traded, _E.lots < 0)),
            "cash_micros": (_E.cash_micros, true()),
            "fee_micros": (_E.fee_micros, true()),
            "profit_micros": (_E.profit_micros, true()),
        }
        columns = [half for name, (column, where) in sums.items() for half in _halves(name, column, where)]
        query = select(day.label("day_ns"), _E.instrument, func.count().filter(traded).label("trades"), *columns).where(
            # What the ledger begins with came on no day.
            _E.account == account,
            _E.timestamp_ns >= wanted.from_ns,
            _E.kind != schema.OPENING,
        )
        query = query.where(_E.timestamp_ns < wanted.to_ns) if wanted.to_ns else query
        query = query.where(_E.instrument == wanted.instrument) if wanted.instrument else query
        if wanted.before:
            query = query.where(tuple_(day, _E.instrument) > tuple_(*wanted.before))
        query = query.group_by(text("day_ns"), _E.instrument).order_by(text("day_ns"), _E.instrument)
        page = self._page(query, wanted, ("day_ns", "instrument"))
        same = ("day_ns", "instrument", "trades")
        rows = [{**{one: row[one] for one in same}, **{name: _whole(row, name) for name in sums}} for row in page.rows]
        return Page(tuple(rows), page.next)


def _halves(name: str, column: Any, where: Any) -> tuple[Any, Any]:
    """Two sums that don't leave 64 bits, of whose parts `_whole` makes the true one."""
    high = func.sum(column.op(">>")(_HALF)).filter(where)
    low = func.sum(column.op("&")(2**32 - 1)).filter(where)
    return high.label(f"{name}_high"), low.label(f"{name}_low")


def _whole(row: Any, name: str) -> int:
    return (int(row[f"{name}_high"] or 0) << 32) + int(row[f"{name}_low"] or 0)


def sum_by(connection: Connection, keys: Sequence[Any], column: Any, *where: Any) -> list[tuple[Any, ...]]:
    """Exact sums of a column, each behind its keys."""
    query = select(*keys, *_halves("sum", column, true())).where(*where)
    rows = connection.execute(query.group_by(*keys) if keys else query).mappings()
    return [(*(row[key.name] for key in keys), _whole(row, "sum")) for row in rows]


def _mark(instrument: Instrument) -> int:
    return instrument.last_price_ticks or instrument.reference_price_ticks


def _holding(
    row: dict[str, Any],
    instrument: Instrument,
    bound: dict[tuple[int, int], tuple[int, int]],
    fifo_costs: dict[int, int] | None,
) -> Holding:
    number, lots, mark = row["instrument"], row["amount"], _mark(instrument)
    cost = row["cost_micros"] if fifo_costs is None else fifo_costs.get(number, 0)
    realised = row["profit_micros"] if fifo_costs is None else row["fifo_profit_micros"]
    value = lots * mark * instrument.unit
    unrealised = (value - cost if lots > 0 else value + cost) if mark and lots else 0
    reserved = bound.get((number, Side.SELL), (0, 0))[0]
    return Holding(number, instrument.symbol, lots, reserved, cost, mark, value, realised, unrealised)


@contextmanager
def view_of(engine: Engine, limit_s: float | None = None) -> Iterator[View]:
    """The ledger as it is now, held still until the end of the block.

    Raises:
        TooSlow: the block takes longer than `limit_s`.
    """
    with _live(engine, limit_s) as connection, _limited(connection, limit_s), connection.begin():
        one = schema.POSITION.c
        found = connection.execute(select(one.seq, one.epoch, one.timestamp_ns)).one()
        yield View(connection, Position(*found))


def _live(engine: Engine, limit_s: float | None) -> Connection:
    """A connection that answers: one of the pool may lead to a server that is gone."""
    connection = engine.connect()
    try:
        with _limited(connection, limit_s):
            connection.exec_driver_sql("SELECT 1")
            connection.rollback()
    except DBAPIError as error:
        connection.close()
        if not error.connection_invalidated:
            raise
        return engine.connect()
    return connection


@contextmanager
def _limited(connection: Connection, limit_s: float | None) -> Iterator[None]:
    """End what the block asks for, where it takes longer. A server that hangs would hold its thread for ever."""
    if limit_s is None:
        yield
        return
    driver: Any = connection.connection.driver_connection
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        wait_s = limit_s
        while not done.wait(wait_s):
            wait_s = _AGAIN_S
            late.set()
            _end(driver)

    watcher = threading.Thread(target=watch, name="ledger-limit", daemon=True)
    watcher.start()
    try:
        yield
    except DBAPIError as error:
        if late.is_set():
            raise TooSlow(f"the answer takes longer than {limit_s:g} s; ask for a shorter period") from error
        raise
    finally:
        done.set()
        watcher.join()


def _end(driver: Any) -> None:
    if isinstance(driver, sqlite3.Connection):
        driver.interrupt()
    else:
        from lockstep.posttrade.ledger.postgres_link import cut

        cut(driver)
