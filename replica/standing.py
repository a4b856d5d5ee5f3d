"""What a replica is at a moment: the state that its machine keeps, what can be read of it, and its invariants.

`machine.py` moves it on.
"""

from collections import deque
from collections.abc import Iterable

import numpy as np

from lockstep.engine.contract import MatchingEngine
from lockstep.replica.catchup import CatchUp
from lockstep.replica.commit import CommitGate
from lockstep.replica.contradiction import Contradictions
from lockstep.replica.divergence import epoch_at
from lockstep.replica.effects import AppliedBatch, FenceAnswer, FenceRequested, Notice, Role
from lockstep.replica.execution import Execution
from lockstep.replica.log import NO_SEQUENCER, LogHead, Verdict
from lockstep.replica.outbox import Outbox
from lockstep.replica.settings import BrokenInvariant, ReplicaOptions, Restored
from lockstep.stream.arrival import MAX_EPOCH, MAX_UNEXPLAINED_EPOCHS
from lockstep.stream.digest import Digest
from lockstep.stream.frames import ACK_ENTRY, Frame, FrameFlag, FrameType, frame

_EARLY_ACKS = 256


class Standing:
    """What `ReplicaMachine` is made of. Attributes are for reading only."""

    def __init__(self, options: ReplicaOptions, engine: MatchingEngine, restored: Restored | None = None) -> None:
        restored = restored or Restored()
        self.options = options
        base = restored.base
        self.head = LogHead() if base is None else LogHead(base.seq, base.timestamp_ns, base.epochs, base.policy)
        self.committed_seq = self.head.seq
        """0..applied_seq, never falls."""
        self.promised, self.promised_to = restored.promise
        """No sequencer of a lower epoch is obeyed; at or above the epoch of every record."""
        self.cluster_uuid = restored.cluster_uuid
        """The cluster that the journal belongs to; empty until a fence, a peer or the stream has said it."""
        self.live = False
        self.diverged = ""
        """Why it stopped for good; empty while it has not."""
        self.stale_frames = 0
        """Frames dropped because their sequencer was deposed."""
        self._said: dict[int, int] = {}  # epoch that each sequencer says it is in, on its liveness link
        self._unexplained = 0  # highest epoch that somebody spoke of and no sequencer has confirmed
        self.gate = CommitGate(options.member, options.engines)
        self.execution = Execution(engine, self.gate, base, member=options.member, journal=restored.journal)
        self.journal = restored.journal
        """Identity of the journal."""
        self.joined = self.gate.joined = restored.joined
        """Whether the cluster has taken this journal in. Until then no ack of this engine counts for a commit."""
        peers = tuple(engine for engine in options.engines if engine != options.member)
        self._contradictions = Contradictions()
        self._catch_up = CatchUp(peers, options.fetch_retry_ns)
        self._pending: deque[Frame] = deque()
        self._uncommitted: deque[AppliedBatch] = deque()
        self._fences: list[FenceRequested] = []
        self._restored_committed = restored.committed_seq
        self._leader_committed = 0
        # Acks of an epoch whose first record is not here yet: until then they may be about other records.
        self._early_acks: deque[Frame] = deque(maxlen=_EARLY_ACKS)
        self._joining = False  # taken in, and not stored yet
        self._naming = False  # learnt from the stream which cluster it is, and not stored yet
        self._foreign = ""  # another cluster whose stream came here
        self._role = Role.LEARNER
        self._heard = 0  # highest epoch of a leader whose stream was heard in this life
        self._placed = False
        self._ack_entries: list[tuple[int, bytes]] = []
        self._proven = 0  # the reign to whose stream the log was shown to belong: its leader's epoch
        self._next_repeat_ns = 0
        self._next_rewind_ns = 0
        self._rewinds = 0
        self._gap_from = NO_SEQUENCER

    # ---- reading ------------------------------------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """What this engine does now."""
        if self.diverged:
            return Role.DIVERGED
        if not self.in_sync:
            return Role.LEARNER
        return Role.PRIMARY if self.primary == self.options.member else Role.STANDBY

    @property
    def told_role(self) -> Role:
        """What others are told that it does: after a start nothing but learning, until it knows of the present reign.

        Its log may end in an epoch whose roles are over; the leader has given them to others meanwhile.
        """
        role = self.role
        return role if self._placed or role is Role.DIVERGED else Role.LEARNER

    @property
    def in_sync(self) -> bool:
        """Live, required by the stream, and with a journal that the cluster has taken in."""
        return self.live and self.joined and bool(self.in_sync_bits >> self.options.member & 1) and not self.diverged

    @property
    def applied_seq(self) -> int:
        """0..head.seq: last seq journaled and executed."""
        return self.execution.applied_seq

    @property
    def digest(self) -> Digest:
        """Chain digest at `applied_seq`."""
        return self.execution.digest

    @property
    def primary(self) -> int:
        """Primary by the last EPOCH_START executed, 0 before the first."""
        return self.execution.primary

    @property
    def in_sync_bits(self) -> int:
        """Engines whose acks the newest seq needs, as the stream says."""
        return self.gate.in_sync

    @property
    def epoch(self) -> int:
        """Epoch of the last record received."""
        return self.head.epoch

    def _explained(self, epoch: int, sequencer: int) -> bool:
        """Whether an epoch that a frame or a fence brings in a sequencer's name may be promised.

        A few above the promise can be failed takeovers; for more, the sequencer itself has to say that it is there.
        """
        near = epoch <= self.promised + MAX_UNEXPLAINED_EPOCHS
        if epoch <= MAX_EPOCH and (near or epoch <= self._said.get(sequencer, 0)):
            return True
        self._unexplained = max(self._unexplained, epoch)
        return False

    def _is_foreign(self, received: Frame, out: Outbox) -> bool:
        theirs = self.head.opened_by(received)
        if not theirs or theirs == self.cluster_uuid or not self.cluster_uuid:
            return False
        if theirs != self._foreign:
            self._foreign = theirs
            text = f"sequencer {received.sender} leads cluster {theirs}, this journal is of {self.cluster_uuid}"
            out.notices.append(Notice("foreign_stream", text))
        return True

    def _may_lead(self, received: Frame) -> bool:
        """Whether a STREAM frame may be obeyed, which then is a promise.

        A new epoch counts from the record that opens it behind the own tip, or once its sequencer says that it is
        there: an in-sync engine has been fenced before, and others have time.
        """
        leader, said = received.aux, self._said.get(received.sender, received.aux)
        if leader <= self.promised:
            return True
        return self._explained(leader, received.sender) and (
            leader <= said or (received.count > 0 and self.head.judge(received) is Verdict.NEXT)
        )

    def _on_said(self, sequencer: int, epoch: int) -> None:
        self._said[sequencer] = epoch

    def why(self) -> str:
        """In one sentence why it does not serve; empty if it does."""
        if self.diverged:
            return self.diverged
        if self.promised > MAX_EPOCH:
            return (
                f"its journal holds a promise for epoch {self.promised}, which no sequencer can have asked for, so it "
                "obeys none: stop this engine, run `lockstep cluster repair-promise`, and start it again"
            )
        if self._role is not Role.LEARNER:
            return "" if self._placed else self._why_not_placed()
        if not self.live:
            new = "" if self.joined else "new journal, "
            return f"{new}catching up: its log ends at {self.head.seq} and is not yet known to be the leader's"
        return "caught up; waits until the sequencer takes it into the in-sync set"

    def _why_not_placed(self) -> str:
        at = f"started again, and has replayed up to seq {self.applied_seq} of epoch {self._applied_epoch}"
        if self._heard < self._applied_epoch or self._heard < self.promised:
            return f"{at}: no leading sequencer was heard since"
        return f"{at}: the leader is in epoch {self._heard}"

    @property
    def _applied_epoch(self) -> int:
        return epoch_at(self.head.epochs, self.applied_seq)

    def _place(self) -> None:
        """Its role holds once it has heard the leader in this life, and executed the beginning of its epoch."""
        self._placed = self._placed or (self.live and self._heard == self.promised == self._applied_epoch)

    def _answer(self, request: FenceRequested) -> FenceAnswer:
        accepted = request.epoch == self.promised and request.sequencer == self.promised_to
        return FenceAnswer(
            request.ticket,
            accepted,
            self.promised,
            epoch_at(self.head.epochs, self.applied_seq),
            self.applied_seq,
            self.digest,
            self.committed_seq,
            self.head.timestamp_ns,
            blank=not self.joined,
            journal=self.journal,
        )

    def _ack_frame(self, entries: Iterable[tuple[int, bytes]], flags: int = 0) -> Frame:
        records = np.array(list(entries), dtype=ACK_ENTRY)
        return frame(
            FrameType.ACK,
            sender=self.options.member,
            epoch=self.promised,
            first_seq=self.applied_seq,
            records=records,
            committed_seq=self.committed_seq,
            aux=self.journal,
            flags=flags | (0 if self.joined else int(FrameFlag.UNJOINED)),
        )

    def _check(self) -> None:
        if not self.committed_seq <= self.applied_seq <= self.head.seq:
            raise BrokenInvariant(
                f"committed {self.committed_seq} <= applied {self.applied_seq} <= received {self.head.seq} is not so"
            )
        if self.promised < self.head.epoch:
            raise BrokenInvariant(f"promise {self.promised} is below the log's epoch {self.head.epoch}")
        if not self._pending and self.applied_seq != self.head.seq:
            raise BrokenInvariant(f"received {self.head.seq}, applied {self.applied_seq}, and nothing is under way")
