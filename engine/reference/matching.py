"""Trading: what a taker does to a book, and what each trade does to the two accounts.

Everybody can pay: makers have reserved, and a taker was checked for the whole of what it may cost before it came here.
"""

from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.book import LIMIT, PPM, STOP_LIMIT, Half, Order
from lockstep.engine.reference.events import Output
from lockstep.engine.reference.margin import note_trade
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import SelfTradePrevention, Side, TimeInForce

# Plain ints: comparing an IntEnum member costs several times as much, and these are compared for every order.
BUY: Final = int(Side.BUY)
FOK: Final = int(TimeInForce.FOK)
_NEWEST: Final = int(SelfTradePrevention.CANCEL_NEWEST)
_OLDEST: Final = int(SelfTradePrevention.CANCEL_OLDEST)
_DECREMENT: Final = int(SelfTradePrevention.DECREMENT)
_RESTING_TIFS: Final = (int(TimeInForce.DAY), int(TimeInForce.GTC), int(TimeInForce.GTD))
RESTS: Final = frozenset((order_type, tif) for order_type in (LIMIT, STOP_LIMIT) for tif in _RESTING_TIFS)
"""(type, time in force) of orders whose remainder rests."""
_NO_FEES: Final = (0, 0)


def enter(state: State, order: Order, session_no: int, out: Output, min_lots: int = 0) -> bool:
    """Trade an order that is not in the book as far as it goes; then it rests, or its remainder is canceled.

    Whether anything was traded. The caller has said that the order was accepted, replaced or triggered.
    """
    half = order.book.opposite(order.side)
    best = half.best
    limit_key = order.limit_key
    lots = order.leaves
    traded = False
    needed = lots if order.tif == FOK else min_lots
    if needed and half.reach(limit_key, lots, order.account, order.stp)[0] < needed:
        order.leaves = 0
        code = Code.FOK_UNFILLABLE if order.tif == FOK else Code.MIN_QUANTITY
        events.taken_off(out, order.session_id, session_no, order, lots, code)
        return False
    if best is not None and best.key <= limit_key:
        traded = _take(state, order, half, limit_key, session_no, out)
    leaves = order.leaves
    if not leaves:
        return traded
    if (order.order_type, order.tif) in RESTS:
        state.rest(order)
        return traded
    order.leaves = 0
    code = Code.IOC_REMAINDER if order.order_type == LIMIT else Code.NO_LIQUIDITY
    events.taken_off(out, order.session_id, session_no, order, leaves, code)
    return traded


def _take(state: State, taker: Order, half: Half, limit_key: int, session_no: int, out: Output) -> bool:
    """Match a taker that crosses; whether it traded."""
    book = taker.book
    rates = (book.taker_fee_ppm, book.maker_fee_ppm)
    traded = False
    if not taker.stp:
        for maker, lots, _ in half.take(limit_key, taker.leaves):
            taker.leaves -= lots
            _settle(state, taker, maker, lots, session_no, out, rates)
            if not maker.leaves:
                state.forget(maker)
            traded = True
    # What `take` leaves: levels with icebergs or hidden orders, or all of them if the taker must not meet its own.
    while taker.leaves:
        best = half.best
        if best is None or best.key > limit_key:
            break
        maker = best.front()
        if taker.stp and maker.account is taker.account:
            _prevent(state, taker, maker, half, session_no, out)
            continue
        lots = min(taker.leaves, maker.shown or maker.leaves)
        taker.leaves -= lots
        half.fill(maker, lots)
        _settle(state, taker, maker, lots, session_no, out, rates)
        if not maker.leaves:
            state.forget(maker)
        traded = True
    return traded


def _settle(
    state: State, taker: Order, maker: Order, lots: int, session_no: int, out: Output, rates: tuple[int, int]
) -> None:
    """Book and report a trade at the maker's price, whose lots are off both orders already."""
    price = maker.price
    book = taker.book
    _note_day_trades(taker, maker, lots if taker.side == BUY else -lots, out)
    value = price * lots * book.unit_micros
    fees = _NO_FEES
    owner = maker.account
    account = taker.account
    if taker.side == BUY:
        owner.cash += value
        owner.receivable -= maker.lot_micros * lots
        position = maker.position
        position.reserved -= lots
        position.trade(-lots, value)
        account.cash -= value
        taker.position.trade(lots, value)
    else:
        owner.cash -= value
        owner.reserved -= maker.lot_micros * lots
        position = maker.position
        position.buying -= lots
        position.trade(lots, value)
        account.cash += value
        taker.position.trade(-lots, value)
    if book.fee_ppm:
        fees = charge(state, taker, maker, value, rates)
    if owner.limits is not None:
        owner.limits.count_trade(out.now_ns)
    if account.limits is not None:
        account.limits.count_trade(out.now_ns)
    book.last = price
    events.trade(out, session_no, taker, maker, lots, price, fees, 0)


def _note_day_trades(order: Order, other: Order, lots: int, out: Output) -> None:
    """Before a trade is booked in which `order` buys `lots` (below 0: sells)."""
    if other.account.day_trade_rule:
        note_trade(other.account, other.position, -lots, out.now_ns)
    if order.account.day_trade_rule:
        note_trade(order.account, order.position, lots, out.now_ns)


def charge(state: State, taker: Order, maker: Order, value: int, rates: tuple[int, int]) -> tuple[int, int]:
    """Take the fees of a trade of this worth; (taker's, maker's). A rebate is a negative one."""
    taker_fee = value * rates[0] // PPM
    maker_fee = value * rates[1] // PPM if rates[1] >= 0 else -(value * -rates[1] // PPM)
    taker.account.cash -= taker_fee
    maker.account.cash -= maker_fee
    state.fees += taker_fee + maker_fee
    return taker_fee, maker_fee


def _prevent(state: State, taker: Order, maker: Order, half: Half, session_no: int, out: Output) -> None:
    """Self-trade prevention in place of a trade; the maker is told first."""
    session_id = taker.session_id
    lots = min(taker.leaves, maker.leaves) if taker.stp == _DECREMENT else maker.leaves
    if taker.stp != _NEWEST:
        left = maker.leaves - lots
        if left:
            maker.account.reserve(maker, -lots)
            half.reduce(maker, left)
        else:
            state.withdraw(maker)
            maker.leaves = 0
        events.taken_off(out, session_id, session_no, maker, lots, Code.SELF_TRADE, left)
    if taker.stp != _OLDEST:
        lots = lots if taker.stp == _DECREMENT else taker.leaves
        taker.leaves -= lots
        events.taken_off(out, session_id, session_no, taker, lots, Code.SELF_TRADE, taker.leaves)


def trade_in_auction(state: State, buy: Order, sell: Order, lots: int, price: int, out: Output) -> None:
    """Book and report a trade of two orders of the book at the auction's price."""
    book = buy.book
    value = price * lots * book.unit_micros
    for order, half in ((buy, book.bids), (sell, book.asks)):
        order.account.reserve(order, -lots)
        if lots < order.leaves:
            half.reduce(order, order.leaves - lots)
        else:
            half.remove(order)
            order.leaves = 0
            state.forget(order)
    _note_day_trades(buy, sell, lots, out)
    sell.account.cash += value
    sell.position.trade(-lots, value)
    buy.account.cash -= value
    buy.position.trade(lots, value)
    rate = max(book.maker_fee_ppm, 0)
    fees = charge(state, buy, sell, value, (rate, rate))
    for account in (sell.account, buy.account):
        if account.limits is not None:
            account.limits.count_trade(out.now_ns)
    events.trade(out, 0, buy, sell, lots, price, fees, events.AUCTION)
