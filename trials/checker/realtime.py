"""Real-time order: the stream is one total order that agrees with what clients could observe.

A command takes effect at its place in the stream. If its client had the answer before another command was given, by
anybody, it has to stand before that one. A command without an answer may have taken effect at any later time, or
never: it bounds nothing by its end, but others' ends bound where it may stand.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.trials.checker.history import SessionHistory
from lockstep.trials.checker.model import Model, no_outcome
from lockstep.trials.checker.promises import Promise, Violation

_NEVER: Final = np.iinfo(np.int64).max


def check_real_time(histories: Sequence[SessionHistory], model: Model) -> list[Violation]:
    """Commands that stand in the stream before one that was answered before they were given."""
    given = np.zeros(len(model.commands), dtype=np.int64)
    answered = np.full(len(model.commands), _NEVER, dtype=np.int64)
    for history in histories:
        places = _places(history, model)
        known = np.isin(history.sent["session_no"], list(places))
        rows = history.sent[known]
        at = np.array([places[number] for number in rows["session_no"].tolist()], dtype=np.int64)
        given[at] = rows["sent_ns"]
        numbers, heard = _first_heard(history)
        timely = [(places[number], time) for number, time in zip(numbers, heard, strict=True) if number in places]
        if timely:
            where, when = np.array(timely, dtype=np.int64).T
            answered[where] = when
    return _crossings(given, answered)


def _places(history: SessionHistory, model: Model) -> dict[int, int]:
    """Position in the stream of each executed number of a session."""
    own = np.flatnonzero((model.commands["session_id"] == history.session_id) & model.executed)
    return dict(zip(model.commands["session_no"][own].tolist(), own.tolist(), strict=True))


def _first_heard(history: SessionHistory) -> tuple[list[int], list[int]]:
    seen = history.seen
    rows = seen[(seen["leg"] == 0) & (seen["session_no"] > 0) & ~no_outcome(seen)]
    numbers, first = np.unique(rows["session_no"], return_index=True)
    return numbers.tolist(), rows["heard_ns"][first].tolist()


def _crossings(given: NDArray[np.int64], answered: NDArray[np.int64]) -> list[Violation]:
    if len(given) < 2:
        return []
    # The earliest answer to anything that stands behind: whoever was given after that stands too early.
    earliest_behind = np.minimum.accumulate(answered[::-1])[::-1]
    early = np.flatnonzero(given[:-1] > earliest_behind[1:])
    if not len(early):
        return []
    shown = ", ".join(str(place + 1) for place in early[:3].tolist())
    text = f"given after a later one of the stream had been answered: seq {shown}"
    return [Violation(Promise.LINEARIZABLE, len(early), text)]
