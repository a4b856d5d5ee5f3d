"""The time in which this sequencer leads: stamp, send, send again, take acks in, give credit, say what changes.

A reign may span several epochs (each loss of an engine and each switch of the primary begins one); all of them are this
leader's, so no fence is needed between them. The reign is named after the epoch in which the leader took office.
"""

from lockstep.sequencer.agreement import Agreement
from lockstep.sequencer.config_record import ConfigRecord
from lockstep.sequencer.events import EpochCause, Level, Outbox, SwitchAnswer, SwitchPrimaryRequested
from lockstep.sequencer.hold import Purpose
from lockstep.sequencer.intake import Intake
from lockstep.sequencer.membership import Membership, Proposal
from lockstep.sequencer.peers import Peers
from lockstep.sequencer.settings import MS, Settings
from lockstep.sequencer.takeover import Recovery
from lockstep.sequencer.window import Window, control_record
from lockstep.stream.frames import Frame, FrameFlag
from lockstep.stream.records import CommandKind, members_to_bits

# Sent again in one go at the most, in commands: 2 MiB, so that a link's queue always has room for it.
_RESEND_BUDGET = 16_384
# A receipt goes out early once so many commands were taken, so that credit does not run dry between two.
_EARLY_RECEIPT = 4096
_SELF_PAUSE_NS = 50 * MS


class Reign:
    """See the module. Open from the moment it is made."""

    __slots__ = (
        "_gateway_count", "_peers", "_resend_due_ns", "_settings", "_stream_due_ns", "_tick_ns", "agreement", "config",
        "intake", "membership", "office_epoch", "resent", "window",
    )  # fmt: skip

    def __init__(
        self,
        settings: Settings,
        peers: Peers,
        config: ConfigRecord,
        recovery: Recovery,
        acked: dict[int, int],
        now_ns: int,
    ) -> None:
        self._settings = settings
        self._peers = peers
        self._gateway_count = max(1, len(settings.gateways))
        self.config = config
        self.office_epoch = config.epoch
        """The epoch in which this leader took office: the reign's name."""
        limits = settings.limits
        self.window = Window(
            sender=settings.member,
            epoch=config.epoch,
            tip=recovery.tip_seq,
            time_ns=recovery.time_ns,
            limit=limits.retransmit_commands,
        )
        self.agreement = Agreement(acked, recovery.committed_seq, now_ns)
        self.intake = Intake(settings.gateways, limits.window_commands)
        self.membership = Membership(settings)
        self.resent = 0
        """Frames sent again on request."""
        self._tick_ns = now_ns
        self._stream_due_ns = now_ns
        self._resend_due_ns: dict[int, int] = {}

    @property
    def required(self) -> tuple[int, ...]:
        """Engines whose ack a new command needs now."""
        return self.membership.required(self.config)

    @property
    def room(self) -> int:
        """Commands that may be stamped now: 0 to the window."""
        outstanding = self.window.tip - self.agreement.lowest(self.required)
        return max(0, self._settings.limits.window_commands - outstanding)

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

    def open(self, recovered: tuple[Frame, ...], cause: EpochCause, now_ns: int, out: Outbox) -> None:
        """Bring the others to the winner's log under the original stamps, begin the epoch, and take commands."""
        self._protect()
        self.window.recover(recovered)
        for engine in self.config.in_sync:
            self._send_after(engine, self.agreement.acked.get(engine, 0), out)
        self.begin_epoch(cause, now_ns, out)
        self._receipts(now_ns, out, everyone=True)

    def begin_epoch(self, cause: EpochCause, now_ns: int, out: Outbox) -> None:
        """Stamp EPOCH_START of the present config. A growth that was open ends: the record does not list it."""
        self.membership.growth = None
        self.window.epoch = self.config.epoch
        self._stamp_control(CommandKind.EPOCH_START, now_ns, out, cause=cause)

    def on_submit(self, submitted: Frame) -> None:
        """Take commands in; the next tick stamps them."""
        self.intake.on_submit(submitted, self.office_epoch)

    def on_ack(self, ack: Frame, now_ns: int, out: Outbox) -> str:
        """Take an ack in; returns why this leader must step down, if it must."""
        if ack.sender not in self._peers.engines:
            return ""
        self._peers.engines[ack.sender].journal = ack.aux
        if ack.epoch > self.window.epoch:
            self._peers.hear(ack.epoch)
            return f"engine {ack.sender} has promised epoch {ack.epoch}, this leader's is {self.window.epoch}"
        if ack.epoch < self.office_epoch:
            return ""
        if ack.flags & FrameFlag.REWIND:
            self._on_rewind(ack.sender, ack.first_seq, now_ns, out)
            return ""
        if ack.first_seq > self.window.tip:
            if ack.sender in self.config.in_sync:
                out.note(
                    "ack beyond the stamped tip ignored", Level.ERROR,
                    engine=ack.sender, seq=ack.first_seq, tip=self.window.tip,
                )  # fmt: skip
            return ""
        was_diverged = self.agreement.diverged
        required = self.required
        self.agreement.on_ack(ack, required, now_ns)
        if self.agreement.diverged and not was_diverged:
            out.note("DIVERGED: nothing more is committed", Level.ERROR, why=self.agreement.diverged)
        self.agreement.commit(required)
        return ""

    def on_tick(self, now_ns: int, out: Outbox) -> None:
        """Stamp what has come in, then say what is due."""
        if now_ns - self._tick_ns > _SELF_PAUSE_NS:
            self.agreement.excuse(now_ns)
        self._tick_ns = now_ns
        self._flush(now_ns, out)
        if now_ns >= self._stream_due_ns:
            self._send(self.window.heartbeat(self.agreement.committed), now_ns, out)
        self._receipts(now_ns, out)

    def request_switch(self, event: SwitchPrimaryRequested) -> SwitchAnswer | None:
        """Take an operator's request in; returns its refusal."""
        return self.membership.request(event, self.config, self._peers)

    def withdraw_failed_growth(self, now_ns: int, out: Outbox) -> None:
        """Take a learner that died, or does not follow, out of the stream again. Only while no swap is under way."""
        growth = self.membership.growth
        if growth is None or not self.membership.growth_failed(self._peers, self.agreement, now_ns):
            return
        self.membership.end_growth(now_ns)
        self._stamp_control(CommandKind.GROW_REVOKED, now_ns, out, member=growth.member)
        out.note("learner withdrawn from the stream", Level.WARNING, engine=growth.member, seq=self.window.tip)
        self.agreement.commit(self.required)

    def plan(self, attempt: str, now_ns: int, out: Outbox) -> Proposal | None:
        """The config change to write now, if any."""
        before = self.membership.stalled_on
        proposal = self.membership.plan(self.config, self._peers, self.agreement, attempt, now_ns)
        if self.membership.stalled_on and not before:
            out.note(
                "every in-sync engine is lost: waiting for one to come back", Level.ERROR,
                engines=str(self.membership.stalled_on),
            )  # fmt: skip
        return proposal

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

    def on_config(self, proposal: Proposal, now_ns: int, out: Outbox) -> None:
        """A swap of this reign was won: the stream follows."""
        before, self.config = self.config, proposal.record
        membership = self.membership
        if proposal.purpose is Purpose.GROW:
            membership.end_growth(now_ns)
            out.note("learner is in sync", engines=str(self.config.in_sync))
            return
        if proposal.purpose is Purpose.SWITCH:
            self.begin_epoch(EpochCause.SWITCHOVER, now_ns, out)
        else:
            lost_primary = before.primary not in self.config.in_sync
            cause = EpochCause.PRIMARY_LOST if lost_primary else EpochCause.STANDBY_LOST
            self.begin_epoch(cause, now_ns, out)
        self.agreement.commit(self.required)
        if membership.switch is not None:
            done = membership.switch.to == self.config.primary
            if done or membership.switch.to not in self.config.in_sync:
                out.answer(self._switch_answer(membership.switch, done))
                membership.switch = None

    def refuse_switch(self, why: str, out: Outbox) -> None:
        """The open switch request can't be done now."""
        if self.membership.switch is not None:
            out.answer(SwitchAnswer(self.membership.switch.request, why))
            self.membership.switch = None

    def _switch_answer(self, request: SwitchPrimaryRequested, done: bool) -> SwitchAnswer:
        if not done:
            return SwitchAnswer(request.request, f"engine {request.to} was lost in the meantime")
        return SwitchAnswer(request.request, primary=self.config.primary, epoch=self.window.epoch, seq=self.window.tip)

    def _protect(self) -> None:
        self.window.needed_after = self.agreement.lowest(self.required)

    def _flush(self, now_ns: int, out: Outbox) -> None:
        room = self.room
        if self.intake.queued:
            self._protect()
        while room > 0 and self.intake.queued:
            records = self.intake.take(min(room, self._settings.limits.batch_commands))
            room -= len(records)
            before = self.window.tip
            stamped = self.window.stamp(records, now_ns, self.agreement.committed)
            self.agreement.on_stamped(before, now_ns)
            self._send(stamped, now_ns, out)

    def _stamp_control(
        self, kind: CommandKind, now_ns: int, out: Outbox, *, member: int = 0, cause: int = 0, journal: int = 0
    ) -> None:
        record = control_record(
            kind,
            epoch=self.window.epoch,
            in_sync_bits=members_to_bits(self.config.in_sync),
            primary=self.config.primary,
            sequencer=self._settings.member,
            member=member,
            cause=cause,
            journal=journal,
        )
        before = self.window.tip
        self._protect()
        stamped = self.window.stamp(record, now_ns, self.agreement.committed)
        self.agreement.on_stamped(before, now_ns)
        self._send(stamped, now_ns, out)

    def _send(self, stamped: Frame, now_ns: int, out: Outbox) -> None:
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
