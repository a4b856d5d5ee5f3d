"""One call that gives one command, from its arrival to its outcome. Pure.

A call with a key names its session and number, and may be made again with the same key, anywhere, until it is answered:
the command is executed once. A call without one gets the next number of a session of the gateway's own. Its states are
the fifth table of `states.py`; what happens in a state that does not wait for it stops the process.
"""

from typing import Final

from lockstep.gateway.sessions import Refused, Session
from lockstep.gateway.states import CALLINGS, Befell, after
from lockstep.gateway.states import Calling as State
from lockstep.stream.codes import Code
from lockstep.stream.values import frozen

ANSWER_PATIENCE_NS: Final = 5_000_000_000
GAP_PATIENCE_NS: Final = 1_000_000_000
"""For the numbers below: since one of the session was admitted, or another call of it came."""
LOOK_NS: Final = 100_000_000
"""After so long without anything of the session an engine is asked: what is known of it here may be of a former life,
whose last entries died with the host."""
_MOST_SUBMITS: Final = 3
_RETRY_MS: Final = 50


# ---- what happens ------------------------------------------------------------------------------------------------


@frozen
class Began:
    """It is this call's turn."""


@frozen
class Learnt:
    """The session is known here now."""


@frozen
class TurnedAway:
    """It can't go on: `text` says why, to its client."""

    refused: Refused
    text: str


@frozen
class Answered:
    """The number that was awaited has been answered; `original`: by pointing to an outcome of before (0: forgotten).

    Not `own`: the answer is that of another command, which somebody brought in under this number.
    """

    original: int | None = None
    own: bool = True


@frozen
class Found:
    """The outcome of before was found, or is nowhere to be had any more."""


@frozen
class Ticked:
    """The deadline of the last effects has come, or in TURN: the session has gone on.

    `came_ns`: when another call of the session came last that is still early; 0: none since.
    """

    came_ns: int = 0


Event = Began | Learnt | TurnedAway | Answered | Found | Ticked


# ---- what is to be done ------------------------------------------------------------------------------------------


@frozen
class Effects:
    """One of these, and when `Ticked` is due (0: it is not awaited)."""

    await_turn: bool = False
    """Have `Ticked` come as soon as the session has come to this number."""
    ask_session: bool = False
    """Ask an engine how far the session has come; answered by `Learnt`."""
    await_no: int = 0
    """Wait for the answer to this number, which is under way; answered by `Answered`."""
    submit_no: int = 0
    """Take the command in under this number, and wait for the answer; answered by `TurnedAway` or `Answered`."""
    ask_outcome: int = 0
    """Fetch what came of the command at this seq; answered by `Found`."""
    succeeds: bool = False
    """The client gets what came of it."""
    fails: TurnedAway | None = None
    deadline_ns: int = 0


_AWAITED: Final[dict[State, tuple[type[Event], ...]]] = {
    State.NEW: (Began,),
    State.LEARN: (Learnt,),
    State.TURN: (Ticked,),
    State.UNDER_WAY: (Answered, Ticked),
    State.SENT: (Answered, Ticked),
    State.OUTCOME: (Found,),
}
"""What may happen in a state, beside `TurnedAway`."""


class SingleCall:
    """See the module. Invariant: whatever is submitted again has the same number and content, so is executed once."""

    def __init__(self, number: int) -> None:
        """`number`: of its key; 0: it has none."""
        self.number = number
        """Under which the command is, or will be, admitted; 0: not known yet."""
        self.state = State.NEW
        self._keyed = number != 0
        self._stands_ns = 0
        """Since when the session stands at `_expected`."""
        self._expected = 0
        """The session's next number when it was looked at last."""
        self._asked = False
        """An engine has said that this was so."""
        self._submits = 0

    @property
    def over(self) -> bool:
        """Its client has its answer."""
        return self.state is State.OVER

    def step(self, event: Event, now_ns: int, session: Session | None) -> Effects:
        """Take one event. `session`: that of the command, as it is known at the moment; None: it is not."""
        assert isinstance(event, (TurnedAway, *_AWAITED.get(self.state, ()))), f"{event} in {self.state}"
        match event:
            case TurnedAway():
                return self._fail(event)
            case Began() if session is None:
                self._move(Befell.UNKNOWN)
                self._asked = True
                return Effects(ask_session=True)
            case Answered() if self.state is State.SENT and not event.own:
                # Only the engine can say that the number stands for another command.
                self._move(Befell.OTHERS)
                return self._submit(now_ns)
            case Answered() if self.state is State.SENT:
                if not event.original:
                    return self._succeed(Befell.ANSWERED)
                self._move(Befell.DUPLICATE)
                return Effects(ask_outcome=event.original)
            case Found():
                return self._succeed(Befell.FOUND)
            case Ticked() if self.state is not State.TURN:
                waited = f"not answered within {ANSWER_PATIENCE_NS / 1e9:.0f} s"
                text = f"{waited}; ask again with the same key, it executes once"
                return self._fail(TurnedAway(Refused(self.number, Code.UNAVAILABLE, _RETRY_MS), text))
            case Began() | Learnt() | Answered() | Ticked():
                pass
        return self._go_on(session, now_ns, event.came_ns if isinstance(event, Ticked) else 0)

    def _go_on(self, session: Session | None, now_ns: int, came_ns: int) -> Effects:
        """Take its number, when it is its turn."""
        if session is None:
            text = "too many sessions at once; try again"
            return self._fail(TurnedAway(Refused(0, Code.BUSY, _RETRY_MS), text))
        if self.number > session.expected:
            return self._await_turn(session, now_ns, came_ns)
        if self._keyed and session.answered < self.number < session.expected:
            # What it is answered with is this call's outcome only if it is the same command, and that the engine says
            # when it gets it again.
            self._move(Befell.TAKEN)
            return Effects(await_no=self.number, deadline_ns=now_ns + ANSWER_PATIENCE_NS)
        if not self._keyed:
            self.number = session.expected
        self._move(Befell.NEXT)
        return self._submit(now_ns)

    def _await_turn(self, session: Session, now_ns: int, came_ns: int) -> Effects:
        """Calls of one client may overtake each other on the way: the earlier number has a moment to come."""
        if session.expected != self._expected:
            self._expected, self._stands_ns = session.expected, now_ns
        # While others of the session still come the missing one may be among them, but not for ever.
        since_ns = min(max(self._stands_ns, came_ns), self._stands_ns + ANSWER_PATIENCE_NS - GAP_PATIENCE_NS)
        give_up_ns = since_ns + GAP_PATIENCE_NS
        if now_ns >= give_up_ns:
            text = f"number {self.number} came, {session.expected} is the next of session {session.session_id}"
            return self._fail(TurnedAway(Refused(session.expected, Code.SESSION_GAP), text))
        look_ns = self._stands_ns + LOOK_NS
        if not self._asked and now_ns >= look_ns:
            self._asked = True
            self._move(Befell.STALLED)
            return Effects(ask_session=True)
        self._move(Befell.EARLY)
        return Effects(await_turn=True, deadline_ns=give_up_ns if self._asked else look_ns)

    def _submit(self, now_ns: int) -> Effects:
        self._submits += 1
        if self._submits > _MOST_SUBMITS:
            text = "others use this number for other commands at this moment; ask again with the same key"
            return self._fail(TurnedAway(Refused(self.number, Code.UNAVAILABLE, _RETRY_MS), text))
        return Effects(submit_no=self.number, deadline_ns=now_ns + ANSWER_PATIENCE_NS)

    def _succeed(self, befell: Befell) -> Effects:
        self._move(befell)
        return Effects(succeeds=True)

    def _fail(self, why: TurnedAway) -> Effects:
        self._move(Befell.TURNED_AWAY)
        return Effects(fails=why)

    def _move(self, befell: Befell) -> None:
        self.state = after(CALLINGS, self.state, befell)
