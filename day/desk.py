"""All segments of a schedule at once: whose instruments are whose, what is due, and what is passed over. Pure."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Final

from lockstep.day.board import Board
from lockstep.day.decision import Decision, Passed, decide, passed_over
from lockstep.day.marks import Mark
from lockstep.day.plan import Plan
from lockstep.day.schedule import Schedule, Segment

BEHIND: Final = dt.timedelta(days=45)
"""So far back a plan reaches: days that were missed longer ago are not ended any more."""
AHEAD: Final = dt.timedelta(days=400)
_HOLDS: Final = 12
"""Days behind an end whose beginnings an instrument that was held may have been closed until."""


class Desk:
    """What the schedule says, and what the stream says, side by side."""

    def __init__(self, schedule: Schedule, plans: Mapping[int, Plan], board: Board) -> None:
        """`plans`: of each segment, by its number."""
        self.schedule = schedule
        self.plans = dict(plans)
        self.board = board
        self._of = {symbol: segment for segment in schedule.segments for symbol in segment.instruments}
        self._rest = next((segment for segment in schedule.segments if not segment.instruments), None)

    def segment_of(self, symbol: str) -> Segment | None:
        """Whose day an instrument has; None: nobody's."""
        return self._of.get(symbol, self._rest)

    def instruments(self, segment: Segment) -> list[int]:
        """Those of a segment that are defined."""
        return [number for symbol, number in self.board.instruments.items() if self.segment_of(symbol) == segment]

    def undefined(self) -> list[str]:
        """Symbols of the schedule that the cluster does not know."""
        return sorted(self._of.keys() - self.board.instruments.keys())

    def decide(self, now_ns: int) -> Decision | None:
        """What was due first, over all segments; None: nothing is."""
        found = [one for segment, plan in self._all() if (one := decide(self.board, plan, segment, now_ns))]
        return min(found, key=lambda one: (one.due_ns, one.mark.segment), default=None)

    def passed_over(self, now_ns: int) -> list[Passed]:
        """Over all segments."""
        return [one for ids, plan in self._all() for one in passed_over(self.board, plan, ids, now_ns)]

    def next_due_ns(self, now_ns: int) -> int:
        """When the next change begins, of any segment; 0: no plan reaches so far."""
        times = []
        for plan in self.plans.values():
            day = plan.at(now_ns)
            later = [one.at_ns for one in day.changes if one.at_ns > now_ns] if day else []
            times.append(later[0] if later else plan.next_begin_ns(now_ns))
        return min((one for one in times if one), default=0)

    def hold_until(self, mark: Mark) -> list[int]:
        """See `Board.begin`."""
        plan = self.plans.get(mark.segment)
        days = [] if plan is None else [one for one in plan.days if one.date > mark.date]
        return [one.begin_ns for one in days[:_HOLDS]]

    def _all(self) -> Iterator[tuple[list[int], Plan]]:
        for segment in self.schedule.segments:
            yield self.instruments(segment), self.plans[segment.number]
