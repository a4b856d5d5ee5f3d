"""How often something may happen. Pure.

A GCRA (generic cell rate algorithm, ITU-T I.371): one number, the time at which the next would be due if all had come
evenly. So it is exact over any window, and nothing is counted.
"""

from typing import Final

_SECOND_NS: Final = 1_000_000_000


class Rate:
    """So many a second, and so many at once.

    Invariant: over any span of t seconds at most `burst + t * per_s` are admitted.
    """

    __slots__ = ("_due_ns", "_interval_ns", "_slack_ns")

    def __init__(self, per_s: int, burst: int) -> None:
        self._interval_ns = _SECOND_NS // per_s
        self._slack_ns = self._interval_ns * (burst - 1)
        self._due_ns = 0

    def wait_ns(self, now_ns: int) -> int:
        """0: it is admitted. Else it is not, and this is how long until the next would be."""
        early_ns = self._due_ns - self._slack_ns - now_ns
        if early_ns > 0:
            return early_ns
        self._due_ns = max(self._due_ns, now_ns) + self._interval_ns
        return 0

    def give_back(self) -> None:
        """What was admitted last does not count after all."""
        self._due_ns -= self._interval_ns
