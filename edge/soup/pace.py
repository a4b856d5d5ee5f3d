"""How often something may happen: the generic cell rate algorithm. Pure.

What is beyond waits, packets in the client's own buffers: nothing is refused, as OUCH has no word for it.
"""

from typing import Final

PACKETS_PER_S: Final = 50_000
PACKETS_AT_ONCE: Final = 10_000
"""Of one connection."""
LOGINS_PER_S: Final = 1
LOGINS_AT_ONCE: Final = 10
"""To one session: each searches its history, and uses up numbers."""
_NS_PER_S: Final = 1_000_000_000


class Pace:
    """Invariant: in any `t` seconds at most `at_once + t * per_s` are taken, and what was taken last."""

    def __init__(self, per_s: int, at_once: int) -> None:
        self._cost_ns = _NS_PER_S // per_s
        self._credit_ns = at_once * self._cost_ns
        self._paid_ns = 0
        """Until then everything that was taken is paid for."""

    def take(self, count: int, now_ns: int) -> int:
        """So many were taken; in how many nanoseconds the next may be (0: at once)."""
        self._paid_ns = max(self._paid_ns, now_ns) + count * self._cost_ns
        return self.wait_ns(now_ns)

    def wait_ns(self, now_ns: int) -> int:
        """How long nothing is to be taken; 0: it may be."""
        return max(0, self._paid_ns - now_ns - self._credit_ns)
