"""Orders for the next auction of any kind, and orders that end when trading is halted."""

from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventFlag, EventKind, OrderFlag, OrderType, Phase, TimeInForce

ALICE, BOB, HOUSE = 1, 2, 9
GFA = TimeInForce.GOOD_FOR_AUCTION
ON_HALT = int(OrderFlag.CANCEL_ON_HALT)
AUCTIONS = (Phase.OPENING_AUCTION, Phase.VOLATILITY_AUCTION, Phase.CLOSING_AUCTION)


def ended(events: list[SimpleNamespace]) -> list[tuple[int, int]]:
    """(client id, code) of the orders that were canceled."""
    return [(event.client_order_id, event.code) for event in events if event.kind == EventKind.CANCELED]


@pytest.mark.parametrize("auction", AUCTIONS)
def test_an_order_for_auctions_waits_for_the_next_one_and_ends_with_it(venue: Any, auction: Phase) -> None:
    (event,) = venue.new(ALICE, "B", 5, 100, cid=1, tif=GFA)
    assert (event.kind, event.flags) == (EventKind.ACCEPTED, EventFlag.WAITS)
    assert venue.cash_of(ALICE)[1] == 5_000, "what it needs is bound"
    assert venue.book() == ([], [])
    venue.new(HOUSE, "S", 2, 100, cid=2)
    assert ended(venue.phase(auction)) == []
    assert venue.book() == ([(100, 5, 1)], [(100, 2, 1)])
    events = venue.phase(Phase.CONTINUOUS)
    assert [event.kind for event in events][1:] == [EventKind.TRADE, EventKind.CANCELED]
    assert ended(events) == [(1, Code.AUCTION_ENDED)]
    assert venue.cash_of(ALICE)[1] == 0


def test_it_goes_into_an_auction_that_runs_at_once(venue: Any) -> None:
    venue.phase(Phase.PRE_OPEN)
    (event,) = venue.new(ALICE, "B", 5, 100, cid=1, tif=GFA)
    assert event.flags == EventFlag.BOOKS
    assert ended(venue.phase(Phase.OPENING_AUCTION)) == []
    assert ended(venue.phase(Phase.CONTINUOUS)) == [(1, Code.AUCTION_ENDED)]


def test_one_that_waits_stays_when_trading_merely_goes_on(venue: Any) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1, tif=GFA)
    assert ended(venue.phase(Phase.CONTINUOUS)) == []
    assert ended(venue.phase(Phase.HALT)) == []
    assert ended(venue.phase(Phase.CLOSED)) == [(1, Code.AUCTION_ENDED)]


def test_a_market_order_may_be_for_the_next_auction(venue: Any) -> None:
    venue.new(HOUSE, "S", 3, cid=1, tif=GFA)
    venue.new(ALICE, "B", 3, 90, cid=2)
    venue.phase(Phase.VOLATILITY_AUCTION)
    (_, traded) = venue.phase(Phase.CONTINUOUS)
    assert (traded.kind, traded.price_ticks, traded.quantity_lots) == (EventKind.TRADE, 90, 3)


def test_those_for_the_close_wait_on_while_those_for_any_auction_go(venue: Any) -> None:
    venue.new(ALICE, "B", 1, 100, cid=1, tif=TimeInForce.AT_CLOSE)
    venue.new(ALICE, "B", 2, 100, cid=2, tif=GFA)
    venue.new(ALICE, "B", 3, 100, cid=3, tif=GFA)
    venue.phase(Phase.VOLATILITY_AUCTION)
    assert venue.book() == ([(100, 5, 2)], [])
    assert [order.client_order_id for order in venue.engine.queue(7, 1, 100, 9).orders] == [2, 3]
    assert ended(venue.phase(Phase.CONTINUOUS)) == [(2, Code.AUCTION_ENDED), (3, Code.AUCTION_ENDED)]
    venue.phase(Phase.CLOSING_AUCTION)
    assert venue.book() == ([(100, 1, 1)], [])


def test_it_may_be_replaced_while_it_waits_and_is_not_taken_in_a_halt(venue: Any) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1, tif=GFA)
    (event,) = venue.replace(ALICE, 1, 101, 6)
    assert (event.kind, event.flags) == (EventKind.REPLACED, EventFlag.WAITS | EventFlag.LOST_PRIORITY)
    venue.phase(Phase.HALT)
    assert venue.new(ALICE, "B", 5, 100, tif=GFA)[0].code == Code.WRONG_PHASE
    assert venue.new(ALICE, "B", 5, 100, tif=GFA, flags=1)[0].code == Code.NOT_SUPPORTED


@pytest.mark.parametrize("phase", [Phase.HALT, Phase.VOLATILITY_AUCTION])
def test_an_order_ends_with_a_halt_if_it_says_so(venue: Any, phase: Phase) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1, flags=ON_HALT)
    venue.new(ALICE, "B", 5, 100, cid=2)
    venue.new(HOUSE, "S", 5, cid=3, order_type=OrderType.STOP, stop_price_ticks=80, flags=ON_HALT)
    venue.new(HOUSE, "S", 5, 120, cid=4, order_type=OrderType.OCO, stop_price_ticks=80, flags=ON_HALT)
    assert ended(venue.phase(phase)) == [(1, Code.HALTED), (3, Code.HALTED), (4, Code.HALTED)]
    assert venue.book() == ([(100, 5, 1)], [])
    assert ended(venue.phase(phase)) == []


@pytest.mark.parametrize("phase", [Phase.PRE_OPEN, Phase.CLOSING_AUCTION, Phase.CONTINUOUS])
def test_other_phases_do_not_end_it(venue: Any, phase: Phase) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1, flags=ON_HALT)
    assert ended(venue.phase(phase)) == []


def test_a_breaker_ends_it_and_a_fill_or_cancel_before_does_not_count(venue: Any) -> None:
    venue.price_limits(breaker_ppm=50_000, breaker_window_ns=1_000, breaker_pause_ns=500, breaker_phase=Phase.HALT)
    venue.new(ALICE, "B", 1, 100, cid=1, flags=ON_HALT)
    venue.new(ALICE, "B", 1, 50, cid=2, flags=ON_HALT)
    venue.new(ALICE, "B", 1, 40, cid=3, flags=ON_HALT)
    venue.cancel(ALICE, 3)
    venue.new(HOUSE, "S", 1, 100)
    venue.new(HOUSE, "B", 1, 90, cid=4, flags=ON_HALT)
    events = venue.new(HOUSE, "S", 1, 90)
    assert ended(events) == [(2, Code.HALTED)]


@pytest.mark.parametrize(
    "terms",
    [
        {"tif": TimeInForce.IOC},
        {"tif": TimeInForce.AT_CLOSE},
        {"tif": GFA},
        {"order_type": OrderType.STOP, "price_ticks": 0, "stop_price_ticks": 90, "flags": ON_HALT | 1},
        {"order_type": OrderType.MARKET, "price_ticks": 0, "tif": TimeInForce.DAY},
        {"flags": 16},
    ],
)
def test_what_can_not_end_with_a_halt(venue: Any, terms: dict[str, int]) -> None:
    (event,) = venue.new(HOUSE, "B", 5, 100, **{"flags": ON_HALT} | terms)
    assert event.code == Code.NOT_SUPPORTED


def test_an_iceberg_a_hidden_and_a_post_only_order_may(venue: Any) -> None:
    for extra in ({"display_lots": 2}, {"flags": ON_HALT | 2}, {"flags": ON_HALT | 1}):
        assert venue.new(HOUSE, "B", 5, 100, **{"flags": ON_HALT} | extra)[0].code == Code.OK
    assert len(ended(venue.phase(Phase.HALT))) == 3
