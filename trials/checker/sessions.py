"""What was promised to each client: nothing lost, nothing twice, all in order, and all of it true."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lockstep.rows import COMMAND_DTYPES
from lockstep.stream.records import CommandKind, EventKind, Events
from lockstep.trials.checker.history import ReportRows, SessionHistory, report_part
from lockstep.trials.checker.model import Model, no_outcome, plain, reports_for
from lockstep.trials.checker.promises import Promise, Violation

_ID: Final = ["seq", "index", "leg"]
_SHOWN: Final = 3


def check_session(history: SessionHistory, model: Model) -> list[Violation]:
    """Everything that one session was promised, but for what concerns several of them."""
    expected = reports_for(history.session_id, model.events)
    seen = report_part(history.seen)
    seen = plain(seen[~no_outcome(seen)])
    checks = (
        *_check_commands(history, model, seen),
        *_check_rows(history, expected, seen),
        *_check_order(history, seen),
    )
    name = f"session {history.session_id:#x}"
    return [Violation(v.promise, v.count, f"{name}: {v.text}") for v in checks]


def acknowledged(history: SessionHistory) -> NDArray[np.uint64]:
    """Numbers that the client has an outcome of, ascending."""
    seen = history.seen
    outcome = (seen["leg"] == 0) & (seen["session_no"] > 0) & ~no_outcome(seen)
    return np.unique(seen["session_no"][outcome])


def _check_commands(history: SessionHistory, model: Model, seen: ReportRows) -> list[Violation]:
    own = np.flatnonzero((model.commands["session_id"] == history.session_id) & model.executed)
    numbers = model.commands["session_no"][own]
    known = acknowledged(history)
    answers = seen[(seen["leg"] == 0) & (seen["session_no"] > 0)]
    found = [
        _if_any(Promise.NO_ORDER_LOST, np.setdiff1d(known, numbers), "acknowledged, and not executed: number"),
        _if_any(Promise.NO_ORDER_DOUBLED, _repeated(numbers), "executed at two places of the stream: number"),
        _if_any(Promise.NO_ORDER_DOUBLED, _answered_twice(answers), "answered at two places of the stream: number"),
        _if_any(
            Promise.NO_ORDER_ALTERED, np.setdiff1d(numbers, history.sent["session_no"]), "executed, never given: number"
        ),
        _if_any(Promise.NO_ORDER_ALTERED, _altered(history, model, own), "executed with other contents: number"),
        _if_any(Promise.SESSION_ORDER, _overtaken(answers), "answered behind a later one: number"),
    ]
    if history.complete:
        unanswered = np.setdiff1d(history.sent["session_no"], known)
        found.append(_if_any(Promise.ALL_ANSWERED, unanswered, "never answered: number"))
    return [violation for violation in found if violation is not None]


def _repeated(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values, times = np.unique(numbers, return_counts=True)
    return values[times > 1]


def _answered_twice(answers: ReportRows) -> NDArray[np.uint64]:
    return _repeated(np.unique(answers[["session_no", "seq"]])["session_no"])


def _overtaken(rows: NDArray[np.void]) -> NDArray[np.uint64]:
    """Numbers of one session whose outcome stands behind that of a higher one."""
    numbers = rows["session_no"][np.argsort(rows["seq"], kind="stable")]
    return np.unique(numbers[1:][numbers[1:] < np.maximum.accumulate(numbers)[:-1]])


def _altered(history: SessionHistory, model: Model, own: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Numbers whose journaled command differs from what was given. A gateway may refuse one, but not change it."""
    rows = model.commands[own]
    rows = rows[(rows["kind"] != CommandKind.REFUSED) & (rows["kind"] < CommandKind.DEFINE_INSTRUMENT)]
    given, journaled = _paired(history, rows)
    differs = np.zeros(len(given), dtype=bool)
    for name in COMMAND_DTYPES:
        differs |= given[name] != journaled[name]
    return np.unique(given["session_no"][differs])


def _paired(history: SessionHistory, rows: NDArray[np.void]) -> tuple[NDArray[np.void], NDArray[np.void]]:
    _, first, second = np.intersect1d(history.sent["session_no"], rows["session_no"], return_indices=True)
    return history.sent[first], rows[second]


def _check_rows(history: SessionHistory, expected: ReportRows, seen: ReportRows) -> list[Violation]:
    """Rows against the specification: ids first, then what the rows of both sides say."""
    ids, wanted = seen[_ID], expected[_ID]
    if not history.complete:
        last = max((row.item() for row in ids), default=(0, 0, 0))
        wanted = wanted[[row.item() <= last for row in wanted]]
    distinct, place = np.unique(ids, return_index=True)
    common, mine, theirs = np.intersect1d(distinct, expected[_ID], return_indices=True)
    found = [
        _if_any(Promise.NO_REPORT_LOST, np.setdiff1d(wanted, distinct), "never heard: (seq, index, leg)"),
        _if_any(Promise.NO_REPORT_DOUBLED, _more_than_once(ids), "heard more than once: (seq, index, leg)"),
        _if_any(Promise.REPORTS_TRUE, np.setdiff1d(distinct, expected[_ID]), "happened nowhere: (seq, index, leg)"),
        _if_any(
            Promise.REPORTS_TRUE,
            common[seen[place[mine]] != expected[theirs]],
            "says something else than the specification: (seq, index, leg)",
        ),
    ]
    return [violation for violation in found if violation is not None]


def _more_than_once(ids: NDArray[np.void]) -> NDArray[np.void]:
    values, times = np.unique(ids, return_counts=True)
    return values[times > 1]


def _check_order(history: SessionHistory, seen: ReportRows) -> list[Violation]:
    before, after = seen[:-1], seen[1:]
    falls = after["seq"] < before["seq"]
    same = after["seq"] == before["seq"]
    falls |= same & (after["index"] < before["index"])
    falls |= same & (after["index"] == before["index"]) & (after["leg"] < before["leg"])
    epochs = history.seen["epoch"]
    found = (
        _if_any(Promise.REPORTS_IN_ORDER, after[falls][_ID], "heard after a later one: (seq, index, leg)"),
        _if_any(Promise.REPORTS_IN_ORDER, epochs[1:][epochs[1:] < epochs[:-1]], "heard after a later epoch: epoch"),
    )
    return [violation for violation in found if violation is not None]


def check_executions(events: Events, whose: str) -> list[Violation]:
    """Each session's numbers have one outcome each, in their order, in anybody's account of the events."""
    own = events[(events["session_no"] > 0) & (events["kind"] < EventKind.EPOCH_STARTED) & ~no_outcome(events)]
    places = np.unique(own[["session_id", "session_no", "seq"]])
    repeated = _more_than_once(places[["session_id", "session_no"]])
    found = [_if_any(Promise.NO_ORDER_DOUBLED, repeated, f"executed twice by {whose}: (session, number)")]
    for session_id in np.unique(own["session_id"]):
        overtaken = _overtaken(own[own["session_id"] == session_id])
        text = f"executed by {whose} after a later one of session {session_id:#x}: number"
        found.append(_if_any(Promise.SESSION_ORDER, overtaken, text))
    return [violation for violation in found if violation is not None]


def check_strangers(histories: Sequence[SessionHistory], model: Model, others: frozenset[int]) -> list[Violation]:
    """Nobody but the clients whose histories are known, and `others`, has commands in the stream."""
    known = np.array(sorted({history.session_id for history in histories} | others | {0}), dtype=np.uint64)
    strangers = np.setdiff1d(model.commands["session_id"][model.executed], known)
    found = _if_any(Promise.NO_ORDER_ALTERED, strangers, "commands of a session that nobody opened: session")
    return [found] if found is not None else []


def _if_any(promise: Promise, cases: NDArray[np.generic], text: str) -> Violation | None:
    """A violation for the cases, of which there may be none."""
    if not len(cases):
        return None
    shown = ", ".join(str(case.item()) for case in cases[:_SHOWN])
    return Violation(promise, len(cases), f"{text} {shown}" + (" ..." if len(cases) > _SHOWN else ""))
