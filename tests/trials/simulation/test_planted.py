"""The simulation is tested itself: a bug planted into the protocol is found within a stated number of seeds.

Each bug is one small change of a real state machine (or of the order in which its effects are done), of the kind that
somebody could make. If one of these is no longer found, the simulation has lost an eye.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from lockstep.engine.reference import engine as reference
from lockstep.engine.reference import events, mass
from lockstep.engine.reference.state import Owner
from lockstep.engine.reference.state import State as EngineState
from lockstep.gateway import call_driver, stream_driver
from lockstep.gateway.call_driver import CallDriver
from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.delivered import Delivered
from lockstep.gateway.driver import GatewayDriver
from lockstep.gateway.reports import ReportRows
from lockstep.gateway.resumption import Began, Resumption
from lockstep.gateway.uplink import Uplink
from lockstep.replica import execution, replayer
from lockstep.replica.commit import CommitGate
from lockstep.replica.driver import ReplicaDriver
from lockstep.replica.evidence import Verdict, Wholeness
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.pending_answers import PendingAnswers
from lockstep.replica.replica_state import ReplicaState
from lockstep.replica.snapshot_file import encode_snapshot_file
from lockstep.runtime import inquiry
from lockstep.runtime.downlink import Downlink
from lockstep.runtime.inquiry import EventSearch
from lockstep.sequencer import events as ev
from lockstep.sequencer import machine as sequencer_machine
from lockstep.sequencer import overrides as sequencer_overrides
from lockstep.sequencer.agreement import Agreement
from lockstep.sequencer.candidacy import Backoff, Candidacy, Driver
from lockstep.sequencer.clock import StampClock
from lockstep.sequencer.config_record import plan_grow, plan_takeover
from lockstep.sequencer.config_store import ConfigStore, Purpose
from lockstep.sequencer.driver import SequencerDriver
from lockstep.sequencer.intake import Intake as SequencerIntake
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.membership import Membership
from lockstep.sequencer.operator_requests import Proposal
from lockstep.sequencer.patience import Patience
from lockstep.sequencer.reign import Reign
from lockstep.sequencer.takeover import Takeover
from lockstep.sequencer.window import Window
from lockstep.session_machine import SessionMachine, State
from lockstep.stream import arrival
from lockstep.stream.codes import Code
from lockstep.stream.content import contents_of
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.digest import GENESIS, next_digest
from lockstep.stream.messages import Release, Submit
from lockstep.stream.records import CommandKind
from lockstep.trials.simulation import accepted_loss, callers, engine_snapshots, enquiries, snapshot_round
from lockstep.trials.simulation.aimed import EVERY
from lockstep.trials.simulation.client_losses import is_taken_up
from lockstep.trials.simulation.disk import Disk, Intake
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.run import simulate
from lockstep.trials.simulation.sequencer_host import SequencerHost
from lockstep.v1 import replication_pb2
from tests.restamped import restamped
from tests.seeds import one_in

_REAL_ACK = ReplicaState.ack
Plant = Callable[[pytest.MonkeyPatch], None]
BUGS: dict[str, tuple[tuple[int, ...], Plant]] = {}


def cancels_on_disconnect(seed: int) -> bool:
    """Whether the clients of a run have it."""
    return seed % 7 > 3


def bug(
    seeds: int, *, act: int | None = None, only: Callable[[int], bool] = lambda _seed: True, first: int = 0
) -> Callable[[Plant], Plant]:
    """Register a bug, to be found within so many seeds; with `act` by those alone that play this aimed act, with `only`
    by those for which it is true: the others can't show it. `first`: one of them, played before the others, since it
    found the bug when somebody looked last; a wrong one costs time alone."""

    def register(plant: Plant) -> Plant:
        played = range(1, seeds + 1) if act is None else range(act or EVERY, seeds + 1, EVERY)
        chosen = sorted(filter(only, played), key=lambda seed: seed != first)
        BUGS[plant.__name__] = (tuple(chosen), plant)
        return plant

    return register


@bug(3)
def ack_before_journal_sync(patch: pytest.MonkeyPatch) -> None:
    def perform(self: ReplicaDriver, effects: Any) -> None:
        if effects.journal is not None:
            state = self.machine.replica_state
            self._ports.write(effects.journal, (state.applied_seq, state.digest), lambda: None)
        self._finish(effects)

    patch.setattr(ReplicaDriver, "_perform", perform)


@bug(10, first=2)
def what_the_way_adds_is_part_of_a_commands_content(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        reference, "contents_of", lambda commands: contents_of(commands) + commands["received_ns"].astype("u8")
    )


@bug(3)
def release_before_the_standbys_ack(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CommitGate, "committed", lambda _self, applied, committed, _leader: max(applied, committed))


@bug(10)
def grow_in_etcd_first(patch: pytest.MonkeyPatch) -> None:
    real = Membership.plan

    def plan(self: Membership, config: Any, peers: Any, agreement: Any, attempt: str, now_ns: int) -> Any:
        proposal = real(self, config, peers, agreement, attempt, now_ns)
        if proposal is None and self.open_request is None:
            member = self.candidate(config, peers, agreement, agreement.committed, now_ns)
            if member:
                return Proposal(plan_grow(config, member=member, attempt=attempt), Purpose.GROW)
        return proposal

    patch.setattr(Membership, "plan", plan)


@bug(10)
def shrink_in_the_stream_first(patch: pytest.MonkeyPatch) -> None:
    real = Reign.plan

    def plan(self: Reign, attempt: str, now_ns: int, out: Any) -> Any:
        proposal = real(self, attempt, now_ns, out)
        if proposal is not None and proposal.purpose is Purpose.SHRINK:
            self.config = proposal.record
            self.begin_epoch(ev.EpochCause.STANDBY_LOST, now_ns, out)
        return proposal

    patch.setattr(Reign, "plan", plan)


@bug(3)
def promise_not_persisted(patch: pytest.MonkeyPatch) -> None:
    real = Disk.write
    patch.setattr(Disk, "write", lambda self, write: real(self, replace(write, promise=None)))


@bug(40, first=5)
def promotion_of_a_learner(patch: pytest.MonkeyPatch) -> None:
    def plan(config: Any, **arguments: Any) -> Any:
        record = plan_takeover(config, **arguments)
        if not record.learners:
            return record
        everybody = tuple(sorted((*record.in_sync, *record.learners)))
        return replace(record, in_sync=everybody, primary=record.learners[0], learners=())

    patch.setattr(sequencer_overrides, "plan_takeover", plan)


@bug(20)
def duplicate_executed(patch: pytest.MonkeyPatch) -> None:
    real = reference.ReferenceEngine._take

    def take(self: Any, command: Any, content: int, out: Any) -> None:
        session = self._state.sessions.get(command.session_id)
        if session is not None and 0 < command.session_no <= session.last_no and command.kind < 64:
            reference.execute(self._state, command, out)
        else:
            real(self, command, content, out)

    patch.setattr(reference.ReferenceEngine, "_take", take)


@bug(60, act=0)
def gap_of_events_accepted(patch: pytest.MonkeyPatch) -> None:
    def on_release(self: Downlink, release: Any) -> Any:
        self.delivered_seq = max(self.delivered_seq, release.first_seq - 1)
        return real(self, release)

    real = Downlink.on_release
    patch.setattr(Downlink, "on_release", on_release)


@bug(30, first=5)
def stamped_time_goes_back(patch: pytest.MonkeyPatch) -> None:
    real = Window.stamp

    def stamp(self: Window, records: Any, now_ns: int, committed_seq: int) -> Any:
        self.time_ns = 0
        return real(self, records, now_ns, committed_seq)

    patch.setattr(Window, "stamp", stamp)


@bug(6, first=6)
def clock_that_is_set_followed_slowly(patch: pytest.MonkeyPatch) -> None:
    real = StampClock.look

    def look(self: StampClock, *arguments: Any) -> None:
        before_ns = self._offset_ns
        real(self, *arguments)
        self._offset_ns = max(before_ns - 50_000, min(before_ns + 50_000, self._offset_ns))

    patch.setattr(StampClock, "look", look)


@bug(14, act=14)
def leader_believes_its_own_clock_alone(patch: pytest.MonkeyPatch) -> None:
    real = StampClock.look
    patch.setattr(StampClock, "look", lambda self, now, wall, _others, *rest: real(self, now, wall, (), *rest))


@bug(6, first=6)
def deadlines_counted_on_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SequencerHost, "now_ns", SequencerHost.wall_ns)


@bug(6, first=6)
def stamped_time_waits_for_clocks_that_are_behind(patch: pytest.MonkeyPatch) -> None:
    real = StampClock._settle
    patch.setattr(StampClock, "_settle", lambda self, _before_ns: real(self, -(2**63)))


@bug(40, first=3)
def gateway_resends_out_of_order(patch: pytest.MonkeyPatch) -> None:
    real = Uplink._begin_reign

    def begin_reign(self: Uplink, reign: int) -> None:
        real(self, reign)
        self._waiting.reverse()

    patch.setattr(Uplink, "_begin_reign", begin_reign)


@bug(40)
def gateway_forgets_what_is_unanswered(patch: pytest.MonkeyPatch) -> None:
    real = Uplink._begin_reign

    def begin_reign(self: Uplink, reign: int) -> None:
        self._sent.clear()
        real(self, reign)

    patch.setattr(Uplink, "_begin_reign", begin_reign)


@bug(3)
def digest_not_chained(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(execution, "next_digest", lambda _previous, batch, events: next_digest(GENESIS, batch, events))


@bug(60, first=3)
def divergent_tail_not_truncated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Disk, "truncate", lambda self, _after_seq: self.path)


@bug(20)
def client_takes_repeats(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SessionMachine, "_drop_seen", lambda _self, batch: batch if batch.count else None)


@bug(40)
def ambiguous_swap_taken_for_won(patch: pytest.MonkeyPatch) -> None:
    real = ConfigStore.on_event

    def on_event(self: ConfigStore, event: Any, now_ns: int, out: Any) -> Any:
        if isinstance(event, ev.CasAmbiguous):
            event = ev.CasWon(event.attempt, self.mod_revision + 1)
        return real(self, event, now_ns, out)

    patch.setattr(ConfigStore, "on_event", on_event)


@bug(20)
def takeover_under_the_same_epoch(patch: pytest.MonkeyPatch) -> None:
    def plan(config: Any, **arguments: Any) -> Any:
        return replace(plan_takeover(config, **arguments), epoch=config.epoch)

    patch.setattr(sequencer_overrides, "plan_takeover", plan)


@bug(40, first=7)
def recovered_batches_stamped_anew(patch: pytest.MonkeyPatch) -> None:
    real = Window.recover

    def recover(self: Window, batches: Any) -> None:
        real(self, tuple(restamped(one, epoch=self.epoch) for one in batches))

    patch.setattr(Window, "recover", recover)


@bug(15)
def announced_learner_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CommitGate, "on_grow", lambda _self, _seq, _learner: None)


@bug(43, act=11, first=11)
def lower_epoch_accepted(patch: pytest.MonkeyPatch) -> None:
    real = ReplicaMachine._on_stream

    def on_stream(self: ReplicaMachine, received: Any, out: Any) -> None:
        # Whoever sends it, a frame that fits is taken.
        own = self.replica_state
        if received.leader_epoch < own.promised and received.sender != own.promised_to:
            own.head.follows = received.sender
            promised = own.promised, own.promised_to
            own.promised, own.promised_to = received.leader_epoch, received.sender
            real(self, received, out)
            own.promised, own.promised_to = max(promised, (own.promised, own.promised_to))
        else:
            real(self, received, out)

    patch.setattr(ReplicaMachine, "_on_stream", on_stream)


@bug(60, first=24)
def odd_one_of_three_not_removed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Agreement, "odd", lambda _self, _required: ())


@bug(60, first=24)
def majority_removed_instead_of_the_odd_one(patch: pytest.MonkeyPatch) -> None:
    real = Agreement.odd

    def odd(self: Agreement, required: Any) -> Any:
        found = real(self, required)
        return tuple(engine for engine in required if engine not in found) if found else ()

    patch.setattr(Agreement, "odd", odd)


@bug(60)
def release_goes_on_when_digests_differ(patch: pytest.MonkeyPatch) -> None:
    real = CommitGate._compare

    def compare(self: CommitGate, member: int, peer: Any, ack: Any, epochs: Any) -> Any:
        mismatch = real(self, member, peer, ack, epochs)
        if mismatch is not None:
            peer.verified_seq = max(peer.verified_seq, ack[0])
        return None

    patch.setattr(CommitGate, "_compare", compare)


def _gateways_are_not_asked(patch: pytest.MonkeyPatch) -> None:
    """What gateways delivered is a witness of its own, that sees what others miss: without it each is on its own."""
    patch.setattr(Takeover, "on_delivered", lambda _self, _delivered, _now_ns: None)
    patch.setattr(Reign, "on_delivered", lambda _self, _delivered, _out: None)


@bug(45, first=8)
def blank_in_sync_engine_believed(patch: pytest.MonkeyPatch) -> None:
    real = Takeover.on_answer

    def on_answer(self: Takeover, answer: Any, now_ns: int) -> None:
        self.config = replace(self.config, known_seq=0)
        real(self, replace(answer, blank=False), now_ns)

    patch.setattr(Takeover, "on_answer", on_answer)
    _gateways_are_not_asked(patch)


@bug(21, act=5, first=21)
def damaged_journal_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Disk, "verdict", lambda _self: Verdict(Wholeness.WHOLE))


@bug(45, first=8)
def log_that_ends_before_what_the_config_knows_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sequencer_machine, "note_known", lambda record, _committed_seq: record)
    _gateways_are_not_asked(patch)


@bug(3, first=1)
def a_sequencer_does_not_hear_gateways(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SequencerDriver, "_on_gateway", lambda _self, _beat: None)


@bug(36, act=8)
def what_gateways_told_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    _gateways_are_not_asked(patch)


@bug(20)
def silent_engine_not_removed_before_opening(patch: pytest.MonkeyPatch) -> None:
    real = SequencerMachine._narrow

    def narrow(self: SequencerMachine, takeover: Takeover, kept: Any, odd: Any, now_ns: int) -> None:
        if takeover.config.founding:
            real(self, takeover, kept, odd, now_ns)
            return
        # It opens with what it has; etcd goes on listing the silent ones.
        takeover.config = replace(takeover.config, in_sync=kept, primary=kept[0])
        self._recover(now_ns)

    patch.setattr(SequencerMachine, "_narrow", narrow)


@bug(45, first=5)
def blank_journal_believed(patch: pytest.MonkeyPatch) -> None:
    real = ReplicaDriver._answer_fence
    patch.setattr(ReplicaDriver, "_answer_fence", lambda self, said: real(self, replace(said, blank=False)))
    patch.setattr(ReplicaState, "ack", _joined_ack)


def _joined_ack(self: ReplicaState, entries: Any, *, rewinds: bool = False) -> Any:
    joined, self.joined = self.joined, True
    try:
        return _REAL_ACK(self, entries, rewinds=rewinds)
    finally:
        self.joined = joined


@bug(20, first=8)
def snapshot_without_epoch_table(patch: pytest.MonkeyPatch) -> None:
    def encode(uuid: str, base: Any, state: bytes) -> bytes:
        return encode_snapshot_file(uuid, replace(base, epochs=base.epochs[-1:]), state)

    patch.setattr(replayer, "encode_snapshot_file", encode)


@bug(79, act=15, first=31)
def journal_joined_without_its_cluster(patch: pytest.MonkeyPatch) -> None:
    def execute(self: ReplicaMachine, journaled: Any) -> Any:
        own = self.replica_state
        batch = own.execution.execute(journaled, own.committed_seq)
        self._committing.add(batch)
        if own.execution.taken_in and not own.joined:
            self._join()
        return batch

    patch.setattr(ReplicaMachine, "_execute", execute)


@bug(10)
def snapshot_of_what_is_not_committed(patch: pytest.MonkeyPatch) -> None:
    def take(host: EngineHost, keep: int) -> None:
        hint, host.disk.committed_hint = host.disk.committed_hint, host.disk.tip_seq
        engine_snapshots.take_snapshot(host, keep)
        host.disk.committed_hint = hint

    patch.setattr(snapshot_round, "take_snapshot", take)


@bug(60, first=3)
def journal_cut_behind_the_own_snapshot_only(patch: pytest.MonkeyPatch) -> None:
    def plan(oldest: Any, *, engines: Any, committed_seq: int, keep_commands: int) -> int:
        return max(oldest.values())

    patch.setattr(engine_snapshots, "plan_cut", plan)


@bug(20, first=11)
def gateway_forgets_whose_orders_to_cancel(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Intake, "watched", lambda _self: [])


def _plant_handler(patch: pytest.MonkeyPatch, kind: CommandKind, handler: Any) -> None:
    patch.setitem(reference.HANDLERS, kind, handler)


@bug(40, only=cancels_on_disconnect, first=32)
def late_word_of_an_earlier_connection_counts(patch: pytest.MonkeyPatch) -> None:
    def opened(state: Any, command: Any, out: Any) -> None:
        session_id, connection, gateway = command.order_id, command.client_order_id, command.gateway
        previous = state.owners[session_id].gateway if session_id in state.owners else 0
        state.owners[session_id] = Owner(connection, gateway)
        events.session_opened(out, command, gateway=gateway, previous=previous, connection=connection)

    _plant_handler(patch, CommandKind.SESSION_OPENED, opened)


@bug(40, only=cancels_on_disconnect, first=32)
def end_of_any_connection_counts(patch: pytest.MonkeyPatch) -> None:
    def closed(state: Any, command: Any, out: Any) -> None:
        chosen = [order for order in state.orders.values() if order.session_id == command.order_id]
        count = mass.cancel_all(state, chosen, events.asker_of(command), Code.DISCONNECTED, out)
        events.mass_canceled(out, command, count=count)

    _plant_handler(patch, CommandKind.SESSION_CLOSED, closed)


@bug(2293, only=lambda seed: seed == 2293)
def closed_session_takes_orders_that_come_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EngineState, "is_closed", lambda _self, _session_id: False)


def _others_claims_are_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    """Claims that follow close on each other are waited for: without that each other reason to wait is on its own."""
    patch.setattr(Backoff, "on_epoch", lambda _self, _epoch, _now_ns: 0)


@bug(101, act=5)
def claims_without_a_link_to_an_in_sync_engine(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Candidacy, "reaches_any", lambda _self, _engines: True)
    _others_claims_are_not_waited_for(patch)


@bug(208, act=5)
def no_backoff_after_fruitless_takeovers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backoff, "pause_ns", lambda self, *, opened: self._jitter_ns[0] if opened else self._jitter_ns[-1])
    _others_claims_are_not_waited_for(patch)


@bug(12, act=12, first=12)
def failovers_in_vain_teach_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Patience, "_raise", lambda _self, _now_ns: None)


@bug(10, first=10)
def primary_chosen_by_its_number_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Patience, "steadiest_first", lambda _self, engines, _now_ns: tuple(engines))


@bug(29, first=13)
def mute_leader_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Driver, "mute", lambda _self, _now_ns: False)


@bug(51, act=3)
def state_of_a_given_up_tail_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PendingAnswers, "give_up_after", lambda _self, _seq: [])


def _blind_streams(patch: pytest.MonkeyPatch) -> None:
    """The streams' own check is off, so that the judge has to see it."""
    patch.setattr(ClientStream, "_append", lambda self, reports: self._rows.append(reports))


@bug(66, act=2, first=18)
def boundary_of_a_resumption_read_late(patch: pytest.MonkeyPatch) -> None:
    real = Resumption.step

    def step(self: Resumption, event: Any, now_ns: int, *, epoch: int, delivered_seq: int) -> Any:
        if isinstance(event, Began):
            self.boundary = delivered_seq
        return real(self, event, now_ns, epoch=epoch, delivered_seq=delivered_seq)

    patch.setattr(Resumption, "step", step)
    _blind_streams(patch)


@bug(20)
def live_reports_not_held_while_older_ones_are_fetched(patch: pytest.MonkeyPatch) -> None:
    real = ClientStream._put
    patch.setattr(ClientStream, "_put", lambda self, reports, **_held: real(self, reports, held=False))
    _blind_streams(patch)


@bug(20, first=2)
def resumed_stream_forgets_what_came_meanwhile(patch: pytest.MonkeyPatch) -> None:
    real = ClientStream.release_live

    def release(self: ClientStream) -> None:
        assert self._held is not None
        self._held.clear()
        real(self)

    patch.setattr(ClientStream, "release_live", release)


@bug(20)
def gateway_that_is_behind_tells_again_what_its_client_has_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ClientStream, "_unseen", lambda _self, reports: reports)
    _blind_streams(patch)


@bug(20, act=4, first=4)
def submit_kinds_not_checked(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(arrival._CHECKS, Submit, lambda _received: "")


@bug(20, act=4)
def incarnation_believed_without_its_gateway(patch: pytest.MonkeyPatch) -> None:
    real = SequencerIntake.on_submit
    believed = lambda self, submitted, reign, _said: real(self, submitted, reign, submitted.incarnation)  # noqa: E731
    patch.setattr(SequencerIntake, "on_submit", believed)


@bug(20, act=4)
def receipts_epoch_believed_without_asking(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Uplink, "_explained", lambda _self, _receipt: True)
    patch.setattr(Uplink, "_disown", lambda _self, _now_ns: None)
    patch.setattr(Uplink, "_was_nobodys", lambda _self, _receipt, _now_ns: False)


@bug(20, act=4)
def digest_believed_without_asking(patch: pytest.MonkeyPatch) -> None:
    def on_mismatch(self: ReplicaMachine, mismatch: Any, out: Any) -> None:
        if self.replica_state.live:
            self._on_contradiction(mismatch.member, mismatch.text, out)

    patch.setattr(ReplicaMachine, "_on_mismatch", on_mismatch)


@bug(20, act=4)
def release_believed_beyond_its_events(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(arrival._CHECKS, Release, lambda _received: "")


@bug(20, act=4)
def promise_on_a_heartbeats_word_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        ReplicaState, "may_lead", lambda self, received: self.explained(received.leader_epoch, received.sender)
    )


def find(seeds: Iterable[int]) -> str:
    """The first violation, with its seed; empty if there is none."""
    for seed in seeds:
        outcome = simulate(seed)
        if outcome.violation:
            return f"seed {seed}: {outcome.violation}"
    return ""


@bug(48, act=0)
def every_page_is_asked_for_under_the_epoch_of_the_first(patch: pytest.MonkeyPatch) -> None:
    real = EventSearch._on_page

    def on_page(self: EventSearch, replies: Any, now_ns: int) -> Any:
        delivered = self._delivered_epoch
        todo = real(self, replies, now_ns)
        self._delivered_epoch = delivered
        for call in todo.calls:
            assert isinstance(call.request, replication_pb2.FetchEventsRequest)
            call.request.delivered_epoch = delivered
        return todo

    patch.setattr(EventSearch, "_on_page", on_page)


@bug(48, act=0)
def a_page_is_taken_for_all_of_the_events(patch: pytest.MonkeyPatch) -> None:
    real = EventSearch._on_page

    def on_page(self: EventSearch, replies: Any, now_ns: int) -> Any:
        todo = real(self, replies, now_ns)
        return inquiry.Todo(pages=todo.pages, done=True) if todo.pages else todo

    patch.setattr(EventSearch, "_on_page", on_page)


@bug(120, only=is_taken_up, first=117)
def session_taken_up_numbers_before_its_past_is_known(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SessionMachine, "may_number", property(lambda self: self.state is State.OPEN))


@bug(180, only=is_taken_up, first=172)
def next_number_asked_of_an_engine_that_is_behind(patch: pytest.MonkeyPatch) -> None:
    def look_up(engines: Any, request: Any, **_known: int) -> Any:
        return inquiry.LookUp(engines, request, min_epoch=0, min_seq=0)

    patch.setattr(stream_driver, "LookUp", look_up)


@bug(5, only=accepted_loss.is_due)
def client_goes_on_behind_what_was_given_up(patch: pytest.MonkeyPatch) -> None:
    real = Resumption.step

    def step(self: Resumption, event: Any, now_ns: int, *, epoch: int, delivered_seq: int) -> Any:
        self.delivered_epoch = 0
        return real(self, event, now_ns, epoch=epoch, delivered_seq=delivered_seq)

    patch.setattr(Resumption, "step", step)


@bug(18, only=accepted_loss.is_due)
def gateway_goes_on_behind_what_was_given_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Downlink, "_parts", lambda _self, _release: False)


@bug(18, only=accepted_loss.is_due, first=5)
def accepted_loss_not_heard_of(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Delivered, "on_accepted", lambda _self, _epoch: None)


@bug(105, only=enquiries.is_due, first=88)
def gateway_that_starts_answers_older_than_it_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(GatewayDriver, "_least", lambda self: DeliveryMark(self.machine.epoch, self.machine.delivered_seq))


@bug(105, only=enquiries.is_due, first=88)
def answer_of_an_engine_that_is_behind_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(inquiry, "why_not", lambda *_answer: "")


@bug(20, only=enquiries.is_due)
def answer_stamped_with_less_than_it_tells(patch: pytest.MonkeyPatch) -> None:
    real = ReplicaDriver._answer_query

    def answer(self: Any, call: Any) -> None:
        real(self, call)
        _, (_, reply, digest) = self._pending_answers._waiting.pop()
        committed = self.machine.replica_state.committed_seq
        reply.stamp.seq = committed
        self._pending_answers.add(committed, (call, reply, self._ports.disk.digest(committed) or digest))

    patch.setattr(ReplicaDriver, "_answer_query", answer)


@bug(368, only=lambda seed: callers.is_due(seed) and seed > 340, first=368)
def session_of_a_call_counts_as_new(patch: pytest.MonkeyPatch) -> None:
    real = CallDriver._may_use
    patch.setattr(CallDriver, "_may_use", lambda self, call, _next_no: real(self, call, 1))


@bug(60, only=callers.is_due)
def call_is_told_that_it_is_a_repetition_and_not_of_what(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(call_driver, "_original", lambda _call: None)


@bug(120, only=callers.is_due, first=64)
def answer_to_anothers_command_is_taken_for_ones_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(call_driver, "is_answer_to", lambda _command, _event: True)


@bug(60, only=callers.is_due)
def call_is_told_all_that_a_burst_says_of_its_session(patch: pytest.MonkeyPatch) -> None:
    def answer(self: CallDriver, session_id: int, reports: ReportRows) -> None:
        for number in dict.fromkeys(reports.rows["session_no"].tolist()):
            for call in list(self._waiting.get(session_id, {}).get(number, ())):
                call.reports = reports
                self._stop_waiting(call)
                self._set_timer(call, self._ports.now_ns(), partial(self._on_answer, call))

    patch.setattr(CallDriver, "_answer", answer)


@pytest.mark.parametrize("name", one_in(3, BUGS))
def test_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, plant = BUGS[name]
    plant(monkeypatch)
    found = find(seeds)
    assert found, f"{name} was not found in {len(seeds)} seeds"
    # A plant that no longer fits the code breaks it in another way, and shows nothing.
    assert "TypeError" not in found, found
    assert "AttributeError" not in found, found
