"""Order commands: validate completely, then change state, then say what happened.

Each handler is `(state, row, seq, now_ns, emit)`. The order of its checks is part of the specification (the table in
`docs/engine.md`): two engines must refuse the same command with the same code.
"""

from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import UNLIMITED_KEY, Book, Order
from lockstep.engine.reference.rows import Emit, Row
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    I64_MAX,
    MAX_PRICE_TICKS,
    MAX_QUANTITY_LOTS,
    EventKind,
    OrderType,
    Side,
    TimeInForce,
)

# Plain ints: comparing an IntEnum member costs several times as much, and these are compared for every order.
BUY: Final = int(Side.BUY)
LIMIT: Final = int(OrderType.LIMIT)
MARKET: Final = int(OrderType.MARKET)
FOK: Final = int(TimeInForce.FOK)
MAX_CODE: Final = 2**16 - 1

_REMAINDER_FLAGS: Final[dict[tuple[int, int, int], int]] = {
    (side, order_type, tif): (
        events.BOOKS if order_type == OrderType.LIMIT and tif in (TimeInForce.DAY, TimeInForce.GTC) else 0
    )
    for side in (1, 2)
    for order_type in (1, 2)
    for tif in (1, 2, 3, 4)
}
"""All supported (side, type, time in force), and the flags of their ACCEPTED: whether a remainder rests."""


def new_order(state: State, row: Row, seq: int, now_ns: int, emit: Emit) -> None:
    """NEW_ORDER. The exchange id of the order is the seq of this command."""
    _, side, order_type, tif, _, _, _, session_id, session_no, account_id, instrument_id, client_id = row[:12]
    price = row[13]
    lots = row[15]
    flags = _REMAINDER_FLAGS.get((side, order_type, tif))
    account = state.accounts.get(account_id)
    book = state.books.get(instrument_id)
    # stp, flags; stop price; display and minimum quantity, expiry, trail: features this version does not have.
    if flags is None or row[4] or row[5] or row[14] or row[16] or row[17] or row[18] or row[19]:
        code = Code.NOT_SUPPORTED
    elif account is None:
        code = Code.UNKNOWN_ACCOUNT
    elif book is None:
        code = Code.UNKNOWN_INSTRUMENT
    else:
        code = _terms_refusal(order_type, price, lots)
        if code is Code.OK:
            code = _entry_refusal(account, book, side, order_type, tif, price, lots, client_id)
        if code is Code.OK:
            position = account.position(instrument_id)
            order = Order(seq, client_id, session_id, account, position, book, side, order_type, tif, price, lots)
            emit(events.accepted(seq, now_ns, session_no, order, flags))
            _execute(state, order, session_no, seq, now_ns, emit)
            return
    emit(events.refused(seq, now_ns, row, EventKind.REJECTED, code))


def _terms_refusal(order_type: int, price: int, lots: int) -> Code:
    """What is wrong with quantity and price by themselves."""
    if not 1 <= lots <= MAX_QUANTITY_LOTS:
        return Code.BAD_QUANTITY
    if order_type == LIMIT:
        if not 1 <= price <= MAX_PRICE_TICKS:
            return Code.BAD_PRICE
    elif price:
        return Code.BAD_PRICE
    return Code.OK


def _entry_refusal(
    account: Account, book: Book, side: int, order_type: int, tif: int, price: int, lots: int, client_id: int
) -> Code:
    """Why an order with good terms can't be taken: its worth, its id, the account's funds."""
    unit = book.unit_micros
    if order_type == LIMIT:
        value = price * lots * unit
    else:
        # A market order has no limit to reserve by: it needs exactly what it would trade for, now.
        filled, worth = book.opposite(side).reach(UNLIMITED_KEY, lots)
        value = worth * unit if filled == lots or tif != FOK else 0
    if value > I64_MAX:
        return Code.OVERFLOW
    if client_id and client_id in account.by_client_id:
        return Code.DUPLICATE_ORDER_ID
    position = account.positions.get(book.instrument.instrument_id)
    if side == BUY:
        return account.buy_refusal(value, lots, position, 0)
    if order_type == LIMIT:
        value = _most_proceeds(book, price, lots)
    return account.sell_refusal(value, lots, position, 0, 0)


def _most_proceeds(book: Book, price: int, lots: int) -> int:
    """What a limit sell may bring in at the most: it trades at the best bid at the best."""
    best = book.bids.best
    return (best.price if best is not None and best.price > price else price) * lots * book.unit_micros


def _execute(state: State, order: Order, session_no: int, seq: int, now_ns: int, emit: Emit) -> None:
    """Trade an order that is not in the book as far as it goes; then it rests, or its remainder is canceled.

    The caller has emitted the event of index 0.
    """
    half = order.book.opposite(order.side)
    best = half.best
    limit_key = order.limit_key
    index = 1
    crosses = best is not None and best.key <= limit_key
    if crosses and (order.tif != FOK or half.reach(limit_key, order.leaves)[0] == order.leaves):
        index = _trade(state, order, limit_key, session_no, seq, now_ns, emit)
    leaves = order.leaves
    if not leaves:
        return
    if _REMAINDER_FLAGS[order.side, order.order_type, order.tif]:
        state.rest(order)
        return
    if order.tif == FOK:
        code = Code.FOK_UNFILLABLE
    else:
        code = Code.NO_LIQUIDITY if order.order_type == MARKET else Code.IOC_REMAINDER
    order.leaves = 0
    emit(events.canceled(seq, index, now_ns, order.session_id, session_no, order, leaves, code))


def _trade(state: State, taker: Order, limit_key: int, session_no: int, seq: int, now_ns: int, emit: Emit) -> int:
    """Match, settle and report; returns the index of the next event.

    Everybody can pay: makers have reserved, and the taker was checked for the whole of what it may cost.
    """
    unit = taker.book.unit_micros
    buying = taker.side == BUY
    leaves = taker.leaves
    total = 0
    index = 1
    for fill in taker.book.opposite(taker.side).take(limit_key, leaves):
        maker, lots, maker_leaves = fill
        value = maker.price * lots * unit
        owner = maker.account
        position = maker.position
        if buying:
            owner.cash += value
            owner.receivable -= value
            position.quantity -= lots
            position.reserved -= lots
        else:
            owner.cash -= value
            owner.reserved -= value
            position.quantity += lots
        total += value
        leaves -= lots
        emit(events.trade(seq, index, now_ns, session_no, taker, leaves, fill))
        index += 1
        if not maker_leaves:
            state.forget(maker)
    if buying:
        taker.account.cash -= total
        taker.position.quantity += taker.leaves - leaves
    else:
        taker.account.cash += total
        taker.position.quantity -= taker.leaves - leaves
    taker.leaves = leaves
    return index


def _addressed_order(state: State, row: Row) -> Order | None:
    """The live order of the command's account that it names, by exchange id or else by client id."""
    account = state.accounts.get(row[9])
    if account is None:
        return None
    order_id = row[12]
    # Client id 0 means none, so no order is ever found under it.
    return account.orders.get(order_id) if order_id else account.by_client_id.get(row[11])


def cancel(state: State, row: Row, seq: int, now_ns: int, emit: Emit) -> None:
    """CANCEL: take a live order out of the book."""
    order = _addressed_order(state, row)
    if order is None:
        emit(events.refused(seq, now_ns, row, EventKind.CANCEL_REJECTED, Code.UNKNOWN_ORDER))
        return
    state.withdraw(order)
    emit(events.canceled(seq, 0, now_ns, row[7], row[8], order, order.leaves, Code.CANCEL_REQUESTED))


def replace(state: State, row: Row, seq: int, now_ns: int, emit: Emit) -> None:
    """REPLACE: new price and new open quantity for a live order.

    Less at the same price keeps the order's place; anything else puts it behind, and may trade. The order belongs to
    the session that replaced it from then on, as that is the one that gets its further reports.
    """
    order = _addressed_order(state, row)
    if order is None:
        emit(events.refused(seq, now_ns, row, EventKind.REPLACE_REJECTED, Code.UNKNOWN_ORDER))
        return
    price = row[13]
    lots = row[15]
    code = _terms_refusal(LIMIT, price, lots)
    if code is Code.OK:
        code = _replace_refusal(order, price, lots)
    if code is not Code.OK:
        emit(events.refused(seq, now_ns, row, EventKind.REPLACE_REJECTED, code))
        return
    previous = (order.session_id, order.price, order.leaves)
    order.session_id = row[7]
    order.quantity = lots
    if price == order.price and lots <= order.leaves:
        order.account.reserve(order, lots - order.leaves)
        order.book.own(order.side).reduce(order, lots)
        emit(events.replaced(seq, now_ns, row[8], order, events.BOOKS, previous))
        return
    state.withdraw(order)
    order.price = price
    order.leaves = lots
    emit(events.replaced(seq, now_ns, row[8], order, events.BOOKS | events.LOST_PRIORITY, previous))
    _execute(state, order, row[8], seq, now_ns, emit)


def _replace_refusal(order: Order, price: int, lots: int) -> Code:
    """Why an order can't have new terms; what it has reserved itself counts as free."""
    book = order.book
    value = price * lots * book.unit_micros
    if value > I64_MAX:
        return Code.OVERFLOW
    freed = order.price * order.leaves * book.unit_micros
    if order.side == BUY:
        return order.account.buy_refusal(value, lots, order.position, freed)
    value = _most_proceeds(book, price, lots)
    return order.account.sell_refusal(value, lots, order.position, order.leaves, freed)


def mass_cancel(state: State, row: Row, seq: int, now_ns: int, emit: Emit) -> None:
    """MASS_CANCEL: all live orders of an account, or only those of one instrument, one side, or both."""
    account = state.accounts.get(row[9])
    if account is None:
        emit(events.refused(seq, now_ns, row, EventKind.REJECTED, Code.UNKNOWN_ACCOUNT))
        return
    side = row[1]
    instrument_id = row[10]
    index = 0
    for order_id in sorted(account.orders):
        order = account.orders[order_id]
        if (side and order.side != side) or (instrument_id and order.book.instrument.instrument_id != instrument_id):
            continue
        state.withdraw(order)
        emit(events.canceled(seq, index, now_ns, row[7], row[8], order, order.leaves, Code.MASS_CANCEL))
        index += 1
    emit(events.mass_canceled(seq, index, now_ns, row, index))


def gateway_refusal(_state: State, row: Row, seq: int, now_ns: int, emit: Emit) -> None:
    """REFUSED: a gateway said no; the stream keeps its answer, with the code from `tag`."""
    tag = row[22]
    # A tag that is no code (they have 16 bits) can't be passed on as one.
    code = tag if 0 < tag <= MAX_CODE else Code.UNKNOWN_COMMAND
    emit(events.refused(seq, now_ns, row, EventKind.REJECTED, code))
