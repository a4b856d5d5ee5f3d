"""How long the last failover was, as this feed saw it. Pure.

The primary releases something every 10 ms, empty or not. So the pause between the last release of one epoch and the
first one of the next is the time in which nothing was committed.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """One rise of the epoch."""

    from_epoch: int
    to_epoch: int
    gap_ns: int
    """Between the last release of the old one and the first of the new one."""
    at_ns: int
    """When, Unix ns."""


class ReleaseGap:
    """Watches the epochs of releases. Invariant: `last` is of the highest epoch that has come, but for the first."""

    def __init__(self) -> None:
        self.last: Gap | None = None
        self._epoch = 0
        self._heard_ns = 0

    def on_release(self, epoch: int, now_ns: int, wall_ns: int) -> bool:
        """A release came, at `now_ns` of a monotonic clock; whether it begins another epoch. Late ones do not count."""
        if epoch < self._epoch:
            return False
        began = 0 < self._epoch < epoch
        if began:
            self.last = Gap(self._epoch, epoch, now_ns - self._heard_ns, wall_ns)
        self._epoch, self._heard_ns = epoch, now_ns
        return began
