"""How a polling process waits: shortly while there is traffic, longer when it is quiet, never holding the GIL.

Aeron links have no file descriptor to wait on, so a process polls them. Spinning takes a whole core, and two cores
carry a whole development cluster; so the process parks between empty polls.

Measured with the defaults on an IPC link (2 cores, virtual machine, Linux), from the send in one process to the
handler in another, and the receiver's whole CPU:

=======================  ======================  =============
messages                 latency p50 / p99       CPU
=======================  ======================  =============
one every 0.5 ms         0.13 / 0.5 ms           20-23 %
one every 3 ms           0.13 / 0.6 ms           16 %
one every 200 ms         0.5 / 1.1 ms            5 %
none                     -                       4 %
=======================  ======================  =============

A park costs 30-40 us of CPU to set up and wake from, whatever its length, and lasts about 40 us longer than asked.
"""

from __future__ import annotations

import ctypes
import time

_PR_SET_TIMERSLACK = 29
_SLACK_NS = 1000


class Idle:
    """Call `idle(work)` once per turn of a polling loop, with the amount of work the turn has done.

    The first `spins` empty turns return at once; then each parks twice as long as the one before, from `min_park_us` to
    `max_park_us`; after `quiet_after_ms` without work each parks `quiet_park_us`. Work starts the cycle afresh.

    Belongs to the thread that makes it: it sets that thread's timer slack to 1 us (Linux adds 50 us to every sleep
    otherwise).
    """

    __slots__ = (
        "_empty_turns",
        "_max_park_s",
        "_min_park_s",
        "_park_s",
        "_quiet_after_ns",
        "_quiet_park_s",
        "_quiet_since_ns",
        "_spins",
    )

    def __init__(
        self,
        *,
        min_park_us: int = 20,
        max_park_us: int = 200,
        quiet_after_ms: int = 50,
        quiet_park_us: int = 1000,
        spins: int = 3,
    ) -> None:
        """Raises ValueError unless 0 < min_park_us <= max_park_us <= quiet_park_us."""
        if not 0 < min_park_us <= max_park_us <= quiet_park_us:
            raise ValueError(
                "need 0 < min_park_us <= max_park_us <= quiet_park_us, not "
                f"{min_park_us}, {max_park_us}, {quiet_park_us}"
            )
        self._min_park_s = min_park_us / 1e6
        self._max_park_s = max_park_us / 1e6
        self._quiet_park_s = quiet_park_us / 1e6
        self._quiet_after_ns = quiet_after_ms * 1_000_000
        self._spins = spins
        self._empty_turns = 0
        self._park_s = self._min_park_s
        self._quiet_since_ns = 0
        # A refusal (a kernel without it, a sandbox) costs only latency.
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(_SLACK_NS), 0, 0, 0)

    def idle(self, work: int) -> None:
        """Parks if `work` is 0 and has been for some turns; the GIL is free while it parks."""
        if work > 0:
            self._empty_turns = 0
            return
        self._empty_turns += 1
        if self._empty_turns <= self._spins:
            return
        now_ns = time.monotonic_ns()
        if self._empty_turns == self._spins + 1:
            self._quiet_since_ns = now_ns
            self._park_s = self._min_park_s
        if now_ns - self._quiet_since_ns >= self._quiet_after_ns:
            time.sleep(self._quiet_park_s)
            return
        time.sleep(self._park_s)
        self._park_s = min(2 * self._park_s, self._max_park_s)
