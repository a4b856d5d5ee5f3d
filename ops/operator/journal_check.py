"""Whether a journal is what it was when it was written: proved by executing it again.

Four things are checked for each batch, in this order: its bytes (CRC32C), its place (no hole, no repetition), its stamp
(epochs and times never fall, an epoch begins with its EPOCH_START and as the epoch table says), and its outcome: a
fresh engine executes it, and the digest chain over commands and events must come to what the engine had stored. The
first fault ends the check, for after it nothing can be proved.

Pure but for what `source` reads.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lockstep.engine.contract import MatchingEngine
from lockstep.ops.operator.history import EpochBegun, from_batch
from lockstep.replica.divergence import EpochTable, epoch_at
from lockstep.replica.journal import JournalSummary
from lockstep.replica.settings import Base
from lockstep.stream.batch import Batch, LayoutError, decode_batch
from lockstep.stream.digest import GENESIS, Digest, next_digest


class JournalSource(Protocol):
    """What is checked: `ColdJournal` is one."""

    @property
    def summary(self) -> JournalSummary:
        """What it says of itself."""

    @property
    def last_digest_seq(self) -> int:
        """Seq of the newest stored digest."""

    def raw_batches(self, from_seq: int = 1) -> Iterator[bytes]:
        """Entries in order."""

    def digest(self, last_seq: int) -> bytes | None:
        """Stored digest."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found."""

    from_seq: int
    """First seq that was executed."""
    seq: int
    """Last seq that is proved."""
    epoch: int
    batches: int
    commands: int
    digests_compared: int
    digest: bytes
    """Of the chain, at `seq`."""
    epochs: tuple[EpochBegun, ...]
    fault: str = ""
    """The first fault; empty if there is none."""
    fault_seq: int = 0

    @property
    def sound(self) -> bool:
        """Whether there is no fault."""
        return not self.fault


class _Fault(Exception):
    """The first fault; carries the seq."""

    def __init__(self, seq: int, text: str) -> None:
        super().__init__(text)
        self.seq = seq


class _Check:
    """One run over a journal."""

    def __init__(self, source: JournalSource, engine: MatchingEngine, base: Base | None) -> None:
        self._source = source
        self._engine = engine
        self._table: EpochTable = source.summary.epochs
        self.from_seq = base.seq + 1 if base is not None else 1
        self.seq = self.from_seq - 1
        self.epoch = epoch_at(base.epochs, base.seq) if base is not None else 0
        self.digest = base.digest if base is not None else GENESIS
        self._timestamp_ns = base.timestamp_ns if base is not None else 0
        self.batches = self.commands = self.compared = 0
        self.epochs: list[EpochBegun] = []

    def take(self, raw: bytes) -> bool:
        """Check one entry; whether it was not executed before. Raises _Fault."""
        try:
            batch = decode_batch(raw)
        except LayoutError as error:
            raise _Fault(self.seq + 1, f"the entry is damaged: {error}") from error
        if batch.last_seq < self.from_seq:
            return False
        self._check_place(batch)
        self._check_stamp(batch)
        self._execute(batch)
        self.batches += 1
        self.commands += batch.count
        return True

    def _check_place(self, batch: Batch) -> None:
        if not batch.count:
            raise _Fault(batch.first_seq, "the entry is a batch without commands")
        if batch.first_seq != self.seq + 1:
            what = "is missing" if batch.first_seq > self.seq + 1 else "stands twice"
            raise _Fault(
                self.seq + 1, f"seq {self.seq + 1} {what}: the next entry is {batch.first_seq}..{batch.last_seq}"
            )

    def _check_stamp(self, batch: Batch) -> None:
        if batch.epoch < self.epoch or batch.timestamp_ns < self._timestamp_ns:
            raise _Fault(
                batch.first_seq,
                f"stamp falls: epoch {self.epoch} -> {batch.epoch}, time {self._timestamp_ns} -> {batch.timestamp_ns}",
            )
        begun = from_batch(batch)
        if batch.epoch > self.epoch and (begun is None or begun.first_seq != batch.first_seq):
            raise _Fault(batch.first_seq, f"epoch {batch.epoch} begins without its EPOCH_START")
        if epoch_at(self._table, batch.first_seq) != batch.epoch:
            listed = epoch_at(self._table, batch.first_seq)
            raise _Fault(batch.first_seq, f"it is of epoch {batch.epoch}, the epoch table says {listed}")
        if begun is not None:
            self.epochs.append(begun)
        self.epoch, self._timestamp_ns = batch.epoch, batch.timestamp_ns

    def _execute(self, batch: Batch) -> None:
        events = self._engine.apply(batch.records, first_seq=batch.first_seq, timestamp_ns=batch.timestamp_ns)
        self.digest = next_digest(self.digest, batch.raw, memoryview(events.view(np.uint8)))
        stored = self._source.digest(batch.last_seq)
        if stored is not None:
            self.compared += 1
            if stored != self.digest:
                raise _Fault(
                    batch.first_seq,
                    f"batch {batch.first_seq}..{batch.last_seq} executes to digest {self.digest.hex()}; when first "
                    f"executed it was {stored.hex()}: the entry or the engine's behaviour was changed",
                )
        self.seq = batch.last_seq

    def finish(self) -> None:
        """What can only be seen at the end. Raises _Fault."""
        if self._source.last_digest_seq > self.seq:
            raise _Fault(
                self.seq + 1,
                f"the journal ends at seq {self.seq}, and its end is lost: the engine had executed up to "
                f"{self._source.last_digest_seq}",
            )


def verify(
    source: JournalSource,
    engine: MatchingEngine,
    base: Base | None = None,
    on_batch: Callable[[int, Digest], None] = lambda _seq, _digest: None,
) -> Verdict:
    """Check a whole journal.

    Args:
        source: the journal.
        engine: a fresh one, or one that has a snapshot's state.
        base: what the chain was at that snapshot; None: execution begins at seq 1.
        on_batch: gets the seq and the chain digest after each proved batch; the engine stands there.

    Raises:
        JournalFault: the database itself can't be read.
    """
    check = _Check(source, engine, base)
    fault = _Fault(0, "")
    try:
        for raw in source.raw_batches(check.from_seq):
            if check.take(raw):
                on_batch(check.seq, check.digest)
        check.finish()
    except _Fault as found:
        fault = found
    return Verdict(
        check.from_seq,
        check.seq,
        check.epoch,
        check.batches,
        check.commands,
        check.compared,
        check.digest,
        tuple(check.epochs),
        str(fault),
        fault.seq,
    )
