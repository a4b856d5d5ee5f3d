"""Effects under construction: what the handlers of one step put together before it is frozen."""

from dataclasses import dataclass, field

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.effects import (
    AppliedBatch,
    AskDigest,
    Effects,
    FenceAnswer,
    FetchLog,
    FetchSnapshot,
    Install,
    JournalWrite,
    Notice,
    Rewind,
)
from lockstep.replica.replica_state import ReplicaState
from lockstep.stream.batch import Batch
from lockstep.stream.messages import Ack, Release


@dataclass(slots=True)
class Outbox:
    """See `Effects` for the meaning of the parts."""

    now_ns: int = 0
    """Of the step."""
    batches: list[Batch] = field(default_factory=list)
    epochs: list[EpochEntry] = field(default_factory=list)
    applied: list[AppliedBatch] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    fences: list[FenceAnswer] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    promise: bool = False
    """The promise was raised and has to be stored."""
    adopt_uuid: bool = False
    """The cluster's uuid was learnt and has to be stored."""
    synced: bool = False
    """One of `batches` is under the policy SYNCED."""
    truncate_after: int | None = None
    install: Install | None = None
    fetch: FetchLog | None = None
    ask: AskDigest | None = None
    fetch_snapshot: FetchSnapshot | None = None
    rewind: Rewind | None = None

    def effects(self, replica_state: ReplicaState, ack: Ack | None, *, named: bool, joined: bool) -> Effects:
        """Frozen. `named`, `joined`: the journal has learnt which cluster's it is, or was admitted."""
        journal = None
        if self.batches or self.promise or named or joined:
            journal = JournalWrite(
                tuple(self.batches),
                tuple(self.epochs),
                (replica_state.promised, replica_state.promised_to) if self.promise else None,
                replica_state.cluster_uuid if named else "",
                replica_state.committed_seq,
                joined,
                synced=self.synced,
            )
        return Effects(
            journal=journal,
            truncate_after=self.truncate_after,
            install=self.install,
            fence_answers=tuple(self.fences),
            ack=ack,
            applied=tuple(self.applied),
            releases=tuple(self.releases),
            rewind=self.rewind,
            fetch=self.fetch,
            ask=self.ask,
            fetch_snapshot=self.fetch_snapshot,
            notices=tuple(self.notices),
        )
