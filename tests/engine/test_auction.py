"""An auction's price is one that somebody named: a limit, a protection or the reference price. And nothing else shows
the prices that merely hold a market order: no report, no book, no indication, no balance."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.stream.codes import Code
from lockstep.stream.records import AccountFlag, EventFlag, EventKind, OrderType, Phase, TimeInForce

ALICE, BOB, CAROL, HOUSE, MARGINED = 1, 2, 3, 9, 11
MARKET = OrderType.MARKET
ENDS = [
    (Phase.OPENING_AUCTION, Phase.CONTINUOUS),
    (Phase.PRE_OPEN, Phase.CONTINUOUS),
    (Phase.VOLATILITY_AUCTION, Phase.CONTINUOUS),
    (Phase.CLOSING_AUCTION, Phase.CLOSED),
    (Phase.CLOSING_AUCTION, Phase.CONTINUOUS),
]
"""(call phase, the phase that uncrosses it)."""


def trades(events: list[Any]) -> list[tuple[int, int]]:
    """(lots, price)."""
    return [(e.quantity_lots, e.price_ticks) for e in events if e.kind == EventKind.TRADE]


def indicated(venue: Any) -> list[tuple[int, int, int, int]]:
    """(price, volume, surplus, its side) of the instruments in an auction."""
    said = [e for e in venue.tick() if e.kind == EventKind.INDICATIVE]
    return [(e.price_ticks, e.quantity_lots, e.leaves_lots, e.side) for e in said]


@pytest.mark.parametrize(("call", "end"), ENDS)
def test_market_sell_meets_the_only_limit_and_not_one_tick(venue: Any, call: Phase, end: Phase) -> None:
    """Found by an outsider: they traded at 1 tick, a price that nobody had named."""
    venue.phase(call)
    venue.new(HOUSE, "B", 10, 1_600)
    venue.new(BOB, "S", 10)
    if call != Phase.PRE_OPEN:
        assert indicated(venue) == [(1_600, 10, 0, 0)]
    assert trades(venue.phase(end)) == [(10, 1_600)]
    assert venue.engine.instruments()[0].last_price_ticks == 1_600


@pytest.mark.parametrize(("call", "end"), ENDS)
def test_market_buy_meets_the_only_limit_and_not_the_edge_of_the_band(venue: Any, call: Phase, end: Phase) -> None:
    venue.price_limits(band_ppm=100_000)
    venue.phase(call, reference_price_ticks=1_000)
    venue.new(BOB, "S", 10, 1_050)
    venue.new(HOUSE, "B", 20)
    assert trades(venue.phase(end)) == [(10, 1_050)]


def test_market_order_for_the_close_that_came_before_it_names_no_price_either(venue: Any) -> None:
    (event,) = venue.new(BOB, "S", 10, cid=1, tif=TimeInForce.AT_CLOSE)
    assert (event.price_ticks, event.flags) == (0, EventFlag.WAITS)
    venue.phase(Phase.CLOSING_AUCTION)
    venue.new(ALICE, "B", 4, 700)
    assert indicated(venue) == [(700, 4, 6, 2)]
    events = venue.phase(Phase.CLOSED)
    assert trades(events) == [(4, 700)]
    (ended,) = [e for e in events if e.code == Code.AUCTION_ENDED]
    assert (ended.price_ticks, ended.quantity_lots) == (0, 6)


def test_market_orders_alone_trade_at_the_reference_price(venue: Any) -> None:
    venue.price_limits(band_ppm=100_000)
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=1_000)
    venue.new(HOUSE, "B", 10)
    venue.new(BOB, "S", 7)
    assert indicated(venue) == [(1_000, 7, 3, 1)]
    assert trades(venue.phase(Phase.CONTINUOUS)) == [(7, 1_000)]


def test_last_price_comes_before_the_reference_price_that_an_operator_set(venue: Any) -> None:
    venue.new(HOUSE, "S", 1, 1_040)
    venue.new(HOUSE, "B", 1, 1_040)
    venue.price_limits(band_ppm=100_000)
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=1_000)
    venue.new(HOUSE, "B", 10)
    venue.new(BOB, "S", 10)
    assert trades(venue.phase(Phase.CONTINUOUS)) == [(10, 1_040)]


def test_market_orders_alone_do_not_trade_at_the_edge_of_a_band_that_the_last_price_has_left(venue: Any) -> None:
    """900 and 1 100 hold the two, 2 000 is out of their reach: there is no price that anybody named for both."""
    venue.new(HOUSE, "S", 1, 2_000)
    venue.new(HOUSE, "B", 1, 2_000)
    venue.price_limits(band_ppm=100_000)
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=1_000)
    venue.new(HOUSE, "B", 10, cid=1)
    venue.new(BOB, "S", 10, cid=2)
    assert indicated(venue) == [(0, 0, 0, 0)]
    events = venue.phase(Phase.CONTINUOUS)
    assert not trades(events)
    assert [(e.client_order_id, e.code) for e in events if e.kind == EventKind.CANCELED] == [
        (1, Code.AUCTION_ENDED),
        (2, Code.AUCTION_ENDED),
    ]


def test_market_orders_alone_do_not_trade_where_nobody_has_named_a_price(venue: Any) -> None:
    """A band holds nobody while there is no reference price."""
    venue.price_limits(band_ppm=100_000)
    venue.phase(Phase.OPENING_AUCTION)
    assert venue.new(HOUSE, "B", 10)[0].code == Code.BAD_PRICE, "nothing to reserve by"
    venue.new(BOB, "S", 10, cid=2)
    assert indicated(venue) == [(0, 0, 0, 0)]
    assert not trades(venue.phase(Phase.CONTINUOUS))
    assert venue.book() == ([], [])


def test_protection_is_a_price_that_its_client_named(venue: Any) -> None:
    """A market order with a protection is a limit order in an auction: both orders here say how far they go."""
    venue.phase(Phase.OPENING_AUCTION)
    (event,) = venue.new(ALICE, "B", 10, order_type=MARKET, price_ticks=20)
    assert event.price_ticks == 20
    venue.new(BOB, "S", 10)
    assert trades(venue.phase(Phase.CONTINUOUS)) == [(10, 20)]


def test_protection_beyond_the_band_is_reported_but_does_not_make_the_band_a_price(venue: Any) -> None:
    venue.price_limits(band_ppm=100_000)
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=1_000)
    (event,) = venue.new(HOUSE, "B", 10, order_type=MARKET, price_ticks=1_500)
    assert event.price_ticks == 1_500
    (view,) = venue.engine.open_orders(HOUSE)
    assert view.price_ticks == 1_500
    venue.new(BOB, "S", 10)
    assert trades(venue.phase(Phase.CONTINUOUS)) == [(10, 1_000)]


def test_a_limit_beside_a_market_order_makes_the_edge_of_the_band_a_price(venue: Any) -> None:
    venue.new(HOUSE, "S", 1, 2_000)
    venue.new(HOUSE, "B", 1, 2_000)
    venue.price_limits(band_ppm=100_000)
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=1_000)
    venue.new(HOUSE, "B", 5)
    venue.new(BOB, "S", 8)
    assert indicated(venue) == [(0, 0, 0, 0)]
    venue.new(HOUSE, "B", 2, 1_100)
    assert indicated(venue) == [(1_100, 7, 1, 2)]
    assert trades(venue.phase(Phase.CONTINUOUS)) == [(5, 1_100), (2, 1_100)]


def test_no_report_no_book_and_no_query_shows_what_holds_a_market_order(venue: Any) -> None:
    venue.price_limits(band_ppm=100_000)
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=1_000)
    venue.new(HOUSE, "B", 5, cid=1)
    venue.new(BOB, "S", 4, cid=2)
    assert venue.book() == ([], [])
    venue.new(HOUSE, "B", 3, 1_100)
    venue.new(HOUSE, "S", 2, 900)
    assert venue.book() == ([(1_100, 3, 1)], [(900, 2, 1)]), "the limits at the same prices"
    assert [view.price_ticks for view in venue.engine.open_orders(BOB)] == [0]
    (canceled,) = venue.cancel(BOB, 2)
    assert (canceled.kind, canceled.price_ticks, canceled.quantity_lots) == (EventKind.CANCELED, 0, 4)
    ended, _ = venue.mass_cancel(HOUSE, side=1, instrument=7)[:2]
    assert ended.price_ticks == 0


def test_market_sell_is_worth_the_mark_and_not_one_tick_to_the_limits_of_an_account(venue: Any) -> None:
    venue.limits(BOB, max_order_micros=99_999)
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=1_000)
    assert venue.new(BOB, "S", 10)[0].code == Code.ORDER_WORTH_TOO_MUCH
    assert venue.new(BOB, "S", 9)[0].kind == EventKind.ACCEPTED
    assert venue.new(BOB, "S", 10, order_type=MARKET, price_ticks=999)[0].kind == EventKind.ACCEPTED, "as a limit"


def test_margin_does_not_count_one_tick_as_the_loss_of_a_market_sell(venue: Any) -> None:
    """100 lots are worth 1 000 000, half of it to be secured; a loss of 999 ticks a lot would be too much."""
    venue.define_account(MARGINED, b"MARGINED", int(AccountFlag.MARGIN | AccountFlag.SHORT_SALES))
    venue.pay_in(MARGINED, 600_000)
    venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=1_000)
    assert venue.new(MARGINED, "S", 100)[0].kind == EventKind.ACCEPTED
    assert venue.new(MARGINED, "S", 100)[0].code == Code.INSUFFICIENT_MARGIN


def test_a_stop_is_not_set_off_by_a_price_that_nobody_named(venue: Any) -> None:
    venue.phase(Phase.OPENING_AUCTION)
    venue.new(HOUSE, "S", 1, cid=1, order_type=OrderType.STOP, stop_price_ticks=1_500)
    venue.new(CAROL, "B", 5, 1_600)
    venue.new(BOB, "S", 5)
    kinds = [e.kind for e in venue.phase(Phase.CONTINUOUS)]
    assert kinds == [EventKind.PHASE_CHANGED, EventKind.TRADE]
    assert [view.client_order_id for view in venue.engine.open_orders(HOUSE)] == [1]


def brute_force(orders: list[SimpleNamespace], reference: int) -> tuple[int, int]:
    """(price, volume): every price that somebody named, tried; `reach` is how far an order goes."""
    best: tuple[tuple[int, int, int, int], int, int] | None = None
    for price in {order.named for order in orders if order.named} | {reference} - {0}:
        demand = sum(o.lots for o in orders if o.side == "B" and o.reach >= price)
        supply = sum(o.lots for o in orders if o.side == "S" and o.reach <= price)
        volume = min(demand, supply)
        rank = (-volume, abs(demand - supply), abs(price - reference), price)
        if volume and (best is None or rank < best[0]):
            best = (rank, price, volume)
    return best[1:] if best else (0, 0)


@st.composite
def gathered(draw: st.DrawFn) -> dict[str, Any]:
    """An auction with or without a last price, a reference price and a band, and orders of all kinds that gather."""
    order = st.tuples(
        st.sampled_from("BS"),
        st.integers(1, 9),
        st.sampled_from(["limit", "market", "market", "protected"]),
        st.integers(92, 108),
        st.sampled_from([TimeInForce.GTC, TimeInForce.DAY, TimeInForce.AT_OPEN]),
    )
    return {
        "last": draw(st.sampled_from([0, 0, 96, 101, 150])),
        "reference": draw(st.sampled_from([0, 0, 97, 100])),
        "band_ppm": draw(st.sampled_from([0, 50_000])),
        "orders": draw(st.lists(order, max_size=9)),
    }


def test_every_price_of_an_auction_is_a_limit_a_protection_or_the_reference(
    make_venue: Callable[..., Any], engine_type: type[Any]
) -> None:
    @given(gathered())
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def run(auction: dict[str, Any]) -> None:
        venue = make_venue(engine_type)
        if auction["last"]:
            venue.new(HOUSE, "S", 1, auction["last"])
            venue.new(HOUSE, "B", 1, auction["last"])
        reference = auction["reference"]
        venue.phase(Phase.OPENING_AUCTION, reference_price_ticks=reference)
        venue.price_limits(band_ppm=auction["band_ppm"])
        width = reference * auction["band_ppm"] // 10**6
        banded = bool(reference and auction["band_ppm"])
        orders = []
        for side, lots, kind, price, tif in auction["orders"]:
            named = 0 if kind == "market" else price
            terms = {"order_type": OrderType.LIMIT if kind == "limit" else MARKET, "price_ticks": named}
            (event,) = venue.new(HOUSE, side, lots, tif=tif, **terms)
            if event.kind != EventKind.ACCEPTED:
                continue
            assert event.price_ticks == named
            reach = named or (10**9 if side == "B" else 1)
            if kind != "limit" and banded:
                reach = min(reach, reference + width) if side == "B" else max(reach, reference - width)
            # A protection that the band overrules holds nothing, so it is no candidate.
            orders.append(SimpleNamespace(side=side, lots=lots, reach=reach, named=named if named == reach else 0))
        expected = brute_force(orders, auction["last"] or reference)
        (said,) = indicated(venue)
        assert said[:2] == expected
        done = trades(venue.phase(Phase.CONTINUOUS))
        assert (done[0][1] if done else 0, sum(lots for lots, _ in done)) == expected
        assert {price for _, price in done} <= {expected[0]}

    run()
