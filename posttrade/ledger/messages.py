"""Answers of the ledger as messages; sums that leave 64 bits are held at their end, as everywhere. Pure."""

from collections.abc import Mapping
from typing import Any

from lockstep.posttrade.chunks import Position
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.lots import clamped
from lockstep.posttrade.ledger.queries import Portfolio
from lockstep.posttrade.ledger.statement import Statement
from lockstep.stream.records import Side
from lockstep.v1 import common_pb2, ledger_pb2

Row = Mapping[str, Any]


class BadCursor(ValueError):
    """It is none that this ledger gave."""


def signed(number: int) -> int:
    """A number of 64 bits as it stands in a table."""
    return number - 2**64 if number >= 2**63 else number


def unsigned(number: int) -> int:
    """And back."""
    return number % 2**64


def cursor_of(key: tuple[int, ...]) -> str:
    """A key as text; empty: there is no next page."""
    return ".".join(map(str, key))


def cursor_from(text: str, numbers: int) -> tuple[int, ...]:
    """And back.

    Raises:
        BadCursor: it is no such text.
    """
    if not text:
        return ()
    parts = text.split(".")
    if len(parts) != numbers or not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise BadCursor(f"cursor {text!r} is none that a ledger gave: send `next_cursor` of the page before")
    return tuple(int(part) for part in parts)


def stamp(position: Position) -> common_pb2.Stamp:
    """Where an answer stands."""
    return common_pb2.Stamp(epoch=position.epoch, seq=position.seq)


def _event_id(seq: int, index: int) -> common_pb2.EventId:
    return common_pb2.EventId(seq=seq, index=index)


def portfolio(made: Portfolio) -> ledger_pb2.GetPortfolioReply:
    """See the message."""
    return ledger_pb2.GetPortfolioReply(
        stamp=stamp(made.position),
        account=made.account.account,
        name=made.account.name,
        status=made.account.status,  # type: ignore[arg-type]  # a number is one
        cash_micros=made.cash,
        reserved_micros=clamped(made.reserved),
        equity_micros=clamped(made.equity),
        buying_power_micros=clamped(made.buying_power),
        unlimited_cash=made.unlimited,
        fees_micros=clamped(made.fees),
        opened_seq=made.opened.seq if made.opened else 0,
        positions=[
            ledger_pb2.LedgerPosition(
                instrument=one.instrument,
                symbol=one.symbol,
                quantity_lots=one.lots,
                reserved_lots=one.reserved_lots,
                cost_micros=clamped(one.cost),
                mark_ticks=one.mark_ticks,
                value_micros=clamped(one.value),
                realised_micros=clamped(one.realised),
                unrealised_micros=clamped(one.unrealised),
            )
            for one in made.holdings
        ],
    )


def order(row: Row) -> ledger_pb2.LedgerOrder:
    """See the message."""
    same = (
        "account", "instrument", "side", "order_type", "tif", "price_ticks", "stop_price_ticks", "quantity_lots",
        "leaves_lots", "filled_lots", "canceled_lots", "filled_micros", "fees_micros", "state", "code", "entered_ns",
        "updated_ns",
    )  # fmt: skip
    bare = ("order_id", "client_order_id", "session_id", "session_no")
    values: dict[str, Any] = {name: row[name] for name in same} | {name: unsigned(row[name]) for name in bare}
    return ledger_pb2.LedgerOrder(**values)


def order_event(row: Row) -> ledger_pb2.LedgerOrderEvent:
    """See the message."""
    same = ("kind", "code", "price_ticks", "quantity_lots", "leaves_lots", "fee_micros", "timestamp_ns")
    values: dict[str, Any] = {name: row[name] for name in same}
    return ledger_pb2.LedgerOrderEvent(event_id=_event_id(row["seq"], row["event_index"]), **values)


def trade(row: Row) -> ledger_pb2.LedgerTrade:
    """See the message."""
    same = ("leg", "instrument", "price_ticks", "fee_micros", "cash_micros", "profit_micros", "timestamp_ns")
    return ledger_pb2.LedgerTrade(
        event_id=_event_id(row["seq"], row["event_index"]),
        side=Side.BUY if row["lots"] > 0 else Side.SELL,  # type: ignore[arg-type]  # the same numbers
        quantity_lots=abs(row["lots"]),
        order_id=unsigned(row["order_id"]),
        client_order_id=unsigned(row["client_order_id"]),
        **{name: row[name] for name in same},
    )


def lot(row: Row) -> ledger_pb2.LedgerLot:
    """See the message."""
    same = ("lots", "open_lots", "micros", "open_micros", "timestamp_ns")
    return ledger_pb2.LedgerLot(
        event_id=_event_id(row["seq"], row["event_index"]), **{name: row[name] for name in same}
    )


def closing(row: Row) -> ledger_pb2.LedgerClosing:
    """See the message."""
    same = ("lots", "cost_micros", "proceeds_micros", "profit_micros", "timestamp_ns")
    return ledger_pb2.LedgerClosing(
        event_id=_event_id(row["seq"], row["event_index"]),
        opened_by=_event_id(row["lot_seq"], row["lot_index"]),
        **{name: row[name] for name in same},
    )


def day(row: Row) -> ledger_pb2.LedgerDay:
    """See the message."""
    return ledger_pb2.LedgerDay(**{name: clamped(value) for name, value in row.items()})


def _balances(made: Statement, amounts: Mapping[int, int]) -> list[ledger_pb2.LedgerBalance]:
    return [
        ledger_pb2.LedgerBalance(
            instrument=number, symbol="" if number == schema.CASH else made.instruments[number].symbol, amount=amount
        )
        for number, amount in sorted(amounts.items())
    ]


class TooWide(ValueError):
    """An amount that 64 bits don't hold."""


def check_fits(made: Statement) -> None:
    """Raises:
    TooWide: a sum of the statement that the message could not say. A wrong number is none.
    """
    sums = {
        "paid in": made.paid_in,
        "paid out": made.paid_out,
        "bought": made.bought,
        "sold": made.sold,
        "fees": made.fees,
        "realised profit": made.realised,
        "taken over": made.taken_over,
        **{f"opening of {number or 'cash'}": amount for number, amount in made.opening.items()},
        **{f"closing of {number or 'cash'}": amount for number, amount in made.closing.items()},
        "cash after a movement": max((abs(one.cash_after) for one in made.movements), default=0),
    }
    for name, amount in sums.items():
        if clamped(amount) != amount:
            raise TooWide(
                f"{name} of account {made.account.account} is {amount}, which 64 bits don't hold; ask for a shorter "
                "period, or have it written by `lockstep ledger statement`"
            )


def statement_head(made: Statement) -> ledger_pb2.StatementPart:
    """See the message. It fits (`check_fits`)."""
    head = ledger_pb2.StatementHead(
        account=made.account.account,
        name=made.account.name,
        from_ns=made.from_ns,
        to_ns=made.to_ns,
        opening=_balances(made, made.opening),
        closing=_balances(made, made.closing),
        paid_in_micros=made.paid_in,
        paid_out_micros=made.paid_out,
        bought_micros=made.bought,
        sold_micros=made.sold,
        fees_micros=made.fees,
        realised_micros=made.realised,
        movements=len(made.movements),
        opened_seq=made.opened.seq if made.opened else 0,
        opened_epoch=made.opened.epoch if made.opened else 0,
        taken_over_micros=made.taken_over,
        not_over=not made.over,
    )
    return ledger_pb2.StatementPart(stamp=stamp(made.position), head=head)


def statement_part(made: Statement, begin: int, end: int) -> ledger_pb2.StatementPart:
    """Some of its movements."""
    return ledger_pb2.StatementPart(
        stamp=stamp(made.position),
        movements=[
            ledger_pb2.LedgerMovement(
                event_id=_event_id(one.seq, one.index),
                leg=one.leg,
                kind=one.kind,
                instrument=one.instrument,
                lots=one.lots,
                price_ticks=one.price_ticks,
                fee_micros=one.fee,
                cash_micros=one.cash,
                cash_after_micros=one.cash_after,
                lots_after=one.lots_after,
                order_id=one.order_id,
                timestamp_ns=one.timestamp_ns,
            )
            for one in made.movements[begin:end]
        ],
    )
