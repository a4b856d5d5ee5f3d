"""Does what the replica's machine says, and feeds it what has come: the same in the process and in the simulation.

Everything that arrived while the last burst was on its way is one burst: one journal write, one sync, one ACK frame. A
round takes what has come in this order: stream, acknowledgements, calls and peers' answers, the time, reads, what
sequencers say. What stands below the journal in `Effects` is done when the write is durable, and so is the rest of the
round: where a write takes time, the round goes on behind it.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from lockstep.replica.answers import answer_query, is_listing
from lockstep.replica.effects import (
    AckFrames,
    Effects,
    Event,
    FenceAnswer,
    FenceRequested,
    Install,
    Journaled,
    Notice,
    Role,
    StreamFrames,
    Tick,
)
from lockstep.replica.events import EventStore
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.pending_answers import PendingAnswers
from lockstep.replica.ports import Ports
from lockstep.replica.reads import Reads
from lockstep.replica.service import FenceCall, HistoryDiscarded, QueryCall, TooManyQueries
from lockstep.stream.digest import Digest
from lockstep.v1 import common_pb2, replication_pb2

_TICK_NS: Final = 5_000_000

Answer = tuple[QueryCall, replication_pb2.QueryReply, Digest]
"""Who waits for it, the answer, and the digest of the state that it shows."""


class ReplicaDriver:
    """One life of a replica. `machine` is replaced when the journal is cut back or begins anew."""

    def __init__(self, machine: ReplicaMachine, ports: Ports, events: EventStore) -> None:
        self.machine = machine
        self._ports = ports
        self._events = events
        self._reads: Reads[QueryCall] = Reads()
        self._pending_answers: PendingAnswers[Answer] = PendingAnswers()
        self._fences: dict[int, FenceCall] = {}
        self._ticket = 0
        self._next_tick_ns = 0
        self._round: Iterator[Event] | None = None
        self._work = 0
        self._writing = self._pumping = False

    @property
    def idle(self) -> bool:
        """No round is under way."""
        return self._round is None

    @property
    def has_lookups(self) -> bool:
        """Queries wait that are due in the next turn."""
        return bool(len(self._reads.lookups))

    def turn(self) -> int:
        """A round, or as much of it as comes before a write that takes time; how much work was done.

        Raises:
            JournalFault, BrokenInvariant, StreamGap: the replica must stop.
        """
        assert self._round is None, "the last round is not over"
        self._work = 0
        self._round = self._take_round()
        self._pump()
        return self._work

    def _pump(self) -> None:
        self._pumping = True
        while not self._writing and self._round is not None:
            event = next(self._round, None)
            if event is None:
                self._round = None
            else:
                self._step(event)
        self._pumping = False

    def _take_round(self) -> Iterator[Event]:
        ports = self._ports
        streams = ports.streams()
        if streams:
            self._work += len(streams)
            yield StreamFrames(tuple(streams))
        acks = ports.acks()
        if acks:
            self._work += len(acks)
            yield AckFrames(tuple(acks))
        for call in ports.calls():
            self._work += 1
            if isinstance(call, FenceCall):
                yield self._fence(call)
            elif isinstance(call, QueryCall):
                self._take_query(call)
            else:
                yield call
        now_ns = ports.now_ns()
        if now_ns >= self._next_tick_ns:
            self._next_tick_ns = now_ns + _TICK_NS
            yield Tick()
        if self._reads:
            self._work += self._serve_reads()
        yield from ports.heard()
        if self._pending_answers:
            self._tell()

    def _step(self, event: Event) -> None:
        self._perform(self.machine.step(event, self._ports.now_ns()))

    # ---- effects ------------------------------------------------------------------------------------------------

    def _perform(self, effects: Effects) -> None:
        """Performs the fields in the order in which `Effects` has them."""
        journal = effects.journal
        if journal is None:
            self._finish(effects)
            return
        self._writing = True
        machine = self.machine
        self._ports.write(
            journal, (machine.replica_state.applied_seq, machine.replica_state.digest), partial(self._written, effects)
        )

    def _written(self, effects: Effects) -> None:
        self._writing = False
        self._finish(effects)
        if not self._pumping:
            self._pump()

    def _finish(self, effects: Effects) -> None:
        """All but the journal."""
        ports = self._ports
        for notice in effects.notices:
            ports.notice(notice)
        if effects.truncate_after is not None:
            self._truncate(effects.truncate_after)
            return
        if effects.install is not None:
            self._install(effects.install)
            return
        for answer in effects.fence_answers:
            self._answer_fence(answer)
        if effects.ack is not None:
            ports.send_ack(effects.ack, self.machine.replica_state.primary)
        if effects.applied:
            self._events.add(effects.applied)
            ports.on_applied(effects.applied, self.machine.replica_state.role)
        for release in effects.releases:
            ports.release(release)
        if effects.releases:
            ports.on_releases(effects.releases)
        if effects.rewind is not None:
            ports.send_rewind(effects.rewind.sequencer, effects.rewind.frame)
        if effects.fetch is not None:
            ports.fetch_log(effects.fetch, self.machine.replica_state.cluster_uuid)
        if effects.ask is not None:
            ports.ask_digest(effects.ask, self.machine.replica_state.cluster_uuid)
        if effects.fetch_snapshot is not None:
            ports.fetch_snapshot(effects.fetch_snapshot)
        ports.on_step()
        if effects.journal is not None and effects.journal.batches:
            self._apply(effects.journal.batches[-1].last_seq)

    def _apply(self, through_seq: int) -> None:
        began_ns = self._ports.now_ns()
        applied = self.machine.step(Journaled(through_seq), began_ns)
        self._ports.on_apply_time(self._ports.now_ns() - began_ns)
        self._perform(applied)

    def _truncate(self, after_seq: int) -> None:
        archive = self._ports.truncate(after_seq)
        self._ports.notice(Notice("tail_archived", f"everything after seq {after_seq} was moved to {archive}"))
        self._begin_anew(after_seq)
        self._ports.notice(Notice("restored", f"replayed up to seq {self.machine.replica_state.applied_seq}"))

    def _install(self, order: Install) -> None:
        had_more = self.machine.replica_state.head.seq > order.common_seq
        archive = self._ports.install(order, had_more=had_more)
        if had_more:
            text = f"everything after seq {order.common_seq} was moved to {archive}"
            self._ports.notice(Notice("tail_archived", text))
        self._begin_anew(order.common_seq)
        seq = self.machine.replica_state.applied_seq
        self._ports.notice(Notice("restored", f"from a peer's snapshot at seq {seq}"))

    def _begin_anew(self, kept_seq: int) -> None:
        for call, _, _ in self._pending_answers.give_up_after(kept_seq):
            call.done.set_exception(HistoryDiscarded())
        self._events.clear()
        self.machine = self._ports.rebuild()

    # ---- calls --------------------------------------------------------------------------------------------------

    def _fence(self, call: FenceCall) -> FenceRequested:
        self._ticket += 1
        self._fences[self._ticket] = call
        request = call.request
        return FenceRequested(self._ticket, request.cluster_uuid, request.epoch, request.sequencer, request.settled)

    def _answer_fence(self, answer: FenceAnswer) -> None:
        self._ports.on_fence_answer(answer)
        call = self._fences.pop(answer.ticket, None)
        if call is not None and call.done.set_running_or_notify_cancel():
            call.done.set_result(answer)

    def _take_query(self, call: QueryCall) -> None:
        taken = self._reads.add(call.request.caller, call, listing=is_listing(call.request))
        # A caller that has gone meanwhile gets no answer.
        if not taken and call.done.set_running_or_notify_cancel():
            call.done.set_exception(TooManyQueries())

    def _serve_reads(self) -> int:
        due = self._reads.turn(self._ports.now_ns())
        for call in due:
            if not call.done.set_running_or_notify_cancel():
                continue
            began_ns = self._ports.now_ns()
            self._answer_query(call)
            if is_listing(call.request):
                ended_ns = self._ports.now_ns()
                self._reads.answered(ended_ns, ended_ns - began_ns)
        return len(due)

    def _answer_query(self, call: QueryCall) -> None:
        machine = self.machine
        engine: Any = machine.replica_state.execution.engine
        reply = answer_query(call.request, engine, machine.replica_state.head.epochs)
        reply.stamp.CopyFrom(common_pb2.Stamp(epoch=machine.replica_state.epoch, seq=machine.replica_state.applied_seq))
        reply.primary = machine.replica_state.role is Role.PRIMARY
        reply.cluster_uuid = machine.replica_state.cluster_uuid
        self._pending_answers.add(machine.replica_state.applied_seq, (call, reply, machine.replica_state.digest))

    def _tell(self) -> None:
        for call, reply, digest in self._pending_answers.due(self.machine.replica_state.committed_seq):
            self._ports.on_delivered(reply.stamp.seq, digest)
            call.done.set_result(reply)
