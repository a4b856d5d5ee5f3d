"""A follower of the committed stream: whom it reads from, what it applies and when, and why it stops. Pure.

A follower is a fold over the stream whose output and position are stored in one transaction (`Sink`). This machine
decides everything around that fold; `follower_driver.py` does what it says.

One read is under way while one chunk is applied and at most one waits, so memory is bounded by three chunks. It reads
from one engine as long as that gives something new, from a standby if the stream says which engine is primary, because
the primary has orders to match; it turns to the next one when an engine fails, is behind in epochs, or has had nothing
new for a second, which a hung or isolated engine never has.

It applies only what an engine knows to be committed. An operator may have had the cluster go on without commands that
were committed and applied here (forced failover with loss). Each read names the epoch under which the follower's last
record was stamped, and the engine says whether that is its history (DIVERGED). What is stored can't be taken back then:
the follower stops, and is rebuilt.

Engines cut their journals behind snapshots, each by itself. That what follows is gone is believed when every engine
that is in sync and answers says so; one that is away is waited for, a minute at most, and one that answers and has
not cut it is reason enough to go on asking.
"""

from enum import Enum
from typing import Final, Protocol

import numpy as np

from lockstep.posttrade.chunks import Chunk, ChunkFault, EpochBegin, Position, check
from lockstep.posttrade.opening import Opening
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.following import after
from lockstep.runtime.inquiry import Fault
from lockstep.stream.records import CONTROL_EVENT, EventKind
from lockstep.stream.values import frozen

IDLE_NS: Final = 50_000_000
"""Between two reads that brought nothing."""
RETRY_NS: Final = 100_000_000
ROTATE_NS: Final = 1_000_000_000
"""So long without anything new from one engine, then another one is asked."""
GONE_PATIENCE_NS: Final = 60_000_000_000
"""An engine that does not answer now may still have what the others have cut: so long it is waited for."""
MAX_WAITING: Final = 1_024
"""Reads that wait for a seq at once, for whoever serves them."""
_EPOCH_STARTED: Final = int(EventKind.EPOCH_STARTED)


class SinkAway(EnvironmentFault):
    """What stores the output does not answer now; whether a chunk is stored, the position says later."""

    keeps = False
    """What the sink has in memory is whole: it is asked again, and not opened anew. It may be within the chunk."""


class HistoryGone(EnvironmentFault):
    """What was applied is no history any more, or what follows can't be had. The text says what to do."""


class Sink(Protocol):
    """Where a follower's output and its position are stored. Called from one thread at a time."""

    def position(self) -> Position:
        """How far it is, from what is stored."""
        ...

    def epochs(self) -> list[EpochBegin]:
        """All epochs up to there."""
        ...

    def begin(self, opening: Opening) -> Position:
        """Where nothing is stored yet: begin with an engine's snapshot, in one transaction, instead of at seq 1."""
        ...

    def apply(self, chunk: Chunk) -> Position:
        """Fold a chunk that continues the position; its output and the new position are in one transaction."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class State(Enum):
    """Of the way to the engines."""

    READING = "reading"
    """An engine was asked."""
    PAUSED = "paused"
    """For a moment, or because a chunk waits to be applied."""
    STOPPED = "stopped"
    """For good: see `Stop`."""


class Came(Enum):
    """What moves it."""

    ANSWER = "an answer, or none"
    DUE = "the time has come, and there is room for a chunk"
    LOST = "applied history is no history any more, or was cut everywhere"


READINGS: Final[dict[tuple[State, Came], State]] = {
    (State.PAUSED, Came.DUE): State.READING,
    (State.READING, Came.ANSWER): State.PAUSED,
    (State.PAUSED, Came.LOST): State.STOPPED,
}


class _Word(Enum):
    """What an engine says of what follows the last chunk."""

    HAS = "in sync, and has not cut it"
    CUT = "has cut it"
    OUT = "not in sync: no word that counts"


_WORDS: Final = {Fault.GONE: _Word.CUT, Fault.BUSY: _Word.HAS}
"""Of faults. Who is busy lives, and may have it."""


@frozen
class Started:
    """The first event."""


@frozen
class Answered:
    """An engine gave a chunk; it may be empty."""

    engine: int
    chunk: Chunk


@frozen
class Failed:
    """An engine gave nothing. `first_seq`: from there on it has something, where its journal was cut (0: not known)."""

    engine: int
    fault: Fault
    text: str
    first_seq: int = 0


@frozen
class Applied:
    """What was to be applied is stored."""

    position: Position


@frozen
class Due:
    """`Effects.deadline_ns` has come."""


Event = Started | Answered | Failed | Applied | Due


@frozen
class Read:
    """Ask this engine for what follows `after_seq`, which was stamped in `epoch`."""

    engine: int
    after_seq: int
    epoch: int


@frozen
class Stop:
    """The follower can't go on. `diverged`: it has applied what the cluster does without now; else journals were cut
    before it came there."""

    diverged: bool
    after_seq: int
    text: str


@frozen
class Effects:
    """What is to be done, in the order of the fields."""

    apply: Chunk | None = None
    read: Read | None = None
    deadline_ns: int = 0
    """When `Due` is to come; 0: no need."""
    stop: Stop | None = None


class FollowerMachine:
    """See the module.

    Invariants: `position.seq <= read_seq`; what is applied, what waits and what is read next follow each other without
    gap or overlap; after `stopped` nothing is read or applied.
    """

    def __init__(self, position: Position, engines: tuple[int, ...], *, known_epoch: int = 0) -> None:
        """`engines`: ids of all, at least one. `known_epoch`: the cluster has come to it, whatever engines say."""
        assert engines, "a follower of no engine"
        self.position = position
        """What is stored."""
        self.state = State.PAUSED
        self.stopped: Stop | None = None
        self.committed_seq = position.seq
        """How far the cluster is known to be."""
        self.known_epoch = max(position.epoch, known_epoch)
        self.reads = 0
        self.turns = 0
        """How often it went to another engine."""
        self.faults: dict[str, int] = {fault.value: 0 for fault in Fault} | {"behind": 0, "damaged": 0}
        self.last_fault = ""
        self._engines = engines
        self._at = 0
        self._read = position
        """End of what was read."""
        self._applying: Chunk | None = None
        self._waiting: Chunk | None = None
        self._due_ns = 0
        self._fresh_ns: int | None = None
        self._words: dict[int, _Word] = {}
        """What each engine last said of what follows."""
        self._begins: dict[int, int] = {}
        """Of those that have cut it: from where on they have something."""
        self._cut_since_ns = 0

    @property
    def engine(self) -> int:
        """Which engine is asked."""
        return self._engines[self._at]

    @property
    def lag_commands(self) -> int:
        """Commands that are known to be committed, and are not applied."""
        return max(0, self.committed_seq - self.position.seq)

    def step(self, event: Event, now_ns: int) -> Effects:
        """Take one event, at a time of a monotonic clock."""
        self._fresh_ns = now_ns if self._fresh_ns is None else self._fresh_ns
        match event:
            case Answered():
                self._move(Came.ANSWER)
                self._on_chunk(event, now_ns)
            case Failed():
                self._move(Came.ANSWER)
                self._on_failed(event, now_ns)
            case Applied():
                assert self._applying is not None, "nothing was to be applied"
                assert event.position == self._applying.end(), f"{event.position} was stored"
                self.position, self._applying = event.position, None
            case Started() | Due():
                pass
        effects = self._plan(now_ns)
        assert self.position.seq <= self._read.seq, f"applied {self.position.seq}, read {self._read.seq}"
        return effects

    # ---- answers -------------------------------------------------------------------------------------------------

    def _on_chunk(self, answered: Answered, now_ns: int) -> None:
        chunk = answered.chunk
        if chunk.epoch < self.known_epoch:
            self._hear(answered.engine, _Word.OUT, now_ns)
            text = f"engine {answered.engine}: is of epoch {chunk.epoch}, {self.known_epoch} is known"
            self._fault("behind", text, now_ns)
            return
        self.known_epoch = chunk.epoch
        self.committed_seq = max(self.committed_seq, chunk.committed_seq)
        if not chunk.batches:
            self._hear(answered.engine, _Word.HAS if chunk.in_sync else _Word.OUT, now_ns)
            self._due_ns = now_ns + IDLE_NS
            assert self._fresh_ns is not None, "set by the first step"
            if now_ns - self._fresh_ns >= ROTATE_NS or self._begins:
                self._next_engine(now_ns)
            return
        try:
            check(chunk, self._read)
        except ChunkFault as fault:
            self._fault("damaged", f"engine {answered.engine}: {fault}", now_ns)
            return
        self._fresh_ns = now_ns
        self._words.clear()
        self._begins.clear()
        self._read = chunk.end()
        assert self._waiting is None, "read while a chunk waited"
        self._waiting = chunk
        self._prefer_standby(chunk)

    def _on_failed(self, failed: Failed, now_ns: int) -> None:
        if failed.fault is Fault.DIVERGED:
            self.stopped = Stop(diverged=True, after_seq=self._read.seq, text=failed.text)
            self._move(Came.LOST)
            return
        if failed.fault is Fault.GONE:
            self._begins[failed.engine] = failed.first_seq
        self._hear(failed.engine, _WORDS.get(failed.fault), now_ns)
        if self._is_gone(now_ns):
            self.stopped = Stop(diverged=False, after_seq=self._read.seq, text=self._gone_text(failed.text))
            self._move(Came.LOST)
            return
        self._fault(failed.fault.value, failed.text, now_ns)

    def _hear(self, engine: int, word: "_Word | None", now_ns: int) -> None:
        """`word`: None: it does not answer. What it had cut before, it has not got back."""
        if _Word.CUT not in self._words.values() or (word is None and self._words.get(engine) is _Word.HAS):
            self._cut_since_ns = now_ns
        if word is not None:
            self._words[engine] = word
        elif self._words.get(engine) is _Word.HAS:
            del self._words[engine]

    def _is_gone(self, now_ns: int) -> bool:
        """Whether all that are in sync and answer have cut what follows."""
        words = self._words.values()
        if _Word.CUT not in words or _Word.HAS in words:
            return False
        return len(words) == len(self._engines) or now_ns - self._cut_since_ns >= GONE_PATIENCE_NS

    def _gone_text(self, said: str) -> str:
        begins = [seq for seq in self._begins.values() if seq]
        text = f"{said}; there is history from seq {min(begins)} on" if begins else said
        silent = [engine for engine in self._engines if engine not in self._words]
        return f"{text}; no answer from engine {', '.join(map(str, silent))}" if silent else text

    def _fault(self, kind: str, text: str, now_ns: int) -> None:
        self.faults[kind] += 1
        self.last_fault = text
        self._due_ns = now_ns + RETRY_NS
        self._next_engine(now_ns)

    def _next_engine(self, now_ns: int) -> None:
        self.turns += 1
        self._at = (self._at + 1) % len(self._engines)
        self._fresh_ns = now_ns

    def _prefer_standby(self, chunk: Chunk) -> None:
        begins = np.flatnonzero(chunk.events["kind"] == _EPOCH_STARTED)
        if not len(begins):
            return
        last = np.frombuffer(chunk.events[begins[-1:]].tobytes(), dtype=CONTROL_EVENT)[0]
        others = [
            at for at, one in enumerate(self._engines) if one != last["primary"] and int(last["in_sync"]) >> one & 1
        ]
        if self.engine == last["primary"] and others:
            self._at = others[0]

    # ---- what next -----------------------------------------------------------------------------------------------

    def _plan(self, now_ns: int) -> Effects:
        if self.state is State.STOPPED:
            return Effects(stop=self.stopped)
        apply = None
        if self._applying is None and self._waiting is not None:
            apply = self._applying = self._waiting
            self._waiting = None
        if self.state is State.READING or self._waiting is not None:
            return Effects(apply=apply)
        if now_ns < self._due_ns:
            return Effects(apply=apply, deadline_ns=self._due_ns)
        self._move(Came.DUE)
        self.reads += 1
        return Effects(apply=apply, read=Read(self.engine, self._read.seq, self._read.epoch))

    def _move(self, came: Came) -> None:
        self.state = after(READINGS, self.state, came)
