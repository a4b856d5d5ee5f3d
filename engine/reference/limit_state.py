"""*Limit up and limit down*: what becomes of bands at the end of a command, and when trading begins."""

from lockstep.engine.reference import events
from lockstep.engine.reference.bands import Bands
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.events import NOBODY
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.state import State
from lockstep.engine.reference.words import CONTINUOUS, LIMIT_DOWN, LIMIT_UP, NORMAL, STRADDLE
from lockstep.stream.codes import Code


def state_now(book: Book) -> int:
    """*Limit up and limit down*, "States": by the best prices of the book."""
    within = book.bands_in_force()
    if within is None:
        return NORMAL
    bid, ask = book.bids.best(), book.asks.best()
    if bid is not None and bid.price >= within.high:
        return LIMIT_UP
    if ask is not None and ask.price <= within.low:
        return LIMIT_DOWN
    straddles = (bid is not None and bid.price < within.low) or (ask is not None and ask.price > within.high)
    return STRADDLE if straddles else NORMAL


def look(state: State, book: Book, out: Output) -> None:
    """*Limit up and limit down*, "A look" 1 to 3."""
    bands = book.bands
    if bands is None or book.phase != CONTINUOUS:
        return
    before, bands.state = bands.state, state_now(book)
    if bands.state not in (LIMIT_UP, LIMIT_DOWN):
        reference = bands.next_reference(out.now_ns)
        if reference:
            move(state, book, bands, reference, out)
            bands.state = state_now(book)
    if bands.state != before:
        is_limit = bands.state in (LIMIT_UP, LIMIT_DOWN)
        bands.until_ns = out.now_ns + bands.terms.limit_ns if is_limit else 0
        events.limit_state_changed(out, book, bands, previous=before)


def open_bands(state: State, book: Book, opening: int, out: Output) -> None:
    """*Limit up and limit down*, "Opening": trading begins, after an auction that traded at `opening` (0: none did)."""
    bands = book.bands
    if bands is None:
        return
    if opening:
        bands.note(opening, out.now_ns)
    reference = opening or bands.reference or book.mark or book.close
    if reference:
        move(state, book, bands, reference, out)


def move(state: State, book: Book, bands: Bands, reference: int, out: Output) -> None:
    """The bands move; orders that they leave outside end."""
    bands.move(reference, book.close, out.now_ns)
    say_where(state, book, bands, out)


def say_where(state: State, book: Book, bands: Bands, out: Output) -> None:
    """BANDS_MOVED, and if they are in force the end of the orders outside, by order id."""
    events.bands_moved(out, book, bands)
    if book.phase != CONTINUOUS:
        return
    outside = [level for level in book.bids.best_first() if level.price > bands.high]
    outside += [level for level in book.asks.best_first() if level.price < bands.low]
    orders = [order for level in outside for order in level.by_priority()]
    for order in sorted(orders, key=lambda order: order.order_id):
        state.withdraw(order)
        events.taken_off(out, order, NOBODY, lots=order.leaves, code=Code.BAND_MOVED)
