"""How long silence is only doubt, and whom to lean on: what the recent past says about both. Pure.

A connection that ends proves a death, and is acted on at once. Silence proves little: on a starved host everybody
falls silent for a while, and a failover for that only adds to the load. So each failover for silence is judged by what
comes after it. Where the process that was replaced is back soon, the failover was without effect. The next silence then
has to last longer before it counts, twice as long each time, whoever is silent, because it is the host that is short of
time. A minute without such a failover takes one doubling back; the first silence of a calm cluster is acted on at its
deadline. A process that has been connected for less than three seconds has just started, and gets more time than that.

Stops that are too short for any of that are kept as well, by engine: where there is a choice of the next primary, it
falls on one that was steady.
"""

from dataclasses import dataclass
from typing import Final

from lockstep.sequencer.settings import MS, Settings

VAIN: Final = 5
"""Times `hang_ms`: if the process that was replaced is back within that, the failover was without effect."""
_LONGEST: Final = 4
"""Doublings at the most: a silence counts then 15 times `hang_ms` after its deadline (3 s as delivered)."""
_FRESH_NS: Final = 3_000 * MS
"""A process has work to do at its start, and so have the others that the same supervisor starts beside it."""
_FRESH_LEVEL: Final = 2
"""Doublings for the silence of one that has just started: it counts 3 times `hang_ms` after its deadline."""
_CALM_NS: Final = 60_000 * MS
_HALF_LIFE_NS: Final = 10_000 * MS
_STEADY_NS: Final = 250 * MS
"""Stops of recent seconds that make no difference."""

Peer = tuple[str, int]
"""("engine" or "sequencer", id); "pace": an engine that answers and does not get on with the stream."""


@dataclass(slots=True)
class _Stops:
    """How long one engine has stood still lately."""

    total_ns: int = 0
    """>= 0; loses half in each half-life."""
    since_ns: int = 0
    """Up to when it was halved."""


class Patience:
    """See the module. One for each sequencer, for the life of its process."""

    __slots__ = (
        "_calm_since_ns", "_level", "_own_stop_ns", "_raised_ns", "_silent", "_stops", "_turn_ns",
        "hang_ns", "without_effect",
    )  # fmt: skip

    def __init__(self, settings: Settings) -> None:
        self.hang_ns = settings.timing.hang_ms * MS
        self._level = 0  # 0.._LONGEST
        self._calm_since_ns = 0  # when the level was last raised, confirmed or lowered
        self._raised_ns: int | None = None
        self._silent: dict[Peer, tuple[int, int]] = {}  # since when, and for how long that is only doubt
        self._stops: dict[int, _Stops] = {}
        self._turn_ns: int | None = None  # its own last turn
        self._own_stop_ns: int | None = None  # when it last went on after a long stop of its own
        self.without_effect = 0
        """Failovers for silence, its own or another's, that were without effect, since the process started."""

    def extra_ns(self, now_ns: int, *, connected_ns: int | None = None) -> int:
        """How long a silence has to last beyond its deadline before it counts as a loss.

        `connected_ns`: whose silence it is has been connected since then.
        """
        calm = (now_ns - self._calm_since_ns) // _CALM_NS
        if calm > 0:
            self._level = max(0, self._level - calm)
            self._calm_since_ns += calm * _CALM_NS
        is_fresh = connected_ns is not None and now_ns - connected_ns < _FRESH_NS
        level = max(self._level, _FRESH_LEVEL) if is_fresh else self._level
        return self.hang_ns * ((1 << level) - 1)

    def on_silent(self, peer: Peer, now_ns: int, *, connected_ns: int | None = None) -> int:
        """A peer is silent beyond its deadline; how long that is only doubt (`extra_ns`)."""
        extra_ns = self.extra_ns(now_ns, connected_ns=connected_ns)
        self._silent.setdefault(peer, (now_ns, extra_ns))
        return extra_ns

    def on_gone(self, peer: Peer) -> None:
        """Its connection has ended: it did not only hang."""
        self._silent.pop(peer, None)

    def on_back(self, peer: Peer, now_ns: int) -> None:
        """A peer answers (again)."""
        silent = self._silent.pop(peer, None)
        if silent is None:
            return
        since_ns, given_ns = silent
        silent_ns, extra_ns = now_ns - since_ns, max(given_ns, self.extra_ns(now_ns))
        if peer[0] == "engine":
            self.on_stop(peer[1], silent_ns + self.hang_ns, now_ns)
        if silent_ns < extra_ns:
            self._calm_since_ns = now_ns
        elif silent_ns < extra_ns + VAIN * self.hang_ns:
            self._raise(now_ns)

    def on_deposed(self, now_ns: int) -> None:
        """Another took over from this process: without effect, unless it stood still for long itself."""
        self.on_turn(now_ns)
        if self._own_stop_ns is None or now_ns - self._own_stop_ns >= VAIN * self.hang_ns:
            self._raise(now_ns)

    def on_turn(self, now_ns: int) -> None:
        """This process itself runs."""
        gap_ns = 0 if self._turn_ns is None else now_ns - self._turn_ns
        if gap_ns >= VAIN * self.hang_ns:
            self._own_stop_ns = now_ns
        self._turn_ns = now_ns

    def on_stop(self, engine: int, stop_ns: int, now_ns: int) -> None:
        """An engine stood still for so long."""
        _add(self._stops.setdefault(engine, _Stops()), stop_ns, now_ns)

    def unsteadiness(self, engine: int, now_ns: int) -> int:
        """0: it has run steadily; one more with each doubling of the time that it stood still lately."""
        stops = self._stops.get(engine)
        return 0 if stops is None else _grade(stops, now_ns)

    def steadiest_first(self, engines: tuple[int, ...], now_ns: int) -> tuple[int, ...]:
        """The same engines in the order in which they should become primary; the given order where all are equal."""
        return tuple(sorted(engines, key=lambda engine: self.unsteadiness(engine, now_ns)))

    def _raise(self, now_ns: int) -> None:
        self.without_effect += 1
        self._calm_since_ns = now_ns
        # What stops a host stops several at once: that is one lesson.
        if self._raised_ns is None or now_ns - self._raised_ns >= VAIN * self.hang_ns:
            self._level = min(self._level + 1, _LONGEST)
            self._raised_ns = now_ns


def _add(stops: _Stops, stop_ns: int, now_ns: int) -> None:
    stops.total_ns = _recent_ns(stops, now_ns) + stop_ns


def _grade(stops: _Stops, now_ns: int) -> int:
    return (_recent_ns(stops, now_ns) // _STEADY_NS).bit_length()


def _recent_ns(stops: _Stops, now_ns: int) -> int:
    if not stops.total_ns:
        stops.since_ns = now_ns
    halvings = max(0, now_ns - stops.since_ns) // _HALF_LIFE_NS
    stops.total_ns >>= min(halvings, 63)
    stops.since_ns += halvings * _HALF_LIFE_NS
    return stops.total_ns
