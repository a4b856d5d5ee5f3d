"""Session numbering: each number is executed once."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import ADMIN, CommandKind, EventKind

ALICE = 1
Make = Callable[..., Any]


def order(make_command: Make, **fields: Any) -> Any:
    terms = {"account": ALICE, "instrument": 7, "side": 1, "order_type": 1, "tif": 2, "price_ticks": 10}
    return make_command(CommandKind.NEW_ORDER, **(terms | {"quantity_lots": 1} | fields))


def test_numbers_count_from_one_per_session(venue: Any) -> None:
    assert venue.new(ALICE, "B", 1, 10, session=100)[0].session_no == 1
    assert venue.new(ALICE, "B", 1, 10, session=101)[0].session_no == 1
    assert venue.new(ALICE, "B", 1, 10, session=100)[0].session_no == 2
    assert [venue.engine.session_last_no(session) for session in (100, 101, 102)] == [2, 1, 0]


def test_repeated_number_points_to_the_original_outcome_and_does_nothing(venue: Any, make_command: Make) -> None:
    first = venue.new(ALICE, "B", 1, 10, cid=5)[0]
    venue.new(ALICE, "B", 1, 11)
    book = venue.book()
    (event,) = venue.send(order(make_command, client_order_id=5), number=1)
    assert event.kind == EventKind.DUPLICATE
    assert (event.session_id, event.session_no, event.previous_price_ticks) == (100, 1, first.seq)
    assert venue.book() == book
    assert venue.engine.session_last_no(100) == 2


def test_number_beyond_the_next_is_refused_and_leaves_the_session_where_it_was(venue: Any, make_command: Make) -> None:
    venue.new(ALICE, "B", 1, 10)
    (event,) = venue.send(order(make_command), number=3)
    assert (event.kind, event.code) == (EventKind.REJECTED, Code.SESSION_OUT_OF_ORDER)
    assert venue.engine.session_last_no(100) == 1
    assert venue.new(ALICE, "B", 1, 10)[0].kind == EventKind.ACCEPTED


def test_first_number_of_a_session_must_be_one(venue: Any, make_command: Make) -> None:
    digest_sessions = venue.engine.session_last_no(55)
    (high,) = venue.send(order(make_command), session=55, number=2)
    (zero,) = venue.send(order(make_command), session=55, number=0)
    assert high.code == Code.SESSION_OUT_OF_ORDER
    assert (zero.kind, zero.previous_price_ticks) == (EventKind.DUPLICATE, 0)
    assert venue.engine.session_last_no(55) == digest_sessions == 0


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        (CommandKind.NEW_ORDER, EventKind.REJECTED),
        (CommandKind.CANCEL, EventKind.CANCEL_REJECTED),
        (CommandKind.REPLACE, EventKind.REPLACE_REJECTED),
        (CommandKind.MASS_CANCEL, EventKind.REJECTED),
        (CommandKind.REFUSED, EventKind.REJECTED),
        (CommandKind.ADJUST_CASH, EventKind.ADMIN_REJECTED),
    ],
)
def test_out_of_order_is_refused_in_the_shape_of_the_command(
    venue: Any, make_command: Make, kind: CommandKind, refusal: EventKind
) -> None:
    (event,) = venue.send(make_command(kind, account=ALICE), number=9)
    assert (event.kind, event.code, event.session_no) == (refusal, Code.SESSION_OUT_OF_ORDER, 9)


def test_order_command_without_a_session_is_refused(venue: Any, make_command: Make) -> None:
    (event,) = venue.send(order(make_command), session=0)
    assert (event.kind, event.code) == (EventKind.REJECTED, Code.SESSION_OUT_OF_ORDER)


def test_admin_command_runs_numbered_in_a_session_and_unnumbered_without(venue: Any, make_command: Make) -> None:
    row = make_command(CommandKind.ADJUST_CASH, ADMIN, account=ALICE, amount_micros=5)
    assert venue.send(row, session=0)[0].amount_micros == 100_005
    assert venue.send(row)[0].amount_micros == 100_010
    assert venue.send(row, number=1)[0].kind == EventKind.DUPLICATE
    assert venue.cash_of(ALICE)[0] == 100_010


def test_refused_commands_take_their_number(venue: Any, make_command: Make) -> None:
    assert venue.new(99, "B", 1, 10)[0].code == Code.UNKNOWN_ACCOUNT
    assert venue.send(make_command(CommandKind.REFUSED, tag=int(Code.NOT_ENTITLED)))[0].code == Code.NOT_ENTITLED
    assert venue.send(make_command(50))[0].code == Code.UNKNOWN_COMMAND
    assert venue.engine.session_last_no(100) == 3


def test_last_256_outcomes_are_remembered_and_older_ones_forgotten(venue: Any, make_command: Make) -> None:
    start = venue.engine.last_seq
    for _ in range(257):
        venue.cancel(ALICE, 1)
    oldest_known = venue.send(order(make_command), number=2)[0]
    forgotten = venue.send(order(make_command), number=1)[0]
    assert oldest_known.previous_price_ticks == start + 2
    assert (forgotten.kind, forgotten.previous_price_ticks) == (EventKind.DUPLICATE, 0)


def test_gateway_refusal_echoes_the_command(venue: Any, make_command: Make) -> None:
    row = make_command(CommandKind.REFUSED, account=3, instrument=7, client_order_id=44, tag=1006)
    (event,) = venue.send(row)
    assert (event.kind, event.code) == (EventKind.REJECTED, 1006)
    assert (event.account, event.instrument, event.client_order_id) == (3, 7, 44)


@pytest.mark.parametrize("tag", [0, 2**16, 2**64 - 1])
def test_gateway_refusal_with_a_tag_that_is_no_code_stops_nothing(venue: Any, make_command: Make, tag: int) -> None:
    assert venue.send(make_command(CommandKind.REFUSED, tag=tag))[0].code == Code.UNKNOWN_COMMAND


@pytest.mark.parametrize("kind", [0, 6, 63, 79, 127, 128, 191])
def test_unknown_kind_in_a_session_is_refused(venue: Any, make_command: Make, kind: int) -> None:
    (event,) = venue.send(make_command(kind))
    assert (event.kind, event.code) == (EventKind.REJECTED, Code.UNKNOWN_COMMAND)


@pytest.mark.parametrize("kind", [196, 255])
def test_unknown_control_kind_is_refused_without_a_session(venue: Any, make_command: Make, kind: int) -> None:
    assert venue.send(make_command(kind), session=0)[0].code == Code.UNKNOWN_COMMAND
