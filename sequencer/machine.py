"""The sequencer's state machine: from candidate over takeover to leader, and back.

Pure: `step(event, now_ns) -> Effects`. `now_ns` is monotonic time and measures deadlines; what commands are stamped
with comes from wall clocks (`ClocksRead`, `clock.py`). No clock, socket, thread or randomness in here, so that the same
machine runs in production, in unit tests and in a simulated cluster. The states are in `states.py`.
"""

from lockstep.sequencer import events as ev
from lockstep.sequencer.candidacy import Backoff, Candidacy, Claim, Driver
from lockstep.sequencer.clock import StampClock
from lockstep.sequencer.config_record import note_known, plan_fence_result, plan_lost
from lockstep.sequencer.config_store import ConfigStore, Purpose, Settled, StoreEvent, Verdict
from lockstep.sequencer.events import Down, Effects, EpochCause, Event, FetchOrder, Level, OperatorAnswer, Outbox
from lockstep.sequencer.overrides import Overrides
from lockstep.sequencer.patience import Patience
from lockstep.sequencer.peers import Peers
from lockstep.sequencer.reign import Reign
from lockstep.sequencer.settings import MS, Settings
from lockstep.sequencer.states import TRANSITIONS, Occasion, State
from lockstep.sequencer.takeover import Diverged, Recovery, Takeover, missing_part
from lockstep.stream.arrival import MAX_EPOCH
from lockstep.stream.batch import Batch
from lockstep.stream.delivery_mark import DeliveryMark

_POLL_NS = 5 * MS


class BrokenInvariant(Exception):
    """The machine contradicts itself: the process must stop."""


class SequencerMachine:
    """One sequencer. See the module."""

    __slots__ = (
        "_backoff",
        "_candidacy",
        "_claim",
        "_now_ns",
        "_out",
        "_overrides",
        "_settings",
        "_started_ns",
        "clock",
        "config_store",
        "driver",
        "ignored",
        "peers",
        "reign",
        "reigns",
        "state",
        "takeover",
        "why",
    )  # fmt: skip

    def __init__(self, settings: Settings, now_ns: int, wall_ns: int) -> None:
        """`now_ns`: monotonic time, `wall_ns`: this host's wall clock at that moment."""
        self._settings = settings
        self._started_ns = now_ns
        self._now_ns = now_ns
        self._out = Outbox()
        self._backoff = Backoff(settings.jitter_ns)
        self._claim = Claim(EpochCause.BOOTSTRAP, now_ns)
        self._overrides = Overrides(settings)
        others = tuple(other for other in settings.sequencers if other != settings.member)
        self.peers = Peers(settings.engines, others, now_ns, Patience(settings))
        self.driver = Driver(settings)
        self.clock = StampClock(now_ns, wall_ns)
        self._candidacy = Candidacy(settings, self.peers, self.driver, now_ns)
        self.config_store = ConfigStore(settings.identity)
        self.state = State.CANDIDATE
        self.takeover: Takeover | None = None
        """Set exactly in FENCING, NARROWING and RECOVERING."""
        self.reign: Reign | None = None
        """Set exactly in LEADER."""
        self.why = "etcd was not heard yet"
        """In one sentence, why it does not lead; empty if it does."""
        self.ignored = 0
        """Events that mean nothing in the state they came in."""
        self.reigns = 0
        """Times that it opened."""

    @property
    def due_ns(self) -> int:
        """When the next Tick is due at the latest."""
        return self.reign.due_ns if self.reign is not None else self._now_ns + _POLL_NS

    @property
    def now_ns(self) -> int:
        """Time of the last event."""
        return self._now_ns

    @property
    def work_due(self) -> bool:
        """Whether a Tick would stamp commands now."""
        return self.reign is not None and self.reign.work_due

    @property
    def mute(self) -> bool:
        """Whether its media driver is lost for so long that another one should lead."""
        return self.driver.mute(self._now_ns)

    @property
    def epoch(self) -> int:
        """Epoch of the config as this sequencer knows it; 0: unknown."""
        return 0 if self.config_store.config is None else self.config_store.config.epoch

    def step(self, event: Event, now_ns: int) -> Effects:
        """Handle one event.

        Raises:
            BrokenInvariant: the machine found itself contradicted, and must stop.
        """
        now_ns = max(now_ns, self._now_ns)
        self._now_ns = now_ns
        if isinstance(event, ev.SubmitReceived):
            if self.reign is None:
                self.ignored += 1
            else:
                self.reign.on_submit(event.frame)
            return ev.NOTHING
        self._out.clear()
        if isinstance(event, ev.ClocksRead):
            stamped_ns = 0 if self.reign is None else self.reign.window.time_ns
            self.clock.look(now_ns, event.wall_ns, event.others, stamped_ns, self._out)
        elif self.state is not State.HALTED or isinstance(event, ev.ForceFailoverRequested):
            self._handle(event, now_ns)
            self._go_on(now_ns)
            self._check()
        elif isinstance(event, ev.OperatorRequest):
            self._out.answer(OperatorAnswer(event.request, self.why))
        return self._out.effects()

    def _handle(self, event: Event, now_ns: int) -> None:
        if isinstance(event, StoreEvent):
            self._on_store(event, now_ns)
            return
        match event:
            case ev.Tick():
                self.peers.patience.on_turn(now_ns)
                if self.reign is not None:
                    self.reign.on_tick(now_ns, self._out)
            case ev.AckReceived(frame):
                self.ignored += self.reign is None or self.reign.on_ack(frame, now_ns, self._out)
            case ev.GatewaySaid() | ev.EnginePromised():
                self._on_said(event, now_ns)
            case ev.EngineUp(engine, _):
                self.peers.on_event(event, now_ns)
                if self.takeover is not None:
                    self.takeover.on_engine_up(engine, now_ns)
            case ev.EngineDown():
                self._on_engine_down(event, now_ns)
            case ev.EngineStalled() | ev.SequencerUp() | ev.SequencerDown() | ev.SequencerMute() | ev.PresenceSeen():
                self.peers.on_event(event, now_ns)
            case ev.DriverDown() | ev.DriverUp():
                self.driver.on_change(isinstance(event, ev.DriverUp), now_ns)
            case ev.FenceAnswered() | ev.FenceFailed() | ev.JournalFetched() | ev.JournalFetchFailed():
                self._on_engine_answer(event, now_ns)
            case _:
                assert not isinstance(event, ev.SubmitReceived | ev.ClocksRead), "handled by step"
                self._on_operator(event, now_ns)

    def _go_on(self, now_ns: int) -> None:
        """Do what the present state calls for; level-triggered, after every event."""
        self._overrides.expire(now_ns, self._out)
        anew = self._overrides.begin_anew(None if self.takeover is None else self.takeover.config)
        if anew and self.config_store.in_flight is None and self.state is not State.CANDIDATE:
            self._step_down(Occasion.OVERRIDDEN, "an operator has decided otherwise", now_ns)
            self.config_store.not_before_ns = now_ns
        if self.state is State.CANDIDATE:
            self._consider(now_ns)
        elif self.state is State.FENCING:
            self._fence(now_ns)
        elif self.state is State.RECOVERING:
            self._fetch(now_ns)
        elif self.state is State.LEADER:
            self._reconfigure(now_ns)

    # Candidate -------------------------------------------------------------------------------------------------------

    def _consider(self, now_ns: int) -> None:
        config_store, overrides = self.config_store, self._overrides
        if config_store.fault:
            self.why = config_store.fault
        if not config_store.may_propose(now_ns):
            return
        if not self.driver.up:
            self.why = "this host's media driver is lost: start it"
            return
        claim = overrides.claim(now_ns)
        if claim is None:
            claim = self._candidacy.reason(config_store.config, now_ns, resume=overrides.resume is not None)
            self.why = self._candidacy.why
        if claim is None:
            return
        self._claim = claim
        record = overrides.plan_claim(config_store.config, self.peers.highest_promised, config_store.next_attempt())
        self._enter(Occasion.CLAIMS, f"claiming epoch {record.epoch}")
        self._out.note("claiming the cluster", epoch=record.epoch, cause=claim.cause.name)
        config_store.propose(record, Purpose.TAKEOVER, now_ns, self._out)

    # Takeover --------------------------------------------------------------------------------------------------------

    def _fence(self, now_ns: int) -> None:
        takeover = self._takeover()
        config = takeover.config
        takeover.order_fences(now_ns, self._out)
        self.why = takeover.why_waiting() or self.why
        answered = takeover.decided(self.peers, now_ns)
        if not answered:
            return
        contradiction = takeover.contradiction()
        if contradiction is not None and not contradiction.odd:
            self.why = contradiction.why
            # Another answer may show who is right, or the acknowledgements of all at the end of the log.
            if contradiction.undecided and answered == config.in_sync and not config.founding:
                self._recover(now_ns)
            elif all(engine in takeover.answers or engine in takeover.blank for engine in config.in_sync):
                self._halt(contradiction.why)
            return
        odd = () if contradiction is None else contradiction.odd
        kept = tuple(engine for engine in answered if engine not in odd)
        if kept == config.in_sync and not config.founding:
            self._recover(now_ns)
        elif config.paused and kept != config.in_sync:
            self.why = f"automatic failover is off: waiting for all of {config.in_sync}, only {kept} can go on"
        elif self.config_store.may_propose(now_ns):
            self._narrow(takeover, kept, odd, now_ns)

    def _narrow(self, takeover: Takeover, kept: tuple[int, ...], odd: tuple[int, ...], now_ns: int) -> None:
        config = takeover.config
        known = max(takeover.answers[engine].committed_seq for engine in kept)
        prefer = self.peers.patience.steadiest_first(kept, now_ns)
        attempt = self.config_store.next_attempt()
        record = note_known(plan_fence_result(config, answered=kept, odd=odd, attempt=attempt, prefer=prefer), known)
        self._enter(Occasion.SET_CHANGES, "removing engines that did not answer the fence")
        if kept != config.in_sync:
            self._out.note(
                "in-sync engines did not answer the fence, or contradict the others: removing them", Level.WARNING,
                kept=str(record.in_sync), epoch=record.epoch, odd=str(odd),
            )  # fmt: skip
        self.config_store.propose(record, Purpose.FENCE_RESULT, now_ns, self._out)

    def _recover(self, now_ns: int) -> None:
        takeover = self._takeover()
        takeover.fence_done_ns = now_ns
        try:
            recovery = takeover.recovery()
        except Diverged as error:
            self._halt(str(error))
            return
        if recovery.lowest_seq == recovery.tip_seq:
            self._open(recovery, (), now_ns)
            return
        self._enter(Occasion.LOGS_DIFFER, f"fetching the log of engine {recovery.source}")
        takeover.fetching = False
        takeover.fetch_due_ns = now_ns
        self._fetch(now_ns)

    def _fetch(self, now_ns: int) -> None:
        takeover = self._takeover()
        if any(engine not in takeover.answers for engine in takeover.config.in_sync):
            self._enter(Occasion.ENGINE_LOST, "an engine was lost during recovery")
            self._fence(now_ns)
            return
        if takeover.fetching or now_ns < takeover.fetch_due_ns:
            return
        recovery = takeover.recovery()
        takeover.fetching = True
        self._out.fetch_journal(
            FetchOrder(recovery.source, takeover.config.epoch, recovery.lowest_seq + 1, recovery.tip_seq)
        )

    def _on_engine_answer(
        self, event: ev.FenceAnswered | ev.FenceFailed | ev.JournalFetched | ev.JournalFetchFailed, now_ns: int
    ) -> None:
        takeover = self.takeover
        if isinstance(event, ev.FenceAnswered):
            self.peers.hear(event.promised)
        if takeover is None or event.epoch != takeover.config.epoch:
            self.ignored += 1
        elif isinstance(event, ev.FenceAnswered):
            if not event.accepted and event.promised > MAX_EPOCH:
                self.why = takeover.on_absurd(event, now_ns)
            elif not event.accepted:
                why = f"engine {event.engine} has promised epoch {event.promised}"
                self._step_down(Occasion.PROMISED_MORE, why, now_ns)
            else:
                takeover.on_answer(event, now_ns)
        elif isinstance(event, ev.FenceFailed):
            takeover.on_failed(event, now_ns)
            self.why = f"engine {event.engine} does not answer the fence: {event.reason}"
        elif self.state is not State.RECOVERING or not takeover.fetching:
            self.ignored += 1
        elif isinstance(event, ev.JournalFetched):
            self._on_fetched(takeover, event, now_ns)
        else:
            self._on_fetch_failed(takeover, event.engine, event.reason, now_ns)

    def _on_fetched(self, takeover: Takeover, event: ev.JournalFetched, now_ns: int) -> None:
        recovery = takeover.recovery()
        if event.engine != recovery.source:
            self.ignored += 1
            return
        try:
            batches = missing_part(event.batches, recovery)
        except Diverged as error:
            self._on_fetch_failed(takeover, event.engine, str(error), now_ns)
            return
        self._open(recovery, batches, now_ns)

    def _on_fetch_failed(self, takeover: Takeover, engine: int, reason: str, now_ns: int) -> None:
        self._out.note("the winner's log could not be fetched", Level.WARNING, engine=engine, why=reason)
        if takeover.fetch_failed(now_ns):
            takeover.withdraw(engine, now_ns)

    def _open(self, recovery: Recovery, batches: tuple[Batch, ...], now_ns: int) -> None:
        takeover = self._takeover()
        acked = {engine: takeover.answers[engine].tip_seq for engine in takeover.config.in_sync}
        self._enter(Occasion.LOGS_COMPLETE, "")
        self.takeover = None
        self.reigns += 1
        self.reign = Reign(self._settings, self.peers, self.clock, takeover.config, recovery, acked, now_ns)
        config = takeover.config
        cause = EpochCause.DATA_LOSS_ACCEPTED if config.data_loss else takeover.cause
        gap_ns = 0 if cause is EpochCause.BOOTSTRAP else now_ns - takeover.since_ns
        journal = takeover.answers[config.primary].journal if config.data_loss else 0
        self.reign.open(batches, cause, now_ns, self._out, gap_ns=gap_ns, journal=journal)
        self._overrides.opened(config, self.reign.window.tip, self._out)
        self._out.note(
            "open", epoch=config.epoch, cause=cause.name, primary=config.primary, in_sync=str(config.in_sync),
            seq=self.reign.window.tip, recovered=len(batches), claim_us=(takeover.won_ns - takeover.since_ns) // 1000,
            fence_us=(takeover.fence_done_ns - takeover.won_ns) // 1000,
            recover_us=(now_ns - takeover.fence_done_ns) // 1000, total_us=(now_ns - takeover.since_ns) // 1000,
        )  # fmt: skip

    # Leader ----------------------------------------------------------------------------------------------------------

    def _on_said(self, event: ev.GatewaySaid | ev.EnginePromised, now_ns: int) -> None:
        self.peers.on_said(event)
        reign = self.reign
        if self.takeover is not None:
            self.takeover.on_delivered(self.peers.delivered.values(), now_ns)
        elif reign is not None and isinstance(event, ev.GatewaySaid):
            reign.on_delivered(event.delivered, self._out)
        if isinstance(event, ev.EnginePromised) and reign and (why := reign.refused_by(event.engine, event.epoch)):
            self._step_down(Occasion.PROMISED_MORE, why, now_ns)

    def _on_operator(self, asked: ev.OperatorRequest, now_ns: int) -> None:
        if self.reign is not None and not isinstance(asked, ev.ForceFailoverRequested):
            self.reign.request(asked, now_ns, self._out)
            return
        config, reigning = self.config_store.config, self.reign is not None and not self.reign.why
        refusal = self._overrides.take(asked, config, self.peers, now_ns, reigning=reigning, why=self.why)
        if refusal:
            self._out.answer(OperatorAnswer(asked.request, refusal))

    def _reconfigure(self, now_ns: int) -> None:
        reign = self.reign
        assert reign is not None, "a leader without a reign"
        # Without a driver it hears no ack, so what it would decide on is old; and it may be deposed any moment.
        if self.config_store.in_flight is not None or not self.driver.up:
            return
        reign.withdraw_failed_growth(now_ns, self._out)
        if not self.config_store.may_propose(now_ns):
            return
        if reign.lost != DeliveryMark(reign.config.lost_epoch, reign.config.lost_seq):
            record = plan_lost(reign.config, lost=reign.lost, attempt=self.config_store.next_attempt())
            self.config_store.propose(record, Purpose.SETTING, now_ns, self._out)
            return
        proposal = reign.plan(self.config_store.next_attempt(), now_ns, self._out)
        if proposal is None:
            reign.announce_learner(now_ns, self._out)
            return
        record = note_known(proposal.record, reign.agreement.committed)
        self.config_store.propose(record, proposal.purpose, now_ns, self._out)

    def _on_engine_down(self, event: ev.EngineDown, now_ns: int) -> None:
        engine, reason = event.engine, event.reason
        peer = self.peers.engines.get(engine)
        if peer is None:
            return
        self.peers.on_event(event, now_ns)
        if self.takeover is not None and peer.crashed:
            self.takeover.withdraw(engine, now_ns)
        if self.reign is not None:
            self.reign.agreement.forget(engine)
            if peer.lost:
                self.reign.agreement.returning.add(engine)
            if reason is not Down.UNREACHED:
                self._out.note("engine lost", Level.WARNING, engine=engine, reason=reason.value)

    # The config ------------------------------------------------------------------------------------------------------

    def _on_store(self, event: StoreEvent, now_ns: int) -> None:
        settled = self.config_store.on_event(event, now_ns, self._out)
        if settled is not None:
            self._on_settled(settled, now_ns)
        current = self._own_config()
        seen = self.config_store.config
        if current is not None and seen is not None and seen.attempt != current:
            if self.reign is not None and seen.sequencer != self._settings.member:
                self.peers.patience.on_deposed(now_ns)
            why = f"the config names sequencer {seen.sequencer} with epoch {seen.epoch}"
            self._step_down(Occasion.DEPOSED, why, now_ns)
        if seen is not None:
            crowded_ns = self._backoff.on_epoch(seen.epoch, now_ns)
            if crowded_ns and self.state is State.CANDIDATE:
                self.config_store.not_before_ns = max(self.config_store.not_before_ns, now_ns + crowded_ns)

    def _on_settled(self, settled: Settled, now_ns: int) -> None:
        won = settled.verdict is Verdict.WON
        self._out.note(
            "config swap", Level.INFO if won else Level.WARNING, purpose=settled.purpose.value,
            verdict=settled.verdict.value, epoch=settled.record.epoch, took_us=settled.took_ns // 1000,
        )  # fmt: skip
        if settled.purpose is Purpose.TAKEOVER and self.state is State.CLAIMING:
            if not won:
                self._enter(Occasion.SWAP_NOT_WON, f"the claim was {settled.verdict.value}")
                return
            self._enter(Occasion.SWAP_WON, "waiting for the engines' promises")
            self.takeover = Takeover(
                self._settings, settled.record, self._claim.cause,
                started_ns=self._started_ns, since_ns=self._claim.since_ns, now_ns=now_ns,
            )  # fmt: skip
            self.takeover.on_delivered(self.peers.delivered.values(), now_ns)
            self._overrides.claimed(settled.record)
        elif settled.purpose is Purpose.FENCE_RESULT and self.state is State.NARROWING:
            # Engines may have come or gone in the meantime, so the fence's outcome is looked at once more.
            outcome = Occasion.SWAP_WON if won else Occasion.SWAP_NOT_WON
            self._enter(outcome, f"removing silent engines: {settled.verdict.value}")
            if won:
                self._takeover().config = settled.record
        elif self.reign is not None and settled.purpose not in (Purpose.TAKEOVER, Purpose.FENCE_RESULT):
            if won:
                self.reign.on_config(settled.purpose, settled.record, now_ns, self._out)
                self._note_epoch(settled)
                if settled.record.lost_seq:
                    self._step_down(Occasion.LOSS_FOUND, self.reign.why, now_ns)
            elif settled.purpose in (Purpose.SWITCH, Purpose.EVICT, Purpose.SETTING):
                self.reign.refuse_request("etcd did not take the change: try again", self._out)

    def _note_epoch(self, settled: Settled) -> None:
        config = settled.record
        reign = self.reign
        assert reign is not None, "an epoch without a reign"
        self._out.note(
            "config changed", purpose=settled.purpose.value, epoch=config.epoch, primary=config.primary,
            in_sync=str(config.in_sync), learners=str(config.learners), seq=reign.window.tip,
        )  # fmt: skip

    def _own_config(self) -> str | None:
        """Attempt name of the config that this sequencer acts under; None while it acts under none."""
        if self.reign is not None:
            return self.reign.config.attempt
        return None if self.takeover is None else self.takeover.config.attempt

    # States ----------------------------------------------------------------------------------------------------------

    def _enter(self, occasion: Occasion, why: str) -> None:
        state = TRANSITIONS.get((self.state, occasion))
        if state is None:
            raise BrokenInvariant(f"{occasion.value}, in state {self.state.value} ({why})")
        self.state = state
        self.why = why

    def _step_down(self, occasion: Occasion, reason: str, now_ns: int) -> None:
        self._out.note("stepping down", Level.WARNING, why=reason, state=self.state.value)
        if self.reign is not None:
            self.reign.refuse_request("this sequencer no longer leads: ask the new leader", self._out)
        self._enter(occasion, reason)
        pause_ns = self._backoff.pause_ns(opened=self.reign is not None)
        self.config_store.not_before_ns = max(self.config_store.not_before_ns, now_ns + pause_ns)
        self.takeover = None
        self.reign = None

    def _halt(self, why: str) -> None:
        self._enter(Occasion.CONTRADICTION, why)
        self.takeover = None
        self._out.note("HALTED: the in-sync engines contradict each other", Level.ERROR, why=why)

    def _takeover(self) -> Takeover:
        assert self.takeover is not None, f"state {self.state.value} without a takeover"
        return self.takeover

    def _check(self) -> None:
        """The invariants written on the fields."""
        taking_over = self.state in (State.FENCING, State.NARROWING, State.RECOVERING)
        if taking_over != (self.takeover is not None) or (self.state is State.LEADER) != (self.reign is not None):
            raise BrokenInvariant(f"state {self.state.value} with takeover {self.takeover} and reign {self.reign}")
        reign = self.reign
        if reign is not None and not (
            reign.agreement.committed <= reign.window.tip
            and reign.window.epoch == reign.config.epoch
            and reign.config.sequencer == self._settings.member
        ):
            raise BrokenInvariant(
                f"leader at epoch {reign.window.epoch}, config {reign.config}, committed {reign.agreement.committed}, "
                f"tip {reign.window.tip}"
            )
