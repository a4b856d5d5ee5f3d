"""How often a reconciler looks again at what it has checked already (all balances, old fills). Pure.

Such a look costs more the longer a cluster has traded, and new commands have to be checked as fast as they come. So
looks get a share of the time, whatever one takes on this host, and a smaller one while the reconciler is behind.
"""

from typing import Final

_SHARE: Final = 10
"""Looks take a tenth of the time at the most ..."""
_SHARE_BEHIND: Final = 50
"""... and a fiftieth while there are committed commands that were not checked."""


class Pace:
    """After a look there is none for nine times (behind: 49 times) as long as it took.

    Times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._ended_s = 0.0
        self._took_s = 0.0

    def may_look(self, now_s: float, *, behind: bool) -> bool:
        """Whether a look is due; the first always is."""
        return now_s - self._ended_s >= self._took_s * ((_SHARE_BEHIND if behind else _SHARE) - 1)

    def on_looked(self, began_s: float, ended_s: float) -> None:
        """A look is over."""
        self._ended_s, self._took_s = ended_s, ended_s - began_s
