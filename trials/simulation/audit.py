"""The audit at the end of a run: the committed history, executed once more, against all that was delivered.

It is the outside checker: it takes the committed batches and what the clients wrote down, and nothing else.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lockstep.engine.reference import ReferenceEngine
from lockstep.engine.reference.invariants import check_invariants
from lockstep.stream.batch import Batch
from lockstep.stream.codes import Code
from lockstep.stream.digest import GENESIS, next_digest
from lockstep.stream.records import CommandKind, EventKind, Events
from lockstep.trials.simulation.answer_audit import AnswerAudit
from lockstep.trials.simulation.call_audit import CallAudit
from lockstep.trials.simulation.callers import Reply, is_callers
from lockstep.trials.simulation.client_host import ClientHost
from lockstep.trials.simulation.client_owner import Row
from lockstep.trials.simulation.enquiries import Answer
from lockstep.trials.simulation.judge import Judge
from lockstep.trials.simulation.losses import Loss
from lockstep.trials.simulation.stream_judge import StreamRecord
from lockstep.trials.simulation.world import Violation

_TWO_SIDED = (EventKind.TRADE, EventKind.CANCELED, EventKind.REPLACED, EventKind.REDUCED)
_BOTH_LEGS = 255


class Said(NamedTuple):
    """What was delivered and answered in a run."""

    streams: Sequence[StreamRecord]
    """What was written to each session stream."""
    answers: Sequence[Answer] = ()
    """To questions about accounts and orders."""
    replies: Sequence[Reply] = ()
    """To single calls."""
    cut_seq: int = 0
    """Up to where some journal was cut."""


def audit(
    judge: Judge,
    clients: Sequence[ClientHost],
    said: Said,
    *,
    deposits: dict[tuple[int, int], int],
    left: ClientHost | None = None,
) -> int:
    """Check a finished run; the number of trades.

    `deposits`: (0, account) cash and (instrument, account) lots given. `left`: a client with cancel on disconnect that
    went away for good.

    Raises:
        Violation: what differs.
    """
    streams, answers = said.streams, said.answers
    since = judge.losses[-1].epoch if judge.losses else 0
    history = _History(clients, [answer for answer in answers if answer.said.stamp.epoch >= since])
    history.replay(judge.log, judge.digests, judge.released, judge.losses)
    before: list[tuple[Loss, _History]] = []
    for loss in judge.losses:
        since = before[-1][0].epoch if before else 0
        earlier = _History(clients, [one for one in answers if since <= one.said.stamp.epoch < loss.epoch])
        earlier.replay(loss.log, loss.digests, loss.released, judge.losses[: len(before)])
        before.append((loss, earlier))

    def as_of(epoch: int) -> _History:
        """What was true for whoever heard of no later epoch."""
        return next((earlier for loss, earlier in before if epoch < loss.epoch), history)

    heard = {stream.session_id: stream.row_epoch for stream in streams}
    for client in clients:
        _check_client(client, as_of(heard[client.session_id]) if client.failure is not None else history)
    for reply in said.replies:
        as_of(reply.said.stamp.epoch).calls.check(reply, said.cut_seq)
    for stream in streams:
        _check_stream(stream, as_of(stream.row_epoch).wire.get(stream.session_id, []))
    engine = history.engine
    check_invariants(engine)
    _check_conserved(engine, deposits)
    if left is not None:
        alive = [order_id for order_id, order in engine.state.orders.items() if order.session_id == left.session_id]
        if alive:
            raise Violation(f"{left.name} left, and its orders {alive[:5]} are still there")
    return history.trades


class _History:
    """Committed commands, executed once more: who has to receive what."""

    def __init__(self, clients: Sequence[ClientHost], answers: Sequence[Answer]) -> None:
        self.engine = ReferenceEngine()
        self._answers = AnswerAudit(answers)
        self.delivered: dict[int, list[Row]] = {}
        self.wire: dict[int, list[Row]] = {}
        """With what only points to an outcome of before."""
        self.executed: dict[int, int] = {}
        self.answers: dict[tuple[int, int], int] = {}
        self.trades = 0
        self.calls = CallAudit()
        self._departures = _Departures(clients)

    def replay(
        self, log: Sequence[Batch], digests: Sequence[bytes], released: dict[int, bytes], losses: Sequence[Loss]
    ) -> None:
        """Execute `log`. `losses`: what was discarded on the way."""
        digest = GENESIS
        self._answers.on_state(self.engine, 0, 0)
        for position, batch in enumerate(log):
            events = self.engine.apply(batch.records, first_seq=batch.first_seq, timestamp_ns=batch.timestamp_ns)
            digest = next_digest(digest, batch.raw, events.tobytes())
            if digest != digests[position]:
                raise Violation(f"replay of the committed history gives another digest at seq {batch.last_seq}")
            _check_released(released, events)
            lost = [loss.sessions() for loss in losses if batch.epoch >= loss.epoch]
            self._collect(events, frozenset().union(*lost))
            _collect_wire(events, self.wire)
            self._departures.check(batch, events)
            self.calls.on_events(events)
            self._answers.on_state(self.engine, batch.last_seq, batch.epoch)
        self._answers.end()

    def _collect(self, events: Events, lost: frozenset[int]) -> None:
        """Who has to receive what, and which numbers were executed. `lost`: sessions with commands discarded before."""
        for event in events:
            kind = int(event["kind"])
            seq, index, session = int(event["seq"]), int(event["index"]), int(event["session_id"])
            if event["code"] == Code.SESSION_OUT_OF_ORDER:
                if session not in lost:
                    raise Violation(f"seq {seq}: a gateway let number {event['session_no']} overtake an earlier one")
                self.delivered.setdefault(session, []).append((seq, index, 0))
                continue
            if event["code"] == Code.KEY_REUSED:
                if is_callers(session):
                    continue
                raise Violation(
                    f"seq {seq}: number {event['session_no']} of session {session:#x} came again "
                    f"with other content, but nobody here sends any but what he sent before"
                )
            if kind >= EventKind.EPOCH_STARTED or kind == EventKind.DUPLICATE:
                continue
            self.trades += kind == EventKind.TRADE
            if session:
                self.delivered.setdefault(session, []).append((seq, index, 0))
                self._count(session, int(event["session_no"]), seq)
            other = int(event["maker_session_id"]) if kind in _TWO_SIDED else 0
            if other:
                self.delivered.setdefault(other, []).append((seq, index, 1))

    def _count(self, session: int, number: int, seq: int) -> None:
        if number and self.answers.setdefault((session, number), seq) != seq:
            raise Violation(f"number {number} of session {session:#x} was executed twice, at seq {seq} again")
        done = self.executed.get(session, 0)
        if number > done + 1:
            raise Violation(f"number {number} of session {session:#x} was executed after {done}")
        self.executed[session] = max(done, number)


class _Departures:
    """Cancel on disconnect: the end of a connection cancels nothing once a later one of the session is known."""

    def __init__(self, clients: Sequence[ClientHost]) -> None:
        self._clients = {client.session_id: client for client in clients}
        self._opened: dict[int, int] = {}  # the highest connection, by session
        self._given: dict[int, tuple[int, int]] = {}  # (session, number) by order id

    def check(self, batch: Batch, events: Events) -> None:
        for event in events[events["kind"] == EventKind.ACCEPTED]:
            self._given[int(event["order_id"])] = (int(event["session_id"]), int(event["session_no"]))
        kinds = batch.records["kind"]
        for place in np.flatnonzero((kinds == CommandKind.SESSION_OPENED) | (kinds == CommandKind.SESSION_CLOSED)):
            session, connection = (int(batch.records[field][place]) for field in ("order_id", "client_order_id"))
            latest = self._opened.setdefault(session, 0)
            if kinds[place] == CommandKind.SESSION_OPENED:
                self._opened[session] = max(latest, connection)
                continue
            seq = batch.first_seq + int(place)
            gone = events[(events["seq"] == seq) & (events["kind"] == EventKind.CANCELED)]
            if len(gone) and connection < latest:
                raise Violation(f"seq {seq} cancels orders of session {session:#x}, which has come back before")
            for order_id in gone["order_id"].tolist():
                owner, number = self._given[order_id]
                if owner != session or self._clients[session].owner.connection_of(number) > connection:
                    raise Violation(
                        f"seq {seq} says that a connection of session {session:#x} has ended, and cancels order "
                        f"{order_id}, which was given on a later one"
                    )


def _check_released(released: dict[int, bytes], events: Events) -> None:
    for seq in dict.fromkeys(events["seq"].tolist()):
        known = released.get(seq)
        if known is not None and known != events[events["seq"] == seq].tobytes():
            raise Violation(f"wrong events were released for seq {seq}")


def _collect_wire(events: Events, wire: dict[int, list[Row]]) -> None:
    """Every row of every session, as a stream has to deliver it."""
    columns = (events[name].tolist() for name in ("kind", "seq", "index", "session_id", "maker_session_id"))
    for kind, seq, index, session, other in zip(*columns, strict=True):
        if session and kind < EventKind.EPOCH_STARTED:
            wire.setdefault(session, []).append((seq, index, 0))
        if other and kind in _TWO_SIDED:
            wire.setdefault(other, []).append((seq, index, 1))


def _check_client(client: ClientHost, history: _History) -> None:
    delivered, answers = history.delivered.get(client.session_id, []), history.answers
    for number, seq in client.owner.answers.items():
        if answers.get((client.session_id, number)) != seq:
            raise Violation(f"{client.name}'s number {number} was acknowledged at seq {seq} and is not there")
    done = history.executed.get(client.session_id, 0)
    if client.done and done != client.machine.next_no - 1:
        raise Violation(f"{client.name} gave {client.machine.next_no - 1} commands, {done} were executed")
    if client.done and done != client.owner.given:
        raise Violation(f"{client.name}'s owner gave {client.owner.given} commands, {done} were executed")
    known = client.owner.seen if client.done else client.owner.seen[: len(delivered)]
    if known != delivered[: len(known)] or (client.done and len(known) != len(delivered)):
        missing = [row for row in delivered if row not in client.owner.seen]
        extra = [row for row in client.owner.seen if row not in delivered]
        raise Violation(
            f"{client.name} saw {len(client.owner.seen)} of {len(delivered)} events; "
            f"missing {missing[:3]}, extra {extra[:3]}"
        )


def _check_stream(stream: StreamRecord, delivered: list[Row]) -> None:
    """A stream begins behind what its client has seen and leaves nothing out as far as it goes."""
    start = bisect_right(delivered, (*stream.seen, _BOTH_LEGS))
    wanted = delivered[start : start + len(stream.rows)]
    if stream.rows != wanted:
        place = next((at for at, row in enumerate(wanted) if stream.rows[at] != row), len(wanted))
        raise Violation(
            f"{stream.name}: as row {place + 1} it delivered {stream.rows[place]}, due was "
            f"{wanted[place] if place < len(wanted) else 'none'}"
        )


def _check_conserved(engine: ReferenceEngine, deposits: dict[tuple[int, int], int]) -> None:
    """Money and shares only move."""
    accounts = engine.accounts()
    cash = sum(account.cash_micros for account in accounts)
    given = int(np.sum([amount for (what, _), amount in deposits.items() if what == 0], dtype=np.int64))
    if accounts and cash != given:
        raise Violation(f"{given} micros were paid in, {cash} are there")
    for instrument in engine.instruments():
        number = instrument.instrument
        lots = sum(p.quantity_lots for account in accounts for p in account.positions if p.instrument == number)
        given_lots = sum(amount for (what, _), amount in deposits.items() if what == number)
        if lots != given_lots:
            raise Violation(f"{given_lots} lots of instrument {number} were delivered, {lots} are there")
