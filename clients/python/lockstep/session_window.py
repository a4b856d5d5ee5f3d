"""How many commands a session has under way: as many as the gateway takes beside its other clients. Pure.

The gateway refuses with BUSY what finds no room with it. Which share of the room is this session's, nobody says; it is
found as TCP finds it (RFC 5681): a stream begins with a small window, and answers let it grow by as much as they
answer. A refusal sets it to three quarters of what was admitted. From there it grows as before up to half of what it
was, and then by an eighth of what is answered.
"""

from typing import Final

LEAST: Final = 64
"""No smaller window: a message costs the same whatever it carries."""


class Window:
    """Invariant: `size` is at most the credit."""

    __slots__ = ("_calm_below", "_credit", "size")

    def __init__(self) -> None:
        self._credit = self._calm_below = 0
        self.size = 0
        """Commands that may be under way."""

    def on_welcome(self, credit: int) -> None:
        """A stream is open, with what the gateway allows at the most. It may have thousands of others."""
        self._credit = self._calm_below = credit
        self.size = min(credit, max(LEAST, self.size))

    def on_busy(self, admitted: int) -> None:
        """So many are under way, and the next one found no room."""
        self._calm_below = self.size // 2
        self.size = min(self._credit, max(LEAST, admitted * 3 // 4))

    def on_answered(self, count: int) -> None:
        """So many more are answered."""
        fast = min(count, max(0, self._calm_below - self.size))
        self.size = min(self._credit, self.size + fast + (count - fast + 7) // 8)
