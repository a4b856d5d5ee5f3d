"""What one principal may ask of a process, over all its doors: one budget in points. Pure.

A GCRA (generic cell rate algorithm, ITU-T I.371) with costs: one number for each principal, the time at which all that
it has spent is earned again. Nothing is counted and nothing rounds, so it is exact over any window. What spans what,
and why: docs/adr/0034.
"""

import zlib
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.runtime.access.callers import OPEN_CLIENT
from lockstep.runtime.access.roles import Role
from lockstep.runtime.topology import Principal
from lockstep.stream.values import frozen

_NS: Final = 1_000_000_000
SECONDS_AT_ONCE: Final = 2
"""A principal that was silent may spend so many seconds' points at once."""
BYTES_PER_POINT: Final = 256
_KEPT_PART: Final = 10
"""One in so many points of a full budget is kept for cancels."""
_DEBT_S: Final = 1
"""What is only counted, as bytes are, leaves nobody further behind than this."""
_MOST_PRINCIPALS: Final = 4096
_WAITS_A_SECOND: Final = 20
"""Who is refused in the middle of a batch comes again when a twentieth of a second is earned, not row by row."""
_UNBOUNDED: Final = frozenset({Role.MEMBER, Role.SEQUENCER})


class Cost(IntEnum):
    """In points. One is what a command costs that comes in a session, about two microseconds of a gateway."""

    COMMAND = 1
    CALL = 50
    """A gRPC call by itself, beside the command that it gives."""
    MESSAGE = 100
    """Of a feed's WebSocket or page."""
    QUERY = 250
    """Of accounts, orders, instruments, candles, the ledger; a read over REST."""
    KEYED = 500
    """A command over REST: its key is noted and its outcome kept."""
    LOGIN = 2_500
    """A session, a stream or a WebSocket that is opened."""


METHOD_COSTS: Final[Mapping[str, Cost]] = {
    "/lockstep.v1.OrderEntry/Session": Cost.LOGIN,
    "/lockstep.v1.OrderEntry/Place": Cost.CALL,
    "/lockstep.v1.OrderEntry/Cancel": Cost.CALL,
    "/lockstep.v1.OrderEntry/Replace": Cost.CALL,
    "/lockstep.v1.OrderEntry/MassCancel": Cost.CALL,
    "/lockstep.v1.OrderEntry/Note": Cost.CALL,
    "/lockstep.v1.OrderEntry/GetOrder": Cost.QUERY,
    "/lockstep.v1.Accounts/GetAccount": Cost.QUERY,
    "/lockstep.v1.Accounts/ListAccounts": Cost.QUERY,
    "/lockstep.v1.Accounts/ListOpenOrders": Cost.QUERY,
    "/lockstep.v1.MarketData/ListInstruments": Cost.QUERY,
    "/lockstep.v1.MarketData/ListFeeds": Cost.QUERY,
    "/lockstep.v1.MarketData/Subscribe": Cost.LOGIN,
    "/lockstep.v1.MarketFeed/Follow": Cost.LOGIN,
    "/lockstep.v1.MarketFeed/JoinLine": Cost.LOGIN,
    "/lockstep.v1.MarketFeed/Retransmit": Cost.LOGIN,
    "/lockstep.v1.MarketFeed/DescribeLine": Cost.QUERY,
    "/lockstep.v1.MarketFeed/ListCandles": Cost.QUERY,
    "/lockstep.v1.Ledger/GetPortfolio": Cost.QUERY,
    "/lockstep.v1.Ledger/ListOrders": Cost.QUERY,
    "/lockstep.v1.Ledger/ListTrades": Cost.QUERY,
    "/lockstep.v1.Ledger/GetOrderHistory": Cost.QUERY,
    "/lockstep.v1.Ledger/ListLots": Cost.QUERY,
    "/lockstep.v1.Ledger/ListDays": Cost.QUERY,
    "/lockstep.v1.Ledger/GetStatement": Cost.QUERY,
    "/lockstep.v1.Alerts/CreateAlert": Cost.QUERY,
    "/lockstep.v1.Alerts/RemoveAlert": Cost.QUERY,
    "/lockstep.v1.Alerts/ListAlerts": Cost.QUERY,
    "/lockstep.v1.Alerts/ListFirings": Cost.QUERY,
    "/lockstep.v1.Alerts/PutWatchlist": Cost.QUERY,
    "/lockstep.v1.Alerts/RemoveWatchlist": Cost.QUERY,
    "/lockstep.v1.Alerts/ListWatchlists": Cost.QUERY,
    "/lockstep.v1.Alerts/GetQuotes": Cost.QUERY,
    "/lockstep.v1.Alerts/CreateWebhook": Cost.QUERY,
    "/lockstep.v1.Alerts/RemoveWebhook": Cost.QUERY,
    "/lockstep.v1.Alerts/ListWebhooks": Cost.QUERY,
    "/lockstep.v1.Alerts/FollowFirings": Cost.LOGIN,
}
"""Of every method that clients call; a test holds it against the table of permissions. What operators and members call
has none: it must be there when everything else is too much."""
CANCELS: Final = frozenset({"/lockstep.v1.OrderEntry/Cancel", "/lockstep.v1.OrderEntry/MassCancel"})
"""These may spend what is kept for cancels."""


@frozen
class Left:
    """Where a budget stands."""

    points: int
    """That may be spent at once; 0 while it is in debt."""
    per_s: int
    at_once: int
    full_in_s: int
    """After so many seconds without a call all points are there."""


@frozen
class Allowance:
    """Of a run of commands: so many of them are within the budget; the rest may come in `wait_ms`."""

    rows: int
    wait_ms: int


class Budget:
    """So many points a second, and so many at once.

    Invariant: over any span of t seconds at most `at_once + t * per_s` points are taken, and what was charged last.
    """

    __slots__ = ("_earned", "at_once", "kept", "per_s")

    def __init__(self, per_s: int, at_once: int = 0) -> None:
        """`at_once` 0: two seconds' points."""
        self.per_s = per_s
        self.at_once = at_once or SECONDS_AT_ONCE * per_s
        self.kept = self.at_once // _KEPT_PART
        """Points that only cancels may spend."""
        self._earned = 0
        """When all that was spent is earned again, in nanoseconds times `per_s`: a point is `_NS` of these."""

    def _left(self, now_ns: int) -> int:
        return self.at_once * _NS - max(0, self._earned - now_ns * self.per_s)

    def left(self, now_ns: int) -> Left:
        """Where it stands."""
        left = self._left(now_ns)
        missing = self.at_once * _NS - left
        return Left(max(0, left // _NS), self.per_s, self.at_once, -(-missing // (_NS * self.per_s)))

    def wait_ns(self, points: int, now_ns: int, *, kept: int = 0) -> int:
        """How long until so many points may be spent and `kept` are left; 0: they may be now. Nothing is spent."""
        # What costs more than there ever is costs all that there is.
        points = min(points, self.at_once - kept)
        short = (points + kept) * _NS - self._left(now_ns)
        return max(0, -(-short // self.per_s))

    def take(self, points: int, now_ns: int, *, cancels: bool = False) -> int:
        """Spend them; 0, or in how many nanoseconds they may be spent. `cancels`: also those that are kept for such."""
        wait_ns = self.wait_ns(points, now_ns, kept=0 if cancels else self.kept)
        if not wait_ns:
            self.charge(points, now_ns)
        return wait_ns

    def charge(self, points: int, now_ns: int) -> None:
        """What has happened, whether or not there were points for it."""
        now = now_ns * self.per_s
        most = now + (self.at_once + _DEBT_S * self.per_s) * _NS
        self._earned = min(max(self._earned, now) + points * _NS, max(most, self._earned))

    def allowance(self, cancels: NDArray[np.bool_], now_ns: int) -> Allowance | None:
        """How many of a run of commands may be given, of which these are cancels; None: all."""
        have = self._left(now_ns) // _NS
        rows, others = len(cancels), max(0, have - self.kept)
        if rows <= others:
            return None
        orders = np.flatnonzero(~cancels[others:])
        within = others + int(orders[0]) if len(orders) else rows
        within = max(0, min(within, have))
        if within == rows:
            return None
        worth = max(1, min(rows - within, self.per_s // _WAITS_A_SECOND))
        kept = 0 if cancels[within] else self.kept
        # Those that are within are spent by then.
        short = (within + worth + kept) * _NS - self._left(now_ns)
        return Allowance(within, max(1, -(-short // (self.per_s * 1_000_000))))


class Budgets:
    """Of one process: by principal, whatever door it comes by. Bounded: those who spent nothing lately are forgotten.

    `sharers`: processes of the kind, each of which gives a principal its part of what the cluster does.
    """

    def __init__(self, per_s: int = 0, sharers: int = 1) -> None:
        """`per_s`: of a principal that has no number of its own, in the whole cluster; 0: it has no bound."""
        self._per_s = per_s
        self._sharers = sharers
        self._of: dict[str, Budget] = {}

    def of(self, principal: Principal) -> Budget | None:
        """A principal's; None: it has no bound. Members have none, nor has everybody where everybody may come in."""
        per_s = principal.budget_per_s or self._per_s
        if not per_s or principal is OPEN_CLIENT or not _UNBOUNDED.isdisjoint(principal.rights):
            return None
        per_s = -(-per_s // self._sharers)
        found = self._of.pop(principal.name, None)
        if found is None or found.per_s != per_s:
            found = Budget(per_s)
        # The latest is the last: the first is forgotten.
        self._of[principal.name] = found
        if len(self._of) > _MOST_PRINCIPALS:
            del self._of[next(iter(self._of))]
        return found


def spread(pause_ms: int, seed: bytes) -> int:
    """The pause, longer by up to a quarter: those who are refused together don't come again together."""
    return pause_ms + pause_ms * (zlib.crc32(seed) & 0xFF) // 1024


def used_up(name: str, budget: Budget) -> str:
    """Why something is refused, for people."""
    return f"the budget of {name!r} is used up ({budget.per_s} points a second at this process)"
