"""What must hold between any two commands, checked from scratch. Tests run it after every command."""

from collections import Counter

from lockstep.engine.reference.bands import MOST_SALES
from lockstep.engine.reference.book import Book, Half
from lockstep.engine.reference.engine import ReferenceEngine
from lockstep.engine.reference.limit_state import state_now
from lockstep.engine.reference.order import IN_BOOK, WAITS_FOR_CLOSE, WAITS_FOR_PARENT, WAITS_FOR_STOP, Order
from lockstep.engine.reference.state import State
from lockstep.engine.reference.stops import next_set_off
from lockstep.engine.reference.words import LIMIT_DOWN, LIMIT_UP
from lockstep.stream.records import I64_MAX, REMEMBERED_NUMBERS, OrderType, Phase, Side


class InvariantBroken(AssertionError):
    """The engine's state contradicts itself."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvariantBroken(message)


def check_invariants(
    engine: ReferenceEngine, *, cash_micros: int | None = None, lots: dict[int, int] | None = None
) -> None:
    """Check the whole state.

    `cash_micros` and `lots` (by instrument) are what the sum over all accounts and the pot of fees must be: trades
    only move cash and shares between these, so it changes by ADJUST_CASH and ADJUST_POSITION alone.

    Raises:
        InvariantBroken: naming what does not hold.
    """
    state = engine.state
    live: dict[int, Order] = {}
    for number, book in state.books.items():
        _require(book.instrument_id == number, f"book {number} is filed under another id")
        _check_book(book, live)
    _require(live == state.orders, "the map of live orders is not what rests in the books or waits")
    _check_sessions(state)
    _check_accounts(state, live)
    if cash_micros is not None:
        held = sum(account.cash for account in state.accounts.values()) + state.fees
        _require(held == cash_micros, f"cash is not conserved: {held} micros, {cash_micros} were paid in")
    if lots is not None:
        total: Counter[int] = Counter()
        for account in state.accounts.values():
            for number, position in account.positions.items():
                total[number] += position.quantity
        for number in state.books:
            expected = lots.get(number, 0)
            _require(total[number] == expected, f"shares of {number} are not conserved: {total[number]}, {expected}")


def _check_book(book: Book, live: dict[int, Order]) -> None:
    _check_half(book, book.bids, Side.BUY, live)
    _check_half(book, book.asks, Side.SELL, live)
    _check_waiting(book, live)
    _check_bands(book)
    bid, ask = book.bids.best(), book.asks.best()
    if book.phase == Phase.CONTINUOUS and bid is not None and ask is not None:
        _require(bid.price < ask.price, f"book {book.instrument_id} is crossed: {bid.price} >= {ask.price}")


def _check_bands(book: Book) -> None:
    bands, within = book.bands, book.bands_in_force()
    if bands is None:
        return
    what = f"bands of {book.instrument_id}"
    _require(len(bands.sales) <= MOST_SALES, f"{what}: {len(bands.sales)} rows")
    _require(bands.state == state_now(book), f"{what}: state {bands.state}, the book says {state_now(book)}")
    _require(bool(bands.until_ns) == (bands.state in (LIMIT_UP, LIMIT_DOWN)), f"{what}: {bands.state} until when?")
    if within is not None:
        bid, ask = book.bids.best(), book.asks.best()
        _require(1 <= within.low <= bands.reference <= within.high, f"{what}: {within} around {bands.reference}")
        _require(bid is None or bid.price <= within.high, f"{what}: a bid is above the upper one")
        _require(ask is None or ask.price >= within.low, f"{what}: an offer is below the lower one")


def _check_half(book: Book, half: Half, side: Side, live: dict[int, Order]) -> None:
    _require(half.side == side, f"the halves of book {book.instrument_id} are exchanged")
    for price, level in half.levels.items():
        everyone = list(level.by_priority())
        _require(bool(everyone), f"level {price} is empty")
        _require(level.price == price, f"level {level.price} is filed under {price}")
        filed = [*level.displayed, *level.hidden]
        _require(filed == [order.order_id for order in everyone], f"level {price} files orders wrongly")
        for order in everyone:
            what = f"order {order.order_id}"
            _require(order.order_id not in live, f"{what} rests twice")
            _require(order.book is book and order.place == IN_BOOK, f"{what}: wrong place")
            _require(order.held == price and order.side == side, f"{what} rests at a wrong price or side")
            is_market = order.order_type == OrderType.MARKET
            _require(order.is_named or is_market, f"{what} rests at a price that is not its own")
            _require(0 < order.leaves <= order.quantity, f"{what} has {order.leaves} of {order.quantity} lots open")
            _require((order.order_id in level.hidden) == order.is_hidden, f"{what} is in the wrong queue")
            peak_is_good = 0 < order.shown <= min(order.display, order.leaves) if order.display else not order.shown
            _require(peak_is_good, f"{what} shows {order.shown} of {order.leaves}, its peak is {order.display}")
            live[order.order_id] = order


def _check_waiting(book: Book, live: dict[int, Order]) -> None:
    for side, stops in ((Side.BUY, book.stop_buys), (Side.SELL, book.stop_sells)):
        turns = [(order.stop_price if side == Side.BUY else -order.stop_price, order.order_id) for order in stops]
        _require(turns == sorted(turns), f"stops of book {book.instrument_id} are not in their order: {turns}")
        _require(all(order.side == side for order in stops), f"a stop of book {book.instrument_id} is on a wrong side")
    beside = {order.order_id: order for order in book.stops() if order.is_oco}
    of_both = {number: order for number, order in live.items() if order.book is book and order.is_oco}
    _require(beside == of_both, f"OCO orders of book {book.instrument_id} are not both in it and among its stops")
    stops_by_id = {order.order_id: order for order in book.stops() if not order.is_oco}
    places = ((WAITS_FOR_STOP, stops_by_id), (WAITS_FOR_CLOSE, book.for_close), (WAITS_FOR_PARENT, book.for_parent))
    for place, waiting in places:
        for order_id, order in waiting.items():
            _require(order.order_id == order_id, f"order {order.order_id} is filed under {order_id}")
            _require(order_id not in live, f"order {order_id} waits twice")
            _require(order.place == place and order.book is book, f"order {order_id} waits at a wrong place")
            is_right = order.is_stop == (place == WAITS_FOR_STOP) or place == WAITS_FOR_PARENT
            _require(is_right, f"order {order_id} waits for the wrong thing")
            live[order_id] = order
    if book.phase == Phase.CONTINUOUS and book.last:
        _require(next_set_off(book) is None, "a stop order that is reached waits on")


def _check_children(state: State, waiting: list[Order]) -> None:
    """Orders of one account that wait for their parent."""
    for child in waiting:
        what = f"child {child.order_id}"
        _require(state.children.get(child.order_id) is child, f"{what} is not among those that wait")
        _require(0 < child.leaves <= child.quantity, f"{what} has {child.leaves} lots open")
        if child.parent is None:
            _require(child.book.phase != Phase.CONTINUOUS, f"{what} could go to the market and waits on")
            continue
        _require(state.orders.get(child.parent.order_id) is child.parent, f"the parent of {what} is not live")
        _require(child in child.parent.children, f"{what} is unknown to its parent")
        _require(child.parent.account is child.account and child.parent.book is child.book, f"{what}: whose is it?")


def _check_sessions(state: State) -> None:
    _require(0 not in state.sessions, "session 0 is numbered")
    for number, session in state.sessions.items():
        last = session.last_no
        seqs = [session.outcome(one).seq for one in range(max(1, last - REMEMBERED_NUMBERS + 1), last + 1)]
        kept = len(session.outcomes()) // 16
        _require(kept == len(seqs), f"session {number} keeps {kept} outcomes of {last}")
        _require(seqs == sorted(set(seqs)) and seqs[-1] <= state.last_seq, f"session {number} outcomes")


def _check_accounts(state: State, live: dict[int, Order]) -> None:
    _require(all(order_id in live for order_id in state.children), "a child waits that is not live")
    _require(not state.touched, f"instruments {state.touched} were not looked at")
    for number, account in state.accounts.items():
        own = {order_id: order for order_id, order in live.items() if order.account is account}
        _require(own == account.orders, f"account {number}: its map of live orders is wrong")
        by_client_id = {order.client_order_id: order for order in own.values() if order.client_order_id}
        _require(by_client_id == account.by_client_id, f"account {number}: its map of client ids is wrong")
        children = [order for order in own.values() if not order.binds]
        _require(len(children) == account.children, f"account {number} counts {account.children} children")
        _check_children(state, children)
        own = {order_id: order for order_id, order in own.items() if order.binds}
        buys = sum(o.lot_micros * o.leaves for o in own.values() if o.side == Side.BUY)
        sells = sum(o.lot_micros * o.leaves for o in own.values() if o.side == Side.SELL)
        _require(buys == account.reserved, f"account {number} reserves {account.reserved}, its buys need {buys}")
        _require(sells == account.receivable, f"account {number}: receivable {account.receivable}, sells {sells}")
        _require(account.borrows or account.cash >= buys, f"account {number} can't pay for its orders")
        _require(max(account.cash, 0) + sells <= I64_MAX, f"account {number} can overflow by selling")
        _require(buys - min(account.cash, 0) <= I64_MAX, f"account {number} can overflow by buying")
        for instrument, position in account.positions.items():
            bound = sum(o.leaves for o in own.values() if o.side == Side.SELL and o.book is state.books[instrument])
            _require(bound == position.reserved, f"account {number} reserves {position.reserved} of {instrument}")
            open_buys = sum(o.leaves for o in own.values() if o.side == Side.BUY and o.book is state.books[instrument])
            _require(open_buys == position.open_buys, f"account {number} buys {position.open_buys} of {instrument}")
            _require(position.cost >= 0 and (position.quantity != 0 or position.cost == 0), f"account {number} cost")
            _require(account.goes_short or position.quantity >= bound, f"account {number} can't deliver")
