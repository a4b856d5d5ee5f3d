"""*State*: engine state to snapshot content and back."""

from lockstep.engine.reference.accounts import Account, Position
from lockstep.engine.reference.bands import MOST_SALES, Bands, BandTerms, Sales
from lockstep.engine.reference.book import PPM, Book
from lockstep.engine.reference.limits import NO_LIMITS, Limits, LimitValues, Throttle
from lockstep.engine.reference.lots import NO_LOTS, Lots
from lockstep.engine.reference.order import IN_BOOK, WAITS_FOR_CLOSE, WAITS_FOR_PARENT, WAITS_FOR_STOP, Order
from lockstep.engine.reference.restrictions import EVERYBODY, NO_RESTRICTION, Restriction, are_of_all, are_of_one
from lockstep.engine.reference.sessions import Session
from lockstep.engine.reference.state import Owner, State
from lockstep.engine.reference.stood import MOST_STOOD, Stood
from lockstep.engine.snapshot_format import (
    HIGHEST,
    LOWEST,
    AccountRow,
    BandRow,
    InstrumentRow,
    LotRow,
    MarketRow,
    OrderRow,
    OwnerRow,
    PositionRow,
    RestrictionRow,
    SalesRow,
    SessionRow,
    ShortSalesRow,
    SnapshotError,
    StateImage,
    StoodRow,
)
from lockstep.stream.records import MAX_PRICE_TICKS


def image_of(state: State) -> StateImage:
    """All of the state, in canonical order."""
    accounts, books = state.accounts.values(), state.books.values()
    return StateImage(
        last_seq=state.last_seq,
        last_timestamp_ns=state.last_timestamp_ns,
        fees_micros=state.fees,
        market=_market_row(state),
        instruments=tuple(_instrument_row(book) for book in books),
        accounts=tuple(_account_row(account) for account in accounts),
        positions=tuple(
            _position_row(account, instrument_id, position)
            for account in accounts
            for instrument_id, position in sorted(account.positions.items())
            if position.quantity or position.cost or position.profit or position.opened
        ),
        sessions=tuple(
            SessionRow(session_id=session_id, last_no=session.last_no, outcomes=session.outcomes())
            for session_id, session in sorted(state.sessions.items())
        ),
        owners=tuple(
            OwnerRow(session_id=session_id, connection=owner.connection, gateway=owner.gateway)
            for session_id, owner in sorted(state.owners.items())
        ),
        orders=tuple(order_row(order) for book in books for order in book.live_orders()),
        stood=tuple(
            StoodRow(book.instrument_id, queue, *stood)
            for book in books
            for queue, extremes in ((HIGHEST, book.highest), (LOWEST, book.lowest))
            for stood in extremes.rows
        ),
        bands=tuple(_band_row(book.instrument_id, book.bands) for book in books if book.bands is not None),
        sales=tuple(
            SalesRow(book.instrument_id, *sales)
            for book in books
            if book.bands is not None
            for sales in book.bands.sales
        ),
        lots=tuple(LotRow(book.instrument_id, *book.lots) for book in books if book.lots != NO_LOTS),
        restrictions=tuple(
            RestrictionRow(book.instrument_id, account_id, *terms)
            for book in books
            for account_id, terms in book.restrictions.items()
        ),
        short_sales=tuple(
            ShortSalesRow(book.instrument_id, rule.fall_ppm, rule.since_day)
            for book in books
            if (rule := book.short_sales).fall_ppm or rule.since_day
        ),
    )


def _market_row(state: State) -> MarketRow:
    market = state.market
    level1_ppm, level2_ppm, level3_ppm = market.levels
    return MarketRow(
        level1_ppm=level1_ppm,
        level2_ppm=level2_ppm,
        level3_ppm=level3_ppm,
        pause_ns=market.pause_ns,
        day=market.day,
        level=market.level,
        until_ns=market.until_ns,
        **_throttle_fields(market.throttle),
    )


def _instrument_row(book: Book) -> InstrumentRow:
    return InstrumentRow(
        instrument=book.instrument_id,
        symbol=book.symbol,
        tick_micros=book.tick_micros,
        lot_units=book.lot_units,
        phase=book.phase,
        next_phase=book.next_phase,
        until_ns=book.until_ns,
        reference_ticks=book.reference,
        last_ticks=book.last,
        maker_fee_ppm=book.maker_fee_ppm,
        taker_fee_ppm=book.taker_fee_ppm,
        band_ppm=book.band_ppm,
        collar_ppm=book.collar_ppm,
        breaker_ppm=book.breaker_ppm,
        breaker_window_ns=book.breaker_window_ns,
        breaker_pause_ns=book.breaker_pause_ns,
        breaker_phase=book.breaker_phase,
        initial_margin_ppm=book.initial_ppm,
        maintenance_margin_ppm=book.maintenance_ppm,
        index_weight=book.index_weight,
        close_ticks=book.close,
        **_throttle_fields(book.throttle),
    )


def _band_row(instrument_id: int, bands: Bands) -> BandRow:
    return BandRow(
        instrument=instrument_id,
        **bands.terms._asdict(),
        factor=bands.factor,
        reference_ticks=bands.reference,
        since_ns=bands.since_ns,
        low_ticks=bands.low,
        high_ticks=bands.high,
        state=bands.state,
        until_ns=bands.until_ns,
    )


def _throttle_fields(throttle: Throttle) -> dict[str, int]:
    return {
        "orders_per_second": throttle.orders_per_second,
        "burst_orders": throttle.burst_orders,
        "throttle_tat_ns": throttle.tat_ns,
    }


def _account_row(account: Account) -> AccountRow:
    limits = account.limits or Limits(NO_LIMITS)
    day_trade1, day_trade2, day_trade3, day_trade4 = account.day_trades
    return AccountRow(
        account=account.account_id,
        flags=account.flags,
        name=account.name,
        cash_micros=account.cash,
        status=account.status,
        **limits.values._asdict(),
        day=limits.day,
        day_orders=limits.orders_today,
        day_trades=limits.trades_today,
        tat_ns=limits.tat_ns,
        day_trade1=day_trade1,
        day_trade2=day_trade2,
        day_trade3=day_trade3,
        day_trade4=day_trade4,
        margin_called=account.margin_called,
    )


def _position_row(account: Account, instrument_id: int, position: Position) -> PositionRow:
    return PositionRow(
        account=account.account_id,
        instrument=instrument_id,
        quantity_lots=position.quantity,
        cost_micros=position.cost,
        realised_micros=position.profit,
        opened_day=position.opened,
    )


def order_row(order: Order) -> OrderRow:
    """A live order."""
    return OrderRow(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        session_id=order.session_id,
        account=order.account.account_id,
        instrument=order.book.instrument_id,
        side=order.side,
        order_type=order.order_type,
        tif=order.tif,
        price_ticks=order.price,
        held_ticks=order.held,
        quantity_lots=order.quantity,
        leaves_lots=order.leaves,
        place=order.place,
        stp=order.stp,
        flags=order.flags,
        display_lots=order.display,
        shown_lots=order.shown,
        expire_ns=order.expire_ns,
        stop_price_ticks=order.stop_price,
        trail_ticks=order.trail,
        lot_micros=order.lot_micros,
        parent_id=order.parent.order_id if order.parent is not None else 0,
        parent_lots=order.parent_lots,
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
    _restore_market(state, image.market)
    for definition in image.instruments:
        book = _book_of(definition)
        state.books[book.instrument_id] = state.symbols[book.symbol] = book
    for owner in image.accounts:
        account = _account_of(owner)
        state.accounts[account.account_id] = state.account_names[account.name] = account
    for session in image.sessions:
        state.sessions[session.session_id] = Session.restore(session.last_no, session.outcomes)
    state.owners = {one.session_id: Owner(connection=one.connection, gateway=one.gateway) for one in image.owners}
    for held in image.positions:
        account, _ = _known(state, held)
        position = account.position(held.instrument)
        position.quantity = held.quantity_lots
        position.cost = held.cost_micros
        position.profit = held.realised_micros
        position.opened = held.opened_day
    for row in image.orders:
        _restore_order(state, row)
    for stood in image.stood:
        _restore_stood(state, stood)
    for banded in image.bands:
        _restore_bands(state, banded)
    for sales in image.sales:
        _restore_sales(state, sales)
    for lots in image.lots:
        _restore_lots(state, lots)
    for barred in image.restrictions:
        _restore_restriction(state, barred)
    for short in image.short_sales:
        _restore_short_sales(state, short)
    return state


def _restore_market(state: State, row: MarketRow) -> None:
    market = state.market
    market.set((row.level1_ppm, row.level2_ppm, row.level3_ppm), row.pause_ns)
    market.day = row.day
    market.level = row.level
    market.until_ns = row.until_ns
    _restore_throttle(market.throttle, row)


def _restore_throttle(throttle: Throttle, row: MarketRow | InstrumentRow) -> None:
    throttle.set(row.orders_per_second, row.burst_orders)
    throttle.tat_ns = row.throttle_tat_ns


def _book_of(row: InstrumentRow) -> Book:
    book = Book(instrument_id=row.instrument, symbol=row.symbol, tick_micros=row.tick_micros, lot_units=row.lot_units)
    book.phase = row.phase
    book.next_phase = row.next_phase
    book.until_ns = row.until_ns
    book.reference = row.reference_ticks
    book.last = row.last_ticks
    book.maker_fee_ppm = row.maker_fee_ppm
    book.taker_fee_ppm = row.taker_fee_ppm
    book.band_ppm = row.band_ppm
    book.collar_ppm = row.collar_ppm
    book.breaker_ppm = row.breaker_ppm
    book.breaker_window_ns = row.breaker_window_ns
    book.breaker_pause_ns = row.breaker_pause_ns
    book.breaker_phase = row.breaker_phase
    book.initial_ppm = row.initial_margin_ppm
    book.maintenance_ppm = row.maintenance_margin_ppm
    book.index_weight = row.index_weight
    book.close = row.close_ticks
    _restore_throttle(book.throttle, row)
    return book


def _account_of(row: AccountRow) -> Account:
    account = Account(account_id=row.account, name=row.name, flags=row.flags)
    account.cash = row.cash_micros
    account.status = row.status
    values = LimitValues(**{name: getattr(row, name) for name in LimitValues._fields})
    if values != NO_LIMITS:
        account.limits = Limits(values)
        account.limits.day = row.day
        account.limits.orders_today = row.day_orders
        account.limits.trades_today = row.day_trades
        account.limits.tat_ns = row.tat_ns
    account.day_trades = (row.day_trade1, row.day_trade2, row.day_trade3, row.day_trade4)
    account.margin_called = bool(row.margin_called)
    return account


def _restore_order(state: State, row: OrderRow) -> None:
    account, book = _known(state, row)
    order = Order(row, order_id=row.order_id, account=account, book=book)
    order.held = row.held_ticks
    order.leaves = row.leaves_lots
    order.lot_micros = row.lot_micros
    if row.place == IN_BOOK:
        state.rest(order)
        order.shown = row.shown_lots
    elif row.place in (WAITS_FOR_STOP, WAITS_FOR_CLOSE):
        state.wait(order, row.place)
    elif row.place == WAITS_FOR_PARENT:
        state.wait(order, row.place)
        order.parent_lots = row.parent_lots
        order.parent = state.orders[row.parent_id] if row.parent_id else None
        if order.parent is not None:
            order.parent.children.append(order)
    else:
        raise SnapshotError(f"snapshot order {row.order_id} is at place {row.place}, which this program does not know")


def _restore_stood(state: State, row: StoodRow) -> None:
    book = state.books.get(row.instrument)
    if book is None or row.queue not in (HIGHEST, LOWEST):
        raise SnapshotError(f"snapshot row {row} names an instrument that is not in the snapshot, or no queue")
    if not 1 <= row.price_ticks <= MAX_PRICE_TICKS:
        raise SnapshotError(f"snapshot row {row} has a price out of range")
    extremes = book.highest if row.queue == HIGHEST else book.lowest
    extremes.rows.append(Stood(row.price_ticks, row.until_ns))
    if len(extremes.rows) > MOST_STOOD:
        raise SnapshotError(f"snapshot has more than {MOST_STOOD} prices in a queue of a breaker's span")


def _restore_bands(state: State, row: BandRow) -> None:
    book = state.books.get(row.instrument)
    if book is None:
        raise SnapshotError(f"snapshot row {row} names an instrument that is not in the snapshot")
    bands = book.bands = Bands(BandTerms(*(getattr(row, name) for name in BandTerms._fields)))
    bands.factor = row.factor
    bands.reference = row.reference_ticks
    bands.since_ns = row.since_ns
    bands.low, bands.high = row.low_ticks, row.high_ticks
    bands.state = row.state
    bands.until_ns = row.until_ns


def _restore_sales(state: State, row: SalesRow) -> None:
    book = state.books.get(row.instrument)
    if book is None or book.bands is None:
        raise SnapshotError(f"snapshot row {row} names an instrument that has no bands in the snapshot")
    if not row.trades:
        raise SnapshotError(f"snapshot row {row} is of no trade")
    book.bands.sales.append(Sales(row.first_ns, row.trades, row.ticks))
    if len(book.bands.sales) > MOST_SALES:
        raise SnapshotError(f"snapshot has more than {MOST_SALES} rows in the window of an instrument's bands")


def _restore_lots(state: State, row: LotRow) -> None:
    book = state.books.get(row.instrument)
    if book is None or not row.round_lots:
        raise SnapshotError(f"snapshot row {row} names an instrument that is not in the snapshot, or no round lot")
    book.lots = Lots(row.round_lots, row.odd_lots, row.display)


def _restore_restriction(state: State, row: RestrictionRow) -> None:
    book = state.books.get(row.instrument)
    if book is None or (row.account != EVERYBODY and row.account not in state.accounts):
        raise SnapshotError(f"snapshot row {row} names an account or instrument that is not in the snapshot")
    terms = Restriction(*row[2:])
    if not (are_of_one(terms) if row.account != EVERYBODY else are_of_all(terms)) or terms == NO_RESTRICTION:
        raise SnapshotError(f"snapshot row {row} has restrictions that there are not")
    book.restrictions[row.account] = terms


def _restore_short_sales(state: State, row: ShortSalesRow) -> None:
    book = state.books.get(row.instrument)
    if book is None or row.since_day < 0 or row.fall_ppm > PPM:
        raise SnapshotError(f"snapshot row {row} names an instrument that is not in the snapshot, no day or no fall")
    book.short_sales.fall_ppm = row.fall_ppm
    book.short_sales.since_day = row.since_day


def _known(state: State, row: PositionRow | OrderRow) -> tuple[Account, Book]:
    account = state.accounts.get(row.account)
    book = state.books.get(row.instrument)
    if account is None or book is None:
        raise SnapshotError(f"snapshot row {row} names an account or instrument that is not in the snapshot")
    return account, book
