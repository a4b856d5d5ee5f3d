"""The engine replica as a pure state machine: `step(event, now_ns) -> Effects`.

A replica takes STREAM frames of the leading sequencer, journals them, executes them and acks them with a digest. The
primary releases what every in-sync engine has acked with an equal digest. A replica learns its role only from the
stream, so every replica changes roles at the same seq.

Two stages of one batch: it is *received* when `step` has put it into a `JournalWrite`, and *applied* when `Journaled`
has come back. Nothing is executed, acked or promised before that.

A replica is *live* when its log provably is what the leader has (`log.py`); otherwise it *catches up* from a peer and
neither acks nor releases. `now_ns` is a monotonic clock and decides only when something is repeated.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from lockstep.engine.contract import MatchingEngine
from lockstep.replica.catchup import CatchUp
from lockstep.replica.commit import Mismatch
from lockstep.replica.committing import Committing
from lockstep.replica.contradiction import STANDS_NS, Contradictions
from lockstep.replica.divergence import Plan, PlanKind, common_seq, plan_catch_up
from lockstep.replica.effects import (
    AckFrames,
    AppliedBatch,
    Effects,
    Event,
    FenceRequested,
    FetchSnapshot,
    Install,
    Journaled,
    Notice,
    PeerDigest,
    PeerLog,
    PeerLogBehind,
    PeerLogFailed,
    PeerSnapshot,
    Rewind,
    Role,
    SequencerSaid,
    StreamFrames,
    Tick,
)
from lockstep.replica.log import ANY_SEQUENCER, NO_SEQUENCER, Verdict, control_records
from lockstep.replica.outbox import Outbox
from lockstep.replica.release import release_frames
from lockstep.replica.replica_state import ReplicaState
from lockstep.replica.settings import BrokenInvariant, ReplicaOptions, Restored
from lockstep.replica.states import Occasion
from lockstep.stream.batch import Batch
from lockstep.stream.messages import Ack, Release, Stream
from lockstep.stream.records import AckPolicy

# Rewind requests without an answer after which the replica asks its peers: the frames have left the leader's window.
_REWINDS_BEFORE_FETCH = 10
_SYNCED = int(AckPolicy.SYNCED)
_EARLY_ACKS = 256


class ReplicaMachine:
    """One engine replica. After an effect `truncate_after` or `install` it is spent: restore a new one."""

    def __init__(self, options: ReplicaOptions, engine: MatchingEngine, restored: Restored | None = None) -> None:
        self.replica_state = ReplicaState(options, engine, restored)
        """What it is now; for others to read only."""
        peers = tuple(engine for engine in options.engines if engine != options.member)
        self._contradictions = Contradictions()
        self._catch_up = CatchUp(peers, options.fetch_retry_ns)
        self._pending: deque[Batch] = deque()
        self._committing = Committing(self.replica_state, 0 if restored is None else restored.committed_seq)
        self._fences: list[FenceRequested] = []
        # Acks of an epoch whose first record is not here yet: until then they may be about other records.
        self._early_acks: deque[Ack] = deque(maxlen=_EARLY_ACKS)
        self._joining = False  # admitted, and not stored yet
        self._naming = False  # learnt from the stream which cluster it is, and not stored yet
        self._foreign = ""  # another cluster whose stream came here
        self._ack_entries: list[tuple[int, bytes]] = []
        self._next_repeat_ns = 0
        self._next_rewind_ns = 0
        self._rewinds = 0
        self._gap_from = NO_SEQUENCER

    # ---- start --------------------------------------------------------------------------------------------------

    def replay(self, journaled: Batch) -> AppliedBatch:
        """Execute one batch of the own journal at the start, before the first `step`.

        Raises:
            BrokenInvariant: the batch does not follow the one before.
        """
        own = self.replica_state
        if journaled.first_seq != own.head.seq + 1 or journaled.epoch < own.head.epoch or not journaled.count:
            raise BrokenInvariant(
                f"journal entry {journaled.first_seq} of epoch {journaled.epoch} does not follow seq "
                f"{own.head.seq} of epoch {own.head.epoch}"
            )
        own.head.append(journaled)
        batch = self._execute(journaled)
        self._committing.on_replayed(batch)
        return batch

    def start(self) -> None:
        """End of replay: an engine that was alone in sync has by definition the leader's log."""
        own = self.replica_state
        if own.promised < own.head.epoch:
            raise BrokenInvariant(f"promise {own.promised} is below the journal's epoch {own.head.epoch}")
        own.head.follows = own.promised_to or NO_SEQUENCER
        if own.joined and own.in_sync_bits == 1 << own.options.member:
            own.move(Occasion.ALONE)
            own.proven = own.promised
        self._committing.advance(0)
        own.noted_role = own.role

    # ---- steps --------------------------------------------------------------------------------------------------

    def step(self, event: Event, now_ns: int) -> Effects:
        """Take one event. Raises BrokenInvariant or StreamGap if the replica must stop."""
        out = Outbox(now_ns=now_ns)
        match event:
            case StreamFrames(frames):
                for received in frames:
                    self._on_stream(received, out)
            case Journaled(seq):
                self._on_journaled(seq, out)
            case AckFrames(frames):
                self._on_acks(frames, out)
            case FenceRequested():
                self._on_fence(event, out)
            case SequencerSaid(sequencer, epoch):
                self.replica_state.on_said(sequencer, epoch)
            case PeerLog():
                self._on_peer_log(event, out, now_ns)
            case PeerDigest():
                self._on_peer_digest(event, out)
            case PeerLogFailed():
                self._catch_up.without_effect(now_ns)
            case PeerLogBehind():
                self._on_peer_behind(event, out, now_ns)
            case PeerSnapshot():
                self._on_peer_snapshot(event, out, now_ns)
            case Tick():
                pass
        self._advance_commit(out)
        self._on_time(out, now_ns)
        self.replica_state.place()
        out.notices += self.replica_state.note_role()
        self.replica_state.check(pending=bool(self._pending))
        return self._effects(out, now_ns)

    def _on_stream(self, received: Stream, out: Outbox) -> None:
        own = self.replica_state
        leader, batch = received.leader_epoch, received.batch
        stale = leader < own.promised or batch.epoch > leader or own.diverged
        if stale or self._is_foreign(received, out) or not own.may_lead(received):
            own.stale_frames += 1
            return
        # After a snapshot the epoch is known and not whose it is; only one sequencer ever speaks for an epoch.
        if leader > own.promised or not own.promised_to:
            own.promised, own.promised_to = leader, received.sender
            out.promise = True
        elif received.sender != own.promised_to:
            own.stale_frames += 1
            return
        own.heard = leader
        if leader == own.head.epoch:  # before that its numbers may be about other records than this log's
            self._committing.hear(received.committed_seq)
        if (verdict := own.head.judge(batch, received.sender)) is Verdict.NEXT:
            if not own.live:
                text = f"stream of sequencer {received.sender} continues seq {own.head.seq}"
                self._go_live(Occasion.STREAM_CONTINUES, received.sender, out, text)
            own.head.follows = received.sender
            self._receive(batch, out)
            own.proven = leader
        elif verdict is Verdict.GAP:
            self._gap_from = received.sender
        elif not own.live and own.head.ends_where(batch):
            # Where nobody gives a command, no further frame would ever come to prove it.
            text = f"sequencer {received.sender} stands at seq {own.head.seq} too"
            self._go_live(Occasion.STREAM_ENDS_HERE, received.sender, out, text)
            own.proven = leader
        elif verdict in (Verdict.CONFLICT, Verdict.UNPROVEN) and own.live:
            text = f"{verdict.name.lower()} at seq {batch.first_seq} of epoch {batch.epoch}"
            self._leave_stream(Occasion.STREAM_CONFLICTS, out, text)

    def _is_foreign(self, received: Stream, out: Outbox) -> bool:
        own = self.replica_state
        theirs = own.head.opened_by(received.batch)
        if not theirs or theirs == own.cluster_uuid or not own.cluster_uuid:
            return False
        if theirs != self._foreign:
            self._foreign = theirs
            text = f"sequencer {received.sender} leads cluster {theirs}, this journal is of {own.cluster_uuid}"
            out.notices.append(Notice("foreign_stream", text))
        return True

    def _receive(self, batch: Batch, out: Outbox) -> None:
        own = self.replica_state
        entry = own.head.append(batch)
        if entry is not None:
            out.epochs.append(entry)
            if entry.epoch > own.promised:
                own.promised = entry.epoch
                own.promised_to = int(control_records(batch)[0]["sequencer"])
                out.promise = True
        self._pending.append(batch)
        self._gap_from = NO_SEQUENCER
        self._rewinds = 0
        # This write makes durable what came before it, too, so one batch under SYNCED is enough.
        out.synced = out.synced or own.head.policy == _SYNCED
        out.batches.append(batch)

    def _on_journaled(self, seq: int, out: Outbox) -> None:
        own = self.replica_state
        while self._pending and self._pending[0].last_seq <= seq:
            batch = self._execute(self._pending.popleft())
            out.applied.append(batch)
            self._ack_entries.append((batch.last_seq, batch.digest))
            self._check_expected(out)
        if self._early_acks and self._early_acks[0].epoch <= own.head.epoch:
            early = tuple(self._early_acks)
            self._early_acks.clear()
            self._on_acks(early, out)
        mismatch = own.gate.compare_ahead(own.applied_seq, own.head.epochs)
        if mismatch is not None:
            self._on_mismatch(mismatch, out)
        self._weigh(out)
        if not self._pending:
            out.fences += [own.answer(request) for request in self._fences]
            self._fences.clear()
            self._finish_catch_up(out)

    def _execute(self, journaled: Batch) -> AppliedBatch:
        own = self.replica_state
        batch = own.execution.execute(journaled, own.committed_seq)
        self._committing.add(batch)
        if own.execution.cluster_uuid and not own.cluster_uuid:
            own.cluster_uuid = own.execution.cluster_uuid
            self._naming = True
        # A journal that does not know its cluster would obey any: it is not the cluster's yet.
        if own.execution.taken_in and not own.joined and own.cluster_uuid:
            self._join()
        return batch

    def _join(self) -> None:
        own = self.replica_state
        own.joined = own.gate.joined = self._joining = True

    def _on_acks(self, frames: Iterable[Ack], out: Outbox) -> None:
        own = self.replica_state
        for ack in frames:
            if ack.epoch > own.head.epoch:
                self._early_acks.append(ack)
                continue
            mismatch = own.gate.on_ack(ack, own.applied_seq, own.head.epochs)
            if mismatch is not None:
                self._on_mismatch(mismatch, out)

    def _on_mismatch(self, mismatch: Mismatch, out: Outbox) -> None:
        own = self.replica_state
        required = own.in_sync_bits >> own.options.member & 1
        stands_ns = STANDS_NS if required else 0
        confirmed = self._contradictions.is_confirmed(mismatch, out.now_ns, stands_ns=stands_ns)
        if not own.live or not confirmed:
            # Its tail may be divergent, and comparing the logs comes first; or it has stopped.
            return
        if required:
            out.ask = out.ask or self._contradictions.ask(mismatch, out.now_ns)
        else:
            # Not required: its log, not its engine, is the likelier culprit, and comparing the logs will show it.
            self._leave_stream(Occasion.CONTRADICTED, out, mismatch.text)

    def _on_peer_digest(self, said: PeerDigest, out: Outbox) -> None:
        own = self.replica_state
        mismatch = own.gate.on_digest(said.peer, said.seq, said.digest)
        if mismatch is not None and own.live and own.in_sync_bits >> own.options.member & 1:
            self._on_contradiction(said.peer, mismatch.text, out)

    def _on_contradiction(self, member: int, text: str, out: Outbox) -> None:
        news = self._contradictions.note(member, text)
        self._weigh(out)
        if news and not self.replica_state.diverged:
            out.notices.append(Notice("contradicted", text))

    def _weigh(self, out: Outbox) -> None:
        wrong = self._contradictions.verdict(self.replica_state.in_sync_bits)
        if wrong:
            self._stop(Occasion.OUTVOTED, wrong, out)

    def _on_fence(self, request: FenceRequested, out: Outbox) -> None:
        own = self.replica_state
        refusal = own.why_refused(request)
        if refusal:
            out.fences.append(replace(own.answer(request), accepted=False, refusal=refusal))
            return
        if not own.cluster_uuid:
            own.cluster_uuid = request.cluster_uuid
            out.adopt_uuid = True
        if request.epoch > own.promised or (request.epoch == own.promised and not own.promised_to):
            own.promised, own.promised_to = request.epoch, request.sequencer
            out.promise = True
        elif request.epoch < own.promised or request.sequencer != own.promised_to:
            out.fences.append(own.answer(request))
            return
        if not request.settled and not own.joined:
            self._join()
        # A journal that is not joined holds nothing that the leader counts on: it has to catch up first.
        if not own.diverged and own.joined:
            text = f"fenced by sequencer {request.sequencer} for epoch {request.epoch}"
            self._go_live(Occasion.FENCED, request.sequencer, out, text)
            own.head.follows = request.sequencer
        # The answer names the tip and its digest, so what is on its way to the disk has to get there first.
        if self._pending:
            self._fences.append(request)
        else:
            out.fences.append(own.answer(request))

    # ---- catching up --------------------------------------------------------------------------------------------

    def _on_peer_log(self, log: PeerLog, out: Outbox, now_ns: int) -> None:
        own = self.replica_state
        self._catch_up.under_way = False
        if own.diverged or self._pending or not self._wants_fetch():
            return
        if own.cluster_uuid and log.cluster_uuid and log.cluster_uuid != own.cluster_uuid:
            self._catch_up.without_effect(now_ns)
            return
        if not own.cluster_uuid and log.cluster_uuid:
            own.cluster_uuid = log.cluster_uuid
            out.adopt_uuid = True
        plan = plan_catch_up(tuple(own.head.epochs), own.head.seq, log.epochs, log.tip_seq, own.promised)
        if not log.in_sync or plan.kind is PlanKind.WAIT or (own.live and plan == Plan(PlanKind.APPEND, log.tip_seq)):
            # A live replica asks for missing frames: this peer misses them as well.
            self._catch_up.without_effect(now_ns)
        elif plan.kind is PlanKind.TRUNCATE:
            self._give_up_tail(plan.common_seq, log.peer, out)
        elif not own.live and log.snapshot_seq >= own.head.seq + own.options.snapshot_gap:
            self._order_snapshot(log.peer, out)
        else:
            self._append_from(log, out, now_ns)

    def _on_peer_behind(self, event: PeerLogBehind, out: Outbox, now_ns: int) -> None:
        own = self.replica_state
        self._catch_up.under_way = False
        if own.diverged or not self._wants_fetch():
            self._catch_up.without_effect(now_ns)
            return
        if own.live:
            # Neither the leader nor this peer has the frames any more: a fence does not bring them.
            text = f"what follows seq {own.head.seq} was cut from engine {event.peer}'s journal"
            self._leave_stream(Occasion.CUT_ELSEWHERE, out, text)
        self._order_snapshot(event.peer, out)

    def _order_snapshot(self, peer: int, out: Outbox) -> None:
        self._catch_up.under_way = True
        out.fetch_snapshot = FetchSnapshot(peer)

    def _on_peer_snapshot(self, event: PeerSnapshot, out: Outbox, now_ns: int) -> None:
        """A snapshot is of a committed state, which is true whatever became of the peer since."""
        own = self.replica_state
        self._catch_up.under_way = False
        base = event.base
        foreign = bool(own.cluster_uuid) and event.cluster_uuid != own.cluster_uuid
        if foreign or own.live or own.diverged or self._pending or base.seq <= own.head.seq:
            self._catch_up.without_effect(now_ns)
            return
        common = common_seq(tuple(own.head.epochs), own.head.seq, base.epochs, base.seq)
        if common < own.committed_seq:
            self._give_up_tail(common, event.peer, out)  # which stops instead
            return
        own.move(Occasion.SNAPSHOT_CAME)
        out.install = Install(base, event.cluster_uuid, common)
        text = f"a snapshot of engine {event.peer} at seq {base.seq} takes the place of the log up to {own.head.seq}"
        out.notices.append(Notice("snapshot_received", text))

    def _give_up_tail(self, common_seq: int, peer: int, out: Outbox) -> None:
        own = self.replica_state
        if common_seq < own.committed_seq:
            text = (
                f"the log of engine {peer} parts from this one after seq {common_seq}, below the committed seq "
                f"{own.committed_seq}: committed commands were lost"
            )
            self._stop(Occasion.COMMITTED_LOST, text, out)
            return
        own.move(Occasion.TAIL_DIVERGES)
        out.truncate_after = common_seq
        out.notices.append(Notice("tail_divergent", f"log parts from engine {peer}'s after seq {common_seq}"))

    def _append_from(self, log: PeerLog, out: Outbox, now_ns: int) -> None:
        own = self.replica_state
        self._catch_up.failed = False
        self._catch_up.target_seq = log.tip_seq
        follows, own.head.follows = own.head.follows, ANY_SEQUENCER
        for fetched in log.batches:
            verdict = own.head.judge(fetched)
            if verdict is Verdict.NEXT:
                self._receive(fetched, out)
            elif verdict is not Verdict.OLD:
                break
        own.head.follows = follows
        self._catch_up.expect(log)
        if own.head.seq < log.tip_seq and not self._pending:
            self._catch_up.without_effect(now_ns)
        if not self._pending:
            self._check_expected(out)
            self._finish_catch_up(out)

    def _check_expected(self, out: Outbox) -> None:
        own = self.replica_state
        expected = self._catch_up.expected
        wrong = self._catch_up.check(own.applied_seq, own.digest)
        if not wrong or expected is None:
            return
        if own.in_sync_bits >> expected.peer & 1:
            self._on_contradiction(expected.peer, wrong, out)
        else:
            self._stop(Occasion.OUTVOTED, wrong, out)

    def _finish_catch_up(self, out: Outbox) -> None:
        own = self.replica_state
        if own.diverged or not self._catch_up.target_seq or own.applied_seq < self._catch_up.target_seq:
            return
        self._catch_up.target_seq = 0
        self._rewinds = 0
        own.proven = own.head.epoch
        if not own.live:
            text = f"caught up with an in-sync engine at seq {own.applied_seq}"
            self._go_live(Occasion.CAUGHT_UP, ANY_SEQUENCER, out, text)

    def _wants_fetch(self) -> bool:
        return self._catch_up.possible and (not self.replica_state.live or self._rewinds >= _REWINDS_BEFORE_FETCH)

    def _go_live(self, occasion: Occasion, follows: int, out: Outbox, reason: str) -> None:
        own = self.replica_state
        own.head.follows = follows
        if own.live:
            return
        own.move(occasion)
        self._catch_up.target_seq = 0
        self._rewinds = 0
        out.notices.append(Notice("live", reason))
        if own.applied_seq:
            self._ack_entries.append((own.applied_seq, own.digest))

    def _leave_stream(self, occasion: Occasion, out: Outbox, reason: str) -> None:
        own = self.replica_state
        own.move(occasion)
        own.head.follows = NO_SEQUENCER
        self._catch_up.ask_at_once()
        out.notices.append(Notice("left_stream", reason))

    def _stop(self, occasion: Occasion, reason: str, out: Outbox) -> None:
        own = self.replica_state
        if not own.diverged:
            own.move(occasion)
            own.diverged = reason
            out.notices.append(Notice("diverged", reason))

    # ---- commit, release, repetition ----------------------------------------------------------------------------

    def _advance_commit(self, out: Outbox) -> None:
        done = self._committing.advance(self._catch_up.committed_seq)
        if done and self.replica_state.role is Role.PRIMARY:
            out.releases += self._release(done)

    def _on_time(self, out: Outbox, now_ns: int) -> None:
        own = self.replica_state
        if own.diverged or out.truncate_after is not None or out.install is not None:
            return
        if self._gap_from != NO_SEQUENCER and now_ns >= self._next_rewind_ns and not self._pending:
            if own.live or self._catch_up.failed:
                self._next_rewind_ns = now_ns + own.options.rewind_ns
                self._rewinds += 1
                out.rewind = Rewind(self._gap_from, own.ack((), rewinds=True))
            self._gap_from = NO_SEQUENCER
        if self._wants_fetch() and not self._pending and out.fetch_snapshot is None:
            out.fetch = self._catch_up.ask(own.head.seq + 1, now_ns)
        if now_ns >= self._next_repeat_ns and own.live and own.applied_seq:
            self._next_repeat_ns = now_ns + own.options.repeat_ns
            if not self._ack_entries:
                self._ack_entries.append((own.applied_seq, own.digest))
            if own.role is Role.PRIMARY and not out.releases:
                out.releases += self._release([])

    def _release(self, batches: list[AppliedBatch]) -> list[Release]:
        own = self.replica_state
        return release_frames(
            batches, own.head.epochs, sender=own.options.member, epoch=own.epoch, committed_seq=own.committed_seq
        )

    def _effects(self, out: Outbox, now_ns: int) -> Effects:
        own, ack = self.replica_state, None
        # Under a promise to a leader of whom nothing fits yet, the own tail may be divergent: it must not speak of it.
        if self._ack_entries and own.live and own.proven == own.promised:
            ack = own.ack(self._ack_entries)
            self._next_repeat_ns = now_ns + own.options.repeat_ns
        self._ack_entries = []
        joined, self._joining = self._joining, False
        named, self._naming = self._naming or out.adopt_uuid, False
        return out.effects(own, ack, named=named, joined=joined)
