"""Which time commands are stamped with: the leader's clock, held to what most of the cluster's clocks say. Pure.

Deadlines run on monotonic time and know nothing of this. The date comes from wall clocks, which operators and time
services set, forwards and back, while the cluster runs. Each sequencer reads its own every 100 ms; heartbeats bring
those of the other sequencers and of the engines. The *agreed* time is the lower median of all that are heard, its own
included: one that at least half of the clocks have reached. Then

* the time is the leader's own clock, so a step of it is followed at the next look, in either direction, as long as
* it lies within `TOLERANCE_NS` of the agreed time; beyond that it is the nearest time that does. So one clock that is
  wrong by hours or centuries, also the leader's, moves stamped time by a second at the most;
* where the clocks of the others stand still or are behind, they hold back a leap and never the hours: time goes on from
  where it is, as fast as real time does, while the leader's own clock says so;
* no stamp is lower than the one before (`window.py`). After a step back stamped time stands until the clocks reach it.

Where every clock that is heard is wrong in the same way, nothing shows it.
"""

from collections.abc import Iterable
from typing import Final

from lockstep.sequencer.events import Level, Outbox
from lockstep.stream.values import frozen

LOOK_NS: Final = 100_000_000
"""How often the clocks are read."""
TOLERANCE_NS: Final = 1_000_000_000
"""How far the leader's own clock is followed without the others; well above the age of a heartbeat."""
STEP_NS: Final = 500_000_000
"""From here on a difference is worth reporting to an operator."""
_SILENT_NS: Final = 10_000_000_000
_LATEST_NS: Final = 2**63 - 1 - 10 * 366 * 86_400 * 1_000_000_000
"""Stamps are signed 64-bit numbers: whatever the clocks say, ten years are left for time to go on in."""


@frozen
class _Heard:
    """Another process's clock."""

    offset_ns: int
    at_ns: int
    contradicts: bool
    """It was further from the own clock than is tolerated."""


class StampClock:
    """See the module. `now_ns` is monotonic time; offsets are what is added to it to have Unix time."""

    __slots__ = ("_heard", "_noted", "_offset_ns", "_own_ns", "agreed_ns")

    def __init__(self, now_ns: int, wall_ns: int) -> None:
        self._own_ns = _bounded(wall_ns) - now_ns
        self._heard: dict[str, _Heard] = {}
        self._offset_ns = self._own_ns
        self._noted = (False, False)  # outvoted, stands
        self.agreed_ns = self._own_ns
        """Offset of the time that at least half of the clocks have reached."""

    def look(self, now_ns: int, wall_ns: int, others: Iterable[tuple[str, int]], stamped_ns: int, out: Outbox) -> None:
        """Read what the own clock says, and what others have said since the last look.

        `others`: (name, Unix ns); `stamped_ns`: the last stamp of this reign, 0 while this sequencer does not lead.
        """
        own_ns = _bounded(wall_ns) - now_ns
        step_ns, self._own_ns = own_ns - self._own_ns, own_ns
        for name, other_ns in others:
            offset_ns = _bounded(other_ns) - now_ns
            self._heard[name] = _Heard(offset_ns, now_ns, abs(offset_ns - own_ns) > TOLERANCE_NS)
        self._forget_silent(now_ns)
        self._settle(self._offset_ns)
        if abs(step_ns) >= STEP_NS:
            out.note("this host's clock was set", Level.WARNING, by_s=_seconds(step_ns))
        self._tell(now_ns, stamped_ns, out)

    def lead(self, stamped_ns: int, now_ns: int) -> None:
        """A reign begins; the log's last stamp is `stamped_ns`, 0 if there is none."""
        self._settle(stamped_ns - now_ns)

    def at(self, now_ns: int) -> int:
        """Unix time in ns to stamp with; may be lower than an earlier stamp."""
        return now_ns + self._offset_ns

    @property
    def apart_ns(self) -> int:
        """How far the own clock is ahead of the agreed time; negative: behind it."""
        return self._own_ns - self.agreed_ns

    def ahead_ns(self, now_ns: int, stamped_ns: int) -> int:
        """How far the last stamp is ahead of the time: for so long stamped time stands."""
        return max(0, stamped_ns - self.at(now_ns))

    def why(self, now_ns: int, stamped_ns: int) -> str:
        """In one sentence, what is wrong with the time; empty: nothing is known to be."""
        ahead_ns = self.ahead_ns(now_ns, stamped_ns)
        if ahead_ns >= STEP_NS:
            return f"stamped time is {_seconds(ahead_ns)} s ahead of the clocks and stands until they reach it"
        if abs(self.apart_ns) > TOLERANCE_NS:
            where = "ahead of" if self.apart_ns > 0 else "behind"
            return (
                f"this host's clock is {_seconds(self.apart_ns).lstrip('-')} s {where} most of the cluster's clocks, "
                "so it is not followed"
            )
        return ""

    def _settle(self, before_ns: int) -> None:
        votes = sorted((self._own_ns, *(heard.offset_ns for heard in self._heard.values())))
        self.agreed_ns = votes[(len(votes) - 1) // 2]
        held_ns = min(max(self._own_ns, self.agreed_ns - TOLERANCE_NS), self.agreed_ns + TOLERANCE_NS)
        self._offset_ns = max(held_ns, min(self._own_ns, before_ns))

    def _forget_silent(self, now_ns: int) -> None:
        """A silent process no longer votes, unless it contradicted the own clock: silence does not make that right."""
        for name, heard in tuple(self._heard.items()):
            if now_ns - heard.at_ns > _SILENT_NS and not heard.contradicts:
                del self._heard[name]

    def _tell(self, now_ns: int, stamped_ns: int, out: Outbox) -> None:
        outvoted = abs(self.apart_ns) > TOLERANCE_NS
        stands = self.ahead_ns(now_ns, stamped_ns) >= STEP_NS
        if (outvoted, stands) != self._noted:
            self._noted = (outvoted, stands)
            why = self.why(now_ns, stamped_ns)
            out.note("the time is as it should be" if not why else "wrong time", Level.WARNING, why=why)


def _bounded(unix_ns: int) -> int:
    return min(max(unix_ns, 0), _LATEST_NS)


def _seconds(span_ns: int) -> str:
    tenths = abs(span_ns) // 100_000_000
    return f"{'-' if span_ns < 0 else ''}{tenths // 10}.{tenths % 10}"
