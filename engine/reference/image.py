"""Engine state to snapshot content and back."""

from collections.abc import Iterator

from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import Book, Instrument, Order
from lockstep.engine.reference.sessions import Session
from lockstep.engine.reference.state import State
from lockstep.engine.snapshot_format import (
    AccountRow,
    InstrumentRow,
    OrderRow,
    PositionRow,
    SessionRow,
    SnapshotError,
    StateImage,
)


def image_of(state: State) -> StateImage:
    """All of the state, in canonical order."""
    accounts = [account for _, account in sorted(state.accounts.items())]
    books = [book for _, book in sorted(state.books.items())]
    return StateImage(
        last_seq=state.last_seq,
        last_timestamp_ns=state.last_timestamp_ns,
        instruments=tuple(
            InstrumentRow(one.instrument_id, one.symbol, one.tick_micros, one.lot_units)
            for one in (book.instrument for book in books)
        ),
        accounts=tuple(AccountRow(one.account_id, one.flags, one.name, one.cash) for one in accounts),
        positions=tuple(
            PositionRow(account.account_id, instrument_id, position.quantity)
            for account in accounts
            for instrument_id, position in sorted(account.positions.items())
            if position.quantity
        ),
        sessions=tuple(
            SessionRow(session_id, session.last_no, tuple(session.outcomes))
            for session_id, session in sorted(state.sessions.items())
        ),
        orders=tuple(_order_row(order) for book in books for order in _by_priority(book)),
    )


def _by_priority(book: Book) -> Iterator[Order]:
    for half in (book.bids, book.asks):
        for level in half.levels.values():
            yield from level.orders.values()


def _order_row(order: Order) -> OrderRow:
    return OrderRow(
        order.order_id,
        order.client_order_id,
        order.session_id,
        order.account.account_id,
        order.book.instrument.instrument_id,
        order.side,
        order.order_type,
        order.tif,
        order.price,
        order.quantity,
        order.leaves,
    )


def state_of(image: StateImage) -> State:
    """The state that a snapshot holds.

    Raises:
        SnapshotError: a row names an account or instrument that the snapshot does not have.
    """
    state = State()
    state.last_seq = image.last_seq
    state.last_timestamp_ns = image.last_timestamp_ns
    for definition in image.instruments:
        book = Book(Instrument(*definition))
        state.books[definition.instrument] = state.symbols[definition.symbol] = book
    for owner in image.accounts:
        account = Account(owner.account, owner.name, owner.flags)
        account.cash = owner.cash_micros
        state.accounts[owner.account] = state.account_names[owner.name] = account
    for session in image.sessions:
        state.sessions[session.session_id] = Session(session.last_no, session.outcomes)
    for held in image.positions:
        account, _ = _known(state, held)
        account.position(held.instrument).quantity = held.quantity_lots
    for row in image.orders:
        account, book = _known(state, row)
        order = Order(
            *(row.order_id, row.client_order_id, row.session_id, account, account.position(row.instrument), book),
            *(row.side, row.order_type, row.tif, row.price_ticks, row.quantity_lots),
        )
        order.leaves = row.leaves_lots
        state.rest(order)
    return state


def _known(state: State, row: PositionRow | OrderRow) -> tuple[Account, Book]:
    account = state.accounts.get(row.account)
    book = state.books.get(row.instrument)
    if account is None or book is None:
        raise SnapshotError(f"snapshot row {row} names an account or instrument that is not in the snapshot")
    return account, book
