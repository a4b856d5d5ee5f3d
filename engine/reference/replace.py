"""*Replace*: new terms for a live order, in the book or waiting. Checks first, as for a new order."""

from typing import Final

from lockstep.engine.reference import checks, events
from lockstep.engine.reference.breakers import Step
from lockstep.engine.reference.cancel import addressed_order
from lockstep.engine.reference.checks import Check, first_refusal
from lockstep.engine.reference.entry import Entry, take_tokens
from lockstep.engine.reference.events import BOOKS, LOST_PRIORITY, WAITS, Before
from lockstep.engine.reference.matching import enter
from lockstep.engine.reference.order import IN_BOOK, WAITS_FOR_PARENT, WAITS_FOR_STOP, Order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.records import OrderCommand
from lockstep.engine.reference.state import State
from lockstep.engine.reference.stops import after_trading, cascade
from lockstep.engine.reference.words import CONTINUOUS, CUT, MARKET, TOTAL
from lockstep.engine.reference.worth import lot_micros_of, worth_of
from lockstep.stream.codes import Code
from lockstep.stream.records import MAX_QUANTITY_LOTS, EventKind

CHECKS: Final[tuple[Check, ...]] = (
    checks.account_status,
    checks.phase_of_replace,
    checks.quantity,
    checks.price,
    checks.stop_price,
    checks.display_ratio,
    checks.band,
    checks.price_bands,
    checks.collar,
    checks.round_lots,
    checks.order_size,
    checks.worth_range,
    checks.order_worth,
    checks.close_only,
    checks.position_limit,
    checks.day_trader,
    checks.concentration,
    checks.bars,
    checks.ownership,
    checks.locates,
    checks.short_sale_price,
    checks.funds,
    checks.balances,
    checks.instrument_throttle,
    checks.market_throttle,
    checks.post_only,
)
CHECKS_IF_IT_LESSENS: Final[tuple[Check, ...]] = (
    checks.phase_of_replace,
    checks.quantity,
    checks.price,
    checks.stop_price,
    checks.worth_range,
    checks.funds,
    checks.balances,
)


def replace(state: State, command: OrderCommand, out: Output) -> None:
    """REPLACE. The order belongs to the session that replaced it from then on."""
    if state.is_closed(command.session_id):
        events.refused(out, command, EventKind.REPLACE_REJECTED, Code.SESSION_CLOSED)
        return
    order = addressed_order(state, command)
    if order is None:
        events.refused(out, command, EventKind.REPLACE_REJECTED, Code.UNKNOWN_ORDER)
        return
    open_lots = _open_lots(order, command)
    if command.flags & CUT and open_lots >= order.leaves:
        events.refused(out, command, EventKind.REPLACE_REJECTED, Code.BAD_QUANTITY)
        return
    if open_lots < 1 <= command.quantity_lots:
        state.withdraw(order)
        events.taken_off(out, order, events.asker_of(command), lots=order.leaves, code=Code.CANCEL_REQUESTED)
        return
    wanted = _with_new_terms(order, command, open_lots)
    entry = Entry(state, wanted, out.now_ns, worth=worth_of(wanted))
    entry.lessens = _lessens(order, wanted)
    entry.freed_lots = order.leaves
    entry.freed_micros = order.lot_micros * order.leaves
    code = _refusal(entry, command, order)
    if code is not None:
        events.refused(out, command, EventKind.REPLACE_REJECTED, code)
        return
    before = Before(order.session_id, order.price, order.leaves)
    order.session_id = command.session_id
    order.quantity = wanted.quantity
    if entry.lessens:
        _lessen(order, wanted, before, command.session_no, out)
    else:
        take_tokens(entry)
        _move(state, order, wanted, before, command.session_no, out)


def _open_lots(order: Order, command: OrderCommand) -> int:
    """The open quantity that is asked for. A total that no order may have stays what it is: check 7 refuses it."""
    lots = command.quantity_lots
    is_total = command.flags & TOTAL and 1 <= lots <= MAX_QUANTITY_LOTS
    return lots - (order.quantity - order.leaves) if is_total else lots


def _with_new_terms(order: Order, command: OrderCommand, open_lots: int) -> Order:
    """The order as it would be."""
    wanted = order.copy()
    if not command.flags & CUT:
        wanted.price = wanted.held = command.price_ticks
        wanted.stop_price = command.stop_price_ticks or order.stop_price
    wanted.leaves = open_lots
    wanted.quantity = command.quantity_lots
    wanted.lot_micros = lot_micros_of(wanted)
    return wanted


def _lessens(order: Order, wanted: Order) -> bool:
    """Whether the price is the same and the quantity no larger, and the stop price stays, too."""
    same_prices = (wanted.price, wanted.stop_price) == (order.price, order.stop_price)
    return same_prices and wanted.leaves <= order.leaves


def _refusal(entry: Entry, command: OrderCommand, order: Order) -> Code | None:
    """*Replace*, "Checks", from the second on, in their order; None: it may have the new terms."""
    new_stop = 0 if command.flags & CUT else command.stop_price_ticks
    if (
        order.order_type == MARKET
        or order.place == WAITS_FOR_PARENT
        or (new_stop and order.place != WAITS_FOR_STOP and not order.is_oco)
    ):
        return Code.NOT_SUPPORTED
    return first_refusal(entry, CHECKS_IF_IT_LESSENS if entry.lessens else CHECKS)


def _lessen(order: Order, wanted: Order, before: Before, session_no: int, out: Output) -> None:
    """One that lessens keeps its place."""
    order.account.reserve(order, wanted.leaves - order.leaves)
    if order.place == IN_BOOK:
        order.book.own(order.side).reduce(order, wanted.leaves)
    order.leaves = wanted.leaves
    flags = BOOKS if order.place == IN_BOOK else WAITS
    events.replaced(out, order, before, session_no=session_no, flags=flags)


def _move(state: State, order: Order, wanted: Order, before: Before, session_no: int, out: Output) -> None:
    """Any other loses its place, and goes as far as its new limit; one that waits continues to wait."""
    book, place = order.book, order.place
    state.withdraw(order)
    order.price = order.held = wanted.price
    order.stop_price = wanted.stop_price
    order.leaves = wanted.leaves
    order.lot_micros = wanted.lot_micros
    flags = BOOKS if place == IN_BOOK else WAITS
    # Orders that wait for a stop price are in no queue.
    flags |= 0 if place == WAITS_FOR_STOP else LOST_PRIORITY
    events.replaced(out, order, before, session_no=session_no, flags=flags)
    if place != IN_BOOK:
        state.wait(order, place)
        if place == WAITS_FOR_STOP:
            cascade(state, book, out)
    elif book.phase != CONTINUOUS:
        state.rest(order)
    else:
        last_before = book.last
        first = enter(state, order, session_no=session_no, out=out)
        if first:
            after_trading(state, book, Step(last_before, first), out)
        elif order.is_oco:
            cascade(state, book, out)
