"""One feed read from several processes at once: of each change the first copy counts. Pure: no clock, no I/O.

All feeds of a cluster say the same, in one line of (epoch, seq), so who reads from two of them has everything as long
as one of them lives. Each *leg* is a whole reader of its own (`FeedMachine`): where feeds gather changes for a while,
they do not gather the same ones, so a message of one leg can't stand in for one of another. What is put together is
what the legs have come to: the book of the leg that is further, each trade when it comes first.

A leg that speaks of an older epoch than another one is not believed until it has come to the newer epoch, too: its
frames wait (a failover reaches the feeds some milliseconds apart).
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from lockstep.book import FeedGap, TradesMissed
from lockstep.enums import Feed
from lockstep.feed_book import FeedBook, FeedState
from lockstep.feed_machine import Candle, FeedMachine, FeedTrade
from lockstep.v1 import feed_pb2

_MAX_HELD: Final = 256
"""Frames of a leg that wait for its epoch."""
_MAX_ROWS: Final = 65_536
"""Trades of a leg that wait until another one has come as far."""
_LAST_INDEX: Final = 2**32 - 1
_BOOKS: Final = (Feed.L1, Feed.L2, Feed.L3)


class FeedArbiter:
    """All legs of one subscription, of one feed.

    Invariants: a book that is LIVE is that of a leg which was whole up to its seq, and a leg is whole now; its seq only
    grows, but where every leg began anew. Trades of an instrument are handed out once each, in order, none left out.
    """

    def __init__(self, legs: "tuple[FeedMachine, ...]") -> None:
        """`legs`: machines of one feed and depth, at least one."""
        self.legs = legs
        self.feed = legs[0].feed
        self.epoch = 0
        """Highest epoch heard."""
        self.seq = 0
        """How far the feeds are, as the one that is further said last."""
        self.books: dict[int, FeedBook] = legs[0].books if len(legs) == 1 else {}
        self._held: list[list[feed_pb2.FeedFrame]] = [[] for _ in legs]
        # Leg whose book is shown, by instrument.
        self._source: dict[int, int] = {}
        # Trades and candles: what was handed out last, and up to which (seq, epoch) everything was.
        self._last: dict[int, tuple[int, int]] = {}
        self._through: dict[int, tuple[int, int]] = {}
        # Trades that a leg has not seen: up to which seq, and those that it has seen behind, by leg and instrument.
        self._holes: dict[tuple[int, int], tuple[int, list[Any]]] = {}

    @property
    def state(self) -> FeedState:
        """LIVE if every stream is whole in some leg, and there is one."""
        known = dict.fromkeys(instrument for leg in self.legs for instrument in leg.instruments)
        return FeedState.LIVE if known and all(map(self._is_live, known)) else FeedState.RECOVERING

    def _is_live(self, instrument: int) -> bool:
        return any(leg.is_live(instrument) for leg in self.legs)

    def total(self, name: str) -> int:
        """A counter of the legs, summed up: `recovered`, `restarted`, `checksum_errors`, `gaps`."""
        return sum(getattr(leg, name) for leg in self.legs)

    def positions(self, leg: int) -> "Iterator[feed_pb2.StreamPosition]":
        """Where a leg goes on that is connected again.

        A book goes on where the leg's own is; of trades and candles nothing is needed that another leg has brought.
        """
        for instrument, (seq, epoch) in self._through.items():
            self.legs[leg].go_on_from(instrument, seq, epoch)
        return self.legs[leg].positions()

    def on_broken(self, leg: int) -> "list[FeedBook]":
        """A leg's connection is gone. The books that are not live any more."""
        turned = self.legs[leg].on_broken()
        self._held[leg].clear()
        if len(self.legs) == 1:
            return turned
        for key in [key for key in self._holes if key[0] == leg]:
            del self._holes[key]
        return self._settle(self.legs[leg].instruments)

    def on_frame(self, leg: int, frame: feed_pb2.FeedFrame) -> "list[Any]":
        """Take a frame of a leg; what it says to who follows, in order.

        Raises:
            FeedGap: see `FeedMachine.on_frame`; this leg is to be connected again.
        """
        machine, held = self.legs[leg], self._held[leg]
        if len(self.legs) == 1:
            try:
                return machine.on_frame(frame)
            finally:
                self._hear(machine)
        epoch = _epoch_of(frame)
        if epoch < self.epoch and (epoch or held):
            if len(held) >= _MAX_HELD:
                raise FeedGap(f"the feed speaks of epoch {epoch}, but epoch {self.epoch} was seen: it was left behind")
            held.append(frame)
            return []
        frames = [*held, frame]
        held.clear()
        found: list[Any] = []
        for one in frames:
            try:
                found += self._take(leg, one)
            except FeedGap as gap:
                gap.items = found + gap.items
                raise
        return found

    def _hear(self, machine: FeedMachine) -> None:
        self.epoch, self.seq = max(self.epoch, machine.epoch), max(self.seq, machine.seq)

    def _take(self, leg: int, frame: feed_pb2.FeedFrame) -> "list[Any]":
        machine = self.legs[leg]
        anew = {update.instrument for update in frame.updates if update.snapshot}
        gap: FeedGap | None = None
        try:
            items = machine.on_frame(frame)
        except FeedGap as found:
            gap, items = found, found.items
        self._hear(machine)
        if self.feed in _BOOKS:
            merged = self._merge_books(leg, items, anew)
        elif self.feed is Feed.TRADES:
            touched = dict.fromkeys(update.instrument for update in frame.updates)
            merged = self._merge_trades(leg, items, anew, touched)
        else:
            merged = self._merge_rest(leg, items)
        self._settle(recovery.instrument for recovery in frame.recoveries)
        if gap is not None:
            for instrument in [one for one, source in self._source.items() if source == leg]:
                if machine.position(instrument) is None:
                    # What is shown shares what has been found wrong; a leg that is whole takes its place.
                    del self._source[instrument]
                    merged += self._settle((instrument,))
            gap.items = merged
            raise gap
        return merged

    # ---- books ---------------------------------------------------------------------------------------------------

    def _merge_books(self, leg: int, items: "list[FeedBook]", anew: "set[int]") -> "list[Any]":
        changed = []
        for book in items:
            shown = self.books.get(book.instrument)
            if shown is None:
                shown = self.books[book.instrument] = FeedBook(book.instrument, book.depth)
            others = any(other.is_live(book.instrument) for i, other in enumerate(self.legs) if i != leg)
            source = self._source.get(book.instrument)
            first = book.seq > shown.seq or (source is None and book.seq == shown.seq)
            if first or (book.instrument in anew and not others):
                shown.show(book)
                self._source[book.instrument] = leg
                shown.state = FeedState.LIVE
                changed.append(shown)
            else:
                changed += self._settle((book.instrument,))
        return changed

    def _settle(self, instruments: "Iterable[int]") -> "list[FeedBook]":
        """Books whose state is another one now."""
        turned = []
        for instrument in instruments:
            shown = self.books.get(instrument)
            if shown is None or len(self.legs) == 1:
                continue
            good = self._is_live(instrument) and instrument in self._source
            state = FeedState.LIVE if good else FeedState.RECOVERING
            if shown.state is not state:
                shown.state = state
                turned.append(shown)
        return turned

    # ---- trades --------------------------------------------------------------------------------------------------

    def _merge_trades(self, leg: int, items: "list[Any]", anew: "set[int]", touched: "dict[int, None]") -> "list[Any]":
        found: list[Any] = []
        for instrument in touched:
            rows = [one for one in items if one.instrument == instrument]
            found += self._merge_tape(leg, instrument, rows, anew=instrument in anew)
        return found

    def _merge_tape(self, leg: int, instrument: int, rows: "list[Any]", *, anew: bool) -> "list[Any]":
        machine = self.legs[leg]
        position = machine.position(instrument)
        assert position is not None, "an update was taken"
        others = self._whole_up_to(leg, instrument)
        key = leg, instrument
        if anew and others is not None and others < position:
            # The other leg has, or will have, what this one has not seen.
            self._holes[key] = position, []
        hole = self._holes.get(key)
        if hole is not None:
            until, waiting = hole
            waiting += [row for row in rows if isinstance(row, FeedTrade) and row.seq > until]
            if others is None or len(waiting) > _MAX_ROWS:
                text = f"instrument {instrument}: trades up to seq {until} are missing, and no other feed has them"
                raise FeedGap(text)
            if others < until:
                return []
            del self._holes[key]
            rows = waiting
        here = position, machine.epoch
        last = self._last.get(instrument)
        if last is None:
            # It begins here.
            self._through[instrument], self._last[instrument] = here, (position, _LAST_INDEX)
            return []
        found: list[Any] = []
        for row in rows:
            if isinstance(row, TradesMissed):
                if others is None:
                    found.append(row)
            elif (row.seq, row.index) > last:
                last = row.seq, row.index
                found.append(row)
        if anew and others is None:
            # Also to an earlier seq, where an operator had the cluster go on without what came after it.
            self._through[instrument], self._last[instrument] = here, (position, _LAST_INDEX)
        else:
            self._through[instrument], self._last[instrument] = max(self._through[instrument], here), last
        return found

    def _whole_up_to(self, leg: int, instrument: int) -> "int | None":
        """How far another leg has all trades of an instrument; None: none is whole."""
        found = [
            other.position(instrument) or 0
            for number, other in enumerate(self.legs)
            if number != leg and other.is_live(instrument) and (number, instrument) not in self._holes
        ]
        return max(found, default=None)

    # ---- candles -------------------------------------------------------------------------------------------------

    def _merge_rest(self, leg: int, items: "list[Any]") -> "list[Any]":
        """Candles: each as it has changed, so what is not newer than what was handed out has come already."""
        machine, found = self.legs[leg], []
        for item in items:
            if isinstance(item, Candle):
                key = item.open_ns, item.last_seq
                if key <= self._last.get(item.instrument, (-1, 0)):
                    continue
                self._last[item.instrument] = key
            found.append(item)
        for instrument in dict.fromkeys(item.instrument for item in items):
            position = machine.position(instrument)
            if position is not None:
                through = self._through.get(instrument, (0, 0))
                self._through[instrument] = max(through, (position, machine.epoch))
        return found


def _epoch_of(frame: feed_pb2.FeedFrame) -> int:
    """The highest epoch that a frame speaks of; 0: of none."""
    epochs = [update.epoch for update in frame.updates]
    if frame.HasField("heartbeat"):
        epochs.append(frame.heartbeat.epoch)
    return max(epochs, default=0)
