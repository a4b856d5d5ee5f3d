"""Mass cancel by account, instrument, session; kill switch; cancel on disconnect; account status."""

from typing import Any

import pytest

from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.stream.codes import Code
from lockstep.stream.records import AccountStatus, EventKind, MassCancelFlag, Side

ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
ACME, OTHER = 7, 8


@pytest.fixture
def busy(venue: Any) -> Any:
    """Orders 1-5 by client id: two accounts, two instruments, two sessions; 5 is a waiting stop order."""
    venue.define_instrument(OTHER, b"OTHER")
    venue.new(ALICE, "B", 1, 90, cid=1)
    venue.new(ALICE, "S", 1, 110, cid=2, session=200)
    venue.new(BOB, "B", 1, 90, cid=3)
    venue.new(BOB, "B", 1, 90, cid=4, instrument=OTHER, session=200)
    venue.new(ALICE, "B", 1, cid=5, order_type=3, stop_price_ticks=120)
    return venue


def canceled(events: list[Any], code: Code) -> list[int]:
    """Client ids in order; all canceled with this code, the end says how many."""
    *parts, end = events
    assert (end.kind, end.quantity_lots) == (EventKind.MASS_CANCELED, len(parts))
    assert all((e.kind, e.code) == (EventKind.CANCELED, code) for e in parts)
    return [e.client_order_id for e in parts]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"account": ALICE}, [1, 2, 5]),
        ({"instrument": ACME}, [1, 2, 3, 5]),
        ({"order_id": 200}, [2, 4]),
        ({"order_id": 200, "instrument": OTHER}, [4]),
        ({"instrument": ACME, "side": Side.SELL}, [2]),
        ({"account": BOB, "order_id": 100}, [3]),
    ],
)
def test_mass_cancel_takes_what_fits_all_that_is_given(busy: Any, fields: dict[str, int], expected: list[int]) -> None:
    terms = {"account": 0} | fields
    assert canceled(busy.mass_cancel(terms.pop("account"), **terms), Code.MASS_CANCEL) == expected


def test_mass_cancel_without_any_scope_is_refused(busy: Any) -> None:
    for fields in ({"account": 0}, {"account": 77, "instrument": ACME}, {"account": 0, "side": 1}):
        (event,) = busy.mass_cancel(fields.pop("account"), **fields)
        assert (event.kind, event.code) == (EventKind.REJECTED, Code.UNKNOWN_ACCOUNT)


def test_kill_switch_cancels_and_blocks_until_it_is_lifted(busy: Any) -> None:
    assert canceled(busy.mass_cancel(ALICE, flags=MassCancelFlag.BLOCK), Code.MASS_CANCEL) == [1, 2, 5]
    assert busy.engine.account(ALICE).status == AccountStatus.KILLED
    assert busy.new(ALICE, "B", 1, 90)[0].code == Code.ACCOUNT_KILLED
    (event,) = busy.status(ALICE, AccountStatus.ACTIVE)
    assert (event.kind, event.value, event.previous_value) == (EventKind.ACCOUNT_STATUS_SET, 0, AccountStatus.KILLED)
    assert busy.new(ALICE, "B", 1, 90)[0].kind == EventKind.ACCEPTED


def test_kill_switch_needs_an_account_and_leaves_a_ban(busy: Any) -> None:
    assert busy.mass_cancel(0, instrument=ACME, flags=1)[0].code == Code.NOT_SUPPORTED
    assert busy.mass_cancel(ALICE, flags=2)[0].code == Code.NOT_SUPPORTED
    busy.status(ALICE, AccountStatus.BANNED)
    busy.mass_cancel(ALICE, flags=1)
    assert busy.engine.account(ALICE).status == AccountStatus.BANNED


def opened(events: list[Any]) -> tuple[int, int, int, int]:
    """(session, its connection, the gateway that has it, the one before) of a SESSION_OPENED."""
    (event,) = events
    assert event.kind == EventKind.SESSION_OPENED
    return event.of_session, event.connection, event.value, event.previous_value


def test_disconnect_cancels_the_sessions_orders(busy: Any) -> None:
    assert opened(busy.open_session(200, gateway=3)) == (200, 1, 3, 0)
    assert canceled(busy.close_session(200, gateway=3), Code.DISCONNECTED) == [2, 4]
    assert canceled(busy.close_session(200, gateway=3), Code.DISCONNECTED) == []
    assert canceled(busy.close_session(999, gateway=3), Code.DISCONNECTED) == []


def test_session_that_no_gateway_has_keeps_its_orders(busy: Any) -> None:
    assert canceled(busy.close_session(200), Code.DISCONNECTED) == []
    assert canceled(busy.close_session(200, gateway=0, connection=0), Code.DISCONNECTED) == []


def test_gateway_that_a_session_left_cannot_close_it(busy: Any) -> None:
    busy.open_session(200, gateway=1, connection=1)
    assert opened(busy.open_session(200, gateway=2, connection=2)) == (200, 2, 2, 1)
    assert canceled(busy.close_session(200, gateway=1, connection=1), Code.DISCONNECTED) == []
    assert canceled(busy.close_session(200, gateway=1, connection=2), Code.DISCONNECTED) == []
    assert canceled(busy.close_session(200, gateway=2, connection=2), Code.DISCONNECTED) == [2, 4]


def test_earlier_connection_that_is_announced_late_changes_nothing(busy: Any) -> None:
    busy.open_session(200, gateway=1, connection=8)
    assert opened(busy.open_session(200, gateway=2, connection=7)) == (200, 8, 1, 1)
    assert opened(busy.open_session(200, gateway=2, connection=8)) == (200, 8, 1, 1)
    assert canceled(busy.close_session(200, gateway=2, connection=7), Code.DISCONNECTED) == []
    assert canceled(busy.close_session(200, gateway=2, connection=8), Code.DISCONNECTED) == []
    assert canceled(busy.close_session(200, gateway=1, connection=8), Code.DISCONNECTED) == [2, 4]


def test_connection_that_ended_at_its_own_gateway_does_not_end_the_next_one(busy: Any) -> None:
    busy.open_session(200, connection=2**64 - 2)
    busy.open_session(200, connection=2**64 - 1)
    assert canceled(busy.close_session(200, connection=2**64 - 2), Code.DISCONNECTED) == []
    assert canceled(busy.close_session(200, connection=2**64 - 1), Code.DISCONNECTED) == [2, 4]


def test_connection_without_a_number_opens_nothing(busy: Any) -> None:
    assert opened(busy.open_session(200, connection=0)) == (200, 0, 0, 0)
    assert decode_snapshot(busy.engine.snapshot()).owners == ()


def test_closed_session_is_opened_by_a_later_connection_only(busy: Any) -> None:
    busy.open_session(200, connection=5)
    busy.close_session(200, connection=5)
    assert decode_snapshot(busy.engine.snapshot()).owners == ((200, 5, 0),)
    assert canceled(busy.close_session(200, connection=5), Code.DISCONNECTED) == []
    assert opened(busy.open_session(200, connection=5)) == (200, 5, 0, 0)
    assert canceled(busy.close_session(200, connection=5), Code.DISCONNECTED) == []
    assert opened(busy.open_session(200, connection=6)) == (200, 6, 1, 0)
    assert decode_snapshot(busy.engine.snapshot()).owners == ((200, 6, 1),)
    busy.new(ALICE, "B", 1, 90, session=200)
    assert len(canceled(busy.close_session(200, connection=6), Code.DISCONNECTED)) == 1


def test_closed_session_takes_no_order_that_comes_late(busy: Any) -> None:
    """Whoever brings it cannot know that the session is closed, and nobody would cancel the order."""
    busy.open_session(200, gateway=2, connection=5)
    busy.close_session(200, gateway=2, connection=5)
    late = busy.new(ALICE, "B", 1, 90, session=200)
    assert [(event.kind, event.code) for event in late] == [(EventKind.REJECTED, Code.SESSION_CLOSED)]
    busy.engine = type(busy.engine).restore(busy.engine.snapshot())
    assert busy.new(ALICE, "B", 1, 90, session=200)[0].code == Code.SESSION_CLOSED
    assert busy.new(ALICE, "B", 1, 90, session=201)[0].kind == EventKind.ACCEPTED
    assert opened(busy.open_session(200, gateway=3, connection=4)) == (200, 5, 0, 0)
    assert busy.new(ALICE, "B", 1, 90, session=200)[0].code == Code.SESSION_CLOSED
    assert opened(busy.open_session(200, gateway=3, connection=6)) == (200, 6, 3, 0)
    assert busy.new(ALICE, "B", 1, 90, session=200)[0].kind == EventKind.ACCEPTED


def test_closed_session_takes_no_order_of_another_one_over(busy: Any) -> None:
    """A replace makes the order its own."""
    (other,) = busy.new(ALICE, "B", 1, 90, session=201)
    busy.open_session(200, connection=5)
    busy.close_session(200, connection=5)
    late = busy.replace(ALICE, 0, 91, 1, order_id=other.order_id, session=200)
    assert [(event.kind, event.code) for event in late] == [(EventKind.REPLACE_REJECTED, Code.SESSION_CLOSED)]
    assert busy.engine.order(other.order_id).session_id == 201
    busy.open_session(200, connection=6)
    assert busy.replace(ALICE, 0, 91, 1, order_id=other.order_id, session=200)[0].kind == EventKind.REPLACED


def test_order_of_a_closed_session_takes_its_number(busy: Any) -> None:
    busy.open_session(200, connection=5)
    busy.close_session(200, connection=5)
    before = busy.engine.session_last_no(200)
    assert busy.new(ALICE, "B", 1, 90, session=200)[0].code == Code.SESSION_CLOSED
    assert busy.engine.session_last_no(200) == before + 1


def test_connection_of_a_session_survives_a_snapshot(busy: Any) -> None:
    busy.open_session(200, gateway=2, connection=9)
    busy.engine = type(busy.engine).restore(busy.engine.snapshot())
    assert opened(busy.open_session(200, gateway=3, connection=8)) == (200, 9, 2, 2)
    assert canceled(busy.close_session(200, gateway=2, connection=9), Code.DISCONNECTED) == [2, 4]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (AccountStatus.RESTRICTED, Code.ACCOUNT_RESTRICTED),
        (AccountStatus.BANNED, Code.ACCOUNT_BANNED),
        (AccountStatus.KILLED, Code.ACCOUNT_KILLED),
    ],
)
def test_barred_account_may_only_cancel_and_lessen(venue: Any, status: AccountStatus, code: Code) -> None:
    venue.status(ALICE, status)
    assert venue.new(ALICE, "B", 2, 90)[0].code == code
    venue.status(ALICE, AccountStatus.ACTIVE)
    venue.new(ALICE, "B", 2, 90, cid=1)
    venue.new(ALICE, "B", 2, 90, cid=2)
    events = venue.status(ALICE, status)
    if status == AccountStatus.BANNED:
        assert [(e.kind, e.code) for e in events[1:]] == [(EventKind.CANCELED, Code.ACCOUNT_BLOCKED)] * 2
        return
    assert venue.replace(ALICE, 1, 91, 1)[0].code == code
    assert venue.replace(ALICE, 1, 90, 1)[0].kind == EventKind.REPLACED
    assert venue.cancel(ALICE, 2)[0].kind == EventKind.CANCELED


def test_close_only_account_may_only_lessen_its_position(venue: Any) -> None:
    venue.status(ALICE, AccountStatus.CLOSE_ONLY)
    assert venue.new(ALICE, "B", 1, 90)[0].code == Code.ACCOUNT_CLOSE_ONLY
    assert venue.new(ALICE, "S", 101, 110)[0].code == Code.ACCOUNT_CLOSE_ONLY
    assert venue.new(ALICE, "S", 60, 110, cid=1)[0].kind == EventKind.ACCEPTED
    assert venue.new(ALICE, "S", 41, 110)[0].code == Code.ACCOUNT_CLOSE_ONLY
    assert venue.replace(ALICE, 1, 110, 101)[0].code == Code.ACCOUNT_CLOSE_ONLY
    assert venue.replace(ALICE, 1, 110, 100)[0].kind == EventKind.REPLACED


def test_close_only_account_may_cover_what_it_is_short(venue: Any) -> None:
    venue.new(BOB, "B", 10, 100)
    venue.new(HOUSE, "S", 10, 100)
    venue.status(HOUSE, AccountStatus.CLOSE_ONLY)
    assert venue.new(HOUSE, "B", 6, 90)[0].kind == EventKind.ACCEPTED
    assert venue.new(HOUSE, "B", 5, 90)[0].code == Code.ACCOUNT_CLOSE_ONLY
    assert venue.new(HOUSE, "B", 4, 90)[0].kind == EventKind.ACCEPTED


def test_unknown_account_and_status_are_refused(venue: Any) -> None:
    assert venue.status(77, 0)[0].code == Code.UNKNOWN_ACCOUNT
    (event,) = venue.status(ALICE, 5)
    assert (event.kind, event.code) == (EventKind.ADMIN_REJECTED, Code.BAD_DEFINITION)
