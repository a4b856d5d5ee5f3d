"""What of the stream continues this replica's log, and what shows that the log itself is wrong.

The journal may hold a tail that no reign kept: an engine that was cut off, crashed and came back. A batch that fits by
its number alone proves nothing then. What proves that a batch continues the log:

* it was stamped in the epoch of the own tip (an epoch is opened once, so both are of one history);
* it opens a new epoch, and names the epoch of the own tip as that of the record before it, or (where it names none)
  comes from the sequencer whose stream was followed so far or that fenced this engine;
* the log is empty, or was compared with an in-sync peer's log up to the tip.

Anything else sends the replica to its peers to compare (`divergence.py`).
"""

from enum import Enum, auto

import numpy as np

from lockstep.replica.divergence import EpochEntry, epoch_at
from lockstep.stream.batch import Batch
from lockstep.stream.identity import join_uuid
from lockstep.stream.records import CONTROL, AckPolicy, CommandKind

NO_SEQUENCER = 0
ANY_SEQUENCER = -1
_SYNCED = int(AckPolicy.SYNCED)
_EPOCH_START = int(CommandKind.EPOCH_START)


class Verdict(Enum):
    """What a batch is to this log."""

    NEXT = auto()
    """It continues the log."""
    OLD = auto()
    """The log has it."""
    GAP = auto()
    """Something before it is missing."""
    CONFLICT = auto()
    """The leader has other records where this log has its own: the log's tail is divergent."""
    UNPROVEN = auto()
    """It fits by number, but nothing shows that the tail before it is the leader's."""


class LogHead:
    """The newest end of the journal, counting what is still on its way to the disk.

    Invariants: epochs ascend in epoch and first seq; `timestamp_ns` never falls.
    """

    __slots__ = ("epochs", "follows", "policy", "seq", "timestamp_ns")

    def __init__(
        self, seq: int = 0, timestamp_ns: int = 0, epochs: tuple[EpochEntry, ...] = (), policy: int = _SYNCED
    ) -> None:
        self.seq = seq
        self.timestamp_ns = timestamp_ns
        self.epochs = list(epochs)
        self.follows = NO_SEQUENCER
        """The sequencer whose stream provably continues this log."""
        self.policy = policy
        """Acknowledgement policy (`AckPolicy`) of the last EPOCH_START; SYNCED before the first."""

    @property
    def epoch(self) -> int:
        """Epoch of the last record, 0 if there is none."""
        return self.epochs[-1].epoch if self.epochs else 0

    def judge(self, batch: Batch, sender: int = NO_SEQUENCER) -> Verdict:
        """What a batch is to this log that came from `sender`, a leader that may be obeyed."""
        expected = self.seq + 1
        if batch.first_seq > expected:
            return Verdict.GAP
        if not batch.count:
            return Verdict.OLD
        if batch.first_seq < expected:
            same = epoch_at(self.epochs, batch.first_seq) == batch.epoch and batch.last_seq < expected
            return Verdict.OLD if same else Verdict.CONFLICT
        if batch.epoch == self.epoch:
            return Verdict.NEXT if batch.timestamp_ns >= self.timestamp_ns else Verdict.CONFLICT
        if not self._opens_epoch(batch):
            return Verdict.CONFLICT
        previous = int(control_records(batch)[0]["previous"])
        if previous:
            # Number and epoch name one record for ever, so nothing else has to be known of the sender.
            return Verdict.NEXT if previous == self.epoch else Verdict.CONFLICT
        proven = self.seq == 0 or self.follows in (sender, ANY_SEQUENCER)
        return Verdict.NEXT if proven else Verdict.UNPROVEN

    def ends_where(self, batch: Batch) -> bool:
        """Whether an empty batch says that its leader's stream ends with this log's last record.

        Only one sequencer stamps in an epoch, so seq and epoch name one record, and with it all before it.
        """
        return not batch.count and self.seq > 0 and (batch.epoch, batch.first_seq) == (self.epoch, self.seq + 1)

    def opened_by(self, batch: Batch) -> str:
        """The uuid of the cluster in whose name a batch opens a new epoch; empty: it opens none, or names none."""
        if batch.epoch <= self.epoch or not batch.count or not self._opens_epoch(batch):
            return ""
        return named_cluster(control_records(batch)[0])

    def append(self, batch: Batch) -> EpochEntry | None:
        """Take the batch as the new end; the epoch entry that it adds."""
        entry = None
        if batch.epoch > self.epoch:
            entry = EpochEntry(batch.epoch, batch.first_seq)
            self.epochs.append(entry)
            self.policy = int(control_records(batch)[0]["policy"])
        self.seq = batch.last_seq
        self.timestamp_ns = batch.timestamp_ns
        return entry

    def _opens_epoch(self, batch: Batch) -> bool:
        if batch.epoch <= self.epoch or batch.timestamp_ns < self.timestamp_ns:
            return False
        first = control_records(batch)[0]
        return int(first["kind"]) == _EPOCH_START and int(first["epoch"]) == batch.epoch


def named_cluster(record: np.void) -> str:
    """The uuid of the cluster that an EPOCH_START or GROW names; empty: it names none."""
    return join_uuid(int(record["cluster_high"]), int(record["cluster_low"]))


def control_records(batch: Batch) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """The batch's records under the CONTROL overlay."""
    return batch.records.view(CONTROL)
