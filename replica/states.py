"""The states of a replica's log, what moves it from one to the next, and where to: the whole table.

The diagram in `DESIGN.md` is drawn from it. The role (learner, standby, primary) is no state of its own: it follows
from this one and from what the executed stream says (`ReplicaState.role`).
"""

from enum import Enum
from typing import Final


class State(Enum):
    """What is known of the own log."""

    COMPARING = "comparing"
    """Nothing shows yet that the log is the leader's: it catches up, and neither acks nor releases."""
    LIVE = "live"
    """The log provably is what the leader has."""
    SPENT = "spent"
    """A tail is cut off, or a snapshot takes the log's place: a new machine is restored from the disk."""
    DIVERGED = "diverged"
    """It has stopped for good, and waits for an operator."""


class Occasion(Enum):
    """What moves it."""

    ALONE = "it was alone in sync"
    FENCED = "fenced"
    STREAM_CONTINUES = "the stream continues the log"
    STREAM_ENDS_HERE = "the stream ends where the log does"
    CAUGHT_UP = "caught up with a peer in sync"
    STREAM_CONFLICTS = "the stream conflicts with the log"
    CUT_ELSEWHERE = "what follows was cut from the journals"
    CONTRADICTED = "contradicted, and not required"
    TAIL_DIVERGES = "the tail is not the peers'"
    SNAPSHOT_CAME = "a peer's snapshot came"
    OUTVOTED = "contradicted by half of the set"
    COMMITTED_LOST = "the peers lack what is committed here"


TRANSITIONS: Final[dict[tuple[State, Occasion], State]] = {
    (State.COMPARING, Occasion.ALONE): State.LIVE,
    (State.COMPARING, Occasion.FENCED): State.LIVE,
    (State.COMPARING, Occasion.STREAM_CONTINUES): State.LIVE,
    (State.COMPARING, Occasion.STREAM_ENDS_HERE): State.LIVE,
    (State.COMPARING, Occasion.CAUGHT_UP): State.LIVE,
    (State.LIVE, Occasion.STREAM_CONFLICTS): State.COMPARING,
    (State.LIVE, Occasion.CUT_ELSEWHERE): State.COMPARING,
    (State.LIVE, Occasion.CONTRADICTED): State.COMPARING,
    (State.COMPARING, Occasion.TAIL_DIVERGES): State.SPENT,
    (State.LIVE, Occasion.TAIL_DIVERGES): State.SPENT,
    (State.COMPARING, Occasion.SNAPSHOT_CAME): State.SPENT,
    (State.COMPARING, Occasion.OUTVOTED): State.DIVERGED,
    (State.LIVE, Occasion.OUTVOTED): State.DIVERGED,
    (State.COMPARING, Occasion.COMMITTED_LOST): State.DIVERGED,
    (State.LIVE, Occasion.COMMITTED_LOST): State.DIVERGED,
}
"""Anything else is a broken invariant."""
