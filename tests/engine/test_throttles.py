"""How many orders an instrument, and the market, takes."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import THROTTLE, CommandKind, EventKind

ACME, OTHER = 7, 8
ALICE, BOB, CAROL = 1, 2, 3
SECOND_NS = 10**9


@pytest.fixture
def set_throttle(venue: Any, make_command: Any) -> Any:
    """SET_THROTTLE of an instrument, or (0) the market."""

    def send(instrument: int, rate: int = 0, burst: int = 0) -> Any:
        fields = {"instrument": instrument, "orders_per_second": rate, "burst_orders": burst}
        (event,) = venue.send(make_command(CommandKind.SET_THROTTLE, THROTTLE, **fields), session=0)
        return event

    venue.define_instrument(OTHER, b"OTHER")
    venue.now_ns = 5 * SECOND_NS
    return send


def code(events: Any) -> int:
    found: int = events[0].code
    return found


def test_an_instrument_takes_a_burst_and_then_one_per_interval_of_whomever(venue: Any, set_throttle: Any) -> None:
    assert set_throttle(ACME, 1_000, 2).kind == EventKind.THROTTLE_SET
    outcomes = [code(venue.new(account, "B", 1, 10)) for account in (ALICE, BOB, CAROL)]
    assert outcomes == [Code.OK, Code.OK, Code.INSTRUMENT_THROTTLED]
    assert code(venue.new(CAROL, "B", 1, 10, instrument=OTHER)) == Code.OK
    venue.now_ns += SECOND_NS // 1_000
    assert [code(venue.new(CAROL, "B", 1, 10)) for _ in range(2)] == [Code.OK, Code.INSTRUMENT_THROTTLED]


def test_the_markets_throttle_counts_all_instruments_together(venue: Any, set_throttle: Any) -> None:
    set_throttle(0, 1_000, 2)
    outcomes = [code(venue.new(ALICE, "B", 1, 10, instrument=number)) for number in (ACME, OTHER, ACME)]
    assert outcomes == [Code.OK, Code.OK, Code.MARKET_THROTTLED]
    venue.define_instrument(9, b"NEW")
    assert code(venue.new(ALICE, "B", 1, 10, instrument=9)) == Code.MARKET_THROTTLED
    set_throttle(0)
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.OK


def test_the_instruments_throttle_is_asked_first_and_a_refusal_takes_no_token(venue: Any, set_throttle: Any) -> None:
    set_throttle(ACME, 1, 1)
    set_throttle(0, 1, 2)
    outcomes = [code(venue.new(ALICE, "B", 1, 10, instrument=number)) for number in (ACME, ACME, OTHER, ACME, OTHER)]
    throttled = Code.INSTRUMENT_THROTTLED
    assert outcomes == [Code.OK, throttled, Code.OK, throttled, Code.MARKET_THROTTLED]


def test_what_lessens_a_risk_needs_no_token(venue: Any, set_throttle: Any) -> None:
    venue.new(ALICE, "B", 5, 10, cid=1)
    venue.new(ALICE, "B", 5, 10, cid=2)
    set_throttle(ACME, 1, 1)
    assert code(venue.replace(ALICE, 1, 11, 5)) == Code.OK, "it takes the token"
    assert code(venue.replace(ALICE, 1, 12, 5)) == Code.INSTRUMENT_THROTTLED
    assert code(venue.replace(ALICE, 1, 11, 4)) == Code.OK, "it lessens"
    assert venue.cancel(ALICE, 2)[0].kind == EventKind.CANCELED
    assert venue.mass_cancel(ALICE)[-1].quantity_lots == 1


def test_post_only_is_asked_after_the_throttles(venue: Any, set_throttle: Any) -> None:
    venue.new(BOB, "S", 1, 10)
    set_throttle(ACME, 1, 1)
    venue.new(ALICE, "B", 1, 9)
    assert code(venue.new(ALICE, "B", 1, 10, flags=1)) == Code.INSTRUMENT_THROTTLED


@pytest.mark.parametrize(("rate", "burst"), [(1, 0), (0, 1), (-1, 1), (1, -1), (SECOND_NS + 1, 1), (1, SECOND_NS + 1)])
def test_throttles_that_make_no_sense_are_refused(set_throttle: Any, rate: int, burst: int) -> None:
    event = set_throttle(ACME, rate, burst)
    assert (event.kind, event.code) == (EventKind.ADMIN_REJECTED, Code.BAD_DEFINITION)
    assert set_throttle(77, 1, 1).code == Code.UNKNOWN_INSTRUMENT
