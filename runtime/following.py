"""The states of whoever follows the released events, a gateway or a feed, as a table; and how such tables are read.

The diagram is drawn from it in the gateway's `DESIGN.md`.
"""

from enum import Enum
from typing import Final


class Following(Enum):
    """The way back: whether what comes continues what was delivered."""

    IN_STEP = "in step"
    FETCHING = "fetching"
    """What is missing, or doubtful, is asked of an engine."""
    PAUSING = "pausing"
    """Before the same is asked again."""
    LEFT_BEHIND = "left behind"
    """This life ends; the next one begins at what is committed then."""


class Came(Enum):
    """What moves it."""

    GAP = "a release leaves something out"
    OTHER_HISTORY = "a release of another history, it seems"
    FETCHED = "fetched"
    NOT_NOW = "nobody can say now"
    LOST = "cut from every journal, or discarded by the cluster"
    PAUSE_OVER = "the pause is over"


FOLLOWINGS: Final[dict[tuple[Following, Came], Following]] = {
    (Following.IN_STEP, Came.GAP): Following.FETCHING,
    (Following.IN_STEP, Came.OTHER_HISTORY): Following.FETCHING,
    (Following.FETCHING, Came.FETCHED): Following.IN_STEP,
    (Following.FETCHING, Came.NOT_NOW): Following.PAUSING,
    (Following.FETCHING, Came.LOST): Following.LEFT_BEHIND,
    (Following.PAUSING, Came.PAUSE_OVER): Following.IN_STEP,
}
"""Whether something is missing still shows with the next release, at the latest an empty one."""


def after[S: Enum, E: Enum](table: dict[tuple[S, E], S], state: S, occasion: E) -> S:
    """The state behind an occasion.

    Raises:
        AssertionError: the table has no such row.
    """
    if (state, occasion) not in table:
        raise AssertionError(f"{occasion.value}, in state {state.value}")
    return table[state, occasion]
