"""The time in which this sequencer leads: stamp, send, send again, count acks, give credit, say what changes.

A reign may span several epochs (each loss of an engine and each switch of the primary begins one); all of them are this
leader's, so no fence is needed between them. The reign is named after the epoch in which the leader took office.
"""

from lockstep.sequencer.agreement import Agreement
from lockstep.sequencer.backlog import Backlog
from lockstep.sequencer.clock import StampClock
from lockstep.sequencer.config_record import ConfigRecord, PlanRefused
from lockstep.sequencer.config_store import Purpose
from lockstep.sequencer.events import (
    EpochCause,
    EpochOpened,
    Level,
    OperatorAnswer,
    OperatorRequest,
    Outbox,
    SwitchPrimaryRequested,
)
from lockstep.sequencer.intake import Intake
from lockstep.sequencer.membership import Membership, grow_not_before_ns
from lockstep.sequencer.operator_requests import Proposal, is_fulfilled
from lockstep.sequencer.peers import Peers
from lockstep.sequencer.settings import MS, Settings
from lockstep.sequencer.takeover import Recovery
from lockstep.sequencer.window import Window, control_record
from lockstep.stream.arrival import MAX_EPOCH
from lockstep.stream.batch import Batch
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.identity import split_uuid
from lockstep.stream.messages import Ack, Stream, Submit
from lockstep.stream.records import CommandKind, members_to_bits

# Sent again in one go at the most, in commands: 2 MiB, so that a link's queue always has room for it.
_RESEND_BUDGET = 16_384
# A receipt goes out early once so many commands were taken, so that credit does not run dry between two.
_EARLY_RECEIPT = 4096
# A tick that comes so much later than it was due shows that this process stood still.
_SELF_PAUSE_NS = 50 * MS
# While nothing is stamped, the time is: an idle cluster's journal grows by some 20 MB a day.
_IDLE_TICK_NS = 1_000 * MS


class Reign:
    """See the module. Open from the moment it is made."""

    __slots__ = (
        "_clock", "_gateway_count", "_peers", "_proposed", "_recovered", "_resend_due_ns", "_settings",
        "_stream_due_ns", "_time_stamped_ns", "_time_stamped_seq", "agreement", "backlog", "beyond", "config", "intake",
        "lost", "membership", "office_epoch", "resent", "window",
    )  # fmt: skip

    def __init__(
        self,
        settings: Settings,
        peers: Peers,
        clock: StampClock,
        config: ConfigRecord,
        recovery: Recovery,
        acked: dict[int, int],
        now_ns: int,
    ) -> None:
        self._settings = settings
        self._peers = peers
        self._clock = clock
        clock.lead(recovery.time_ns, now_ns)
        self._gateway_count = max(1, len(settings.gateways))
        self._recovered = DeliveryMark(recovery.tip_epoch, recovery.tip_seq)
        self.lost = DeliveryMark()
        """Clients have reports up to there, and this reign was opened without: it stamps nothing more and ends."""
        self.config = config
        self.office_epoch = config.epoch
        """The epoch in which this leader took office: the reign's name."""
        limits = settings.limits
        self.window = Window(
            sender=settings.member,
            epoch=config.epoch,
            tip=recovery.tip_seq,
            tip_epoch=recovery.tip_epoch,
            time_ns=recovery.time_ns,
            limit=limits.retransmit_commands,
        )
        self.agreement = Agreement(acked, recovery.committed_seq, now_ns)
        self.intake = Intake(settings.gateways, limits.window_commands)
        self.backlog = Backlog(limits.window_commands)
        self.membership = Membership(settings, grow_not_before_ns(peers, now_ns))
        self.beyond = 0
        """Acks of what was never stamped."""
        self.resent = 0
        """Frames sent again on request."""
        self._stream_due_ns = now_ns
        self._resend_due_ns: dict[int, int] = {}
        self._time_stamped_ns = now_ns
        self._time_stamped_seq = 0
        self._proposed: Proposal | None = None

    @property
    def required(self) -> tuple[int, ...]:
        """Engines whose ack a new command needs now."""
        return self.membership.required(self.config)

    @property
    def room(self) -> int:
        """Commands that may be stamped now: 0 to the bound of the backlog."""
        return max(0, self.backlog.bound - self._outstanding)

    @property
    def _outstanding(self) -> int:
        """Commands stamped that not all have who must."""
        return self.window.tip - self.agreement.lowest(self.required)

    @property
    def credit(self) -> int:
        """Commands that each gateway may send beyond the next link number."""
        return max(0, self.room - self.intake.queued) // self._gateway_count

    @property
    def work_due(self) -> bool:
        """Whether a tick would stamp something at once."""
        return self.intake.queued > 0 and self.room > 0

    @property
    def due_ns(self) -> int:
        """When the next tick has something to do."""
        receipts = (link.receipt_due_ns for link in self.intake.links.values())
        return min(self._stream_due_ns, min(receipts, default=self._stream_due_ns))

    def open(
        self,
        recovered: tuple[Batch, ...],
        cause: EpochCause,
        now_ns: int,
        out: Outbox,
        *,
        gap_ns: int = 0,
        journal: int = 0,
    ) -> None:
        """Bring the others to the winner's log under the original stamps, begin the epoch, and take commands.

        `journal`: of the engine that an operator's word alone makes in sync, although it is not joined; else 0.
        """
        self._protect()
        self.window.recover(recovered)
        for engine in self.config.in_sync:
            self._send_after(engine, self.agreement.acked.get(engine, 0), out)
        self.begin_epoch(cause, now_ns, out, gap_ns=gap_ns, journal=journal)
        self._receipts(now_ns, out, everyone=True)

    def begin_epoch(self, cause: EpochCause, now_ns: int, out: Outbox, *, gap_ns: int = 0, journal: int = 0) -> None:
        """Stamp EPOCH_START of the present config. A growth that was open ends: the record does not list it."""
        self.membership.growth = None
        config = self.config
        self.window.epoch = config.epoch
        self._stamp_control(CommandKind.EPOCH_START, now_ns, out, cause=cause, journal=journal)
        out.opened(
            EpochOpened(
                epoch=config.epoch,
                first_seq=self.window.tip,
                timestamp_ns=self.window.time_ns,
                cause=cause,
                sequencer=config.sequencer,
                primary=config.primary,
                in_sync=config.in_sync,
                gap_ns=gap_ns,
            )
        )

    def on_submit(self, submitted: Submit) -> None:
        """Admit commands; the next tick stamps them."""
        self.intake.on_submit(submitted, self.office_epoch, self._peers.gateways.get(submitted.sender, 0))

    def on_ack(self, ack: Ack, now_ns: int, out: Outbox) -> bool:
        """Note an ack; whether it means nothing here."""
        if ack.sender not in self._peers.engines:
            return True
        self._peers.engines[ack.sender].journal = ack.journal
        if ack.epoch > self.window.epoch:
            # Its liveness link says what it has promised, if it is so.
            return True
        if ack.epoch < self.office_epoch:
            return False
        if ack.rewinds:
            self._on_rewind(ack.sender, ack.acked_seq, now_ns, out)
            return False
        if ack.acked_seq > self.window.tip:
            self.beyond += 1
            # Powers of two, as with frames that are dropped.
            if ack.sender in self.config.in_sync and not self.beyond & (self.beyond - 1):
                out.note(
                    "ack beyond the stamped tip ignored", Level.ERROR,
                    engine=ack.sender, seq=ack.acked_seq, tip=self.window.tip, ignored=self.beyond,
                )  # fmt: skip
            return False
        if self._peers.engines[ack.sender].up:
            # While it is down, this is what it sent before.
            self.agreement.returning.discard(ack.sender)
        was_diverged = self.agreement.diverged
        required = self.required
        self.agreement.on_ack(ack, required, now_ns)
        if self.agreement.diverged and not was_diverged:
            out.note("DIVERGED: nothing more is committed", Level.ERROR, why=self.agreement.diverged)
        self.agreement.commit(required)
        self.backlog.on_held(self.agreement.lowest(required), now_ns)
        return False

    def on_delivered(self, delivered: DeliveryMark, out: Outbox) -> None:
        """A gateway has delivered so much. Only now may it be heard that an older log, put back, lacks some of it."""
        if not self.config.accepted_epoch <= delivered.epoch < self.office_epoch or delivered <= self.lost:
            return
        if self._recovered.seq and delivered.misses(self._recovered.epoch, self._recovered.seq):
            self.lost = delivered
            out.note("this reign lacks what was delivered to clients", Level.ERROR, why=self.why)

    def refused_by(self, engine: int, promised: int) -> str:
        """Why this leader must step down, if it must, as an engine says that it has promised so much."""
        if engine not in self._peers.engines or not self.window.epoch < promised <= MAX_EPOCH:
            return ""
        return f"engine {engine} has promised epoch {promised}, this leader's is {self.window.epoch}"

    def on_tick(self, now_ns: int, out: Outbox) -> None:
        """Stamp what has come in, then say what is due."""
        if now_ns - self.due_ns > _SELF_PAUSE_NS:
            self.agreement.excuse(now_ns)
        self._flush(now_ns, out)
        self._stamp_time(now_ns, out)
        if now_ns >= self._stream_due_ns:
            self._send(self.window.heartbeat(self.agreement.committed), now_ns, out)
        self._receipts(now_ns, out)

    def request(self, asked: OperatorRequest, now_ns: int, out: Outbox) -> None:
        """Admit an operator's request; it is answered now or when it has come true."""
        # Who asks for a switch expects that something changes, and hears if it can't.
        fulfilled = not isinstance(asked, SwitchPrimaryRequested) and is_fulfilled(asked, self.config)
        if fulfilled and self.membership.open_request is None:
            out.answer(OperatorAnswer(asked.request, primary=self.config.primary, epoch=self.window.epoch))
            return
        try:
            self.membership.request(asked, self.config, self._peers, now_ns)
        except PlanRefused as error:
            out.answer(OperatorAnswer(asked.request, str(error)))

    def withdraw_failed_growth(self, now_ns: int, out: Outbox) -> None:
        """Take a learner that died, or does not follow, out of the stream again. Only while no swap is under way."""
        growth = self.membership.growth
        if growth is None or not self.membership.growth_failed(self.config, self._peers, self.agreement, now_ns):
            return
        self.membership.end_growth(now_ns)
        self.agreement.resolve((growth.member,))
        self._stamp_control(CommandKind.GROW_REVOKED, now_ns, out, member=growth.member)
        out.note("learner withdrawn from the stream", Level.WARNING, engine=growth.member, seq=self.window.tip)
        self.agreement.commit(self.required)

    def plan(self, attempt: str, now_ns: int, out: Outbox) -> Proposal | None:
        """The config change to write now, if any."""
        before = self.membership.stalled_on
        try:
            proposal = self.membership.plan(self.config, self._peers, self.agreement, attempt, now_ns)
        except PlanRefused as error:
            self.refuse_request(str(error), out)
            return None
        if self.membership.stalled_on and not before:
            out.note("stalled", Level.ERROR, why=self.why)
        self._proposed = proposal
        return proposal

    @property
    def why(self) -> str:
        """In one sentence, why nothing is committed; empty: no reason is known."""
        lost = ", ".join(str(engine) for engine in self.membership.stalled_on)
        if self.lost.seq:
            return (
                f"clients have reports of commands up to {self.lost}, and this reign was opened at "
                f"{self._recovered}: a disk is an earlier one, put back"
            )
        if self.agreement.diverged:
            return f"DIVERGED: {self.agreement.diverged}"
        if not lost:
            return ""
        if self.config.paused:
            return f"in-sync engines are lost ({lost}) and automatic failover is off: bring them back, or switch it on"
        return f"every in-sync engine is lost ({lost}): waiting for one to come back"

    @property
    def doubt(self) -> str:
        """In one sentence, why nothing is committed at the moment although nobody counts as lost; else empty."""
        silent = ", ".join(str(engine) for engine in self.membership.doubted)
        if not silent:
            return ""
        return (
            f"in-sync engines are silent ({silent}): failovers for that were without effect lately, so they are given "
            "some seconds to come back"
        )

    def announce_learner(self, now_ns: int, out: Outbox) -> None:
        """Begin the growth of a learner that has caught up: in the stream, before etcd hears of it."""
        member = self.membership.candidate(self.config, self._peers, self.agreement, self.window.tip, now_ns)
        if not member:
            return
        held = self.agreement.learner_at(member)
        self._stamp_control(CommandKind.GROW, now_ns, out, member=member, journal=self._peers.engines[member].journal)
        self.membership.begin_growth(member, self.window.tip, now_ns)
        self.agreement.admit(member, held, now_ns)
        out.note("learner announced in the stream", engine=member, seq=self.window.tip)

    def on_config(self, purpose: Purpose, record: ConfigRecord, now_ns: int, out: Outbox) -> None:
        """A swap of this reign was won: the stream follows."""
        before, self.config = self.config, record
        proposed, self._proposed = self._proposed, None
        if purpose is Purpose.GROW:
            self.membership.end_growth(now_ns)
            out.note("learner is in sync", engines=str(record.in_sync))
            return
        if purpose in (Purpose.EVICT, Purpose.SHRINK):
            removed = tuple(member for member in before.in_sync if member not in record.in_sync)
            self.agreement.resolve(removed)
            if purpose is Purpose.SHRINK:
                self.membership.on_removed(removed, self._peers, now_ns)
        if proposed is not None and proposed.cause is not None:
            gap_ns = now_ns - proposed.since_ns if proposed.since_ns else 0
            self.begin_epoch(proposed.cause, now_ns, out, gap_ns=gap_ns)
        self.agreement.commit(self.required)
        self._answer_request(0 if record.epoch == before.epoch else self.window.tip, out)

    def refuse_request(self, why: str, out: Outbox) -> None:
        """The open request can't be fulfilled now."""
        if self.membership.open_request is not None:
            out.answer(OperatorAnswer(self.membership.open_request.request, why))
            self.membership.open_request = None

    def _answer_request(self, seq: int, out: Outbox) -> None:
        asked = self.membership.open_request
        if asked is not None and is_fulfilled(asked, self.config):
            self.membership.open_request = None
            out.answer(OperatorAnswer(asked.request, primary=self.config.primary, epoch=self.window.epoch, seq=seq))

    def _protect(self) -> None:
        self.window.needed_after = self.agreement.lowest(self.required)

    def _flush(self, now_ns: int, out: Outbox) -> None:
        room = 0 if self.lost.seq else self.room
        if self.intake.queued:
            self._protect()
        while room > 0 and self.intake.queued:
            records = self.intake.take(min(room, self._settings.limits.batch_commands))
            room -= len(records)
            before = self.window.tip
            stamped = self.window.stamp(records, self._clock.at(now_ns), self.agreement.committed)
            self.agreement.on_stamped(before, now_ns)
            self._send(stamped, now_ns, out)
            self.backlog.on_stamped(self.window.tip, self._outstanding, now_ns)

    def _stamp_time(self, now_ns: int, out: Outbox) -> None:
        """TICK: what waits for a time happens in it. Nobody waits so exactly that an idle cluster must be kept busy."""
        tick_ns = self._settings.timing.tick_ms * MS
        if self.window.tip == self._time_stamped_seq:
            tick_ns = max(tick_ns, _IDLE_TICK_NS) if tick_ns else 0
        if not tick_ns or now_ns < self._time_stamped_ns + tick_ns or not self.room or self.why:
            return
        self._stamp_control(CommandKind.TICK, now_ns, out)
        self._time_stamped_ns, self._time_stamped_seq = now_ns, self.window.tip

    def _stamp_control(
        self, kind: CommandKind, now_ns: int, out: Outbox, *, member: int = 0, cause: int = 0, journal: int = 0
    ) -> None:
        names_cluster = kind in (CommandKind.EPOCH_START, CommandKind.GROW)
        record = control_record(
            kind,
            epoch=self.window.epoch,
            in_sync_bits=members_to_bits(self.config.in_sync),
            primary=self.config.primary,
            sequencer=self._settings.member,
            member=member,
            cause=cause,
            policy=self.config.ack_policy if kind is CommandKind.EPOCH_START else 0,
            journal=journal,
            previous=self.window.tip_epoch if kind is CommandKind.EPOCH_START else 0,
            cluster=split_uuid(self.config.uuid) if names_cluster else (0, 0),
        )
        before = self.window.tip
        self._protect()
        stamped = self.window.stamp(record, self._clock.at(now_ns), self.agreement.committed)
        self.agreement.on_stamped(before, now_ns)
        self._send(stamped, now_ns, out)

    def _send(self, stamped: Stream, now_ns: int, out: Outbox) -> None:
        required = self.required
        engines = tuple(engine for engine, peer in self._peers.engines.items() if peer.up or engine in required)
        self._stream_due_ns = now_ns + self._settings.timing.receipt_ms * MS
        out.stream(engines, stamped)

    def _on_rewind(self, engine: int, held: int, now_ns: int, out: Outbox) -> None:
        if now_ns < self._resend_due_ns.get(engine, 0):
            return
        self._resend_due_ns[engine] = now_ns + self._settings.timing.rewind_ms * MS // 2
        self._send_after(engine, held, out)

    def _send_after(self, engine: int, held: int, out: Outbox) -> None:
        frames = self.window.after(held, self.agreement.committed, _RESEND_BUDGET)
        # None: no longer kept. The engine fetches it from a peer's journal.
        for one in frames or ():
            self.resent += 1
            out.stream((engine,), one)

    def _receipts(self, now_ns: int, out: Outbox, *, everyone: bool = False) -> None:
        interval_ns = self._settings.timing.receipt_ms * MS
        for gateway, link in self.intake.links.items():
            rewind = link.rewind and not self.intake.full and now_ns >= link.rewind_due_ns
            if not (everyone or rewind or now_ns >= link.receipt_due_ns or link.taken >= _EARLY_RECEIPT):
                continue
            if rewind:
                link.rewind_due_ns = now_ns + self._settings.timing.rewind_ms * MS
            link.receipt_due_ns = now_ns + interval_ns
            link.taken = 0
            receipt = self.intake.receipt(
                gateway,
                sender=self._settings.member,
                epoch=self.window.epoch,
                reign=self.office_epoch,
                credit=self.credit,
                committed_seq=self.agreement.committed,
                rewind=rewind,
            )
            out.receipt(gateway, receipt)
