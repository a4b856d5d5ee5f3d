"""The way back: committed events in strictly increasing order, without repeats and without gaps. Pure.

RELEASE frames come from whichever engine is primary. After a failover the new one repeats from its own committed seq
on; an old one that does not know yet that it was replaced carries an older epoch and is dropped. What is missing is
fetched: every engine keeps all committed events.
"""

from dataclasses import dataclass, field
from typing import Final

from lockstep.stream.frames import Frame
from lockstep.stream.records import Events

_MAX_HELD_EVENTS: Final = 131_072
_MAX_FETCH_SEQS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Fetch:
    """Committed events to ask an engine for: seqs after `after_seq`, up to and including `to_seq`. Of a bounded number
    of seqs: a long gap is fetched in several steps."""

    after_seq: int
    to_seq: int
    engine: int
    """The one that released last: it has them, and it lives, while the primary of before may hang."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a step yields. `events` are in order and have never been delivered before."""

    events: tuple[Events, ...] = field(default=(), repr=False)
    fetch: Fetch | None = None


class Downlink:
    """Invariant: everything up to and including `delivered_seq` has been delivered, nothing beyond it."""

    def __init__(self, delivered_seq: int) -> None:
        self.delivered_seq = delivered_seq
        self.epoch = 0
        """Highest epoch that a RELEASE carried."""
        self.primary = 0
        """Engine that released under it; 0: none heard yet."""
        self.repeats = 0
        self.stale = 0
        self.gaps = 0
        self._held: list[Frame] = []
        self._held_events = 0
        self._fetching = False

    def on_release(self, release: Frame) -> Delivery:
        """A RELEASE frame came: it covers the seqs from `first_seq` to `aux`."""
        if release.epoch < self.epoch:
            self.stale += 1
            return Delivery()
        self.epoch = release.epoch
        self.primary = release.sender
        if release.first_seq > self.delivered_seq + 1:
            self._hold(release)
            return Delivery(fetch=self._plan_fetch(release.first_seq - 1))
        return Delivery(self._take(release))

    def _hold(self, release: Frame) -> None:
        # What does not fit is fetched later like any other gap.
        if len(release.records) and self._held_events + len(release.records) <= _MAX_HELD_EVENTS:
            self._held.append(release)
            self._held_events += len(release.records)

    def _plan_fetch(self, to_seq: int) -> Fetch | None:
        if self._fetching:
            return None
        self._fetching = True
        self.gaps += 1
        return Fetch(self.delivered_seq, min(to_seq, self.delivered_seq + _MAX_FETCH_SEQS), self.primary)

    def _take(self, release: Frame) -> tuple[Events, ...]:
        if release.aux <= self.delivered_seq:
            self.repeats += bool(len(release.records))
            return ()
        events = release.records
        if release.first_seq <= self.delivered_seq:
            events = events[events["seq"] > self.delivered_seq]
        self.delivered_seq = release.aux
        return (events,) if len(events) else ()

    def on_fetched(self, events: Events, through_seq: int) -> Delivery:
        """The answer to a `Fetch`: all events up to `through_seq`. Then what was held, as far as it fits."""
        self._fetching = False
        parts: list[Events] = []
        if through_seq > self.delivered_seq:
            fresh = events[(events["seq"] > self.delivered_seq) & (events["seq"] <= through_seq)]
            if len(fresh):
                parts.append(fresh)
            self.delivered_seq = through_seq
        held, self._held, self._held_events = self._held, [], 0
        fetch: Fetch | None = None
        for release in held:
            if release.first_seq > self.delivered_seq + 1:
                self._hold(release)
                fetch = fetch or self._plan_fetch(release.first_seq - 1)
            else:
                parts.extend(self._take(release))
        return Delivery(tuple(parts), fetch)

    def on_fetch_failed(self) -> Delivery:
        """No engine could be asked: the next RELEASE, at the latest an empty one, shows the gap again."""
        self._fetching = False
        return Delivery()
