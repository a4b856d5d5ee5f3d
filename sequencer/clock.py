"""Unix time that never goes backwards and never jumps: what commands are stamped with, and deadlines counted on.

The wall clock is stepped by operators and NTP; the monotonic clock has no date. This one is monotonic time plus an
offset that follows the wall clock by at most half a millisecond per second.
"""

import time

_LOOK_NS = 1_000_000_000
_SLEW_NS = 500_000


class SteadyClock:
    """See the module. One thread uses it."""

    __slots__ = ("_next_look_ns", "_offset_ns")

    def __init__(self) -> None:
        monotonic_ns = time.monotonic_ns()
        self._offset_ns = time.time_ns() - monotonic_ns
        self._next_look_ns = monotonic_ns + _LOOK_NS

    def at(self, monotonic_ns: int) -> int:
        """Unix time in ns at a moment of the monotonic clock (the present one)."""
        if monotonic_ns >= self._next_look_ns:
            self._next_look_ns = monotonic_ns + _LOOK_NS
            error_ns = time.time_ns() - monotonic_ns - self._offset_ns
            self._offset_ns += max(-_SLEW_NS, min(_SLEW_NS, error_ns))
        return monotonic_ns + self._offset_ns
