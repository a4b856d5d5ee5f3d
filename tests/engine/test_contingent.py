"""One triggers the other: orders that wait for the end of their parent; brackets."""

from typing import Any

import pytest

from lockstep.engine.driver import EngineDriver
from lockstep.engine.reference.order import MOST_WAITING
from lockstep.stream.codes import Code
from lockstep.stream.records import EventFlag, EventKind, OrderType, Phase, ReplaceFlag, TimeInForce

ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
ACCEPTED, TRADE, CANCELED, REDUCED, REPLACED, TRIGGERED = (
    EventKind.ACCEPTED,
    EventKind.TRADE,
    EventKind.CANCELED,
    EventKind.REDUCED,
    EventKind.REPLACED,
    EventKind.TRIGGERED,
)
Seen = list[tuple[EventKind, int, int]]


def trade_at(venue: Any, price: int) -> Any:
    venue.new(HOUSE, "S", 1, price)
    return venue.new(HOUSE, "B", 1, price)


def seen(events: Any) -> Seen:
    """(kind, client id, lots) of each event."""
    return [(event.kind, event.client_order_id, event.quantity_lots) for event in events]


def bracket(venue: Any, lots: int = 10, **fields: Any) -> None:
    """A buy at 100, then a sell at 110 that becomes a market order at 90; in an account without a share."""
    venue.define_account(5, b"eve")
    venue.pay_in(5, 100_000)
    assert venue.new(5, "B", lots, 100, cid=1)[0].kind == ACCEPTED
    (event,) = venue.new(5, "S", lots, 110, cid=2, parent_id=1, order_type=OrderType.OCO, stop_price_ticks=90, **fields)
    assert (event.kind, event.flags) == (ACCEPTED, EventFlag.WAITS)


def test_a_child_waits_and_binds_nothing(venue: Any) -> None:
    bracket(venue)
    assert venue.book() == ([(100, 10, 1)], [])
    assert venue.lots_of(5) == (0, 0)
    assert [view.client_order_id for view in venue.engine.open_orders(5)] == [1, 2]
    assert seen(venue.new(BOB, "S", 4, 100)) == [(ACCEPTED, 0, 4), (TRADE, 0, 4)], "the parent is not filled yet"


def test_a_filled_parent_lets_its_child_go(venue: Any) -> None:
    bracket(venue)
    venue.new(BOB, "S", 4, 100)
    events = venue.new(BOB, "S", 6, 100)
    assert seen(events) == [(ACCEPTED, 0, 6), (TRADE, 0, 6), (TRIGGERED, 2, 10)]
    assert (events[2].flags, events[2].previous_price_ticks, events[2].session_no) == (EventFlag.BOOKS, 0, 0)
    assert venue.book() == ([], [(110, 10, 1)])
    assert venue.lots_of(5) == (10, 10)
    venue.new(BOB, "B", 10, 88)
    assert seen(trade_at(venue, 90))[2:] == [(TRIGGERED, 2, 10), (TRADE, 2, 10)], "the stop of the bracket"


def test_a_child_has_no_more_lots_than_its_parent_traded(venue: Any) -> None:
    bracket(venue)
    venue.new(BOB, "S", 3, 100)
    events = venue.cancel(5, 1)
    assert seen(events) == [(CANCELED, 1, 7), (REDUCED, 2, 7), (TRIGGERED, 2, 3)]
    assert (events[1].code, events[1].leaves_lots, events[1].session_id) == (Code.PARENT_ENDED, 3, 0)
    assert venue.book() == ([], [(110, 3, 1)])


def test_a_child_of_a_parent_that_traded_nothing_ends_with_it(venue: Any) -> None:
    bracket(venue)
    events = venue.cancel(5, 1)
    assert seen(events) == [(CANCELED, 1, 10), (CANCELED, 2, 10)]
    assert (events[1].code, events[1].session_id, events[1].maker_session_id) == (Code.PARENT_ENDED, 0, 100)
    assert venue.engine.open_orders(5) == ()


def test_what_the_parent_traded_before_the_child_came_does_not_count(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(BOB, "S", 4, 100)
    venue.new(ALICE, "S", 10, 110, cid=2, parent_id=1)
    assert seen(venue.new(BOB, "S", 6, 100))[2:] == [(REDUCED, 2, 4), (TRIGGERED, 2, 6)]


def test_lots_that_were_lost_to_self_trade_prevention_were_not_traded(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(ALICE, "S", 10, 110, cid=2, parent_id=1)
    venue.new(ALICE, "S", 4, 100, stp=4)
    assert seen(venue.new(BOB, "S", 6, 100))[2:] == [(REDUCED, 2, 4), (TRIGGERED, 2, 6)]


@pytest.mark.parametrize("total", [False, True])
def test_a_parent_may_be_replaced(venue: Any, total: bool) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(ALICE, "S", 10, 120, cid=2, parent_id=1)
    venue.new(BOB, "S", 3, 100)
    venue.new(BOB, "S", 1, 105)
    lots = 9 if total else 6
    events = venue.replace(ALICE, 1, 105, lots, flags=64 * total)
    assert seen(events) == [(REPLACED, 1, 6), (TRADE, 1, 1)]
    assert venue.replace(ALICE, 1, 105, lots - 1, flags=64 * total)[0].kind == REPLACED
    left = venue.engine.order_by_client_id(ALICE, 1).leaves_lots
    events = venue.new(BOB, "S", left, 105)
    traded = 3 + 1 + left
    assert seen(events)[2:] == [(REDUCED, 2, 10 - traded), (TRIGGERED, 2, traded)]


def test_a_replace_that_ends_the_parent_lets_the_child_go(venue: Any) -> None:
    venue.new(ALICE, "B", 10, 100, cid=1)
    venue.new(ALICE, "S", 10, 120, cid=2, parent_id=1)
    venue.new(BOB, "S", 3, 100)
    assert seen(venue.replace(ALICE, 1, 100, 3, flags=64)) == [(CANCELED, 1, 7), (REDUCED, 2, 7), (TRIGGERED, 2, 3)]
    venue.new(ALICE, "B", 5, 101, cid=1)
    venue.new(ALICE, "S", 5, 121, cid=3, parent_id=1)
    venue.new(BOB, "S", 5, 102)
    assert seen(venue.replace(ALICE, 1, 102, 5)) == [(REPLACED, 1, 5), (TRADE, 1, 5), (TRIGGERED, 3, 5)]


def test_a_stop_may_be_a_parent_and_a_child(venue: Any) -> None:
    venue.new(ALICE, "B", 5, cid=1, order_type=OrderType.STOP, stop_price_ticks=105)
    venue.new(ALICE, "S", 5, cid=2, parent_id=1, order_type=OrderType.STOP, stop_price_ticks=95)
    venue.new(BOB, "S", 5, 106)
    events = trade_at(venue, 105)
    assert seen(events)[2:] == [(TRIGGERED, 1, 5), (TRADE, 1, 5), (TRIGGERED, 2, 5)]
    assert events[-1].flags == EventFlag.WAITS
    assert venue.lots_of(ALICE) == (105, 5)
    venue.new(BOB, "B", 5, 94)
    assert seen(trade_at(venue, 95))[2:] == [(TRIGGERED, 2, 5), (TRADE, 2, 5)]


def test_a_child_goes_at_once_where_it_can_and_others_follow(venue: Any) -> None:
    """A child's own trades fill another parent, whose child goes next."""
    venue.new(BOB, "B", 5, 99, cid=1)
    venue.new(BOB, "S", 5, 130, cid=2, parent_id=1)
    venue.new(ALICE, "B", 5, 100, cid=1)
    venue.new(ALICE, "S", 5, 99, cid=2, parent_id=1)
    events = venue.new(CAROL, "S", 5, 100, cid=9)
    assert seen(events) == [
        (ACCEPTED, 9, 5),
        (TRADE, 9, 5),
        (TRIGGERED, 2, 5),
        (TRADE, 2, 5),
        (TRIGGERED, 2, 5),
    ]
    assert [event.account for event in events[2:]] == [ALICE, ALICE, BOB]


def test_children_go_in_the_order_of_their_ids(venue: Any) -> None:
    venue.new(ALICE, "B", 9, 100, cid=1)
    for cid in (4, 3, 2):
        venue.new(ALICE, "S", 3, 110, cid=cid, parent_id=1)
    assert seen(venue.new(BOB, "S", 9, 100))[2:] == [(TRIGGERED, 4, 3), (TRIGGERED, 3, 3), (TRIGGERED, 2, 3)]


def test_a_child_that_its_account_can_not_carry_is_canceled_when_it_would_go(venue: Any) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1)
    venue.new(ALICE, "B", 1_000, 90, cid=2, parent_id=1)
    venue.new(ALICE, "S", 5, 120, cid=3, parent_id=1)
    events = venue.new(BOB, "S", 5, 100)
    assert seen(events)[2:] == [(REDUCED, 2, 995), (TRIGGERED, 2, 5), (TRIGGERED, 3, 5)]
    venue.new(CAROL, "S", 100, 10, cid=1)
    venue.new(CAROL, "S", 100, 12, cid=2, parent_id=1)
    events = venue.new(HOUSE, "B", 100, 10)
    assert (events[-1].kind, events[-1].code) == (CANCELED, Code.INSUFFICIENT_POSITION)


def test_an_account_that_was_barred_gets_no_child_to_the_market(venue: Any) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1)
    venue.new(ALICE, "S", 5, 120, cid=2, parent_id=1)
    venue.status(ALICE, 2)
    events = venue.new(BOB, "S", 5, 100)
    assert [(event.kind, event.code) for event in events[2:]] == [
        (TRIGGERED, Code.OK),
        (CANCELED, Code.ACCOUNT_RESTRICTED),
    ]


def test_a_child_waits_until_the_instrument_trades(venue: Any) -> None:
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=100)
    venue.new(ALICE, "B", 5, 100, cid=1)
    venue.new(ALICE, "S", 5, 120, cid=2, parent_id=1)
    venue.new(BOB, "S", 5, 100)
    events = venue.phase(Phase.CLOSED)
    assert [event.kind for event in events] == [EventKind.PHASE_CHANGED, TRADE]
    assert [view.client_order_id for view in venue.engine.open_orders(ALICE)] == [2]
    assert seen(venue.phase(Phase.CONTINUOUS)[1:]) == [(TRIGGERED, 2, 5)]


def test_a_tick_ends_with_ticked(venue: Any) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1, tif=TimeInForce.GTD, expire_ns=venue.now_ns + 50)
    venue.new(ALICE, "S", 5, 120, cid=2, parent_id=1)
    venue.new(BOB, "S", 2, 100)
    events = venue.tick(venue.now_ns + 60)
    assert seen(events) == [(CANCELED, 1, 3), (REDUCED, 2, 3), (TRIGGERED, 2, 2)]


def test_a_child_can_be_canceled_and_not_replaced(venue: Any) -> None:
    bracket(venue)
    assert venue.replace(5, 2, 111, 10)[0].code == Code.NOT_SUPPORTED
    assert seen(venue.cancel(5, 2)) == [(CANCELED, 2, 10)]
    assert seen(venue.new(BOB, "S", 10, 100)) == [(ACCEPTED, 0, 10), (TRADE, 0, 10)]


def test_a_mass_cancel_takes_parents_and_children(venue: Any) -> None:
    bracket(venue)
    events = venue.mass_cancel(5)
    assert seen(events)[:2] == [(CANCELED, 1, 10), (CANCELED, 2, 10)]
    assert (events[1].code, events[2].kind, events[2].quantity_lots) == (Code.MASS_CANCEL, EventKind.MASS_CANCELED, 2)


def test_the_end_of_the_day_takes_a_child_that_is_for_the_day(venue: Any) -> None:
    bracket(venue, tif=TimeInForce.DAY)
    assert [(event.kind, event.code) for event in venue.phase(Phase.CLOSED)[1:]] == [(CANCELED, Code.EXPIRED)]
    assert [view.client_order_id for view in venue.engine.open_orders(5)] == [1]


def test_who_can_not_be_a_parent(venue: Any) -> None:
    venue.define_instrument(8, b"OTHER")
    venue.new(ALICE, "B", 5, 100, cid=1)
    for cid in (2, 3, 4, 5):
        assert venue.new(ALICE, "S", 5, 110, cid=cid, parent_id=1)[0].kind == ACCEPTED
    assert venue.new(ALICE, "S", 5, 110, cid=6, parent_id=1)[0].code == Code.BAD_PARENT, "four are enough"
    venue.cancel(ALICE, 5)
    assert venue.new(ALICE, "S", 5, 110, cid=6, parent_id=2)[0].code == Code.BAD_PARENT, "it waits itself"
    assert venue.new(ALICE, "S", 5, 110, cid=6, parent_id=77)[0].code == Code.BAD_PARENT
    assert venue.new(BOB, "S", 5, 110, cid=6, parent_id=1)[0].code == Code.BAD_PARENT, "another account's"
    assert venue.new(ALICE, "B", 5, 110, cid=6, parent_id=1, instrument=8)[0].code == Code.BAD_PARENT
    assert venue.new(ALICE, "S", 5, 110, cid=6, parent_id=1)[0].kind == ACCEPTED


@pytest.mark.parametrize(
    "fields",
    [
        {"tif": TimeInForce.IOC},
        {"tif": TimeInForce.AT_CLOSE},
        {"flags": 1},
        {"display_lots": 1},
        {"min_lots": 1},
        {"order_type": OrderType.MARKET, "price_ticks": 0},
        {"order_type": OrderType.TRAILING_STOP, "price_ticks": 0, "trail_ticks": 3},
    ],
)
def test_what_a_child_can_not_be(venue: Any, fields: dict[str, int]) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1)
    assert venue.new(ALICE, "S", 5, 110, parent_id=1, **fields)[0].code == Code.NOT_SUPPORTED


def test_the_parents_name_is_what_a_session_number_stands_for(venue: Any, make_command: Any) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1)
    venue.new(ALICE, "S", 5, 110, cid=2, parent_id=1)
    terms = {
        "account": ALICE,
        "instrument": 7,
        "client_order_id": 2,
        "side": 2,
        "order_type": OrderType.LIMIT,
        "tif": TimeInForce.GTC,
        "price_ticks": 110,
        "quantity_lots": 5,
    }
    number = venue.numbers[100]
    same = make_command(1, **terms, parent_id=1)
    assert venue.send(same, number=number)[0].kind == EventKind.DUPLICATE
    assert venue.send(make_command(1, **terms), number=number)[0].code == Code.KEY_REUSED


def test_a_total_does_not_count_what_the_end_of_the_parent_took_off(venue: Any) -> None:
    """Nothing of the child has traded: a total of what it has left keeps that."""
    venue.new(HOUSE, "B", 10, 100, cid=1)
    venue.new(HOUSE, "S", 10, 110, cid=2, parent_id=1)
    venue.new(BOB, "S", 3, 100)
    assert seen(venue.cancel(HOUSE, 1))[1:] == [(REDUCED, 2, 7), (TRIGGERED, 2, 3)]
    (event,) = venue.replace(HOUSE, 2, 111, 3, flags=ReplaceFlag.TOTAL)
    assert (event.kind, event.leaves_lots) == (REPLACED, 3)


def test_an_account_has_a_bounded_number_of_waiting_children(engine_type: Any) -> None:
    driver = EngineDriver(engine_type(), session_id=3)
    put = driver.commands
    put.define_instrument(instrument=1, symbol="ONE", tick_micros=1)
    for number, name in ((1, "alice"), (2, "bob")):
        put.define_account(account=number, name=name, unlimited_cash=True, unlimited_positions=True)
    families = MOST_WAITING // 4

    def wait(account: int, family: int) -> None:
        put.limit(account=account, instrument=1, side="sell", price_ticks=99, quantity_lots=1, parent_id=1 + family)

    for number in range(families + 1):
        for account in (1, 2):
            own = number + 1
            put.limit(account=account, instrument=1, side="buy", price_ticks=9, quantity_lots=1, client_order_id=own)
    for number in range(MOST_WAITING):
        wait(1, number // 4)
    assert {event.kind for event in driver.events(10)} >= {ACCEPTED}
    wait(1, families)
    wait(2, families)
    put.cancel(account=1, client_order_id=1)
    wait(1, families)
    events = list(driver.events(20))
    refused = [event.code for event in events if event.kind == EventKind.REJECTED]
    assert refused == [Code.TOO_MANY_CHILDREN], "of this account, and no more once some have ended"
