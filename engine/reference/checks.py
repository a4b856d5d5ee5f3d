"""The checks of an order, one function each, in the order of the table of docs/engine.md, *New order*.

Each says why not, or None. Nothing is changed before all of them have passed. The first four look at the command alone
and stand in `new_order.py`. A replace asks many of the others again, for the order as it would be; what that order has
reserved itself counts as free then.
"""

from collections.abc import Callable
from typing import Final

from lockstep.engine.reference import margin
from lockstep.engine.reference.accounts import MAX_POSITION_LOTS
from lockstep.engine.reference.book import PPM, around
from lockstep.engine.reference.entry import Entry
from lockstep.engine.reference.order import (
    IN_BOOK,
    LIMITED_TYPES,
    MOST_CHILDREN,
    MOST_WAITING,
    WAITS_FOR_PARENT,
    is_within,
)
from lockstep.engine.reference.terms import gather, is_taken_in
from lockstep.engine.reference.words import (
    BANNED,
    BUY,
    CLOSE_ONLY,
    CLOSED,
    CONTINUOUS,
    GTD,
    HALT,
    KILLED,
    LOCATES,
    MARKET,
    NO_BUYS,
    NO_SELLS,
    ONLY_CLOSING,
    POST_ONLY,
    REFUSE,
    RESTRICTED,
    SELL,
    SHORT_EXEMPT,
    TRAILING_STOP,
)
from lockstep.engine.reference.worth import gathers, limit_in_funds
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS

Check = Callable[[Entry], Code | None]

DISPLAY_RATIO: Final = 1000
"""An iceberg shows at least this part of its quantity, so that nobody makes one command yield countless trades."""
_BARRED: Final[dict[int, Code]] = {
    RESTRICTED: Code.ACCOUNT_RESTRICTED,
    BANNED: Code.ACCOUNT_BANNED,
    KILLED: Code.ACCOUNT_KILLED,
}


def first_refusal(entry: Entry, checks: tuple[Check, ...]) -> Code | None:
    """What the first check that fails says."""
    for check in checks:
        code = check(entry)
        if code is not None:
            return code
    return None


def account_status(entry: Entry) -> Code | None:
    """*New order* check 5."""
    return _BARRED.get(entry.account.status)


def phase(entry: Entry) -> Code | None:
    """*New order* check 6."""
    return None if is_taken_in(entry.book.phase, entry.order, entry.minimum) else Code.WRONG_PHASE


def phase_of_replace(entry: Entry) -> Code | None:
    """*Replace*, in the place of *New order* check 6."""
    return Code.WRONG_PHASE if entry.book.phase in (HALT, CLOSED) else None


def quantity(entry: Entry) -> Code | None:
    """*New order* check 7."""
    return None if 1 <= entry.order.leaves <= MAX_QUANTITY_LOTS else Code.BAD_QUANTITY


def price(entry: Entry) -> Code | None:
    """*New order* check 8."""
    order = entry.order
    if order.order_type in LIMITED_TYPES:
        good = 1 <= order.price <= MAX_PRICE_TICKS
    elif order.order_type == MARKET:
        good = 0 <= order.price <= MAX_PRICE_TICKS and (order.held > 0 or not gathers(order))
    else:
        good = order.price == 0
    return None if good else Code.BAD_PRICE


def stop_price(entry: Entry) -> Code | None:
    """*New order* check 9."""
    order = entry.order
    if not order.is_stop and not order.is_oco:
        return None
    good = 1 <= order.stop_price <= MAX_PRICE_TICKS
    if order.order_type == TRAILING_STOP:
        good = good and 1 <= order.trail <= MAX_PRICE_TICKS
    elif order.is_oco:
        good = good and (order.stop_price > order.price if order.side == BUY else order.stop_price < order.price)
    return None if good else Code.BAD_STOP_PRICE


def display(entry: Entry) -> Code | None:
    """*New order* check 10."""
    order = entry.order
    if not order.display or 1 <= order.display <= order.leaves <= DISPLAY_RATIO * order.display:
        return None
    return Code.BAD_DISPLAY


def display_ratio(entry: Entry) -> Code | None:
    """*Replace*: the part of *New order* check 10 that concerns a new quantity."""
    order = entry.order
    return Code.BAD_DISPLAY if order.display and order.leaves > DISPLAY_RATIO * order.display else None


def minimum(entry: Entry) -> Code | None:
    """*New order* check 11."""
    return None if 0 <= entry.minimum <= entry.order.leaves else Code.BAD_MINIMUM


def expiry(entry: Entry) -> Code | None:
    """*New order* check 12."""
    order = entry.order
    return Code.BAD_EXPIRY if order.tif == GTD and order.expire_ns <= entry.now_ns else None


def band(entry: Entry) -> Code | None:
    """*New order* check 13: limits stay within the band (*Price limits*)."""
    order = entry.order
    within = entry.book.band() if order.order_type in LIMITED_TYPES else None
    if within is None or within.low <= order.price <= within.high:
        return None
    return Code.OUTSIDE_BAND


def price_bands(entry: Entry) -> Code | None:
    """*New order* check 13a; *Limit up and limit down*."""
    order = entry.order
    waits = order.place != IN_BOOK or gather(entry.book.phase, order.tif)
    return None if waits or order.order_type not in LIMITED_TYPES else outside_bands(entry)


def price_bands_of_a_child(entry: Entry) -> Code | None:
    """*Contingent orders* 3: the same of an order that waited for its parent; one that waits on is asked later."""
    return None if entry.order.is_stop else outside_bands(entry)


def outside_bands(entry: Entry) -> Code | None:
    """*Stops* 3: the same of an order that waited and goes to the market now."""
    order, within = entry.order, entry.book.bands_in_force()
    if within is None or order.order_type not in LIMITED_TYPES:
        return None
    too_far = order.price > within.high if order.side == BUY else order.price < within.low
    return Code.OUTSIDE_BAND if too_far else None


def collar(entry: Entry) -> Code | None:
    """*New order* check 14: no limit is absurdly good for the others (*Price limits*)."""
    order, book = entry.order, entry.book
    center = book.last or book.reference
    if not book.collar_ppm or not center or order.order_type not in LIMITED_TYPES:
        return None
    allowed = around(center, book.collar_ppm)
    too_far = order.price > allowed.high if order.side == BUY else order.price < allowed.low
    return Code.PRICE_COLLAR if too_far else None


def round_lots(entry: Entry) -> Code | None:
    """*New order* check 14a; *Lots*."""
    lots = entry.book.lots
    odd = lots.round_lots and lots.odd_lots == REFUSE and entry.order.leaves % lots.round_lots
    return Code.ODD_LOT if odd else None


def order_size(entry: Entry) -> Code | None:
    """*New order* check 15."""
    most = entry.limits.max_order_lots
    return Code.ORDER_TOO_LARGE if most and entry.order.leaves > most else None


def worth_range(entry: Entry) -> Code | None:
    """*New order* check 16."""
    return Code.OVERFLOW if entry.worth > I64_MAX else None


def order_worth(entry: Entry) -> Code | None:
    """*New order* check 17."""
    most = entry.limits.max_order_micros
    return Code.ORDER_WORTH_TOO_MUCH if most and entry.worth > most else None


def client_id(entry: Entry) -> Code | None:
    """*New order* check 18."""
    # 0 is no id, and nothing is filed under it.
    return Code.DUPLICATE_ORDER_ID if entry.order.client_order_id in entry.account.by_client_id else None


def parent(entry: Entry) -> Code | None:
    """*New order* check 18a; *Contingent orders*."""
    if not entry.parent_id:
        return None
    one = entry.parent
    good = (
        one is not None
        and one.book is entry.book
        and one.place != WAITS_FOR_PARENT
        and len(one.children) < MOST_CHILDREN
    )
    return None if good else Code.BAD_PARENT


def waiting_children(entry: Entry) -> Code | None:
    """*New order* check 18b; *Contingent orders*."""
    too_many = entry.parent_id and entry.account.children >= MOST_WAITING
    return Code.TOO_MANY_CHILDREN if too_many else None


def close_only(entry: Entry) -> Code | None:
    """*New order* check 19."""
    if entry.account.status == CLOSE_ONLY and margin.after(entry) > 0:
        return Code.ACCOUNT_CLOSE_ONLY
    return None


def position_limit(entry: Entry) -> Code | None:
    """*New order* check 20."""
    most = entry.limits.max_position_lots
    return Code.POSITION_LIMIT if most and margin.after(entry) > most else None


def day_trader(entry: Entry) -> Code | None:
    """*New order* check 20a."""
    if entry.account.has_day_trade_rule and margin.opens(entry) and margin.is_day_trader(entry):
        return Code.DAY_TRADER
    return None


def concentration(entry: Entry) -> Code | None:
    """*New order* check 20b."""
    most = entry.limits.max_concentration_ppm
    if most and margin.opens(entry) and margin.exposure(entry) * PPM > most * margin.equity(entry.state, entry.account):
        return Code.CONCENTRATION_LIMIT
    return None


def bars(entry: Entry) -> Code | None:
    """*New order* check 20c; *Restrictions*."""
    said = entry.book.restriction.bars | entry.book.restriction_of(entry.account.account_id).bars
    barred = said & (NO_BUYS if entry.order.side == BUY else NO_SELLS)
    if barred or (said & ONLY_CLOSING and margin.opens(entry)):
        return Code.INSTRUMENT_RESTRICTED
    return None


def ownership(entry: Entry) -> Code | None:
    """*New order* check 20d; *Restrictions*."""
    of_all = entry.book.restriction
    if not of_all.max_share_ppm or entry.order.side != BUY:
        return None
    too_much = margin.after(entry) * PPM > of_all.max_share_ppm * of_all.outstanding_lots
    return Code.OWNERSHIP_LIMIT if too_much else None


def locates(entry: Entry) -> Code | None:
    """*New order* check 20e; *Restrictions*."""
    if not entry.book.restriction.bars & LOCATES or not _is_short(entry):
        return None
    located = entry.book.restriction_of(entry.account.account_id).located_lots
    return Code.NOT_LOCATED if margin.after(entry) > located else None


def short_sale_price(entry: Entry) -> Code | None:
    """*New order* check 20f; *Short sales*."""
    order = entry.order
    waits = order.place != IN_BOOK or gather(entry.book.phase, order.tif)
    return None if waits else too_low_for_a_short_sale(entry)


def short_sale_price_of_a_child(entry: Entry) -> Code | None:
    """*Contingent orders* 3: the same of an order that waited for its parent; one that waits on is asked later."""
    return None if entry.order.is_stop else too_low_for_a_short_sale(entry)


def too_low_for_a_short_sale(entry: Entry) -> Code | None:
    """*Stops* 3: the same of an order that waited and goes to the market now."""
    order, book = entry.order, entry.book
    exempt = order.flags & SHORT_EXEMPT
    if exempt or not book.short_sales.are_restricted(entry.now_ns) or not _is_short(entry):
        return None
    best = book.bids.best()
    good = best is None or (order.order_type in LIMITED_TYPES and order.price > best.price)
    return None if good else Code.SHORT_SALE_PRICE


def _is_short(entry: Entry) -> bool:
    """*Short sales*: a sell of more than the account has, less what its other sells may take."""
    return entry.order.side == SELL and margin.opens(entry)


def funds(entry: Entry) -> Code | None:
    """*New order* check 21; what a lessening replace of a MARGIN account asks for is there."""
    account, order = entry.account, entry.order
    if account.is_margin:
        return None if entry.lessens else margin.refusal(entry)
    if order.side == BUY:
        short = not account.borrows and entry.worth > account.cash - (account.reserved - entry.freed_micros)
        return Code.INSUFFICIENT_CASH if short else None
    position = entry.position
    short = not account.goes_short and order.leaves > position.quantity - (position.reserved - entry.freed_lots)
    return Code.INSUFFICIENT_POSITION if short else None


def balances(entry: Entry) -> Code | None:
    """*New order* check 22, by the table "Range of balances" of *Settlement*."""
    account, order, held = entry.account, entry.order, entry.position.quantity
    if order.side == BUY:
        owed = account.reserved - entry.freed_micros + entry.worth - min(account.cash, 0)
        good = (not account.borrows or owed <= I64_MAX) and held + order.leaves <= MAX_POSITION_LOTS
    else:
        paid = max(account.cash, 0) + account.receivable - entry.freed_micros + _proceeds(entry)
        good = (not account.goes_short or order.leaves - held <= MAX_POSITION_LOTS) and paid <= I64_MAX
    return None if good else Code.OVERFLOW


def _proceeds(entry: Entry) -> int:
    """The most that a sell can bring in: one with a limit trades at the best bid at the best."""
    order, book = entry.order, entry.book
    limit = limit_in_funds(order)
    if not limit:
        return entry.worth
    best = book.bids.best()
    return book.lot_micros(order.side, limit if best is None else max(limit, best.price)) * order.leaves


def daily_orders(entry: Entry) -> Code | None:
    """*New order* check 23."""
    limits = entry.account.limits
    return Code.DAILY_ORDER_LIMIT if limits is not None and limits.are_orders_used_up(entry.now_ns) else None


def order_rate(entry: Entry) -> Code | None:
    """*New order* check 24."""
    limits = entry.account.limits
    return Code.ORDER_RATE if limits is not None and not limits.has_token(entry.now_ns) else None


def order_to_trade(entry: Entry) -> Code | None:
    """*New order* check 25."""
    limits = entry.account.limits
    return Code.ORDER_TO_TRADE_RATIO if limits is not None and limits.are_trades_missing(entry.now_ns) else None


def instrument_throttle(entry: Entry) -> Code | None:
    """*New order* check 25a; *Throttles*."""
    return None if entry.book.throttle.has_token(entry.now_ns) else Code.INSTRUMENT_THROTTLED


def market_throttle(entry: Entry) -> Code | None:
    """*New order* check 25b; *Throttles*."""
    return None if entry.state.market.throttle.has_token(entry.now_ns) else Code.MARKET_THROTTLED


def post_only(entry: Entry) -> Code | None:
    """*New order* check 26; a replace asks it in CONTINUOUS."""
    order, book = entry.order, entry.book
    if not order.flags & POST_ONLY or book.phase != CONTINUOUS:
        return None
    best = book.opposite(order.side).best()
    return Code.WOULD_TRADE if best is not None and is_within(best.price, order.price, order.side) else None
