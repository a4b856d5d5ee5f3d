"""What must hold between any two commands, checked from scratch. Tests run it after every command."""

from collections import Counter

from lockstep.engine.reference.book import IN_BOOK, MARKET, WAITS_FOR_CLOSE, WAITS_FOR_STOP, Book, Half, Order
from lockstep.engine.reference.engine import ReferenceEngine
from lockstep.engine.reference.state import State
from lockstep.stream.records import I64_MAX, REMEMBERED_NUMBERS, OrderFlag, Phase, Side, TimeInForce


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
        _require(book.instrument.instrument_id == number, f"book {number} is filed under another id")
        _check_book(book, live)
    _require(live == state.orders, "the map of live orders is not what rests in the books or waits")
    expiries = sorted((order.expire_ns, order.order_id) for order in live.values() if order.tif == TimeInForce.GTD)
    _require(expiries == list(state.expiries), "the GTD orders are not filed under their expiries")
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
    if book.phase == Phase.CONTINUOUS and book.bids.best is not None and book.asks.best is not None:
        bid, ask = book.bids.best.price, book.asks.best.price
        _require(bid < ask, f"book {book.instrument.instrument_id} is crossed: {bid} >= {ask}")


def _check_half(book: Book, half: Half, side: Side, live: dict[int, Order]) -> None:
    first = half.levels.peekitem(0)[1] if half.levels else None
    _require(half.best is first, f"best {side.name} of book {book.instrument.instrument_id} is stale")
    for key, level in half.levels.items():
        everyone = list(level.by_priority())
        _require(bool(everyone), f"level {level.price} is empty")
        _require(level.key == key == (-level.price if side == Side.BUY else level.price), f"level {level.price} key")
        _require(level.quantity == sum(order.leaves for order in everyone), f"level {level.price} quantity")
        _require(level.unseen == sum(order.is_unseen for order in everyone), f"level {level.price} unseen")
        filed = [*level.orders, *level.hidden]
        _require(filed == [order.order_id for order in everyone], f"level {level.price} files orders wrongly")
        for order in everyone:
            what = f"order {order.order_id}"
            hidden = order.order_id in level.hidden
            _require(order.order_id not in live, f"{what} rests twice")
            _require(order.level is level and order.book is book and order.place == IN_BOOK, f"{what}: wrong place")
            _require(order.held == level.price and order.side == side, f"{what} rests at a wrong price or side")
            _require(order.is_named or order.order_type == MARKET, f"{what} rests at a price that is not its own")
            _require(0 < order.leaves <= order.quantity, f"{what} has {order.leaves} of {order.quantity} lots open")
            _require(hidden == bool(order.flags & OrderFlag.HIDDEN), f"{what} is in the wrong queue")
            peak_is_good = 0 < order.shown <= min(order.display, order.leaves) if order.display else not order.shown
            _require(peak_is_good, f"{what} shows {order.shown} of {order.leaves}, its peak is {order.display}")
            live[order.order_id] = order


def _check_waiting(book: Book, live: dict[int, Order]) -> None:
    stops = book.stops
    for place, side, waiting in (
        (WAITS_FOR_STOP, Side.BUY, stops.buys),
        (WAITS_FOR_STOP, Side.SELL, stops.sells),
        (WAITS_FOR_CLOSE, 0, book.for_close),
    ):
        for order in waiting.values():
            _require(order.order_id not in live, f"order {order.order_id} waits twice")
            _require(order.place == place and order.book is book, f"order {order.order_id} waits at a wrong place")
            _require(side in (0, order.side), f"order {order.order_id} waits on the wrong side")
            live[order.order_id] = order
    for side_of_stops, sign in ((stops.buys, 1), (stops.sells, -1)):
        for key, order in side_of_stops.items():
            _require(key == (sign * order.stop, order.order_id), f"stop order {order.order_id} is filed wrongly")
    trailing = {o.order_id for o in (*stops.buys.values(), *stops.sells.values()) if o.trail}
    _require(trailing == set(stops.trailing), f"book {book.instrument.instrument_id}: trailing stops")
    if book.phase == Phase.CONTINUOUS and book.last:
        due = stops.next(book.last)
        _require(due is None, "a stop order that is reached waits on")


def _check_sessions(state: State) -> None:
    _require(0 not in state.sessions, "session 0 is numbered")
    for number, session in state.sessions.items():
        last = session.last_no
        seqs = [session.outcome(one)[0] for one in range(max(1, last - REMEMBERED_NUMBERS + 1), last + 1)]
        kept = len(session.outcomes()) // 16
        _require(kept == len(seqs), f"session {number} keeps {kept} outcomes of {last}")
        _require(seqs == sorted(set(seqs)) and seqs[-1] <= state.last_seq, f"session {number} outcomes")


def _check_accounts(state: State, live: dict[int, Order]) -> None:
    for number, account in state.accounts.items():
        own = {order_id: order for order_id, order in live.items() if order.account is account}
        _require(own == account.orders, f"account {number}: its map of live orders is wrong")
        by_client_id = {order.client_order_id: order for order in own.values() if order.client_order_id}
        _require(by_client_id == account.by_client_id, f"account {number}: its map of client ids is wrong")
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
            buying = sum(o.leaves for o in own.values() if o.side == Side.BUY and o.book is state.books[instrument])
            _require(buying == position.buying, f"account {number} counts {position.buying} to buy of {instrument}")
            _require(position.cost >= 0 and (position.quantity != 0 or position.cost == 0), f"account {number} cost")
            _require(account.goes_short or position.quantity >= bound, f"account {number} can't deliver")
        for order in own.values():
            mine = account.positions.get(order.book.instrument.instrument_id)
            _require(mine is order.position, f"order {order.order_id} points to another position")
