"""What an order is worth, and what it would trade for now."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from lockstep.engine.reference.book import PPM, Book, Level
from lockstep.engine.reference.order import Order, is_within
from lockstep.engine.reference.terms import gather
from lockstep.engine.reference.words import BUY, CANCEL_OLDEST, DECREMENT, FOK, MARKET, NO_PREVENTION
from lockstep.stream.records import MAX_PRICE_TICKS


def gathers(order: Order) -> bool:
    """Whether it is a MARKET order that does not trade at once (*Phases*)."""
    return order.order_type == MARKET and gather(order.book.phase, order.tif)


def held_to(book: Book, side: int, protection: int) -> int:
    """What a MARKET order that gathers is held to; 0: nothing limits what a buy would cost (*Phases*)."""
    limit = book.limit_of(side, MARKET, protection)
    if side == BUY:
        return 0 if limit is None else min(limit, MAX_PRICE_TICKS)
    return 1 if limit is None else max(limit, 1)


def limit_in_funds(order: Order) -> int:
    """The price that counts as an order's limit where its worth is asked for; 0: it has none.

    *New order*, "Worth", and the table of *Phases*: a buy that gathers must be able to pay what it is held to; what a
    sell without a protection brings is not known, so that the mark counts.
    """
    if order.order_type != MARKET:
        return order.price
    if not gathers(order):
        return 0
    return order.held if order.side == BUY or order.is_named else order.book.mark


def lot_micros_of(order: Order) -> int:
    """What one lot reserves (buy) or brings in (sell); 0 if no limit says so. *New order*, "Worth"."""
    if order.order_type == MARKET and not gathers(order):
        return 0
    price = limit_in_funds(order) or order.stop_price
    if order.is_oco and order.side == BUY:
        # It must be able to pay the dearer of the two.
        price = order.stop_price
    return order.book.lot_micros(order.side, price)


def worth_of(order: Order) -> int:
    """Of all its open lots, in micros, after its `lot_micros` were found. *New order*, "Worth"."""
    if order.order_type == MARKET and not gathers(order):
        return worth_at_once(order)
    return order.lot_micros * order.leaves


def worth_at_once(order: Order) -> int:
    """Of an order without a limit to reserve by: what it would trade for now (*New order*, "Worth")."""
    paper = on_paper(order)
    if paper.lots < order.leaves and order.tif == FOK:
        return 0
    book = order.book
    worth = paper.ticks * book.unit
    return worth + worth * max(book.maker_fee_ppm, book.taker_fee_ppm) // PPM if order.side == BUY else worth


class Paper(NamedTuple):
    """What an order would trade: lots, and the sum of price * lots."""

    lots: int
    ticks: int


def on_paper(taker: Order) -> Paper:
    """The matching on paper, self-trade prevention included (*Matching*, "FOK and minimum"). Changes nothing."""
    limit = taker.book.limit_of(taker.side, taker.order_type, taker.price)
    wanted = taker.leaves
    lots = ticks = 0
    for level in taker.book.opposite(taker.side).best_first():
        if not wanted or not is_within(level.price, limit, taker.side):
            break
        for taken, left in _turns(level, taker, wanted):
            lots += taken
            ticks += level.price * taken
            wanted = left
    return Paper(lots, ticks)


class _Maker(NamedTuple):
    """An order of a level as far as the paper has used it up. `shown`: what it gives before it loses its turn."""

    is_own: bool
    leaves: int
    shown: int
    display: int


def _turns(level: Level, taker: Order, wanted: int) -> Iterator[tuple[int, int]]:
    """(lots traded, lots still wanted) maker by maker; the hidden ones come after every displayed one."""
    prevents = taker.stp != NO_PREVENTION
    displayed, hidden = (
        deque(_Maker(prevents and o.account is taker.account, o.leaves, o.may_trade, o.display) for o in orders)
        for orders in (level.displayed.values(), level.hidden.values())
    )
    while wanted and (displayed or hidden):
        queue = displayed or hidden
        maker = queue.popleft()
        if not maker.is_own:
            taken = min(wanted, maker.shown)
            wanted -= taken
            yield taken, wanted
            left = maker.leaves - taken
            if maker.display and left:
                queue.append(_Maker(is_own=False, leaves=left, shown=min(maker.display, left), display=maker.display))
        elif taker.stp == DECREMENT:
            wanted -= min(wanted, maker.leaves)
            yield 0, wanted
        elif taker.stp != CANCEL_OLDEST:
            yield 0, 0
            return
