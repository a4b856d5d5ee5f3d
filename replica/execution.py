"""The applied half of a replica: the engine, its digest chain, and what the stream's control records say of roles."""

import numpy as np

from lockstep.engine.contract import MatchingEngine
from lockstep.replica.commit import CommitGate
from lockstep.replica.effects import AppliedBatch
from lockstep.replica.log import control_records, named_cluster
from lockstep.replica.settings import Base
from lockstep.stream.batch import Batch
from lockstep.stream.digest import GENESIS, Digest, next_digest
from lockstep.stream.records import AckPolicy, CommandKind

_CONTROL_MIN = int(CommandKind.EPOCH_START)
_EPOCH_START = int(CommandKind.EPOCH_START)
_GROW = int(CommandKind.GROW)
_GROW_REVOKED = int(CommandKind.GROW_REVOKED)


class Execution:
    """Executes journaled batches one after the other. Attributes are for reading only."""

    __slots__ = (
        "_journal",
        "_member",
        "applied_seq",
        "cluster_uuid",
        "digest",
        "engine",
        "gate",
        "policy",
        "primary",
        "sequencer",
        "taken_in",
    )

    def __init__(
        self, engine: MatchingEngine, gate: CommitGate, base: Base | None = None, *, member: int = 0, journal: int = 0
    ) -> None:
        self.engine = engine
        self.gate = gate
        self._member, self._journal = member, journal
        self.applied_seq = 0
        self.digest: Digest = GENESIS
        self.primary = 0
        """Primary by the last EPOCH_START executed, 0 before the first."""
        self.policy = int(AckPolicy.SYNCED)
        """Acknowledgement policy by the last EPOCH_START executed."""
        self.sequencer = 0
        """Who stamped the last EPOCH_START executed."""
        self.taken_in = False
        """A control record has named the own journal: the cluster has admitted it."""
        self.cluster_uuid = ""
        """The cluster that the last EPOCH_START or GROW executed names; empty: none did."""
        if base is not None:
            self.applied_seq, self.digest = base.seq, base.digest
            self.primary, self.policy, self.sequencer = base.primary, base.policy, base.sequencer
            gate.on_epoch_start(base.in_sync)
            gate.on_applied(base.seq, base.digest, base.seq)

    def execute(self, journaled: Batch, committed_seq: int) -> AppliedBatch:
        """Execute one batch. Raises StreamGap if it does not follow."""
        records = journaled.records
        first_seq = journaled.first_seq
        events = self.engine.apply(records, first_seq=first_seq, timestamp_ns=journaled.timestamp_ns)
        self.digest = next_digest(self.digest, journaled.raw, memoryview(events.view(np.uint8)))
        self.applied_seq = journaled.last_seq
        if int(records["kind"].max()) >= _CONTROL_MIN:
            self._execute_control(journaled)
        self.gate.on_applied(self.applied_seq, self.digest, committed_seq)
        return AppliedBatch(journaled.epoch, first_seq, self.applied_seq, events, self.digest)

    def _execute_control(self, journaled: Batch) -> None:
        for offset, record in enumerate(control_records(journaled)):
            kind = int(record["kind"])
            if kind == _EPOCH_START:
                self.gate.on_epoch_start(int(record["in_sync"]))
                self.primary = int(record["primary"])
                self.policy = int(record["policy"])
                self.sequencer = int(record["sequencer"])
                self.cluster_uuid = named_cluster(record) or self.cluster_uuid
                # Only a forced one names a journal: that of the engine which is to go on alone.
                self.taken_in |= self._names_own_journal(record)
            elif kind == _GROW:
                member = int(record["member"])
                self.cluster_uuid = named_cluster(record) or self.cluster_uuid
                self.gate.on_grow(journaled.first_seq + offset, member)
                # A GROW of the same engine with another disk is history: it says nothing of this journal.
                self.taken_in |= member == self._member and self._names_own_journal(record)
            elif kind == _GROW_REVOKED:
                self.gate.on_grow_revoked(int(record["member"]))

    def _names_own_journal(self, record: np.void) -> bool:
        return self._journal != 0 and int(record["journal"]) == self._journal
