"""A single call's machine: what it asks and waits for, and that it takes its command in once at the most."""

import pytest

from lockstep.gateway.sessions import Refused, Session
from lockstep.gateway.single_call import (
    ANSWER_PATIENCE_NS,
    GAP_PATIENCE_NS,
    LOOK_NS,
    Answered,
    Began,
    Effects,
    Found,
    Learnt,
    SingleCall,
    Ticked,
    TurnedAway,
)
from lockstep.stream.codes import Code

GONE = TurnedAway(Refused(5, Code.SHUTTING_DOWN, 50), "the gateway is being stopped")


def session(expected: int, answered: int) -> Session:
    return Session(77, "", expected=expected, answered=answered)


def test_call_without_a_key_takes_the_next_number() -> None:
    call = SingleCall(0)
    assert call.step(Began(), 0, session(12, 4)) == Effects(submit_no=12, deadline_ns=ANSWER_PATIENCE_NS)
    assert call.step(Answered(), 1, session(13, 12)) == Effects(succeeds=True)
    assert call.over


def test_session_that_is_not_known_here_is_asked_for() -> None:
    call = SingleCall(5)
    assert call.step(Began(), 0, None) == Effects(ask_session=True)
    assert call.step(Learnt(), 1, session(5, 4)).submit_no == 5


def test_number_that_was_executed_is_taken_in_again_and_its_outcome_fetched() -> None:
    call = SingleCall(5)
    assert call.step(Began(), 0, session(9, 8)).submit_no == 5, "only the engine knows whether it is the same command"
    assert call.step(Answered(original=70), 1, session(9, 8)) == Effects(ask_outcome=70)
    assert call.step(Found(), 2, session(9, 8)) == Effects(succeeds=True)


def test_outcome_that_the_engine_has_forgotten_is_not_looked_for() -> None:
    call = SingleCall(5)
    call.step(Began(), 0, session(9, 8))
    assert call.step(Answered(original=0), 1, session(9, 8)).succeeds


def test_number_that_is_under_way_is_waited_for_and_then_taken_in_again() -> None:
    call = SingleCall(5)
    assert call.step(Began(), 0, session(7, 3)) == Effects(await_no=5, deadline_ns=ANSWER_PATIENCE_NS)
    assert call.step(Answered(), 10, session(7, 5)).submit_no == 5


def test_number_that_comes_early_waits_for_those_below_it() -> None:
    call = SingleCall(5)
    waits = call.step(Began(), 100, session(4, 3))
    assert (waits.submit_no, waits.await_no) == (0, 0)
    assert (waits.await_turn, waits.deadline_ns) == (True, 100 + LOOK_NS)
    assert call.step(Ticked(), 200, session(5, 4)).submit_no == 5


def test_patience_runs_only_while_nothing_comes() -> None:
    call = SingleCall(9)
    call.step(Began(), 0, session(4, 3))
    assert call.step(Ticked(), LOOK_NS, session(4, 3)).ask_session
    due_ns = call.step(Learnt(), LOOK_NS + 5, session(4, 3)).deadline_ns
    assert due_ns == GAP_PATIENCE_NS
    later_ns = call.step(Ticked(), due_ns, session(6, 3)).deadline_ns
    assert later_ns == due_ns + GAP_PATIENCE_NS
    assert call.step(Ticked(), later_ns, session(6, 5)).fails is not None


def test_while_others_of_the_session_come_the_missing_one_may_be_among_them_but_not_for_ever() -> None:
    call = SingleCall(9)
    call.step(Began(), 0, session(4, 3))
    call.step(Ticked(), LOOK_NS, session(4, 3))
    due_ns = call.step(Learnt(), LOOK_NS, session(4, 3)).deadline_ns
    assert due_ns == GAP_PATIENCE_NS
    while call.step(Ticked(due_ns - 1), due_ns, session(4, 3)).fails is None:
        due_ns += GAP_PATIENCE_NS - 1
    assert ANSWER_PATIENCE_NS <= due_ns < ANSWER_PATIENCE_NS + GAP_PATIENCE_NS


def test_what_is_known_of_a_session_is_asked_about_before_a_number_is_refused() -> None:
    """The gateway's host died, and the last entries of its intake log with it: they were executed before."""
    call = SingleCall(9)
    look_ns = call.step(Began(), 0, session(4, 3)).deadline_ns
    assert call.step(Ticked(), look_ns, session(4, 3)).ask_session
    assert call.step(Learnt(), look_ns + 5, session(9, 8)).submit_no == 9


def test_answer_to_another_command_of_its_number_is_not_its_own() -> None:
    call = SingleCall(5)
    call.step(Began(), 0, session(5, 4))
    assert call.step(Answered(own=False), 1, session(6, 5)).submit_no == 5
    assert call.step(Answered(own=False), 2, session(6, 5)).submit_no == 5
    fails = call.step(Answered(own=False), 3, session(6, 5)).fails
    assert fails is not None, "it is asked a few times only"
    assert fails.refused.code == Code.UNAVAILABLE


def test_number_that_stays_too_early_is_refused() -> None:
    call = SingleCall(5)
    call.step(Began(), 0, session(3, 2))
    fails = call.step(Ticked(), GAP_PATIENCE_NS, session(3, 2)).fails
    assert fails is not None
    assert (fails.refused.code, fails.refused.from_no) == (Code.SESSION_GAP, 3)


def test_call_that_is_not_answered_in_time_may_come_again() -> None:
    for known in (session(5, 4), session(7, 3)):
        call = SingleCall(5)
        due_ns = call.step(Began(), 0, known).deadline_ns
        fails = call.step(Ticked(), due_ns, known).fails
        assert fails is not None
        assert fails.refused == Refused(5, Code.UNAVAILABLE, 50)
        assert "ask again with the same key" in fails.text


def test_session_that_was_forgotten_meanwhile_turns_the_call_away() -> None:
    call = SingleCall(5)
    call.step(Began(), 0, session(7, 3))
    fails = call.step(Answered(), 1, None).fails
    assert fails is not None
    assert fails.refused.code == Code.BUSY


@pytest.mark.parametrize("known", [None, session(3, 2), session(5, 4), session(7, 3)])
def test_call_that_is_turned_away_is_over_whatever_it_waited_for(known: Session | None) -> None:
    call = SingleCall(5)
    call.step(Began(), 0, known)
    assert call.step(GONE, 1, known) == Effects(fails=GONE)
    with pytest.raises(AssertionError):
        call.step(GONE, 2, known)


def test_what_is_not_awaited_is_a_broken_invariant() -> None:
    call = SingleCall(5)
    call.step(Began(), 0, session(5, 4))
    for event in (Began(), Learnt(), Found()):
        with pytest.raises(AssertionError, match=type(event).__name__):
            call.step(event, 1, session(5, 4))
