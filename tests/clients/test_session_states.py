"""Every row of the session's table of states, by what really brings it about."""

from collections.abc import Callable

import pytest

from lockstep.enums import Code
from lockstep.session_events import Checkpoint, Closed, Opened, RefusalArrived, Reported, StreamEnded, Ticked, Welcomed
from lockstep.session_machine import SessionMachine
from lockstep.session_states import TRANSITIONS, Occasion, State

from .test_session_machine import LIMITS, accepted, row

LATE_NS = 1 << 50


def arrive(state: State) -> SessionMachine:
    """A session of epoch 3 in a state; once it is open, it has sent number 1."""
    machine = SessionMachine(Checkpoint(77, epoch=3), LIMITS)
    if state is State.NEW:
        return machine
    machine.step(Opened(), 0)
    if state is State.WAITING:
        machine.step(StreamEnded(1, "gone", 0), 0)
    elif state is State.OPEN:
        machine.step(Welcomed(1, 3, 0, 0), 0)
        machine.submit(row(1), 0)
        machine.step(Ticked(), LATE_NS)
    assert machine.state is state
    return machine


def lose_the_numbering(machine: SessionMachine) -> None:
    for number in range(8):
        now_ns = LATE_NS + number * LATE_NS
        machine.step(RefusalArrived(machine.conn, 1, Code.SESSION_GAP, "", True, 0), now_ns)
        machine.step(Ticked(), now_ns + LATE_NS // 2)


def refuse(code: Code, *, retryable: bool) -> Callable[[SessionMachine], object]:
    return lambda machine: machine.step(RefusalArrived(machine.conn, 0, code, "", retryable, 0), 0)


OCCUR: dict[Occasion, Callable[[SessionMachine], object]] = {
    Occasion.OPENED: lambda machine: machine.step(Opened(), 0),
    Occasion.PAUSE_OVER: lambda machine: machine.step(Ticked(), LATE_NS),
    Occasion.WELCOMED: lambda machine: machine.step(Welcomed(machine.conn, 3, 0, 0), 0),
    Occasion.NO_WELCOME: lambda machine: machine.step(Ticked(), LATE_NS),
    Occasion.STREAM_ENDED: lambda machine: machine.step(StreamEnded(machine.conn, "gone", 0), 0),
    Occasion.REFUSED_FOR_NOW: refuse(Code.SHUTTING_DOWN, retryable=True),
    Occasion.NUMBERING_LOST: lose_the_numbering,
    Occasion.STALE_EPOCH: lambda machine: machine.step(Reported(machine.conn, accepted(1, 1, epoch=2)), 0),
    Occasion.REFUSED_FOR_GOOD: refuse(Code.NOT_ENTITLED, retryable=False),
    Occasion.FATAL_END: lambda machine: machine.step(StreamEnded(machine.conn, "", 0, int(Code.REPORTS_GONE)), 0),
    Occasion.CLOSED: lambda machine: machine.step(Closed(), 0),
}


def answer_a_number_never_given(machine: SessionMachine) -> None:
    if not machine.unanswered:
        machine.submit(row(1), 0)
    machine.step(Reported(machine.conn, accepted(1, 9, epoch=3)), 0)


@pytest.mark.parametrize(("state", "occasion"), TRANSITIONS, ids=lambda part: part.name)
def test_every_row_of_the_table_comes_about(state: State, occasion: Occasion, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = arrive(state)
    taken: list[tuple[State, Occasion]] = []

    class Noted(dict[tuple[State, Occasion], State]):
        def get(self, key: tuple[State, Occasion], default: State | None = None) -> State | None:  # type: ignore[override]
            taken.append(key)
            return super().get(key, default)

    monkeypatch.setattr("lockstep.session_machine.TRANSITIONS", Noted(TRANSITIONS))
    OCCUR.get(occasion, answer_a_number_never_given)(machine)
    assert taken[:1] == [(state, occasion)]


def test_every_state_is_reached_and_only_the_last_two_cannot_be_left() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State) - {State.FAILED, State.CLOSED}
    assert set(TRANSITIONS.values()) | {State.NEW} == set(State)
    assert {occasion for _, occasion in TRANSITIONS} == set(Occasion)


def test_what_stands_in_no_row_is_an_error_of_the_machine() -> None:
    with pytest.raises(AssertionError, match="Welcome, in state new"):
        arrive(State.NEW)._move(Occasion.WELCOMED)
