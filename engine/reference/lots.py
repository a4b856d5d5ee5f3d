"""*Lots*: round lots, what becomes of odd ones, and the best bid and offer of a book that has both."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from lockstep.engine.contract import BookLevel
from lockstep.engine.reference.words import AGGREGATED, OUT


class Lots(NamedTuple):
    """What a round lot is (0: there are none), and what becomes of odd ones."""

    round_lots: int
    odd_lots: int
    display: int


NO_LOTS: Final = Lots(0, 0, 0)


class Tier(NamedTuple):
    """A round lot where the previous close is above a price."""

    above: int
    lots: int


def round_lots_at(tiers: Iterable[Tier], close: int) -> int:
    """*Lots*, "Tiers": of those that the previous close is above, the last; there is one above 0."""
    return [tier.lots for tier in tiers if tier.lots and close >= tier.above + (tier.above > 0)][-1]


def best_shown(levels: Iterable[BookLevel], lots: Lots) -> BookLevel | None:
    """*Lots*, "Best bid and offer": of the displayed levels of a side, best first."""
    carried = orders = 0
    for level in levels:
        if not lots.round_lots or lots.display not in (AGGREGATED, OUT):
            return level
        carried = level.quantity_lots + (carried if lots.display == AGGREGATED else 0)
        orders = level.orders + (orders if lots.display == AGGREGATED else 0)
        if carried >= lots.round_lots:
            return BookLevel(level.price_ticks, carried - carried % lots.round_lots, orders)
    return None
