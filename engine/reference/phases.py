"""What follows from time and from trades: phases, breakers, and stops that are set off.

`aftermath` is called at the end of every command that may have moved a price. It sets off one stop at a time, so
that each sees the prices that the one before it has made, and it ends because each of them waits only once.
"""

from typing import Final

from lockstep.engine.reference import events, margin
from lockstep.engine.reference.auction import equilibrium, uncross
from lockstep.engine.reference.book import CONTINUOUS, MARKET, PPM, STOP_LIMIT, Book, Order
from lockstep.engine.reference.events import Output
from lockstep.engine.reference.funds import funds_refusal, market_worth
from lockstep.engine.reference.limits import DAY_NS
from lockstep.engine.reference.matching import enter
from lockstep.engine.reference.rows import Row
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, Phase, TimeInForce

CLOSED: Final = int(Phase.CLOSED)
HALT: Final = int(Phase.HALT)
CLOSING_AUCTION: Final = int(Phase.CLOSING_AUCTION)
VOLATILITY_AUCTION: Final = int(Phase.VOLATILITY_AUCTION)
AUCTIONS: Final = (int(Phase.OPENING_AUCTION), int(Phase.VOLATILITY_AUCTION), CLOSING_AUCTION)
DAY: Final = int(TimeInForce.DAY)
AT_OPEN: Final = int(TimeInForce.AT_OPEN)
AT_CLOSE: Final = int(TimeInForce.AT_CLOSE)
NOBODY: Final = (0, 0)
_CLOSING_LEVEL: Final = 3
Session = tuple[int, int]
"""(session id, session number) of the command at work."""


def tick(state: State, row: Row, out: Output) -> None:
    """TICK: whatever is due by its stamp."""
    expiries = state.expiries
    while expiries:
        (expire_ns, _), order = expiries.peekitem(0)
        if expire_ns > out.now_ns:
            break
        state.withdraw(order)
        events.taken_off(out, 0, 0, order, order.leaves, Code.EXPIRED)
    books = [book for _, book in sorted(state.books.items())]
    for book in books:
        # A schedule does not bring an instrument out of a halt of the whole market.
        held = book.next_phase == CONTINUOUS and out.now_ns < state.market.until_ns
        if book.next_phase and book.until_ns <= out.now_ns and not held:
            change_phase(state, book, book.next_phase, 0, 0, NOBODY, out)
    margin.call(state, out)
    for book in books:
        if book.phase in AUCTIONS:
            events.indicative(out, book, *equilibrium(book))
    events.control(out, row, EventKind.TICKED)


def change_phase(
    state: State, book: Book, phase: int, next_phase: int, until_ns: int, session: Session, out: Output
) -> None:
    """Bring an instrument into a phase, with everything that this entails, in the documented order."""
    previous = book.phase
    book.phase = phase
    book.next_phase = next_phase
    book.until_ns = until_ns
    book.window_start_ns = book.window_price = 0
    events.phase_changed(out, session, book, previous)
    if phase == CONTINUOUS or (phase == CLOSED and previous in AUCTIONS):
        uncross(state, book, session, out)
    _end_orders(state, book, previous, session, out)
    if phase == CLOSING_AUCTION:
        for order in list(book.for_close.values()):
            del book.for_close[order.order_id]
            book.own(order.side).add(order)
    elif phase == CLOSED and previous != CLOSED:
        book.close = book.last or book.close
    elif phase == CONTINUOUS:
        set_off_stops(state, book, out)


def _end_orders(state: State, book: Book, previous: int, session: Session, out: Output) -> None:
    """Cancel the orders whose time in force ends with the change from `previous` to the present phase."""
    phase = book.phase
    ended: dict[int, Code] = {}
    if phase in (CONTINUOUS, CLOSING_AUCTION, CLOSED):
        ended[AT_OPEN] = Code.AUCTION_ENDED
    if phase == CLOSED or (previous == CLOSING_AUCTION and phase != CLOSING_AUCTION):
        ended[AT_CLOSE] = Code.AUCTION_ENDED
    if phase == CLOSED:
        ended[DAY] = Code.EXPIRED
    if not ended:
        return
    for order in sorted((o for o in book.live_orders() if _tif(o) in ended), key=lambda o: o.order_id):
        state.withdraw(order)
        events.taken_off(out, *session, order, order.leaves, ended[_tif(order)])


def _tif(order: Order) -> int:
    """When an order ends. A market order that gathers is there for the next uncross, whatever it said."""
    return AT_OPEN if order.order_type == MARKET and order.tif != AT_CLOSE else order.tif


def aftermath(state: State, book: Book, before: int, out: Output) -> None:
    """After a matching step that traded, `before` being the last price before it: breaker, then stops."""
    _check_breaker(state, book, before, out)
    _check_market(state, book, out)
    if book.stops:
        set_off_stops(state, book, out)


def set_off_stops(state: State, book: Book, out: Output) -> None:
    """The cascade: set off waiting stops one at a time while the last price reaches one."""
    while book.phase == CONTINUOUS and book.last:
        book.stops.follow(book.last)
        order = book.stops.next(book.last)
        if order is None:
            return
        before = book.last
        if _trigger(state, order, out):
            _check_breaker(state, book, before, out)
            _check_market(state, book, out)


def _trigger(state: State, order: Order, out: Output) -> bool:
    """Let a waiting stop order go; whether it traded."""
    state.withdraw(order)
    events.triggered(out, order, events.BOOKS if order.order_type == STOP_LIMIT else 0)
    book = order.book
    lots = order.leaves
    if order.order_type == STOP_LIMIT:
        worth = order.lot_micros * lots
    else:
        worth = market_worth(book, order.account, order.side, order.limit_key, order.tif, lots, order.stp)
    code = funds_refusal(state, book, order.account, order.side, order.price, lots, worth, 0, 0)
    if code is not Code.OK:
        order.leaves = 0
        events.taken_off(out, order.session_id, 0, order, lots, code)
        return False
    return enter(state, order, 0, out)


def _check_breaker(state: State, book: Book, before: int, out: Output) -> None:
    """Pause an instrument whose price has moved too far within the window."""
    if not book.breaker_ppm or book.phase != CONTINUOUS:
        return
    last = book.last
    if not book.window_price or out.now_ns - book.window_start_ns >= book.breaker_window_ns:
        book.window_price = before or last
        book.window_start_ns = out.now_ns
    if abs(last - book.window_price) * PPM > book.breaker_ppm * book.window_price:
        until_ns = out.now_ns + book.breaker_pause_ns
        change_phase(state, book, book.breaker_phase, CONTINUOUS, until_ns, NOBODY, out)


def _check_market(state: State, book: Book, out: Output) -> None:
    """Halt or close the whole market, if this instrument's trade took the index down to a level not reached before."""
    market = state.market
    if not (book.index_weight and book.close and any(market.levels)):
        return
    level, previous = market.level_of(state.books.values()), market.level_reached(out.now_ns)
    if level <= previous:
        return
    market.level, market.day = level, out.now_ns // DAY_NS
    books = [one for _, one in sorted(state.books.items())]
    if level == _CLOSING_LEVEL:
        events.notice(out, EventKind.MARKET_HALTED, level, previous)
        for one in books:
            if one.phase != CLOSED:
                change_phase(state, one, CLOSED, 0, 0, NOBODY, out)
        return
    market.until_ns = out.now_ns + market.pause_ns
    events.notice(out, EventKind.MARKET_HALTED, level, previous, until_ns=market.until_ns)
    for one in books:
        if one.phase in (CONTINUOUS, VOLATILITY_AUCTION):
            change_phase(state, one, HALT, CONTINUOUS, market.until_ns, NOBODY, out)
