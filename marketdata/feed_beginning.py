"""How a life of a feed begins: at the begin of the history, or at a snapshot of an engine. Pure.

A history that is not long is read from its first command: then the tape, candles and statistics are whole. Of a longer
one, or one whose journals were cut, a verified snapshot is fetched, and what follows it is read like any other gap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lockstep.runtime.following import after
from lockstep.runtime.inquiry import Inquiry, Newest, NoAnswer
from lockstep.runtime.snapshot_reader import Snapshot
from lockstep.v1 import replication_pb2

PAUSE_NS: Final = 100_000_000
HISTORY_COMMANDS: Final = 1_000_000
"""A history of so many commands is read from its begin."""
_ANY_SESSION: Final = 1


class State(Enum):
    """How a life begins."""

    PAUSE = "pause"
    """Engines may come later than this feed."""
    POLL = "poll"
    """For the newest answer of all engines."""
    FETCH = "fetch"
    """For a snapshot."""
    OVER = "over"


class Learnt(Enum):
    """What moves it."""

    TIME = "the time has come"
    NO_ANSWER = "nobody answers, or none with a history as new as what was reported before"
    SHORT = "the history can be read from its begin"
    LONG = "the history is long, or its begin is gone"
    SNAPSHOT = "a snapshot, or no engine has one"
    UNREADABLE = "the snapshot can't be read"


BEGINNINGS: Final[dict[tuple[State, Learnt], State]] = {
    (State.PAUSE, Learnt.TIME): State.POLL,
    (State.POLL, Learnt.NO_ANSWER): State.PAUSE,
    (State.POLL, Learnt.SHORT): State.OVER,
    (State.POLL, Learnt.LONG): State.FETCH,
    (State.FETCH, Learnt.SNAPSHOT): State.OVER,
    (State.FETCH, Learnt.UNREADABLE): State.PAUSE,
}


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin. `committed_seq`: how far the cluster was then; the feed serves when it is there."""

    committed_seq: int
    epoch: int
    snapshot: Snapshot | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One of these is to be done."""

    ask: Inquiry | None = None
    """`on_end` is called with what comes of it."""
    fetch: tuple[int, ...] = ()
    """A snapshot of one of these engines, in this order; `on_snapshot` is called."""
    deadline_ns: int = 0
    """`on_time` is called then."""
    start: Start | None = None


class FeedBeginning:
    """See the module."""

    def __init__(self, engines: Callable[[], list[int]], *, least_epoch: int = 0, begin_is_gone: bool = False) -> None:
        """`engines`: in the order in which they are asked. `least_epoch`: of what an earlier life has reported.

        `begin_is_gone`: that life found that the journals were cut.
        """
        self._engines = engines
        self._least_epoch = least_epoch
        self._begin_is_gone = begin_is_gone
        self._stamp = (0, 0)
        self.state = State.PAUSE
        self.said = ""
        """Why it waits, in words."""

    def on_time(self) -> Step:
        """Begin, or ask again."""
        self._move(Learnt.TIME)
        return Step(ask=Newest(self._engines(), replication_pb2.QueryRequest(session_id=_ANY_SESSION)))

    def on_end(self, end: replication_pb2.QueryReply | NoAnswer, now_ns: int) -> Step:
        """What came of the question."""
        if isinstance(end, NoAnswer):
            return self._pause(Learnt.NO_ANSWER, end.text, now_ns)
        epoch, seq = end.stamp.epoch, end.stamp.seq
        # An engine without an epoch has a new disk, and knows nothing of where the cluster stands.
        if not epoch or epoch < self._least_epoch:
            text = f"the engines that answer are of epoch {epoch}, {self._least_epoch or 'none'} was reported"
            return self._pause(Learnt.NO_ANSWER, text, now_ns)
        self._stamp = epoch, seq
        if seq > HISTORY_COMMANDS or self._begin_is_gone:
            self._move(Learnt.LONG)
            return Step(fetch=tuple(self._engines()))
        self._move(Learnt.SHORT)
        return Step(start=Start(seq, epoch))

    def on_snapshot(self, snapshot: Snapshot | str | None, now_ns: int) -> Step:
        """What was fetched; None: no engine has one. Text: why it can't be had."""
        if isinstance(snapshot, str):
            return self._pause(Learnt.UNREADABLE, snapshot, now_ns)
        self._move(Learnt.SNAPSHOT)
        epoch, seq = self._stamp
        return Step(start=Start(seq, epoch, snapshot))

    def _pause(self, learnt: Learnt, why: str, now_ns: int) -> Step:
        self._move(learnt)
        self.said = why
        return Step(deadline_ns=now_ns + PAUSE_NS)

    def _move(self, learnt: Learnt) -> None:
        self.state = after(BEGINNINGS, self.state, learnt)
