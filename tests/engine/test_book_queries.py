"""What stands in a book: best bid and offer, depth with what is hidden, the queue of a price. Both engines."""

from typing import Any

import pytest

from lockstep.engine.contract import BestView, BookLevel, DepthLevel
from lockstep.stream.records import OrderFlag, Phase, Side, TimeInForce

ACME = 7
ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9


def ids(views: tuple[Any, ...]) -> list[int]:
    return [view.client_order_id for view in views]


def test_best_is_the_first_level_of_each_side_that_displays_something(venue: Any) -> None:
    assert venue.engine.best(ACME) == BestView(ACME, None, None)
    venue.new(HOUSE, "B", 5, 100)
    venue.new(HOUSE, "B", 2, 100)
    venue.new(HOUSE, "B", 9, 99)
    venue.new(HOUSE, "S", 4, 103)
    venue.new(HOUSE, "S", 6, 102, flags=OrderFlag.HIDDEN)
    assert venue.engine.best(ACME) == BestView(ACME, BookLevel(100, 7, 2), BookLevel(103, 4, 1))


def test_depth_tells_what_is_displayed_from_what_is_hidden(venue: Any) -> None:
    venue.new(HOUSE, "B", 5, 100)
    venue.new(HOUSE, "B", 30, 100, display_lots=4)
    venue.new(HOUSE, "B", 7, 100, flags=OrderFlag.HIDDEN)
    venue.new(HOUSE, "B", 3, 101, flags=OrderFlag.HIDDEN)
    view = venue.engine.depth(ACME, 10)
    assert view.asks == ()
    assert view.bids == (
        DepthLevel(101, displayed_lots=0, displayed_orders=0, hidden_lots=3, hidden_orders=1),
        DepthLevel(100, displayed_lots=9, displayed_orders=2, hidden_lots=26 + 7, hidden_orders=1),
    )
    assert venue.engine.depth(ACME, 1).bids == view.bids[:1]
    assert venue.engine.depth(ACME, 0).bids == venue.engine.depth(ACME, -1).bids == ()
    assert venue.book() == ([(100, 9, 2)], [])


def test_depth_follows_trades_in_part_and_cancels(venue: Any) -> None:
    venue.new(HOUSE, "S", 10, 100, cid=1, display_lots=4)
    venue.new(HOUSE, "S", 5, 100, cid=2)
    venue.new(ALICE, "B", 6, 100)
    assert venue.engine.depth(ACME, 5).asks == (DepthLevel(100, 3 + 4, 2, 2, 0),)
    venue.cancel(HOUSE, 2)
    assert venue.engine.depth(ACME, 5).asks == (DepthLevel(100, 4, 1, 2, 0),)


def test_queue_has_the_orders_in_which_they_trade_and_hidden_ones_behind(venue: Any) -> None:
    venue.new(HOUSE, "S", 3, 100, cid=1, flags=OrderFlag.HIDDEN)
    venue.new(HOUSE, "S", 9, 100, cid=2, display_lots=2)
    venue.new(HOUSE, "S", 4, 100, cid=3)
    venue.new(HOUSE, "S", 4, 101, cid=4)
    view = venue.engine.queue(ACME, Side.SELL, 100)
    assert (ids(view.orders), ids(view.hidden)) == ([2, 3], [1])
    assert view.orders[0] == venue.engine.order_by_client_id(HOUSE, 2)
    venue.new(ALICE, "B", 2, 100)  # the peak is used up: the next one goes behind
    view = venue.engine.queue(ACME, Side.SELL, 100)
    assert (ids(view.orders), ids(view.hidden)) == ([3, 2], [1])
    for limit, expected in ((0, ([], [])), (1, ([3], [])), (2, ([3, 2], [])), (3, ([3, 2], [1])), (-1, ([], []))):
        view = venue.engine.queue(ACME, Side.SELL, 100, limit)
        assert (ids(view.orders), ids(view.hidden)) == expected


def test_market_orders_that_gather_are_hidden_lots_and_stand_in_the_queue(venue: Any) -> None:
    venue.phase(Phase.OPENING_AUCTION)
    venue.new(HOUSE, "B", 5, 100, cid=1)
    venue.new(HOUSE, "B", 8, cid=2, tif=TimeInForce.DAY, price_ticks=100)
    assert venue.engine.depth(ACME, 5).bids == (DepthLevel(100, 5, 1, 8, 1),)
    assert venue.engine.best(ACME).bid == BookLevel(100, 5, 1)
    assert ids(venue.engine.queue(ACME, Side.BUY, 100).orders) == [1, 2]


def test_in_an_auction_the_best_bid_may_be_above_the_best_offer(venue: Any) -> None:
    venue.phase(Phase.OPENING_AUCTION)
    venue.new(HOUSE, "B", 5, 105)
    venue.new(HOUSE, "S", 5, 100)
    best = venue.engine.best(ACME)
    assert (best.bid.price_ticks, best.ask.price_ticks) == (105, 100)


@pytest.mark.parametrize("price", [-1, 0, 99, 2**40, 2**63])
def test_queue_of_a_price_at_which_nothing_stands_is_empty(venue: Any, price: int) -> None:
    venue.new(HOUSE, "B", 5, 100)
    view = venue.engine.queue(ACME, Side.BUY, price)
    assert (view.instrument, view.side, view.price_ticks, view.orders, view.hidden) == (ACME, Side.BUY, price, (), ())
    assert venue.engine.queue(ACME, Side.SELL, 100).orders == ()


def test_unknown_instruments_and_sides(venue: Any) -> None:
    engine = venue.engine
    for number in (99, 0, -1, 2**32, 2**70):
        assert engine.best(number) is engine.depth(number, 5) is engine.queue(number, Side.BUY, 100) is None
        assert engine.book(number, 5) is None
    assert engine.queue(ACME, "buy", 100) == engine.queue(ACME, Side.BUY, 100)
    for side in (3, "up"):
        with pytest.raises(ValueError, match=f"side is {side!r}: use one of Side.BUY, Side.SELL"):
            engine.queue(ACME, side, 100)


def test_counts_of_any_size_are_taken(venue: Any) -> None:
    venue.new(HOUSE, "B", 5, 100)
    for count, found in ((2**70, 1), (-(2**70), 0)):
        assert len(venue.engine.depth(ACME, count).bids) == len(venue.engine.book(ACME, count).bids) == found
        assert len(venue.engine.queue(ACME, Side.BUY, 100, count).orders) == found


def test_the_latest_stamp_is_told_and_restored(venue: Any) -> None:
    assert venue.engine.last_timestamp_ns == venue.now_ns
    assert type(venue.engine).restore(venue.engine.snapshot()).last_timestamp_ns == venue.now_ns
    assert type(venue.engine)().last_timestamp_ns == 0
