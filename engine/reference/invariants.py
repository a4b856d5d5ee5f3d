"""What must hold between any two commands, checked from scratch. Tests run it after every command."""

from collections import Counter

from lockstep.engine.reference.book import Book, Half, Order
from lockstep.engine.reference.engine import ReferenceEngine
from lockstep.engine.reference.state import State
from lockstep.stream.records import I64_MAX, Side


class InvariantBroken(AssertionError):
    """The engine's state contradicts itself."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvariantBroken(message)


def check_invariants(
    engine: ReferenceEngine, *, cash_micros: int | None = None, lots: dict[int, int] | None = None
) -> None:
    """Check the whole state.

    `cash_micros` and `lots` (by instrument) are what the sum over all accounts must be: trades only move cash and
    shares between accounts, so it changes by ADJUST_CASH and ADJUST_POSITION alone.

    Raises:
        InvariantBroken: naming what does not hold.
    """
    state = engine.state
    live: dict[int, Order] = {}
    for number, book in state.books.items():
        _require(book.instrument.instrument_id == number, f"book {number} is filed under another id")
        _check_book(book, live)
    _require(live == state.orders, "the map of live orders is not what rests in the books")
    _check_sessions(state)
    _check_accounts(state, live)
    if cash_micros is not None:
        held = sum(account.cash for account in state.accounts.values())
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
    if book.bids.best is not None and book.asks.best is not None:
        bid, ask = book.bids.best.price, book.asks.best.price
        _require(bid < ask, f"book {book.instrument.instrument_id} is crossed: {bid} >= {ask}")


def _check_half(book: Book, half: Half, side: Side, live: dict[int, Order]) -> None:
    first = half.levels.peekitem(0)[1] if half.levels else None
    _require(half.best is first, f"best {side.name} of book {book.instrument.instrument_id} is stale")
    for key, level in half.levels.items():
        _require(bool(level.orders), f"level {level.price} is empty")
        _require(level.key == key == (-level.price if side == Side.BUY else level.price), f"level {level.price} key")
        _require(
            level.quantity == sum(order.leaves for order in level.orders.values()), f"level {level.price} quantity"
        )
        for order_id, order in level.orders.items():
            what = f"order {order_id}"
            _require(order.order_id == order_id and order_id not in live, f"{what} rests twice")
            _require(order.level is level and order.book is book, f"{what} points to another place")
            _require(order.price == level.price and order.side == side, f"{what} rests at a wrong price or side")
            _require(0 < order.leaves <= order.quantity, f"{what} has {order.leaves} of {order.quantity} lots open")
            live[order_id] = order


def _check_sessions(state: State) -> None:
    _require(0 not in state.sessions, "session 0 is numbered")
    for number, session in state.sessions.items():
        kept = len(session.outcomes)
        _require(kept == min(session.last_no, 256), f"session {number} keeps {kept} outcomes of {session.last_no}")
        seqs = list(session.outcomes)
        _require(seqs == sorted(set(seqs)) and seqs[-1] <= state.last_seq, f"session {number} outcomes")


def _check_accounts(state: State, live: dict[int, Order]) -> None:
    for number, account in state.accounts.items():
        own = {order_id: order for order_id, order in live.items() if order.account is account}
        _require(own == account.orders, f"account {number}: its map of live orders is wrong")
        by_client_id = {order.client_order_id: order for order in own.values() if order.client_order_id}
        _require(by_client_id == account.by_client_id, f"account {number}: its map of client ids is wrong")
        buys = sum(o.price * o.leaves * o.book.unit_micros for o in own.values() if o.side == Side.BUY)
        sells = sum(o.price * o.leaves * o.book.unit_micros for o in own.values() if o.side == Side.SELL)
        _require(buys == account.reserved, f"account {number} reserves {account.reserved}, its buys need {buys}")
        _require(sells == account.receivable, f"account {number}: receivable {account.receivable}, sells {sells}")
        _require(account.unlimited_cash or account.cash >= buys, f"account {number} can't pay for its orders")
        _require(max(account.cash, 0) + sells <= I64_MAX, f"account {number} can overflow by selling")
        _require(buys - min(account.cash, 0) <= I64_MAX, f"account {number} can overflow by buying")
        for instrument, position in account.positions.items():
            bound = sum(o.leaves for o in own.values() if o.side == Side.SELL and o.book is state.books[instrument])
            _require(bound == position.reserved, f"account {number} reserves {position.reserved} of {instrument}")
            _require(account.unlimited_positions or position.quantity >= bound, f"account {number} can't deliver")
        for order in own.values():
            mine = account.positions.get(order.book.instrument.instrument_id)
            _require(mine is order.position, f"order {order.order_id} points to another position")
