"""Does what the gateway's machines say, over its ports: the same in the process and in the simulation.

Order of work: a burst of frames is one step of the machine; commands that clients' messages bring in one turn of the
loop, or while the frames before are under way (`GatewayMachine.flush_due_ns`), leave together, with one write to the
intake log and as few frames as possible. Clients' streams are in `stream_driver.py`, their single calls in
`call_driver.py`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from lockstep.gateway.beginning import Beginning, Step
from lockstep.gateway.call_driver import CallDriver
from lockstep.gateway.delivered import Delivered, Mark
from lockstep.gateway.disconnects import Watch
from lockstep.gateway.events import (
    Came,
    Effects,
    Fetched,
    Flushed,
    NotFetched,
    Offered,
    Said,
    SendFailed,
    Started,
    Submitted,
    Ticked,
)
from lockstep.gateway.machine import GatewayMachine
from lockstep.gateway.ports import Ports, Timer
from lockstep.gateway.reports import Routed, stamp_message
from lockstep.gateway.sessions import Admission, Refused
from lockstep.gateway.stream_driver import StreamDriver
from lockstep.runtime.budget import Allowance, Budget, Budgets, Cost, spread
from lockstep.runtime.downlink import Fetch
from lockstep.runtime.inquiry import (
    LAST_INDEX,
    EventSearch,
    Fault,
    LookUp,
    NoAnswer,
    OnePage,
    Page,
    Todo,
    in_order,
    joined,
)
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.messages import Receipt, Release
from lockstep.stream.records import CommandKind, Commands, Events
from lockstep.v1 import common_pb2, replication_pb2

_CANCELS: Final = (int(CommandKind.CANCEL), int(CommandKind.MASS_CANCEL))


def _allowance(budget: Budget, session_id: int, records: Commands, now_ns: int) -> Allowance | None:
    """How many of the commands are within their client's budget; None: all."""
    kinds = records["kind"]
    found = budget.allowance((kinds == _CANCELS[0]) | (kinds == _CANCELS[1]), now_ns)
    if found is None:
        return None
    return Allowance(found.rows, spread(found.wait_ms, b"%d %d" % (session_id, int(records["session_no"][0]))))


class GatewayDriver:
    """One life of a gateway. Ends when `left_behind` is set; then another one begins."""

    def __init__(
        self,
        machine: GatewayMachine,
        ports: Ports,
        mark: Mark,
        *,
        engines: Sequence[int],
        max_batch: int,
        budgets: Budgets | None = None,
    ) -> None:
        """`engines`: ids of all. `max_batch`: rows that a client's message may have. `budgets`: of clients; None: they
        have no bounds."""
        self.machine = machine
        self._budgets = budgets
        self.delivered = Delivered(mark)
        self.streams = StreamDriver(self, ports, max_batch=max_batch)
        self.calls = CallDriver(self, ports, max_batch=max_batch)
        self.primary = 0
        """Engine to ask first; 0: not known."""
        self.stopping = False
        """Nothing is admitted or sent any more."""
        self.counters = {"frames_sent": 0, "commands": 0, "reports": 0, "refusals": 0, "send_failures": 0}
        self._ports = ports
        self._engines = tuple(engines)
        self._beginning = Beginning(machine.own_session_id, self.delivered, self.engines)
        self._waits_because = ""
        self._forget = self._forgotten = 0
        self._flush: Timer | None = None

    def engines(self) -> list[int]:
        """In the order in which they are asked now."""
        return in_order(self._engines, first=self.primary)

    def stamp(self) -> common_pb2.Stamp:
        """Where the gateway's answers stand at the moment."""
        return stamp_message(self.machine.epoch, self.machine.delivered_seq)

    @property
    def left_behind(self) -> bool:
        """It can't go on from what it has delivered."""
        return self.machine.left_behind is not None

    # ---- beginning -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Find out where the cluster stands. It serves as soon as an engine and a leading sequencer are heard of."""
        self._begin(self._beginning.on_time())

    def _begin(self, step: Step) -> None:
        if self._beginning.said != self._waits_because:
            self._waits_because = self._beginning.said
            if self._waits_because:
                self._ports.note("waiting for the engines", said=self._waits_because)
        if step.ask is not None:
            self._ports.ask(step.ask, self._on_beginning)
        elif step.start is not None:
            stamp = step.start.stamp
            started = Started(stamp.seq, stamp.epoch, step.start.session_last_no)
            self.machine.step(started, self._ports.now_ns())
            self._ports.note("in step with the cluster", seq=stamp.seq, epoch=stamp.epoch)
        else:
            self._ports.at(step.deadline_ns, lambda: self._begin(self._beginning.on_time()))

    def _on_beginning(self, todo: Todo) -> bool:
        assert todo.end is not None, "no pages were asked for"
        self._begin(self._beginning.on_end(todo.end, self._ports.now_ns()))
        return False

    # ---- events --------------------------------------------------------------------------------------------------

    def on_frames(self, frames: Sequence[Receipt | Release]) -> None:
        """RECEIPT and RELEASE frames of one poll, in the order of their arrival."""
        if self.stopping:
            return
        self._ports.on_frames(frames)
        effects = self.machine.step(Came(frames), self._ports.now_ns())
        # Before anything is asked of an engine: the one that releases lives, the primary of before may hang.
        if self.machine.downlink is not None:
            self.primary = self.machine.downlink.primary or self.primary
        self._perform(effects)

    def on_tick(self) -> None:
        """Every few milliseconds."""
        epoch = self.machine.epoch
        self._perform(self.machine.step(Ticked(), self._ports.now_ns()))
        if self.machine.epoch < epoch:
            # No sequencer stands by it. What a stream says next must not be of a lower epoch than what it said before.
            text = (
                f"no sequencer is known to stand by epoch {epoch}, of which this gateway spoke; open the session again"
            )
            self.streams.finish_all(Code.UNAVAILABLE, text)
        if self._forget > self._forgotten and not self.stopping:
            self._store((), ())

    def on_said(self, sequencer: int, epoch: int, leads: bool) -> None:
        """A sequencer's heartbeat on its liveness link."""
        self.machine.step(Said(sequencer, epoch, leads), self._ports.now_ns())

    def submit(
        self, session_id: int, records: Commands, *, admin: bool, client: Principal | None = None
    ) -> Refused | None:
        """Admit commands (`admin`: for an admin principal); what was refused. They leave with this turn of the loop.

        `client`: out of whose budget; None: nobody's.
        """
        session = self.machine.sessions.get(session_id)
        assert session is not None, "commands of a session that was never opened"
        now_ns = self._ports.now_ns()
        budget = None if client is None or self._budgets is None else self._budgets.of(client)
        allowance = None if budget is None else _allowance(budget, session_id, records, now_ns)
        admission = self.machine.step(Submitted(session, records, admin, allowance), now_ns).admission
        assert admission is not None, "commands were looked at"
        if budget is not None:
            budget.charge(Cost.COMMAND * (admission.taken + admission.repeated), now_ns)
        return self._admitted(session_id, admission)

    def charge(self, client: Principal, points: int) -> None:
        """A client has used so much of its budget."""
        budget = None if self._budgets is None else self._budgets.of(client)
        if budget is not None:
            budget.charge(points, self._ports.now_ns())

    def refuse_unread(self, session_id: int, first_no: int) -> Admission | None:
        """What becomes of commands from this number on, if that is known before they are read."""
        session = self.machine.sessions.get(session_id)
        assert session is not None, "commands of a session that was never opened"
        admission = self.machine.step(Offered(session, first_no), self._ports.now_ns()).admission
        if admission is not None:
            self._admitted(session_id, admission)
        return admission

    def _admitted(self, session_id: int, admission: Admission) -> Refused | None:
        if (admission.taken or admission.repeated) and self._flush is None:
            self._plan_flush()
        if admission.taken:
            self.calls.on_progress(session_id)
        self._ports.on_submit(admission)
        self.counters["commands"] += admission.taken
        self.counters["refusals"] += admission.refused is not None
        return admission.refused

    def _plan_flush(self) -> None:
        """Have the next frame leave when it is time, at the end of this turn of the loop at the earliest."""
        if self._flush is not None:
            self._flush.cancel()
        self._flush = self._ports.at(self.machine.flush_due_ns, self._on_flush)

    def _on_flush(self) -> None:
        self._flush = None
        if not self.stopping:
            self._perform(self.machine.step(Flushed(), self._ports.now_ns()))

    # ---- effects -------------------------------------------------------------------------------------------------

    def _perform(self, effects: Effects) -> None:
        self._forget = max(self._forget, effects.forget_through)
        if (effects.store or effects.watched) and not self._store(effects.store, effects.watched):
            return
        if effects.store:
            self._ports.on_stored(effects.store)
        if effects.sends:
            self._send(effects)
        if effects.new_reign:
            uplink = self.machine.uplink
            resent = uplink.entries_resent
            self._ports.note("new leading sequencer", leader=str(uplink.leader), resent_since_start=resent)
        if effects.events is not None:
            self._deliver(effects.events, effects.routed)
            if self._flush is not None:
                self._plan_flush()
        for session_id in effects.left:
            self.streams.leave(session_id)
        if effects.fetch is not None:
            self._fetch(effects.fetch)

    def _store(self, entries: Sequence[tuple[int, Commands]], watched: Sequence[Watch]) -> bool:
        """Whether it was written. If not, nothing of it may leave, and this gateway serves nobody any more."""
        if not self._ports.store(entries, self._forget, watched):
            return False
        self._forgotten = self._forget
        return True

    def _send(self, effects: Effects) -> None:
        for frame in effects.sends:
            self.counters["frames_sent"] += 1
            if not self._ports.send(effects.sequencer, frame):
                self.counters["send_failures"] += 1
                self.machine.step(SendFailed(), self._ports.now_ns())

    def _deliver(self, events: Events, routed: Routed | None) -> None:
        assert self.machine.downlink is not None, "events before the start"
        # Noted before anything is delivered.
        self.delivered.on_delivered(self.machine.downlink.delivered)
        if routed is not None:
            self.counters["reports"] += self.streams.deliver(routed)
            self.calls.on_delivered(routed)
        self._ports.on_events(events)

    def _fetch(self, wanted: Fetch) -> None:
        search = EventSearch(
            in_order(self._engines, first=wanted.engine or self.primary),
            after=(wanted.after_seq, LAST_INDEX),
            to_seq=wanted.to_seq,
            min_epoch=wanted.epoch,
            delivered_epoch=wanted.delivered_epoch,
        )
        self._ports.ask(search, partial(self._on_fetched, wanted, []))

    def _on_fetched(self, wanted: Fetch, pages: list[Page], todo: Todo) -> bool:
        pages.extend(todo.pages)
        if todo.done:
            self._perform(self.machine.step(Fetched(joined(pages), wanted.to_seq), self._ports.now_ns()))
        elif isinstance(todo.end, NoAnswer):
            self._on_not_fetched(todo.end)
        return not todo.over

    def _on_not_fetched(self, end: NoAnswer) -> None:
        self._ports.note("missed events can't be fetched now", said=end.text)
        gone, diverged = end.fault is Fault.GONE, end.fault is Fault.DIVERGED
        self.machine.step(NotFetched(diverged=diverged, gone=gone, first_seq=end.first_seq), self._ports.now_ns())
        why = self.machine.left_behind
        if why is not None:
            self._ports.on_left_behind(why, accepted=self.delivered.accepted(why.delivered_epoch))

    # ---- questions -----------------------------------------------------------------------------------------------

    def _least(self) -> DeliveryMark:
        """An older answer would take back what this gateway has delivered to clients, in whichever of its lives."""
        machine = self.machine
        return self.delivered.noted if machine.downlink is None else DeliveryMark(machine.epoch, machine.delivered_seq)

    def look_up(self, request: replication_pb2.QueryRequest) -> LookUp:
        """Something committed, at least as new as everything that this gateway has delivered to clients."""
        least = self._least()
        return LookUp(self.engines(), request, min_epoch=least.epoch, min_seq=least.seq)

    def one_page(self, request: replication_pb2.QueryRequest, *, min_seq: int, timeout_ns: int) -> OnePage:
        """A page of a list, from one engine; as new as what is looked up, and of `min_seq` or later."""
        least = self._least()
        bound_seq = max(least.seq, min_seq)
        return OnePage(self.engines(), request, min_epoch=least.epoch, min_seq=bound_seq, timeout_ns=timeout_ns)

    # ---- what it says --------------------------------------------------------------------------------------------

    def why_not_serving(self) -> tuple[Code, str] | None:
        """In one sentence, with its code; None if it serves."""
        if self.stopping:
            return Code.SHUTTING_DOWN, "this gateway is being stopped"
        if self.machine.downlink is None:
            return Code.UNAVAILABLE, self.delivered.why or "no engine has said yet where the cluster stands"
        if self.machine.why_closed(self._ports.now_ns()) is not None:
            return Code.UNAVAILABLE, "no sequencer leads the cluster at the moment"
        return None
