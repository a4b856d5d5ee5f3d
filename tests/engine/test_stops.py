"""Stop, stop-limit and trailing stop orders, and their cascades."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventFlag, EventKind, OrderType, Phase, TimeInForce

ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
STOP, STOP_LIMIT, TRAILING = OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP


def stop(venue: Any, account: int, side: str, lots: int, at: int, cid: int = 0, limit: int = 0, **fields: Any) -> Any:
    order_type = STOP_LIMIT if limit else STOP
    return venue.new(account, side, lots, limit, cid=cid, order_type=order_type, stop_price_ticks=at, **fields)


def trade_at(venue: Any, price: int) -> Any:
    """Two unlimited orders that trade one lot at this price."""
    venue.new(HOUSE, "S", 1, price)
    return venue.new(HOUSE, "B", 1, price)


def kinds(events: list[Any]) -> list[tuple[EventKind, int]]:
    """(kind, client id) of each event."""
    return [(e.kind, e.client_order_id) for e in events]


def test_stop_waits_reserves_and_is_set_off_in_the_command_that_reaches_it(venue: Any) -> None:
    (event,) = stop(venue, ALICE, "B", 5, 105, cid=1)
    assert event.flags == EventFlag.WAITS
    assert venue.book() == ([], [])
    assert venue.cash_of(ALICE) == (100_000, 5 * 105 * 10)
    venue.new(BOB, "S", 9, 106, cid=2)
    assert kinds(trade_at(venue, 104)) == [(EventKind.ACCEPTED, 0), (EventKind.TRADE, 0)]
    events = trade_at(venue, 105)
    assert kinds(events)[2:] == [(EventKind.TRIGGERED, 1), (EventKind.TRADE, 1)]
    assert (events[2].previous_price_ticks, events[2].quantity_lots, events[2].session_no) == (105, 5, 0)
    assert (events[3].price_ticks, events[3].quantity_lots, events[3].session_no) == (106, 5, 0)
    assert venue.cash_of(ALICE) == (100_000 - 5 * 106 * 10, 0)


def test_stop_that_is_reached_when_it_comes_is_set_off_at_once(venue: Any) -> None:
    trade_at(venue, 100)
    events = stop(venue, ALICE, "S", 5, 100, cid=1)
    assert [(e.kind, e.code) for e in events] == [
        (EventKind.ACCEPTED, Code.OK),
        (EventKind.TRIGGERED, Code.OK),
        (EventKind.CANCELED, Code.NO_LIQUIDITY),
    ]
    assert venue.lots_of(ALICE) == (100, 0)


def test_stop_limit_rests_at_its_limit(venue: Any) -> None:
    stop(venue, ALICE, "S", 5, 95, cid=1, limit=94)
    assert venue.lots_of(ALICE) == (100, 5)
    events = trade_at(venue, 95)
    assert events[-1].kind == EventKind.TRIGGERED
    assert events[-1].flags == EventFlag.BOOKS
    assert venue.book() == ([], [(94, 5, 1)])


def test_cascade_goes_one_by_one_by_stop_price_then_age_buys_first(venue: Any) -> None:
    for cid, at in ((1, 103), (2, 102), (3, 102), (4, 101)):
        stop(venue, HOUSE, "B", 1, at, cid=cid)
    for price in (101, 102, 103, 104, 105):
        venue.new(BOB, "S", 1, price)
    events = venue.new(HOUSE, "B", 1, 101)
    assert kinds(events)[2:] == [
        (EventKind.TRIGGERED, 4),
        (EventKind.TRADE, 4),
        (EventKind.TRIGGERED, 2),
        (EventKind.TRADE, 2),
        (EventKind.TRIGGERED, 3),
        (EventKind.TRADE, 3),
        (EventKind.TRIGGERED, 1),
        (EventKind.TRADE, 1),
    ]
    assert [e.price_ticks for e in events if e.kind == EventKind.TRADE] == [101, 102, 103, 104, 105]


def test_sells_cascade_downwards(venue: Any) -> None:
    for cid, at in ((1, 97), (2, 98), (3, 99)):
        stop(venue, HOUSE, "S", 1, at, cid=cid)
    for price in (99, 98, 97, 96):
        venue.new(BOB, "B", 1, price)
    events = venue.new(HOUSE, "S", 1, 99)
    assert [cid for kind, cid in kinds(events) if kind == EventKind.TRIGGERED] == [3, 2, 1]


def test_stop_that_can_no_longer_be_paid_is_canceled_when_set_off(venue: Any) -> None:
    stop(venue, ALICE, "B", 90, 101, cid=1)
    venue.new(HOUSE, "S", 90, 130)
    events = trade_at(venue, 101)
    assert (events[-1].kind, events[-1].code) == (EventKind.CANCELED, Code.INSUFFICIENT_CASH)
    assert venue.cash_of(ALICE) == (100_000, 0)


def test_trailing_sell_follows_up_and_never_down(venue: Any) -> None:
    trade_at(venue, 100)
    venue.new(ALICE, "S", 5, cid=1, order_type=TRAILING, trail_ticks=3)
    for price, expected in ((104, 101), (102, 101), (106, 103), (104, 103)):
        trade_at(venue, price)
        assert venue.engine.order_by_client_id(ALICE, 1).stop_price_ticks == expected
    assert trade_at(venue, 103)[2].kind == EventKind.TRIGGERED


def test_trailing_buy_follows_down(venue: Any) -> None:
    venue.new(ALICE, "B", 5, cid=1, order_type=TRAILING, trail_ticks=3, stop_price_ticks=110)
    trade_at(venue, 100)
    assert venue.engine.order_by_client_id(ALICE, 1).stop_price_ticks == 103
    assert venue.cash_of(ALICE)[1] == 5 * 110 * 10
    assert trade_at(venue, 103)[2].kind == EventKind.TRIGGERED


@pytest.mark.parametrize(
    "fields",
    [
        {"order_type": STOP},
        {"order_type": STOP, "stop_price_ticks": 2**40},
        {"order_type": TRAILING},
        {"order_type": TRAILING, "trail_ticks": -1},
        {"order_type": TRAILING, "trail_ticks": 3},
        {"order_type": TRAILING, "trail_ticks": 3, "stop_price_ticks": -1},
    ],
)
def test_bad_stop_prices_are_refused(venue: Any, fields: dict[str, int]) -> None:
    """A trailing stop without a stop price needs a last price; there is none yet."""
    assert venue.new(HOUSE, "S", 1, **fields)[0].code == Code.BAD_STOP_PRICE


def test_waiting_stop_gets_another_stop_price_and_quantity(venue: Any) -> None:
    stop(venue, ALICE, "S", 5, 95, cid=1)
    assert venue.replace(ALICE, 1, 95, 4)[0].code == Code.BAD_PRICE
    assert venue.replace(ALICE, 1, 0, 4, stop_price_ticks=2**40)[0].code == Code.BAD_STOP_PRICE
    (less,) = venue.replace(ALICE, 1, 0, 4)
    assert (less.kind, less.flags, less.leaves_lots) == (EventKind.REPLACED, EventFlag.WAITS, 4)
    assert venue.lots_of(ALICE) == (100, 4)
    venue.replace(ALICE, 1, 0, 8, stop_price_ticks=97)
    assert venue.engine.order_by_client_id(ALICE, 1).stop_price_ticks == 97
    assert venue.lots_of(ALICE) == (100, 8)


def test_replaced_stop_whose_price_is_reached_already_is_set_off_at_once(venue: Any) -> None:
    trade_at(venue, 100)
    stop(venue, ALICE, "S", 5, 95, cid=1)
    events = venue.replace(ALICE, 1, 0, 5, stop_price_ticks=100)
    assert [e.kind for e in events] == [EventKind.REPLACED, EventKind.TRIGGERED, EventKind.CANCELED]


def test_waiting_stop_can_be_canceled(venue: Any) -> None:
    stop(venue, ALICE, "S", 5, 95, cid=1)
    assert venue.cancel(ALICE, 1)[0].kind == EventKind.CANCELED
    assert venue.lots_of(ALICE) == (100, 0)


def test_stops_wait_while_the_market_gathers_orders(venue: Any) -> None:
    trade_at(venue, 100)
    venue.phase(Phase.PRE_OPEN)
    (event,) = stop(venue, ALICE, "S", 5, 100, cid=1)
    assert event.kind == EventKind.ACCEPTED
    events = venue.phase(Phase.CONTINUOUS)
    assert [e.kind for e in events] == [EventKind.PHASE_CHANGED, EventKind.TRIGGERED, EventKind.CANCELED]


def test_waiting_gtd_stop_expires(venue: Any) -> None:
    stop(venue, ALICE, "S", 5, 95, cid=1, tif=TimeInForce.GTD, expire_ns=venue.now_ns + 100)
    (event,) = venue.tick(venue.now_ns + 100)
    assert (event.kind, event.code) == (EventKind.CANCELED, Code.EXPIRED)
