"""*Margin accounts*: what an account is worth, what its positions and orders require, whether one more is possible.

Everything is valued at the mark of the moment, from scratch, so that there is no second copy of a position to go wrong.
"""

from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.accounts import Account, Position
from lockstep.engine.reference.book import PPM, Book
from lockstep.engine.reference.entry import Entry
from lockstep.engine.reference.limits import BUSINESS_DAYS, business_day
from lockstep.engine.reference.output import Output
from lockstep.engine.reference.state import State
from lockstep.engine.reference.words import BUY, SELL
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX

DAY_TRADER_EQUITY_MICROS: Final = 25_000 * 10**6


def _clamp(value: int) -> int:
    return max(-I64_MAX, min(value, I64_MAX))


def _share(value: int, ppm: int) -> int:
    """`ppm` millionths, rounded up."""
    return -(-value * ppm // PPM)


def equity(state: State, account: Account) -> int:
    """Cash and the value of all positions, in micros."""
    books = state.books
    return account.cash + sum(
        _clamp(position.quantity * books[number].mark * books[number].unit)
        for number, position in account.positions.items()
    )


def maintenance(state: State, account: Account) -> int:
    """What equity must not fall below, in micros (check 21, 3)."""
    required = 0
    for number, position in account.positions.items():
        book = state.books[number]
        value = _clamp(abs(position.quantity) * book.mark * book.unit)
        required += _share(value, book.maintenance_ppm)
    return required


def _exposure_of(book: Book, position: Position, *, open_buys: int, open_sells: int) -> int:
    """`exposure_i`: worth of the largest position that open orders may make of this one (check 21, 4)."""
    lots = max(abs(position.quantity + open_buys), abs(position.quantity - open_sells))
    return _clamp(lots * book.mark * book.unit)


def initial(state: State, account: Account, *, but: Book | None = None) -> int:
    """Initial margin of all positions and open orders, in micros, except in one instrument (check 21, 4)."""
    required = 0
    for number, position in account.positions.items():
        book = state.books[number]
        if book is not but:
            most = _exposure_of(book, position, open_buys=position.open_buys, open_sells=position.reserved)
            required += _share(most, book.initial_ppm)
    return required


def after(entry: Entry) -> int:
    """The position on an order's own side if all live orders of that side are filled."""
    order, position = entry.order, entry.position
    if order.side == BUY:
        return position.quantity + position.open_buys - entry.freed_lots + order.leaves
    return position.reserved - entry.freed_lots + order.leaves - position.quantity


def opens(entry: Entry) -> bool:
    """Whether the order can do something else than lessen a position."""
    return after(entry) > 0


def exposure(entry: Entry) -> int:
    """Worth of the position that the order leads to."""
    lots = entry.order.leaves
    mark = entry.book.mark * entry.book.unit
    return max(0, _clamp((after(entry) - lots) * mark + max(entry.worth, lots * mark)))


def refusal(entry: Entry) -> Code | None:
    """*New order* check 21 of a MARGIN account, 1 to 4."""
    state, order, account, book = entry.state, entry.order, entry.account, entry.book
    position = entry.position
    available = position.quantity - (position.reserved - entry.freed_lots)
    if order.side == SELL and not account.goes_short and order.leaves > available:
        return Code.SHORT_SALE
    if not opens(entry):
        return None
    worth_now = equity(state, account)
    if worth_now < maintenance(state, account):
        return Code.MARGIN_CALL
    required = _share(_own_exposure(entry), book.initial_ppm) + initial(state, account, but=book)
    return Code.INSUFFICIENT_MARGIN if worth_now - _loss(entry) < required else None


def _own_exposure(entry: Entry) -> int:
    """For the order's instrument: the greater of `exposure_i` without the order and its exposure (check 21, 4)."""
    order, position = entry.order, entry.position
    freed_buys, freed_sells = (entry.freed_lots, 0) if order.side == BUY else (0, entry.freed_lots)
    without = _exposure_of(
        order.book,
        position,
        open_buys=position.open_buys - freed_buys,
        open_sells=position.reserved - freed_sells,
    )
    return max(without, exposure(entry))


def _loss(entry: Entry) -> int:
    """What the order would lose at once; 0 if the mark is 0 (check 21, 4)."""
    order = entry.order
    mark = order.leaves * order.book.mark * order.book.unit
    if not mark:
        return 0
    return max(0, entry.worth - mark if order.side == BUY else mark - entry.worth)


def call(state: State, out: Output) -> None:
    """*Margin accounts*, "Margin call": say whose equity has fallen under maintenance, and whose is back."""
    for account in state.accounts.values():
        if not account.is_margin:
            continue
        worth, required = equity(state, account), maintenance(state, account)
        if (worth < required) != account.margin_called:
            account.margin_called = worth < required
            events.margin_called(out, account, equity=_clamp(worth), maintenance=_clamp(required))


def is_day_trader(entry: Entry) -> bool:
    """*Margin accounts*, "Day-trade rule": whether it keeps the account from opening positions."""
    fourth_latest, _, _, _ = entry.account.day_trades
    recent = fourth_latest > 0 and business_day(entry.now_ns) - fourth_latest < BUSINESS_DAYS
    return recent and equity(entry.state, entry.account) < DAY_TRADER_EQUITY_MICROS


def note_trade(account: Account, position: Position, *, lots: int, now_ns: int) -> None:
    """*Margin accounts*, "Day-trade rule": look for a day trade; `lots` (below 0: sold) are about to be booked."""
    if not account.has_day_trade_rule:
        return
    today = business_day(now_ns)
    held = position.quantity
    closes = held * lots < 0
    if closes and position.opened == today:
        position.opened = 0
        account.day_trades = (*account.day_trades[1:], today)
    if not closes or abs(lots) > abs(held):
        position.opened = today
