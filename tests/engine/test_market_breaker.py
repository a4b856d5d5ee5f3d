"""The market-wide breaker: levels of the index against the previous close."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import MARKET, CommandKind, EventKind, Phase

ACME, OTHER, OUTSIDE = 7, 8, 9
HOUSE = 9
DAY_NS = 86_400 * 10**9
US_LEVELS = {"level1_ppm": 70_000, "level2_ppm": 130_000, "level3_ppm": 200_000, "pause_ns": 900}


@pytest.fixture
def market(venue: Any, make_command: Any) -> Any:
    """ACME counts twice and OTHER once, both closed at 100; a third instrument is not in the index."""
    for number, name in ((OTHER, b"OTHER"), (OUTSIDE, b"OUTSIDE")):
        venue.define_instrument(number, name)
    for number, weight in ((ACME, 2), (OTHER, 1)):
        fields = {"instrument": number, "index_weight": weight, "close_price_ticks": 100}
        (event,) = venue.send(make_command(CommandKind.SET_INDEX, MARKET, **fields), session=0)
        assert event.kind == EventKind.INDEX_SET
    venue.send(make_command(CommandKind.SET_MARKET_BREAKER, MARKET, **US_LEVELS), session=0)
    return venue


def trade_at(venue: Any, price: int, instrument: int = ACME) -> list[Any]:
    venue.new(HOUSE, "S", 1, price, instrument=instrument)
    return list(venue.new(HOUSE, "B", 1, price, instrument=instrument))


def phases(venue: Any) -> list[int]:
    return [view.phase for view in venue.engine.instruments()]


def halts(events: list[Any]) -> list[tuple[int, int, int]]:
    return [(e.value, e.previous_value, e.until_ns) for e in events if e.kind == EventKind.MARKET_HALTED]


def test_level_one_halts_every_instrument_and_time_resumes_them(market: Any) -> None:
    assert not halts(trade_at(market, 90))  # the index is at 280 of 300
    (halt,) = halts(trade_at(market, 89))
    assert halt == (1, 0, market.now_ns + 900)
    assert phases(market) == [Phase.HALT] * 3
    assert market.new(HOUSE, "B", 1, 89, instrument=OUTSIDE)[0].code == Code.WRONG_PHASE
    market.tick(halt[2] - 1)
    assert phases(market) == [Phase.HALT] * 3
    market.tick(halt[2])
    assert phases(market) == [Phase.CONTINUOUS] * 3


def test_a_level_is_reached_once_a_day(market: Any) -> None:
    (halt,) = halts(trade_at(market, 89))
    market.tick(halt[2])
    assert not halts(trade_at(market, 88))
    (halt,) = halts(trade_at(market, 80))
    assert halt[:2] == (2, 1)
    market.now_ns = DAY_NS
    market.tick()
    assert halts(trade_at(market, 88))[0][:2] == (1, 0), "a new day has begun"


def test_level_three_closes_the_market_at_once(market: Any) -> None:
    (halt,) = halts(trade_at(market, 70))
    assert halt == (3, 0, 0)
    assert phases(market) == [Phase.CLOSED] * 3
    market.tick(market.now_ns + DAY_NS)
    assert phases(market) == [Phase.CLOSED] * 3


def test_no_schedule_but_the_operator_resumes_within_a_halt(market: Any) -> None:
    market.phase(Phase.VOLATILITY_AUCTION, OUTSIDE, next_value=Phase.CONTINUOUS, until_ns=market.now_ns + 50)
    market.phase(Phase.PRE_OPEN, OTHER, next_value=Phase.CONTINUOUS, until_ns=market.now_ns + 50)
    (halt,) = halts(trade_at(market, 89))
    market.tick(market.now_ns + 100)
    assert phases(market) == [Phase.HALT, Phase.PRE_OPEN, Phase.HALT]
    market.phase(Phase.CONTINUOUS, ACME)
    assert phases(market) == [Phase.CONTINUOUS, Phase.PRE_OPEN, Phase.HALT]
    market.tick(halt[2])
    assert phases(market) == [Phase.CONTINUOUS] * 3


def test_closing_sets_the_close_that_the_next_day_is_measured_from(market: Any) -> None:
    trade_at(market, 95)
    market.phase(Phase.CLOSED, 0)
    market.phase(Phase.CONTINUOUS, 0)
    assert not halts(trade_at(market, 85)), "of 290, 270 are left"
    assert halts(trade_at(market, 84))[0][0] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"level1_ppm": 20, "level2_ppm": 10, "pause_ns": 1},
        {"level1_ppm": 10, "level2_ppm": 10, "pause_ns": 1},
        {"level3_ppm": 10**6 + 1},
        {"level1_ppm": -1, "pause_ns": 1},
        {"level1_ppm": 1},
        {"level3_ppm": 1, "pause_ns": 1},
        {"pause_ns": 1},
    ],
)
def test_levels_that_make_no_sense_are_refused(market: Any, make_command: Any, fields: dict[str, int]) -> None:
    (event,) = market.send(make_command(CommandKind.SET_MARKET_BREAKER, MARKET, **fields), session=0)
    assert event.code == Code.BAD_DEFINITION


def test_no_levels_are_no_breaker(market: Any, make_command: Any) -> None:
    market.send(make_command(CommandKind.SET_MARKET_BREAKER, MARKET), session=0)
    assert not halts(trade_at(market, 1))
