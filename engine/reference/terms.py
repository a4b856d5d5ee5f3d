"""The terms of a new order by themselves: which fields may stand together, and which phase takes them."""

from typing import Final

from lockstep.engine.reference.order import RESTING_TIFS, Order
from lockstep.engine.reference.records import OrderCommand
from lockstep.engine.reference.words import (
    AT_CLOSE,
    AT_OPEN,
    BUY,
    CANCEL_ON_HALT,
    CLOSED,
    CONTINUOUS,
    DAY,
    DECREMENT,
    FOK,
    GOOD_FOR_AUCTION,
    GTC,
    GTD,
    HALT,
    HIDDEN,
    IOC,
    LIMIT,
    MARKET,
    OCO,
    OPENING_AUCTION,
    POST_ONLY,
    PRE_OPEN,
    SELL,
    SHORT_EXEMPT,
    STOP,
    STOP_LIMIT,
    TRAILING_STOP,
)

_AUCTION_TIFS: Final = (AT_OPEN, AT_CLOSE, GOOD_FOR_AUCTION)
_MARKET_TIFS: Final = (DAY, GTC, IOC, FOK, *_AUCTION_TIFS)
_OPENING_PHASES: Final = (PRE_OPEN, OPENING_AUCTION)


def make_an_order(terms: OrderCommand) -> bool:
    """*New order* check 2: the fields make an order."""
    return (
        terms.side in (BUY, SELL)
        and terms.stp <= DECREMENT
        and not terms.flags & ~(POST_ONLY | HIDDEN | CANCEL_ON_HALT | SHORT_EXEMPT)
        and (terms.side == SELL or not terms.flags & SHORT_EXEMPT)
        and (not terms.expire_ns or terms.tif == GTD)
        and _fit_their_type(terms)
        and (not terms.parent_id or _make_a_child(terms))
    )


def _make_a_child(terms: OrderCommand) -> bool:
    """*Contingent orders*: the terms of an order that waits for its parent."""
    plain = not (terms.flags or terms.display_lots or terms.min_lots)
    return plain and terms.order_type in (LIMIT, STOP, STOP_LIMIT, OCO) and terms.tif in RESTING_TIFS


def _fit_their_type(terms: OrderCommand) -> bool:
    """The rows of the table under *New order* check 2."""
    if terms.order_type == LIMIT:
        return _make_a_limit_order(terms)
    if terms.flags & ~(CANCEL_ON_HALT | SHORT_EXEMPT) or terms.display_lots:
        return False
    if terms.order_type == MARKET:
        return not terms.flags & ~SHORT_EXEMPT and _make_a_market_order(terms)
    if terms.order_type in (STOP, STOP_LIMIT, OCO):
        return terms.tif in RESTING_TIFS and not terms.min_lots and not terms.trail_ticks
    return terms.order_type == TRAILING_STOP and terms.tif in RESTING_TIFS and not terms.min_lots


def _make_a_limit_order(terms: OrderCommand) -> bool:
    if terms.stop_price_ticks or terms.trail_ticks or not 1 <= terms.tif <= GOOD_FOR_AUCTION:
        return False
    rests = terms.tif in RESTING_TIFS
    if (terms.flags & ~SHORT_EXEMPT or terms.display_lots) and not rests:
        return False
    if terms.flags & HIDDEN and terms.display_lots:
        return False
    return not terms.min_lots or ((rests or terms.tif == IOC) and not terms.flags & POST_ONLY)


def _make_a_market_order(terms: OrderCommand) -> bool:
    if terms.stop_price_ticks or terms.trail_ticks or terms.tif not in _MARKET_TIFS:
        return False
    return not terms.min_lots or terms.tif not in (FOK, *_AUCTION_TIFS)


def is_taken_in(phase: int, order: Order, minimum: int) -> bool:
    """*New order* check 6, by the table of *Phases*: the phase takes such an order."""
    if phase in (HALT, CLOSED) or (order.tif == AT_OPEN and phase not in _OPENING_PHASES):
        return False
    if phase == CONTINUOUS:
        return True
    if order.order_type == LIMIT:
        gathers = order.tif in RESTING_TIFS or order.tif in _AUCTION_TIFS
        return gathers and not order.flags & POST_ONLY and not minimum
    if order.order_type == MARKET:
        return order.tif not in (IOC, FOK) and not minimum
    return True


def gather(book_phase: int, tif: int) -> bool:
    """Whether an order that is no stop order goes into an auction instead of trading at once (*Phases*)."""
    return tif in (AT_CLOSE, GOOD_FOR_AUCTION) or book_phase != CONTINUOUS
