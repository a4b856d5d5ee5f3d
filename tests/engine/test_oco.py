"""One cancels the other: a limit order that becomes a market order at its stop price."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventFlag, EventKind, OrderType, Phase, TimeInForce

ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
ACCEPTED, TRADE, CANCELED, REPLACED, TRIGGERED = (
    EventKind.ACCEPTED,
    EventKind.TRADE,
    EventKind.CANCELED,
    EventKind.REPLACED,
    EventKind.TRIGGERED,
)


def oco(venue: Any, account: int, side: str, lots: int, price: int, stop: int, **fields: Any) -> Any:
    return venue.new(account, side, lots, price, order_type=OrderType.OCO, stop_price_ticks=stop, **fields)


def trade_at(venue: Any, price: int) -> Any:
    venue.new(HOUSE, "S", 1, price)
    return venue.new(HOUSE, "B", 1, price)


def kinds(events: Any) -> list[EventKind]:
    return [event.kind for event in events]


def test_it_rests_at_its_limit_and_trades_there(venue: Any) -> None:
    (event,) = oco(venue, ALICE, "S", 10, 110, 90, cid=1)
    assert (event.kind, event.flags, event.price_ticks, event.stop_price_ticks) == (ACCEPTED, EventFlag.BOOKS, 110, 90)
    assert venue.book() == ([], [(110, 10, 1)])
    assert kinds(venue.new(BOB, "B", 4, 110)) == [ACCEPTED, TRADE]
    assert venue.book() == ([], [(110, 6, 1)])


def test_an_oco_binds_its_lots_once(venue: Any) -> None:
    oco(venue, ALICE, "S", 100, 110, 90, cid=1)
    assert venue.lots_of(ALICE) == (100, 100)
    assert venue.new(ALICE, "S", 1, 120)[0].code == Code.INSUFFICIENT_POSITION
    oco(venue, BOB, "B", 10, 90, 110)
    assert venue.cash_of(BOB) == (100_000, 10 * 110 * 10), "a buy must be able to pay the dearer price"


def test_its_stop_price_takes_it_out_of_the_book_and_to_the_market(venue: Any) -> None:
    oco(venue, ALICE, "S", 10, 110, 90, cid=1)
    venue.new(BOB, "B", 4, 88)
    venue.new(BOB, "B", 9, 87)
    events = trade_at(venue, 90)
    assert kinds(events) == [ACCEPTED, TRADE, TRIGGERED, TRADE, TRADE]
    triggered = events[2]
    assert (triggered.price_ticks, triggered.previous_price_ticks, triggered.flags) == (110, 90, 0)
    assert (triggered.quantity_lots, triggered.session_no) == (10, 0)
    assert [(e.price_ticks, e.quantity_lots) for e in events[3:]] == [(88, 4), (87, 6)]
    assert venue.book() == ([(87, 3, 1)], [])
    assert venue.lots_of(ALICE) == (90, 0)
    assert venue.engine.open_orders(ALICE) == ()


def test_what_trades_at_the_limit_is_not_there_for_the_stop(venue: Any) -> None:
    oco(venue, ALICE, "S", 10, 110, 90, cid=1)
    venue.new(BOB, "B", 7, 110)
    venue.new(BOB, "B", 9, 88)
    events = trade_at(venue, 90)
    assert (events[2].kind, events[2].quantity_lots) == (TRIGGERED, 3)
    oco(venue, ALICE, "S", 10, 110, 80, cid=2)
    venue.new(BOB, "B", 10, 110)
    venue.mass_cancel(BOB)
    assert kinds(trade_at(venue, 80)) == [ACCEPTED, TRADE], "it was filled at its limit"


def test_what_the_market_does_not_take_is_canceled(venue: Any) -> None:
    oco(venue, ALICE, "B", 10, 90, 110, cid=1)
    venue.new(BOB, "S", 4, 111)
    events = trade_at(venue, 110)
    assert kinds(events)[2:] == [TRIGGERED, TRADE, CANCELED]
    assert (events[-1].code, events[-1].quantity_lots, events[-1].price_ticks) == (Code.NO_LIQUIDITY, 6, 0)
    assert venue.cash_of(ALICE) == (100_000 - 4 * 111 * 10, 0)


def test_a_buy_that_is_set_off_is_checked_against_what_the_market_costs(venue: Any) -> None:
    venue.new(HOUSE, "S", 90, 300)
    oco(venue, ALICE, "B", 90, 90, 110, cid=1)
    events = trade_at(venue, 110)
    assert kinds(events)[2:] == [TRIGGERED, CANCELED]
    assert events[-1].code == Code.INSUFFICIENT_CASH
    assert venue.cash_of(ALICE) == (100_000, 0)


def test_it_trades_on_entry_as_far_as_its_limit_goes_and_its_stop_may_be_reached_then(venue: Any) -> None:
    venue.new(BOB, "B", 4, 110)
    events = oco(venue, ALICE, "S", 10, 110, 90)
    assert kinds(events) == [ACCEPTED, TRADE]
    assert venue.book() == ([], [(110, 6, 1)])
    trade_at(venue, 95)
    venue.new(BOB, "B", 2, 94)
    events = oco(venue, ALICE, "S", 5, 100, 95)
    assert kinds(events) == [ACCEPTED, TRIGGERED, TRADE, CANCELED], "the last trade was at its stop price already"


def test_it_gathers_in_an_auction_and_is_set_off_after_it(venue: Any) -> None:
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=100)
    oco(venue, ALICE, "S", 5, 99, 95, cid=1)
    oco(venue, ALICE, "S", 5, 120, 98, cid=2)
    venue.new(BOB, "B", 3, 97)
    venue.new(BOB, "B", 5, 99)
    events = venue.phase(Phase.CONTINUOUS)
    assert kinds(events) == [EventKind.PHASE_CHANGED, TRADE]
    assert events[1].price_ticks == 99
    events = trade_at(venue, 98)
    assert kinds(events)[2:] == [TRIGGERED, TRADE, CANCELED]


@pytest.mark.parametrize(("side", "price", "stop"), [("B", 100, 100), ("B", 100, 99), ("S", 100, 100), ("S", 100, 101)])
def test_its_stop_price_lies_beyond_its_limit(venue: Any, side: str, price: int, stop: int) -> None:
    assert oco(venue, HOUSE, side, 1, price, stop)[0].code == Code.BAD_STOP_PRICE
    better = price + 5 if side == "B" else price - 5
    assert oco(venue, HOUSE, side, 1, price, better, cid=1)[0].kind == ACCEPTED
    assert venue.replace(HOUSE, 1, price, 1, stop_price_ticks=stop)[0].code == Code.BAD_STOP_PRICE
    assert venue.replace(HOUSE, 1, better, 1)[0].code == Code.BAD_STOP_PRICE


@pytest.mark.parametrize(
    "fields",
    [
        {"tif": TimeInForce.IOC},
        {"tif": TimeInForce.AT_CLOSE},
        {"flags": 1},
        {"flags": 2},
        {"display_lots": 1},
        {"min_lots": 1},
        {"trail_ticks": 1},
    ],
)
def test_what_it_can_not_be(venue: Any, fields: dict[str, int]) -> None:
    assert oco(venue, HOUSE, "B", 2, 90, 110, **fields)[0].code == Code.NOT_SUPPORTED


def test_its_prices_must_be_prices(venue: Any) -> None:
    assert oco(venue, HOUSE, "B", 2, 0, 110)[0].code == Code.BAD_PRICE
    assert oco(venue, HOUSE, "S", 2, 5, 0)[0].code == Code.BAD_STOP_PRICE
    assert oco(venue, HOUSE, "B", 2, 5, 2**40)[0].code == Code.BAD_STOP_PRICE


def test_a_replace_gives_it_new_prices_and_lessening_keeps_its_place(venue: Any) -> None:
    oco(venue, ALICE, "S", 10, 110, 90, cid=1)
    venue.new(BOB, "S", 5, 110, cid=2)
    (event,) = venue.replace(ALICE, 1, 110, 8)
    assert (event.kind, event.flags, event.stop_price_ticks) == (REPLACED, EventFlag.BOOKS, 90)
    (event,) = venue.replace(ALICE, 1, 110, 8, stop_price_ticks=80)
    assert (event.flags, event.stop_price_ticks) == (EventFlag.BOOKS | EventFlag.LOST_PRIORITY, 80)
    assert kinds(trade_at(venue, 90)) == [ACCEPTED, TRADE], "the old stop price is gone"
    venue.new(BOB, "B", 20, 70)
    events = venue.replace(ALICE, 1, 105, 8, stop_price_ticks=90)
    assert kinds(events) == [REPLACED, TRIGGERED, TRADE], "the last trade was at its new stop price"


def test_a_replace_that_crosses_trades_and_the_rest_keeps_its_stop(venue: Any) -> None:
    oco(venue, ALICE, "S", 10, 110, 90, cid=1)
    venue.new(BOB, "B", 4, 100)
    events = venue.replace(ALICE, 1, 100, 10)
    assert kinds(events) == [REPLACED, TRADE]
    assert venue.book() == ([], [(100, 6, 1)])
    venue.new(BOB, "B", 6, 85)
    assert kinds(trade_at(venue, 90))[2:] == [TRIGGERED, TRADE]


@pytest.mark.parametrize("how", ["cancel", "mass", "expiry", "day", "prevention", "fill"])
def test_whatever_ends_it_ends_its_stop(venue: Any, how: str) -> None:
    tif = {"expiry": TimeInForce.GTD, "day": TimeInForce.DAY}.get(how, TimeInForce.GTC)
    oco(venue, ALICE, "S", 10, 110, 90, cid=1, tif=tif, expire_ns=venue.now_ns + 50 if how == "expiry" else 0)
    if how == "cancel":
        venue.cancel(ALICE, 1)
    elif how == "mass":
        venue.mass_cancel(ALICE)
    elif how == "expiry":
        assert kinds(venue.tick(venue.now_ns + 60)) == [CANCELED]
    elif how == "day":
        venue.phase(Phase.CLOSED)
        venue.phase(Phase.CONTINUOUS)
    elif how == "prevention":
        venue.new(ALICE, "B", 1, 110, stp=2)
        venue.mass_cancel(ALICE)
    else:
        venue.new(BOB, "B", 10, 110)
    assert venue.engine.open_orders(ALICE) == ()
    assert kinds(trade_at(venue, 90)) == [ACCEPTED, TRADE]


def test_of_several_the_stops_order_decides(venue: Any) -> None:
    oco(venue, ALICE, "S", 1, 110, 90, cid=1)
    oco(venue, BOB, "S", 1, 109, 92, cid=2)
    venue.new(CAROL, "S", 1, cid=3, order_type=OrderType.STOP, stop_price_ticks=91)
    venue.new(HOUSE, "B", 5, 80)
    events = trade_at(venue, 90)
    assert [event.client_order_id for event in events if event.kind == TRIGGERED] == [2, 3, 1]
