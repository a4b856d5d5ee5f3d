"""Numbering of client sessions, as one gateway sees it. Pure.

A session's commands are numbered 1, 2, 3 ... by its client; the engine executes a number only if it is the next one.
The gateway keeps the numbers contiguous on the way there, so that the engine never has to refuse for a gap:

    answered < number < expected    in flight from this gateway; a repetition is dropped
    number <= answered              executed; a repetition is passed on, and the engine answers DUPLICATE
    number == expected              the next one
    number > expected               SESSION_GAP, come again from `expected`

What the gateway knows of a session is only a cache: a client may go to another gateway at any moment and come back.
So `expected` and `answered` also follow the events that the engine answers with, whichever gateway took the command.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockstep.gateway.shares import Retries, Shares
from lockstep.runtime.budget import Allowance
from lockstep.stream.arrival import GATEWAY_CLIENT_BASE as GATEWAY_CLIENT_BASE
from lockstep.stream.codes import Code
from lockstep.stream.values import frozen

NO_STREAM: Final = 0
OWN_STREAM: Final = -1
"""In place of a token: the gateway's own session, which is never forgotten."""
UNOWNED: Final = ""
"""Owner of a session that is known from the intake log only: the first client entitled to its id gets it."""

OVER_BUDGET: Final = "this client's budget is used up; send again from from_no, or cancel, for which some is kept"

_RETRY_MS: Final = {Code.UNAVAILABLE: 50, Code.SESSION_GAP: 0}


def own_session_id(gateway: int, incarnation: int) -> int:
    """Session of a gateway for the calls that bring no number of their own."""
    return (GATEWAY_CLIENT_BASE + gateway) << 32 | incarnation & 0xFFFF_FFFF


@dataclass(slots=True)
class Session:
    """One session. Invariant: `answered < expected`."""

    session_id: int
    client: str
    expected: int
    """The next number that was not admitted yet; at least 1."""
    answered: int
    """The highest number that an event has answered."""
    stream: int = NO_STREAM
    """Token of the stream that owns the session; NO_STREAM: none is open."""
    refused_at: int = 0
    """The number that the client was asked to send again; later ones are dropped until it came. 0: none."""
    in_flight_to: int = 0
    """Highest number that was admitted here and that no answer has passed; 0: none is in flight. What a Hello claims
    does not change it."""
    counted: int = 0
    """`unanswered` as the principal's share has it."""

    @property
    def unanswered(self) -> int:
        """Commands admitted and not answered."""
        return self.expected - 1 - self.answered

    def move_on(self, next_no: int) -> None:
        """What is below that number is over."""
        self.answered, self.expected = next_no - 1, next_no


@frozen
class Refused:
    """Commands from `from_no` on were not taken."""

    from_no: int
    code: Code
    retry_after_ms: int = 0
    text: str = ""
    """Why, if the code alone does not say it."""


@frozen
class Admission:
    """What becomes of a run of consecutive numbers: first `repeated`, then `dropped`, then `taken`, then the rest."""

    repeated: int = 0
    """Passed on for the engine to answer: executed already (DUPLICATE), or the number is another's (KEY_REUSED)."""
    dropped: int = 0
    """In flight already."""
    taken: int = 0
    refused: Refused | None = None
    """Why the rest was not admitted; None also where the client has heard so before."""


@frozen
class Opened:
    """A stream owns the session now."""

    previous_stream: int
    """Token of the stream that lost it, NO_STREAM if none was open."""
    credit: int


def _over_budget(from_no: int, allowance: Allowance) -> Refused:
    return Refused(from_no, Code.BUSY, allowance.wait_ms, OVER_BUDGET)


class SessionTable:
    """All sessions that this gateway knows. Bounded: idle ones are forgotten, oldest first."""

    def __init__(self, *, credit: int, max_sessions: int = 8192) -> None:
        self._sessions: dict[int, Session] = {}
        self._credit = credit
        self._max_sessions = max_sessions
        self.shares = Shares()
        self._retries = Retries()

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, session_id: int) -> Session | None:
        """A session by id; None if this gateway does not know it."""
        return self._sessions.get(session_id)

    def open(self, session_id: int, client: str, stream: int, next_no: int) -> Opened | Refused:
        """A client's Hello on a stream. `next_no` is its first unanswered number.

        NOT_ENTITLED if the session is another client's, BUSY if no more sessions fit.
        """
        session = self.ensure(session_id, client, next_no)
        if isinstance(session, Refused):
            return session
        if next_no > session.expected:
            # It was elsewhere meanwhile; what it counts as answered needs no answer here.
            session.move_on(next_no)
            self.count(session)
        previous, session.stream, session.refused_at = session.stream, stream, 0
        return Opened(previous, self._credit)

    def ensure(self, session_id: int, client: str, next_no: int) -> Session | Refused:
        """The session; `next_no` is its next number, if it is unknown here or nothing of it is under way."""
        session = self._sessions.get(session_id)
        if session is not None:
            if session.client == UNOWNED:
                self._give(session, client)
            if session.client != client:
                return Refused(next_no, Code.NOT_ENTITLED)
            if next_no > session.expected and not session.unanswered:
                # An engine has executed so much. What is under way here is answered when its events come, not before.
                session.move_on(next_no)
                self.count(session)
            return session
        if len(self._sessions) >= self._max_sessions and not self._forget_one():
            return Refused(next_no, Code.BUSY, 1000)
        session = Session(session_id, client, expected=max(1, next_no), answered=max(1, next_no) - 1)
        self._sessions[session_id] = session
        return session

    def add_own(self, session_id: int, next_no: int) -> Session:
        """The gateway's own session; it stays as long as the table."""
        session = Session(session_id, UNOWNED, expected=next_no, answered=next_no - 1, stream=OWN_STREAM)
        self._sessions[session_id] = session
        return session

    def count(self, session: Session) -> None:
        """Bring its principal's share up to date with what is unanswered of it."""
        self.shares.change(session.client, session.unanswered - session.counted)
        session.counted = session.unanswered

    def _give(self, session: Session, client: str) -> None:
        self.shares.change(session.client, -session.counted)
        session.client, session.counted = client, 0
        self.count(session)

    def _forget_one(self) -> bool:
        for session_id, session in self._sessions.items():
            if session.stream == NO_STREAM and session.unanswered == 0 and not session.in_flight_to:
                del self._sessions[session_id]
                return True
        return False

    def detach(self, session_id: int, stream: int) -> bool:
        """A stream ended; whether the session has none any more. It stays, with what is unanswered.

        A stream that lost the session changes nothing.
        """
        session = self._sessions.get(session_id)
        if session is None or session.stream != stream:
            return False
        session.stream = NO_STREAM
        return True

    def refuse_unread(self, session: Session, first_no: int, *, room: int, now_ns: int) -> Admission | None:
        """What becomes of a message whose first number is this, if that needs no look into it; None: it does.

        Where there is no room the gateway spends nothing on what it will refuse.
        """
        if first_no > session.expected and session.refused_at == session.expected:
            return Admission()
        if first_no == session.expected and self._room(session, room) <= 0:
            return Admission(refused=self._refuse(session, Code.BUSY, now_ns))
        return None

    def _room(self, session: Session, room: int) -> int:
        """Commands that this session may bring in, if the way to the sequencer takes so many."""
        if session.stream != OWN_STREAM:
            room = self.shares.room(session.client, room)
        return min(room, self._credit - session.unanswered)

    def admit(
        self,
        session: Session,
        first_no: int,
        count: int,
        *,
        room: int,
        closed: Code | None,
        now_ns: int,
        allowance: Allowance | None = None,
    ) -> Admission:
        """Decide about `count` commands numbered from `first_no`.

        `room` is what the way to the sequencer still takes; `closed` says why it takes nothing at all; `allowance`:
        what its client's budget does, None: all. Nothing is changed for what was not taken.
        """
        if first_no > session.expected:
            return Admission(refused=self._refuse(session, Code.SESSION_GAP, now_ns))
        end_no = first_no + count
        repeated = max(0, min(end_no - 1, session.answered) - first_no + 1)
        dropped = max(0, min(end_no, session.expected) - max(first_no, session.answered + 1))
        fresh = count - repeated - dropped
        if closed is not None:
            refused = self._refuse(session, closed, now_ns) if fresh else None
            return Admission(0, dropped + repeated, 0, refused)
        if repeated > room:
            return Admission(refused=Refused(first_no, Code.BUSY, self._retries.next_ms(now_ns)))
        if allowance is not None and repeated > allowance.rows:
            return Admission(refused=_over_budget(first_no, allowance))
        taken = max(0, min(fresh, self._room(session, room - repeated)))
        within = taken if allowance is None else max(0, min(taken, allowance.rows - repeated - dropped))
        over_budget, taken = within < taken, within
        if fresh:
            session.expected += taken
            self.count(session)
            session.in_flight_to = session.expected - 1 if taken else session.in_flight_to
        if taken == fresh:
            if fresh:
                session.refused_at = 0
            return Admission(repeated, dropped, taken)
        if taken:
            session.refused_at = 0
        if over_budget:
            assert allowance is not None, "it was the bound"
            session.refused_at = session.expected
            return Admission(repeated, dropped, taken, _over_budget(session.expected, allowance))
        return Admission(repeated, dropped, taken, self._refuse(session, Code.BUSY, now_ns))

    def _refuse(self, session: Session, code: Code, now_ns: int) -> Refused | None:
        """The refusal, once: what the client had sent before it heard of it follows, and is dropped in silence."""
        gap = code is Code.SESSION_GAP
        if gap and session.refused_at == session.expected:
            return None
        session.refused_at = session.expected
        pause_ms = self._retries.next_ms(now_ns) if code is Code.BUSY else _RETRY_MS.get(code, 50)
        return Refused(session.expected, code, pause_ms)

    def on_answers(self, session_ids: Sequence[int], numbers: Sequence[int]) -> None:
        """Engines have executed these sessions up to these numbers (0: says nothing)."""
        for session_id, number in zip(session_ids, numbers, strict=True):
            session = self._sessions.get(session_id)
            if session is None:
                continue
            if number >= session.in_flight_to:
                session.in_flight_to = 0
            if number > session.answered:
                session.answered = number
                session.expected = max(session.expected, number + 1)
                self.count(session)

    def on_out_of_order(self, session_id: int, number: int) -> None:
        """An engine refused a number as not the session's next: it is answered, but nothing beyond it is known."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        if number >= session.in_flight_to:
            session.in_flight_to = 0
        if session.answered < number < session.expected:
            session.answered = number
            self.count(session)
