"""The states of a trading session, what moves it from one to the next, and where to: the whole table.

The diagram in `clients/DESIGN.md` is drawn from it.
"""

from enum import Enum
from typing import Final


class State(Enum):
    """Where the session stands."""

    NEW = "new"
    WAITING = "waiting"
    """Between two connections, for the length of a pause."""
    CONNECTING = "connecting"
    """Hello is said, and Welcome has not come."""
    OPEN = "open"
    FAILED = "failed"
    CLOSED = "closed"


class Occasion(Enum):
    """What moves it."""

    OPENED = "opened by its owner"
    PAUSE_OVER = "the pause is over"
    WELCOMED = "Welcome"
    NO_WELCOME = "no Welcome in time"
    STREAM_ENDED = "the stream ended"
    REFUSED_FOR_NOW = "refused for now"
    NUMBERING_LOST = "the gateway misses numbers, again and again"
    STALE_EPOCH = "a report of a lower epoch"
    REFUSED_FOR_GOOD = "refused for good"
    FATAL_END = "the stream ended for good"
    FOREIGN_NUMBERS = "numbers that were never given here"
    CLOSED = "closed by its owner"


TRANSITIONS: Final[dict[tuple[State, Occasion], State]] = {
    (State.NEW, Occasion.OPENED): State.WAITING,
    (State.WAITING, Occasion.PAUSE_OVER): State.CONNECTING,
    (State.CONNECTING, Occasion.WELCOMED): State.OPEN,
    (State.CONNECTING, Occasion.NO_WELCOME): State.WAITING,
    (State.CONNECTING, Occasion.STREAM_ENDED): State.WAITING,
    (State.CONNECTING, Occasion.REFUSED_FOR_NOW): State.WAITING,
    (State.CONNECTING, Occasion.STALE_EPOCH): State.WAITING,
    (State.OPEN, Occasion.STREAM_ENDED): State.WAITING,
    (State.OPEN, Occasion.REFUSED_FOR_NOW): State.WAITING,
    (State.OPEN, Occasion.NUMBERING_LOST): State.WAITING,
    (State.OPEN, Occasion.STALE_EPOCH): State.WAITING,
    (State.CONNECTING, Occasion.REFUSED_FOR_GOOD): State.FAILED,
    (State.CONNECTING, Occasion.FATAL_END): State.FAILED,
    (State.CONNECTING, Occasion.FOREIGN_NUMBERS): State.FAILED,
    (State.OPEN, Occasion.REFUSED_FOR_GOOD): State.FAILED,
    (State.OPEN, Occasion.FATAL_END): State.FAILED,
    (State.OPEN, Occasion.FOREIGN_NUMBERS): State.FAILED,
    (State.NEW, Occasion.CLOSED): State.CLOSED,
    (State.WAITING, Occasion.CLOSED): State.CLOSED,
    (State.CONNECTING, Occasion.CLOSED): State.CLOSED,
    (State.OPEN, Occasion.CLOSED): State.CLOSED,
}
"""Anything else is an error of the machine. FAILED and CLOSED are for good."""
