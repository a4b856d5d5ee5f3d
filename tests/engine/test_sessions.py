"""Session numbering: each number is executed once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lockstep.engine.snapshot_format import SnapshotError, decode_snapshot, encode_snapshot
from lockstep.stream.codes import Code
from lockstep.stream.records import ADMIN, REMEMBERED_NUMBERS, CommandKind, EventKind

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
    assert (event.session_id, event.session_no, event.original_seq) == (100, 1, first.seq)
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
    assert (zero.kind, zero.original_seq) == (EventKind.DUPLICATE, 0)
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


def test_latest_8192_numbers_are_remembered_and_older_ones_forgotten(engine_type: Any, make_command: Make) -> None:
    engine = engine_type()
    rows = make_command(CommandKind.CANCEL, account=ALICE, session_id=100).repeat(REMEMBERED_NUMBERS + 1)
    rows["session_no"] = np.arange(1, len(rows) + 1)
    rows["client_order_id"] = np.arange(1, len(rows) + 1)
    for first in range(0, len(rows), 3_000):
        engine.apply(rows[first : first + 3_000], first_seq=first + 1, timestamp_ns=1)
        engine = engine_type.restore(engine.snapshot())
    answers = engine.apply(rows[[1, 0, -1]], first_seq=len(rows) + 1, timestamp_ns=1)
    assert answers["kind"].tolist() == [EventKind.DUPLICATE] * 3
    assert answers["original_seq"].tolist() == [2, 0, len(rows)]
    other = rows[[1, 0, -1]].copy()
    other["client_order_id"] += 1
    answers = engine.apply(other, first_seq=len(rows) + 4, timestamp_ns=1)
    assert answers["code"].tolist() == [Code.KEY_REUSED, Code.OK, Code.KEY_REUSED], "forgotten: not compared"
    assert engine.session_last_no(100) == len(rows)


@pytest.mark.parametrize(
    "field",
    ["side", "order_type", "tif", "stp", "flags", "account", "instrument", "client_order_id", "price_ticks",
     "stop_price_ticks", "quantity_lots", "display_lots", "min_lots", "expire_ns", "trail_ticks"],
)  # fmt: skip
def test_used_number_with_other_content_is_refused_and_changes_nothing(
    venue: Any, make_command: Make, field: str
) -> None:
    row = order(make_command, client_order_id=5)
    venue.send(row)
    before = venue.engine.snapshot()[20:]
    other = row.copy()
    other[field] += 1
    (event,) = venue.send(other, number=1)
    assert (event.kind, event.code, event.session_no) == (EventKind.REJECTED, Code.KEY_REUSED, 1)
    assert venue.engine.snapshot()[28:] == before[8:], "all but the seq and the time of the last command"
    (again,) = venue.send(row, number=1)
    assert again.kind == EventKind.DUPLICATE


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        (CommandKind.CANCEL, EventKind.CANCEL_REJECTED),
        (CommandKind.REPLACE, EventKind.REPLACE_REJECTED),
        (CommandKind.MASS_CANCEL, EventKind.REJECTED),
        (CommandKind.ADJUST_CASH, EventKind.ADMIN_REJECTED),
        (CommandKind.SET_PHASE, EventKind.ADMIN_REJECTED),
        (50, EventKind.REJECTED),
    ],
)
def test_other_command_under_a_used_number_is_refused_in_the_shape_of_its_own_refusals(
    venue: Any, make_command: Make, kind: int, refusal: EventKind
) -> None:
    venue.new(ALICE, "B", 1, 10)
    (event,) = venue.send(make_command(kind, account=ALICE, instrument=7), number=1)
    assert (event.kind, event.code, event.session_no) == (refusal, Code.KEY_REUSED, 1)
    assert len(venue.engine.open_orders(ALICE)) == 1


def test_refused_order_keeps_its_number_for_its_content(venue: Any, make_command: Make) -> None:
    row = order(make_command, account=99)
    refused = venue.send(row)[0]
    assert venue.send(row, number=1)[0].original_seq == refused.seq
    assert venue.send(order(make_command), number=1)[0].code == Code.KEY_REUSED


def test_what_the_way_adds_is_not_content(venue: Any, make_command: Make) -> None:
    """The same command by another gateway, admitted later, and as another way of sending it fills the record."""
    row = order(make_command, gateway=1, received_ns=5, tag=3)
    venue.send(row)
    row["gateway"], row["received_ns"], row["tag"], row["order_id"] = 2**16 - 1, 2**62, 4, 5
    assert venue.send(row, number=1)[0].kind == EventKind.DUPLICATE


def test_what_a_gateway_could_not_pass_on_is_compared_with_nothing(venue: Any, make_command: Make) -> None:
    """One gateway refuses what another passes on: their client said the same to both."""
    refused = make_command(CommandKind.REFUSED, account=ALICE, instrument=7, tag=int(Code.NOT_ENTITLED))
    venue.send(order(make_command))
    venue.send(refused)
    assert [venue.send(refused, number=1)[0].kind, venue.send(order(make_command), number=2)[0].kind] == [
        EventKind.DUPLICATE,
        EventKind.DUPLICATE,
    ]


def test_the_same_content_under_another_number_or_session_is_another_command(venue: Any, make_command: Make) -> None:
    row = order(make_command)
    assert [venue.send(row)[0].kind, venue.send(row)[0].kind, venue.send(row, session=7)[0].kind] == [
        EventKind.ACCEPTED
    ] * 3


def test_snapshot_with_too_few_outcomes_is_refused(venue: Any) -> None:
    for _ in range(3):
        venue.cancel(ALICE, 1)
    image = decode_snapshot(venue.engine.snapshot())
    (session,) = image.sessions
    short = encode_snapshot(replace(image, sessions=(session._replace(outcomes=session.outcomes[16:]),)))
    with pytest.raises(SnapshotError, match="outcomes"):
        type(venue.engine).restore(short)


def test_gateway_refusal_echoes_the_command(venue: Any, make_command: Make) -> None:
    row = make_command(CommandKind.REFUSED, account=3, instrument=7, client_order_id=44, tag=1006)
    (event,) = venue.send(row)
    assert (event.kind, event.code) == (EventKind.REJECTED, 1006)
    assert (event.account, event.instrument, event.client_order_id) == (3, 7, 44)


@pytest.mark.parametrize("tag", [0, 2**16, 2**64 - 1])
def test_gateway_refusal_with_a_tag_that_is_no_code_stops_nothing(venue: Any, make_command: Make, tag: int) -> None:
    assert venue.send(make_command(CommandKind.REFUSED, tag=tag))[0].code == Code.UNKNOWN_COMMAND


@pytest.mark.parametrize("kind", [0, 6, 63, 90, 127, 128, 191])
def test_unknown_kind_in_a_session_is_refused(venue: Any, make_command: Make, kind: int) -> None:
    (event,) = venue.send(make_command(kind))
    assert (event.kind, event.code) == (EventKind.REJECTED, Code.UNKNOWN_COMMAND)


@pytest.mark.parametrize("kind", [196, 255])
def test_unknown_control_kind_is_refused_without_a_session(venue: Any, make_command: Make, kind: int) -> None:
    assert venue.send(make_command(kind), session=0)[0].code == Code.UNKNOWN_COMMAND
