"""What the committed stream says of instruments and of the days that were begun and ended: a fold. Pure.

It begins with an engine's snapshot or with seq 1, whichever there is, and comes to the same from both: which commands a
session has executed is in a snapshot, too, by their content. So nothing has to be kept beside the cluster.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from lockstep.day.marks import END, RESTORE, Mark, mark_of
from lockstep.engine.snapshot_format import StateImage
from lockstep.stream.content import contents_of
from lockstep.stream.enums import Code, CommandKind, EventKind, Phase
from lockstep.stream.records import COMMAND, DEFINITION_EVENT, EVENT, SETTING, SETTING_EVENT, Events
from lockstep.stream.values import frozen

KEPT: Final = dt.timedelta(days=60)
"""Behind the latest day of a segment, of whose days it is known what was done."""
_REFUSED: Final = np.zeros(256, dtype=bool)
_REFUSED[[EventKind.ADMIN_REJECTED, EventKind.REJECTED]] = True
_READ: Final = _REFUSED.copy()
_READ[[EventKind.PHASE_CHANGED, EventKind.INSTRUMENT_DEFINED]] = True
"""By kind: what is looked at."""
_NOT_USED: Final = (int(Code.SESSION_OUT_OF_ORDER), int(Code.KEY_REUSED))
"""Refusals that take no number."""


@frozen
class Standing:
    """How an instrument stands."""

    phase: Phase = Phase.CONTINUOUS
    timed: bool = False
    """The engine ends the phase by itself."""
    held: bool = False
    """Halted until somebody says otherwise, also while its market is closed."""
    touched_ns: int = 0
    """When somebody else than a scheduler set its phase last; 0: not known to have."""


@frozen
class SetPhase:
    """One command of a change."""

    instrument: int
    phase: Phase
    next_phase: Phase | None = None
    until_ns: int = 0


class Board:
    """See the module. `client_number`: of all schedulers of this cluster."""

    def __init__(self, client_number: int) -> None:
        self.client_number = client_number
        self.now_ns = 0
        """Stamped time."""
        self.instruments: dict[str, int] = {}
        """By symbol."""
        self.standings: dict[int, Standing] = {}
        self.overridden: dict[int, Phase] = {}
        """Instruments whose phase somebody set while a change was under way, which then undid it; and that phase."""
        self.refusals: dict[str, int] = {}
        """Commands of schedulers that were refused, by code."""
        self._done: dict[Mark, set[int]] = {}
        self._used: dict[Mark, int] = {}
        """The last number of each session."""
        self._latest: dict[tuple[int, int], dt.date] = {}
        """(segment, instrument): the last day of which anything was done."""
        self._newest: dict[int, dt.date] = {}

    # ---- what is known ---------------------------------------------------------------------------------------------

    def is_done(self, mark: Mark, instrument: int) -> bool:
        """Whether a change of an instrument was executed."""
        return instrument in self._done.get(mark, ())

    def next_no(self, mark: Mark) -> int:
        """Number of the next command of a change's session."""
        return self._used.get(mark, 0) + 1

    def latest(self, segment: int, instrument: int) -> dt.date | None:
        """The last day of which anything was done with an instrument in a segment."""
        return self._latest.get((segment, instrument))

    # ---- fold ------------------------------------------------------------------------------------------------------

    def begin(self, image: StateImage, hold_until: Callable[[Mark], Iterable[int]]) -> None:
        """Begin with a state. `hold_until`: until when an instrument that is held may have been closed by a change."""
        self.now_ns = image.last_timestamp_ns
        for row in image.instruments:
            self.instruments[row.symbol.decode()] = row.instrument
            phase, following = Phase(row.phase), row.next_phase
            held = following == Phase.HALT if phase is Phase.CLOSED else phase is Phase.HALT and not following
            self.standings[row.instrument] = Standing(phase, bool(following), held)
        sessions = {mark: row for row in image.sessions if (mark := self._mark_of(row.session_id)) is not None}
        for mark in sessions:
            self._newest[mark.segment] = max(mark.date, self._newest.get(mark.segment, mark.date))
        plain = _contents(SetPhase(one, phase) for one in self.standings for phase in Phase)
        for mark, session in sessions.items():
            if mark.date + KEPT < self._newest[mark.segment]:
                continue
            self._used[mark] = session.last_no
            contents = np.frombuffer(session.outcomes, dtype="<u8")[1::2].tolist()
            known = plain
            if mark.code == END and not plain.keys() >= set(contents):
                holds = tuple(hold_until(mark))
                known = plain | _contents(
                    SetPhase(one, Phase.CLOSED, Phase.HALT, until_ns) for one in self.standings for until_ns in holds
                )
            for content in contents:
                if content in known:
                    self._note_done(mark, known[content])

    def fold(self, events: Events, now_ns: int) -> bool:
        """Take what happened (dtype EVENT) up to a stamped time; whether anything was of interest."""
        self.now_ns = max(self.now_ns, now_ns)
        rows = events[_READ[events["kind"]]]
        if not len(rows):
            return False
        own = rows["session_id"] >> np.uint64(32) == self.client_number
        rows = rows[own | ~_REFUSED[rows["kind"]]]
        for row in rows:
            self._take(row)
        if len(rows):
            self._forget()
        return bool(len(rows))

    def _take(self, row: np.void) -> None:
        kind = row["kind"]
        if kind == EventKind.INSTRUMENT_DEFINED:
            definition = np.frombuffer(row.tobytes(), dtype=DEFINITION_EVENT)[0]
            self.instruments[bytes(definition["name"]).rstrip(b"\0").decode()] = int(row["instrument"])
            self.standings.setdefault(int(row["instrument"]), Standing())
            return
        mark = self._mark_of(int(row["session_id"]))
        if kind == EventKind.PHASE_CHANGED:
            self._take_phase(np.frombuffer(row.tobytes(), dtype=SETTING_EVENT)[0], mark)
        elif mark is not None:
            code = np.frombuffer(row.tobytes(), dtype=EVENT)[0]["code"]
            if code in _NOT_USED:
                return
            name = Code(code).name.lower()
            self.refusals[name] = self.refusals.get(name, 0) + 1
        if mark is not None:
            self._used[mark] = max(self._used.get(mark, 0), int(row["session_no"]))

    def _take_phase(self, row: np.void, mark: Mark | None) -> None:
        instrument, phase, timed = int(row["instrument"]), Phase(int(row["value"])), bool(row["until_ns"])
        before = self.standings[instrument]
        if mark is None:
            held = phase is Phase.HALT and not timed
            touched_ns = int(row["timestamp_ns"]) if row["session_id"] else before.touched_ns
            self.standings[instrument] = Standing(phase, timed, held, touched_ns)
            if row["session_id"]:
                self.overridden.pop(instrument, None)
            return
        closes_held = mark.code == END and timed
        held = closes_held or (phase is Phase.HALT and not timed)
        self.standings[instrument] = Standing(phase, timed, held, before.touched_ns)
        if mark.code == RESTORE:
            self.overridden.pop(instrument, None)
            return
        self._note_done(mark, instrument)
        if before.held != held and before.touched_ns:
            # It was decided before that was known: an operator's word counts for more.
            at_end = Phase.HALT if before.held else Phase.CLOSED
            self.overridden[instrument] = at_end if mark.code == END else before.phase

    def _mark_of(self, session_id: int) -> Mark | None:
        return mark_of(session_id) if session_id >> 32 == self.client_number else None

    def _note_done(self, mark: Mark, instrument: int) -> None:
        self._done.setdefault(mark, set()).add(instrument)
        key = mark.segment, instrument
        if mark.code != RESTORE:
            self._latest[key] = max(mark.date, self._latest.get(key, mark.date))
        self._newest[mark.segment] = max(mark.date, self._newest.get(mark.segment, mark.date))

    def _forget(self) -> None:
        """What was done long ago; nobody asks for it."""
        for known in (self._done, self._used):
            for mark in [one for one in known if one.date + KEPT < self._newest.get(one.segment, one.date)]:
                del known[mark]
        for key in [one for one, date in self._latest.items() if date + KEPT < self._newest[one[0]]]:
            del self._latest[key]


def _contents(commands: Iterable[SetPhase]) -> dict[int, int]:
    """The instrument of each command, by the command's content."""
    made = list(commands)
    records = np.zeros(len(made), dtype=SETTING)
    records["kind"] = CommandKind.SET_PHASE
    records["instrument"] = [one.instrument for one in made]
    records["value"] = [one.phase for one in made]
    records["next_value"] = [one.next_phase or 0 for one in made]
    records["until_ns"] = [one.until_ns for one in made]
    return dict(zip(contents_of(records.view(COMMAND)).tolist(), (one.instrument for one in made), strict=True))
