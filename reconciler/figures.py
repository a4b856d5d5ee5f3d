"""What a reconciler shows. It sets the attributes; its `metrics_port` serves `families` (see `server.py`)."""

import time
from collections.abc import Iterable

from lockstep.runtime.metrics.families import Families, counter, gauge, gauges


class ReconcilerFigures:
    """Plain numbers of one reconciler process. One thread writes."""

    def __init__(self, rules: Iterable[str]) -> None:
        """`rules`: names of all rules, so that each is seen at 0 before it is ever broken."""
        self.breaks_open = dict.fromkeys(rules, 0)
        """Open breaks by rule. Set values of these keys only; add none."""
        self.verified_seq = 0
        """Everything up to here was checked."""
        self.behind_commands = 0
        """Commands known to be committed and not checked, as of the last pass."""
        self.through_ns = 0
        """Unix time up to which everything that was committed is checked; 0: not known yet."""
        self.certificates = 0
        self.last_pass_ns = 0
        """How long the last pass over new records took."""

    def families(self) -> Families:
        """For a scrape, from any thread."""
        text = "Breaks that are open, by the rule that found them."
        yield gauges("lockstep_reconcile_breaks_open", text, "rule", self.breaks_open)
        yield gauge("lockstep_reconcile_verified_seq", "Everything up to this seq was checked.", self.verified_seq)
        text = "Commands that were committed and not checked when the last pass ended."
        yield gauge("lockstep_reconcile_lag_commands", text, self.behind_commands)
        text = "How long ago everything that was committed was checked: the age of the first that may not be."
        lag_ns = max(0, time.time_ns() - self.through_ns) if self.through_ns else 0
        yield gauge("lockstep_reconcile_lag_seconds", text, lag_ns / 1e9)
        yield counter("lockstep_reconcile_certificates_total", "Certificates issued.", self.certificates)
        text = "How long the last pass over new records took."
        yield gauge("lockstep_reconcile_last_pass_seconds", text, self.last_pass_ns / 1e9)
