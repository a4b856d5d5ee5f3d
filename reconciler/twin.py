"""The reconciler's own execution of the journal: an engine, the digest chain, and the order of the stream. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from lockstep.engine.contract import MatchingEngine, StreamGap
from lockstep.engine.snapshot_format import StateImage, decode_snapshot
from lockstep.stream.batch import Batch
from lockstep.stream.digest import GENESIS, Digest, next_digest
from lockstep.stream.records import Events


class AuditEngine(MatchingEngine, Protocol):
    """An engine that writes its state down."""

    def snapshot(self) -> bytes:
        """The whole state in canonical bytes."""
        ...


class EngineType(Protocol):
    """Makes engines: empty ones by a call, others from a snapshot."""

    def __call__(self) -> AuditEngine:
        """An engine without any state."""
        ...

    def restore(self, raw: bytes) -> AuditEngine:
        """An engine in the state of a snapshot."""
        ...


class StreamBroken(ValueError):
    """A batch does not follow from the one before; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where an execution starts: a state and the chain digest that belongs to it."""

    seq: int = 0
    epoch: int = 0
    timestamp_ns: int = 0
    digest: Digest = GENESIS
    state: bytes = field(default=b"", repr=False)
    """A snapshot in the engines' format; empty: from nothing."""

    def image(self) -> StateImage | None:
        """The state, decoded. Raises SnapshotError."""
        return decode_snapshot(self.state) if self.state else None


@dataclass(frozen=True, slots=True)
class Executed:
    """One batch with what it led to."""

    batch: Batch
    events: Events = field(repr=False)
    digest: Digest


class Twin:
    """Executes batches one after the other."""

    def __init__(self, engine_type: EngineType, start: Start) -> None:
        """Raises SnapshotError: the start's state can't be restored."""
        self._engine_type = engine_type
        self.engine = engine_type.restore(start.state) if start.state else engine_type()
        self.seq, self.epoch, self.timestamp_ns = start.seq, start.epoch, start.timestamp_ns
        self.digest = start.digest

    def execute(self, batch: Batch) -> Executed:
        """Execute one batch.

        Raises:
            StreamBroken: it does not follow; nothing was changed.
        """
        if not batch.count:
            raise StreamBroken(f"the batch at seq {batch.first_seq} is empty")
        if batch.first_seq != self.seq + 1:
            raise StreamBroken(f"a batch starts at seq {batch.first_seq}, {self.seq + 1} is next")
        if batch.epoch < self.epoch:
            raise StreamBroken(f"the epoch falls from {self.epoch} to {batch.epoch} at seq {batch.first_seq}")
        try:
            events = self.engine.apply(batch.records, first_seq=batch.first_seq, timestamp_ns=batch.timestamp_ns)
        except StreamGap as gap:
            raise StreamBroken(str(gap)) from gap
        self.digest = next_digest(self.digest, batch.raw, events.tobytes())
        self.seq, self.epoch, self.timestamp_ns = batch.last_seq, batch.epoch, batch.timestamp_ns
        return Executed(batch, events, self.digest)

    def position(self) -> Start:
        """Where it stands: another execution can start from there."""
        return Start(self.seq, self.epoch, self.timestamp_ns, self.digest, self.engine.snapshot())

    def digest_after(self, batch: Batch) -> Digest:
        """The chain digest that a batch would lead to; the execution itself stays where it is.

        Raises:
            StreamBroken: the batch does not follow.
        """
        return self.copy().execute(batch).digest

    def copy(self) -> "Twin":
        """One that stands where this one does, and goes on by itself."""
        return Twin(self._engine_type, self.position())


def first_difference(low: int, high: int, equal_at: Callable[[int], bool]) -> int:
    """Bisect: the first position in `low + 1 .. high` at which two chains differ, given that they differ at `high`.

    `low` counts as equal. It asks `equal_at` about the binary logarithm of the distance.
    """
    while high - low > 1:
        middle = (low + high) // 2
        if equal_at(middle):
            low = middle
        else:
            high = middle
    return high
