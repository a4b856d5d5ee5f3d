"""*New order*: the checks in the order of the table, then where the order goes.

The order of the checks is part of the specification: two engines must refuse the same command with the same code.
"""

from typing import Final

from lockstep.engine.reference import checks, events, families
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.breakers import Step
from lockstep.engine.reference.checks import Check, first_refusal
from lockstep.engine.reference.entry import Entry, take_tokens
from lockstep.engine.reference.events import BOOKS, WAITS
from lockstep.engine.reference.matching import enter
from lockstep.engine.reference.order import WAITS_FOR_CLOSE, WAITS_FOR_PARENT, WAITS_FOR_STOP, Order
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.records import OrderCommand
from lockstep.engine.reference.state import State
from lockstep.engine.reference.stops import after_trading, cascade, first_stop_price
from lockstep.engine.reference.terms import make_an_order
from lockstep.engine.reference.words import AT_CLOSE, CLOSING_AUCTION, CONTINUOUS, GOOD_FOR_AUCTION
from lockstep.engine.reference.worth import gathers, held_to, lot_micros_of, worth_of
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind

CHECKS: Final[tuple[Check, ...]] = (
    checks.account_status,
    checks.phase,
    checks.quantity,
    checks.price,
    checks.stop_price,
    checks.display,
    checks.minimum,
    checks.expiry,
    checks.band,
    checks.price_bands,
    checks.collar,
    checks.round_lots,
    checks.order_size,
    checks.worth_range,
    checks.order_worth,
    checks.client_id,
    checks.parent,
    checks.waiting_children,
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
    checks.daily_orders,
    checks.order_rate,
    checks.order_to_trade,
    checks.instrument_throttle,
    checks.market_throttle,
    checks.post_only,
)
"""5 to 26."""
CHECKS_OF_A_CHILD: Final[tuple[Check, ...]] = tuple(
    check for check in CHECKS if check not in (*families.CHECKS[4:], checks.post_only)
)
"""*Contingent orders*: what binds and exposes is asked when it goes to the market."""


def new_order(state: State, command: OrderCommand, out: Output) -> None:
    """NEW_ORDER. The exchange id of the order is the seq of this command. Checks 1 to 4 stand here."""
    account = state.accounts.get(command.account)
    book = state.books.get(command.instrument)
    code: Code | None
    if state.is_closed(command.session_id):
        code = Code.SESSION_CLOSED
    elif not make_an_order(command):
        code = Code.NOT_SUPPORTED
    elif account is None:
        code = Code.UNKNOWN_ACCOUNT
    elif book is None:
        code = Code.UNKNOWN_INSTRUMENT
    else:
        order = _order_of(command, account, book, out.seq)
        entry = Entry(state, order, out.now_ns, worth=worth_of(order), minimum=command.min_lots)
        entry.parent_id = command.parent_id
        entry.parent = account.by_client_id.get(command.parent_id)
        code = first_refusal(entry, CHECKS_OF_A_CHILD if command.parent_id else CHECKS)
        if code is None:
            _admit(entry, command.session_no, out)
            return
    events.refused(out, command, EventKind.REJECTED, code)


def _order_of(command: OrderCommand, account: Account, book: Book, order_id: int) -> Order:
    """The order as it would be."""
    order = Order(command, order_id=order_id, account=account, book=book)
    if order.trail and not order.stop_price:
        order.stop_price = first_stop_price(book, side=order.side, trail=order.trail)
    if gathers(order):
        order.held = held_to(book, order.side, order.price)
    order.lot_micros = lot_micros_of(order)
    if command.parent_id:
        order.place = WAITS_FOR_PARENT
    elif order.is_stop:
        order.place = WAITS_FOR_STOP
    return order


def waits_for_auction(order: Order) -> bool:
    """*Phases*: whether it stands outside the book until its auction."""
    phase = order.book.phase
    return (order.tif == AT_CLOSE and phase != CLOSING_AUCTION) or (
        order.tif == GOOD_FOR_AUCTION and phase == CONTINUOUS
    )


def _admit(entry: Entry, session_no: int, out: Output) -> None:
    """*New order*, "Then" 1 to 4: an order that passed all checks goes to the other side, into the book, or to wait."""
    state, order, book = entry.state, entry.order, entry.order.book
    if order.account.limits is not None:
        order.account.limits.count_order(out.now_ns)
    take_tokens(entry)
    state.touch(book)
    if entry.parent is not None:
        events.accepted(out, order, session_no=session_no, flags=WAITS)
        families.adopt(state, order, entry.parent)
    elif order.is_stop:
        events.accepted(out, order, session_no=session_no, flags=WAITS)
        state.wait(order, WAITS_FOR_STOP)
        cascade(state, book, out)
    elif waits_for_auction(order):
        events.accepted(out, order, session_no=session_no, flags=WAITS)
        state.wait(order, WAITS_FOR_CLOSE)
    elif book.phase != CONTINUOUS:
        events.accepted(out, order, session_no=session_no, flags=BOOKS)
        state.rest(order)
    else:
        events.accepted(out, order, session_no=session_no, flags=BOOKS if order.rests else 0)
        last_before = book.last
        first = enter(state, order, session_no=session_no, out=out, minimum=entry.minimum)
        if first:
            after_trading(state, book, Step(last_before, first), out)
        elif order.is_oco:
            cascade(state, book, out)
