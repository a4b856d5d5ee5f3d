"""*Settlement*: what a trade does to the two accounts.

Everybody can pay: makers have reserved, and a taker was checked for the whole of what it may cost before it came here.
"""

from typing import NamedTuple

from lockstep.engine.reference.book import PPM
from lockstep.engine.reference.events import Fees
from lockstep.engine.reference.margin import note_trade
from lockstep.engine.reference.order import Order
from lockstep.engine.reference.state import State
from lockstep.engine.reference.words import BUY


class Rates(NamedTuple):
    """What each side of a trade pays, in millionths of its worth; below 0: a rebate."""

    taker_ppm: int
    maker_ppm: int


def settle(state: State, *, taker: Order, maker: Order, lots: int, price: int, rates: Rates, now_ns: int) -> Fees:
    """Book a trade at once, the maker first; what it had reserved was released before."""
    value = price * lots * taker.book.unit
    for order in (maker, taker):
        note_trade(order.account, order.position, lots=_signed(order, lots), now_ns=now_ns)
    for order in (maker, taker):
        order.account.cash += -value if order.side == BUY else value
        order.position.trade(_signed(order, lots), value)
        for child in order.children:
            child.parent_lots += lots
        if order.account.limits is not None:
            order.account.limits.count_trade(now_ns)
    fees = Fees(taker=_fee(value, rates.taker_ppm), maker=_fee(value, rates.maker_ppm))
    taker.account.cash -= fees.taker
    maker.account.cash -= fees.maker
    state.fees += fees.taker + fees.maker
    return fees


def _signed(order: Order, lots: int) -> int:
    """Lots as its position counts them: below 0 of a sale."""
    return lots if order.side == BUY else -lots


def _fee(value: int, ppm: int) -> int:
    """Of a trade of this worth, rounded down; so is a rebate."""
    return value * ppm // PPM if ppm >= 0 else -(value * -ppm // PPM)
