"""The trades that one subscriber gets: in increasing event id, each once, also across its connections. Pure.

A subscriber that comes back says which trade it has last. Live trades follow from the moment at which it is admitted;
`begin` fixes that moment, and holds them back. What lies between is fetched and put in with `on_fetched`, and `release`
lets the live ones follow. So there is one boundary, and whatever is put in twice, or was delivered elsewhere, is
dropped by its id. What can't be had is said in its place.

States: DOUBT (the subscriber may know of commands that were discarded since; `void` or `trust` ends it), CATCHING_UP,
LIVE, and OVERFLOWED, from which there is no way back: nothing more is put in, and the subscriber comes again for it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lockstep.marketdata.books import Print

EventKey = tuple[int, int]
"""(seq, index)."""
LAST_INDEX: Final = 2**32 - 1
MAX_TRADES: Final = 65_536


class TapeState(Enum):
    """See the module."""

    DOUBT = "doubt"
    CATCHING_UP = "catching up"
    LIVE = "live"
    OVERFLOWED = "overflowed"


@dataclass(frozen=True, slots=True)
class Missed:
    """Trades after `after` with seqs up to `through_seq` can't be delivered; those delivered from `void_from_seq` on
    are void."""

    after: EventKey
    through_seq: int
    text: str
    void_from_seq: int = 0


class Tape:
    """Invariant: `after` is the id of the last trade put into the queue, or passed over; it grows, but for `void`."""

    def __init__(self, last_seen: EventKey | None = None) -> None:
        """`last_seen`: what the subscriber has; None: it begins with what is traded from now on."""
        self._last_seen = last_seen
        self._queue: deque[tuple[int, Print] | Missed] = deque()
        self._held: list[tuple[int, Print]] = []
        self.state = TapeState.LIVE
        self.after: EventKey = last_seen or (0, 0)
        self.began = self.after
        """The trades after this one are delivered."""
        self.boundary = 0
        """Seq up to which trades are older than the subscription."""

    def begin(self, through_seq: int, *, in_doubt: bool = False) -> None:
        """From the next seq on trades come live. `in_doubt`: what was seen was delivered under a lower epoch."""
        self.boundary = through_seq
        if self._last_seen is None:
            self.after = self.began = (through_seq, LAST_INDEX)
        elif in_doubt:
            self.state = TapeState.DOUBT
        elif self.after < (through_seq, LAST_INDEX):
            self.state = TapeState.CATCHING_UP

    @property
    def wanted(self) -> bool:
        """Whether older trades are to be fetched: those after `after`, up to `boundary`."""
        return self.state is TapeState.CATCHING_UP and self.after < (self.boundary, LAST_INDEX)

    def __len__(self) -> int:
        """What waits to be taken."""
        return len(self._queue)

    def on_live(self, trades: Iterable[tuple[int, Print]]) -> None:
        """(Instrument, trade) of one burst, in order."""
        if self.state is TapeState.LIVE:
            self._put(trades)
        elif self.state is not TapeState.OVERFLOWED:
            self._held.extend(trades)
        if len(self._queue) + len(self._held) > MAX_TRADES:
            self._held.clear()
            self.state = TapeState.OVERFLOWED

    def on_fetched(self, trades: Iterable[tuple[int, Print]], through: EventKey) -> None:
        """Older trades, in order, and all that there are up to the event `through`."""
        if self.state is TapeState.CATCHING_UP:
            self._put(trades)
            self.after = max(self.after, through)

    def miss(self, through_seq: int, text: str) -> None:
        """Older trades up to this seq can't be had."""
        if self.state is TapeState.CATCHING_UP and self.after < (through_seq, LAST_INDEX):
            self._queue.append(Missed(self.after, through_seq, text))
            self.after = (through_seq, LAST_INDEX)

    def void(self, from_seq: int, text: str) -> None:
        """What was delivered from this seq on is not history any more; what is there now is wanted."""
        assert self.state is TapeState.DOUBT, "only what is in doubt can turn out to be void"
        self.after = self.began = min(self.after, (from_seq - 1, LAST_INDEX))
        self._queue.append(Missed(self.after, from_seq - 1, text, from_seq))
        self.state = TapeState.CATCHING_UP

    def trust(self) -> None:
        """What was seen is history."""
        if self.state is TapeState.DOUBT:
            self.state = TapeState.CATCHING_UP

    def release(self) -> None:
        """The older trades are in: the live ones follow."""
        if self.state is TapeState.CATCHING_UP:
            held, self._held = self._held, []
            self.after = max(self.after, (self.boundary, LAST_INDEX))
            self.state = TapeState.LIVE
            self._put(held)

    def take(self) -> tuple[int, Print] | Missed:
        """The next one.

        Raises:
            IndexError: nothing waits.
        """
        return self._queue.popleft()

    def _put(self, trades: Iterable[tuple[int, Print]]) -> None:
        for trade in trades:
            event_id = trade[1].seq, trade[1].index
            if event_id > self.after:
                self._queue.append(trade)
                self.after = event_id
