"""How many packets of one connection are read in a second: the generic cell rate algorithm. Pure.

What is beyond waits in the client's own buffers: nothing is refused, as OUCH has no word for it.
"""

from typing import Final

PACKETS_PER_S: Final = 50_000
BURST: Final = 10_000
_NS_PER_S: Final = 1_000_000_000
_NS_PER_PACKET: Final = _NS_PER_S // PACKETS_PER_S


class Pace:
    """Invariant: in any `t` seconds at most `BURST + t * PACKETS_PER_S` packets are taken, and one read more."""

    def __init__(self) -> None:
        self._paid_ns = 0
        """Until then everything that was taken is paid for."""

    def take(self, packets: int, now_ns: int) -> int:
        """So many were read; in how many nanoseconds the next may be (0: at once)."""
        self._paid_ns = max(self._paid_ns, now_ns) + packets * _NS_PER_PACKET
        return self.wait_ns(now_ns)

    def wait_ns(self, now_ns: int) -> int:
        """How long nothing is to be read; 0: it may be."""
        return max(0, self._paid_ns - now_ns - BURST * _NS_PER_PACKET)
