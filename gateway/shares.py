"""How much of the way to the sequencer one principal may fill, and when those that are refused may try again. Pure.

What may be under way is bounded. A client that gives all it can would fill it alone, and everybody else would hear
BUSY. So each may hold at the most four times what is still free: one greedy client leaves a fifth of all, two leave a
ninth and hold four ninths each. The rule is that of shared switch memory (Choudhury and Hahne, "Dynamic Queue Length
Thresholds for Shared-Memory Packet Switches", 1998): no list of who is active, no period, no weights.

Those that are refused come again one after the other. Otherwise a thousand sessions that wait would all try again every
few milliseconds, and the refusals alone would fill the gateway.
"""

from typing import Final

_MS: Final = 1_000_000
TIMES_FREE: Final = 4
"""A principal may hold so many times what is free."""
ALWAYS: Final = 64
"""Commands that each may hold as long as there is any room."""


class Shares:
    """Commands under way by principal. Invariant: no count is negative, and none is kept at zero."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def held(self, client: str) -> int:
        """Commands of this principal that are under way."""
        return self._held.get(client, 0)

    def change(self, client: str, by: int) -> None:
        """So many more are under way; fewer, if negative."""
        now = self._held.get(client, 0) + by
        assert now >= 0, f"{client!r} has {now} commands under way"
        if now:
            self._held[client] = now
        else:
            self._held.pop(client, None)

    def room(self, client: str, free: int) -> int:
        """Commands of this principal that may still be admitted, of so many for which there is room."""
        held = self._held.get(client, 0)
        # Each one admitted is one more that it holds and one fewer that is free.
        fair = (TIMES_FREE * free - held) // (TIMES_FREE + 1)
        return max(0, fair, min(free, ALWAYS - held))


class Retries:
    """Appointments for those that found no room: the first after 5 ms, then one every 2 ms, none later than 2 s."""

    __slots__ = ("_last_ns",)

    SOONEST_NS: Final = 5 * _MS
    APART_NS: Final = 2 * _MS
    LATEST_NS: Final = 2_000 * _MS

    def __init__(self) -> None:
        self._last_ns = -self.LATEST_NS

    def next_ms(self, now_ns: int) -> int:
        """In how many milliseconds the one that is refused now may come."""
        due_ns = max(self._last_ns + self.APART_NS, now_ns + self.SOONEST_NS)
        self._last_ns = min(due_ns, now_ns + self.LATEST_NS)
        return (self._last_ns - now_ns) // _MS
