"""What a follower reads: a stretch of the committed stream, commands and what they led to, checked. Pure."""

from dataclasses import field
from typing import Final

import numpy as np

from lockstep.stream.batch import Batch
from lockstep.stream.records import CONTROL_EVENT, EventKind, Events
from lockstep.stream.values import frozen

_EPOCH_STARTED: Final = int(EventKind.EPOCH_STARTED)


class ChunkFault(Exception):
    """What an engine gave does not fit together, or does not continue what was applied. The text says how."""


@frozen
class Position:
    """How far a follower is: everything up to `seq` is applied, nothing beyond it."""

    seq: int = 0
    epoch: int = 0
    """In which the record at `seq` was stamped."""
    timestamp_ns: int = 0
    """Its stamped time."""


@frozen
class EpochBegin:
    """An epoch and the seq of its first record."""

    epoch: int
    first_seq: int


@frozen
class Chunk:
    """Committed batches after one seq up to another, and all events that they led to."""

    batches: tuple[Batch, ...] = field(repr=False)
    events: Events = field(repr=False)
    """dtype EVENT, shape (n,), in order of (seq, index)."""
    through_seq: int
    """The last seq that it covers; where there are no batches, as far as the engine is known to have nothing new."""
    committed_seq: int
    """How far the engine knew the cluster to be committed."""
    epoch: int
    """The highest epoch in the engine's journal."""
    in_sync: bool = True
    """Whether the engine counts itself among those that hold everything that is committed."""

    @property
    def first_seq(self) -> int:
        """Of its first command; `through_seq + 1` if it has none."""
        return self.batches[0].first_seq if self.batches else self.through_seq + 1

    @property
    def commands(self) -> int:
        """How many commands it has."""
        return sum(batch.count for batch in self.batches)

    def end(self) -> Position:
        """Where a follower is that has applied it; there is at least one batch."""
        last = self.batches[-1]
        return Position(last.last_seq, last.epoch, last.timestamp_ns)

    def epochs(self) -> list[EpochBegin]:
        """Epochs that begin in it."""
        begins = self.events["kind"] == _EPOCH_STARTED
        if not begins.any():
            return []
        rows = np.frombuffer(self.events[begins].tobytes(), dtype=CONTROL_EVENT)
        return [EpochBegin(int(row["epoch"]), int(row["seq"])) for row in rows]


def check(chunk: Chunk, position: Position) -> None:
    """Whether a chunk with batches continues a position, and its events are those of its commands.

    Raises:
        ChunkFault: it does not.
    """
    seq, epoch, timestamp_ns = position.seq, position.epoch, position.timestamp_ns
    for batch in chunk.batches:
        if batch.first_seq != seq + 1 or not batch.count:
            raise ChunkFault(f"a batch begins at seq {batch.first_seq}, {seq + 1} was expected")
        if batch.epoch < epoch or batch.timestamp_ns < timestamp_ns:
            raise ChunkFault(f"at seq {batch.first_seq} epoch or time go back: {batch.epoch} after {epoch}")
        seq, epoch, timestamp_ns = batch.last_seq, batch.epoch, batch.timestamp_ns
    if seq != chunk.through_seq:
        raise ChunkFault(f"batches end at seq {seq}, events at {chunk.through_seq}")
    seqs = chunk.events["seq"].astype(np.int64)
    firsts = np.flatnonzero(chunk.events["index"] == 0)
    # Every command has an outcome, so the events of index 0 count the seqs without a gap.
    if not np.array_equal(seqs[firsts], np.arange(position.seq + 1, seq + 1)):
        raise ChunkFault(f"events of seq {position.seq + 1} to {seq} are missing, repeated or out of order")
    places = np.arange(len(seqs)) - np.repeat(firsts, np.diff(np.append(firsts, len(seqs))))
    if not np.array_equal(chunk.events["index"], places) or (np.diff(seqs) < 0).any():
        raise ChunkFault(f"events of seq {position.seq + 1} to {seq} are out of order")
    known = {begin.epoch for begin in chunk.epochs()} | {position.epoch}
    strangers = {batch.epoch for batch in chunk.batches} - known
    if strangers:
        raise ChunkFault(f"batches are of epoch {min(strangers)}, which began nowhere")
