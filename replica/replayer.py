"""Executing a journal once more, beside the live engine: what snapshots are taken from, and what verifies them."""

from lockstep.engine.contract import EngineType
from lockstep.replica.commit import CommitGate
from lockstep.replica.divergence import EpochTable
from lockstep.replica.effects import AppliedBatch
from lockstep.replica.execution import Execution
from lockstep.replica.log import LogHead
from lockstep.replica.settings import Base, BrokenInvariant
from lockstep.replica.snapshot_file import decode_snapshot_file, encode_snapshot_file
from lockstep.stream.batch import Batch
from lockstep.stream.digest import Digest


class Replayer:
    """An engine of its own, the digest chain, and the stream's roles, from seq 1 or from a snapshot on. Pure."""

    def __init__(self, make: EngineType, snapshot: bytes = b"") -> None:
        """`snapshot`: a whole file to begin with. Raises SnapshotDamaged."""
        gate = CommitGate(0, ())
        if not snapshot:
            self._head = LogHead()
            self._execution = Execution(make(), gate)
            return
        head, state = decode_snapshot_file(snapshot)
        base = head.base
        self._head = LogHead(base.seq, base.timestamp_ns, base.epochs, base.policy)
        self._execution = Execution(make.restore(state), gate, base)

    @property
    def seq(self) -> int:
        """Last seq executed."""
        return self._execution.applied_seq

    @property
    def digest(self) -> Digest:
        """Chain digest at `seq`."""
        return self._execution.digest

    @property
    def epochs(self) -> EpochTable:
        """Epochs that begin at or before `seq`."""
        return tuple(self._head.epochs)

    def run(self, journaled: Batch) -> AppliedBatch:
        """Execute the next batch.

        Raises:
            BrokenInvariant: it does not follow.
        """
        if journaled.first_seq != self.seq + 1 or journaled.epoch < self._head.epoch:
            raise BrokenInvariant(
                f"batch {journaled.first_seq} of epoch {journaled.epoch} does not follow seq {self.seq} of epoch "
                f"{self._head.epoch}"
            )
        self._head.append(journaled)
        return self._execution.execute(journaled, journaled.last_seq)

    def snapshot(self, cluster_uuid: str) -> bytes:
        """A snapshot file as of `seq`, at least one batch after the beginning."""
        execution, head = self._execution, self._head
        base = Base(
            execution.applied_seq,
            execution.digest,
            head.timestamp_ns,
            tuple(head.epochs),
            execution.gate.in_sync,
            execution.primary,
            execution.policy,
            execution.sequencer,
        )
        return encode_snapshot_file(cluster_uuid, base, execution.engine.snapshot())
