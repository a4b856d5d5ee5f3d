"""Parts of the state as the rows of `lockstep.engine.pages`."""

from typing import Any

import numpy as np

from lockstep.engine.pages import (
    ACCOUNT_COLUMNS,
    INSTRUMENT_COLUMNS,
    MAX_POSITIONS,
    POSITION_COLUMNS,
    AccountsPage,
    InstrumentsPage,
    OrdersPage,
)
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.image import order_row
from lockstep.engine.reference.state import State
from lockstep.engine.snapshot_format import ORDER_COLUMNS, encode_order


def _record(columns: "np.dtype[Any]", **fields: int | bytes) -> bytes:
    """One row with these columns."""
    row = np.zeros(1, dtype=columns)
    for name, value in fields.items():
        row[name] = value
    return row.tobytes()


def orders_page(state: State, account: int, after: int, limit: int) -> OrdersPage:
    """See `MatchingEngine.orders_page`."""
    owner = state.accounts.get(account)
    if owner is None:
        return OrdersPage(b"", (account, after), more=False)
    found = sorted(order_id for order_id in owner.orders if order_id > after)[: limit + 1]
    rows = b"".join(encode_order(order_row(owner.orders[order_id])) for order_id in found[:limit])
    last = found[:limit][-1] if found else after
    return OrdersPage(rows, (account, last), more=len(found) > limit)


def all_orders_page(state: State, after: tuple[int, int], limit: int) -> OrdersPage:
    """See `MatchingEngine.all_orders_page`."""
    parts: list[bytes] = []
    account, last = after
    room = looks = limit
    for number in state.accounts.irange(account):
        if number != account:
            account, last = number, 0
        if not room or not looks:
            return OrdersPage(b"".join(parts), (account, last), more=True)
        looks -= 1
        page = orders_page(state, number, last, room)
        parts.append(page.rows)
        room -= len(page.rows) // ORDER_COLUMNS.itemsize
        _, last = page.after
        if page.more:
            return OrdersPage(b"".join(parts), (account, last), more=True)
    return OrdersPage(b"".join(parts), (account, last), more=False)


def accounts_page(state: State, after: int, limit: int) -> AccountsPage:
    """See `MatchingEngine.accounts_page`."""
    rows: list[bytes] = []
    positions: list[bytes] = []
    looked = 0
    for number in state.accounts.irange(after, inclusive=(False, True)):
        account = state.accounts[number]
        looked += len(account.positions)
        if len(rows) == limit or (rows and looked > MAX_POSITIONS):
            return AccountsPage(b"".join(rows), b"".join(positions), after, more=True)
        held = _positions(account)
        rows.append(
            _record(
                ACCOUNT_COLUMNS,
                account=number,
                flags=account.flags,
                name=account.name,
                cash_micros=account.cash,
                reserved_micros=account.reserved,
                status=account.status,
                positions=len(held),
            )
        )
        positions += held
        after = number
    return AccountsPage(b"".join(rows), b"".join(positions), after, more=False)


def _positions(account: Account) -> list[bytes]:
    return [
        _record(
            POSITION_COLUMNS,
            instrument=instrument,
            quantity_lots=position.quantity,
            reserved_lots=position.reserved,
            cost_micros=position.cost,
            realised_micros=position.profit,
        )
        for instrument, position in sorted(account.positions.items())
        if position.quantity or position.reserved or position.profit
    ]


def instruments_page(state: State, after: int, limit: int) -> InstrumentsPage:
    """See `MatchingEngine.instruments_page`."""
    rows: list[bytes] = []
    for number in state.books.irange(after, inclusive=(False, True)):
        if len(rows) == limit:
            return InstrumentsPage(b"".join(rows), after, more=True)
        book = state.books[number]
        rows.append(
            _record(
                INSTRUMENT_COLUMNS,
                instrument=number,
                symbol=book.symbol,
                tick_micros=book.tick_micros,
                lot_units=book.lot_units,
                phase=book.phase,
                last_price_ticks=book.last,
            )
        )
        after = number
    return InstrumentsPage(b"".join(rows), after, more=False)
