"""The way back: committed events in strictly increasing order, without repeats and without gaps. Pure.

RELEASE frames come from whichever engine is primary. After a failover the new one repeats from its own committed seq
on; an old one that does not know yet that it was replaced carries an older epoch and is dropped. What is missing is
fetched: every engine keeps all committed events.

An operator may have had the cluster go on without commands whose events were delivered (rule 7). Seqs then mean other
commands than they did. So each frame names the record before its first, by epoch. Where that is another one than was
delivered, the frame counts for nothing and the gateway asks the engines. The question names the epoch under which the
events before were delivered; the engine answers whether that is its history.
"""

from dataclasses import field
from typing import Final

import numpy as np

from lockstep.runtime.following import FOLLOWINGS, Came, Following, after
from lockstep.stream.arrival import MAX_UNEXPLAINED_EPOCHS
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.messages import Release
from lockstep.stream.records import CONTROL_EVENT, EventKind, Events
from lockstep.stream.values import frozen

_DISOWN_NS: Final = 250_000_000
_FETCH_PAUSE_NS: Final = 100_000_000
_GONE_PATIENCE_NS: Final = 3_000_000_000
"""An engine that does not answer now may still have what the others have cut."""
_MAX_HELD_EVENTS: Final = 131_072
_MAX_FETCH_SEQS: Final = 65_536
_MAX_EPOCHS: Final = 256
_EPOCH_STARTED: Final = int(EventKind.EPOCH_STARTED)


@frozen
class Fetch:
    """Committed events to ask an engine for: seqs after `after_seq`, up to and including `to_seq`. Of a bounded number
    of seqs: a long gap is fetched in several steps."""

    after_seq: int
    to_seq: int
    engine: int
    """The one that released last: it has them, and it lives, while the primary of before may hang."""
    epoch: int
    """Highest epoch heard of: an engine of a lower one may be of another history."""
    delivered_epoch: int
    """Epoch under which `after_seq` was delivered; the engine says whether that is its history."""


@frozen
class LeftBehind:
    """Whoever follows can't go on from what it has delivered: it starts anew at what is committed then, and its clients
    ask for what they know when they resume."""

    after_seq: int
    diverged: bool
    """The cluster goes on, in `epoch`, without commands up to `after_seq` whose events were delivered here. Else they
    were cut from every journal before they came here."""
    epoch: int
    delivered_epoch: int
    first_seq: int = 0
    """From there on there are events; 0: not known."""


@frozen
class Delivery:
    """What a step yields. `events` are in order and have never been delivered before."""

    events: tuple[Events, ...] = field(default=(), repr=False)
    fetch: Fetch | None = None


class Downlink:
    """Invariant: everything up to and including `delivered_seq` has been delivered, nothing beyond it."""

    def __init__(self, delivered_seq: int, epoch: int = 0) -> None:
        """`epoch`: the one under which `delivered_seq` was committed, as far as is known."""
        self.delivered_seq = delivered_seq
        self.epoch = epoch
        """Highest epoch that a RELEASE carried."""
        self.said = 0
        """Highest epoch that a sequencer says that it is in; 0: none was heard. No engine can be above it for long."""
        self._ahead_since_ns: int | None = None
        self._least_epoch = epoch
        self._delivered_epoch = epoch
        # (first seq, epoch) of what was delivered, as far back as it is known, ascending.
        self._stamped: list[tuple[int, int]] = []
        self.primary = 0
        """Engine that released under it; 0: none heard yet."""
        self.repeats = 0
        self.stale = 0
        self.gaps = 0
        self._held: list[Release] = []
        self._held_events = 0
        self.state = Following.IN_STEP
        self._fetching: Fetch | None = None
        """Set exactly while it is not in step: what was asked for."""
        self._fetch_pause_until_ns = 0
        self._gone_since_ns = 0
        self.left_behind: LeftBehind | None = None

    @property
    def delivered(self) -> DeliveryMark:
        """How far events were delivered: `delivered_seq`, and an epoch that its record is of, or one before."""
        return DeliveryMark(max(self._delivered_epoch, self._least_epoch), self.delivered_seq)

    @property
    def shown_epoch(self) -> int:
        """What clients hear: never below the epoch in which the last of what was delivered began, whoever stands by it.

        Who hears the engines and no sequencer knows that epoch from the stream itself. A seq of it under a
        lower epoch would be void: no history has it there.
        """
        return max(self.epoch, self._least_epoch)

    def on_time(self, now_ns: int) -> None:
        """An epoch that no sequencer stands by, long after a RELEASE brought it, was nobody's: it mutes no engine. And
        what could not be fetched may be asked for again."""
        if self.state is Following.PAUSING and self._fetch_pause_until_ns <= now_ns:
            self._move(Came.PAUSE_OVER)
            self._fetching = None
        if not 0 < self.said < self.epoch:
            self._ahead_since_ns = None
        elif self._ahead_since_ns is None:
            # Counted from now on, not from the last look: this process may have stood still in between.
            self._ahead_since_ns = now_ns
        elif now_ns - self._ahead_since_ns > _DISOWN_NS:
            self.epoch = self.said

    def on_release(self, release: Release) -> Delivery:
        """A RELEASE frame came: it covers the seqs from `first_seq` to `last_seq`."""
        if release.epoch < self.epoch or not self._explained(release):
            self.stale += 1
            return Delivery()
        if self._parts(release):
            # One frame does not say so for the cluster: the engines are asked whether what was delivered is history.
            return Delivery(fetch=self._plan_fetch(self.delivered_seq, release))
        self.epoch = release.epoch
        self.primary = release.sender
        if release.first_seq > self.delivered_seq + 1:
            self._hold(release)
            return Delivery(fetch=self._plan_fetch(release.first_seq - 1))
        return Delivery(self._take(release))

    def _explained(self, release: Release) -> bool:
        """Whether a higher epoch may be believed and shown to clients, which then drop what is of a lower one: some
        sequencer says that it is there, or the frame has the event that begins it. Where none was heard, a few more."""
        if release.epoch <= max(self.epoch, self.said) or not self.epoch:
            return True
        if self.said:
            return any(epoch == release.epoch for _, epoch in _epochs_of(release.events))
        return release.epoch <= self.epoch + MAX_UNEXPLAINED_EPOCHS

    def _parts(self, release: Release) -> bool:
        """Whether the frame is of a history that differs from what was delivered, as far as both are known."""
        before = release.first_seq - 1
        if not release.parent_epoch or before > self.delivered_seq:
            return False
        if not self._stamped:
            # What was delivered in an earlier life is not known here (its clients ask for themselves), until a frame
            # names all epochs up to it.
            if max(release.last_seq, before) >= self.delivered_seq:
                begun = [entry for entry in _epochs_of(release.events) if entry[0] <= self.delivered_seq]
                self._stamped = [(before, release.parent_epoch), *begun]
            return False
        theirs, through = release.parent_epoch, min(release.last_seq, self.delivered_seq)
        if through > before:
            theirs = next((epoch for seq, epoch in reversed(_epochs_of(release.events)) if seq <= through), theirs)
        ours = next((epoch for seq, epoch in reversed(self._stamped) if seq <= through), theirs)
        return ours != theirs

    def _delivered(self, events: Events, through_seq: int) -> None:
        self.delivered_seq = through_seq
        begun = _epochs_of(events)
        for _, epoch in begun:
            known = max(self.said, self._least_epoch)
            # One odd frame that says that an epoch far above all others begins must not be shown for ever.
            if epoch <= (known or epoch) + MAX_UNEXPLAINED_EPOCHS:
                self._least_epoch = max(self._least_epoch, epoch)
        self._delivered_epoch = self.shown_epoch
        self._stamped += begun
        del self._stamped[:-_MAX_EPOCHS]

    def _hold(self, release: Release) -> None:
        # What does not fit is fetched later like any other gap.
        if len(release.events) and self._held_events + len(release.events) <= _MAX_HELD_EVENTS:
            self._held.append(release)
            self._held_events += len(release.events)

    def _plan_fetch(self, to_seq: int, doubted: Release | None = None) -> Fetch | None:
        """`doubted`: of a history that seems to be another one; its epoch counts if an engine has heard of it."""
        if self.state is not Following.IN_STEP:
            return None
        self._move(Came.GAP if doubted is None else Came.OTHER_HISTORY)
        self.gaps += doubted is None
        to_seq = min(to_seq, self.delivered_seq + _MAX_FETCH_SEQS)
        engine, epoch = (self.primary, self.epoch) if doubted is None else (doubted.sender, doubted.epoch)
        self._fetching = Fetch(self.delivered_seq, to_seq, engine, epoch, self._delivered_epoch)
        return self._fetching

    def _take(self, release: Release) -> tuple[Events, ...]:
        if release.last_seq <= self.delivered_seq:
            self.repeats += bool(len(release.events))
            return ()
        events = release.events
        if release.first_seq <= self.delivered_seq:
            events = events[events["seq"] > self.delivered_seq]
        self._delivered(events, release.last_seq)
        return (events,) if len(events) else ()

    def on_fetched(self, events: Events, through_seq: int) -> Delivery:
        """The answer to a `Fetch`: all events up to `through_seq`. Then what was held, as far as it fits."""
        self._move(Came.FETCHED)
        self._fetching, self._gone_since_ns = None, 0
        parts: list[Events] = []
        if through_seq > self.delivered_seq:
            fresh = events[(events["seq"] > self.delivered_seq) & (events["seq"] <= through_seq)]
            if len(fresh):
                parts.append(fresh)
            self._delivered(fresh, through_seq)
        held, self._held, self._held_events = self._held, [], 0
        fetch: Fetch | None = None
        for release in held:
            if release.first_seq > self.delivered_seq + 1:
                self._hold(release)
                fetch = fetch or self._plan_fetch(release.first_seq - 1)
            elif self._parts(release):
                fetch = fetch or self._plan_fetch(self.delivered_seq, release)
            else:
                parts.extend(self._take(release))
        return Delivery(tuple(parts), fetch)

    def on_fetch_failed(self, now_ns: int, *, diverged: bool = False, gone: bool = False, first_seq: int = 0) -> None:
        """No engine has the events of the `Fetch`: after a pause the next RELEASE, at the latest an empty one, shows
        the gap again; unless they are lost (`diverged`), or were cut from all journals (`gone`) for a while."""
        wanted = self._fetching
        assert wanted is not None, "nothing was fetched"
        self._fetch_pause_until_ns = now_ns + _FETCH_PAUSE_NS
        if gone:
            self._gone_since_ns = self._gone_since_ns or now_ns
        lost = diverged or (gone and now_ns - self._gone_since_ns >= _GONE_PATIENCE_NS)
        self._move(Came.LOST if lost else Came.NOT_NOW)
        if lost:
            self.left_behind = LeftBehind(wanted.after_seq, diverged, wanted.epoch, wanted.delivered_epoch, first_seq)

    def _move(self, came: Came) -> None:
        self.state = after(FOLLOWINGS, self.state, came)


def _epochs_of(events: Events) -> list[tuple[int, int]]:
    """(seq, epoch) of the epochs that begin among some events."""
    begins = events["kind"] == _EPOCH_STARTED
    if not begins.any():
        return []
    rows = np.frombuffer(events[begins].tobytes(), dtype=CONTROL_EVENT)
    return [(int(row["seq"]), int(row["epoch"])) for row in rows]
