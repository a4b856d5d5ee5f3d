"""What stops trading after a matching step that traded: an instrument's breaker, the market-wide one."""

from typing import Final, NamedTuple

from lockstep.engine.reference import events
from lockstep.engine.reference.book import PPM, Book
from lockstep.engine.reference.events import NOBODY
from lockstep.engine.reference.limits import DAY_NS
from lockstep.engine.reference.market import is_in_index
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.phases import Change, enter_phase
from lockstep.engine.reference.short_sales import look_at_fall
from lockstep.engine.reference.state import State
from lockstep.engine.reference.words import CLOSED, CONTINUOUS, HALT, VOLATILITY_AUCTION

_CLOSING_LEVEL: Final = 3


class Step(NamedTuple):
    """A matching step that traded: price of the latest trade before it (0: none was), and of its first one."""

    last_before: int
    first: int


def look_at_breakers(state: State, book: Book, step: Step, out: Output) -> None:
    """After each matching step that traded; a step's prices go one way, so that its lowest is one of the two."""
    look_at_fall(book, min(step.first, book.last), out)
    if book.phase == CONTINUOUS:
        _look_at_breaker(state, book, step, out)
    _look_at_market(state, book, out)


def _look_at_breaker(state: State, book: Book, step: Step, out: Output) -> None:
    """*Price limits*, "Breaker": pause an instrument whose price has moved too far within the span."""
    if not book.breaker_ppm:
        return
    for extremes in (book.highest, book.lowest):
        if not extremes.rows and step.last_before:
            extremes.stand(step.last_before, out.now_ns)
        extremes.forget(out.now_ns, book.breaker_window_ns)
        # A step's prices go one way: these two are its extremes.
        extremes.stand(step.first, out.now_ns)
        extremes.stand(book.last, out.now_ns)
    high, low = book.highest.furthest, book.lowest.furthest
    ppm = book.breaker_ppm
    if (high - book.last) * PPM > ppm * high or (book.last - low) * PPM > ppm * low:
        until_ns = out.now_ns + book.breaker_pause_ns
        enter_phase(state, book, Change(book.breaker_phase, CONTINUOUS, until_ns), NOBODY, out)


def _look_at_market(state: State, book: Book, out: Output) -> None:
    """*Market-wide breaker*: halt or close everything, if this trade took the index to a level not reached today."""
    market = state.market
    if not is_in_index(book):
        return
    level, previous = market.level_of(state.books.values()), market.level_reached(out.now_ns)
    if level <= previous:
        return
    market.level, market.day = level, out.now_ns // DAY_NS
    if level == _CLOSING_LEVEL:
        _close_the_market(state, previous, out)
    else:
        _halt_the_market(state, previous, out)


def _close_the_market(state: State, previous: int, out: Output) -> None:
    """Level 3: all instruments, by id, that are not CLOSED."""
    events.market_halted(out, level=state.market.level, previous=previous, until_ns=0)
    for book in state.books.values():
        if book.phase != CLOSED:
            enter_phase(state, book, Change(CLOSED), NOBODY, out)


def _halt_the_market(state: State, previous: int, out: Output) -> None:
    """Level 1 or 2: all instruments, by id, that are in CONTINUOUS or VOLATILITY_AUCTION."""
    market = state.market
    market.until_ns = out.now_ns + market.pause_ns
    events.market_halted(out, level=market.level, previous=previous, until_ns=market.until_ns)
    for book in state.books.values():
        if book.phase in (CONTINUOUS, VOLATILITY_AUCTION):
            enter_phase(state, book, Change(HALT, CONTINUOUS, market.until_ns), NOBODY, out)
