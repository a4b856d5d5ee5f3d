"""Order commands: validate completely, then change state, then say what happened.

Each handler is `(state, row, out)`. The order of its checks is part of the specification (the table in
`docs/engine.md`): two engines must refuse the same command with the same code.
"""

from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import (
    BUY,
    CONTINUOUS,
    IN_BOOK,
    LIMIT,
    STOP_LIMIT,
    WAITS_FOR_CLOSE,
    WAITS_FOR_STOP,
    Book,
    Order,
)
from lockstep.engine.reference.events import Output
from lockstep.engine.reference.funds import exposure_refusal, funds_refusal, market_worth, status_refusal
from lockstep.engine.reference.matching import RESTS, enter
from lockstep.engine.reference.phases import CLOSED, CLOSING_AUCTION, HALT, aftermath, set_off_stops
from lockstep.engine.reference.rows import Row
from lockstep.engine.reference.state import State
from lockstep.engine.reference.terms import (
    AT_CLOSE,
    AT_OPEN,
    DISPLAY_RATIO,
    MARKET,
    POST_ONLY,
    SHAPES,
    extras_fit,
    terms_refusal,
)
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, EventKind, Phase

MAX_CODE: Final = 2**16 - 1
_OPENING: Final = (int(Phase.PRE_OPEN), int(Phase.OPENING_AUCTION))
_TAKES_NOTHING: Final = (HALT, CLOSED)


def new_order(state: State, row: Row, out: Output) -> None:
    """NEW_ORDER. The exchange id of the order is the seq of this command."""
    _, side, order_type, tif, stp, bits, _, session_id, session_no, account_id, instrument_id, client_id = row[:12]
    price = row[13]
    lots = row[15]
    account = state.accounts.get(account_id)
    book = state.books.get(instrument_id)
    plain = not (stp or bits or row[14] or row[16] or row[17] or row[18] or row[19])
    if (side, order_type, tif) not in SHAPES or not (plain or extras_fit(row)):
        code = Code.NOT_SUPPORTED
    elif account is None:
        code = Code.UNKNOWN_ACCOUNT
    elif book is None:
        code = Code.UNKNOWN_INSTRUMENT
    else:
        code = Code.OK
        if account.status:
            code = status_refusal(account)
        if code is Code.OK and not (book.phase == CONTINUOUS and tif != AT_OPEN):
            code = _phase_refusal(book.phase, row)
        if code is Code.OK:
            code = terms_refusal(row, book, account, out.now_ns)
        if code is Code.OK:
            stop = row[14] or _first_stop(book, row)
            worth, lot_micros = _worth(book, account, row, price or stop)
            code = _entry_refusal(account, book, row, worth, out.now_ns)
    if code is not Code.OK or account is None or book is None:
        events.refused(out, row, EventKind.REJECTED, code)
        return
    position = account.position(instrument_id)
    order = Order(
        *(out.seq, client_id, session_id, account, position, book),
        *(side, order_type, tif, price, lots, lot_micros),
    )
    if account.limits is not None:
        account.limits.count_order(out.now_ns)
    if not plain:
        order.stp = stp
        order.flags = bits
        order.display = row[16]
        order.expire_ns = row[18]
        order.stop = stop
        order.trail = row[19]
    _admit(state, order, row[17], session_no, out)


def _admit(state: State, order: Order, min_lots: int, session_no: int, out: Output) -> None:
    """An order that passed all checks goes where it belongs: to the other side, into the book, or to wait."""
    book = order.book
    phase = book.phase
    if order.stop:
        events.accepted(out, session_no, order, events.WAITS)
        state.wait(order, WAITS_FOR_STOP)
        set_off_stops(state, book, out)
    elif order.tif == AT_CLOSE and phase != CLOSING_AUCTION:
        events.accepted(out, session_no, order, events.WAITS)
        state.wait(order, WAITS_FOR_CLOSE)
    elif phase != CONTINUOUS:
        events.accepted(out, session_no, order, events.BOOKS)
        state.rest(order)
    else:
        events.accepted(out, session_no, order, events.BOOKS if (order.order_type, order.tif) in RESTS else 0)
        before = book.last
        if enter(state, order, session_no, out, min_lots) and (book.stops or book.breaker_ppm):
            aftermath(state, book, before, out)


def _phase_refusal(phase: int, row: Row) -> Code:
    """Whether the instrument's phase takes such an order."""
    order_type, tif = row[2], row[3]
    if phase in _TAKES_NOTHING or (tif == AT_OPEN and phase not in _OPENING):
        return Code.WRONG_PHASE
    if phase == CONTINUOUS:
        return Code.OK
    if order_type == LIMIT:
        gathers = (order_type, tif) in RESTS or tif in (AT_OPEN, AT_CLOSE)
        return Code.OK if gathers and not row[5] & POST_ONLY and not row[17] else Code.WRONG_PHASE
    return Code.WRONG_PHASE if order_type == MARKET else Code.OK


def _first_stop(book: Book, row: Row) -> int:
    """Stop price of a trailing stop that came without one."""
    trail = row[19]
    if not trail:
        return 0
    return book.last + trail if row[1] == BUY else book.last - trail


def _worth(book: Book, account: Account, row: Row, price: int) -> tuple[int, int]:
    """(worth of the whole order, what one lot reserves)."""
    side, order_type, lots = row[1], row[2], row[15]
    if order_type == MARKET:
        limit_key = book.limit_key(side, order_type, row[13])
        return market_worth(book, account, side, limit_key, row[3], lots, row[4]), 0
    lot_micros = price * book.unit_micros
    if book.fee_ppm:
        lot_micros = book.lot_micros(side, price)
    return lot_micros * lots, lot_micros


def _entry_refusal(account: Account, book: Book, row: Row, worth: int, now_ns: int) -> Code:
    """Why an order with good terms can't be taken: its worth, its id, the account's funds and limits."""
    side, order_type, client_id, lots = row[1], row[2], row[11], row[15]
    limits = account.limits
    if worth > I64_MAX:
        return Code.OVERFLOW
    if limits is not None and limits.max_order_micros and worth > limits.max_order_micros:
        return Code.ORDER_WORTH_TOO_MUCH
    if client_id and client_id in account.by_client_id:
        return Code.DUPLICATE_ORDER_ID
    code = Code.OK
    if account.status or limits is not None:
        code = exposure_refusal(book, account, side, lots, 0)
        if code is not Code.OK:
            return code
    price = row[13] if order_type in (LIMIT, STOP_LIMIT) else 0
    code = funds_refusal(book, account, side, price, lots, worth, 0, 0)
    if code is Code.OK and limits is not None:
        code = limits.count_refusal(now_ns)
    if code is Code.OK and row[5] & POST_ONLY and _crosses(book, side, price):
        code = Code.WOULD_TRADE
    return code


def _crosses(book: Book, side: int, price: int) -> bool:
    best = book.opposite(side).best
    return best is not None and best.key <= book.limit_key(side, LIMIT, price)


def addressed_order(state: State, row: Row) -> Order | None:
    """The live order of the command's account that it names, by exchange id or else by client id."""
    account = state.accounts.get(row[9])
    if account is None:
        return None
    order_id = row[12]
    # Client id 0 means none, so no order is ever found under it.
    return account.orders.get(order_id) if order_id else account.by_client_id.get(row[11])


def cancel(state: State, row: Row, out: Output) -> None:
    """CANCEL: take a live order out of its place."""
    order = addressed_order(state, row)
    if order is None:
        events.refused(out, row, EventKind.CANCEL_REJECTED, Code.UNKNOWN_ORDER)
        return
    state.withdraw(order)
    events.taken_off(out, row[7], row[8], order, order.leaves, Code.CANCEL_REQUESTED)


def replace(state: State, row: Row, out: Output) -> None:
    """REPLACE: new price and new open quantity for a live order.

    Less at the same price keeps the order's place; anything else puts it behind, and may trade. The order belongs to
    the session that replaced it from then on, as that is the one that gets its further reports.
    """
    order = addressed_order(state, row)
    if order is None:
        events.refused(out, row, EventKind.REPLACE_REJECTED, Code.UNKNOWN_ORDER)
        return
    price = row[13]
    lots = row[15]
    code = _replace_refusal(order, price, lots)
    if code is not Code.OK:
        events.refused(out, row, EventKind.REPLACE_REJECTED, code)
        return
    previous = (order.session_id, order.price, order.leaves)
    order.session_id = row[7]
    order.quantity = lots
    if price == order.price and lots <= order.leaves:
        order.account.reserve(order, lots - order.leaves)
        order.book.own(order.side).reduce(order, lots)
        events.replaced(out, row[8], order, events.BOOKS, previous)
        return
    state.withdraw(order)
    book = order.book
    order.price = price
    order.leaves = lots
    order.lot_micros = book.lot_micros(order.side, price)
    events.replaced(out, row[8], order, events.BOOKS | events.LOST_PRIORITY, previous)
    if book.phase != CONTINUOUS:
        state.rest(order)
        return
    before = book.last
    if enter(state, order, row[8], out) and (book.stops or book.breaker_ppm):
        aftermath(state, book, before, out)


def _replace_refusal(order: Order, price: int, lots: int) -> Code:
    """Why an order can't have new terms; what it has reserved itself counts as free."""
    book = order.book
    account = order.account
    lessens = price == order.price and lots <= order.leaves
    if order.place != IN_BOOK:
        return Code.NOT_SUPPORTED
    if account.status and not lessens:
        code = status_refusal(account)
        if code is not Code.OK:
            return code
    if book.phase in _TAKES_NOTHING:
        return Code.WRONG_PHASE
    if not 1 <= lots <= MAX_QUANTITY_LOTS:
        return Code.BAD_QUANTITY
    if not 1 <= price <= MAX_PRICE_TICKS:
        return Code.BAD_PRICE
    if not lessens:
        code = _new_terms_refusal(order, price, lots)
        if code is not Code.OK:
            return code
    worth = book.lot_micros(order.side, price) * lots
    if worth > I64_MAX:
        return Code.OVERFLOW
    limits = account.limits
    if not lessens and limits is not None and limits.max_order_micros and worth > limits.max_order_micros:
        return Code.ORDER_WORTH_TOO_MUCH
    if not lessens:
        code = exposure_refusal(book, account, order.side, lots, order.leaves)
        if code is not Code.OK:
            return code
    freed = order.lot_micros * order.leaves
    code = funds_refusal(book, account, order.side, price, lots, worth, order.leaves, freed)
    if code is Code.OK and not lessens and order.flags & POST_ONLY and book.phase == CONTINUOUS:
        return Code.WOULD_TRADE if _crosses(book, order.side, price) else Code.OK
    return code


def _new_terms_refusal(order: Order, price: int, lots: int) -> Code:
    """Display quantity, price limits and size of an order that asks for more than it has."""
    if order.display and lots > DISPLAY_RATIO * order.display:
        return Code.BAD_DISPLAY
    code = order.book.price_refusal(order.side, price)
    limits = order.account.limits
    if code is Code.OK and limits is not None and limits.max_order_lots and lots > limits.max_order_lots:
        return Code.ORDER_TOO_LARGE
    return code


def gateway_refusal(_state: State, row: Row, out: Output) -> None:
    """REFUSED: a gateway said no; the stream keeps its answer, with the code from `tag`."""
    tag = row[22]
    # A tag that is no code (they have 16 bits) can't be passed on as one.
    code = tag if 0 < tag <= MAX_CODE else Code.UNKNOWN_COMMAND
    events.refused(out, row, EventKind.REJECTED, code)
