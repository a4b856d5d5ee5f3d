"""*Phases*: what a change of phase does before the stops' cascade. `schedule.py` has the whole of it."""

from typing import Final, NamedTuple

from lockstep.engine.reference import events
from lockstep.engine.reference.auction import uncross
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.events import Asker
from lockstep.engine.reference.limit_state import open_bands
from lockstep.engine.reference.order import IN_BOOK, Order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.short_sales import look_at_fall
from lockstep.engine.reference.state import State
from lockstep.engine.reference.words import (
    AT_CLOSE,
    AT_OPEN,
    CANCEL_ON_HALT,
    CLOSED,
    CLOSING_AUCTION,
    CONTINUOUS,
    DAY,
    GOOD_FOR_AUCTION,
    HALT,
    MARKET,
    OPENING_AUCTION,
    PRE_OPEN,
    VOLATILITY_AUCTION,
)
from lockstep.stream.codes import Code

AUCTIONS: Final = (OPENING_AUCTION, VOLATILITY_AUCTION, CLOSING_AUCTION)
CALLS: Final = (PRE_OPEN, *AUCTIONS)


class Change(NamedTuple):
    """Into which phase, and which one follows when; 0: none does."""

    phase: int
    next_phase: int = 0
    until_ns: int = 0


def enter_phase(state: State, book: Book, change: Change, asker: Asker, out: Output) -> None:
    """*Phases*, "A change of phase does, in order", 1 to 5."""
    previous = book.phase
    book.phase, book.next_phase, book.until_ns = change
    book.begin_span()
    if book.bands is not None:
        book.bands.begin_anew()
    state.touch(book)
    state.are_children_due = True
    events.phase_changed(out, book, asker, previous=previous)
    opening = 0
    if book.phase == CONTINUOUS or (book.phase == CLOSED and previous in AUCTIONS):
        opening = uncross(state, book, asker, out)
    if opening:
        look_at_fall(book, opening, out)
    _end_orders(state, book, previous, asker, out)
    if book.phase in CALLS:
        _let_in(book)
    if book.phase == CLOSED and previous != CLOSED:
        book.close = book.last or book.close
    if book.phase == CONTINUOUS:
        open_bands(state, book, opening, out)


def _end_orders(state: State, book: Book, previous: int, asker: Asker, out: Output) -> None:
    """*Phases*, 3: cancel the orders whose time in force ends with the change."""
    for order in sorted(book.live_orders(), key=lambda order: order.order_id):
        code = _end_of(order, book.phase, previous)
        if code is not None:
            state.withdraw(order)
            events.taken_off(out, order, asker, lots=order.leaves, code=code)


def _end_of(order: Order, phase: int, previous: int) -> Code | None:
    """*Phases*, 3: why an order ends with the change from `previous` to `phase`; None: it does not."""
    if order.flags & CANCEL_ON_HALT and phase in (HALT, VOLATILITY_AUCTION):
        return Code.HALTED
    if order.tif == GOOD_FOR_AUCTION:
        over = phase == CLOSED or (phase == CONTINUOUS and order.place == IN_BOOK)
        return Code.AUCTION_ENDED if over else None
    if order.tif == AT_CLOSE:
        over = phase == CLOSED or (previous == CLOSING_AUCTION and phase != CLOSING_AUCTION)
        return Code.AUCTION_ENDED if over else None
    # A market order that gathers is there for the next uncross, whatever it said.
    if order.tif == AT_OPEN or order.order_type == MARKET:
        over = phase in (CONTINUOUS, CLOSING_AUCTION, CLOSED)
        return Code.AUCTION_ENDED if over else None
    return Code.EXPIRED if order.tif == DAY and phase == CLOSED else None


def _let_in(book: Book) -> None:
    """*Phases*, 4: orders that waited for this auction come to rest in the book. What they bind stays bound."""
    for order in list(book.for_close.values()):
        if order.tif == GOOD_FOR_AUCTION or book.phase == CLOSING_AUCTION:
            del book.for_close[order.order_id]
            book.own(order.side).add(order)
