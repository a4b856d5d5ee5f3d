"""What one side of a session is made of, and how it says something and comes to its end. Pure; see `session.py`."""

from dataclasses import replace
from typing import Final

from lockstep.edge.fix import tags
from lockstep.edge.fix.checks import text_field
from lockstep.edge.fix.dictionary import Fault
from lockstep.edge.fix.outbox import Outbox
from lockstep.edge.fix.pulse import GAP_NS, Pulse
from lockstep.edge.fix.resend import Resend
from lockstep.edge.fix.values import (
    CHECKING_NS,
    GREETING_NS,
    LOGOUT_NS,
    MOVES,
    Befell,
    Numbers,
    Profile,
    State,
)
from lockstep.edge.fix.waiting import Waiting
from lockstep.edge.fix.wire import Field, Frame, Framer, Message

TALKING: Final = (State.OPEN, State.LEAVING)


class Side:
    """What a session has to know, and what it can say. It decides nothing."""

    def __init__(self, profile: Profile, now_ns: int) -> None:
        self.state = State.GREETING
        self.numbers = Numbers()
        self.is_known = False
        """Whether `numbers` are the session's. Before, whoever keeps them gives them to messages."""
        self.garbled = self.rejected = self.rejects = 0
        """Messages that could not be read; that were rejected; rejects of the other side."""
        self._profile = profile
        self._peer = profile.peer
        self._framer = Framer()
        self._ahead: list[Frame] = []
        """What came while the Logon was looked at."""
        self._logon: Message | None = None
        self._waiting = Waiting(profile.hold, profile.hold_bytes)
        self._resend = Resend(0)
        self._out = Outbox(profile)
        self._pulse = Pulse(now_ns)
        self._now_ns = self._since_ns = now_ns
        self._at_fault = False
        """It has said that it can't go on: nothing but a Logout matters any more."""

    @property
    def peer(self) -> bytes:
        """CompID of the other side; empty until it is known."""
        return self._peer

    @property
    def is_over(self) -> bool:
        """Whether the connection has come to its end."""
        return self.state is State.OVER

    @property
    def waiting(self) -> int:
        """Messages that wait for missing ones."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """Messages that found no room among those that wait."""
        return self._waiting.dropped

    @property
    def deadline_ns(self) -> int | None:
        """When a `Ticked` may have an effect, if nothing happens before; None if it is over."""
        match self.state:
            case State.OVER:
                return None
            case State.GREETING | State.LOGGING_ON:
                return self._since_ns + GREETING_NS
            case State.CHECKING:
                return self._since_ns + CHECKING_NS
            case State.LEAVING:
                return self._since_ns + LOGOUT_NS
        period = self._profile.schedule.period(self._now_ns)
        ends = [period.ends_ns] if period is not None and period.ends_ns else []
        due_ns = self._pulse.next_ns(gap=self._has_gap)
        return min([*ends, due_ns] if due_ns is not None else ends, default=self._now_ns + GAP_NS)

    @property
    def _has_gap(self) -> bool:
        """Whether messages were requested that have not come."""
        return self.numbers.next_in < self.numbers.wanted

    def _say(self, kind: bytes, fields: tuple[Field, ...]) -> None:
        number = self.numbers.next_out
        self.numbers = self.numbers.after_one_more()
        self._out.say(kind, fields, self._peer, number, self._now_ns)

    def _request(self, *, first: bool) -> None:
        """Ask for all that is missing, without an end: what came before its turn may have found no room."""
        self._pulse.requested(self._now_ns, first=first)
        self._say(tags.RESEND_REQUEST, ((tags.BEGIN_SEQ_NO, b"%d" % self.numbers.next_in), (tags.END_SEQ_NO, b"0")))

    def _advance(self, to: int = 0) -> None:
        self._pulse.progress(self._now_ns)
        begin = self.numbers.next_in
        self.numbers = replace(self.numbers, next_in=to or begin + 1)
        self._waiting.forget(begin, self.numbers.next_in)

    def _reject(self, message: Message, fault: Fault, seq: int) -> None:
        if seq == self.numbers.next_in:
            self._advance()
        self._say_reject(message, fault, seq)

    def _say_reject(self, message: Message, fault: Fault, seq: int) -> None:
        self.rejected += 1
        self._say(tags.REJECT, self._out.reject_fields(message, fault, seq))

    def _logout(self, text: str) -> None:
        """Say that it can't go on, and wait for the answer."""
        if self._at_fault:
            return
        if self.state is State.OPEN:
            self._move(Befell.FAULT)
            self._since_ns = self._now_ns
            self._say(tags.LOGOUT, text_field(text))
            self._out.why.append(text or "it can't go on after what was rejected")
        self._at_fault = True

    def _leave(self, text: str) -> None:
        if self.state is State.OPEN:
            self._move(Befell.LEAVE)
            self._since_ns = self._now_ns
            self._say(tags.LOGOUT, text_field(text))
        elif self.state is not State.LEAVING:
            self._end(Befell.ENDED, text)

    def _end(self, befell: Befell, why: str) -> None:
        self._move(befell)
        self._out.close = True
        self._out.why.append(why)

    def _move(self, befell: Befell) -> None:
        self.state = MOVES[self.state, befell]
        self._since_ns = self._now_ns
