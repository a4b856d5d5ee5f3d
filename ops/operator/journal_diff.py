"""Where two journals diverge: the first command that differs, in itself or in its outcome. Pure over its sources.

Three kinds of difference mean three things. Other *commands* at one seq: a tail that a reign discarded (harmless where
it was never committed, and archived when that engine returns). Other *stamps* of the same commands: the same. The same
commands with other *outcomes*: an engine computed something else, which must never be.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from lockstep.ops.operator.record_text import describe_command, describe_event
from lockstep.replica.journal import JournalSummary
from lockstep.stream.batch import Batch, decode_batch
from lockstep.stream.records import Events


class DiffSource(Protocol):
    """What is compared: `ColdJournal` is one."""

    @property
    def summary(self) -> JournalSummary:
        """What it says of itself."""

    def raw_batches(self, from_seq: int = 1) -> Iterator[bytes]:
        """Entries in order."""

    def digest(self, last_seq: int) -> bytes | None:
        """Stored digest."""

    def events(self, first_seq: int) -> Events | None:
        """Stored events of a batch."""


class Kind(Enum):
    """How two journals differ."""

    COMMAND = "other command"
    STAMP = "other stamp"
    OUTCOME = "other outcome"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first one."""

    kind: Kind
    seq: int
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found."""

    from_seq: int
    """Where the comparison began: before that, one of the two holds nothing any more."""
    equal_through: int
    """Last seq up to which both are equal."""
    commands: int
    """How many were compared and found equal."""
    digests_compared: int
    left_tip: int
    right_tip: int
    difference: Difference | None = None

    @property
    def agree(self) -> bool:
        """Whether neither contradicts the other; one may be longer."""
        return self.difference is None


def compare(left: DiffSource, right: DiffSource) -> Comparison:
    """Compare two journals from the first seq that both hold on.

    Raises:
        JournalFault, LayoutError: an entry can't be read; `verify` says which.
    """
    lefts, rights = _Cursor(left), _Cursor(right)
    from_seq = max(lefts.seq, rights.seq)
    lefts.skip_to(from_seq)
    rights.skip_to(from_seq)
    equal, digests = from_seq - 1, 0
    difference = None
    while lefts.batch is not None and rights.batch is not None:
        difference = _differ(lefts.batch, rights.batch, equal + 1)
        if difference is not None:
            equal = max(equal, difference.seq - 1)
            break
        end = min(lefts.batch.last_seq, rights.batch.last_seq)
        one, other = left.digest(end), right.digest(end)
        if one is not None and other is not None:
            digests += 1
            if one != other:
                difference = _outcome(left, right, lefts.batch, rights.batch, one, other)
                break
        equal = end
        lefts.skip_to(end + 1)
        rights.skip_to(end + 1)
    tips = (left.summary.tip_seq, right.summary.tip_seq)
    return Comparison(from_seq, equal, max(0, equal - from_seq + 1), digests, *tips, difference)


class _Cursor:
    """The batch of a journal that holds the present seq."""

    def __init__(self, source: DiffSource) -> None:
        self._raw = source.raw_batches()
        self.batch: Batch | None = None
        self._next()
        self.seq = self.batch.first_seq if self.batch is not None else 1

    def skip_to(self, seq: int) -> None:
        while self.batch is not None and self.batch.last_seq < seq:
            self._next()

    def _next(self) -> None:
        raw = next(self._raw, None)
        self.batch = decode_batch(raw) if raw is not None else None


def _differ(left: Batch, right: Batch, seq: int) -> Difference | None:
    """The first difference of two batches that both hold `seq`."""
    end = min(left.last_seq, right.last_seq)
    ours, theirs = (b.records[seq - b.first_seq : end + 1 - b.first_seq] for b in (left, right))
    if ours.tobytes() != theirs.tobytes():
        rows = zip(ours, theirs, strict=True)
        offset = next(i for i, (one, other) in enumerate(rows) if one.tobytes() != other.tobytes())
        if offset:
            return Difference(
                Kind.COMMAND, seq + offset, describe_command(ours[offset]), describe_command(theirs[offset])
            )
    stamps = tuple(f"epoch {b.epoch}, time {b.timestamp_ns}, batch {b.first_seq}..{b.last_seq}" for b in (left, right))
    if ours.tobytes() != theirs.tobytes():
        texts = (f"{describe_command(rows[0])} ({stamp})" for rows, stamp in zip((ours, theirs), stamps, strict=True))
        return Difference(Kind.COMMAND, seq, *texts)
    if (left.epoch, left.timestamp_ns, left.first_seq) != (right.epoch, right.timestamp_ns, right.first_seq):
        return Difference(Kind.STAMP, seq, *stamps)
    return None


def _outcome(left: DiffSource, right: DiffSource, ours: Batch, theirs: Batch, one: bytes, other: bytes) -> Difference:
    """The first command of a batch whose events differ, if the events are kept; otherwise the batch."""
    texts = (f"digest {one.hex()}", f"digest {other.hex()}")
    lefts, rights = left.events(ours.first_seq), right.events(theirs.first_seq)
    if lefts is None or rights is None:
        return Difference(Kind.OUTCOME, ours.first_seq, *texts)
    for seq in range(ours.first_seq, ours.last_seq + 1):
        mine, yours = lefts[lefts["seq"] == seq], rights[rights["seq"] == seq]
        if mine.tobytes() != yours.tobytes():
            return Difference(Kind.OUTCOME, seq, _story(ours, seq, mine), _story(ours, seq, yours))
    # The chain has differed before; only what was kept of it begins here.
    return Difference(Kind.OUTCOME, ours.first_seq, *texts)


def _story(batch: Batch, seq: int, events: Events) -> str:
    command = describe_command(batch.records[seq - batch.first_seq])
    reported = "; ".join(describe_event(event) for event in np.atleast_1d(events)) or "no events"
    return f"{command} => {reported}"
