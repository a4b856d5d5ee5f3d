"""All that a feed decides, in one pure machine: what follows what was reported, what it means, and who is sent what.

The driver reports what happens (`feed_events.py`) and does what `Effects` say.
"""

from typing import Final

from lockstep.marketdata.feed_encoding import encode_pong
from lockstep.marketdata.feed_events import (
    NOTHING,
    BandLearnt,
    Blocked,
    Came,
    Effects,
    Event,
    Fetched,
    NotFetched,
    Pinged,
    ReaderEntered,
    ReaderLeft,
    Ready,
    Refusal,
    Said,
    Started,
    Subscribed,
    Ticked,
    Unsubscribed,
)
from lockstep.marketdata.feed_hub import FeedHub
from lockstep.marketdata.feed_subscriptions import FeedRefused
from lockstep.marketdata.market_fold import MarketFold
from lockstep.runtime.downlink import Delivery, Downlink, Fetch, LeftBehind
from lockstep.stream.codes import Code
from lockstep.stream.records import Events, join_records, no_events

_RETRY_MS: Final = 200


class FeedMachine:
    """See the module. Before `Started`, and until it has come as far as the cluster was then, nobody is served.

    Invariants, looked at after each step: what was reported is never taken back; the fold is where the downlink is.
    """

    def __init__(self, *, has_line: bool = False) -> None:
        """`has_line`: every command is sent as datagrams, too, from when the feed serves."""
        self._has_line = has_line
        self.downlink: Downlink | None = None
        self.hub: FeedHub | None = None
        self._serves_from_seq = 0
        self._reported_seq = 0
        self._said = 0
        self._bands: dict[int, int] = {}

    @property
    def seq(self) -> int:
        """The last seq that was reported; 0 before `Started`."""
        return 0 if self.downlink is None else self.downlink.delivered_seq

    @property
    def epoch(self) -> int:
        """The highest epoch under which events were released, as readers hear it."""
        return 0 if self.downlink is None else self.downlink.shown_epoch

    @property
    def left_behind(self) -> LeftBehind | None:
        """Why it can't go on, if it can't."""
        return None if self.downlink is None else self.downlink.left_behind

    @property
    def serves(self) -> bool:
        """Whether it has caught up with what was committed when it began."""
        return self.downlink is not None and self.downlink.delivered_seq >= self._serves_from_seq

    @property
    def due_ns(self) -> int:
        """When `Ticked` is to come next, at the latest; 0: it does not matter."""
        return 0 if self.hub is None else self.hub.due_ns

    def step(self, event: Event, now_ns: int) -> Effects:
        """Take one event, at a time of a monotonic clock."""
        effects = self._on(event, now_ns)
        assert self.seq >= self._reported_seq, f"reported up to {self._reported_seq}, now {self.seq}"
        if self.hub is not None:
            assert self.hub.fold.seq == self.seq, f"the fold is at {self.hub.fold.seq}, the downlink at {self.seq}"
        self._reported_seq = self.seq
        return effects

    def _on(self, event: Event, now_ns: int) -> Effects:
        match event:
            case Came():
                return self._on_releases(event, now_ns)
            case Ticked():
                return self._on_ticked(now_ns)
            case Fetched():
                assert self.downlink is not None, "events were fetched before the start"
                return self._deliver(self.downlink.on_fetched(event.events, event.through_seq), now_ns)
            case Started():
                self._start(event)
                return NOTHING
            case NotFetched():
                assert self.downlink is not None, "events were fetched before the start"
                self.downlink.on_fetch_failed(
                    now_ns, diverged=event.diverged, gone=event.gone, first_seq=event.first_seq
                )
                return NOTHING
            case Said():
                self._said = max(self._said, event.epoch)
                if self.downlink is not None:
                    self.downlink.said = self._said
                return NOTHING
            case BandLearnt():
                if self.hub is not None:
                    self.hub.fold.statuses.learn_band(event.instrument, event.band_ppm, event.seq)
                return NOTHING
            case _:
                return self._on_reader(event, now_ns)

    def _start(self, started: Started) -> None:
        snapshot = started.start.snapshot
        seq, epoch = (0, 0) if snapshot is None else (snapshot.seq, snapshot.epoch)
        image = None if snapshot is None else snapshot.image
        self.downlink = Downlink(seq, epoch)
        self.downlink.said = self._said
        self.hub = FeedHub(MarketFold(seq, image, epoch))
        self.hub.epoch = epoch
        self._serves_from_seq = max(seq, started.start.committed_seq)
        self._reported_seq = seq

    # ---- events --------------------------------------------------------------------------------------------------

    def _on_releases(self, came: Came, now_ns: int) -> Effects:
        if self.downlink is None:
            return NOTHING
        parts: list[Events] = []
        fetch: Fetch | None = None
        for release in came.releases:
            delivery = self.downlink.on_release(release)
            parts.extend(delivery.events)
            fetch = fetch or delivery.fetch
        return self._deliver(Delivery(tuple(parts), fetch), now_ns)

    def _deliver(self, delivery: Delivery, now_ns: int) -> Effects:
        hub, downlink = self.hub, self.downlink
        assert hub is not None, "events before the start"
        assert downlink is not None, "events before the start"
        hub.epoch = downlink.shown_epoch
        if not delivery.events:
            # A fetch may have shown that there is nothing up to a seq.
            if downlink.delivered_seq > hub.fold.seq:
                hub.fold.apply(no_events(), downlink.delivered_seq)
            return Effects(fetch=delivery.fetch)
        hub.on_events(join_records(delivery.events), downlink.delivered_seq)
        datagrams = [] if hub.line is None else hub.line.send(downlink.delivered_seq, hub.epoch, now_ns)
        return Effects(
            frames=hub.take_frames(), datagrams=datagrams, fetch=delivery.fetch, bands=self._unknown_bands(hub)
        )

    def _unknown_bands(self, hub: FeedHub) -> tuple[tuple[int, int], ...]:
        """Commands that set a band and were not read yet."""
        if not hub.fold.statuses.limits_set:
            return ()
        found = tuple(item for item in hub.fold.statuses.limits_set.items() if self._bands.get(item[0]) != item[1])
        self._bands.update(found)
        return found

    def _on_ticked(self, now_ns: int) -> Effects:
        if self.downlink is None or self.hub is None:
            return NOTHING
        self.downlink.on_time(now_ns)
        self.hub.epoch = self.downlink.shown_epoch
        self.hub.on_time(now_ns)
        if self._has_line and self.hub.line is None and self.serves:
            self.hub.open_line()
        line = self.hub.line
        datagrams = [] if line is None else line.on_time(self.seq, self.epoch, now_ns)
        closings = []
        for reader in self.hub.slow(now_ns):
            self.hub.leave(reader)
            self.hub.counts.slow += 1
            closings.append((reader, _TOO_SLOW))
        return Effects(frames=self.hub.take_frames(), closings=tuple(closings), datagrams=datagrams)

    # ---- readers -------------------------------------------------------------------------------------------------

    def _on_reader(self, event: Event, now_ns: int) -> Effects:
        hub = self.hub
        if hub is None or not self.serves:
            return Effects(refused=_NOT_YET)
        try:
            match event:
                case ReaderEntered():
                    hub.enter(event.reader)
                case Subscribed():
                    hub.subscribe(event.reader, event.wanted)
                case Unsubscribed():
                    hub.unsubscribe(event.reader, event.feed, event.instruments)
                case Pinged():
                    hub.put(event.reader, encode_pong(event.number))
                case Blocked():
                    hub.on_blocked(event.reader, now_ns)
                    return NOTHING
                case Ready():
                    hub.on_ready(event.reader)
                case ReaderLeft():
                    hub.leave(event.reader)
        except FeedRefused as refused:
            return Effects(refused=Refusal(int(refused.code), str(refused), refused.retry_after_ms))
        return Effects(frames=hub.take_frames())


_NOT_YET: Final = Refusal(int(Code.UNAVAILABLE), "this feed is catching up with the cluster", _RETRY_MS)
_TOO_SLOW: Final = Refusal(
    int(Code.BUSY), "nothing was taken for 10 s: read faster, or ask for longer intervals and less depth", _RETRY_MS
)
