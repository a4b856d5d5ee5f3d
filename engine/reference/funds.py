"""What an order is worth, and whether its account can carry it."""

from typing import Final

from lockstep.engine.reference import margin
from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import PPM, Book
from lockstep.engine.reference.state import State
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, AccountStatus, OrderType, Side, TimeInForce

BUY: Final = int(Side.BUY)
LIMIT: Final = int(OrderType.LIMIT)
FOK: Final = int(TimeInForce.FOK)
CLOSE_ONLY: Final = int(AccountStatus.CLOSE_ONLY)
_BARRED: Final[dict[int, Code]] = {
    AccountStatus.RESTRICTED: Code.ACCOUNT_RESTRICTED,
    AccountStatus.BANNED: Code.ACCOUNT_BANNED,
    AccountStatus.KILLED: Code.ACCOUNT_KILLED,
}


def status_refusal(account: Account) -> Code:
    """Why the account may not enter orders at all."""
    return _BARRED.get(account.status, Code.OK)


def market_worth(book: Book, account: Account, side: int, limit_key: int, tif: int, lots: int, stp: int) -> int:
    """What an order without a limit to reserve by needs: exactly what it would trade for, now, and its fees."""
    filled, worth = book.opposite(side).reach(limit_key, lots, account, stp)
    if filled < lots and tif == FOK:
        return 0
    worth *= book.unit_micros
    return worth + worth * book.fee_ppm // PPM if side == BUY else worth


def funds_refusal(
    state: State,
    book: Book,
    account: Account,
    side: int,
    price: int,
    lots: int,
    worth: int,
    freed_lots: int,
    freed: int,
) -> Code:
    """Funds and range of balances; `price` is 0 if the order has no limit. `freed_*` is what it has reserved itself.

    Margin is looked at beside this (`margin.refusal`), as it does not concern orders that lessen.
    """
    if worth > I64_MAX:
        return Code.OVERFLOW
    if account.margin:
        code = margin.refusal(state, book, account, side, lots, worth, freed_lots)
        if code is not Code.OK:
            return code
    return range_refusal(book, account, side, price, lots, worth, freed_lots, freed)


def range_refusal(
    book: Book, account: Account, side: int, price: int, lots: int, worth: int, freed_lots: int, freed: int
) -> Code:
    """`funds_refusal` without margin, for a worth within 64 bits."""
    position = account.positions.get(book.instrument.instrument_id)
    if side == BUY:
        return account.buy_refusal(worth, lots, position, freed)
    if price:
        # A limit sell trades at the best bid at the best.
        best = book.bids.best
        worth = book.lot_micros(side, best.price if best is not None and best.price > price else price) * lots
    return account.sell_refusal(worth, lots, position, freed_lots, freed)


def exposure_refusal(
    state: State, book: Book, account: Account, side: int, lots: int, worth: int, freed_lots: int, now_ns: int
) -> Code:
    """What the account may hold: CLOSE_ONLY, position limit, day-trade rule, concentration."""
    limits = account.limits
    if account.status != CLOSE_ONLY and limits is None and not account.day_trade_rule:
        return Code.OK
    after = margin.after(book, account, side, lots, freed_lots)
    if account.status == CLOSE_ONLY and after > 0:
        return Code.ACCOUNT_CLOSE_ONLY
    if limits is not None and limits.max_position_lots and after > limits.max_position_lots:
        return Code.POSITION_LIMIT
    if after <= 0:
        return Code.OK
    if account.day_trade_rule and margin.is_day_trader(state, account, now_ns):
        return Code.DAY_TRADER
    if limits is not None and limits.max_concentration_ppm:
        exposure = margin.exposure(book, lots, worth, after)
        if exposure * PPM > limits.max_concentration_ppm * margin.equity(state, account):
            return Code.CONCENTRATION_LIMIT
    return Code.OK
