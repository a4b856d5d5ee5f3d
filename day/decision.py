"""What a segment's schedule wants done now, with what number: from the plan and what the stream says. Pure.

The rules, in words, are in docs/trading-day.md, *What is done when*. A decision is about one change and names the next
number of that change's session. Whoever decides from the same stream decides the same, and whoever decides from an
older one names a number that is used: its commands then have no effect.
"""

import datetime as dt
from dataclasses import dataclass

from lockstep.day.board import Board, SetPhase, Standing
from lockstep.day.marks import END, RESTORE, START, Mark
from lockstep.day.plan import Change, Day, Plan
from lockstep.stream.enums import Phase
from lockstep.stream.values import frozen

_CALLS = (Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.VOLATILITY_AUCTION, Phase.CLOSING_AUCTION)


@frozen
class Decision:
    """Commands to give."""

    mark: Mark
    first_no: int
    """Number of the first in the session of `mark`; the others follow."""
    commands: tuple[SetPhase, ...]
    due_ns: int
    """When they were due."""


@frozen
class Passed:
    """Instruments that a change leaves as they are, and why."""

    instrument: int
    why: str


@dataclass(frozen=True, slots=True)
class _Want:
    date: dt.date
    code: int
    due_ns: int
    command: SetPhase


def decide(board: Board, plan: Plan, instruments: list[int], now_ns: int) -> Decision | None:
    """The next thing to do at a time, for a segment whose instruments these are; None: nothing is due."""
    day = plan.at(now_ns)
    if day is None:
        return None
    restored = [(one, board.overridden[one]) for one in sorted(instruments) if one in board.overridden]
    if restored:
        mark = Mark(plan.segment.number, day.date, RESTORE)
        commands = tuple(SetPhase(one, phase) for one, phase in restored)
        return Decision(mark, board.next_no(mark), commands, now_ns)
    wants = [
        want
        for one in sorted(instruments)
        if (want := _want(board, plan, day, one, now_ns)) is not None and not isinstance(want, str)
    ]
    if not wants:
        return None
    first = min(wants, key=lambda one: (one.date, one.code))
    together = tuple(one.command for one in wants if (one.date, one.code) == (first.date, first.code))
    mark = Mark(plan.segment.number, first.date, first.code)
    return Decision(mark, board.next_no(mark), together, first.due_ns)


def passed_over(board: Board, plan: Plan, instruments: list[int], now_ns: int) -> list[Passed]:
    """Instruments that are not where the schedule has them, because somebody else's word counts."""
    day = plan.at(now_ns)
    if day is None:
        return []
    whys = ((one, _want(board, plan, day, one, now_ns)) for one in sorted(instruments))
    return [Passed(one, why) for one, why in whys if isinstance(why, str) and why]


def _want(board: Board, plan: Plan, day: Day, instrument: int, now_ns: int) -> _Want | str | None:
    """What an instrument needs first; a text: why it is left alone; None: nothing is missing."""
    number = plan.segment.number
    owed = _owed_end(board, plan, day, instrument)
    standing = board.standings[instrument]
    if owed is not None:
        due = plan.day(owed)
        return _Want(owed, END, due.end_ns if due else now_ns, _close(plan, instrument, standing, now_ns))
    latest = board.latest(number, instrument)
    step = day.current(now_ns)
    if latest is not None and latest > day.date:
        return "it is halted" if standing.held else None
    if step.code == END:
        if board.is_done(Mark(number, day.date, END), instrument):
            return _why_elsewhere(standing, step)
        return _Want(day.date, END, day.end_ns, _close(plan, instrument, standing, now_ns))
    if not board.is_done(Mark(number, day.date, START), instrument):
        phase = Phase.HALT if standing.held else step.phase
        return _Want(day.date, START, day.begin_ns, SetPhase(instrument, phase))
    if step.code == START or board.is_done(Mark(number, day.date, step.code), instrument):
        return _why_elsewhere(standing, step)
    why = _why_not(standing, step)
    return _Want(day.date, step.code, step.at_ns, SetPhase(instrument, step.phase)) if why is None else why


def _owed_end(board: Board, plan: Plan, day: Day, instrument: int) -> dt.date | None:
    """A day before this one that has not ended, or one that began and is a business day no more."""
    number = plan.segment.number
    latest = board.latest(number, instrument)
    if latest is None:
        return None
    if not board.is_done(Mark(number, latest, END), instrument):
        return latest if latest < day.date or plan.day(latest) is None else None
    missed = plan.after(latest)
    return missed.date if missed is not None and missed.date < day.date else None


def _close(plan: Plan, instrument: int, standing: Standing, now_ns: int) -> SetPhase:
    until_ns = plan.next_begin_ns(now_ns) if standing.held else 0
    return SetPhase(instrument, Phase.CLOSED, Phase.HALT if until_ns else None, until_ns)


def _why_elsewhere(standing: Standing, step: Change) -> str | None:
    """Why an instrument is not where its last change brought it; None: it is there."""
    if standing.held:
        return "it is halted"
    if standing.phase is step.phase:
        return None
    if standing.timed:
        return "it pauses, and goes on by itself"
    if standing.phase is Phase.CLOSED:
        return "it was closed for the day"
    return f"somebody has set it to {standing.phase.name.lower()} since"


def _why_not(standing: Standing, step: Change) -> str | None:
    """Why a change in the middle of a day is not for an instrument; empty: it is there already; None: it is."""
    if standing.phase is step.phase:
        return ""
    if standing.held:
        return "it is halted"
    if standing.phase is Phase.CLOSED:
        return "it was closed for the day"
    if standing.touched_ns >= step.at_ns:
        return f"somebody has set it to {standing.phase.name.lower()} since"
    if standing.timed and step.phase not in _CALLS:
        return "it pauses, and goes on by itself"
    return None
