"""Numbering of sessions."""

import pytest

from lockstep.gateway.sessions import Opened, Refused, SessionTable, own_session_id
from lockstep.stream.codes import Code

S = (1 << 32) | 5


@pytest.fixture
def table():
    return SessionTable(credit=10, max_sessions=3)


@pytest.fixture
def session(table):
    table.open(S, "alice", 1, 1)
    return table.get(S)


def admit(table, session, first_no, count, room=1000, closed=None, now_ns=0):
    return table.admit(session, first_no, count, room=room, closed=closed, now_ns=now_ns)


def test_next_numbers_are_taken(table, session):
    assert admit(table, session, 1, 3).taken == 3
    assert (session.expected, session.unanswered) == (4, 3)


def test_number_in_flight_is_dropped_and_the_rest_taken(table, session):
    admit(table, session, 1, 3)
    admission = admit(table, session, 2, 4)
    assert (admission.repeated, admission.dropped, admission.taken) == (0, 2, 2)


def test_answered_number_is_passed_on_as_a_repetition(table, session):
    admit(table, session, 1, 3)
    table.on_answers([S], [2])
    admission = admit(table, session, 1, 5)
    assert (admission.repeated, admission.dropped, admission.taken) == (2, 1, 2)


def test_gap_is_refused_once_and_asks_for_the_expected_number(table, session):
    assert admit(table, session, 5, 1).refused == Refused(1, Code.SESSION_GAP)
    assert admit(table, session, 6, 1).refused is None
    assert admit(table, session, 1, 1).taken == 1
    assert admit(table, session, 7, 1).refused == Refused(2, Code.SESSION_GAP)


def test_credit_bounds_what_is_unanswered(table, session):
    admission = admit(table, session, 1, 12)
    assert admission.taken == 10
    assert admission.refused is not None
    assert (admission.refused.from_no, admission.refused.code) == (11, Code.BUSY)
    assert admit(table, session, 13, 2).refused is None, "it has heard so already"
    table.on_answers([S], [4])
    assert admit(table, session, 11, 4).taken == 4


def test_room_of_the_way_out_bounds_it_too(table, session):
    admission = admit(table, session, 1, 5, room=2)
    assert (admission.taken, admission.refused) == (2, Refused(3, Code.BUSY, 5))


def test_closed_way_out_takes_nothing_and_changes_nothing(table, session):
    admission = admit(table, session, 1, 2, closed=Code.UNAVAILABLE)
    assert (admission.taken, session.expected) == (0, 1)
    assert admission.refused == Refused(1, Code.UNAVAILABLE, 50)
    assert admit(table, session, 1, 2).taken == 2


def test_new_stream_takes_the_session_over(table, session):
    assert table.open(S, "alice", 2, 1) == Opened(previous_stream=1, credit=10)
    table.detach(S, 1)
    assert session.stream == 2
    table.detach(S, 2)
    assert session.stream == 0


def test_session_of_another_client_is_refused(table, session):
    assert table.open(S, "bob", 2, 1) == Refused(1, Code.NOT_ENTITLED)


def test_client_that_was_elsewhere_goes_on_from_there(table, session):
    admit(table, session, 1, 3)
    table.open(S, "alice", 2, 20)
    assert (session.expected, session.answered) == (20, 19)


def test_what_an_engine_has_executed_moves_the_session_on_unless_something_is_under_way(table, session):
    assert table.ensure(session.session_id, session.client, 9) is session
    assert (session.answered, session.expected) == (8, 9)
    table.admit(session, 9, 2, room=10, closed=None, now_ns=0)
    table.ensure(session.session_id, session.client, 20)
    assert (session.answered, session.expected) == (8, 11), "its answers are still to come"
    table.ensure(session.session_id, session.client, 5)
    assert (session.answered, session.expected) == (8, 11)


def test_claim_of_a_hello_changes_nothing_about_what_is_in_flight(table, session):
    table.open(S, "alice", 2, 20)
    assert session.in_flight_to == 0
    admit(table, session, 20, 2)
    assert session.in_flight_to == 21
    table.on_out_of_order(S, 20)
    assert session.in_flight_to == 21
    table.on_out_of_order(S, 21)
    assert session.in_flight_to == 0


def test_what_is_in_flight_ends_with_the_answer_to_its_last_number(table, session):
    admit(table, session, 1, 3)
    table.open(S, "alice", 2, 20)
    table.on_answers([S], [2])
    assert session.in_flight_to == 3
    table.on_answers([S], [0])
    assert session.in_flight_to == 3
    table.on_answers([S], [3])
    assert session.in_flight_to == 0


def test_answers_to_commands_of_another_gateway_move_the_session_on(table, session):
    table.on_answers([S], [7])
    assert (session.expected, session.answered) == (8, 7)


def test_out_of_order_refusal_answers_its_number_only_if_it_is_in_flight(table, session):
    admit(table, session, 1, 5)
    table.on_out_of_order(S, 9)
    assert session.answered == 0
    table.on_out_of_order(S, 2)
    assert session.answered == 2


def test_idle_sessions_make_room_for_new_ones(table, session):
    admit(table, session, 1, 1)
    table.open(S + 1, "alice", 2, 1)
    table.open(S + 2, "alice", 3, 1)
    refused = table.open(S + 3, "alice", 4, 1)
    assert isinstance(refused, Refused)
    assert refused.code is Code.BUSY
    table.detach(S + 1, 2)
    assert isinstance(table.open(S + 3, "alice", 4, 1), Opened)
    assert table.get(S + 1) is None


def test_gateways_own_sessions_are_out_of_clients_reach():
    assert own_session_id(3, 0x1_0000_0007) == (0x7FFF0003 << 32) | 7
