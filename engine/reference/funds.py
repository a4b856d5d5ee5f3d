"""What an order is worth, and whether its account can carry it."""

from typing import Final

from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import PPM, Book
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
    book: Book, account: Account, side: int, price: int, lots: int, worth: int, freed_lots: int, freed: int
) -> Code:
    """Funds and range of balances; `price` is 0 if the order has no limit. `freed_*` is what it has reserved itself."""
    if worth > I64_MAX:
        return Code.OVERFLOW
    position = account.positions.get(book.instrument.instrument_id)
    if side == BUY:
        return account.buy_refusal(worth, lots, position, freed)
    if price:
        # A limit sell trades at the best bid at the best.
        best = book.bids.best
        worth = (best.price if best is not None and best.price > price else price) * lots * book.unit_micros
    return account.sell_refusal(worth, lots, position, freed_lots, freed)


def exposure_refusal(book: Book, account: Account, side: int, lots: int, freed_lots: int) -> Code:
    """CLOSE_ONLY, then the position limit."""
    if account.status != CLOSE_ONLY and account.limits is None:
        return Code.OK
    position = account.positions.get(book.instrument.instrument_id)
    held = position.quantity if position is not None else 0
    if side == BUY:
        after = held + (position.buying if position is not None else 0) - freed_lots + lots
    else:
        after = (position.reserved if position is not None else 0) - freed_lots + lots - held
    # `after` is the position on the order's own side if all its live orders of that side are filled.
    if account.status == CLOSE_ONLY and after > 0:
        return Code.ACCOUNT_CLOSE_ONLY
    limits = account.limits
    if limits is not None and limits.max_position_lots and after > limits.max_position_lots:
        return Code.POSITION_LIMIT
    return Code.OK
