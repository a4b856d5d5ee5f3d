"""*Matching*: what a taker does to a book; self-trade prevention; what becomes of what is left."""

from lockstep.engine.reference import events
from lockstep.engine.reference.events import Asker
from lockstep.engine.reference.order import Order, is_within
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.settlement import Rates, settle
from lockstep.engine.reference.state import State
from lockstep.engine.reference.words import (
    CANCEL_BOTH,
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    DECREMENT,
    FOK,
    LIMIT,
    NO_PREVENTION,
)
from lockstep.engine.reference.worth import on_paper
from lockstep.stream.codes import Code


def enter(state: State, order: Order, *, session_no: int, out: Output, minimum: int = 0) -> int:
    """*New order*, "Then" 2 and 3: trade an order that is not in the book as far as it goes; then what is left.

    Price of its first trade, 0 if there was none. The caller has said that the order was accepted, replaced or
    triggered.
    """
    code = _too_little(order, minimum)
    first = match(state, order, session_no=session_no, out=out) if code is None else 0
    if not order.leaves:
        return first
    if code is None and order.rests:
        state.rest(order)
        return first
    if code is None:
        code = Code.IOC_REMAINDER if order.order_type == LIMIT else Code.NO_LIQUIDITY
    lots, order.leaves = order.leaves, 0
    events.taken_off(out, order, Asker(order.session_id, session_no), lots=lots, code=code)
    return first


def _too_little(order: Order, minimum: int) -> Code | None:
    """*Matching*, "FOK and minimum": whether it would trade less than it must."""
    needed = order.leaves if order.tif == FOK else minimum
    if not needed or on_paper(order).lots >= needed:
        return None
    return Code.FOK_UNFILLABLE if order.tif == FOK else Code.MIN_QUANTITY


def match(state: State, taker: Order, *, session_no: int, out: Output) -> int:
    """Trade while the taker has lots and the best opposite price is within its limit.

    Price of the first trade, 0 if there was none; each further one is no better for the taker.
    """
    book = taker.book
    half = book.opposite(taker.side)
    limit = book.limit_of(taker.side, taker.order_type, taker.price)
    first = 0
    while taker.leaves:
        level = half.best()
        if level is None or not is_within(level.price, limit, taker.side):
            break
        maker = level.front()
        if taker.stp != NO_PREVENTION and maker.account is taker.account:
            _prevent(state, taker, maker, Asker(taker.session_id, session_no), out)
        else:
            _trade(state, taker, maker, session_no=session_no, out=out)
            first = first or level.price
    return first


def _trade(state: State, taker: Order, maker: Order, *, session_no: int, out: Output) -> None:
    """One trade, at the maker's price, of what the maker displays at the most."""
    book = taker.book
    price = maker.price
    lots = min(taker.leaves, maker.may_trade)
    taker.leaves -= lots
    maker.account.reserve(maker, -lots)
    book.own(maker.side).trade(maker, lots)
    rates = Rates(taker_ppm=book.taker_fee_ppm, maker_ppm=book.maker_fee_ppm)
    fees = settle(state, taker=taker, maker=maker, lots=lots, price=price, rates=rates, now_ns=out.now_ns)
    book.last = price
    if book.bands is not None:
        book.bands.note(price, out.now_ns)
    events.trade(out, taker=taker, maker=maker, lots=lots, price=price, fees=fees, session_no=session_no, flags=0)
    if not maker.leaves:
        state.forget(maker)


def _prevent(state: State, taker: Order, maker: Order, asker: Asker, out: Output) -> None:
    """*Matching*, "Self-trade prevention" in place of a trade; the maker's report comes first."""
    if taker.stp == DECREMENT:
        lots = min(taker.leaves, maker.leaves)
        _take_off_maker(state, maker, lots, asker, out)
        _take_off_taker(taker, lots, asker, out)
    if taker.stp in (CANCEL_OLDEST, CANCEL_BOTH):
        _take_off_maker(state, maker, maker.leaves, asker, out)
    if taker.stp in (CANCEL_NEWEST, CANCEL_BOTH):
        _take_off_taker(taker, taker.leaves, asker, out)


def _take_off_maker(state: State, maker: Order, lots: int, asker: Asker, out: Output) -> None:
    """Lower the maker, which keeps its place, or end it."""
    left = maker.leaves - lots
    if left:
        maker.account.reserve(maker, -lots)
        maker.book.own(maker.side).reduce(maker, left)
    else:
        state.withdraw(maker)
        maker.leaves = 0
    events.taken_off(out, maker, asker, lots=lots, code=Code.SELF_TRADE, leaves=left)


def _take_off_taker(taker: Order, lots: int, asker: Asker, out: Output) -> None:
    taker.leaves -= lots
    events.taken_off(out, taker, asker, lots=lots, code=Code.SELF_TRADE, leaves=taker.leaves)


def trade_in_auction(state: State, buy: Order, sell: Order, *, lots: int, price: int, out: Output) -> None:
    """A trade of two orders of the book at the auction's price (*Phases*, "Uncross"): the buyer as taker."""
    book = buy.book
    for order in (buy, sell):
        order.account.reserve(order, -lots)
        book.own(order.side).reduce(order, order.leaves - lots)
    rate = max(book.maker_fee_ppm, 0)
    rates = Rates(taker_ppm=rate, maker_ppm=rate)
    fees = settle(state, taker=buy, maker=sell, lots=lots, price=price, rates=rates, now_ns=out.now_ns)
    events.trade(out, taker=buy, maker=sell, lots=lots, price=price, fees=fees, session_no=0, flags=events.AUCTION)
    for order in (buy, sell):
        if not order.leaves:
            state.forget(order)
