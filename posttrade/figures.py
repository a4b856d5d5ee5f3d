"""What a follower shows. It sets the attributes; its `metrics_port` serves `families`."""

import time

from lockstep.posttrade.follower import FollowerMachine
from lockstep.runtime.metrics.families import Families, counter, counters, gauge


class FollowerFigures:
    """Plain numbers of one follower. Its loop writes, a scrape reads."""

    def __init__(self, name: str) -> None:
        """`name`: such as "ledger"; it stands in the names of the figures."""
        self.name = name
        self.events = 0
        self.commands = 0
        self.rows = 0
        self.apply_ns = 0
        """Time spent in applying, in all."""
        self.away = 0
        """Times that the database did not answer."""
        self.caught_up_ns = 0
        """Unix time of the last moment at which nothing was left to apply; 0: never yet."""

    def lag_ns(self, machine: FollowerMachine) -> int:
        """Age of the first command that is committed and may not be applied; 0: there is none."""
        if not machine.lag_commands or not machine.position.timestamp_ns:
            return 0
        # The next one was stamped behind the last that is applied.
        return max(0, time.time_ns() - machine.position.timestamp_ns)

    def families(self, machine: FollowerMachine) -> Families:
        """For a scrape, from any thread."""
        begin = f"lockstep_{self.name}"
        yield gauge(f"{begin}_seq", "Everything up to this seq is stored.", machine.position.seq)
        text = "Commands that are known to be committed and are not stored."
        yield gauge(f"{begin}_lag_commands", text, machine.lag_commands)
        text = "How long ago the last command that is stored was stamped, while more are known; else 0."
        yield gauge(f"{begin}_lag_seconds", text, self.lag_ns(machine) / 1e9)
        yield counter(f"{begin}_events_total", "Events applied.", self.events)
        yield counter(f"{begin}_commands_total", "Commands applied.", self.commands)
        yield counter(f"{begin}_rows_total", "Rows written.", self.rows)
        yield counter(f"{begin}_apply_seconds_total", "Time spent in applying.", self.apply_ns / 1e9)
        yield counter(f"{begin}_away_total", "Times that the database did not answer.", self.away)
        yield counters(f"{begin}_faults_total", "Reads that brought nothing, by reason.", "reason", machine.faults)
