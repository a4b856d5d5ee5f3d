"""*Contingent orders*: children that wait for the end of their parent, and go to the market with what it traded."""

from collections.abc import Iterable
from typing import Final

from lockstep.engine.reference import checks, events
from lockstep.engine.reference.breakers import Step
from lockstep.engine.reference.checks import Check, first_refusal
from lockstep.engine.reference.entry import Entry
from lockstep.engine.reference.events import BOOKS, NOBODY, WAITS, Asker
from lockstep.engine.reference.matching import enter
from lockstep.engine.reference.order import WAITS_FOR_PARENT, WAITS_FOR_STOP, Order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.state import State
from lockstep.engine.reference.stops import after_trading, cascade
from lockstep.engine.reference.words import CONTINUOUS
from lockstep.stream.codes import Code

CHECKS: Final[tuple[Check, ...]] = (
    checks.account_status,
    checks.price_bands_of_a_child,
    checks.worth_range,
    checks.order_worth,
    checks.close_only,
    checks.position_limit,
    checks.day_trader,
    checks.concentration,
    checks.bars,
    checks.ownership,
    checks.locates,
    checks.short_sale_price_of_a_child,
    checks.funds,
    checks.balances,
)
"""*Contingent orders* 3: what is asked of one that goes to the market."""


def adopt(state: State, child: Order, parent: Order) -> None:
    """A child is accepted: it waits."""
    child.parent = parent
    parent.children.append(child)
    state.wait(child, WAITS_FOR_PARENT)


def next_orphan(state: State) -> Order | None:
    """A child whose parent has ended since; its parent is known until that is dealt with."""
    waiting: Iterable[Order] = state.children.values()
    return next((one for one in waiting if one.parent is not None and one.parent.order_id not in state.orders), None)


def settle_orphan(state: State, child: Order, out: Output) -> None:
    """*Contingent orders* 1 and 2."""
    lots = min(child.parent_lots, child.leaves)
    if not lots:
        state.withdraw(child)
        events.taken_off(out, child, NOBODY, lots=child.leaves, code=Code.PARENT_ENDED)
        return
    if child.parent is not None:
        child.parent.children.remove(child)
    child.parent = None
    off, child.leaves = child.leaves - lots, lots
    # It has traded none of them, and a replace that says a total must not count them.
    child.quantity -= off
    if off:
        events.taken_off(out, child, NOBODY, lots=off, code=Code.PARENT_ENDED, leaves=lots)


def next_to_go(state: State) -> Order | None:
    """*Contingent orders* 3: one that waits for nothing any more."""
    waiting: Iterable[Order] = state.children.values()
    return next((one for one in waiting if one.parent is None and one.book.phase == CONTINUOUS), None)


def send(state: State, child: Order, out: Output) -> None:
    """*Contingent orders* 3: it is checked, and enters as a new order does."""
    book = child.book
    state.withdraw(child)
    state.touch(book)
    child.parent_lots = 0
    events.triggered(out, child, flags=WAITS if child.is_stop else BOOKS, stop_price=0)
    code = first_refusal(Entry(state, child, out.now_ns, worth=child.lot_micros * child.leaves), CHECKS)
    if code is not None:
        lots, child.leaves = child.leaves, 0
        events.taken_off(out, child, Asker(child.session_id, 0), lots=lots, code=code)
    elif child.is_stop:
        state.wait(child, WAITS_FOR_STOP)
        cascade(state, book, out)
    else:
        last_before = book.last
        first = enter(state, child, session_no=0, out=out)
        if first:
            after_trading(state, book, Step(last_before, first), out)
        elif child.is_oco:
            cascade(state, book, out)
