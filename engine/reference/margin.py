"""Margin: what an account is worth, what its positions and orders require, and whether an order may be added to them.

Everything is valued at the mark of the moment, from scratch, so that there is no second copy of a position to go wrong.
"""

from typing import Final

from lockstep.engine.reference import events
from lockstep.engine.reference.accounts import Account, Position
from lockstep.engine.reference.book import BUY, PPM, Book
from lockstep.engine.reference.events import Output
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, EventKind

DAY_TRADER_EQUITY_MICROS: Final = 25_000 * 10**6
_BUSINESS_DAYS: Final = 5
_NOTHING: Final = Position()


def _clamp(value: int) -> int:
    return max(-I64_MAX, min(value, I64_MAX))


def _share(value: int, ppm: int) -> int:
    """`ppm` millionths, rounded up."""
    return -(-value * ppm // PPM)


def equity(state: State, account: Account) -> int:
    """Cash and the value of all positions, in micros."""
    books = state.books
    return account.cash + sum(
        _clamp(position.quantity * books[number].mark * books[number].unit_micros)
        for number, position in account.positions.items()
    )


def maintenance(state: State, account: Account) -> int:
    """What equity must not fall below, in micros."""
    required = 0
    for number, position in account.positions.items():
        book = state.books[number]
        value = _clamp(abs(position.quantity) * book.mark * book.unit_micros)
        required += _share(value, book.maintenance_ppm)
    return required


def _at_most(book: Book, position: Position, buying: int, selling: int) -> int:
    """Worth of the largest position that open orders may make of this one."""
    lots = max(abs(position.quantity + buying), abs(position.quantity - selling))
    return _clamp(lots * book.mark * book.unit_micros)


def initial(state: State, account: Account, but: Book | None = None) -> int:
    """Initial margin of all positions and open orders, in micros, except in one instrument."""
    required = 0
    for number, position in account.positions.items():
        book = state.books[number]
        if book is not but:
            required += _share(_at_most(book, position, position.buying, position.reserved), book.initial_ppm)
    return required


def after(book: Book, account: Account, side: int, lots: int, freed_lots: int) -> int:
    """The position on an order's own side if all live orders of that side are filled; it opens if that is above 0."""
    position = account.positions.get(book.instrument.instrument_id, _NOTHING)
    if side == BUY:
        return position.quantity + position.buying - freed_lots + lots
    return position.reserved - freed_lots + lots - position.quantity


def exposure(book: Book, lots: int, worth: int, lots_after: int) -> int:
    """Worth of the position `lots_after` that an order of `lots` leads to."""
    mark = book.mark * book.unit_micros
    return max(0, _clamp((lots_after - lots) * mark + max(worth, lots * mark)))


def refusal(state: State, book: Book, account: Account, side: int, lots: int, worth: int, freed_lots: int) -> Code:
    """Why a margin account can't have an order."""
    position = account.positions.get(book.instrument.instrument_id, _NOTHING)
    buying, selling = position.buying, position.reserved
    if side == BUY:
        buying -= freed_lots
    else:
        selling -= freed_lots
        if not account.goes_short and lots > position.quantity - selling:
            return Code.SHORT_SALE
    lots_after = after(book, account, side, lots, freed_lots)
    if lots_after <= 0:
        return Code.OK
    worth_now = equity(state, account)
    if worth_now < maintenance(state, account):
        return Code.MARGIN_CALL
    mark = lots * book.mark * book.unit_micros
    loss = 0
    if mark:
        loss = max(0, worth - mark if side == BUY else mark - worth)
    own = max(_at_most(book, position, buying, selling), exposure(book, lots, worth, lots_after))
    if worth_now - loss < _share(own, book.initial_ppm) + initial(state, account, book):
        return Code.INSUFFICIENT_MARGIN
    return Code.OK


def call(state: State, out: Output) -> None:
    """Say which accounts have fallen under their maintenance margin, and which are back."""
    for number, account in sorted(state.accounts.items()):
        if not account.margin:
            continue
        worth, required = equity(state, account), maintenance(state, account)
        if (worth < required) != account.margin_called:
            account.margin_called = worth < required
            events.notice(out, EventKind.MARGIN_CALLED, _clamp(worth), _clamp(required), account=number)


def is_day_trader(state: State, account: Account, now_ns: int) -> bool:
    """Whether the day-trade rule keeps the account from opening positions."""
    fourth = account.day_trades[0]
    recent = fourth and business_day(now_ns) - fourth < _BUSINESS_DAYS
    return bool(recent) and equity(state, account) < DAY_TRADER_EQUITY_MICROS


def business_day(now_ns: int) -> int:
    """Number of the business day of a stamp: Mondays to Fridays counted on, a weekend is its Friday."""
    # The epoch began on a Thursday, so that 3 days more make weeks begin on Mondays.
    weeks, weekday = divmod(now_ns // (86_400 * 10**9) + 3, 7)
    return weeks * _BUSINESS_DAYS + min(weekday, _BUSINESS_DAYS - 1)


def note_trade(account: Account, position: Position, lots: int, now_ns: int) -> None:
    """Look for a day trade; `lots` (below 0: sold) are about to be booked to an account that is held to the rule."""
    today = business_day(now_ns)
    held = position.quantity
    closes = held * lots < 0
    if closes and position.opened == today:
        position.opened = 0
        account.day_trades = (*account.day_trades[1:], today)
    if not closes or abs(lots) > abs(held):
        position.opened = today
