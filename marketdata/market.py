"""What is still to be delivered to one market-data subscriber. Pure.

Book changes are conflated: of a level or a best price that changes twice before the subscriber reads, only the last
value is delivered. A subscriber for whom too many levels wait gets a new snapshot instead. One with a limited depth
has exactly the best levels of each side after each message (see `depth.py`). Trades are never conflated (see
`tape.py`); their queue is bounded, and a subscriber that lets it overflow must subscribe again, from the last it has.

Each message of an instrument and feed names the seq of the one before it, so that a subscriber sees for itself that it
has missed none.

Messages are made in turns of bounded work: a subscriber to everything may wait for thousands of books at once.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from lockstep.marketdata.books import BookChange, Print
from lockstep.marketdata.depth import Window
from lockstep.marketdata.encodings import (
    FEEDS,
    L1,
    L2,
    TRADES,
    Encodings,
    encode_best,
    encode_head,
    encode_missed,
    encode_through,
)
from lockstep.marketdata.tape import EventKey, Missed, Tape, TapeState
from lockstep.v1 import market_data_pb2

MOST_IN_TURN: Final = 1_000
"""Levels, and messages at about ten levels each, that one `take` makes at the most, but for its last message."""
_MESSAGE_COST: Final = 10
_NO_INSTRUMENT: Final = 0
_EMPTY_BOOK: Final = market_data_pb2.MarketDataUpdate(snapshot=market_data_pb2.BookSnapshot()).SerializeToString()


class Subscription:
    """Invariant: an instrument has a snapshot delivered or waiting before any change of it is delivered."""

    def __init__(
        self, instruments: Iterable[int], feeds: Iterable[int], depth: int, last_seen: EventKey | None = None
    ) -> None:
        """No instruments: all, later ones too. `depth`: levels a side, 0: all. `last_seen`: see `Tape`."""
        self.wanted = frozenset(instruments)
        """Instruments; empty: all."""
        wanted_feeds = tuple(feeds)
        self._feeds = tuple(feed for feed in FEEDS if feed in wanted_feeds)
        self._depth = depth
        # Instruments of which something is to be delivered, in order of first change.
        self._snapshots: OrderedDict[int, None] = OrderedDict()
        self._levels: OrderedDict[int, None] = OrderedDict()
        self._best: OrderedDict[int, None] = OrderedDict()
        self._tapes: OrderedDict[int, None] = OrderedDict()
        self._windows: dict[int, Window] = {}
        self._delivered: dict[tuple[int, int], int] = {}
        self._known: dict[int, None] = {}
        self._through = 0
        self.tape = Tape(last_seen)

    @property
    def has_tape(self) -> bool:
        """Whether trades are delivered."""
        return TRADES in self._feeds

    def wants(self, instrument: int) -> bool:
        """Whether it is subscribed to the instrument."""
        return not self.wanted or instrument in self.wanted

    def begin(self, instruments: Iterable[int]) -> None:
        """Owe a snapshot of each of these instruments that is wanted and was not begun before."""
        for instrument in instruments:
            if self.wants(instrument) and instrument not in self._known:
                self._known[instrument] = None
                if L1 in self._feeds or L2 in self._feeds:
                    self._snapshots[instrument] = None
                if self.has_tape:
                    self._tapes[instrument] = None

    def on_burst(self, changes: Iterable[BookChange], trades: Sequence[tuple[int, Print]]) -> None:
        """One burst's effect on the books, and its trades in order of event id, each with its instrument."""
        for change in changes:
            if self.wants(change.instrument):
                self._on_change(change)
        if self.has_tape and trades:
            self.tape.on_live(trade for trade in trades if self.wants(trade[0]))

    def _on_change(self, change: BookChange) -> None:
        instrument = change.instrument
        if instrument not in self._known:
            self.begin((instrument,))
        if instrument in self._snapshots:
            return
        if L1 in self._feeds and change.best is not None:
            self._best[instrument] = None
        if L2 in self._feeds and change.levels:
            window = self._windows[instrument]
            window.touch(change.levels)
            if window.overflowed:
                self._levels.pop(instrument, None)
                self._best.pop(instrument, None)
                self._snapshots[instrument] = None
            elif window.touched:
                self._levels[instrument] = None

    @property
    def waiting(self) -> bool:
        """Something is to be delivered."""
        return bool(self._snapshots or self._levels or self._best or self._tapes_wait or len(self.tape))

    @property
    def _tapes_wait(self) -> bool:
        # Where the tape begins again is not known as long as what was seen is in doubt.
        return bool(self._tapes) and self.tape.state is not TapeState.DOUBT

    def take(self, view: Encodings, epoch: int, *, most: int = MOST_IN_TURN, progress: bool = False) -> list[bytes]:
        """Messages of what is to be delivered, as of the books: some of it, if `waiting` is still true afterwards.

        `progress`: if there is nothing else, how far trades were delivered.
        """
        turn = _Turn(view, epoch, most)
        self._take_best(turn)
        self._take_levels(turn)
        self._take_trades(turn)
        self._take_snapshots(turn)
        self._report_progress(turn, alone=progress)
        return turn.messages

    def _take_best(self, turn: "_Turn") -> None:
        while self._best and turn.room > 0:
            instrument, _ = self._best.popitem(last=False)
            self._say(turn, instrument, L1, encode_best(turn.books.best(instrument)))

    def _take_levels(self, turn: "_Turn") -> None:
        while self._levels and turn.room > 0:
            instrument, _ = self._levels.popitem(last=False)
            levels = self._windows[instrument].take(turn.books, instrument)
            body = turn.view.change(instrument, self._depth, self._delivered[instrument, L2], levels)
            self._say(turn, instrument, L2, body, levels=len(levels))

    def _take_trades(self, turn: "_Turn") -> None:
        if self.tape.state is TapeState.DOUBT:
            return
        while len(self.tape) and turn.room > 0:
            self._take_trade(turn, self.tape.take())
        while self._tapes and turn.room > 0:
            instrument, _ = self._tapes.popitem(last=False)
            self._say(turn, instrument, TRADES, _EMPTY_BOOK, seq=self.tape.began[0])

    def _take_trade(self, turn: "_Turn", entry: tuple[int, Print] | Missed) -> None:
        if isinstance(entry, Missed):
            self._say(turn, _NO_INSTRUMENT, TRADES, encode_missed(entry), seq=entry.through_seq)
            return
        instrument, trade = entry
        if instrument in self._tapes:
            del self._tapes[instrument]
            self._say(turn, instrument, TRADES, _EMPTY_BOOK, seq=self.tape.began[0])
        event_id = trade.seq, trade.index
        self._say(turn, instrument, TRADES, turn.view.trade(trade), seq=trade.seq, event_id=event_id)

    def _take_snapshots(self, turn: "_Turn") -> None:
        while self._snapshots and turn.room > 0:
            instrument, _ = self._snapshots.popitem(last=False)
            if L1 in self._feeds:
                self._say(turn, instrument, L1, encode_best(turn.books.best(instrument)))
            if L2 in self._feeds:
                window = self._windows.setdefault(instrument, Window(self._depth))
                window.begin(turn.books, instrument)
                made = turn.view.encoded_levels
                body = turn.view.book(instrument, self._depth)
                self._say(turn, instrument, L2, body, levels=turn.view.encoded_levels - made)

    def _report_progress(self, turn: "_Turn", *, alone: bool) -> None:
        seq = turn.books.seq
        if not self.has_tape or self.tape.state is not TapeState.LIVE or len(self.tape) or seq <= self._through:
            return
        if turn.messages:
            turn.messages[-1] += encode_through(seq)
        elif alone:
            self._say(turn, _NO_INSTRUMENT, TRADES, encode_through(seq))
        else:
            return
        self._through = seq

    def _say(
        self,
        turn: "_Turn",
        instrument: int,
        feed: market_data_pb2.Feed,
        body: bytes,
        *,
        levels: int = 0,
        seq: int | None = None,
        event_id: EventKey | None = None,
    ) -> None:
        seq = turn.books.seq if seq is None else seq
        previous = self._delivered.get((instrument, feed), 0)
        self._delivered[instrument, feed] = seq
        head = encode_head(turn.epoch, instrument, feed, seq=seq, previous_seq=previous, event_id=event_id)
        turn.add(head + body, levels)


class _Turn:
    """Messages made in one `take`, and how much work there is room for."""

    __slots__ = ("books", "epoch", "messages", "room", "view")

    def __init__(self, view: Encodings, epoch: int, most: int) -> None:
        self.view = view
        self.books = view.books
        self.epoch = epoch
        self.room = most
        self.messages: list[bytes] = []

    def add(self, message: bytes, levels: int = 0) -> None:
        """One more message, and how many levels were put into bytes for it."""
        self.messages.append(message)
        self.room -= _MESSAGE_COST + levels
