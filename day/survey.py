"""How the day stands in a running cluster, asked of its engines once."""

import asyncio
import contextlib
import time
from dataclasses import asdict
from typing import Final

from lockstep.day.board import Board
from lockstep.day.calendars import shown
from lockstep.day.decision import decide
from lockstep.day.desk import AHEAD, BEHIND, Desk
from lockstep.day.marks import END, START, Mark
from lockstep.day.plans import plans_of
from lockstep.day.process import today
from lockstep.day.schedule import Schedule
from lockstep.day.sender import NAME, Sender
from lockstep.day.sink import BoardSink
from lockstep.posttrade.opening_fetch import NoOpening
from lockstep.posttrade.shell import FollowerShell, begin_with_snapshot
from lockstep.runtime.access.dialing import introduce
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.process import open_log
from lockstep.runtime.topology import Topology
from lockstep.stream.values import frozen

_POLL_S: Final = 0.05


@frozen
class Row:
    """One instrument."""

    segment: str
    date: str
    """The business day that began last; empty: none has."""
    symbol: str
    phase: str
    due: str
    """The phase that the schedule has now."""
    note: str
    is_late: bool
    """A change is due, and not done."""


@frozen
class Survey:
    """All instruments that have a day."""

    seq: int
    now: str
    """Stamped time."""
    rows: tuple[Row, ...]
    undefined: tuple[str, ...]

    def facts(self, rows: list[Row]) -> dict[str, object]:
        """For programs."""
        shown_rows = [asdict(row) for row in rows]
        return {"seq": self.seq, "now": self.now, "instruments": shown_rows, "undefined": list(self.undefined)}


def survey(topology: Topology, schedule: Schedule, *, timeout_s: float, token: str | None = None) -> Survey:
    """Read the stream up to now.

    Raises:
        EnvironmentFault: no engine has brought it there in time. ScheduleFault: see `plans_of`.
    """
    introduce(topology)
    day = today()
    desk = Desk(schedule, plans_of(schedule, day - BEHIND, day + AHEAD), Board(Sender(topology, token).client_number))
    seq = asyncio.run(_read(topology, desk, timeout_s))
    return Survey(seq, shown(desk.board.now_ns), tuple(rows_of(desk)), tuple(desk.undefined()))


async def _read(topology: Topology, desk: Desk, timeout_s: float) -> int:
    sink = BoardSink(desk)
    log = open_log(NAME)
    with contextlib.suppress(NoOpening):
        await begin_with_snapshot(sink, topology, log)
    shell = FollowerShell(NAME, topology, lambda: sink, rebuild="ask again", sink=sink)
    shell.start()
    give_up_s = time.monotonic() + timeout_s
    try:
        while not shell.caught_up:
            if shell.failure is not None:
                raise shell.failure
            if time.monotonic() >= give_up_s:
                why = shell.why_not_serving() or "no answer"
                raise EnvironmentFault(
                    f"no engine brought the stream to its end within {timeout_s:g} s: {why}; `lockstep status` shows "
                    "which serve"
                )
            await asyncio.sleep(_POLL_S)
        return shell.machine.position.seq
    finally:
        await shell.stop()


def rows_of(desk: Desk) -> list[Row]:
    """All instruments that have a day, by symbol."""
    board = desk.board
    passed = {one.instrument: one.why for one in desk.passed_over(board.now_ns)}
    rows = []
    for symbol, number in sorted(board.instruments.items()):
        segment = desk.segment_of(symbol)
        if segment is None:
            continue
        plan = desk.plans[segment.number]
        day = plan.at(board.now_ns)
        due = day.current(board.now_ns).phase.name.lower() if day else ""
        late = decide(board, plan, [number], board.now_ns)
        note = passed.get(number, "")
        if late is not None:
            note = f"due since {shown(late.due_ns, plan.time_zone)}, not done"
        elif (
            day
            and not note
            and not any(board.is_done(Mark(segment.number, day.date, code), number) for code in (START, END))
        ):
            note = "this day was not begun here"
        phase = board.standings[number].phase.name.lower()
        rows.append(Row(segment.name, str(day.date) if day else "", symbol, phase, due, note, late is not None))
    return rows
