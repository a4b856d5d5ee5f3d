"""An account's limits: each refusal with its own code, counted on stamped time."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, TimeInForce

ALICE, BOB, HOUSE = 1, 2, 9
DAY_NS = 86_400 * 10**9


def code(events: list[Any]) -> int:
    return int(events[0].code)


def test_order_size_and_worth_are_limited(venue: Any) -> None:
    (event,) = venue.limits(ALICE, max_order_lots=10, max_order_micros=5_000)
    assert event.kind == EventKind.RISK_LIMITS_SET
    assert code(venue.new(ALICE, "B", 11, 10)) == Code.ORDER_TOO_LARGE
    assert code(venue.new(ALICE, "B", 10, 51)) == Code.ORDER_WORTH_TOO_MUCH
    assert code(venue.new(ALICE, "B", 10, 50, cid=1)) == Code.OK
    assert code(venue.replace(ALICE, 1, 50, 11)) == Code.ORDER_TOO_LARGE
    assert code(venue.replace(ALICE, 1, 51, 10)) == Code.ORDER_WORTH_TOO_MUCH
    venue.limits(ALICE, max_order_lots=1, max_order_micros=1)
    assert code(venue.replace(ALICE, 1, 50, 9)) == Code.OK, "lessening is always allowed"


def test_position_with_all_open_orders_is_limited(venue: Any) -> None:
    venue.limits(ALICE, max_position_lots=105)
    assert code(venue.new(ALICE, "B", 5, 10, cid=1)) == Code.OK
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.POSITION_LIMIT
    assert code(venue.replace(ALICE, 1, 10, 6)) == Code.POSITION_LIMIT
    assert code(venue.replace(ALICE, 1, 11, 5)) == Code.OK


def test_short_position_is_limited_too(venue: Any) -> None:
    venue.limits(HOUSE, max_position_lots=10)
    assert code(venue.new(HOUSE, "S", 10, 100)) == Code.OK
    assert code(venue.new(HOUSE, "S", 1, 100)) == Code.POSITION_LIMIT


def test_orders_of_a_day_are_limited_and_refused_ones_do_not_count(venue: Any) -> None:
    venue.limits(ALICE, max_orders_per_day=2)
    for _ in range(2):
        assert code(venue.new(ALICE, "B", 10**6, 100)) == Code.INSUFFICIENT_CASH
        assert code(venue.new(ALICE, "B", 1, 10)) == Code.OK
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.DAILY_ORDER_LIMIT
    venue.now_ns = DAY_NS - 2
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.DAILY_ORDER_LIMIT
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.OK, "a new day has begun"


def test_rate_allows_a_burst_and_then_one_per_interval(venue: Any) -> None:
    venue.now_ns = 10**9
    venue.limits(ALICE, orders_per_second=1_000, burst_orders=3)
    assert [code(venue.new(ALICE, "B", 1, 10)) for _ in range(4)] == [0, 0, 0, Code.ORDER_RATE]
    venue.now_ns += 10**6
    assert [code(venue.new(ALICE, "B", 1, 10)) for _ in range(2)] == [0, Code.ORDER_RATE]
    venue.now_ns += 10**9
    assert [code(venue.new(ALICE, "B", 1, 10)) for _ in range(4)] == [0, 0, 0, Code.ORDER_RATE]


def test_orders_are_limited_by_trades(venue: Any) -> None:
    venue.limits(ALICE, max_orders_per_trade=2)
    outcomes = [code(venue.new(ALICE, "B", 1, 100)) for _ in range(3)]
    assert outcomes == [0, 0, Code.ORDER_TO_TRADE_RATIO]
    venue.new(BOB, "S", 1, 100)
    assert code(venue.new(ALICE, "B", 1, 100)) == Code.ORDER_TO_TRADE_RATIO, "one trade allows two orders"
    venue.new(BOB, "S", 1, 100)
    assert code(venue.new(ALICE, "B", 1, 100, tif=TimeInForce.IOC)) == Code.OK


def test_counters_go_on_when_limits_change_and_end_when_there_are_none(venue: Any) -> None:
    venue.limits(ALICE, max_orders_per_day=1)
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.OK
    venue.limits(ALICE, max_orders_per_day=1, max_order_lots=5)
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.DAILY_ORDER_LIMIT
    venue.limits(ALICE)
    venue.limits(ALICE, max_orders_per_day=1)
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.OK


@pytest.mark.parametrize(
    "fields",
    [
        {"max_order_lots": -1},
        {"orders_per_second": 1},
        {"burst_orders": 1},
        {"orders_per_second": 10**9 + 1, "burst_orders": 1},
        {"max_concentration_ppm": -1},
    ],
)
def test_limits_that_make_no_sense_are_refused(venue: Any, fields: dict[str, int]) -> None:
    (event,) = venue.limits(ALICE, **fields)
    assert (event.kind, event.code) == (EventKind.ADMIN_REJECTED, Code.BAD_DEFINITION)
    assert code(venue.limits(77)) == Code.UNKNOWN_ACCOUNT
