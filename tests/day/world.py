"""A market without processes: a real engine, stamped time, and schedulers that read its stream and send to it.

What happens to a scheduler's commands on their way, and to the scheduler, the tests decide.
"""

import datetime as dt
from collections.abc import Sequence
from functools import cache

import numpy as np

from lockstep.day.board import Board, SetPhase
from lockstep.day.decision import Decision
from lockstep.day.desk import Desk
from lockstep.day.marks import Mark, mark_of
from lockstep.day.plan import Day, Plan
from lockstep.day.plans import plans_of
from lockstep.day.schedule import parse_schedule
from lockstep.engine.implementations import implementation
from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CONTROL,
    SETTING,
    SETTING_EVENT,
    CommandKind,
    EventKind,
    join_records,
)
from tests.all_features import record

CLIENT = 77
OPERATOR = 5 << 32 | 1
SECOND = 1_000_000_000
MINUTE = 60 * SECOND

NEW_YORK = """
[[segment]]
name = "new-york"
number = 1
calendar = "XNYS"
instruments = ["ACME", "GLOBEX"]
phase = [
  { phase = "pre_open", at = "08:00" },
  { phase = "opening_auction", at = "open-5m" },
  { phase = "continuous", at = "open" },
  { phase = "closing_auction", at = "close-10m" },
  { phase = "closed", at = "close+1m" },
]
"""
LONDON = """
[[segment]]
name = "london"
number = 2
calendar = "XLON"
instruments = "all"
phase = [
  { phase = "opening_auction", at = "07:50" },
  { phase = "continuous", at = "open" },
  { phase = "intraday_auction", at = "12:00", half_days = "skip" },
  { phase = "continuous", at = "12:02", half_days = "skip" },
  { phase = "closing_auction", at = "close" },
  { phase = "closed", at = "close+5m" },
]
"""
SYMBOLS = {"ACME": 1, "GLOBEX": 2, "TEA": 3}
SCHEDULE = parse_schedule(NEW_YORK + LONDON, origin="test")
FIRST, LAST = dt.date(2024, 11, 20), dt.date(2024, 12, 31)


@cache
def plans() -> dict[int, Plan]:
    """Of each segment, by its number."""
    return plans_of(SCHEDULE, FIRST, LAST)


def day_of(number: int, date: dt.date) -> Day:
    """One business day of a segment."""
    day = plans()[number].day(date)
    assert day is not None, f"{date} is no business day of segment {number}"
    return day


def set_phase_record(session_id: int, number: int, command: SetPhase) -> np.ndarray:
    return record(
        CommandKind.SET_PHASE, SETTING, session_id=session_id, session_no=number, instrument=command.instrument,
        value=command.phase, next_value=command.next_phase or 0, until_ns=command.until_ns,
    )  # fmt: skip


class Market:
    """The engine and its stream."""

    def __init__(self, start_ns: int, symbols: Sequence[str] = tuple(SYMBOLS)) -> None:
        self.engine = implementation("native")()
        self.now_ns = start_ns
        self.stream: list[tuple[int, np.ndarray]] = []
        """(stamped time, events) of each batch."""
        self._operators_no = 0
        for symbol in symbols:
            self.define(symbol)

    def _apply(self, records: np.ndarray) -> None:
        events = self.engine.apply(
            records.view(COMMAND), first_seq=self.engine.last_seq + 1, timestamp_ns=self.now_ns
        ).copy()
        self.stream.append((self.now_ns, events))

    def define(self, symbol: str) -> None:
        """There is another instrument, open like every new one."""
        terms = {"name": symbol.encode(), "tick_micros": 10_000, "lot_units": 1}
        self._apply(record(CommandKind.DEFINE_INSTRUMENT, ADMIN, instrument=SYMBOLS[symbol], **terms))

    def tick(self, to_ns: int) -> None:
        """Time goes on."""
        self.now_ns = max(self.now_ns, to_ns)
        self._apply(record(CommandKind.TICK, CONTROL))

    def receive(self, decision: Decision) -> None:
        """A scheduler's commands arrive."""
        session_id = decision.mark.session_id(CLIENT)
        rows = [set_phase_record(session_id, decision.first_no + at, one) for at, one in enumerate(decision.commands)]
        self._apply(join_records(rows))

    def operate(self, command: SetPhase) -> None:
        """An operator sets a phase."""
        self._operators_no += 1
        self._apply(set_phase_record(OPERATOR, self._operators_no, command))

    def phases(self) -> dict[int, int]:
        image = decode_snapshot(self.engine.snapshot())
        return {row.instrument: row.phase for row in image.instruments}

    def done(self) -> list[tuple[Mark, int, int, int, int]]:
        """What schedulers' commands did, in order: mark, number, instrument, phase, stamped time."""
        found = []
        for _, events in self.stream:
            rows = events[events["kind"] == EventKind.PHASE_CHANGED]
            for row in np.frombuffer(rows.tobytes(), dtype=SETTING_EVENT):
                session_id = int(row["session_id"])
                mark = mark_of(session_id)
                if session_id >> 32 == CLIENT and mark is not None:
                    facts = int(row["session_no"]), int(row["instrument"]), int(row["value"]), int(row["timestamp_ns"])
                    found.append((mark, *facts))
        return found


class Scheduler:
    """One life of one scheduler."""

    def __init__(self, market: Market, *, from_snapshot: bool = False) -> None:
        self._market = market
        self.desk = Desk(SCHEDULE, plans(), Board(CLIENT))
        self._read = 0
        if from_snapshot:
            self.desk.board.begin(decode_snapshot(market.engine.snapshot()), self.desk.hold_until)
            self._read = len(market.stream)

    def read(self) -> None:
        """Come to the end of the stream."""
        for now_ns, events in self._market.stream[self._read :]:
            self.desk.board.fold(events, now_ns)
        self._read = len(self._market.stream)

    def decide(self) -> Decision | None:
        return self.desk.decide(self.desk.board.now_ns)

    def settle(self) -> None:
        """Do all that is due."""
        for _ in range(200):
            self.read()
            decision = self.decide()
            if decision is None:
                return
            self._market.receive(decision)
        raise AssertionError(f"it never comes to an end: {decision}")


def instants(first: dt.date, last: dt.date) -> list[int]:
    """When changes are due, of all segments."""
    return sorted(
        change.at_ns
        for plan in plans().values()
        for day in plan.days
        if first <= day.date <= last
        for change in day.changes
    )
