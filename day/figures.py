"""What a scheduler shows. Its loop sets the attributes; its `metrics_port` serves `families`."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from lockstep.day.desk import Desk
from lockstep.posttrade.figures import FollowerFigures
from lockstep.posttrade.follower import FollowerMachine
from lockstep.runtime.metrics.families import counter, counters, gauge


class DayFigures:
    """Plain numbers of one scheduler."""

    def __init__(self, follower: FollowerFigures, desk: Desk) -> None:
        self._follower = follower
        self._desk = desk
        self.changes = 0
        """Changes that this process gave and saw executed."""
        self.unanswered = 0
        """Changes that were not seen executed in time, and were decided anew."""
        self.late_ns = 0
        """How long what is due now has been due, by the clock of this host; 0: nothing is."""
        self.passed = 0
        """Instruments that are not where the schedule has them, because somebody else's word counts."""
        self.next_due_ns = 0
        """When the next change begins, Unix time."""

    def families(self, machine: FollowerMachine) -> Iterator[Metric]:
        """For a scrape, from any thread."""
        yield from self._follower.families(machine)
        text = "How long a change of the schedule has been due and is not done, by the clock of this host; else 0."
        yield gauge("lockstep_day_late_seconds", text, self.late_ns / 1e9)
        text = "Unix time at which the next change of the schedule is due."
        yield gauge("lockstep_day_next_change_time_seconds", text, self.next_due_ns / 1e9)
        text = "Instruments that the schedule leaves as they are, because an operator or a breaker has set their phase."
        yield gauge("lockstep_day_passed_over_instruments", text, self.passed)
        yield counter("lockstep_day_changes_total", "Changes that this process gave and saw executed.", self.changes)
        text = "Changes that were not seen executed in time, and were decided anew."
        yield counter("lockstep_day_unanswered_total", text, self.unanswered)
        text = "Commands of the schedule that were refused, by code."
        yield counters("lockstep_day_refusals_total", text, "code", self._desk.board.refusals)
