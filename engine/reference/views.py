"""State as the frozen values of `lockstep.engine.contract`, for queries."""

from itertools import islice

from lockstep.engine.contract import AccountView, BookLevel, BookView, InstrumentView, OrderView, PositionView
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import Book, Half, Instrument, Order
from lockstep.stream.records import Side


def order_view(order: Order) -> OrderView:
    """A live order."""
    return OrderView(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        account=order.account.account_id,
        instrument=order.book.instrument.instrument_id,
        session_id=order.session_id,
        side=Side(order.side),
        order_type=order.order_type,
        tif=order.tif,
        price_ticks=order.price,
        quantity_lots=order.quantity,
        leaves_lots=order.leaves,
    )


def order_views(account: Account) -> tuple[OrderView, ...]:
    """An account's live orders in order of exchange id."""
    return tuple(order_view(order) for _, order in sorted(account.orders.items()))


def account_view(account: Account) -> AccountView:
    """Balances; positions in order of instrument, without those that are empty."""
    return AccountView(
        account=account.account_id,
        name=account.name.decode("ascii"),
        flags=account.flags,
        cash_micros=account.cash,
        reserved_micros=account.reserved,
        positions=tuple(
            PositionView(instrument, position.quantity, position.reserved)
            for instrument, position in sorted(account.positions.items())
            if position.quantity or position.reserved
        ),
    )


def instrument_view(instrument: Instrument) -> InstrumentView:
    """Reference data of an instrument."""
    return InstrumentView(
        instrument.instrument_id,
        instrument.symbol.decode("ascii"),
        instrument.tick_micros,
        instrument.lot_units,
    )


def book_view(book: Book, depth: int) -> BookView:
    """The best `depth` levels of both sides."""
    return BookView(book.instrument.instrument_id, _levels(book.bids, depth), _levels(book.asks, depth))


def _levels(half: Half, depth: int) -> tuple[BookLevel, ...]:
    return tuple(
        BookLevel(level.price, level.quantity, len(level.orders))
        for level in islice(half.levels.values(), max(depth, 0))
    )
