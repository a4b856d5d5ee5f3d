"""Account statements: opening, movements, closing, of any period; refused where they do not add up. Pure, but for the
reading of the view.

A statement is a function of the ledger as of one position. Three accounts of the same money have to agree: the opening
balance plus the movements, the sum of all entries up to the end of the period, and the balance that the ledger keeps,
less what was booked behind the period. And each movement has to agree with itself, as a trade's cash and fee with price
and lots, and with what its order's life says of it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import and_, func, or_, select

from lockstep.posttrade.chunks import Position
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import AccountRow, Instrument
from lockstep.posttrade.ledger.queries import Opened, View, sum_by

MOST_MOVEMENTS: Final = 200_000
_E, _B, _V = schema.ENTRIES.c, schema.BALANCES.c, schema.ORDER_EVENTS.c


def stamp_text(timestamp_ns: int) -> str:
    """UTC to the microsecond, as RTS 24 writes it."""
    seconds, rest = divmod(timestamp_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


class DoesNotAddUp(Exception):
    """The ledger contradicts itself; no statement is made of it. The text says where."""


class TooLong(Exception):
    """More movements than one statement may have."""


class PeriodEndsFirst(ValueError):
    """The dates are the wrong way round."""


class NotKnown(ValueError):
    """The period begins before the ledger does."""

    def __init__(self, opened: Opened) -> None:
        super().__init__(f"nothing is known before seq {opened.seq}, {stamp_text(opened.timestamp_ns)}")
        self.from_ns = opened.timestamp_ns
        """The earliest time that a period may begin at."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One entry, and what the account has behind it. Money in micros."""

    seq: int
    index: int
    leg: int
    timestamp_ns: int
    kind: str
    instrument: int
    lots: int
    price_ticks: int
    fee: int
    cash: int
    """What came (below 0: went), the fee included."""
    cash_after: int
    lots_after: int
    order_id: int


@dataclass(frozen=True, slots=True)
class Statement:
    """See the module. Balances by instrument, 0: cash in micros; those of nothing are left out."""

    account: AccountRow
    position: Position
    from_ns: int
    to_ns: int
    opening: dict[int, int]
    movements: tuple[Movement, ...] = field(repr=False)
    closing: dict[int, int]
    instruments: dict[int, Instrument] = field(repr=False)
    paid_in: int
    paid_out: int
    bought: int
    sold: int
    fees: int
    realised: int
    """Profit of the period by average cost."""
    opened: Opened | None = None
    """Where the ledger begins, if that is not the first command."""
    taken_over: int = 0
    """Cash that the snapshot gave it in this period."""

    @property
    def over(self) -> bool:
        """Whether it ends no later than what the ledger has seen; else more may come into it."""
        return self.to_ns <= self.position.timestamp_ns + 1


def statement_of(view: View, account: int, from_ns: int, to_ns: int) -> Statement:
    """Entries stamped from `from_ns` (0: from where the ledger begins) up to but not at `to_ns`; 0: up to now.

    Raises:
        UnknownAccount: there is none.
        DoesNotAddUp: see there.
        TooLong: ask for a shorter period.
        PeriodEndsFirst: it ends before it begins.
        NotKnown: the ledger begins with a snapshot behind its beginning.
    """
    own, opened = view.account(account), view.opening()
    to_ns = to_ns or max(from_ns, view.position.timestamp_ns + 1)
    if to_ns < from_ns:
        raise PeriodEndsFirst(f"the period ends ({to_ns}) before it begins ({from_ns})")
    if opened is not None and (0 < from_ns < opened.timestamp_ns or to_ns <= opened.timestamp_ns):
        raise NotKnown(opened)
    opening = _sums(view, account, from_ns)
    query = select(schema.ENTRIES).where(_E.account == account, _E.timestamp_ns >= from_ns, _E.timestamp_ns < to_ns)
    rows = view.rows(query.order_by(_E.seq, _E.event_index, _E.leg).limit(MOST_MOVEMENTS + 1))
    if len(rows) > MOST_MOVEMENTS:
        raise TooLong(f"more than {MOST_MOVEMENTS} movements; ask for a shorter period")
    _check_rows(view, account, rows)
    _check_orders(view, account, from_ns, to_ns)
    movements, closing = _book(rows, opening)
    _check(view, account, to_ns, closing)
    moved = [row for row in rows if row["kind"] == schema.CASH_MOVED]
    trades = [row for row in rows if row["kind"] == schema.TRADE]
    return Statement(
        account=own,
        position=view.position,
        from_ns=from_ns,
        to_ns=to_ns,
        opening=opening,
        movements=movements,
        closing={number: amount for number, amount in closing.items() if amount},
        instruments=view.instruments(),
        paid_in=sum(row["cash_micros"] for row in moved if row["cash_micros"] > 0),
        paid_out=-sum(row["cash_micros"] for row in moved if row["cash_micros"] < 0),
        bought=-sum(row["cash_micros"] + row["fee_micros"] for row in trades if row["lots"] > 0),
        sold=sum(row["cash_micros"] + row["fee_micros"] for row in trades if row["lots"] < 0),
        fees=sum(row["fee_micros"] for row in trades),
        realised=sum(row["profit_micros"] for row in rows),
        opened=opened,
        taken_over=sum(row["cash_micros"] for row in rows if row["kind"] == schema.OPENING),
    )


def _sums(view: View, account: int, to_ns: int) -> dict[int, int]:
    """All entries before a time, added up."""
    own = (_E.account == account, _E.timestamp_ns < to_ns)
    shares = sum_by(view.connection, (_E.instrument,), _E.lots, *own)
    found = {number: lots for number, lots in shares if number != schema.CASH}
    ((found[schema.CASH],),) = sum_by(view.connection, (), _E.cash_micros, *own)
    return {number: amount for number, amount in sorted(found.items()) if amount}


def _book(rows: list[dict[str, Any]], opening: dict[int, int]) -> tuple[tuple[Movement, ...], dict[int, int]]:
    amounts = dict(opening)
    made = []
    for row in rows:
        number = row["instrument"]
        amounts[schema.CASH] = amounts.get(schema.CASH, 0) + row["cash_micros"]
        if number != schema.CASH:
            amounts[number] = amounts.get(number, 0) + row["lots"]
        made.append(
            Movement(
                seq=row["seq"],
                index=row["event_index"],
                leg=row["leg"],
                timestamp_ns=row["timestamp_ns"],
                kind=schema.KINDS[row["kind"]],
                instrument=number,
                lots=row["lots"],
                price_ticks=row["price_ticks"],
                fee=row["fee_micros"],
                cash=row["cash_micros"],
                cash_after=amounts[schema.CASH],
                lots_after=amounts[number] if number != schema.CASH else 0,
                order_id=row["order_id"] % 2**64,
            )
        )
    return tuple(made), amounts


def _contradiction(account: int, row: dict[str, Any], why: str) -> DoesNotAddUp:
    place = f"event {row['seq']}.{row['event_index']}"
    return DoesNotAddUp(
        f"account {account}, {place}: {why}; rebuild this ledger (`lockstep ledger rebuild`), and keep it for a look"
    )


def _check_rows(view: View, account: int, rows: list[dict[str, Any]]) -> None:
    """What an entry says in one column follows from the others."""
    instruments = view.instruments()
    for row in rows:
        kind, number, lots = row["kind"], row["instrument"], row["lots"]
        cash, fee = row["cash_micros"], row["fee_micros"]
        if kind not in schema.KINDS or (number != schema.CASH and number not in instruments):
            raise _contradiction(account, row, f"an entry of kind {kind} and instrument {number}, which there is not")
        if kind == schema.TRADE:
            value = lots * row["price_ticks"] * (instruments[number].unit if number != schema.CASH else 0)
            if not lots or cash + fee != -value:
                text = f"cash {cash} and fee {fee} of a trade of {lots} lots, which are worth {value}"
                raise _contradiction(account, row, text)
        elif fee or (cash if number != schema.CASH and kind != schema.FEE else lots):
            text = f"an entry of kind {schema.KINDS[kind]} has {lots} lots, cash {cash} and fee {fee}"
            raise _contradiction(account, row, text)


def _check_orders(view: View, account: int, from_ns: int, to_ns: int) -> None:
    """Each trade stands in the life of its order as well, with the same price, lots and fee."""
    own = and_(_E.account == account, _E.kind == schema.TRADE, _E.timestamp_ns >= from_ns, _E.timestamp_ns < to_ns)
    same = and_(_V.order_id == _E.order_id, _V.seq == _E.seq, _V.event_index == _E.event_index)
    other = or_(
        _V.seq.is_(None),
        _V.price_ticks != _E.price_ticks,
        _V.quantity_lots != func.abs(_E.lots),
        _V.fee_micros != _E.fee_micros,
    )
    columns = (_E.seq, _E.event_index, _E.order_id, _E.lots, _E.price_ticks, _E.fee_micros)
    joined = schema.ENTRIES.outerjoin(schema.ORDER_EVENTS, same)
    for row in view.rows(select(*columns).select_from(joined).where(own, other).limit(1)):
        text = f"a trade of {row['lots']} lots at {row['price_ticks']} with fee {row['fee_micros']}"
        raise _contradiction(account, row, f"{text}, of which order {row['order_id'] % 2**64} has another account")


def _check(view: View, account: int, to_ns: int, closing: dict[int, int]) -> None:
    rows = view.rows(select(_B.instrument, _B.amount).where(_B.account == account))
    kept = {row["instrument"]: row["amount"] for row in rows}
    upto, later = _sums(view, account, to_ns), _sums(view, account, 2**63 - 1)
    for number in upto.keys() | later.keys():
        kept[number] = kept.get(number, 0) - later.get(number, 0) + upto.get(number, 0)
    accounts = {"all entries up to then": upto, "the balance that is kept, less what came later,": kept}
    for name, amounts in accounts.items():
        for number in sorted(amounts.keys() | closing.keys()):
            one, other = closing.get(number, 0), amounts.get(number, 0)
            if one != other:
                what = f"lots of instrument {number}" if number else "cash"
                raise DoesNotAddUp(
                    f"account {account}, {what}: opening and movements lead to {one}, {name} to {other} "
                    f"({other - one:+d}); rebuild this ledger (`lockstep ledger rebuild`), and keep it for a look"
                )
