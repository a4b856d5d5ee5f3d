"""The session machine alone: no gRPC, no clock; then a whole world of lost, repeated and late messages around it."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep import Checkpoint, Code, CommandColumns, EventKind, ReportId
from lockstep.admin import DefineAccount
from lockstep.columns import ReportColumns, report_columns
from lockstep.rows import CommandRow
from lockstep.session_events import (
    NOTHING,
    Closed,
    Connect,
    NextNumberReported,
    Opened,
    Parcel,
    RefusalArrived,
    Reported,
    SessionLimits,
    StreamEnded,
    Ticked,
    Welcomed,
)
from lockstep.session_machine import SessionMachine, State

MS = 1_000_000
LIMITS = SessionLimits(batch_rows=4, max_unanswered=20)


def row(number: int) -> CommandRow:
    return CommandRow(kind=1, side=1, client_order_id=number, quantity_lots=1)


def ids(parcel: Parcel) -> list[int]:
    assert isinstance(parcel.body, CommandColumns)
    numbers: list[int] = parcel.body.columns["client_order_id"].tolist()
    return numbers


def report(*rows: tuple[int, ...], epoch: int = 1) -> ReportColumns:
    """Rows of (seq, index, leg, kind, code, session_no)."""
    names = ("seq", "index", "leg", "kind", "code", "session_no")
    return report_columns(epoch, 0, dict(zip(names, zip(*rows, strict=True), strict=True)), len(rows))


def accepted(seq: int, number: int, *, epoch: int = 1) -> ReportColumns:
    return report((seq, 0, 0, EventKind.ACCEPTED, 0, number), epoch=epoch)


def opened(limits: SessionLimits = LIMITS, credit: int = 0, max_batch: int = 0) -> SessionMachine:
    machine = SessionMachine(Checkpoint(77), limits)
    effects = machine.step(Opened(), 0)
    assert effects.connect == Connect(1, 0, 77, ReportId(), 1)
    machine.step(Welcomed(1, 1, credit, max_batch), 0)
    assert machine.state is State.OPEN
    return machine


def test_answer_to_a_new_session_that_has_sent_nothing_is_somebody_elses() -> None:
    machine = opened()
    effects = machine.step(Reported(1, accepted(9, 5)), 0)
    assert effects.failure is not None
    assert "another process uses session" in effects.failure.text
    assert (machine.state, machine.next_no) == (State.FAILED, 1)


def test_a_single_command_lingers_for_company() -> None:
    machine = opened()
    assert machine.submit(row(1), 0) == 1
    assert machine.step(Ticked(), MS - 1) == NOTHING
    assert machine.deadline_ns == MS
    assert machine.submit(row(2), MS - 1) == 2
    (parcel,) = machine.step(Ticked(), MS).send
    assert (parcel.first_no, ids(parcel)) == (1, [1, 2])


def test_while_many_messages_are_under_way_commands_wait_for_an_answer() -> None:
    machine = opened(SessionLimits(batch_rows=4, most_under_way=2, linger_ns=0))
    for number in (1, 2):
        machine.submit(row(number), 0)
        assert len(machine.step(Ticked(), 0).send) == 1
    for number in (3, 4):
        machine.submit(row(number), 0)
        assert machine.step(Ticked(), 0) == NOTHING
    assert machine.deadline_ns > 1 << 60, "a timer would find nothing to do"
    (parcel,) = machine.step(Reported(1, accepted(1, 1)), 0).send
    assert ids(parcel) == [3, 4]


def test_a_full_batch_waits_for_no_answer() -> None:
    machine = opened(SessionLimits(batch_rows=2, most_under_way=1, linger_ns=0))
    machine.submit(row(1), 0)
    machine.step(Ticked(), 0)
    for number in (2, 3):
        machine.submit(row(number), 7)
    assert machine.deadline_ns == 7
    assert [parcel.count for parcel in machine.step(Ticked(), 7).send] == [2]


def test_a_full_batch_does_not_linger() -> None:
    machine = opened()
    for number in range(1, 5):
        machine.submit(row(number), 5)
    assert machine.deadline_ns == 5
    assert [parcel.count for parcel in machine.step(Ticked(), 5).send] == [4]


def test_administration_keeps_its_place_between_orders() -> None:
    machine = opened()
    machine.submit(row(1), 0)
    machine.submit(DefineAccount(1, "one"), 0)
    machine.submit(row(3), 0)
    sent = machine.step(Ticked(), MS).send
    assert [(parcel.first_no, parcel.count) for parcel in sent] == [(1, 1), (2, 1), (3, 1)]
    assert isinstance(sent[1].body, DefineAccount)


def test_joined_batches_fill_absent_columns_with_the_wires_defaults() -> None:
    machine = opened()
    machine.submit(CommandColumns(count=2, quantity_lots=3), 0)
    machine.submit(CommandRow(kind=2, order_id=9), 0)
    (parcel,) = machine.step(Ticked(), MS).send
    assert isinstance(parcel.body, CommandColumns)
    assert parcel.body.columns["kind"].tolist() == [1, 1, 2]
    assert parcel.body.columns["quantity_lots"].tolist() == [3, 3, 0]
    assert parcel.body.columns["order_id"].tolist() == [0, 0, 9]


def test_no_more_commands_are_taken_than_the_bound() -> None:
    machine = opened()
    assert machine.submit(CommandColumns(count=20), 0) == 1
    assert machine.submit(row(21), 0) is None
    machine.step(Ticked(), 0)
    effects = machine.step(Reported(1, accepted(5, 3)), 0)
    assert effects.answered
    assert machine.submit(CommandColumns(count=3), 0) == 21


def test_no_more_is_sent_than_the_gateways_credit_and_batch_bound() -> None:
    machine = opened(credit=5, max_batch=2)
    machine.submit(CommandColumns(count=12), 0)
    assert [(p.first_no, p.count) for p in machine.step(Ticked(), 0).send] == [(1, 2), (3, 2), (5, 1)]
    assert machine.deadline_ns > 10**18
    assert [(p.first_no, p.count) for p in machine.step(Reported(1, accepted(9, 2)), 0).send] == [(6, 2)]


def test_an_answer_to_a_number_answers_all_before_it() -> None:
    machine = opened()
    machine.submit(CommandColumns(count=4), 0)
    machine.step(Ticked(), 0)
    machine.step(Reported(1, accepted(9, 3)), 0)
    assert (machine.first_unanswered, machine.unanswered) == (4, 1)


def test_what_is_unanswered_is_sent_again_after_a_break_from_inside_a_batch_on() -> None:
    machine = opened()
    machine.submit(CommandColumns(client_order_id=[1, 2, 3, 4]), 0)
    machine.step(Ticked(), 0)
    machine.step(Reported(1, accepted(9, 2)), 0)
    assert machine.step(StreamEnded(1, "gone", 0), 0) == NOTHING
    effects = machine.step(Ticked(), machine.deadline_ns)
    assert effects.connect is not None
    assert (effects.connect.conn, effects.connect.address, effects.connect.next_no) == (2, 1, 3)
    (parcel,) = machine.step(Welcomed(2, 1, 0, 0), 0).send
    assert (parcel.first_no, ids(parcel)) == (3, [3, 4])


def test_pause_before_a_new_try_grows_and_has_chance_in_it() -> None:
    pauses = []
    for jitter in (0, 999_999):
        machine = opened()
        machine.step(StreamEnded(1, "gone", jitter), 0)
        pauses.append(machine.deadline_ns)
    assert pauses == [5 * MS, 9_999_995]
    for attempt in range(8):
        now = machine.deadline_ns
        machine.step(Ticked(), now)
        machine.step(StreamEnded(attempt + 2, "refused", 0), now)
    assert machine.deadline_ns - now == 100 * MS


def test_pause_goes_on_growing_in_an_outage_that_is_longer_than_a_failover() -> None:
    limits = SessionLimits()
    assert [limits.pause_ns(tries, 999_999) // MS for tries in (0, 4, 5, 9, 10, 11, 12, 13, 40)] == [
        9, 159, 199, 199, 399, 799, 1599, 1999, 1999,
    ]  # fmt: skip
    assert limits.pause_ns(40, 0) == 1_000 * MS
    assert sum(limits.pause_ns(tries, 500_000) for tries in range(10)) < 1_200 * MS, "a restart is met by short ones"


def test_gateway_that_never_says_welcome_is_left() -> None:
    machine = SessionMachine(Checkpoint(77), LIMITS)
    machine.step(Opened(), 0)
    assert machine.step(Ticked(), machine.deadline_ns).disconnect == 1
    assert machine.state is State.WAITING


def test_gateways_that_are_merely_slow_get_more_time_with_each_welcome_that_did_not_come() -> None:
    machine = SessionMachine(Checkpoint(77), LIMITS)
    machine.step(Opened(), 0)
    patience = []
    for _ in range(6):
        machine.step(Ticked(), machine.deadline_ns)
        started = machine.deadline_ns
        machine.step(Ticked(), started)
        patience.append(machine.deadline_ns - started)
    assert [each // MS for each in patience] == [2000, 4000, 8000, 8000, 8000, 8000]
    machine.step(Welcomed(machine.conn, 1, 0, 0), started)
    machine.step(StreamEnded(machine.conn, "gone", 0), started)
    machine.step(Ticked(), now := machine.deadline_ns)
    assert machine.deadline_ns - now == 1000 * MS, "one that answers in time sets it back"


def test_sessions_that_break_at_one_time_do_not_come_back_in_step() -> None:
    for event in (
        RefusalArrived(1, 0, Code.BUSY, "", True, 0),
        RefusalArrived(1, 0, Code.SHUTTING_DOWN, "", True, 400),
        Ticked(),
    ):
        due = set()
        for session_id in range(1000, 1200):
            machine = SessionMachine(Checkpoint(session_id), LIMITS)
            machine.step(Opened(), 0)
            machine.step(event, now := machine.deadline_ns)
            due.add(machine.deadline_ns - now)
        assert len(due) > 190
        reported = event.retry_after_ms if isinstance(event, RefusalArrived) else 0
        assert min(due) >= max(5, reported) * MS
        assert max(due) - min(due) > max(4, reported * 9 // 10) * MS


def test_session_stays_away_as_long_as_the_gateway_asks_and_no_shorter() -> None:
    machine = opened()
    machine.step(StreamEnded(1, "too many handshakes", 250_000, 0, 800), 0)
    assert machine.deadline_ns == 1000 * MS


def test_resume_asks_again_for_an_event_of_which_only_the_first_leg_came() -> None:
    machine = opened()
    machine.step(Reported(1, report((9, 2, 0, EventKind.TRADE, 0, 0))), 0)
    machine.step(StreamEnded(1, "gone", 0), 0)
    connect = machine.step(Ticked(), machine.deadline_ns).connect
    assert connect is not None
    assert connect.last_seen == ReportId(9, 1)
    both = report((9, 2, 0, EventKind.TRADE, 0, 0), (9, 2, 1, EventKind.TRADE, 0, 0))
    reports = machine.step(Reported(2, both), 0).reports
    assert reports is not None
    assert reports.leg.tolist() == [1]


def test_rows_seen_before_are_dropped_row_by_row() -> None:
    machine = opened()
    machine.step(Reported(1, report((5, 0, 0, 1, 0, 0), (5, 1, 0, 3, 0, 0))), 0)
    mixed = report((5, 0, 0, 1, 0, 0), (5, 1, 0, 3, 0, 0), (5, 2, 0, 3, 0, 0), (5, 2, 0, 3, 0, 0), (4, 0, 0, 1, 0, 0))
    reports = machine.step(Reported(1, mixed), 0).reports
    assert reports is not None
    assert reports.index.tolist() == [2]
    assert machine.counters.repeated_rows == 4


def test_reports_of_a_lower_epoch_are_dropped_together_with_their_connection() -> None:
    machine = opened()
    machine.step(Reported(1, report((5, 0, 0, 1, 0, 0), epoch=3)), 0)
    effects = machine.step(Reported(1, report((6, 0, 0, 1, 0, 0), epoch=2)), 0)
    assert (effects.disconnect, effects.reports) == (1, None)
    assert machine.last_seen == ReportId(5)
    assert machine.counters.stale_epochs == 1


def test_messages_of_a_connection_that_was_given_up_are_not_believed() -> None:
    machine = opened()
    machine.step(StreamEnded(1, "gone", 0), 0)
    machine.step(Ticked(), machine.deadline_ns)
    assert machine.step(Reported(1, accepted(5, 1)), 0) == NOTHING
    assert machine.step(RefusalArrived(1, 1, Code.SESSION_TAKEN_OVER, "", False, 0), 0) == NOTHING
    assert machine.state is State.CONNECTING


def test_retryable_refusal_goes_back_once_whatever_follows_it() -> None:
    machine = opened()
    machine.submit(CommandColumns(client_order_id=np.arange(1, 13)), 0)
    machine.step(Ticked(), 0)
    for _ in range(3):
        machine.step(RefusalArrived(1, 5, Code.UNAVAILABLE, "", True, 2), 0)
    assert machine.deadline_ns == 2 * MS
    assert machine.step(Ticked(), 2 * MS - 1) == NOTHING
    sent = machine.step(Ticked(), 2 * MS).send
    assert [number for parcel in sent for number in ids(parcel)] == list(range(5, 13))


def widened() -> SessionMachine:
    """One whose answers have opened its window to 512."""
    machine = opened(SessionLimits(batch_rows=64, max_unanswered=1000))
    machine.submit(CommandColumns(client_order_id=np.arange(1, 449)), 0)
    sent = list(machine.step(Ticked(), 0).send)
    for answered in (64, 192, 448):
        assert sent[-1].end_no == answered + 1, "64, then twice as many each time"
        sent += machine.step(Reported(1, accepted(answered, answered)), 0).send
    assert machine.room == 512
    return machine


def test_what_a_busy_gateway_took_bounds_what_is_under_way_until_answers_widen_it() -> None:
    machine = widened()
    machine.submit(CommandColumns(client_order_id=np.arange(449, 849)), 0)
    machine.step(Ticked(), 0)
    machine.step(RefusalArrived(1, 449 + 160, Code.BUSY, "", True, 2), 0)
    assert machine.step(Ticked(), 2 * MS) == NOTHING, "160 were taken: now 120 may be under way"
    sent = machine.step(Reported(1, accepted(608, 608)), 2 * MS).send
    # 136 of the 160 answered make 256 of the window, half of what it was; of the other 24 an eighth counts.
    assert (sent[0].first_no, sum(parcel.count for parcel in sent)) == (449 + 160, 240), "all that there are"


def test_room_is_what_would_leave_at_once() -> None:
    machine = SessionMachine(Checkpoint(77), SessionLimits(batch_rows=4, max_unanswered=100))
    assert machine.room == 0, "there is no gateway yet"
    machine.step(Opened(), 0)
    machine.step(Welcomed(1, 1, 50, 0), 0)
    assert machine.room == 50
    machine.submit(CommandColumns(client_order_id=np.arange(1, 41)), 0)
    assert machine.room == 10
    assert opened(SessionLimits(max_unanswered=20), credit=50).room == 20
    machine = widened()
    machine.submit(CommandColumns(client_order_id=np.arange(449, 849)), 0)
    assert machine.room == 112
    machine.step(Ticked(), 0)
    machine.step(RefusalArrived(1, 449 + 160, Code.BUSY, "", True, 2), 0)
    assert machine.room == 0
    machine.step(Reported(1, accepted(848, 848)), 2 * MS)
    assert machine.room == 256 + (400 - 136 + 7) // 8


def test_pause_after_refusals_grows_until_something_is_answered() -> None:
    machine = opened()
    machine.submit(CommandColumns(count=4), 0)
    now, pauses = 0, []
    for _ in range(10):
        machine.step(Ticked(), now)
        machine.step(RefusalArrived(1, 1, Code.BUSY, "", True, 0), now)
        pauses.append((machine.deadline_ns - now) // MS)
        now = machine.deadline_ns
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 100, 100, 100]


def test_refusal_that_is_final_ends_the_session() -> None:
    machine = opened()
    effects = machine.step(RefusalArrived(1, 0, Code.SESSION_TAKEN_OVER, "another stream", False, 0), 0)
    assert effects.failure is not None
    assert effects.failure.code == Code.SESSION_TAKEN_OVER
    assert effects.disconnect == 1
    assert machine.submit(row(1), 0) is None


def test_duplicate_of_an_answered_command_is_not_handed_out_but_of_an_unanswered_one_is() -> None:
    machine = opened()
    machine.submit(CommandColumns(count=2), 0)
    machine.step(Ticked(), MS)
    machine.step(Reported(1, accepted(5, 1)), MS)
    batch = report((6, 0, 0, EventKind.DUPLICATE, 0, 1), (7, 0, 0, EventKind.DUPLICATE, 0, 2))
    reports = machine.step(Reported(1, batch), 0).reports
    assert reports is not None
    assert reports.session_no.tolist() == [2]
    assert machine.last_seen == ReportId(7)
    assert machine.unanswered == 0


def test_number_that_came_too_early_is_no_outcome_and_is_sent_again() -> None:
    machine = opened()
    machine.submit(CommandColumns(client_order_id=[1, 2, 3, 4]), 0)
    machine.step(Ticked(), 0)
    early = report((5, 0, 0, EventKind.REJECTED, Code.SESSION_OUT_OF_ORDER, 3))
    effects = machine.step(Reported(1, early), 0)
    assert (effects.reports, machine.unanswered) == (None, 4)
    (parcel,) = machine.step(Ticked(), machine.deadline_ns).send
    assert ids(parcel) == [1, 2, 3, 4]


def test_answer_to_a_number_never_sent_means_that_somebody_else_uses_the_session() -> None:
    machine = opened()
    machine.submit(row(1), 0)
    machine.step(Ticked(), MS)
    effects = machine.step(Reported(1, accepted(5, 8)), 0)
    assert effects.failure is not None
    assert "another process" in effects.failure.text


def taken_up(checkpoint: Checkpoint) -> SessionMachine:
    machine = SessionMachine(checkpoint, LIMITS, taken_up=True)
    connect = machine.step(Opened(), 0).connect
    assert connect is not None
    assert connect.asks_next_no
    machine.step(Welcomed(1, 1, 0, 0, next_number_follows=True), 0)
    return machine


def test_session_taken_up_may_number_once_the_gateway_has_said_how_far_it_had_come() -> None:
    machine = taken_up(Checkpoint(77))
    machine.step(Reported(1, accepted(9, 3)), 0)
    assert not machine.may_number, "more may be on their way"
    machine.step(Reported(1, accepted(11, 5)), 0)
    assert not machine.may_number
    machine.step(NextNumberReported(1, 6), 0)
    assert machine.may_number
    assert machine.submit(row(1), 0) == 6


def test_session_taken_up_waits_for_the_answers_to_its_former_owners_commands_in_flight() -> None:
    machine = taken_up(Checkpoint(77))
    machine.step(NextNumberReported(1, 4), 0)
    for number in (1, 2, 3):
        assert not machine.may_number
        machine.step(Reported(1, accepted(10 + number, number)), 0)
    assert machine.may_number
    assert machine.submit(row(1), 0) == 4


def test_session_taken_up_with_unanswered_commands_may_find_that_its_former_owner_went_on_after_the_checkpoint() -> (
    None
):
    before = opened()
    before.submit(CommandColumns(client_order_id=[1, 2, 3]), 0)
    before.step(Ticked(), MS)
    checkpoint = before.checkpoint()
    machine = taken_up(checkpoint)
    machine.step(NextNumberReported(1, 6), 0)
    assert not machine.may_number
    machine.step(Reported(1, accepted(9, 5)), 0)
    assert (machine.may_number, machine.unanswered, machine.submit(row(1), 0)) == (True, 0, 6)


def test_what_a_gateway_said_on_an_earlier_connection_does_not_count_on_the_next() -> None:
    machine = taken_up(Checkpoint(77))
    machine.step(NextNumberReported(1, 9), 0)
    machine.step(StreamEnded(1, "gone", 0), 0)
    machine.step(Ticked(), machine.deadline_ns)
    assert machine.step(NextNumberReported(1, 1), 0) == NOTHING
    machine.step(Welcomed(2, 1, 0, 0, next_number_follows=True), 0)
    assert not machine.may_number
    machine.step(NextNumberReported(2, 1), 0)
    assert machine.may_number


def test_checkpoint_that_counts_more_as_answered_than_the_engines_executed_fails_its_session() -> None:
    machine = taken_up(Checkpoint(77, next_no=9))
    failure = machine.step(NextNumberReported(1, 9, 3), 0).failure
    assert failure is not None
    assert failure.code == Code.SESSION_OUT_OF_ORDER
    assert "up to 8 as answered" in failure.text
    assert "only up to 3: it is a checkpoint of another cluster" in failure.text
    assert not machine.may_number


@pytest.mark.parametrize("executed_no", [8, 11, -1])
def test_checkpoint_that_the_engines_bear_out_goes_on(executed_no: int) -> None:
    machine = taken_up(Checkpoint(77, next_no=9))
    assert machine.step(NextNumberReported(1, 9, executed_no), 0) == NOTHING
    assert machine.may_number


def test_what_was_reported_after_the_engines_were_asked_is_not_held_against_the_checkpoint() -> None:
    machine = taken_up(Checkpoint(77))
    machine.step(Reported(1, accepted(9, 1)), 0)
    assert machine.step(NextNumberReported(1, 2, 0), 0) == NOTHING
    assert machine.submit(row(1), 0) == 2


def test_session_that_has_numbered_asks_no_more_and_is_not_held_up_by_a_reconnect() -> None:
    machine = taken_up(Checkpoint(77))
    machine.step(NextNumberReported(1, 1), 0)
    machine.submit(row(1), 0)
    machine.step(StreamEnded(1, "gone", 0), 0)
    connect = machine.step(Ticked(), machine.deadline_ns).connect
    assert connect is not None
    assert not connect.asks_next_no
    machine.step(Welcomed(2, 1, 0, 0), 0)
    assert machine.may_number


def test_late_command_of_a_former_owner_is_not_blamed_on_another_process_alone() -> None:
    machine = taken_up(Checkpoint(77))
    machine.step(NextNumberReported(1, 1), 0)
    machine.submit(row(1), 0)
    machine.step(Ticked(), MS)
    failure = machine.step(Reported(1, accepted(5, 8)), 0).failure
    assert failure is not None
    assert "a command of its former owner came late, or another process uses session 0x4d" in failure.text


def test_session_taken_up_from_an_old_checkpoint_goes_on_behind_what_was_executed() -> None:
    machine = SessionMachine(Checkpoint(77, 3, ReportId(4)), LIMITS)
    machine.step(Opened(), 0)
    machine.step(Reported(1, accepted(9, 6)), 0)
    assert machine.submit(row(1), 0) == 7


def test_checkpoint_holds_what_is_unanswered_and_survives_json() -> None:
    machine = opened()
    machine.submit(CommandColumns(client_order_id=[1, 2, 3, 4]), 0)
    machine.submit(DefineAccount(3, "three", unlimited_cash=True), 0)
    machine.step(Ticked(), 0)
    machine.step(Reported(1, accepted(9, 2)), 0)
    machine.submit(row(6), 0)
    saved = Checkpoint.from_json(machine.checkpoint().to_json())
    assert (saved.session_id, saved.next_no, saved.last_seen) == (77, 7, ReportId(9))
    again = SessionMachine(saved, LIMITS)
    again.step(Opened(), 0)
    sent = again.step(Welcomed(1, 1, 0, 0), 0).send
    assert [(parcel.first_no, parcel.count) for parcel in sent] == [(3, 2), (5, 1), (6, 1)]
    assert sent[1].body == DefineAccount(3, "three", unlimited_cash=True)


def test_connection_numbers_rise_whatever_the_clock_says_and_over_lives() -> None:
    machine = SessionMachine(Checkpoint(77), replace(LIMITS, cancel_on_disconnect_ms=100))
    assert [machine.number_connection(wall_ms) for wall_ms in (500, 500, 400, 900)] == [500, 501, 502, 900]
    again = SessionMachine(Checkpoint.from_json(machine.checkpoint().to_json()), LIMITS)
    assert again.number_connection(100) == 901, "also when it does not ask for it any more: it may have been closed"


def test_session_that_never_asked_for_cancel_on_disconnect_numbers_no_connection() -> None:
    machine = opened()
    assert machine.number_connection(500) == 0
    again = SessionMachine(Checkpoint.from_json(machine.checkpoint().to_json()), LIMITS)
    assert again.number_connection(500) == 0
    resumed = SessionMachine(Checkpoint(77, next_no=3), LIMITS, taken_up=True)
    assert resumed.number_connection(500) == 500, "an old checkpoint does not know what its session asked for since"


def test_checkpoint_without_a_connection_number_is_taken() -> None:
    fields = json.loads(Checkpoint(77, 3).to_json())
    del fields["connection"]
    assert Checkpoint.from_json(json.dumps(fields)) == Checkpoint(77, 3)


def test_damaged_checkpoint_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="not a session checkpoint"):
        Checkpoint.from_json('{"version": 1}')
    with pytest.raises(ValueError, match="version 2"):
        Checkpoint.from_json('{"version": 2}')
    for text in ("[" * 100_000, '{"version": ' + "9" * 5000 + "}", Checkpoint(77).to_json().replace("[]", '["A"]')):
        with pytest.raises(ValueError, match="not a session checkpoint"):
            Checkpoint.from_json(text)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("session_id", [0, -1, 2**64, "77", 77.0, True, None]),
        ("next_no", [0, -1, 2**64, "3", 3.5, 2]),
        ("last_seen", [[1, 2], [-1, 0, 0], [1, 2**32, 0], ["1", 0, 0], 5, None]),
        ("epoch", [-1, 2**64, "1"]),
        ("connection", [-1, 2**64, "1"]),
        ("unanswered", ["x", ["!"], ["AAAA"], ["/////w=="], [None], 5, "second before first"]),
    ],
)
def test_checkpoint_that_was_damaged_is_refused_when_it_is_read(name: str, values: list[object]) -> None:
    parcels = (Parcel(1, CommandColumns(account=1)), Parcel(2, CommandColumns(account=2)))
    good = json.loads(Checkpoint(77, 3, unanswered=parcels).to_json())
    assert Checkpoint.from_json(json.dumps(good)).next_no == 3
    for value in values:
        wrong = good["unanswered"][::-1] if value == "second before first" else value
        with pytest.raises(ValueError, match=r"not a session checkpoint|outside|not an administrative command|base64"):
            Checkpoint.from_json(json.dumps({**good, name: wrong}))


def test_closed_session_does_nothing_more() -> None:
    machine = opened()
    assert machine.step(Closed(), 0).disconnect == 1
    assert machine.submit(row(1), 0) is None
    assert machine.step(Ticked(), 10**12) == NOTHING


@dataclass
class World:
    """Two gateways that pass commands on in their own time, an engine, and connections that break as chance will."""

    machine: SessionMachine
    dice: random.Random
    now_ns: int = 0
    executed: list[int] = field(default_factory=list)
    history: list[tuple[int, ...]] = field(default_factory=list)
    seq: int = 0
    epoch: int = 1
    conn: int = 0
    expected: int = 1
    refused_at: int = 0
    to_gateway: list[Parcel] = field(default_factory=list)
    to_engine: list[list[tuple[int, int]]] = field(default_factory=lambda: [[], []])
    to_client: list[object] = field(default_factory=list)
    sent_history: int = 0
    gateway: int = 0
    handed_out: list[tuple[int, ...]] = field(default_factory=list)
    next_id: int = 1

    def quiet(self, most: int) -> bool:
        """Whether everything was submitted and answered, and nothing is on its way."""
        done = self.next_id > most and not self.machine.unanswered and self.sent_history == len(self.history)
        on_its_way = bool(self.to_client or self.to_gateway or any(self.to_engine))
        return done and bool(self.conn) and not on_its_way

    def step(self, event: object) -> None:
        effects = self.machine.step(event, self.now_ns)  # type: ignore[arg-type]
        if effects.disconnect:
            self.conn = 0
        if effects.connect is not None:
            self.connect(effects.connect)
        if self.conn:
            self.to_gateway.extend(effects.send)
        if effects.reports is not None:
            columns = [
                getattr(effects.reports, name).tolist() for name in ("seq", "index", "leg", "kind", "session_no")
            ]
            self.handed_out.extend(zip(*columns, strict=True))
        assert effects.failure is None

    def connect(self, connect: Connect) -> None:
        self.conn = connect.conn
        self.gateway = connect.address % 2
        self.expected, self.refused_at = connect.next_no, 0
        self.to_gateway, self.to_client = [], [Welcomed(self.conn, self.epoch, 8, 3)]
        last = (connect.last_seen.seq, connect.last_seen.index)
        self.sent_history = sum(1 for event in self.history if event[:2] <= last)

    def engine(self, gateway: int) -> None:
        number, command = self.to_engine[gateway].pop(0)
        self.seq += self.dice.choice((1, 1, 3))
        if number == len(self.executed) + 1:
            self.executed.append(command)
            self.history.append((self.seq, 0, 0, EventKind.ACCEPTED, 0, number))
            if self.dice.random() < 0.3:
                self.history.append((self.seq, 1, 0, EventKind.TRADE, 0, number))
                self.history.append((self.seq, 1, 1, EventKind.TRADE, 0, 0))
        elif number <= len(self.executed):
            self.history.append((self.seq, 0, 0, EventKind.DUPLICATE, 0, number))
        else:
            self.history.append((self.seq, 0, 0, EventKind.REJECTED, Code.SESSION_OUT_OF_ORDER, number))

    def gateway_takes(self) -> None:
        parcel = self.to_gateway.pop(0)
        for offset, command in enumerate(ids(parcel)):
            number = parcel.first_no + offset
            refuse = self.dice.random() < 0.05
            if number > self.expected or (refuse and number == self.expected):
                if not (number > self.expected and self.refused_at == self.expected):
                    self.refused_at = self.expected
                    code = Code.BUSY if refuse else Code.SESSION_GAP
                    self.to_client.append(RefusalArrived(self.conn, self.expected, code, "", True, 1))
                return
            self.expected = max(self.expected, number + 1)
            self.refused_at = 0
            self.to_engine[self.gateway].append((number, command))

    def gateway_reports(self) -> None:
        count = self.dice.randint(1, 4)
        rows = self.history[self.sent_history : self.sent_history + count]
        self.sent_history += len(rows)
        if rows:
            epoch = self.epoch - (1 if self.epoch > 1 and self.dice.random() < 0.05 else 0)
            batch = report(*rows, epoch=epoch)
            self.to_client.append(Reported(self.conn, batch))
            if self.dice.random() < 0.1:
                self.to_client.append(Reported(self.conn, batch))

    def client_reads(self) -> None:
        event = self.to_client.pop(0)
        self.step(event)
        if self.dice.random() < 0.05:
            self.step(event)

    def break_connection(self) -> None:
        conn, self.conn = self.conn, 0
        late = self.to_client[:2]
        self.step(StreamEnded(conn, "broken", self.dice.randrange(1_000_000)))
        for event in late:
            self.step(event)

    def submit(self, most: int) -> None:
        if self.next_id > most:
            return
        count = min(self.dice.choice((1, 1, 2, 5)), most + 1 - self.next_id)
        piece: object = row(self.next_id)
        if count > 1:
            piece = CommandColumns(client_order_id=np.arange(self.next_id, self.next_id + count, dtype=np.uint64))
        number = self.machine.submit(piece, self.now_ns)  # type: ignore[arg-type]
        if number is not None:
            assert number == self.next_id
            self.next_id += count

    def turn(self, most: int, *, faults: bool) -> None:
        self.now_ns += self.dice.choice((0, 100_000, 2 * MS))
        choices: list[Callable[[], None]] = [partial(self.submit, most)]
        if self.now_ns >= self.machine.deadline_ns:
            choices.append(partial(self.step, Ticked()))
        if self.conn:
            choices.append(self.gateway_reports)
            if self.to_gateway:
                choices.append(self.gateway_takes)
            if self.to_client:
                choices.append(self.client_reads)
            if faults and self.dice.random() < 0.1:
                choices.append(self.break_connection)
        for gateway in (0, 1):
            if self.to_engine[gateway]:
                choices.append(partial(self.engine, gateway))
        if faults and self.dice.random() < 0.01:
            self.epoch += 1
        self.dice.choice(choices)()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), most=st.integers(1, 60))
def test_whatever_connections_lose_repeat_or_delay_no_command_and_no_report_is_lost_or_doubled(
    seed: int, most: int
) -> None:
    world = World(SessionMachine(Checkpoint(77), LIMITS), random.Random(seed))
    world.step(Opened())
    for _ in range(most * 30):
        world.turn(most, faults=True)
    for _ in range(100_000):
        if world.quiet(most):
            break
        world.turn(most, faults=False)
    assert world.executed == list(range(1, most + 1))
    real = [event[:4] + event[5:] for event in world.history if event[3] in (EventKind.ACCEPTED, EventKind.TRADE)]
    assert world.handed_out == real
