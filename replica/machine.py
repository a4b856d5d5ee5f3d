"""The engine replica as a pure state machine: `step(event, now_ns) -> Effects`.

A replica takes STREAM frames of the leading sequencer, journals them, executes them and acks them with a digest. The
primary releases what every in-sync engine has acked with an equal digest. A replica learns its role only from the
stream, so every replica changes roles at the same seq.

Two stages of one frame: it is *received* when `step` has put it into a `JournalWrite`, and *applied* when `Journaled`
has come back. Nothing is executed, acked or promised before that.

A replica is *live* when its log provably is what the leader has (`log.py`); otherwise it *catches up* from a peer and
neither acks nor releases. `now_ns` is a monotonic clock and decides only when something is repeated.
"""

from collections.abc import Iterable
from dataclasses import replace

from lockstep.replica.commit import Mismatch
from lockstep.replica.contradiction import STANDS_NS
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
    JournalWrite,
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
)
from lockstep.replica.log import ANY_SEQUENCER, NO_SEQUENCER, Verdict, control_records
from lockstep.replica.outbox import Outbox
from lockstep.replica.release import release_frames
from lockstep.replica.settings import BrokenInvariant
from lockstep.replica.standing import Standing
from lockstep.stream.frames import Frame, FrameFlag
from lockstep.stream.records import AckPolicy

# Rewind requests without an answer after which the replica asks its peers: the frames have left the leader's window.
_REWINDS_BEFORE_FETCH = 10
_SYNCED = int(AckPolicy.SYNCED)


class ReplicaMachine(Standing):
    """One engine replica. After an effect `truncate_after` or `install` it is spent: restore a new one from the disk.

    Attributes are for reading only.
    """

    # ---- start --------------------------------------------------------------------------------------------------

    def replay(self, journaled: Frame) -> AppliedBatch:
        """Execute one frame of the own journal at the start, before the first `step`.

        Raises:
            BrokenInvariant: the frame does not follow the one before.
        """
        if journaled.first_seq != self.head.seq + 1 or journaled.epoch < self.head.epoch or not journaled.count:
            raise BrokenInvariant(
                f"journal entry {journaled.first_seq} of epoch {journaled.epoch} does not follow seq "
                f"{self.head.seq} of epoch {self.head.epoch}"
            )
        self.head.append(journaled)
        batch = self._execute(journaled)
        self.committed_seq = max(self.committed_seq, min(self._restored_committed, batch.last_seq))
        while self._uncommitted and self._uncommitted[0].last_seq <= self.committed_seq:
            self._uncommitted.popleft()
        return batch

    def start(self) -> None:
        """End of replay: an engine that was alone in sync has by definition the leader's log."""
        if self.promised < self.head.epoch:
            raise BrokenInvariant(f"promise {self.promised} is below the journal's epoch {self.head.epoch}")
        self.head.follows = self.promised_to or NO_SEQUENCER
        self.live = self.joined and self.in_sync_bits == 1 << self.options.member
        if self.live:
            self._proven = self.promised
        self._advance_commit(None)
        self._role = self.role

    # ---- steps --------------------------------------------------------------------------------------------------

    def step(self, event: Event, now_ns: int) -> Effects:
        """Take one event. Raises BrokenInvariant or StreamGap if the replica must stop."""
        out = Outbox(now_ns=now_ns)
        if isinstance(event, StreamFrames):
            for received in event.frames:
                self._on_stream(received, out)
        elif isinstance(event, Journaled):
            self._on_journaled(event.seq, out)
        elif isinstance(event, AckFrames):
            self._on_acks(event.frames, out)
        elif isinstance(event, FenceRequested):
            self._on_fence(event, out)
        elif isinstance(event, SequencerSaid):
            self._on_said(event.sequencer, event.epoch)
        elif isinstance(event, PeerLog):
            self._on_peer_log(event, out, now_ns)
        elif isinstance(event, PeerDigest):
            self._on_peer_digest(event, out)
        elif isinstance(event, PeerLogFailed):
            self._catch_up.in_vain(now_ns)
        elif isinstance(event, PeerLogBehind):
            self._on_peer_behind(event, out, now_ns)
        elif isinstance(event, PeerSnapshot):
            self._on_peer_snapshot(event, out, now_ns)
        self._advance_commit(out)
        self._on_time(out, now_ns)
        self._place()
        self._note_role(out)
        self._check()
        return self._effects(out, now_ns)

    def _on_stream(self, received: Frame, out: Outbox) -> None:
        leader = received.aux
        stale = leader < self.promised or received.epoch > leader or self.diverged
        if stale or self._is_foreign(received, out) or not self._may_lead(received):
            self.stale_frames += 1
            return
        # After a snapshot the epoch is known and not whose it is; only one sequencer ever speaks for an epoch.
        if leader > self.promised or not self.promised_to:
            self.promised, self.promised_to = leader, received.sender
            out.promise = True
        elif received.sender != self.promised_to:
            self.stale_frames += 1
            return
        self._heard = leader
        if leader == self.head.epoch:  # before that its numbers may be about other records than this log's
            self._leader_committed = max(self._leader_committed, received.committed_seq)
        if (verdict := self.head.judge(received)) is Verdict.NEXT:
            if not self.live:
                self._go_live(
                    received.sender, out, f"stream of sequencer {received.sender} continues seq {self.head.seq}"
                )
            self.head.follows = received.sender
            self._receive(received, out)
            self._proven = leader
        elif verdict is Verdict.GAP:
            self._gap_from = received.sender
        elif not self.live and self.head.ends_where(received):
            # Where nobody gives a command, no further frame would ever come to prove it.
            self._go_live(received.sender, out, f"sequencer {received.sender} stands at seq {self.head.seq} too")
            self._proven = leader
        elif verdict in (Verdict.CONFLICT, Verdict.UNPROVEN) and self.live:
            self._leave_stream(out, f"{verdict.name.lower()} at seq {received.first_seq} of epoch {received.epoch}")

    def _receive(self, received: Frame, out: Outbox) -> None:
        entry = self.head.append(received)
        if entry is not None:
            out.epochs.append(entry)
            if entry.epoch > self.promised:
                self.promised = entry.epoch
                self.promised_to = int(control_records(received)[0]["sequencer"])
                out.promise = True
        self._pending.append(received)
        self._gap_from = NO_SEQUENCER
        self._rewinds = 0
        # This write makes durable what came before it, too, so one frame under SYNCED is enough.
        out.synced = out.synced or self.head.policy == _SYNCED
        # Journals are equal byte by byte, so nothing that depends on who sent it is kept.
        out.frames.append(replace(received, sender=0, flags=0, aux=0, committed_seq=0))

    def _on_journaled(self, seq: int, out: Outbox) -> None:
        while self._pending and self._pending[0].last_seq <= seq:
            batch = self._execute(self._pending.popleft())
            out.applied.append(batch)
            self._ack_entries.append((batch.last_seq, batch.digest))
            self._check_expected(out)
        if self._early_acks and self._early_acks[0].epoch <= self.head.epoch:
            early = tuple(self._early_acks)
            self._early_acks.clear()
            self._on_acks(early, out)
        mismatch = self.gate.compare_ahead(self.applied_seq, self.head.epochs)
        if mismatch is not None:
            self._on_mismatch(mismatch, out)
        self._weigh(out)
        if not self._pending:
            out.fences += [self._answer(request) for request in self._fences]
            self._fences.clear()
            self._finish_catch_up(out)

    def _execute(self, journaled: Frame) -> AppliedBatch:
        batch = self.execution.execute(journaled, self.committed_seq)
        self._uncommitted.append(batch)
        if self.execution.cluster_uuid and not self.cluster_uuid:
            self.cluster_uuid = self.execution.cluster_uuid
            self._naming = True
        # A journal that does not know its cluster would obey any: it is not the cluster's yet.
        if self.execution.taken_in and not self.joined and self.cluster_uuid:
            self._join()
        return batch

    def _join(self) -> None:
        self.joined = self.gate.joined = self._joining = True

    def _on_acks(self, frames: Iterable[Frame], out: Outbox) -> None:
        for ack in frames:
            if ack.epoch > self.head.epoch:
                self._early_acks.append(ack)
                continue
            mismatch = self.gate.on_ack(ack, self.applied_seq, self.head.epochs)
            if mismatch is not None:
                self._on_mismatch(mismatch, out)

    def _on_mismatch(self, mismatch: Mismatch, out: Outbox) -> None:
        required = self.in_sync_bits >> self.options.member & 1
        stands_ns = STANDS_NS if required else 0
        confirmed = self._contradictions.is_confirmed(mismatch, out.now_ns, stands_ns=stands_ns)
        if not self.live or not confirmed:
            # Its tail may be divergent; comparing the logs comes first.
            return
        if required:
            out.ask = out.ask or self._contradictions.ask(mismatch, out.now_ns)
        else:
            # Not required: its log, not its engine, is the likelier culprit, and comparing the logs will tell.
            self._leave_stream(out, mismatch.text)

    def _on_peer_digest(self, told: PeerDigest, out: Outbox) -> None:
        mismatch = self.gate.told(told.peer, told.seq, told.digest)
        if mismatch is not None and self.live and self.in_sync_bits >> self.options.member & 1:
            self._on_contradiction(told.peer, mismatch.text, out)

    def _on_contradiction(self, member: int, text: str, out: Outbox) -> None:
        news = self._contradictions.note(member, text)
        self._weigh(out)
        if news and not self.diverged:
            out.notices.append(Notice("contradicted", text))

    def _weigh(self, out: Outbox) -> None:
        wrong = self._contradictions.verdict(self.in_sync_bits)
        if wrong:
            self._stop(wrong, out)

    def _on_fence(self, request: FenceRequested, out: Outbox) -> None:
        if self.cluster_uuid and request.cluster_uuid != self.cluster_uuid:
            text = (
                f"data directory of another cluster: it belongs to {self.cluster_uuid}, the caller to "
                f"{request.cluster_uuid}; give engine {self.options.member} its own or an empty directory"
            )
            out.fences.append(replace(self._answer(request), accepted=False, refusal=text))
            return
        if not self._explained(request.epoch, request.sequencer):
            text = (
                f"epoch {request.epoch} is far above the promised {self.promised}, and sequencer {request.sequencer} "
                "does not say on its liveness link that it is there"
            )
            out.fences.append(replace(self._answer(request), accepted=False, refusal=text))
            return
        if not self.cluster_uuid:
            self.cluster_uuid = request.cluster_uuid
            out.adopt_uuid = True
        if request.epoch > self.promised or (request.epoch == self.promised and not self.promised_to):
            self.promised, self.promised_to = request.epoch, request.sequencer
            out.promise = True
        elif request.epoch < self.promised or request.sequencer != self.promised_to:
            out.fences.append(self._answer(request))
            return
        if not request.settled and not self.joined:
            self._join()
        # A journal that is not joined holds nothing that the leader counts on: it has to catch up first.
        if not self.diverged and self.joined:
            self._go_live(request.sequencer, out, f"fenced by sequencer {request.sequencer} for epoch {request.epoch}")
            self.head.follows = request.sequencer
        # The answer tells the tip and its digest, so what is on its way to the disk has to get there first.
        if self._pending:
            self._fences.append(request)
        else:
            out.fences.append(self._answer(request))

    # ---- catching up --------------------------------------------------------------------------------------------

    def _on_peer_log(self, log: PeerLog, out: Outbox, now_ns: int) -> None:
        self._catch_up.under_way = False
        if self.diverged or self._pending or not self._wants_fetch():
            return
        if self.cluster_uuid and log.cluster_uuid and log.cluster_uuid != self.cluster_uuid:
            self._catch_up.in_vain(now_ns)
            return
        if not self.cluster_uuid and log.cluster_uuid:
            self.cluster_uuid = log.cluster_uuid
            out.adopt_uuid = True
        plan = plan_catch_up(tuple(self.head.epochs), self.head.seq, log.epochs, log.tip_seq, self.promised)
        if not log.in_sync or plan.kind is PlanKind.WAIT or (self.live and plan == Plan(PlanKind.APPEND, log.tip_seq)):
            self._catch_up.in_vain(now_ns)  # a live replica asks for missing frames: this peer misses them as well
        elif plan.kind is PlanKind.TRUNCATE:
            self._give_up_tail(plan.common_seq, log.peer, out)
        elif not self.live and log.snapshot_seq >= self.head.seq + self.options.snapshot_gap:
            self._order_snapshot(log.peer, out)
        else:
            self._append_from(log, out, now_ns)

    def _on_peer_behind(self, event: PeerLogBehind, out: Outbox, now_ns: int) -> None:
        self._catch_up.under_way = False
        if self.diverged or not self._wants_fetch():
            self._catch_up.in_vain(now_ns)
            return
        if self.live:
            # Neither the leader nor this peer has the frames any more: a fence does not bring them.
            self._leave_stream(out, f"what follows seq {self.head.seq} was cut from engine {event.peer}'s journal")
        self._order_snapshot(event.peer, out)

    def _order_snapshot(self, peer: int, out: Outbox) -> None:
        self._catch_up.under_way = True
        out.fetch_snapshot = FetchSnapshot(peer)

    def _on_peer_snapshot(self, event: PeerSnapshot, out: Outbox, now_ns: int) -> None:
        """A snapshot is of a committed state, which is true whatever became of the peer since."""
        self._catch_up.under_way = False
        base = event.base
        foreign = bool(self.cluster_uuid) and event.cluster_uuid != self.cluster_uuid
        if foreign or self.live or self.diverged or self._pending or base.seq <= self.head.seq:
            self._catch_up.in_vain(now_ns)
            return
        common = common_seq(tuple(self.head.epochs), self.head.seq, base.epochs, base.seq)
        if common < self.committed_seq:
            self._give_up_tail(common, event.peer, out)  # which stops instead
            return
        out.install = Install(base, event.cluster_uuid, common)
        text = f"a snapshot of engine {event.peer} at seq {base.seq} takes the place of the log up to {self.head.seq}"
        out.notices.append(Notice("snapshot_received", text))

    def _give_up_tail(self, common_seq: int, peer: int, out: Outbox) -> None:
        if common_seq < self.committed_seq:
            self._stop(
                f"the log of engine {peer} parts from this one after seq {common_seq}, below the committed seq "
                f"{self.committed_seq}: committed commands were lost",
                out,
            )
            return
        self.live = False
        out.truncate_after = common_seq
        out.notices.append(Notice("tail_divergent", f"log parts from engine {peer}'s after seq {common_seq}"))

    def _append_from(self, log: PeerLog, out: Outbox, now_ns: int) -> None:
        self._catch_up.failed = False
        self._catch_up.target_seq = log.tip_seq
        follows, self.head.follows = self.head.follows, ANY_SEQUENCER
        for fetched in log.frames:
            verdict = self.head.judge(fetched)
            if verdict is Verdict.NEXT:
                self._receive(fetched, out)
            elif verdict is not Verdict.OLD:
                break
        self.head.follows = follows
        self._catch_up.expect(log)
        if self.head.seq < log.tip_seq and not self._pending:
            self._catch_up.in_vain(now_ns)
        if not self._pending:
            self._check_expected(out)
            self._finish_catch_up(out)

    def _check_expected(self, out: Outbox) -> None:
        expected = self._catch_up.expected
        wrong = self._catch_up.check(self.applied_seq, self.digest)
        if not wrong or expected is None:
            return
        if self.in_sync_bits >> expected.peer & 1:
            self._on_contradiction(expected.peer, wrong, out)
        else:
            self._stop(wrong, out)

    def _finish_catch_up(self, out: Outbox) -> None:
        if self.diverged or not self._catch_up.target_seq or self.applied_seq < self._catch_up.target_seq:
            return
        self._catch_up.target_seq = 0
        self._rewinds = 0
        self._proven = self.head.epoch
        if not self.live:
            self._go_live(ANY_SEQUENCER, out, f"caught up with an in-sync engine at seq {self.applied_seq}")

    def _wants_fetch(self) -> bool:
        return self._catch_up.possible and (not self.live or self._rewinds >= _REWINDS_BEFORE_FETCH)

    def _go_live(self, follows: int, out: Outbox, reason: str) -> None:
        self.head.follows = follows
        if self.live:
            return
        self.live = True
        self._catch_up.target_seq = 0
        self._rewinds = 0
        out.notices.append(Notice("live", reason))
        if self.applied_seq:
            self._ack_entries.append((self.applied_seq, self.digest))

    def _leave_stream(self, out: Outbox, reason: str) -> None:
        self.live = False
        self.head.follows = NO_SEQUENCER
        self._catch_up.ask_at_once()
        out.notices.append(Notice("left_stream", reason))

    def _stop(self, reason: str, out: Outbox) -> None:
        if not self.diverged:
            self.diverged = reason
            out.notices.append(Notice("diverged", reason))

    # ---- commit, release, repetition ----------------------------------------------------------------------------

    def _advance_commit(self, out: Outbox | None) -> None:
        if self.diverged:
            return
        reached = max(self.committed_seq, min(self._catch_up.committed_seq, self.applied_seq))
        if self.live:
            reached = self.gate.committed(self.applied_seq, reached, self._leader_committed)
        # Whole batches only: a release never ends inside one.
        done: list[AppliedBatch] = []
        while self._uncommitted and self._uncommitted[0].last_seq <= reached:
            done.append(self._uncommitted.popleft())
        if not done:
            return
        self.committed_seq = done[-1].last_seq
        if out is not None and self.role is Role.PRIMARY:
            out.releases += self._release(done)

    def _on_time(self, out: Outbox, now_ns: int) -> None:
        if self.diverged or out.truncate_after is not None or out.install is not None:
            return
        if self._gap_from != NO_SEQUENCER and now_ns >= self._next_rewind_ns and not self._pending:
            if self.live or self._catch_up.failed:
                self._next_rewind_ns = now_ns + self.options.rewind_ns
                self._rewinds += 1
                out.rewind = Rewind(self._gap_from, self._ack_frame((), FrameFlag.REWIND))
            self._gap_from = NO_SEQUENCER
        if self._wants_fetch() and not self._pending and out.fetch_snapshot is None:
            out.fetch = self._catch_up.ask(self.head.seq + 1, now_ns)
        if now_ns >= self._next_repeat_ns and self.live and self.applied_seq:
            self._next_repeat_ns = now_ns + self.options.repeat_ns
            if not self._ack_entries:
                self._ack_entries.append((self.applied_seq, self.digest))
            if self.role is Role.PRIMARY and not out.releases:
                out.releases += self._release([])

    def _release(self, batches: list[AppliedBatch]) -> list[Frame]:
        return release_frames(
            batches, self.head.epochs, sender=self.options.member, epoch=self.epoch, committed_seq=self.committed_seq
        )

    def _note_role(self, out: Outbox) -> None:
        role = self.role
        if role is not self._role:
            out.notices.append(
                Notice(
                    "role",
                    f"{self._role.name.lower()} -> {role.name.lower()} at seq {self.applied_seq}, epoch {self.epoch}",
                )
            )
            self._role = role

    def _effects(self, out: Outbox, now_ns: int) -> Effects:
        ack = None
        # Under a promise to a leader of whom nothing fits yet, the own tail may be divergent: it must not speak of it.
        if self._ack_entries and self.live and not self.diverged and self._proven == self.promised:
            ack = self._ack_frame(self._ack_entries)
            self._next_repeat_ns = now_ns + self.options.repeat_ns
        self._ack_entries = []
        journal = None
        joined, self._joining = self._joining, False
        named, self._naming = self._naming or out.adopt_uuid, False
        if out.frames or out.promise or named or joined:
            journal = JournalWrite(
                tuple(out.frames),
                tuple(out.epochs),
                (self.promised, self.promised_to) if out.promise else None,
                self.cluster_uuid if named else "",
                self.committed_seq,
                joined,
                synced=out.synced,
            )
        return Effects(
            journal,
            out.truncate_after,
            out.install,
            tuple(out.fences),
            ack,
            tuple(out.applied),
            tuple(out.releases),
            out.rewind,
            out.fetch,
            out.ask,
            out.fetch_snapshot,
            tuple(out.notices),
        )
