"""What the datagrams of a cluster's feeds mean to who receives them: all of it, in order, each once. Pure.

A datagram (`LineSpan`) holds every update behind one seq up to another one, whichever feed it is of. So of several
feeds the first copy counts, and what is missing can be had from any of them. The machine knows up to where it has the
line; what comes beyond a gap waits, and `todo` says what is to be asked for.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from lockstep.book import FeedGap
from lockstep.enums import Feed
from lockstep.feed_book import FeedBook, FeedState
from lockstep.feed_machine import FeedMachine
from lockstep.v1 import feed_pb2

MAX_WAITING_BYTES: Final = 64 << 20
"""Of what comes beyond a gap."""
PATIENCE_NS: Final = 2_000_000
"""A gap may be a datagram that is late, or that another feed's fills, before it is asked for."""
SILENCE_NS: Final = 500_000_000
"""Feeds say how far they are every 20 ms; after so long without a word they are asked."""
_L2: Final = int(Feed.L2)
_TRADES: Final = int(Feed.TRADES)
_INSTRUMENTS: Final = int(Feed.INSTRUMENTS)


@dataclass(frozen=True)
class Join:
    """Ask a feed for everything as it is now (`JoinLine`), then `on_joined`."""


@dataclass(frozen=True)
class Again:
    """Ask a feed for what follows a seq, up to another one (0: all that it has), then `on_frame` for each frame."""

    after_seq: int
    through_seq: int
    epoch: int


class LineMachine:
    """The line as one receiver has it.

    Invariants: every update up to `seq` was handed out once, in order of its seq, or was part of a beginning; none of a
    later one. The books are as of `seq`.
    """

    def __init__(self) -> None:
        self.seq = 0
        """Up to where it has the line."""
        self.epoch = 0
        """Under which it was heard that far."""
        self.joined = False
        self.datagrams = 0
        self.repeats = 0
        """Datagrams that said nothing new, since another feed's came first."""
        self.stale = 0
        """Datagrams of an epoch that is over."""
        self.gaps = 0
        """Losses that were asked for."""
        self.restarted = 0
        """How often it began anew, since no feed had any more what was missing."""
        self.checksum_errors = 0
        self.gap_ns: deque[int] = deque(maxlen=4096)
        """How long the latest gaps were open."""
        self._machine = FeedMachine(Feed.L2)
        self._instruments: dict[int, feed_pb2.FeedUpdate] = {}
        self._waiting: dict[tuple[int, int], feed_pb2.FeedFrame] = {}
        self._waiting_bytes = 0
        # Of a gap: since when, and whether it was asked for.
        self._gap_since_ns = 0
        self._asked = False
        self._heard_ns = 0
        self._verify = False

    # ---- what it shows -------------------------------------------------------------------------------------------

    @property
    def state(self) -> FeedState:
        """LIVE if nothing is known to be missing."""
        return FeedState.LIVE if self.joined and not self._gap_since_ns else FeedState.RECOVERING

    def book(self, instrument: int) -> "FeedBook | None":
        """An instrument's book (levels), as of `seq`; None: there is no such instrument."""
        return self._machine.books.get(instrument)

    @property
    def books(self) -> "dict[int, FeedBook]":
        """All books, by instrument."""
        return self._machine.books

    # ---- what happens --------------------------------------------------------------------------------------------

    def on_frame(self, frame: feed_pb2.FeedFrame, now_ns: int, *, size: int = 0) -> "list[feed_pb2.FeedUpdate]":
        """A datagram, or a frame that was asked for; the updates that follow what it has, in order.

        `size`: of its bytes, for what has to wait.
        """
        span = frame.line
        self.datagrams += 1
        self._heard_ns = now_ns
        if not self.joined:
            return []
        if span.epoch < self.epoch:
            self.stale += 1
            return []
        if span.seq <= self.seq and span.epoch == self.epoch:
            self.repeats += bool(frame.updates)
            if not self._waiting:
                self._close_gap(now_ns)
            return []
        if span.epoch > self.epoch:
            # An operator may have had the cluster go on without some of what was received: that is asked first.
            self._verify = True
        if span.previous_seq > self.seq or span.fetch or self._verify:
            self._keep(frame, size, now_ns)
            return []
        found = self._take(frame)
        return found + self._drain(now_ns)

    def on_answer(self, frame: feed_pb2.FeedFrame, now_ns: int) -> "list[feed_pb2.FeedUpdate]":
        """A frame of an answer to `Again`: its feed has the position that was asked from in its history."""
        self._verify = False
        self._heard_ns = now_ns
        if frame.line.epoch < self.epoch:
            return []
        self.epoch = frame.line.epoch
        found = self._take(frame) if frame.line.previous_seq <= self.seq < frame.line.seq else []
        return found + self._drain(now_ns)

    def on_joined(self, frames: "list[feed_pb2.FeedFrame]", now_ns: int) -> "list[feed_pb2.FeedUpdate]":
        """Everything as it is at a feed; the last frame says as of which seq. The snapshots, in any order."""
        span = frames[-1].line
        updates = [update for frame in frames for update in frame.updates]
        self._machine = FeedMachine(Feed.L2)
        self._instruments.clear()
        self.seq, self.epoch = span.seq, span.epoch
        for update in updates:
            self._apply(update)
        self.joined, self._verify = True, False
        self._heard_ns = now_ns
        self._drain(now_ns)
        return updates

    def on_gone(self) -> None:
        """No feed has what is missing, or what was received is void: it has to begin anew."""
        self.joined, self._verify = False, False
        self.restarted += 1
        self._waiting.clear()
        self._waiting_bytes = 0
        self._machine.on_broken()

    def todo(self, now_ns: int) -> "Join | Again | None":
        """What is to be asked for now, of any feed. It is the same again until it was answered."""
        if not self.joined:
            return Join()
        if self._verify:
            return Again(self.seq, 0, self.epoch)
        if self._gap_since_ns and now_ns - self._gap_since_ns >= PATIENCE_NS:
            if not self._asked:
                self._asked = True
                self.gaps += 1
            return Again(self.seq, self._next_seq(), self.epoch)
        if now_ns - self._heard_ns >= SILENCE_NS:
            self._open_gap(now_ns)
            return Again(self.seq, 0, self.epoch)
        return None

    # ---- inside --------------------------------------------------------------------------------------------------

    def _next_seq(self) -> int:
        """Up to where is missing what comes before what waits; 0: that is not known."""
        first = min(self._waiting, default=None)
        if first is None:
            return 0
        previous, seq = first
        return seq if previous <= self.seq else previous

    def _keep(self, frame: feed_pb2.FeedFrame, size: int, now_ns: int) -> None:
        key = frame.line.previous_seq, frame.line.seq
        self._open_gap(now_ns)
        if key not in self._waiting and self._waiting_bytes + size <= MAX_WAITING_BYTES:
            self._waiting[key] = frame
            self._waiting_bytes += size
        # What does not fit is missing later, and asked for then.

    def _open_gap(self, now_ns: int) -> None:
        if not self._gap_since_ns:
            self._gap_since_ns = now_ns
            self._machine.on_broken()

    def _drain(self, now_ns: int) -> "list[feed_pb2.FeedUpdate]":
        """What waited and follows now."""
        found: list[feed_pb2.FeedUpdate] = []
        for key in sorted(self._waiting):
            frame = self._waiting[key]
            if frame.line.seq > self.seq and (frame.line.previous_seq > self.seq or frame.line.fetch):
                continue
            del self._waiting[key]
            if frame.line.seq > self.seq and frame.line.epoch >= self.epoch:
                found += self._take(frame)
        if not self._waiting:
            self._close_gap(now_ns)
        return found

    def _close_gap(self, now_ns: int) -> None:
        """Nothing waits any more."""
        self._waiting_bytes = 0
        if self._gap_since_ns and not self._verify:
            self.gap_ns.append(now_ns - self._gap_since_ns)
            self._gap_since_ns, self._asked = 0, False
            for book in self._machine.books.values():
                book.state = FeedState.LIVE

    def _take(self, frame: feed_pb2.FeedFrame) -> "list[feed_pb2.FeedUpdate]":
        updates = [update for update in frame.updates if update.last_seq > self.seq]
        for update in updates:
            self._apply(update)
        self.seq, self.epoch = frame.line.seq, max(self.epoch, frame.line.epoch)
        return updates

    def _apply(self, update: feed_pb2.FeedUpdate) -> None:
        if update.feed == _INSTRUMENTS:
            new = update.instrument not in self._instruments
            self._instruments[update.instrument] = update
            if new and update.instrument not in self._machine.books:
                # A line says nothing more of a new instrument: its book is empty.
                self._apply_book(
                    feed_pb2.FeedUpdate(
                        instrument=update.instrument, feed="FEED_L2", snapshot=True, last_seq=update.last_seq,
                        epoch=update.epoch, timestamp_ns=update.timestamp_ns,
                    )
                )  # fmt: skip
        elif update.feed == _L2:
            self._apply_book(update)

    def _apply_book(self, update: feed_pb2.FeedUpdate) -> None:
        machine, instrument = self._machine, update.instrument
        position = machine.position(instrument)
        follows = update
        if not update.snapshot and position is not None:
            # The line is whole, so nothing lies between, whatever its feed had said last of this book; and what was
            # reported under an earlier epoch is of it, too.
            epoch = max(update.epoch, machine.epoch)
            if (update.previous_last_seq, update.epoch) != (position, epoch):
                follows = feed_pb2.FeedUpdate()
                follows.CopyFrom(update)
                follows.previous_last_seq, follows.epoch = position, epoch
        try:
            machine.on_frame(feed_pb2.FeedFrame(updates=[follows]))
        except FeedGap:
            self.checksum_errors += 1
            raise

    def definitions(self) -> "Iterator[Any]":
        """What is known of the instruments: `FeedUpdate` with a `definition` each."""
        yield from self._instruments.values()
