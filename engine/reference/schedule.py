"""*Time*: a TICK, and what is due by its stamp; a change of phase with everything that it entails."""

from lockstep.engine.reference import events, margin
from lockstep.engine.reference.auction import equilibrium
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.endings import finish
from lockstep.engine.reference.events import NOBODY, Asker
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.phases import AUCTIONS, Change, enter_phase
from lockstep.engine.reference.records import ControlCommand
from lockstep.engine.reference.state import State
from lockstep.engine.reference.stops import cascade
from lockstep.engine.reference.words import CONTINUOUS, GTD, VOLATILITY_AUCTION
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind


def tick(state: State, command: ControlCommand, out: Output) -> None:
    """TICK: *Time* 1 to 7."""
    _expire_orders(state, out)
    _follow_schedules(state, out)
    _end_limit_states(state, out)
    margin.call(state, out)
    _say_what_auctions_would_give(state, out)
    finish(state, out)
    events.control(out, command, EventKind.TICKED)


def _expire_orders(state: State, out: Output) -> None:
    """*Time* 1."""
    due = [o for o in state.orders.values() if o.tif == GTD and o.expire_ns <= out.now_ns]
    for order in sorted(due, key=lambda order: (order.expire_ns, order.order_id)):
        state.withdraw(order)
        events.taken_off(out, order, NOBODY, lots=order.leaves, code=Code.EXPIRED)


def _follow_schedules(state: State, out: Output) -> None:
    """*Time* 2."""
    for book in state.books.values():
        # A schedule does not bring an instrument out of a halt of the whole market (*Market-wide breaker*).
        is_held = book.next_phase == CONTINUOUS and out.now_ns < state.market.until_ns
        if book.next_phase and book.until_ns <= out.now_ns and not is_held:
            change_phase(state, book, Change(book.next_phase), NOBODY, out)


def _end_limit_states(state: State, out: Output) -> None:
    """*Time* 3."""
    for book in state.books.values():
        bands = book.bands
        if bands is not None and bands.until_ns and bands.until_ns <= out.now_ns:
            pause = Change(VOLATILITY_AUCTION, CONTINUOUS, out.now_ns + bands.terms.pause_ns)
            change_phase(state, book, pause, NOBODY, out)
        state.touch(book)


def _say_what_auctions_would_give(state: State, out: Output) -> None:
    """*Time* 5."""
    for book in state.books.values():
        if book.phase in AUCTIONS:
            price, volume, imbalance = equilibrium(book)
            events.indicative(out, book, price=price, volume=volume, imbalance=imbalance)


def change_phase(state: State, book: Book, change: Change, asker: Asker, out: Output) -> None:
    """*Phases*, "A change of phase does, in order", 1 to 5."""
    enter_phase(state, book, change, asker, out)
    if book.phase == CONTINUOUS:
        cascade(state, book, out)
