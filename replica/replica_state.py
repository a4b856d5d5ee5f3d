"""What a replica is at a moment: its log, its promise, its state and role, what follows from them, and its invariants.

`ReplicaMachine` holds one and moves it on; others read it (`machine.replica_state`).
"""

from collections.abc import Iterable

import numpy as np

from lockstep.engine.contract import MatchingEngine
from lockstep.replica.commit import CommitGate
from lockstep.replica.divergence import epoch_at
from lockstep.replica.effects import FenceAnswer, FenceRequested, Notice, Role
from lockstep.replica.execution import Execution
from lockstep.replica.log import LogHead, Verdict
from lockstep.replica.settings import BrokenInvariant, ReplicaOptions, Restored
from lockstep.replica.states import TRANSITIONS, Occasion, State
from lockstep.stream.arrival import MAX_EPOCH, MAX_UNEXPLAINED_EPOCHS
from lockstep.stream.digest import Digest
from lockstep.stream.messages import ACK_ENTRY, Ack, Stream


class ReplicaState:
    """See the module. Only the machine that holds it writes to it."""

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
        self.state = State.COMPARING
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
        """Whether the cluster has admitted this journal. Until then no ack of this engine counts for a commit."""
        self.noted_role = Role.LEARNER
        """The role at the end of the last step."""
        self.heard = 0
        """Highest epoch of a leader whose stream was heard in this life."""
        self.proven = 0
        """The reign to whose stream the log was shown to belong: its leader's epoch."""
        self._placed = False

    # ---- reading ------------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Whether the own log provably is what the leader has."""
        return self.state is State.LIVE

    @property
    def role(self) -> Role:
        """What this engine does now."""
        if self.diverged:
            return Role.DIVERGED
        if not self.in_sync:
            return Role.LEARNER
        return Role.PRIMARY if self.primary == self.options.member else Role.STANDBY

    @property
    def reported_role(self) -> Role:
        """The role that it reports to others: after a start nothing but learning, until it knows of the present reign.

        Its log may end in an epoch whose roles are over; the leader has given them to others meanwhile.
        """
        role = self.role
        return role if self._placed or role is Role.DIVERGED else Role.LEARNER

    @property
    def in_sync(self) -> bool:
        """Live, required by the stream, and with a journal that the cluster has admitted."""
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

    @property
    def applied_epoch(self) -> int:
        """Epoch of the last record executed."""
        return epoch_at(self.head.epochs, self.applied_seq)

    # ---- whom to obey -------------------------------------------------------------------------------------------

    def on_said(self, sequencer: int, epoch: int) -> None:
        """A sequencer says on its own liveness link in which epoch it is."""
        self._said[sequencer] = epoch

    def explained(self, epoch: int, sequencer: int) -> bool:
        """Whether an epoch that a frame or a fence brings in a sequencer's name may be promised.

        A few above the promise can be failed takeovers; for more, the sequencer itself has to say that it is there.
        """
        near = epoch <= self.promised + MAX_UNEXPLAINED_EPOCHS
        if epoch <= MAX_EPOCH and (near or epoch <= self._said.get(sequencer, 0)):
            return True
        self._unexplained = max(self._unexplained, epoch)
        return False

    def may_lead(self, received: Stream) -> bool:
        """Whether a STREAM frame may be obeyed, which then is a promise.

        A new epoch counts from the record that opens it behind the own tip, or once its sequencer says that it is
        there: an in-sync engine has been fenced before, and others have time.
        """
        leader, batch = received.leader_epoch, received.batch
        said = self._said.get(received.sender, leader)
        if leader <= self.promised:
            return True
        return self.explained(leader, received.sender) and (
            leader <= said or (batch.count > 0 and self.head.judge(batch, received.sender) is Verdict.NEXT)
        )

    def why_refused(self, request: FenceRequested) -> str:
        """In one sentence why a fence is not even looked at; empty if it is."""
        if self.cluster_uuid and request.cluster_uuid != self.cluster_uuid:
            return (
                f"data directory of another cluster: it belongs to {self.cluster_uuid}, the caller to "
                f"{request.cluster_uuid}; give engine {self.options.member} its own or an empty directory"
            )
        if not self.explained(request.epoch, request.sequencer):
            return (
                f"epoch {request.epoch} is far above the promised {self.promised}, and sequencer {request.sequencer} "
                "does not say on its liveness link that it is there"
            )
        return ""

    # ---- what it says -------------------------------------------------------------------------------------------

    def why(self) -> str:
        """In one sentence why it does not serve; empty if it does."""
        if self.diverged:
            return self.diverged
        if self.promised > MAX_EPOCH:
            return (
                f"its journal holds a promise for epoch {self.promised}, which no sequencer can have asked for, so it "
                "obeys none: stop this engine, run `lockstep cluster repair-promise`, and start it again"
            )
        if self.noted_role is not Role.LEARNER:
            return "" if self._placed else self._why_not_placed()
        if not self.live:
            new = "" if self.joined else "new journal, "
            return f"{new}catching up: its log ends at {self.head.seq} and is not yet known to be the leader's"
        return "caught up; waits until the sequencer takes it into the in-sync set"

    def _why_not_placed(self) -> str:
        at = f"started again, and has replayed up to seq {self.applied_seq} of epoch {self.applied_epoch}"
        if self.heard < self.applied_epoch or self.heard < self.promised:
            return f"{at}: no leading sequencer was heard since"
        return f"{at}: the leader is in epoch {self.heard}"

    def place(self) -> None:
        """Its role holds once it has heard the leader in this life, and executed the beginning of its epoch."""
        self._placed = self._placed or (self.live and self.heard == self.promised == self.applied_epoch)

    def answer(self, request: FenceRequested) -> FenceAnswer:
        """To a fence, as things stand."""
        accepted = request.epoch == self.promised and request.sequencer == self.promised_to
        return FenceAnswer(
            request.ticket,
            accepted,
            self.promised,
            self.applied_epoch,
            self.applied_seq,
            self.digest,
            self.committed_seq,
            self.head.timestamp_ns,
            blank=not self.joined,
            journal=self.journal,
        )

    def ack(self, entries: Iterable[tuple[int, bytes]], *, rewinds: bool = False) -> Ack:
        """An ACK of these (seq, digest)."""
        return Ack(
            self.options.member,
            self.promised,
            self.applied_seq,
            self.journal,
            self.committed_seq,
            not self.joined,
            rewinds,
            np.array(list(entries), dtype=ACK_ENTRY),
        )

    # ---- moving on ----------------------------------------------------------------------------------------------

    def move(self, occasion: Occasion) -> None:
        """Enter the state that the table names."""
        state = TRANSITIONS.get((self.state, occasion))
        if state is None:
            raise BrokenInvariant(f"{occasion.value}, in state {self.state.value}")
        self.state = state

    def note_role(self) -> tuple[Notice, ...]:
        """The role at the end of a step: what to say of it, if it is another one."""
        role, before = self.role, self.noted_role
        self.noted_role = role
        if role is before:
            return ()
        text = f"{before.name.lower()} -> {role.name.lower()} at seq {self.applied_seq}, epoch {self.epoch}"
        return (Notice("role", text),)

    def check(self, *, pending: bool) -> None:
        """The invariants. `pending`: something received is not applied yet."""
        if not self.committed_seq <= self.applied_seq <= self.head.seq:
            raise BrokenInvariant(
                f"committed {self.committed_seq} <= applied {self.applied_seq} <= received {self.head.seq} is not so"
            )
        if self.promised < self.head.epoch:
            raise BrokenInvariant(f"promise {self.promised} is below the log's epoch {self.head.epoch}")
        if not pending and self.applied_seq != self.head.seq:
            raise BrokenInvariant(f"received {self.head.seq}, applied {self.applied_seq}, and nothing is under way")
        if bool(self.diverged) != (self.state is State.DIVERGED):
            raise BrokenInvariant(f"state {self.state.value}, and diverged because {self.diverged!r}")
