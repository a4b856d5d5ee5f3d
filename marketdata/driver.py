"""Does what the feed's machine says, over its ports.

A burst of frames is one step of the machine, and what it has for the readers is written at once, whole frames, one for
each. Between bursts the machine's own time comes (`FeedMachine.due_ns`).
"""

from collections.abc import Sequence
from functools import partial

from lockstep.marketdata.feed_beginning import FeedBeginning, Step
from lockstep.marketdata.feed_events import (
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
from lockstep.marketdata.feed_ports import Ports, Timer, Writer
from lockstep.marketdata.feed_subscriptions import Wanted
from lockstep.marketdata.machine import FeedMachine
from lockstep.runtime.downlink import Fetch
from lockstep.runtime.inquiry import LAST_INDEX, EventSearch, Fault, NoAnswer, Page, Todo, in_order, joined
from lockstep.runtime.snapshot_reader import Snapshot
from lockstep.stream.codes import Code
from lockstep.stream.messages import Release


class FeedDriver:
    """One life of a feed. Ends when `left_behind` is set; then another one begins."""

    def __init__(
        self, machine: FeedMachine, ports: Ports, *, engines: Sequence[int], least_epoch: int, begin_is_gone: bool
    ) -> None:
        """`engines`: ids of all. The rest: see `FeedBeginning`."""
        self.machine = machine
        self.primary = 0
        """Engine to ask first; 0: not known."""
        self.stopping = False
        self._ports = ports
        self._engines = tuple(engines)
        self._beginning = FeedBeginning(self.engines, least_epoch=least_epoch, begin_is_gone=begin_is_gone)
        self._waits_because = ""
        self._writers: dict[int, Writer] = {}
        self._readers = 0
        self._timer: Timer | None = None
        self._timer_ns = 0

    def engines(self) -> list[int]:
        """In the order in which they are asked now: a standby first, the primary has better things to do."""
        return in_order(self._engines, last=self.primary)

    @property
    def left_behind(self) -> bool:
        """It can't go on from what it has reported."""
        return self.machine.left_behind is not None

    @property
    def readers(self) -> int:
        """Connections."""
        return len(self._writers)

    # ---- beginning -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Find out where the cluster stands, and begin."""
        self._begin(self._beginning.on_time())

    def _begin(self, step: Step) -> None:
        if self._beginning.said != self._waits_because:
            self._waits_because = self._beginning.said
            self._ports.note("waiting for the engines", said=self._waits_because)
        if step.ask is not None:
            self._ports.ask(step.ask, self._on_beginning)
        elif step.fetch:
            self._ports.fetch_snapshot(step.fetch, self._on_snapshot)
        elif step.start is not None:
            self._step(Started(step.start))
            self._ports.note(
                "following", from_seq=self.machine.seq, committed_seq=step.start.committed_seq, epoch=step.start.epoch
            )
        else:
            self._ports.at(step.deadline_ns, lambda: self._begin(self._beginning.on_time()))

    def _on_beginning(self, todo: Todo) -> bool:
        assert todo.end is not None, "no pages were asked for"
        self._begin(self._beginning.on_end(todo.end, self._ports.now_ns()))
        return False

    def _on_snapshot(self, snapshot: Snapshot | str | None) -> None:
        self._begin(self._beginning.on_snapshot(snapshot, self._ports.now_ns()))

    # ---- events --------------------------------------------------------------------------------------------------

    def on_frames(self, releases: Sequence[Release]) -> None:
        """RELEASE frames of one poll, in the order of their arrival."""
        if self.stopping:
            return
        begin_ns = self._ports.now_ns()
        self._step(Came(releases))
        if self.machine.downlink is not None:
            self.primary = self.machine.downlink.primary or self.primary
        self._ports.on_events(sum(release.count for release in releases), self._ports.now_ns() - begin_ns)

    def on_said(self, epoch: int) -> None:
        """A sequencer's heartbeat on its liveness link."""
        self._step(Said(epoch))

    def on_tick(self) -> None:
        """Every few milliseconds, and when the machine wants it."""
        if not self.stopping:
            self._step(Ticked())

    # ---- readers -------------------------------------------------------------------------------------------------

    def enter(self, writer: Writer) -> int | Refusal:
        """A connection begins: its number."""
        if self.stopping:
            return Refusal(int(Code.SHUTTING_DOWN), "this feed is being stopped; another one serves", 50)
        self._readers += 1
        number = self._readers
        refused = self._step(ReaderEntered(number))
        if refused is not None:
            return refused
        self._writers[number] = writer
        return number

    def subscribe(self, reader: int, wanted: Wanted) -> Refusal | None:
        """A reader asks for more; why it can't be had."""
        return self._of(reader, Subscribed(reader, wanted))

    def unsubscribe(self, reader: int, feed: int, instruments: tuple[int, ...]) -> None:
        """A reader asks for less."""
        self._of(reader, Unsubscribed(reader, feed, instruments))

    def ping(self, reader: int, number: int) -> None:
        """A reader wants to know that it is heard."""
        self._of(reader, Pinged(reader, number))

    def on_ready(self, reader: int) -> None:
        """Who writes to a reader takes more again."""
        self._of(reader, Ready(reader))

    def leave(self, reader: int) -> None:
        """A connection has ended."""
        if self._writers.pop(reader, None) is not None:
            self._step(ReaderLeft(reader))

    def end_all(self, refusal: Refusal) -> None:
        """End every connection, with a reason."""
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.end(refusal)

    def _of(self, reader: int, event: Event) -> Refusal | None:
        return self._step(event) if reader in self._writers else None

    # ---- effects -------------------------------------------------------------------------------------------------

    def _step(self, event: Event) -> Refusal | None:
        effects = self.machine.step(event, self._ports.now_ns())
        self._perform(effects)
        self._plan_tick()
        return effects.refused

    def _perform(self, effects: Effects) -> None:
        for reader, frame in effects.frames:
            writer = self._writers.get(reader)
            if writer is not None and not writer.write(frame):
                self.machine.step(Blocked(reader), self._ports.now_ns())
        for reader, refusal in effects.closings:
            writer = self._writers.pop(reader, None)
            if writer is not None:
                writer.end(refusal)
        if effects.datagrams:
            self._ports.send_datagrams(effects.datagrams)
        if effects.fetch is not None:
            self._fetch(effects.fetch)
        for instrument, seq in effects.bands:
            self._ports.fetch_band(seq, partial(self._on_band, instrument, seq))

    def _plan_tick(self) -> None:
        due_ns = self.machine.due_ns
        if not due_ns or (self._timer is not None and self._timer_ns <= due_ns):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = due_ns
        self._timer = self._ports.at(due_ns, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.on_tick()

    def _on_band(self, instrument: int, seq: int, band_ppm: int) -> None:
        self._step(BandLearnt(instrument, seq, band_ppm))

    def _fetch(self, wanted: Fetch) -> None:
        # Who released last lives; but it is not to be kept from its work by a feed that reads a whole history.
        first = in_order(self._engines, first=wanted.engine or self.primary)
        search = EventSearch(
            first if self.machine.serves else self.engines(),
            after=(wanted.after_seq, LAST_INDEX),
            to_seq=wanted.to_seq,
            min_epoch=wanted.epoch,
            delivered_epoch=wanted.delivered_epoch,
        )
        self._ports.ask(search, partial(self._on_fetched, wanted, []))

    def _on_fetched(self, wanted: Fetch, pages: list[Page], todo: Todo) -> bool:
        pages.extend(todo.pages)
        if todo.done:
            self._step(Fetched(joined(pages), wanted.to_seq))
        elif isinstance(todo.end, NoAnswer):
            self._on_not_fetched(todo.end)
        return not todo.over

    def _on_not_fetched(self, end: NoAnswer) -> None:
        self._ports.note("missed events can't be fetched now", said=end.text)
        gone, diverged = end.fault is Fault.GONE, end.fault is Fault.DIVERGED
        self._step(NotFetched(diverged=diverged, gone=gone, first_seq=end.first_seq))
        why = self.machine.left_behind
        if why is not None:
            self._ports.on_left_behind(why)
