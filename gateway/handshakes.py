"""How many sessions are opened at once, and when those come again that are turned away. Pure.

A handshake costs the gateway and an engine work: they look up and send what the session missed. A thousand clients
that come back at one moment must not each get a thousandth of it and give up in the middle. So the gateway serves a
bounded number at a time. It gives each of the others a time to come again, at the pace of the latest handshakes.
"""

from typing import Final

_MS: Final = 1_000_000


class Handshakes:
    """Invariant: at most `most` handshakes count as under way. Times are nanoseconds of one monotonic clock."""

    def __init__(self, most: int = 64, *, longest_ns: int = 5_000 * _MS, latest_ns: int = 5_000 * _MS) -> None:
        self._most = most
        self._longest_ns = longest_ns
        """A handshake that takes longer (its client reads slowly) holds nobody up any more."""
        self._latest_ns = latest_ns
        self._started: dict[int, int] = {}
        """Token of the stream -> when its handshake began, in that order."""
        self._usual_ns = 5 * _MS
        """How long a handshake takes, smoothed."""
        self._next_ns = 0
        """When the next one that is turned away may come."""
        self.turned_away = 0

    @property
    def under_way(self) -> int:
        """Handshakes that count."""
        return len(self._started)

    def begin(self, token: int, now_ns: int) -> int:
        """Begin one; 0, or in how many milliseconds it may come again instead."""
        while self._started:
            oldest = next(iter(self._started))
            if now_ns - self._started[oldest] < self._longest_ns:
                break
            self.end(oldest, now_ns)
        if len(self._started) < self._most:
            self._started[token] = now_ns
            return 0
        self.turned_away += 1
        # The first may come when those that are under way are done.
        soonest_ns = now_ns + self._usual_ns
        self._next_ns = min(max(self._next_ns + self._usual_ns // self._most, soonest_ns), now_ns + self._latest_ns)
        return max(1, (self._next_ns - now_ns) // _MS)

    def end(self, token: int, now_ns: int) -> None:
        """It is done, or its stream is gone; one that no longer counted changes nothing."""
        started_ns = self._started.pop(token, None)
        if started_ns is not None:
            self._usual_ns += (now_ns - started_ns - self._usual_ns) // 8
