"""A stream that takes a session up: which earlier reports it owes its client, and when live ones may go out. Pure.

The boundary is taken when the stream takes the session, in the same step of the gateway's machine, and never moves:
every report up to it is fetched from the engines, every report behind it is live and waits. So no report can be both,
and none can be neither.

Its states are the fourth table of `states.py`. An answer that was not asked for stops the process.

Commands of the stream are taken from FETCH or LIVE on: not while it is open whether its client lives in the same
history, nor while a session counts as new because it has given none.
"""

from typing import Final

from lockstep.gateway.states import RESUMINGS, Owed, after
from lockstep.gateway.states import Resuming as State
from lockstep.stream.codes import Code
from lockstep.stream.values import frozen

EventId = tuple[int, int]
"""(seq, index)"""
LAST_INDEX: Final = 2**32 - 1
"""Behind every event of its seq."""
RETRY_PAUSE_NS: Final = 50_000_000
LOOK_AGAIN_NS: Final = 10_000_000
PATIENCE_NS: Final = 3_000_000_000
"""How long nothing may be had before the stream ends; its client comes again."""


# ---- what is asked, of an engine that has heard of `min_epoch` ---------------------------------------------------


@frozen
class AskWhetherLost:
    """Is what was delivered up to `delivered_seq` under `delivered_epoch` still history? Answered by `Compared`."""

    delivered_epoch: int
    delivered_seq: int
    min_epoch: int


@frozen
class AskLastNumber:
    """The session's last executed number. Answered by `Counted`."""

    min_epoch: int


@frozen
class AskEvents:
    """The session's events after an id, up to and including a seq. Answered by `Fetched`, at last `FetchedAll`."""

    after: EventId
    to_seq: int
    min_epoch: int


Ask = AskWhetherLost | AskLastNumber | AskEvents
"""`Failed` answers each of them, if no engine can."""


# ---- what happens ------------------------------------------------------------------------------------------------


@frozen
class Began:
    """The stream is open."""


@frozen
class Ticked:
    """The deadline of the last effects has come."""


@frozen
class Compared:
    """The first seq at which history differs from what the client has received; 0: it does not."""

    diverged_at: int


@frozen
class Counted:
    """The session's last executed number, as of a seq."""

    last_no: int
    seq: int


@frozen
class Fetched:
    """The events up to this one, or up to this seq's end, came, if there were any, and were put into the stream."""

    last: EventId


@frozen
class FetchedAll:
    """There are no more up to the boundary."""


@frozen
class Failed:
    """No engine can answer just now; `gone`: it was cut from every journal, up to before `first_seq` (0: not known)."""

    text: str
    gone: bool = False
    first_seq: int = 0


@frozen
class Drained:
    """Nothing waits for the client any more."""


Event = Began | Ticked | Drained | Compared | Counted | Fetched | FetchedAll | Failed


@frozen
class End:
    """The stream ends. REPORTS_GONE is said as a refusal; UNAVAILABLE asks the client to come again."""

    code: Code
    text: str


@frozen
class Effects:
    """What is to be done, in the order of the fields."""

    end: End | None = None
    take_commands: bool = False
    """From here on the stream's commands are admitted."""
    release: bool = False
    """From here on live reports go out: first those that waited."""
    ask: Ask | None = None
    deadline_ns: int = 0
    """When `Ticked` is due; 0: an answer is awaited, or it is over."""


NOTHING: Final = Effects()

_AWAITED: Final[dict[State, tuple[type[Event], ...]]] = {
    State.NEW: (Began,),
    State.DOUBT: (Compared, Failed, Ticked),
    State.BEHIND: (Ticked,),
    State.PAST: (Counted, Failed, Ticked),
    State.FETCH: (Fetched, FetchedAll, Failed, Ticked),
    State.FULL: (Drained,),
}
"""What may happen in a state that is not the last."""


class Resumption:
    """One stream's way from its Hello to live reports. See the module.

    Invariant: `seen <= after`; `boundary` never changes; once LIVE or ENDED nothing is asked any more.
    """

    def __init__(self, boundary: int, *, seen: EventId = (0, 0), delivered_epoch: int = 0) -> None:
        """`boundary`: last seq delivered when the stream took the session. `seen`, `delivered_epoch`: of its Hello."""
        self.boundary = boundary
        self.seen = seen
        """The last event that the client knows: it receives later ones only, wherever they come from."""
        self.after = seen
        """The last event fetched."""
        self.state = State.NEW
        self.takes_commands = False
        self.delivered_epoch = delivered_epoch
        """The epoch under which `seen` was reported, as far as is known; 0: not known."""
        self._give_up_ns = 0

    @property
    def over(self) -> bool:
        """Nothing is left to do."""
        return self.state in (State.LIVE, State.ENDED)

    @property
    def waits_for_room(self) -> bool:
        """`Drained` is awaited."""
        return self.state is State.FULL

    def wait_for_room(self) -> None:
        """Too many of the events that were fetched wait for the client: the search was broken off."""
        self._move(Owed.ROOM)

    def step(self, event: Event, now_ns: int, *, epoch: int, delivered_seq: int) -> Effects:
        """Take one event. `epoch`, `delivered_seq`: where the gateway stands at the moment."""
        if self.over:
            return NOTHING
        assert isinstance(event, _AWAITED[self.state]), f"{event} in {self.state}"
        match event:
            case Failed():
                return self._on_failed(event, now_ns)
            case Compared() if event.diverged_at:
                return self._end(
                    Owed.VOID,
                    Code.REPORTS_GONE,
                    f"what was delivered from seq {event.diverged_at} on is void: an operator had to let the cluster "
                    f"go on without it (epoch {epoch})",
                )
            case Fetched():
                self.after = max(self.after, event.last)
                self._give_up_ns = now_ns + PATIENCE_NS
                return NOTHING
            case FetchedAll():
                return self._go_live(Owed.FETCHED)
            case Counted() if not event.last_no and event.seq >= self.boundary:
                return self._go_live(Owed.NO_PAST)
            case Counted():
                self.takes_commands = True
            case Compared():
                self.delivered_epoch = epoch
            case Began():
                self._give_up_ns = now_ns + PATIENCE_NS
            case Ticked():
                pass
            case Drained():
                self._give_up_ns = now_ns + PATIENCE_NS
        return self._go_on(now_ns, epoch, delivered_seq)

    def _go_on(self, now_ns: int, epoch: int, delivered_seq: int) -> Effects:
        """The first thing that still stands between the client and its live reports."""
        if self.seen[0] and 0 < self.delivered_epoch < epoch:
            # Delivered under a lower epoch: what the client has seen may have been discarded since (rule 7).
            self._move(Owed.CERTAINTY)
            return Effects(ask=AskWhetherLost(self.delivered_epoch, self.seen[0], epoch))
        if self.seen[0] > delivered_seq or self.delivered_epoch > epoch:
            return self._wait_behind(now_ns, epoch, delivered_seq)
        if not self.boundary or self.after >= (self.boundary, LAST_INDEX):
            return self._go_live(Owed.NOTHING)
        if self.after == (0, 0) and not self.takes_commands:
            self._move(Owed.A_COUNT)
            return Effects(ask=AskLastNumber(epoch))
        self._move(Owed.REPORTS)
        return Effects(take_commands=self._open(), ask=AskEvents(self.after, self.boundary, epoch))

    def _wait_behind(self, now_ns: int, epoch: int, delivered_seq: int) -> Effects:
        self._move(Owed.OUR_OWN)
        if now_ns >= self._give_up_ns:
            return self._end(
                Owed.TOO_LONG,
                Code.UNAVAILABLE,
                f"this gateway has delivered seq {delivered_seq} of epoch {epoch}, its client has seen seq "
                f"{self.seen[0]} of epoch {self.delivered_epoch}: it is behind, try another one or come again",
            )
        return Effects(deadline_ns=now_ns + LOOK_AGAIN_NS)

    def _on_failed(self, failed: Failed, now_ns: int) -> Effects:
        if now_ns >= self._give_up_ns and failed.gone:
            first = failed.first_seq
            return self._end(
                Owed.NO_ANSWER,
                Code.REPORTS_GONE,
                f"the reports after seq {self.after[0]} were cut from every engine's journal, the oldest that are kept "
                f"are of seq {first}: what happened to this session before seq {first} can't be reported any more",
            )
        if now_ns >= self._give_up_ns:
            return self._end(Owed.NO_ANSWER, Code.UNAVAILABLE, f"earlier reports can't be fetched now: {failed.text}")
        # In the middle of a failover the engine that is left may not know yet what is committed.
        return Effects(take_commands=self.state is State.PAST and self._open(), deadline_ns=now_ns + RETRY_PAUSE_NS)

    def _open(self) -> bool:
        self.takes_commands = True
        return True

    def _go_live(self, owed: Owed) -> Effects:
        self._move(owed)
        return Effects(take_commands=self._open(), release=True)

    def _end(self, owed: Owed, code: Code, text: str) -> Effects:
        self._move(owed)
        return Effects(end=End(code, text))

    def _move(self, owed: Owed) -> None:
        self.state = after(RESUMINGS, self.state, owed)
