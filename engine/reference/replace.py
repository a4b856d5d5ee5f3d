"""REPLACE: new terms for a live order, in the book or waiting. Checks first, as for a new order."""

from lockstep.engine.reference import events
from lockstep.engine.reference.book import CONTINUOUS, IN_BOOK, LIMIT, MARKET, STOP_LIMIT, WAITS_FOR_STOP, Order
from lockstep.engine.reference.events import Output
from lockstep.engine.reference.funds import exposure_refusal, funds_refusal, range_refusal, status_refusal
from lockstep.engine.reference.matching import enter
from lockstep.engine.reference.orders import TAKES_NOTHING, addressed_order, crosses
from lockstep.engine.reference.phases import aftermath, set_off_stops
from lockstep.engine.reference.rows import Row
from lockstep.engine.reference.state import State
from lockstep.engine.reference.terms import DISPLAY_RATIO, POST_ONLY
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, EventKind


def replace(state: State, row: Row, out: Output) -> None:
    """New price and new open quantity, and for an order that waits for it a new stop price.

    Less at the same price keeps the order's place; anything else puts it behind, and may trade. The order belongs to
    the session that replaced it from then on, as that is the one that gets its further reports.
    """
    order = addressed_order(state, row)
    if order is None:
        events.refused(out, row, EventKind.REPLACE_REJECTED, Code.UNKNOWN_ORDER)
        return
    price, stop, lots = row[13], row[14], row[15]
    lessens = price == order.price and lots <= order.leaves and stop in (0, order.stop)
    code = _refusal(state, order, price, stop, lots, lessens, out.now_ns)
    if code is not Code.OK:
        events.refused(out, row, EventKind.REPLACE_REJECTED, code)
        return
    previous = (order.session_id, order.price, order.leaves)
    order.session_id = row[7]
    order.quantity = lots
    if lessens:
        order.account.reserve(order, lots - order.leaves)
        if order.place == IN_BOOK:
            order.book.own(order.side).reduce(order, lots)
        order.leaves = lots
        events.replaced(out, row[8], order, events.BOOKS if order.place == IN_BOOK else events.WAITS, previous)
        return
    place = order.place
    state.withdraw(order)
    book = order.book
    order.price = order.held = price
    order.stop = stop or order.stop
    order.leaves = lots
    order.lot_micros = book.lot_micros(order.side, price or order.stop)
    if place != IN_BOOK:
        events.replaced(out, row[8], order, events.WAITS | _lost(place), previous)
        state.wait(order, place)
        if place == WAITS_FOR_STOP:
            set_off_stops(state, book, out)
        return
    events.replaced(out, row[8], order, events.BOOKS | events.LOST_PRIORITY, previous)
    if book.phase != CONTINUOUS:
        state.rest(order)
        return
    before = book.last
    if enter(state, order, row[8], out) and (book.stops or book.breaker_ppm or book.index_weight):
        aftermath(state, book, before, out)


def _lost(place: int) -> int:
    """Orders for the closing auction are in a queue; those that wait for a stop price are not."""
    return 0 if place == WAITS_FOR_STOP else events.LOST_PRIORITY


def _refusal(state: State, order: Order, price: int, stop: int, lots: int, lessens: bool, now_ns: int) -> Code:
    """Why an order can't have new terms; what it has reserved itself counts as free."""
    book = order.book
    account = order.account
    if order.order_type == MARKET or (stop and order.place != WAITS_FOR_STOP):
        return Code.NOT_SUPPORTED
    if account.status and not lessens:
        code = status_refusal(account)
        if code is not Code.OK:
            return code
    if book.phase in TAKES_NOTHING:
        return Code.WRONG_PHASE
    code = _terms_refusal(order, price, stop, lots)
    if code is Code.OK and not lessens:
        code = _new_terms_refusal(order, price, lots)
    if code is not Code.OK:
        return code
    worth = book.lot_micros(order.side, price or stop or order.stop) * lots
    freed = order.lot_micros * order.leaves
    if worth > I64_MAX:
        return Code.OVERFLOW
    if lessens:
        return range_refusal(book, account, order.side, price, lots, worth, order.leaves, freed)
    limits = account.limits
    if limits is not None and limits.max_order_micros and worth > limits.max_order_micros:
        return Code.ORDER_WORTH_TOO_MUCH
    code = exposure_refusal(state, book, account, order.side, lots, worth, order.leaves, now_ns)
    if code is Code.OK:
        code = funds_refusal(state, book, account, order.side, price, lots, worth, order.leaves, freed)
    if code is Code.OK and order.flags & POST_ONLY and book.phase == CONTINUOUS and crosses(book, order.side, price):
        return Code.WOULD_TRADE
    return code


def _terms_refusal(order: Order, price: int, stop: int, lots: int) -> Code:
    """Quantity and prices by themselves."""
    if not 1 <= lots <= MAX_QUANTITY_LOTS:
        return Code.BAD_QUANTITY
    # A stop order that was set off is in the book only if it is a STOP_LIMIT; the others have no limit.
    if not 1 <= price <= MAX_PRICE_TICKS if order.order_type in (LIMIT, STOP_LIMIT) else price:
        return Code.BAD_PRICE
    return Code.BAD_STOP_PRICE if stop and not 1 <= stop <= MAX_PRICE_TICKS else Code.OK


def _new_terms_refusal(order: Order, price: int, lots: int) -> Code:
    """Display quantity, price limits and size of an order that asks for more than it has."""
    if order.display and lots > DISPLAY_RATIO * order.display:
        return Code.BAD_DISPLAY
    code = order.book.price_refusal(order.side, price) if price else Code.OK
    limits = order.account.limits
    if code is Code.OK and limits is not None and limits.max_order_lots and lots > limits.max_order_lots:
        return Code.ORDER_TOO_LARGE
    return code
