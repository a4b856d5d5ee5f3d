"""State as the frozen values of `lockstep.engine.contract`, for queries."""

from collections.abc import Iterator
from itertools import islice

from lockstep.engine.contract import (
    ALL_ORDERS,
    AccountView,
    BestView,
    BookLevel,
    BookView,
    DepthLevel,
    DepthView,
    InstrumentView,
    OrderView,
    PositionView,
    QueueView,
)
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import Book, Half, Level
from lockstep.engine.reference.lots import best_shown
from lockstep.engine.reference.order import Order
from lockstep.stream.records import OrderType, Side


def order_view(order: Order) -> OrderView:
    """A live order."""
    return OrderView(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        account=order.account.account_id,
        instrument=order.book.instrument_id,
        session_id=order.session_id,
        side=Side(order.side),
        order_type=order.order_type,
        tif=order.tif,
        price_ticks=order.price,
        quantity_lots=order.quantity,
        leaves_lots=order.leaves,
        stop_price_ticks=order.stop_price,
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
            PositionView(
                instrument=instrument,
                quantity_lots=position.quantity,
                reserved_lots=position.reserved,
                cost_micros=position.cost,
                realised_micros=position.profit,
            )
            for instrument, position in sorted(account.positions.items())
            if position.quantity or position.reserved or position.profit
        ),
    )


def instrument_view(book: Book) -> InstrumentView:
    """Reference data of an instrument, and its phase."""
    return InstrumentView(
        instrument=book.instrument_id,
        symbol=book.symbol.decode("ascii"),
        tick_micros=book.tick_micros,
        lot_units=book.lot_units,
        phase=book.phase,
        last_price_ticks=book.last,
    )


def book_view(book: Book, depth: int) -> BookView:
    """The best `depth` levels of both sides."""
    return BookView(book.instrument_id, _levels(book.bids, depth), _levels(book.asks, depth))


def best_view(book: Book) -> BestView:
    """Best bid and offer as they are displayed (*Lots*)."""
    bid, ask = (best_shown(_displayed(half), book.lots) for half in (book.bids, book.asks))
    return BestView(book.instrument_id, bid, ask)


def depth_view(book: Book, levels: int) -> DepthView:
    """The best `levels` levels of both sides, with what is hidden there."""
    bids, asks = (
        tuple(_depth_of(level) for level in islice(half.best_first(), _within(levels)))
        for half in (book.bids, book.asks)
    )
    return DepthView(book.instrument_id, bids, asks)


def queue_view(book: Book, side: Side, price: int, limit: int) -> QueueView:
    """The first `limit` orders at a price."""
    level: Level | None = book.own(side).levels.get(price)
    orders: tuple[OrderView, ...] = ()
    hidden: tuple[OrderView, ...] = ()
    if level is not None:
        orders = tuple(order_view(order) for order in islice(level.displayed.values(), _within(limit)))
        hidden = tuple(order_view(order) for order in islice(level.hidden.values(), _within(limit - len(orders))))
    return QueueView(book.instrument_id, side, price, orders, hidden)


def _within(count: int) -> int:
    """So many rows, in numbers that a slice takes."""
    return max(0, min(count, ALL_ORDERS))


def _levels(half: Half, depth: int) -> tuple[BookLevel, ...]:
    return tuple(islice(_displayed(half), _within(depth)))


def _displayed(half: Half) -> Iterator[BookLevel]:
    """What is displayed: of icebergs the peaks, of hidden orders and of market orders in an auction nothing."""
    for level in half.best_first():
        lots, orders = _seen(level)
        if orders:
            yield BookLevel(level.price, lots, orders)


def _depth_of(level: Level) -> DepthLevel:
    lots, orders = _seen(level)
    others = len(level.displayed) + len(level.hidden) - orders
    return DepthLevel(level.price, lots, orders, level.quantity() - lots, others)


def _seen(level: Level) -> tuple[int, int]:
    """(lots, orders) that a level displays."""
    displayed = [order.may_trade for order in level.displayed.values() if order.order_type != OrderType.MARKET]
    return sum(displayed), len(displayed)
