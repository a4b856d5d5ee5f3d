"""Bands, collars and breakers."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventKind, OrderType, Phase

ALICE, BOB, HOUSE = 1, 2, 9


def breaker(venue: Any, phase: Phase, ppm: int = 50_000, window_ns: int = 1_000, pause_ns: int = 5_000) -> Any:
    return venue.price_limits(
        breaker_ppm=ppm, breaker_window_ns=window_ns, breaker_pause_ns=pause_ns, breaker_phase=phase
    )


def trade_at(venue: Any, price: int) -> Any:
    venue.new(HOUSE, "S", 1, price)
    return venue.new(HOUSE, "B", 1, price)


def test_limits_outside_the_band_are_refused(venue: Any) -> None:
    (event,) = venue.price_limits(band_ppm=55_000)
    assert event.kind == EventKind.PRICE_LIMITS_SET
    assert venue.new(HOUSE, "B", 1, 1)[0].kind == EventKind.ACCEPTED, "no reference price, no band"
    venue.phase(Phase.CONTINUOUS, reference_price_ticks=100)
    for price in (94, 106):
        assert venue.new(ALICE, "B", 1, price)[0].code == Code.OUTSIDE_BAND
    for price in (95, 105):
        assert venue.new(ALICE, "B", 1, price, cid=price)[0].kind == EventKind.ACCEPTED
    assert venue.replace(ALICE, 95, 106, 1)[0].code == Code.OUTSIDE_BAND
    fields = {"order_type": OrderType.STOP_LIMIT, "stop_price_ticks": 100}
    assert venue.new(ALICE, "B", 1, 106, **fields)[0].code == Code.OUTSIDE_BAND


def test_market_order_trades_no_further_than_the_band(venue: Any) -> None:
    for price in (104, 106):
        venue.new(BOB, "S", 5, price)
    venue.price_limits(band_ppm=50_000)
    venue.phase(Phase.CONTINUOUS, reference_price_ticks=100)
    events = venue.new(HOUSE, "B", 10, order_type=OrderType.MARKET)
    assert [(e.kind, e.quantity_lots) for e in events[1:]] == [(EventKind.TRADE, 5), (EventKind.CANCELED, 5)]
    assert events[-1].code == Code.NO_LIQUIDITY


def test_collar_stops_fat_fingers_but_not_cheap_offers(venue: Any) -> None:
    venue.price_limits(collar_ppm=100_000)
    trade_at(venue, 100)
    assert venue.new(ALICE, "B", 1, 111)[0].code == Code.PRICE_COLLAR
    assert venue.new(ALICE, "S", 1, 89)[0].code == Code.PRICE_COLLAR
    for side, price in (("B", 110), ("B", 1), ("S", 111), ("S", 5_000)):
        assert venue.new(ALICE, side, 1, price)[0].kind == EventKind.ACCEPTED


@pytest.mark.parametrize("phase", [Phase.HALT, Phase.VOLATILITY_AUCTION])
def test_breaker_pauses_after_too_far_a_move_and_trading_resumes_by_itself(venue: Any, phase: Phase) -> None:
    breaker(venue, phase)
    trade_at(venue, 100)
    assert len(trade_at(venue, 105)) == 2
    events = trade_at(venue, 106)
    changed = events[-1]
    assert (changed.kind, changed.value, changed.session_id) == (EventKind.PHASE_CHANGED, phase, 0)
    assert changed.until_ns == venue.now_ns + 5_000
    assert venue.tick(changed.until_ns)[0].value == Phase.CONTINUOUS


def test_breakers_window_moves_on_with_stamped_time(venue: Any) -> None:
    breaker(venue, Phase.HALT)
    trade_at(venue, 100)
    venue.now_ns += 1_000
    assert len(trade_at(venue, 104)) == 2
    venue.now_ns += 1_000
    assert len(trade_at(venue, 108)) == 2, "measured from 104, where the new window begins"


def test_breaker_ends_a_cascade_of_stops(venue: Any) -> None:
    breaker(venue, Phase.HALT)
    for cid, at in ((1, 101), (2, 107)):
        venue.new(HOUSE, "B", 1, cid=cid, order_type=OrderType.STOP, stop_price_ticks=at)
    trade_at(venue, 100)
    venue.new(BOB, "S", 1, 107)
    events = trade_at(venue, 101)
    kinds = [e.kind for e in events[2:]]
    assert kinds == [EventKind.TRIGGERED, EventKind.TRADE, EventKind.PHASE_CHANGED]
    assert venue.engine.order_by_client_id(HOUSE, 2) is not None
    assert [e.kind for e in venue.phase(Phase.CONTINUOUS)][1] == EventKind.TRIGGERED


@pytest.mark.parametrize(
    "fields",
    [
        {"band_ppm": -1},
        {"band_ppm": 10**6 + 1},
        {"collar_ppm": 10**6 + 1},
        {"breaker_ppm": 1},
        {"breaker_ppm": 1, "breaker_window_ns": 1, "breaker_pause_ns": 1, "breaker_phase": Phase.CLOSED},
        {"breaker_ppm": 1, "breaker_window_ns": 2**50 + 1, "breaker_pause_ns": 1, "breaker_phase": Phase.HALT},
        {"breaker_phase": Phase.HALT},
    ],
)
def test_price_limits_that_make_no_sense_are_refused(venue: Any, fields: dict[str, int]) -> None:
    assert venue.price_limits(**fields)[0].code == Code.BAD_DEFINITION
