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
    LIMIT,
    MARKET,
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
    FOK,
    IOC,
    POST_ONLY,
    SHAPES,
    extras_fit,
    gathers,
    terms_refusal,
)
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, EventKind, Phase

MAX_CODE: Final = 2**16 - 1
_OPENING: Final = (int(Phase.PRE_OPEN), int(Phase.OPENING_AUCTION))
TAKES_NOTHING: Final = (HALT, CLOSED)


def new_order(state: State, row: Row, out: Output) -> None:
    """NEW_ORDER. The exchange id of the order is the seq of this command."""
    _, side, order_type, tif, stp, bits, _, session_id, session_no, account_id, instrument_id, client_id = row[:12]
    price = row[13]
    lots = row[15]
    account = state.accounts.get(account_id)
    book = state.books.get(instrument_id)
    plain = not (stp or bits or row[14] or row[16] or row[17] or row[18] or row[19])
    if state.is_closed(session_id):
        code = Code.SESSION_CLOSED
    elif (side, order_type, tif) not in SHAPES or not (plain or extras_fit(row)):
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
            held = valued = price
            if order_type == MARKET and gathers(book, tif):
                held = book.gathering_price(side, price)
                # A buy must be able to pay what it is held to; what a sell without a protection brings is not known.
                valued = held if side == BUY or held == price else book.mark
            worth, lot_micros = _worth(book, account, row, valued or stop)
            code = _entry_refusal(state, account, book, row, valued, worth, out.now_ns)
    if code is not Code.OK or account is None or book is None:
        events.refused(out, row, EventKind.REJECTED, code)
        return
    position = account.position(instrument_id)
    order = Order(
        *(out.seq, client_id, session_id, account, position, book),
        *(side, order_type, tif, price, lots, lot_micros),
    )
    order.held = held
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
        if enter(state, order, session_no, out, min_lots) and (book.stops or book.breaker_ppm or book.index_weight):
            aftermath(state, book, before, out)


def _phase_refusal(phase: int, row: Row) -> Code:
    """Whether the instrument's phase takes such an order."""
    order_type, tif = row[2], row[3]
    if phase in TAKES_NOTHING or (tif == AT_OPEN and phase not in _OPENING):
        return Code.WRONG_PHASE
    if phase == CONTINUOUS:
        return Code.OK
    if order_type == LIMIT:
        stays = (order_type, tif) in RESTS or tif in (AT_OPEN, AT_CLOSE)
        return Code.OK if stays and not row[5] & POST_ONLY and not row[17] else Code.WRONG_PHASE
    if order_type == MARKET:
        return Code.OK if tif not in (IOC, FOK) and not row[17] else Code.WRONG_PHASE
    return Code.OK


def _first_stop(book: Book, row: Row) -> int:
    """Stop price of a trailing stop that came without one."""
    trail = row[19]
    if not trail:
        return 0
    return book.last + trail if row[1] == BUY else book.last - trail


def _worth(book: Book, account: Account, row: Row, price: int) -> tuple[int, int]:
    """(worth of the whole order, what one lot reserves)."""
    side, order_type, lots = row[1], row[2], row[15]
    if order_type == MARKET and not gathers(book, row[3]):
        limit_key = book.limit_key(side, order_type, row[13])
        return market_worth(book, account, side, limit_key, row[3], lots, row[4]), 0
    lot_micros = price * book.unit_micros
    if book.fee_ppm:
        lot_micros = book.lot_micros(side, price)
    return lot_micros * lots, lot_micros


def _entry_refusal(state: State, account: Account, book: Book, row: Row, price: int, worth: int, now_ns: int) -> Code:
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
    if account.status or limits is not None or account.day_trade_rule:
        code = exposure_refusal(state, book, account, side, lots, worth, 0, now_ns)
        if code is not Code.OK:
            return code
    if order_type == MARKET and not gathers(book, row[3]):
        price = 0
    code = funds_refusal(state, book, account, side, price, lots, worth, 0, 0)
    if code is Code.OK and limits is not None:
        code = limits.count_refusal(now_ns)
    if code is Code.OK and row[5] & POST_ONLY and crosses(book, side, price):
        code = Code.WOULD_TRADE
    return code


def crosses(book: Book, side: int, price: int) -> bool:
    """Whether an order with this limit would trade at once."""
    best = book.opposite(side).best
    return best is not None and best.key <= book.limit_key(side, LIMIT, price)


def addressed_order(state: State, row: Row) -> Order | None:
    """The live order of the command's account that it names, by exchange id or else by client id."""
    account = state.accounts.get(row[9])
    if account is None:
        return None
    order_id = row[12]
    # Client id 0 means none, so no order is ever found under it.
    found: Order | None = account.orders.get(order_id) if order_id else account.by_client_id.get(row[11])
    return found


def cancel(state: State, row: Row, out: Output) -> None:
    """CANCEL: take a live order out of its place."""
    order = addressed_order(state, row)
    if order is None:
        events.refused(out, row, EventKind.CANCEL_REJECTED, Code.UNKNOWN_ORDER)
        return
    state.withdraw(order)
    events.taken_off(out, row[7], row[8], order, order.leaves, Code.CANCEL_REQUESTED)


def gateway_refusal(_state: State, row: Row, out: Output) -> None:
    """REFUSED: a gateway said no; the stream keeps its answer, with the code from `tag`."""
    tag = row[22]
    # A tag that is no code (they have 16 bits) can't be passed on as one.
    code = tag if 0 < tag <= MAX_CODE else Code.UNKNOWN_COMMAND
    events.refused(out, row, EventKind.REJECTED, code)
