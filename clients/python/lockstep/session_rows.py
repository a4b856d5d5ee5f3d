"""Report rows in the order of a session's history: which of a batch are new, and which the owner is to see."""

from typing import Final

import numpy as np

from lockstep.columns import ReportColumns
from lockstep.enums import Code, EventKind
from lockstep.rows import IntColumn
from lockstep.session_events import ReportId

_DUPLICATE: Final = int(EventKind.DUPLICATE)
_OUT_OF_ORDER: Final = int(Code.SESSION_OUT_OF_ORDER)


def drop_seen(batch: ReportColumns, last_seen: ReportId) -> ReportColumns | None:
    """The rows that come after `last_seen`, and each after the one before it; None if there is none."""
    if batch.count == 0:
        return None
    seq, index, leg = batch.seq, batch.index, batch.leg
    first = (int(seq[0]), int(index[0]), int(leg[0]))
    seen = (last_seen.seq, last_seen.index, last_seen.leg)
    if first > seen and _ascending(seq, index, leg):
        return batch
    keep = np.zeros(batch.count, bool)
    rows = zip(seq.tolist(), index.tolist(), leg.tolist(), strict=True)
    for position, row in enumerate(rows):
        if row > seen:
            keep[position] = True
            seen = row
    fresh = batch.take(keep)
    return fresh if fresh.count else None


def without_resends(fresh: ReportColumns, answered: int, *, out_of_order: bool) -> tuple[ReportColumns | None, int]:
    """Without the traces of resending: repeats of what is answered, and numbers that came too early.

    Args:
        answered: highest number that was answered before these rows.
        out_of_order: whether there is a number among them that came too early.

    Returns:
        What the owner is to see (None: nothing), and how many answers were repeats.
    """
    duplicate = fresh.kind == _DUPLICATE
    if not out_of_order and not duplicate.any():
        return fresh, 0
    hidden = fresh.code == _OUT_OF_ORDER
    numbers = fresh.session_no.tolist()
    repeats = 0
    for position in range(fresh.count):
        if hidden[position] or fresh.leg[position]:
            continue
        if duplicate[position] and numbers[position] <= answered:
            hidden[position] = True
            repeats += 1
        answered = max(answered, numbers[position])
    visible = fresh.take(~hidden)
    return (visible if visible.count else None), repeats


def last_id(batch: ReportColumns) -> ReportId:
    """Position of a batch's last row."""
    return ReportId(int(batch.seq[-1]), int(batch.index[-1]), int(batch.leg[-1]))


def _ascending(seq: IntColumn, index: IntColumn, leg: IntColumn) -> bool:
    """Whether the rows are in strictly ascending order."""
    if len(seq) < 2:
        return True
    before, after = seq[:-1], seq[1:]
    if (after < before).any():
        return False
    same = after == before
    if not same.any():
        return True
    place = (index.astype(np.uint64) << np.uint64(1)) | leg
    return bool((place[1:] > place[:-1])[same].all())
