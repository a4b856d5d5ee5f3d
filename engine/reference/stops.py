"""*Stops*: orders that wait for a stop price, and the cascade in which they are set off."""

from typing import Final

from lockstep.engine.reference import checks, events
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.breakers import Step, look_at_breakers
from lockstep.engine.reference.checks import Check, first_refusal
from lockstep.engine.reference.entry import Entry
from lockstep.engine.reference.events import BOOKS, Asker
from lockstep.engine.reference.matching import enter
from lockstep.engine.reference.order import Order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.state import State
from lockstep.engine.reference.words import BUY, CONTINUOUS, STOP, STOP_LIMIT
from lockstep.engine.reference.worth import worth_at_once

CHECKS: Final[tuple[Check, ...]] = (
    checks.outside_bands,
    checks.worth_range,
    checks.too_low_for_a_short_sale,
    checks.funds,
    checks.balances,
)
"""*Stops* 3: what is asked again of one that is set off."""


def first_stop_price(book: Book, *, side: int, trail: int) -> int:
    """*Stops* 1: of a trailing stop that came without one; 0: there is none."""
    if not trail or not book.last:
        return 0
    return book.last + trail if side == BUY else book.last - trail


def after_trading(state: State, book: Book, step: Step, out: Output) -> None:
    """After a matching step that traded: breakers, then stops (*Price limits*, *Market-wide breaker*, *Stops*)."""
    look_at_breakers(state, book, step, out)
    cascade(state, book, out)


def cascade(state: State, book: Book, out: Output) -> None:
    """*Stops* 1 to 4: set off waiting stops one at a time while the last price reaches one.

    Each sees the prices that the one before it has made. It ends because each of them waits only once.
    """
    while book.phase == CONTINUOUS and book.last:
        _follow(book)
        order = next_set_off(book)
        if order is None:
            return
        last_before = book.last
        first = _set_off(state, order, out)
        if first:
            look_at_breakers(state, book, Step(last_before, first), out)


def _follow(book: Book) -> None:
    """*Stops* 1: trailing stop prices follow the last price; they never move away from it."""
    for order in [one for one in book.stops() if one.trail]:
        waiting = book.stops_of(order.side)
        waiting.remove(order)
        if order.side == BUY:
            order.stop_price = min(order.stop_price, book.last + order.trail)
        else:
            order.stop_price = max(order.stop_price, book.last - order.trail)
        waiting.add(order)


def next_set_off(book: Book) -> Order | None:
    """*Stops* 2: which one is next at the last price, None if none is."""
    buy: Order | None = next(iter(book.stop_buys), None)
    if buy is not None and book.last >= buy.stop_price:
        return buy
    sell: Order | None = next(iter(book.stop_sells), None)
    if sell is not None and book.last <= sell.stop_price:
        return sell
    return None


def _set_off(state: State, order: Order, out: Output) -> int:
    """*Stops* 3 and 4: let a waiting stop order go; price of its first trade, 0 if there was none."""
    state.withdraw(order)
    events.triggered(out, order, flags=BOOKS if order.order_type == STOP_LIMIT else 0, stop_price=order.stop_price)
    if order.is_oco:
        # Its limit is over: what is left of it is a market order.
        order.order_type, order.price, order.held = STOP, 0, 0
    is_limited = order.order_type == STOP_LIMIT
    worth = order.lot_micros * order.leaves if is_limited else worth_at_once(order)
    code = first_refusal(Entry(state, order, out.now_ns, worth=worth), CHECKS)
    if code is None:
        return enter(state, order, session_no=0, out=out)
    lots, order.leaves = order.leaves, 0
    events.taken_off(out, order, Asker(order.session_id, 0), lots=lots, code=code)
    return 0
