"""Engine state to snapshot content and back."""

from lockstep.engine.reference.accounts import Account, Position
from lockstep.engine.reference.book import IN_BOOK, WAITS_FOR_CLOSE, WAITS_FOR_STOP, Book, Instrument, Order
from lockstep.engine.reference.limits import Limits
from lockstep.engine.reference.sessions import Session
from lockstep.engine.reference.state import State
from lockstep.engine.snapshot_format import (
    AccountRow,
    InstrumentRow,
    MarketRow,
    OrderRow,
    OwnerRow,
    PositionRow,
    SessionRow,
    SnapshotError,
    StateImage,
)


def image_of(state: State) -> StateImage:
    """All of the state, in canonical order."""
    accounts = [account for _, account in sorted(state.accounts.items())]
    books = [book for _, book in sorted(state.books.items())]
    market = state.market
    return StateImage(
        last_seq=state.last_seq,
        last_timestamp_ns=state.last_timestamp_ns,
        fees_micros=state.fees,
        market=MarketRow(*market.levels, market.pause_ns, market.day, market.level, market.until_ns),
        instruments=tuple(_instrument_row(book) for book in books),
        accounts=tuple(_account_row(account) for account in accounts),
        positions=tuple(
            PositionRow(account.account_id, instrument_id, *_position_numbers(position))
            for account in accounts
            for instrument_id, position in sorted(account.positions.items())
            if any(_position_numbers(position))
        ),
        sessions=tuple(
            SessionRow(session_id, session.last_no, session.outcomes())
            for session_id, session in sorted(state.sessions.items())
        ),
        owners=tuple(OwnerRow(session_id, *owner) for session_id, owner in sorted(state.owners.items())),
        orders=tuple(order_row(order) for book in books for order in book.live_orders()),
    )


def _position_numbers(position: Position) -> tuple[int, int, int, int]:
    return position.quantity, position.cost, position.realised, position.opened


def _instrument_row(book: Book) -> InstrumentRow:
    one = book.instrument
    return InstrumentRow(
        *(one.instrument_id, one.symbol, one.tick_micros, one.lot_units),
        *(book.phase, book.next_phase, book.until_ns, book.reference, book.last),
        *(book.maker_fee_ppm, book.taker_fee_ppm, book.band_ppm, book.collar_ppm),
        *(book.breaker_ppm, book.breaker_window_ns, book.breaker_pause_ns, book.breaker_phase),
        *(book.window_start_ns, book.window_price),
        *(book.initial_ppm, book.maintenance_ppm, book.index_weight, book.close),
    )


def _account_row(one: Account) -> AccountRow:
    limits = one.limits
    numbers = (0,) * 12
    if limits is not None:
        numbers = (*limits.values, limits.day, limits.day_orders, limits.day_trades, limits.tat_ns)
    days = one.day_trades
    return AccountRow(one.account_id, one.flags, one.name, one.cash, one.status, *numbers, *days, one.margin_called)


def order_row(order: Order) -> OrderRow:
    """A live order."""
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
        order.held,
        order.quantity,
        order.leaves,
        order.place,
        order.stp,
        order.flags,
        order.display,
        order.shown,
        order.expire_ns,
        order.stop,
        order.trail,
        order.lot_micros,
    )


def state_of(image: StateImage) -> State:
    """The state that a snapshot holds.

    Raises:
        SnapshotError: a row names an account or instrument that the snapshot does not have.
    """
    state = State()
    state.last_seq = image.last_seq
    state.last_timestamp_ns = image.last_timestamp_ns
    state.fees = image.fees_micros
    market = image.market
    state.market.set(market[:3], market.pause_ns)
    state.market.day, state.market.level, state.market.until_ns = market[4:]
    for definition in image.instruments:
        book = _book_of(definition)
        state.books[definition.instrument] = state.symbols[definition.symbol] = book
    for owner in image.accounts:
        account = Account(owner.account, owner.name, owner.flags)
        account.cash = owner.cash_micros
        account.status = owner.status
        if any(owner[5:13]):
            account.limits = Limits(owner[5:13])
            account.limits.day, account.limits.day_orders, account.limits.day_trades, account.limits.tat_ns = owner[
                13:17
            ]
        account.day_trades = owner[17:21]
        account.margin_called = bool(owner.margin_called)
        state.accounts[owner.account] = state.account_names[owner.name] = account
    for session in image.sessions:
        state.sessions[session.session_id] = Session.restore(session.last_no, session.outcomes)
    state.owners = {owner.session_id: (owner.connection, owner.gateway) for owner in image.owners}
    for held in image.positions:
        account, _ = _known(state, held)
        position = account.position(held.instrument)
        position.quantity, position.cost, position.realised, position.opened = held[2:]
    for row in image.orders:
        account, book = _known(state, row)
        _restore_order(state, account, book, row)
    return state


def _book_of(row: InstrumentRow) -> Book:
    book = Book(Instrument(row.instrument, row.symbol, row.tick_micros, row.lot_units))
    book.phase, book.next_phase, book.until_ns = row.phase, row.next_phase, row.until_ns
    book.reference, book.last = row.reference_ticks, row.last_ticks
    book.set_fees(row.maker_fee_ppm, row.taker_fee_ppm)
    book.band_ppm, book.collar_ppm, book.breaker_ppm = row.band_ppm, row.collar_ppm, row.breaker_ppm
    book.breaker_window_ns, book.breaker_pause_ns = row.breaker_window_ns, row.breaker_pause_ns
    book.breaker_phase = row.breaker_phase
    book.window_start_ns, book.window_price = row.window_start_ns, row.window_ticks
    book.initial_ppm, book.maintenance_ppm = row.initial_margin_ppm, row.maintenance_margin_ppm
    book.index_weight, book.close = row.index_weight, row.close_ticks
    return book


def _restore_order(state: State, account: Account, book: Book, row: OrderRow) -> None:
    order = Order(
        *(row.order_id, row.client_order_id, row.session_id, account, account.position(row.instrument), book),
        *(row.side, row.order_type, row.tif, row.price_ticks, row.quantity_lots, row.lot_micros),
    )
    order.held = row.held_ticks
    order.leaves = row.leaves_lots
    order.stp = row.stp
    order.flags = row.flags
    order.display = row.display_lots
    order.expire_ns = row.expire_ns
    order.stop = row.stop_price_ticks
    order.trail = row.trail_ticks
    if row.place == IN_BOOK:
        state.rest(order)
        order.shown = row.shown_lots
    elif row.place in (WAITS_FOR_STOP, WAITS_FOR_CLOSE):
        state.wait(order, row.place)
    else:
        raise SnapshotError(f"snapshot order {row.order_id} is at place {row.place}, which this program does not know")


def _known(state: State, row: PositionRow | OrderRow) -> tuple[Account, Book]:
    account = state.accounts.get(row.account)
    book = state.books.get(row.instrument)
    if account is None or book is None:
        raise SnapshotError(f"snapshot row {row} names an account or instrument that is not in the snapshot")
    return account, book
