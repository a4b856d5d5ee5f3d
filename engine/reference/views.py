"""State as the frozen values of `lockstep.engine.contract`, for queries."""

from collections.abc import Iterator
from itertools import islice

from lockstep.engine.contract import AccountView, BookLevel, BookView, InstrumentView, OrderView, PositionView
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import MARKET, Book, Half, Level, Order
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
        stop_price_ticks=order.stop,
        display_lots=order.display,
        shown_lots=order.shown,
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
        status=account.status,
        positions=tuple(
            PositionView(instrument, position.quantity, position.reserved, position.cost, position.realised)
            for instrument, position in sorted(account.positions.items())
            if position.quantity or position.reserved or position.realised
        ),
    )


def instrument_view(book: Book) -> InstrumentView:
    """Reference data of an instrument, and its phase."""
    instrument = book.instrument
    return InstrumentView(
        instrument.instrument_id,
        instrument.symbol.decode("ascii"),
        instrument.tick_micros,
        instrument.lot_units,
        book.phase,
        book.last,
    )


def book_view(book: Book, depth: int) -> BookView:
    """The best `depth` levels of both sides."""
    return BookView(book.instrument.instrument_id, _levels(book.bids, depth), _levels(book.asks, depth))


def _levels(half: Half, depth: int) -> tuple[BookLevel, ...]:
    return tuple(islice(_displayed(half), max(depth, 0)))


def _displayed(half: Half) -> Iterator[BookLevel]:
    """What is displayed: of icebergs the peaks, of hidden orders and of market orders in an auction nothing."""
    for level in half.levels.values():
        seen = _seen(level) if level.unseen else (level.quantity, len(level.orders))
        if seen[1]:
            yield BookLevel(level.price, *seen)


def _seen(level: Level) -> tuple[int, int]:
    """(lots, orders) displayed of a level that does not show everything."""
    displayed = [order.shown or order.leaves for order in level.orders.values() if order.order_type != MARKET]
    return sum(displayed), len(displayed)
