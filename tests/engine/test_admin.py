"""Definitions, deposits, and the sequencer's own words."""

from typing import Any

import pytest

from lockstep.engine.contract import InstrumentView
from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, CommandKind, EventKind

ACME = 7
ALICE, BOB, HOUSE = 1, 2, 9


def outcome(events: list[Any]) -> tuple[EventKind, int]:
    (event,) = events
    return event.kind, event.code


DEFINED = (EventKind.INSTRUMENT_DEFINED, 0)
ACCOUNT_DEFINED = (EventKind.ACCOUNT_DEFINED, 0)
BAD = (EventKind.ADMIN_REJECTED, Code.BAD_DEFINITION)
TAKEN = (EventKind.ADMIN_REJECTED, Code.ALREADY_DEFINED)


def test_instrument_is_defined_with_its_terms(bare_venue: Any) -> None:
    (event,) = bare_venue.define_instrument(3, b"XYZ", tick=10_000, lot=100)
    assert (event.kind, event.instrument, event.name) == (EventKind.INSTRUMENT_DEFINED, 3, b"XYZ")
    assert (event.tick_micros, event.lot_units) == (10_000, 100)
    assert bare_venue.engine.instruments() == (InstrumentView(3, "XYZ", 10_000, 100),)


def test_same_definition_again_is_answered_alike_and_changes_nothing(venue: Any) -> None:
    venue.new(ALICE, "B", 1, 100)
    assert outcome(venue.define_instrument(ACME, b"ACME", tick=5, lot=2)) == DEFINED
    assert outcome(venue.define_account(ALICE, b"alice")) == ACCOUNT_DEFINED
    assert venue.book() == ([(100, 1, 1)], [])
    assert venue.cash_of(ALICE)[0] == 100_000


@pytest.mark.parametrize(
    ("number", "name", "tick", "lot"),
    [(ACME, b"OTHER", 5, 2), (ACME, b"ACME", 6, 2), (ACME, b"ACME", 5, 1), (8, b"ACME", 5, 2)],
)
def test_instrument_id_and_name_are_taken_once(venue: Any, number: int, name: bytes, tick: int, lot: int) -> None:
    assert outcome(venue.define_instrument(number, name, tick=tick, lot=lot)) == TAKEN


@pytest.mark.parametrize(("number", "name", "flags"), [(ALICE, b"eve", 0), (ALICE, b"alice", 1), (5, b"alice", 0)])
def test_account_id_and_name_are_taken_once(venue: Any, number: int, name: bytes, flags: int) -> None:
    assert outcome(venue.define_account(number, name, flags)) == TAKEN


@pytest.mark.parametrize(
    ("number", "name", "tick", "lot"),
    [
        (0, b"A", 1, 1),
        (1, b"", 1, 1),
        (1, b"\x1fA", 1, 1),
        (1, b"A\x00B", 1, 1),
        (1, b"A\x7f", 1, 1),
        (1, "Ä".encode(), 1, 1),
        (1, b"A", 0, 1),
        (1, b"A", 1, 0),
        (1, b"A", -1, -1),
        (1, b"A", 2**20 + 1, 2**20),
        (1, b"A", I64_MAX, I64_MAX),
    ],
)
def test_impossible_instrument_is_refused(bare_venue: Any, number: int, name: bytes, tick: int, lot: int) -> None:
    assert outcome(bare_venue.define_instrument(number, name, tick=tick, lot=lot)) == BAD
    assert bare_venue.engine.instruments() == ()


@pytest.mark.parametrize(
    ("number", "name", "flags"), [(0, b"A", 0), (1, b"", 0), (1, b"\n", 0), (1, b"A", 5), (1, b"A", 8), (1, b"A", 32)]
)
def test_impossible_account_is_refused(bare_venue: Any, number: int, name: bytes, flags: int) -> None:
    assert outcome(bare_venue.define_account(number, name, flags)) == BAD
    assert bare_venue.engine.accounts() == ()


def test_longest_name_and_largest_unit_are_good(bare_venue: Any) -> None:
    assert outcome(bare_venue.define_instrument(2**32 - 1, b"N" * 32, tick=2**20, lot=2**20)) == DEFINED
    assert outcome(bare_venue.define_account(2**32 - 1, b"a name with ~", 3)) == ACCOUNT_DEFINED


def test_cash_adjustments_report_the_balance_after(venue: Any) -> None:
    (event,) = venue.pay_in(ALICE, 500)
    assert (event.kind, event.account, event.amount_micros) == (EventKind.CASH_ADJUSTED, ALICE, 100_500)
    assert venue.pay_in(ALICE, -100_500)[0].amount_micros == 0


def test_reserved_cash_cannot_be_withdrawn(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100)
    assert outcome(venue.pay_in(ALICE, -90_001)) == (EventKind.ADMIN_REJECTED, Code.INSUFFICIENT_CASH)
    assert venue.pay_in(ALICE, -90_000)[0].amount_micros == 10_000


def test_cash_adjustment_must_fit_64_bits(venue: Any) -> None:
    refusal = (EventKind.ADMIN_REJECTED, Code.OVERFLOW)
    assert outcome(venue.pay_in(ALICE, I64_MAX)) == refusal
    assert venue.pay_in(HOUSE, I64_MAX)[0].amount_micros == I64_MAX
    assert outcome(venue.pay_in(HOUSE, 1)) == refusal
    assert venue.pay_in(HOUSE, -I64_MAX)[0].amount_micros == 0
    assert outcome(venue.pay_in(HOUSE, -I64_MAX - 1)) == refusal
    assert venue.pay_in(HOUSE, -I64_MAX)[0].amount_micros == -I64_MAX


def test_position_adjustments_report_the_position_after_and_keep_reserved_lots(venue: Any) -> None:
    venue.new(ALICE, "S", 40, 100)
    assert venue.move_in(ALICE, -60)[0].quantity_lots == 40
    (event,) = venue.move_in(ALICE, -1)
    assert (event.kind, event.code) == (EventKind.ADMIN_REJECTED, Code.INSUFFICIENT_POSITION)
    assert venue.move_in(HOUSE, -5)[0].quantity_lots == -5


def test_adjustments_of_unknown_accounts_and_instruments_are_refused(venue: Any) -> None:
    assert outcome(venue.pay_in(99, 1)) == (EventKind.ADMIN_REJECTED, Code.UNKNOWN_ACCOUNT)
    assert outcome(venue.move_in(99, 1)) == (EventKind.ADMIN_REJECTED, Code.UNKNOWN_ACCOUNT)
    assert outcome(venue.move_in(ALICE, 1, 99)) == (EventKind.ADMIN_REJECTED, Code.UNKNOWN_INSTRUMENT)


@pytest.mark.parametrize(
    ("kind", "echo"),
    [
        (CommandKind.EPOCH_START, EventKind.EPOCH_STARTED),
        (CommandKind.GROW, EventKind.GROWN),
        (CommandKind.GROW_REVOKED, EventKind.GROW_WITHDRAWN),
    ],
)
def test_control_commands_are_passed_on_and_change_no_book(venue: Any, kind: CommandKind, echo: EventKind) -> None:
    fields = {"epoch": 2**40, "in_sync": 2**63 + 6, "primary": 1, "member": 3, "sequencer": 4, "cause": 5}
    before = (venue.engine.accounts(), venue.book())
    (event,) = venue.control(kind, **fields)
    assert event.kind == echo
    assert {name: getattr(event, name) for name in fields} == fields
    assert (venue.engine.accounts(), venue.book()) == before
