"""When an engine answers which query: trading comes first, and no caller before the others. Pure.

The main loop has orders to match. So it makes at most one page of a listing in a turn, and then none for several times
as long as that took; what is looked up (an order, a session's number) costs microseconds and waits for no pause, but
there is an end to it in each turn, too. What comes beyond the bound is refused at once: BUSY is an answer.
"""

from dataclasses import dataclass, field
from typing import Final

from lockstep.stream.turns import FairQueue

LISTINGS_SHARE: Final = 4
"""One part in so many of the loop's time goes to listings, at the most."""
LOOKUPS_A_TURN: Final = 16
MAX_WAITING: Final = 256


@dataclass(slots=True)
class Reads[C]:
    """Queries of type `C` that wait for the main loop.

    Invariant: no listing is begun before `next_listing_ns`.
    """

    lookups: FairQueue[int, C] = field(default_factory=FairQueue)
    listings: FairQueue[int, C] = field(default_factory=FairQueue)
    next_listing_ns: int = 0

    def __len__(self) -> int:
        return len(self.lookups) + len(self.listings)

    def add(self, caller: int, call: C, *, listing: bool) -> bool:
        """Admit one; False: too many wait."""
        queue = self.listings if listing else self.lookups
        if len(queue) >= MAX_WAITING:
            return False
        queue.add(caller, call)
        return True

    def turn(self, now_ns: int) -> list[C]:
        """What is to be answered in this turn; a listing, if there is one, comes last."""
        due = [self.lookups.take() for _ in range(min(len(self.lookups), LOOKUPS_A_TURN))]
        if len(self.listings) and now_ns >= self.next_listing_ns:
            due.append(self.listings.take())
        return due

    def answered(self, now_ns: int, took_ns: int) -> None:
        """A listing was answered, which took so long and ended now."""
        self.next_listing_ns = now_ns + took_ns * (LISTINGS_SHARE - 1)
