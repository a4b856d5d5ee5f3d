"""The client's side of a trading session as a pure machine: numbering, resending, resuming, dropping repeats.

There is no clock, socket, thread or chance in here: the driver (`session_driver.py`) says what happened and what time
it is, and does what `Effects` say. What the machine guarantees, whatever the connections do (lose, repeat, reorder):

* commands leave in the order of their numbers, and a number always means the same command;
* a command is kept, and sent again, until a report answers it: none is lost; the cluster executes a number once at
  the most, so none is doubled;
* report rows are handed out in strictly ascending (seq, index, leg): each once, none left out.

How: an answer to number n answers all up to n, because the cluster executes a session's numbers in order and tells of
them in order. After a break the session resumes from just before the last row it has, and what it gets twice it drops.
A retryable refusal from number n on means go back to n, after a pause.

A report of a lower epoch than one seen before comes from a gateway that was left behind; it is dropped *with its
connection*, because what came later on that connection would otherwise leave a hole in the history.

The states and the ways between them are a table, `session_states.py`.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import replace
from typing import Final

from lockstep.backoff import spread
from lockstep.codes import code_name
from lockstep.columns import CommandColumns, ReportColumns
from lockstep.enums import Code
from lockstep.session_events import (
    MAX_INDEX,
    NOTHING,
    Checkpoint,
    Closed,
    Connect,
    Counters,
    Effects,
    Failure,
    NextNumberReported,
    Opened,
    Parcel,
    RefusalArrived,
    Reported,
    ReportId,
    SessionEvent,
    SessionLimits,
    StreamEnded,
    Ticked,
    Welcomed,
)
from lockstep.session_parcels import Piece, joined
from lockstep.session_rows import drop_seen, last_id, without_resends
from lockstep.session_states import TRANSITIONS, Occasion, State
from lockstep.session_window import Window

__all__ = ["SessionMachine", "State"]

_RECONNECT_AFTER_GAPS: Final = 8
_OUT_OF_ORDER: Final = int(Code.SESSION_OUT_OF_ORDER)
NEVER: Final = 2**63 - 1
"""A deadline that does not come."""


class SessionMachine:
    """See the module's text. All times are nanoseconds of one monotonic clock."""

    def __init__(self, checkpoint: Checkpoint, limits: SessionLimits | None = None, *, taken_up: bool = False) -> None:
        self.session_id = checkpoint.session_id
        self.limits = limits or SessionLimits()
        self.state = State.NEW
        self.failure: Failure | None = None
        self.counters = Counters()
        self.epoch = checkpoint.epoch
        """Highest epoch that any report carried; never falls."""
        self.last_seen = checkpoint.last_seen
        """Last row handed out; never falls."""
        self.next_no = checkpoint.next_no
        """Number that the next command gets."""
        self.connection = checkpoint.connection
        """Number of the last Hello, over all lives of the session; never falls. 0: none had to be numbered."""
        self.conn = 0
        """Current (or last) connection; each gets a number of its own, so that late messages are known as such."""
        self._parcels: deque[Parcel] = deque(checkpoint.unanswered)
        # Contiguous: _parcels cover [first unanswered or before, _cut_no), _pending cover [_cut_no, next_no).
        self.first_unanswered = checkpoint.unanswered[0].first_no if checkpoint.unanswered else checkpoint.next_no
        self._claimed_no = self.first_unanswered - 1
        """Up to which number the checkpoint says that there are answers."""
        self._cut_no = checkpoint.next_no
        self._cursor = self.first_unanswered
        # Highest number ever sent, plus one: a report for a higher one is somebody else's command.
        self._sent_no = checkpoint.next_no
        self._numbered = False
        """Whether this process has given out a number; before, those of a former owner are simply gone by."""
        self._taken_up = taken_up
        self._has_past = taken_up or checkpoint.next_no > 1 or checkpoint.connection > 0
        """Whether numbers may have been given out before this process."""
        self._awaits_next_no = False
        """Whether the gateway is going to say, on this connection, which number it expects next."""
        self._reported_no = 0
        """That number; 0: it has not said."""
        self._quiet_at = NEVER
        """When a gateway that does not say so is believed to have brought all reports: it was quiet for so long."""
        self._quiet = False
        self._pending: list[Piece] = []
        self._linger_at = NEVER
        self._connect_at = NEVER
        self._welcome_by = NEVER
        self._hold_until = 0
        self._holds = 0
        self._failed_tries = 0
        self._silences = 0
        """Gateways in a row that took the stream and never said Welcome."""
        self._address = 0
        self._window = Window()
        self._max_batch = 0
        self._check_contiguous()

    # ---- what the owner asks -----------------------------------------------------------------------------------

    @property
    def unanswered(self) -> int:
        """Commands numbered and not answered; at most `limits.max_unanswered`."""
        return self.next_no - self.first_unanswered

    @property
    def room(self) -> int:
        """Commands that would leave now; 0 while the gateway takes no more, or there is none."""
        taken = min(self._window.size, self.limits.max_unanswered)
        return max(0, self.first_unanswered + taken - self.next_no) if self.state is State.OPEN else 0

    @property
    def ended(self) -> bool:
        """Whether it will never take a command again."""
        return self.state in (State.FAILED, State.CLOSED)

    @property
    def may_number(self) -> bool:
        """Whether new commands may be numbered: a session that was taken up must know first how far it had come."""
        if self.state is not State.OPEN:
            return False
        if self._awaits_next_no and not self._numbered:
            return 0 < self._reported_no <= self.next_no
        return self._quiet or not self._must_guess

    @property
    def _must_guess(self) -> bool:
        """Whether the session was taken up at a gateway, of an older version, that does not say how far it had come."""
        return self._taken_up and not self._numbered and not self._awaits_next_no

    def holds(self, conn: int) -> bool:
        """Whether this is the connection that it has, or is making."""
        return conn == self.conn and self.state in (State.CONNECTING, State.OPEN)

    @property
    def deadline_ns(self) -> int:
        """When `Ticked` is due next."""
        if self.state is State.WAITING:
            return self._connect_at
        if self.state is State.CONNECTING:
            return self._welcome_by
        if self.state is not State.OPEN:
            return NEVER
        return min(self._send_at, self._quiet_at) if self._must_guess else self._send_at

    @property
    def _send_at(self) -> int:
        """When something may leave, while the session is open."""
        if self._room() <= 0:
            return NEVER
        if self._cursor < self._cut_no:
            return self._hold_until
        return max(self._hold_until, self._ripe_at)

    @property
    def _ripe_at(self) -> int:
        """When what is pending may leave; an answer may make it earlier."""
        crowded = len(self._parcels) >= self.limits.most_under_way
        if crowded and self.next_no - self._cut_no < self.limits.batch_rows:
            return NEVER
        return self._linger_at

    def submit(self, piece: Piece, now_ns: int) -> int | None:
        """Number one piece (all its rows, in order); it leaves at a later `step`.

        Returns:
            The number of its first command, or None if there is no room for all of it now.
        """
        count = piece.count if isinstance(piece, CommandColumns) else 1
        if self.ended or self.unanswered + count > self.limits.max_unanswered:
            return None
        first_no = self.next_no
        self.next_no += count
        self._numbered = True
        if not self._pending:
            self._linger_at = now_ns + self.limits.linger_ns
        self._pending.append(piece)
        if self.next_no - self._cut_no >= self.limits.batch_rows:
            self._linger_at = now_ns
        return first_no

    def checkpoint(self, last_seen: ReportId | None = None) -> Checkpoint:
        """State to go on from in another process; `last_seen`: the last row that the owner has dealt with."""
        self._cut()
        seen = self.last_seen if last_seen is None else last_seen
        kept = tuple(
            parcel.part(max(parcel.first_no, self.first_unanswered), parcel.end_no)
            for parcel in self._parcels
            if parcel.end_no > self.first_unanswered
        )
        return Checkpoint(self.session_id, self.next_no, seen, self.epoch, kept, self.connection)

    def number_connection(self, wall_ms: int) -> int:
        """The number of a Hello that is said now: higher than all before; 0 if it needs none.

        One that asks for cancel on disconnect needs it, and one that may have asked before: it may have been closed,
        and a higher number opens it again.
        `wall_ms`: Unix time in milliseconds. It keeps the numbers rising where a checkpoint is older than the session's
        last connection; a clock that is behind only delays the session until it has caught up with that.
        """
        if self.limits.cancel_on_disconnect_ms or self.connection or self._taken_up:
            self.connection = max(self.connection + 1, wall_ms)
        return self.connection

    # ---- what happens ------------------------------------------------------------------------------------------

    def step(self, event: SessionEvent, now_ns: int) -> Effects:
        """Take one event; what to do about it, in order."""
        match event:
            case Reported():
                effects = self._on_reported(event, now_ns)
            case Ticked():
                effects = self._on_ticked(now_ns)
            case Welcomed():
                effects = self._on_welcomed(event, now_ns)
            case NextNumberReported():
                effects = self._on_next_number(event)
            case RefusalArrived():
                effects = self._on_refusal(event, now_ns)
            case StreamEnded():
                effects = self._on_stream_ended(event, now_ns)
            case Opened():
                effects = self._on_opened(now_ns)
            case Closed():
                effects = self._enter_ended(Occasion.CLOSED)
        self._check_contiguous()
        return effects

    def _on_opened(self, now_ns: int) -> Effects:
        if self.state is not State.NEW:
            return NOTHING
        self._move(Occasion.OPENED)
        self._connect_at = now_ns
        return self._on_ticked(now_ns)

    def _on_ticked(self, now_ns: int) -> Effects:
        if self.state is State.WAITING and now_ns >= self._connect_at:
            return self._enter_connecting(now_ns)
        if self.state is State.CONNECTING and now_ns >= self._welcome_by:
            self._silences += 1
            return self._enter_waiting(Occasion.NO_WELCOME, now_ns)
        if self.state is State.OPEN and now_ns >= self._quiet_at:
            self._quiet, self._quiet_at = True, NEVER
        return self._with_sends(NOTHING, now_ns)

    def _on_welcomed(self, event: Welcomed, now_ns: int) -> Effects:
        if event.conn != self.conn or self.state is not State.CONNECTING:
            self.counters.late_messages += 1
            return NOTHING
        self._move(Occasion.WELCOMED)
        self._failed_tries = self._silences = 0
        self._holds = 0
        self._hold_until = now_ns
        # A gateway that names no bounds has none of its own.
        self._window.on_welcome(event.credit or self.limits.max_unanswered)
        self._max_batch = event.max_batch or self.limits.batch_rows
        self._awaits_next_no, self._reported_no = event.next_number_follows, 0
        self._quiet, self._quiet_at = False, now_ns + self.limits.settle_ns
        return self._with_sends(NOTHING, now_ns)

    def _on_next_number(self, event: NextNumberReported) -> Effects:
        if event.conn != self.conn or self.state is not State.OPEN:
            self.counters.late_messages += 1
            return NOTHING
        if 0 <= event.executed_no < self._claimed_no and not self._numbered:
            return self._enter_failed(
                Occasion.FOREIGN_NUMBERS,
                _OUT_OF_ORDER,
                f"the checkpoint counts the numbers up to {self._claimed_no} as answered, but the cluster has executed "
                f"session {self.session_id:#x} only up to {event.executed_no}: it is a checkpoint of another cluster, "
                "or of a history that this one has discarded",
            )
        self._reported_no = event.next_no
        return NOTHING

    def _on_stream_ended(self, event: StreamEnded, now_ns: int) -> Effects:
        if not self.holds(event.conn):
            return NOTHING
        if event.fatal_code:
            return self._enter_failed(Occasion.FATAL_END, event.fatal_code, event.reason)
        waiting = self._enter_waiting(Occasion.STREAM_ENDED, now_ns, event.retry_after_ms, event.jitter_ppm)
        return replace(waiting, disconnect=0)

    def _on_refusal(self, event: RefusalArrived, now_ns: int) -> Effects:
        if not self.holds(event.conn):
            self.counters.late_messages += 1
            return NOTHING
        self.counters.refusals += 1
        if not event.retryable:
            return self._enter_failed(Occasion.REFUSED_FOR_GOOD, event.code, event.text)
        if self.state is State.CONNECTING or event.code == Code.SHUTTING_DOWN:
            return self._enter_waiting(Occasion.REFUSED_FOR_NOW, now_ns, event.retry_after_ms)
        if event.from_no > self._sent_no:
            return self._enter_foreign(f"the gateway expects number {event.from_no}")
        return self._go_back(event.from_no, event.retry_after_ms * 1_000_000, now_ns, event.code)

    def _go_back(self, from_no: int, pause_ns: int, now_ns: int, code: int) -> Effects:
        target = max(from_no, self.first_unanswered)
        if target >= self._cursor:
            # The gateway refused what was on its way when it refused the first: that one is being sent again already.
            return NOTHING
        self._cursor = target
        if code == Code.BUSY:
            self._window.on_busy(target - self.first_unanswered)
        own_pause_ns = min(self.limits.hold_first_ns << min(self._holds, 20), self.limits.hold_most_ns)
        self._holds += 1
        if code in (Code.SESSION_GAP, _OUT_OF_ORDER) and self._holds % _RECONNECT_AFTER_GAPS == 0:
            return self._enter_waiting(Occasion.NUMBERING_LOST, now_ns)
        self._hold_until = now_ns + max(own_pause_ns, pause_ns)
        return NOTHING

    # ---- reports -----------------------------------------------------------------------------------------------

    def _on_reported(self, event: Reported, now_ns: int) -> Effects:
        if not self.holds(event.conn):
            self.counters.late_messages += 1
            return NOTHING
        batch = event.batch
        if batch.epoch < self.epoch:
            self.counters.stale_epochs += 1
            return self._enter_waiting(Occasion.STALE_EPOCH, now_ns)
        self.epoch = batch.epoch
        fresh = self._drop_seen(batch)
        if fresh is None:
            return self._with_sends(NOTHING, now_ns)
        self.last_seen = last_id(fresh)
        if not self._quiet:
            self._quiet_at = now_ns + self.limits.settle_ns
        before = self.first_unanswered
        out_of_order = bool((fresh.code == _OUT_OF_ORDER).any())
        effects = self._advance(fresh, out_of_order=out_of_order)
        if effects.failure is None:
            if out_of_order:
                # Not an outcome: an earlier number has to come first, and this one again after it.
                effects = replace(effects, disconnect=self._go_back(0, 0, now_ns, _OUT_OF_ORDER).disconnect)
            visible, resent = without_resends(fresh, before - 1, out_of_order=out_of_order)
            self.counters.duplicate_answers += resent
            self.counters.rows += visible.count if visible else 0
            effects = self._with_sends(replace(effects, reports=visible), now_ns)
        return effects

    def _drop_seen(self, batch: ReportColumns) -> ReportColumns | None:
        fresh = drop_seen(batch, self.last_seen)
        self.counters.repeated_rows += batch.count - (fresh.count if fresh else 0)
        return fresh

    def _advance(self, fresh: ReportColumns, *, out_of_order: bool) -> Effects:
        """Take the answers: everything up to the highest number that a row of the session's own side names."""
        own = fresh.session_no
        if fresh.leg.any():
            own = own[fresh.leg == 0]
            if out_of_order:
                own = own[fresh.code[fresh.leg == 0] != _OUT_OF_ORDER]
        elif out_of_order:
            own = own[fresh.code != _OUT_OF_ORDER]
        answered_to = int(own.max()) + 1 if len(own) else 0
        if answered_to <= self.first_unanswered:
            return NOTHING
        if answered_to > self._sent_no:
            if self._numbered or not self._has_past:
                return self._enter_foreign(f"a report answers number {answered_to - 1}")
            # A session taken up again from an old checkpoint: go on behind what its former owner had executed. What
            # the checkpoint holds has lower numbers, and these mean the same commands.
            self.next_no = self._cut_no = self._cursor = self._sent_no = answered_to
        self._window.on_answered(answered_to - self.first_unanswered)
        self.first_unanswered = answered_to
        self._cursor = max(self._cursor, answered_to)
        self._holds = 0
        while self._parcels and self._parcels[0].end_no <= answered_to:
            self._parcels.popleft()
        return Effects(answered=True)

    # ---- sending -----------------------------------------------------------------------------------------------

    def _room(self) -> int:
        """Rows that may be sent now."""
        return self.first_unanswered + self._window.size - self._cursor

    def _with_sends(self, effects: Effects, now_ns: int) -> Effects:
        if self.state is not State.OPEN or now_ns < self._hold_until:
            return effects
        sends: list[Parcel] = []
        while (room := self._room()) > 0:
            if self._cursor == self._cut_no:
                if now_ns < self._ripe_at:
                    break
                self._cut()
            position = bisect_right(self._parcels, self._cursor, key=_first_no) - 1
            parcel = self._parcels[position]
            stop_no = min(parcel.end_no, self._cursor + min(room, self._max_batch))
            sends.append(parcel.part(self._cursor, stop_no))
            self._cursor = stop_no
        self._sent_no = max(self._sent_no, self._cursor)
        return replace(effects, send=tuple(sends)) if sends else effects

    def _cut(self) -> None:
        """Make parcels of what is pending."""
        for parcel in joined(self._pending, self._cut_no, self.limits.batch_rows):
            self._parcels.append(parcel)
            self._cut_no = parcel.end_no
        self._pending.clear()
        self._linger_at = NEVER

    # ---- entering states ---------------------------------------------------------------------------------------

    def _enter_connecting(self, now_ns: int) -> Effects:
        self._move(Occasion.PAUSE_OVER)
        self.conn += 1
        self.counters.connections += 1
        self._welcome_by = now_ns + min(self.limits.welcome_ns << min(self._silences, 20), self.limits.welcome_most_ns)
        self._cursor = self.first_unanswered
        last = self.last_seen
        if last.seq and last.leg == 0:
            # The second row of the same event may not have come yet, and a Hello can't name rows: ask for it again.
            last = ReportId(last.seq, last.index - 1) if last.index else ReportId(last.seq - 1, MAX_INDEX)
        grace_ms = self.limits.cancel_on_disconnect_ms
        asks = self._taken_up and not self._numbered
        return Effects(
            connect=Connect(self.conn, self._address, self.session_id, last, self._cursor, grace_ms, self.epoch, asks)
        )

    def _enter_waiting(self, occasion: Occasion, now_ns: int, retry_after_ms: int = 0, jitter_ppm: int = -1) -> Effects:
        """Pause before the next address; half of it is chance, so that clients don't come in step."""
        self._move(occasion)
        self._address += 1
        spread_ppm = spread(self.session_id, self.conn) if jitter_ppm < 0 else jitter_ppm
        pause_ns = self.limits.pause_ns(self._failed_tries, spread_ppm)
        self._failed_tries += 1
        # A gateway may name the time to come again: the client comes then, or a little later; never earlier.
        wanted_ns = retry_after_ms * (1_000_000 + spread_ppm)
        self._connect_at = now_ns + max(pause_ns, wanted_ns)
        return Effects(disconnect=self.conn)

    def _enter_foreign(self, said: str) -> Effects:
        """Numbers are used that were never given out here."""
        text = f"{said}, but only those below {self._sent_no} were ever sent from here: "
        if self._taken_up:
            text += "a command of its former owner came late, or "
        text += f"another process uses session {self.session_id:#x}"
        return self._enter_failed(Occasion.FOREIGN_NUMBERS, _OUT_OF_ORDER, text)

    def _enter_failed(self, occasion: Occasion, code: int, text: str) -> Effects:
        self.failure = Failure(code, text or code_name(code))
        return replace(self._enter_ended(occasion), failure=self.failure)

    def _enter_ended(self, occasion: Occasion) -> Effects:
        if self.ended:
            return NOTHING
        connected = self.state in (State.CONNECTING, State.OPEN)
        self._move(occasion)
        return Effects(disconnect=self.conn if connected else 0)

    def _move(self, occasion: Occasion) -> None:
        state = TRANSITIONS.get((self.state, occasion))
        if state is None:
            raise AssertionError(f"{occasion.value}, in state {self.state.value}")
        self.state = state

    def _check_contiguous(self) -> None:
        if not self.first_unanswered <= self._cursor <= self._cut_no <= self.next_no:
            raise AssertionError(
                f"session numbering broken: answered below {self.first_unanswered}, sent below {self._cursor}, "
                f"cut below {self._cut_no}, next {self.next_no}"
            )
        if self._parcels and self._parcels[-1].end_no != self._cut_no:
            raise AssertionError(f"parcels end at {self._parcels[-1].end_no}, not at {self._cut_no}")


def _first_no(parcel: Parcel) -> int:
    return parcel.first_no
