"""Post-only, minimum quantity, good till date."""

from typing import Any

from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, OrderFlag, OrderType, TimeInForce

ALICE, BOB, HOUSE = 1, 2, 9


def test_post_only_is_refused_if_it_would_trade(venue: Any) -> None:
    venue.new(BOB, "S", 5, 100, flags=OrderFlag.HIDDEN)
    assert venue.new(ALICE, "B", 5, 100, flags=OrderFlag.POST_ONLY)[0].code == Code.WOULD_TRADE
    assert venue.new(ALICE, "B", 5, 99, cid=1, flags=OrderFlag.POST_ONLY)[0].kind == EventKind.ACCEPTED
    assert venue.replace(ALICE, 1, 100, 5)[0].code == Code.WOULD_TRADE
    assert venue.replace(ALICE, 1, 98, 5)[0].kind == EventKind.REPLACED
    assert venue.cash_of(ALICE) == (100_000, 4_900)


def test_minimum_is_met_at_once_or_the_order_ends(venue: Any) -> None:
    venue.new(BOB, "S", 5, 100, cid=1)
    events = venue.new(ALICE, "B", 10, 100, cid=2, min_lots=6)
    assert [(e.kind, e.code) for e in events] == [(EventKind.ACCEPTED, 0), (EventKind.CANCELED, Code.MIN_QUANTITY)]
    assert venue.book() == ([], [(100, 5, 1)])
    events = venue.new(ALICE, "B", 10, 100, cid=2, min_lots=5)
    assert [e.kind for e in events] == [EventKind.ACCEPTED, EventKind.TRADE]
    assert venue.book() == ([(100, 5, 1)], [])


def test_minimum_without_a_market_ends_the_order(venue: Any) -> None:
    assert venue.new(ALICE, "B", 10, 100, min_lots=1)[-1].code == Code.MIN_QUANTITY


def test_minimum_outside_the_quantity_is_refused(venue: Any) -> None:
    for lots in (-1, 11):
        assert venue.new(ALICE, "B", 10, 100, min_lots=lots)[0].code == Code.BAD_MINIMUM


def test_market_order_with_a_minimum(venue: Any) -> None:
    venue.new(BOB, "S", 5, 100)
    assert venue.new(ALICE, "B", 10, order_type=OrderType.MARKET, min_lots=6)[-1].code == Code.MIN_QUANTITY


def test_gtd_lives_until_the_tick_of_its_expiry(venue: Any) -> None:
    end = venue.now_ns + 1_000
    venue.new(ALICE, "B", 2, 99, cid=1, tif=TimeInForce.GTD, expire_ns=end + 5, session=200)
    venue.new(ALICE, "B", 1, 100, cid=2, tif=TimeInForce.GTD, expire_ns=end)
    assert venue.tick(end - 1) == []
    assert [(e.client_order_id, e.code, e.maker_session_id, e.session_id) for e in venue.tick(end + 5)] == [
        (2, Code.EXPIRED, 100, 0),
        (1, Code.EXPIRED, 200, 0),
    ]
    assert venue.cash_of(ALICE) == (100_000, 0)


def test_gtd_must_lie_ahead(venue: Any) -> None:
    for expire_ns in (0, -1, venue.now_ns + 1):
        assert venue.new(ALICE, "B", 2, 99, tif=TimeInForce.GTD, expire_ns=expire_ns)[0].code == Code.BAD_EXPIRY


def test_filled_gtd_order_does_not_expire(venue: Any) -> None:
    venue.new(ALICE, "B", 2, 99, tif=TimeInForce.GTD, expire_ns=venue.now_ns + 50)
    venue.new(BOB, "S", 2, 99)
    assert venue.tick(venue.now_ns + 100) == []
