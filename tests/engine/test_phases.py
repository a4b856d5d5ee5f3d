"""Trading phases, auctions, and what begins and ends with them."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import EventFlag, EventKind, OrderFlag, OrderType, Phase, TimeInForce

ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
ACME, OTHER = 7, 8
TIF = TimeInForce
CALLS = [Phase.PRE_OPEN, Phase.OPENING_AUCTION, Phase.VOLATILITY_AUCTION, Phase.CLOSING_AUCTION]


def trades(events: list[Any]) -> list[tuple[int, int, int, int]]:
    """(buyer's client id, seller's, lots, price)."""
    return [
        (e.client_order_id, e.maker_client_order_id, e.quantity_lots, e.price_ticks)
        for e in events
        if e.kind == EventKind.TRADE
    ]


def gather(venue: Any, *orders: tuple[str, int, int]) -> None:
    """Orders of the house by (side, lots, price); client ids 1, 2, ..."""
    for cid, (side, lots, price) in enumerate(orders, 1):
        (event,) = venue.new(HOUSE, side, lots, price, cid=cid)
        assert event.flags == EventFlag.BOOKS


def auction_of(venue: Any, *orders: tuple[str, int, int], reference: int = 0) -> tuple[int, int]:
    """(price, volume) of an opening auction; the indicative one must say the same."""
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=reference)
    gather(venue, *orders)
    (said,) = venue.tick()
    done = trades(venue.phase(Phase.CONTINUOUS))
    assert len({price for *_, price in done}) <= 1
    result = (done[0][3] if done else 0, sum(lots for _, _, lots, _ in done))
    assert (said.kind, said.price_ticks, said.quantity_lots) == (EventKind.INDICATIVE, *result)
    return result


def test_phase_change_is_reported(venue: Any) -> None:
    (event,) = venue.phase(Phase.HALT, reference_price_ticks=123)
    assert (event.kind, event.instrument, event.value, event.previous_value) == (
        *(EventKind.PHASE_CHANGED, ACME, Phase.HALT, Phase.CONTINUOUS),
    )
    assert event.reference_price_ticks == 123


@pytest.mark.parametrize("phase", [Phase.HALT, Phase.CLOSED])
def test_halted_and_closed_instruments_take_cancels_only(venue: Any, phase: Phase) -> None:
    venue.new(ALICE, "B", 5, 90, cid=1)
    venue.phase(phase)
    assert venue.new(ALICE, "B", 5, 90)[0].code == Code.WRONG_PHASE
    assert venue.replace(ALICE, 1, 90, 4)[0].code == Code.WRONG_PHASE
    assert venue.cancel(ALICE, 1)[0].kind == EventKind.CANCELED


@pytest.mark.parametrize("phase", CALLS)
def test_call_phases_gather_orders_without_trading(venue: Any, phase: Phase) -> None:
    venue.phase(phase)
    gather(venue, ("B", 5, 100), ("S", 5, 90))
    assert venue.book() == ([(100, 5, 1)], [(90, 5, 1)])
    for fields in (
        {"tif": TIF.IOC},
        {"tif": TIF.FOK},
        {"flags": OrderFlag.POST_ONLY},
        {"min_lots": 1},
        {"order_type": OrderType.MARKET, "tif": TIF.IOC},
        {"order_type": OrderType.MARKET, "min_lots": 1},
    ):
        assert venue.new(HOUSE, "B", 5, 100, **fields)[0].code == Code.WRONG_PHASE
    (event,) = venue.replace(HOUSE, 1, 101, 6)
    assert event.kind == EventKind.REPLACED
    assert trades(venue.phase(Phase.CONTINUOUS)) == [(1, 2, 5, 90)]


def test_auction_price_gives_the_largest_volume(venue: Any) -> None:
    assert auction_of(venue, ("B", 10, 102), ("B", 10, 101), ("S", 15, 100), ("S", 10, 101)) == (101, 20)


def test_auction_tie_goes_to_the_smallest_imbalance(venue: Any) -> None:
    """At 100: demand 20, supply 10; at 101: demand 12, supply 10."""
    assert auction_of(venue, ("B", 12, 101), ("B", 8, 100), ("S", 10, 100)) == (101, 10)


@pytest.mark.parametrize(("reference", "price"), [(99, 100), (103, 103), (120, 105), (0, 100)])
def test_auction_tie_then_goes_to_the_reference_price(venue: Any, reference: int, price: int) -> None:
    assert auction_of(venue, ("B", 10, 105), ("S", 10, 100), reference=reference) == (price, 10)


def test_auction_without_overlap_trades_nothing(venue: Any) -> None:
    assert auction_of(venue, ("B", 10, 99), ("S", 10, 100)) == (0, 0)
    assert venue.book() == ([(99, 10, 1)], [(100, 10, 1)])


def test_auction_allocates_by_price_then_time_with_hidden_last(venue: Any) -> None:
    venue.phase(Phase.OPENING_AUCTION)
    venue.new(HOUSE, "B", 5, 101, cid=1, flags=OrderFlag.HIDDEN)
    venue.new(HOUSE, "B", 10, 101, cid=2, display_lots=2)
    venue.new(HOUSE, "B", 5, 102, cid=3)
    venue.new(HOUSE, "S", 18, 101, cid=4)
    events = venue.phase(Phase.CONTINUOUS)
    assert trades(events) == [(3, 4, 5, 101), (2, 4, 10, 101), (1, 4, 3, 101)]
    assert all(e.flags == EventFlag.AUCTION for e in events if e.kind == EventKind.TRADE)


def test_buyer_pays_the_auction_price_and_both_the_makers_fee(venue: Any) -> None:
    venue.fees(1_000, 5_000)
    venue.phase(Phase.OPENING_AUCTION)
    venue.new(ALICE, "B", 10, 105, cid=1)
    venue.new(BOB, "S", 10, 100, cid=2)
    venue.phase(Phase.CONTINUOUS)
    assert venue.cash_of(ALICE) == (100_000 - 10_000 - 10, 0)
    assert venue.cash_of(BOB) == (100_000 + 10_000 - 10, 0)


def test_seller_whose_proceeds_would_overflow_is_taken_out(venue: Any) -> None:
    venue.phase(Phase.OPENING_AUCTION)
    venue.new(HOUSE, "B", 10, 1_000, cid=1)
    venue.new(BOB, "S", 5, 10, cid=3)
    venue.new(ALICE, "S", 10, 1_000, cid=4)
    venue.pay_in(BOB, 2**63 - 1 - 100_000 - 500)
    events = venue.phase(Phase.CONTINUOUS)
    assert [(e.kind, e.code, e.client_order_id) for e in events[1:]] == [
        (EventKind.CANCELED, Code.OVERFLOW, 3),
        (EventKind.TRADE, Code.OK, 1),
    ]


def test_auction_sets_last_and_reference_price(venue: Any) -> None:
    auction_of(venue, ("B", 10, 105), ("S", 10, 105))
    (view,) = venue.engine.instruments()
    assert (view.last_price_ticks, view.phase) == (105, Phase.CONTINUOUS)
    (event,) = venue.phase(Phase.HALT)
    assert event.reference_price_ticks == 105


def test_at_open_order_ends_with_the_opening(venue: Any) -> None:
    assert venue.new(ALICE, "B", 5, 100, tif=TIF.AT_OPEN)[0].code == Code.WRONG_PHASE
    venue.phase(Phase.PRE_OPEN)
    venue.new(ALICE, "B", 5, 100, cid=1, tif=TIF.AT_OPEN)
    venue.phase(Phase.OPENING_AUCTION)
    venue.new(BOB, "S", 3, 100, cid=2)
    events = venue.phase(Phase.CONTINUOUS)
    assert trades(events) == [(1, 2, 3, 100)]
    assert (events[-1].code, events[-1].quantity_lots) == (Code.AUCTION_ENDED, 2)
    venue.phase(Phase.CLOSING_AUCTION)
    assert venue.new(ALICE, "B", 5, 100, tif=TIF.AT_OPEN)[0].code == Code.WRONG_PHASE


def test_at_close_order_waits_for_the_closing_auction(venue: Any) -> None:
    (event,) = venue.new(ALICE, "B", 5, 100, cid=1, tif=TIF.AT_CLOSE)
    assert event.flags == EventFlag.WAITS
    assert venue.cash_of(ALICE) == (100_000, 5_000)
    venue.new(BOB, "S", 3, 100, cid=2)
    assert venue.book() == ([], [(100, 3, 1)])
    venue.phase(Phase.CLOSING_AUCTION)
    assert venue.book() == ([(100, 5, 1)], [(100, 3, 1)])
    (event,) = venue.new(CAROL, "B", 1, 90, cid=3, tif=TIF.AT_CLOSE)
    assert event.flags == EventFlag.BOOKS
    events = venue.phase(Phase.CLOSED)
    assert trades(events) == [(1, 2, 3, 100)]
    assert [(e.code, e.client_order_id) for e in events[2:]] == [(Code.AUCTION_ENDED, 1), (Code.AUCTION_ENDED, 3)]


def test_day_orders_end_when_the_instrument_closes(venue: Any) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1, tif=TIF.DAY)
    venue.new(ALICE, "B", 5, 100, cid=2)
    venue.new(ALICE, "B", 5, cid=3, tif=TIF.DAY, order_type=OrderType.STOP, stop_price_ticks=200)
    events = venue.phase(Phase.CLOSED)
    assert [(e.code, e.client_order_id) for e in events[1:]] == [(Code.EXPIRED, 1), (Code.EXPIRED, 3)]


def test_scheduled_phase_comes_with_the_tick(venue: Any) -> None:
    end = venue.now_ns + 1_000
    venue.phase(Phase.OPENING_AUCTION, next_value=Phase.CONTINUOUS, until_ns=end)
    gather(venue, ("B", 5, 100), ("S", 5, 100))
    (event,) = venue.tick(end - 1)
    assert event.kind == EventKind.INDICATIVE
    events = venue.tick(end)
    assert [e.kind for e in events] == [EventKind.PHASE_CHANGED, EventKind.TRADE]
    assert (events[0].session_id, events[0].until_ns) == (0, 0)


def test_instrument_0_means_all(venue: Any) -> None:
    venue.define_instrument(OTHER, b"OTHER")
    assert [e.instrument for e in venue.phase(Phase.HALT, 0)] == [ACME, OTHER]


@pytest.mark.parametrize(
    "fields",
    [
        {"value": 0},
        {"value": 8},
        {"next_value": 8, "until_ns": 2**60},
        {"next_value": 3},
        {"until_ns": 2**60},
        {"next_value": 3, "until_ns": 1},
        {"reference_price_ticks": -1},
        {"reference_price_ticks": 2**40},
    ],
)
def test_phases_that_make_no_sense_are_refused(venue: Any, fields: dict[str, int]) -> None:
    terms = {"value": Phase.HALT} | fields
    assert venue.phase(terms.pop("value"), **terms)[0].code == Code.BAD_DEFINITION
    assert venue.phase(Phase.HALT, 99)[0].code == Code.UNKNOWN_INSTRUMENT


def test_all_instruments_where_there_is_none_are_unknown(bare_venue: Any) -> None:
    assert bare_venue.phase(Phase.HALT, 0)[0].code == Code.UNKNOWN_INSTRUMENT


@pytest.mark.parametrize("phase", CALLS)
def test_market_orders_gather_without_a_price_of_their_own_and_end_with_the_auction(venue: Any, phase: Phase) -> None:
    venue.phase(phase, reference_price_ticks=100)
    venue.price_limits(band_ppm=100_000)
    (bought,) = venue.new(ALICE, "B", 5, cid=1)
    assert (bought.price_ticks, bought.flags) == (0, EventFlag.BOOKS | EventFlag.UNSEEN)
    assert venue.cash_of(ALICE) == (100_000, 5 * 110 * 10), "what the band may make it pay"
    venue.new(BOB, "S", 3, 99)
    (sold,) = venue.new(CAROL, "S", 1, order_type=OrderType.MARKET, price_ticks=95)
    assert sold.price_ticks == 95, "protection"
    assert venue.replace(ALICE, 1, 105, 5)[0].code == Code.NOT_SUPPORTED
    events = venue.phase(Phase.CONTINUOUS)
    assert [(e.price_ticks, e.quantity_lots) for e in events if e.kind == EventKind.TRADE] == [(100, 1), (100, 3)]
    ended = [(e.client_order_id, e.quantity_lots, e.code) for e in events if e.kind == EventKind.CANCELED]
    assert ended == [(1, 1, Code.AUCTION_ENDED)]


def test_market_buy_that_nothing_limits_can_not_gather(venue: Any) -> None:
    venue.phase(Phase.PRE_OPEN)
    assert venue.new(HOUSE, "B", 5)[0].code == Code.BAD_PRICE
    assert venue.new(HOUSE, "S", 5)[0].price_ticks == 0
    assert venue.new(HOUSE, "B", 5, order_type=OrderType.MARKET, price_ticks=7)[0].price_ticks == 7


def test_market_order_for_the_close_waits_and_trades_there(venue: Any) -> None:
    (event,) = venue.new(ALICE, "B", 5, 102, cid=1, order_type=OrderType.MARKET, tif=TIF.AT_CLOSE)
    assert event.flags == EventFlag.WAITS
    venue.new(BOB, "S", 5, 101, cid=2)
    assert not trades(venue.phase(Phase.CLOSING_AUCTION))
    assert [t[2:] for t in trades(venue.phase(Phase.CLOSED))] == [(5, 101)]


def test_orders_for_the_close_can_be_replaced_and_an_increase_goes_behind(venue: Any) -> None:
    for cid in (1, 2, 3):
        venue.new(HOUSE, "B", 5, 100, cid=cid, tif=TIF.AT_CLOSE)
    (more,) = venue.replace(HOUSE, 1, 100, 6)
    assert (more.kind, more.flags) == (EventKind.REPLACED, EventFlag.WAITS | EventFlag.LOST_PRIORITY)
    (less,) = venue.replace(HOUSE, 2, 100, 4)
    assert less.flags == EventFlag.WAITS
    assert venue.replace(HOUSE, 3, 100, 4, stop_price_ticks=9)[0].code == Code.NOT_SUPPORTED
    venue.new(BOB, "S", 15, 100, cid=9, tif=TIF.AT_CLOSE)
    venue.phase(Phase.CLOSING_AUCTION)
    assert [t[0] for t in trades(venue.phase(Phase.CLOSED))] == [2, 3, 1]
