"""*Restrictions*: who may trade an instrument, and how far; when its short sales are held to a price."""

from typing import Final, NamedTuple

from lockstep.engine.reference.accounts import MAX_POSITION_LOTS
from lockstep.engine.reference.bands import PPM
from lockstep.engine.reference.limits import business_day
from lockstep.engine.reference.words import LOCATES, NO_BUYS, NO_SELLS, ONLY_CLOSING

EVERYBODY: Final = 0
"""The account id under which what holds for all accounts is kept."""


class Restriction(NamedTuple):
    """What SET_RESTRICTIONS sets, of an account or of everybody; 0 is no such restriction."""

    bars: int
    max_share_ppm: int
    outstanding_lots: int
    located_lots: int


NO_RESTRICTION: Final = Restriction(0, 0, 0, 0)


_BARS_OF_ONE: Final = NO_BUYS | NO_SELLS | ONLY_CLOSING


def are_of_one(terms: Restriction) -> bool:
    """What may be said of one account."""
    no_share = not terms.max_share_ppm and not terms.outstanding_lots
    return not terms.bars & ~_BARS_OF_ONE and no_share and 0 <= terms.located_lots <= MAX_POSITION_LOTS


def are_of_all(terms: Restriction) -> bool:
    """What may be said of everybody."""
    return (
        not terms.bars & ~(_BARS_OF_ONE | LOCATES)
        and terms.max_share_ppm <= PPM
        and 0 <= terms.outstanding_lots <= MAX_POSITION_LOTS
        and (terms.max_share_ppm > 0) == (terms.outstanding_lots > 0)
        and not terms.located_lots
    )


class ShortSales:
    """An instrument's short-sale rule: from which fall on, and the business day that last set it off (0: none)."""

    __slots__ = ("fall_ppm", "since_day")

    def __init__(self) -> None:
        self.fall_ppm = 0
        self.since_day = 0

    def begin(self, now_ns: int) -> None:
        """*Short sales*: in force for this business day and the next."""
        self.since_day = business_day(now_ns)

    def are_restricted(self, now_ns: int) -> bool:
        """Whether short sales are held to a price now."""
        return self.since_day > 0 and business_day(now_ns) - self.since_day <= 1

    def begin_today(self, now_ns: int) -> bool:
        """Whether a fall would be news: it has not been set off today."""
        return self.fall_ppm > 0 and self.since_day != business_day(now_ns)
