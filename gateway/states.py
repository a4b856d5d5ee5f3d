"""The states of a gateway, as tables: its beginning, the way to the sequencer, a stream, a single call.

The way back has its table in `runtime/following.py`. The diagrams in `DESIGN.md` are drawn from all of them. The ways
do not wait for each other: without a leader events are still delivered, and while events are missing commands still
leave.
"""

from enum import Enum
from typing import Final

from lockstep.runtime.following import after as after


class Beginning(Enum):
    """How a life begins: where does the cluster stand, and has it all that was delivered here?"""

    PAUSE = "pause"
    """Engines may come later than this gateway."""
    POLL = "poll"
    """For the newest answer of all engines."""
    COMPARE = "compare"
    """For an engine's word on whether what was delivered is still history."""
    OVER = "over"


class Learnt(Enum):
    """What moves a beginning."""

    TIME = "the time has come"
    NO_ANSWER = "nobody answers, or none with a history"
    SOMETHING_DELIVERED = "something was delivered to clients before"
    IS_HISTORY = "the cluster has what was delivered"
    LACKS = "the cluster lacks some of what was delivered"


BEGINNINGS: Final[dict[tuple[Beginning, Learnt], Beginning]] = {
    (Beginning.PAUSE, Learnt.TIME): Beginning.POLL,
    (Beginning.POLL, Learnt.NO_ANSWER): Beginning.PAUSE,
    (Beginning.POLL, Learnt.SOMETHING_DELIVERED): Beginning.COMPARE,
    (Beginning.POLL, Learnt.IS_HISTORY): Beginning.OVER,
    (Beginning.POLL, Learnt.LACKS): Beginning.PAUSE,
    (Beginning.COMPARE, Learnt.NO_ANSWER): Beginning.PAUSE,
    (Beginning.COMPARE, Learnt.IS_HISTORY): Beginning.OVER,
    (Beginning.COMPARE, Learnt.LACKS): Beginning.PAUSE,
}


class Office(Enum):
    """The way there: whether a sequencer is known that takes commands."""

    VACANT = "vacant"
    HELD = "held"


class Heard(Enum):
    """What moves it."""

    NEW_REIGN = "open, a higher reign"
    OPEN_AGAIN = "open, the same reign"
    CLOSED = "its sequencer says that it is closed"
    DISOWNED = "its sequencer stands by no such reign"


OFFICES: Final[dict[tuple[Office, Heard], Office]] = {
    (Office.VACANT, Heard.NEW_REIGN): Office.HELD,
    (Office.VACANT, Heard.OPEN_AGAIN): Office.HELD,
    (Office.HELD, Heard.NEW_REIGN): Office.HELD,
    (Office.HELD, Heard.CLOSED): Office.VACANT,
    (Office.HELD, Heard.DISOWNED): Office.VACANT,
}


class Resuming(Enum):
    """A stream's way from its Hello to live reports."""

    NEW = "new"
    DOUBT = "doubt"
    """For an engine's word on whether what the client has received is still history."""
    BEHIND = "behind"
    """For this gateway's delivery of what the client has received elsewhere."""
    PAST = "past"
    """For an engine's word on whether the session has executed anything."""
    FETCH = "fetch"
    """For the events after the last one seen, up to the boundary."""
    FULL = "full"
    """For the client to take what waits for it."""
    LIVE = "live"
    ENDED = "ended"


class Owed(Enum):
    """What moves it: what stands between the client and its live reports, or does no longer."""

    CERTAINTY = "delivered under a lower epoch, so it may have been discarded"
    OUR_OWN = "the client has received more than was delivered here"
    A_COUNT = "nothing was seen: has it a past?"
    REPORTS = "earlier reports"
    NOTHING = "nothing, it knows all"
    NO_PAST = "the session has executed nothing"
    FETCHED = "all was fetched"
    ROOM = "too many reports wait for the client"
    VOID = "what it received was discarded"
    NO_ANSWER = "nobody can answer, for too long"
    TOO_LONG = "this gateway stays behind"


RESUMINGS: Final[dict[tuple[Resuming, Owed], Resuming]] = {
    (Resuming.NEW, Owed.CERTAINTY): Resuming.DOUBT,
    (Resuming.NEW, Owed.OUR_OWN): Resuming.BEHIND,
    (Resuming.NEW, Owed.A_COUNT): Resuming.PAST,
    (Resuming.NEW, Owed.REPORTS): Resuming.FETCH,
    (Resuming.NEW, Owed.NOTHING): Resuming.LIVE,
    (Resuming.DOUBT, Owed.CERTAINTY): Resuming.DOUBT,
    (Resuming.DOUBT, Owed.OUR_OWN): Resuming.BEHIND,
    (Resuming.DOUBT, Owed.REPORTS): Resuming.FETCH,
    (Resuming.DOUBT, Owed.NOTHING): Resuming.LIVE,
    (Resuming.DOUBT, Owed.VOID): Resuming.ENDED,
    (Resuming.DOUBT, Owed.NO_ANSWER): Resuming.ENDED,
    (Resuming.BEHIND, Owed.CERTAINTY): Resuming.DOUBT,
    (Resuming.BEHIND, Owed.OUR_OWN): Resuming.BEHIND,
    (Resuming.BEHIND, Owed.A_COUNT): Resuming.PAST,
    (Resuming.BEHIND, Owed.REPORTS): Resuming.FETCH,
    (Resuming.BEHIND, Owed.NOTHING): Resuming.LIVE,
    (Resuming.BEHIND, Owed.TOO_LONG): Resuming.ENDED,
    (Resuming.PAST, Owed.REPORTS): Resuming.FETCH,
    (Resuming.PAST, Owed.NO_PAST): Resuming.LIVE,
    (Resuming.PAST, Owed.NO_ANSWER): Resuming.ENDED,
    (Resuming.FETCH, Owed.CERTAINTY): Resuming.DOUBT,
    (Resuming.FETCH, Owed.REPORTS): Resuming.FETCH,
    (Resuming.FETCH, Owed.NOTHING): Resuming.LIVE,
    (Resuming.FETCH, Owed.FETCHED): Resuming.LIVE,
    (Resuming.FETCH, Owed.ROOM): Resuming.FULL,
    (Resuming.FETCH, Owed.NO_ANSWER): Resuming.ENDED,
    (Resuming.FULL, Owed.CERTAINTY): Resuming.DOUBT,
    (Resuming.FULL, Owed.REPORTS): Resuming.FETCH,
    (Resuming.FULL, Owed.NOTHING): Resuming.LIVE,
}


class Calling(Enum):
    """A single call's way to its outcome."""

    NEW = "new"
    LEARN = "learn"
    """For an engine's word on how far the session has come."""
    TURN = "turn"
    """For the numbers before its own."""
    UNDER_WAY = "under way"
    """For the answer to its number, which somebody brought in before."""
    SENT = "sent"
    """For the answer to what it brought in itself."""
    OUTCOME = "outcome"
    """For the outcome of before that it was pointed to."""
    OVER = "over"


class Befell(Enum):
    """What moves it."""

    UNKNOWN = "the session is not known here"
    EARLY = "an earlier number is missing"
    STALLED = "nothing of the session has come for a while"
    TAKEN = "its number is under way"
    NEXT = "its number is the next, or was used"
    ANSWERED = "answered"
    OTHERS = "what was answered is another command of its number"
    DUPLICATE = "it was executed before"
    FOUND = "found, or nowhere to be had"
    TURNED_AWAY = "turned away, or not in time"


CALLINGS: Final[dict[tuple[Calling, Befell], Calling]] = {
    (Calling.NEW, Befell.UNKNOWN): Calling.LEARN,
    (Calling.NEW, Befell.EARLY): Calling.TURN,
    (Calling.NEW, Befell.TAKEN): Calling.UNDER_WAY,
    (Calling.NEW, Befell.NEXT): Calling.SENT,
    (Calling.NEW, Befell.TURNED_AWAY): Calling.OVER,
    (Calling.LEARN, Befell.EARLY): Calling.TURN,
    (Calling.LEARN, Befell.TAKEN): Calling.UNDER_WAY,
    (Calling.LEARN, Befell.NEXT): Calling.SENT,
    (Calling.LEARN, Befell.TURNED_AWAY): Calling.OVER,
    (Calling.TURN, Befell.EARLY): Calling.TURN,
    (Calling.TURN, Befell.TAKEN): Calling.UNDER_WAY,
    (Calling.TURN, Befell.NEXT): Calling.SENT,
    (Calling.TURN, Befell.TURNED_AWAY): Calling.OVER,
    (Calling.TURN, Befell.STALLED): Calling.LEARN,
    (Calling.UNDER_WAY, Befell.NEXT): Calling.SENT,
    (Calling.UNDER_WAY, Befell.TURNED_AWAY): Calling.OVER,
    (Calling.SENT, Befell.ANSWERED): Calling.OVER,
    (Calling.SENT, Befell.OTHERS): Calling.SENT,
    (Calling.SENT, Befell.DUPLICATE): Calling.OUTCOME,
    (Calling.SENT, Befell.TURNED_AWAY): Calling.OVER,
    (Calling.OUTCOME, Befell.FOUND): Calling.OVER,
    (Calling.OUTCOME, Befell.TURNED_AWAY): Calling.OVER,
}
