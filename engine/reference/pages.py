"""Parts of the state as the rows of `lockstep.engine.pages`."""

import struct
from itertools import islice
from typing import Final

from lockstep.engine.pages import MAX_POSITIONS, AccountsPage, InstrumentsPage, OrdersPage
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.image import order_row
from lockstep.engine.reference.state import State
from lockstep.engine.snapshot_format import ORDER_COLUMNS, encode_order

_ACCOUNT: Final = struct.Struct("<II32sqqBI")
_POSITION: Final = struct.Struct("<Iqqqq")
_INSTRUMENT: Final = struct.Struct("<I32sqqBq")


def orders_page(state: State, account: int, after: int, limit: int) -> OrdersPage:
    """See `MatchingEngine.orders_page`."""
    owner = state.accounts.get(account)
    if owner is None:
        return OrdersPage(b"", (account, after), more=False)
    found = list(islice(owner.orders.irange(after, inclusive=(False, True)), limit + 1))
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
        last = page.after[1]
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
        numbers = (account.cash, account.reserved, account.status, len(held))
        rows.append(_ACCOUNT.pack(number, account.flags, account.name, *numbers))
        positions += held
        after = number
    return AccountsPage(b"".join(rows), b"".join(positions), after, more=False)


def _positions(account: Account) -> list[bytes]:
    return [
        _POSITION.pack(instrument, position.quantity, position.reserved, position.cost, position.realised)
        for instrument, position in sorted(account.positions.items())
        if position.quantity or position.reserved or position.realised
    ]


def instruments_page(state: State, after: int, limit: int) -> InstrumentsPage:
    """See `MatchingEngine.instruments_page`."""
    rows: list[bytes] = []
    for number in state.books.irange(after, inclusive=(False, True)):
        if len(rows) == limit:
            return InstrumentsPage(b"".join(rows), after, more=True)
        book = state.books[number]
        one = book.instrument
        rows.append(_INSTRUMENT.pack(number, one.symbol, one.tick_micros, one.lot_units, book.phase, book.last))
        after = number
    return InstrumentsPage(b"".join(rows), after, more=False)
