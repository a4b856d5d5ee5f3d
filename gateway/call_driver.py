"""Clients' single calls: each waits its turn, is admitted and answered, the same in the process and in the simulation.

What carries the calls (gRPC, the simulated network) gives each to `begin`, and `drop`s it when its caller has gone.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from lockstep.gateway.admission import accounts_of, records_of
from lockstep.gateway.events import SessionNeeded
from lockstep.gateway.own_answer import is_answer_to
from lockstep.gateway.ports import Ports, Timer
from lockstep.gateway.reports import ReportRows, Routed, report_messages, route
from lockstep.gateway.sessions import Refused, Session
from lockstep.gateway.single_call import (
    Answered,
    Began,
    Effects,
    Event,
    Found,
    Learnt,
    SingleCall,
    Ticked,
    TurnedAway,
)
from lockstep.gateway.stream_driver import REFUSAL_TEXTS
from lockstep.gateway.validation import ShapeError
from lockstep.gateway.wire import Request
from lockstep.runtime.access.permissions import MASS_CANCELERS
from lockstep.runtime.inquiry import LAST_INDEX, EventSearch, Fault, NoAnswer, Page, Todo, joined
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind
from lockstep.v1 import orders_pb2, replication_pb2

if TYPE_CHECKING:
    from lockstep.gateway.driver import GatewayDriver

Key = tuple[int, int]
"""(session, number)"""
Outcome = orders_pb2.CommandReply | TurnedAway
Done = Callable[[Outcome], None]
_DUPLICATE: Final = int(EventKind.DUPLICATE)
_RETRY_MS: Final = 50


@dataclass(slots=True, eq=False)
class OpenCall:
    """One call that is open. Belongs to the driver; `key` (0, 0): it has none."""

    client: Principal
    command: orders_pb2.Command
    key: Key
    done: Done
    session_id: int
    machine: SingleCall
    session: Session | None = None
    record: Any = None
    """As it was admitted."""
    reports: ReportRows | None = None
    timer: Timer | None = None
    pages: list[Page] = field(default_factory=list)


class CallDriver:
    """See the module. Part of a `GatewayDriver`."""

    def __init__(self, driver: "GatewayDriver", ports: Ports, *, max_batch: int) -> None:
        self._driver = driver
        self._machine = driver.machine
        self._ports = ports
        self._max_batch = max_batch
        self._open: dict[OpenCall, None] = {}
        self._turns: dict[Key, deque[OpenCall]] = {}
        """Calls of one key, one at a time, so that each is answered for what it asked itself."""
        self._waiting: dict[int, dict[int, list[OpenCall]]] = {}
        """By session and number: whoever waits for the answer."""
        self._early: dict[int, dict[int, list[OpenCall]]] = {}
        """By session and number: whoever waits for the numbers below."""
        self._came_ns: dict[int, int] = {}
        """By session of `_early`: when another one came."""

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def begin(self, client: Principal, command: orders_pb2.Command, key: Key, done: Done) -> OpenCall:
        """Admit a call. `done` is called once, now or later, unless it is dropped. `key` (0, 0): it has none.

        The client may use the key's session.
        """
        session_id, number = key if key != (0, 0) else (self._machine.own_session_id, 0)
        call = OpenCall(client, command, key, done, session_id, SingleCall(number))
        self._open[call] = None
        if session_id in self._early:
            self._came_ns[session_id] = self._ports.now_ns()
        if number:
            turn = self._turns.setdefault(key, deque())
            turn.append(call)
            if turn[0] is not call:
                return call
        self._begin(call)
        return call

    def drop(self, call: OpenCall) -> None:
        """Its caller has gone. What was admitted is executed all the same."""
        if call in self._open:
            self._close(call)

    def finish_all(self) -> None:
        """The gateway is being stopped."""
        text = "the gateway is being stopped; ask another one with the same key, it executes once"
        for call in list(self._open):
            self._step(call, TurnedAway(Refused(call.machine.number, Code.SHUTTING_DOWN, _RETRY_MS), text))

    def on_delivered(self, routed: Routed) -> None:
        """Events were delivered, and what they answer is known to the machine."""
        if not self._waiting and not self._early:
            return
        for position, session_id in enumerate(routed.sessions):
            if session_id in self._waiting:
                self._answer(session_id, routed.of(position))
            self.on_progress(session_id)

    def on_progress(self, session_id: int) -> None:
        """Commands of the session were admitted, here or elsewhere: it may be a call's turn."""
        early = self._early.get(session_id)
        session = self._machine.sessions.get(session_id)
        if early is None or session is None:
            return
        for number in [number for number in early if number <= session.expected]:
            for call in list(early[number]):
                self._leave_early(call)
                self._set_timer(call, self._ports.now_ns(), partial(self._step, call, Ticked()))

    def _answer(self, session_id: int, reports: ReportRows) -> None:
        numbers = reports.rows["session_no"]
        for number in dict.fromkeys(numbers.tolist()):
            calls = self._waiting.get(session_id, {}).get(number, ())
            if not calls:
                continue
            mine = numbers == number
            mine &= reports.rows["seq"] == reports.rows["seq"][mine][0]
            for call in list(calls):
                call.reports = ReportRows(reports.rows[mine], reports.legs[mine])
                self._stop_waiting(call)
                # With the loop's next turn: a call must not admit a command in the middle of a delivery.
                self._set_timer(call, self._ports.now_ns(), partial(self._on_answer, call))

    def _on_answer(self, call: OpenCall) -> None:
        assert call.reports is not None, "it was answered"
        row = call.reports.rows[0]
        original = int(row["original_seq"]) if row["kind"] == _DUPLICATE else None
        own = call.key[1] == 0 or call.record is None or is_answer_to(call.record, row)
        self._step(call, Answered(original, own))

    # ---- steps ---------------------------------------------------------------------------------------------------

    def _begin(self, call: OpenCall) -> None:
        why = self._driver.why_not_serving()
        if why is not None:
            code, text = why
            self._step(call, TurnedAway(Refused(0, code, _RETRY_MS), text))
            return
        call.session = self._machine.sessions.get(call.session_id)
        if call.session is not None and not self._may_use(call, call.session.expected):
            return
        self._step(call, Began())

    def _may_use(self, call: OpenCall, next_no: int) -> bool:
        """Make the session known, its next number that or a higher one. Ends the call if its client may not use it."""
        needed = SessionNeeded(call.session_id, call.client.name if call.key[1] else "", next_no)
        ensured = self._machine.step(needed, self._ports.now_ns()).session
        assert ensured is not None, "a session was asked for"
        if isinstance(ensured, Refused):
            self._step(call, TurnedAway(ensured, REFUSAL_TEXTS[ensured.code]))
            return False
        call.session = ensured
        return True

    def _step(self, call: OpenCall, event: Event) -> None:
        if call not in self._open:
            return
        known = self._machine.sessions.get(call.session_id)
        session = call.session if known is call.session else None
        effects = call.machine.step(event, self._ports.now_ns(), session)
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        self._perform(call, effects)

    def _perform(self, call: OpenCall, effects: Effects) -> None:
        if effects.ask_session:
            request = replication_pb2.QueryRequest(session_id=call.session_id)
            self._ports.ask(self._driver.look_up(request), partial(self._on_session, call))
        if effects.ask_outcome:
            seq = effects.ask_outcome
            search = EventSearch(
                self._driver.engines(),
                after=(seq - 1, LAST_INDEX),
                to_seq=seq,
                session_id=call.session_id,
                min_epoch=self._machine.epoch,
            )
            self._ports.ask(search, partial(self._on_outcome, call), call.client.name)
        if effects.await_turn:
            _add(self._early, call.session_id, call.machine.number, call)
        if effects.await_no:
            self._wait(call, effects.await_no)
        if effects.deadline_ns:
            self._set_timer(call, effects.deadline_ns, partial(self._on_time, call))
        if effects.submit_no:
            self._submit(call, effects.submit_no)
        if effects.succeeds:
            self._succeed(call)
        if effects.fails is not None:
            self._close(call)
            call.done(effects.fails)

    def _set_timer(self, call: OpenCall, due_ns: int, action: Callable[[], None]) -> None:
        if call.timer is not None:
            call.timer.cancel()
        call.timer = self._ports.at(due_ns, action)

    def _on_time(self, call: OpenCall) -> None:
        came_ns = self._came_ns.get(call.session_id, 0)
        self._stop_waiting(call)
        self._step(call, Ticked(came_ns))

    def _on_session(self, call: OpenCall, todo: Todo) -> bool:
        assert todo.end is not None, "no pages were asked for"
        if call in self._open:
            if isinstance(todo.end, NoAnswer):
                refused = Refused(0, Code.UNAVAILABLE, _RETRY_MS)
                self._step(call, TurnedAway(refused, f"no engine answers: {todo.end.text}"))
            elif self._may_use(call, todo.end.session_last_no + 1):
                self._step(call, Learnt())
        return False

    def _submit(self, call: OpenCall, number: int) -> None:
        call.command.session_no = number
        try:
            records = records_of(
                Request(command=call.command),
                call.session_id,
                call.client,
                accounts_of(call.client),
                gateway=self._machine.settings.gateway,
                max_rows=self._max_batch,
                now_ns=self._ports.wall_ns(),
            )
        except ShapeError as error:
            self._step(call, TurnedAway(Refused(0, error.code), str(error)))
            return
        call.record = records[0]
        self._wait(call, number)
        admin = call.client.may(MASS_CANCELERS)
        refused = self._driver.submit(call.session_id, records, admin=admin, client=call.client)
        if refused is not None:
            self._step(call, TurnedAway(refused, refused.text or REFUSAL_TEXTS[refused.code]))

    def _on_outcome(self, call: OpenCall, todo: Todo) -> bool:
        """The outcome that a DUPLICATE points to; the DUPLICATE itself where that was cut."""
        call.pages.extend(todo.pages)
        if call not in self._open:
            return False
        if isinstance(todo.end, NoAnswer) and todo.end.fault is not Fault.GONE:
            refused = Refused(call.machine.number, Code.UNAVAILABLE, _RETRY_MS)
            text = f"executed before, but its outcome can't be fetched now: {todo.end.text}"
            self._step(call, TurnedAway(refused, text))
        elif todo.over:
            self._step(call, Found())
        return not todo.over

    # ---- the end -------------------------------------------------------------------------------------------------

    def _succeed(self, call: OpenCall) -> None:
        answer = call.reports
        assert answer is not None, "it was answered"
        duplicate = bool(answer.rows["kind"][0] == _DUPLICATE)
        reports = (_original(call) if duplicate else None) or answer
        stamp = self._driver.stamp()
        messages = report_messages(reports, stamp.epoch)
        stamp.event_id.CopyFrom(messages[0].event_id)
        self._close(call)
        call.done(orders_pb2.CommandReply(stamp=stamp, reports=messages, duplicate=duplicate))

    def _close(self, call: OpenCall) -> None:
        """It takes nothing any more; the next one of its key begins with the loop's next turn."""
        del self._open[call]
        self._stop_waiting(call)
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        turn = self._turns.get(call.key)
        if turn is None:
            return
        first = turn[0] is call
        turn.remove(call)
        if not turn:
            del self._turns[call.key]
        elif first:
            self._ports.at(self._ports.now_ns(), partial(self._begin_if_open, turn[0]))

    def _begin_if_open(self, call: OpenCall) -> None:
        if call in self._open:
            self._begin(call)

    # ---- waiting -------------------------------------------------------------------------------------------------

    def _wait(self, call: OpenCall, number: int) -> None:
        _add(self._waiting, call.session_id, number, call)

    def _stop_waiting(self, call: OpenCall) -> None:
        _remove(self._waiting, call.session_id, call.machine.number, call)
        self._leave_early(call)

    def _leave_early(self, call: OpenCall) -> None:
        _remove(self._early, call.session_id, call.machine.number, call)
        if call.session_id not in self._early:
            self._came_ns.pop(call.session_id, None)


def _add(waiting: dict[int, dict[int, list[OpenCall]]], session_id: int, number: int, call: OpenCall) -> None:
    waiting.setdefault(session_id, {}).setdefault(number, []).append(call)


def _remove(waiting: dict[int, dict[int, list[OpenCall]]], session_id: int, number: int, call: OpenCall) -> None:
    numbers = waiting.get(session_id, {})
    calls = numbers.get(number, [])
    if call not in calls:
        return
    calls.remove(call)
    if not calls:
        del numbers[number]
    if not numbers:
        del waiting[session_id]


def _original(call: OpenCall) -> ReportRows | None:
    """What was found of the command that was executed before; None: nothing."""
    routed = route(joined(call.pages), call.session_id) if any(len(page.events) for page in call.pages) else None
    if routed is None:
        return None
    found = routed.of(0)
    mine = found.rows["session_no"] == call.machine.number
    return ReportRows(found.rows[mine], found.legs[mine]) if mine.any() else None
