"""New orders: checks, matching, what is reported."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import (
    I64_MAX,
    MAX_PRICE_TICKS,
    MAX_QUANTITY_LOTS,
    EventFlag,
    EventKind,
    OrderFlag,
    OrderType,
    TimeInForce,
)

ACME = 7
ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
TIF = TimeInForce


def kinds(events: list[Any]) -> list[EventKind]:
    return [event.kind for event in events]


def trades(events: list[Any]) -> list[tuple[int, int, int]]:
    """(maker's client id, lots, price) of each trade."""
    return [(e.maker_client_order_id, e.quantity_lots, e.price_ticks) for e in events if e.kind == EventKind.TRADE]


def test_resting_order_is_accepted_with_its_terms_and_rests(venue: Any) -> None:
    (event,) = venue.new(ALICE, "B", 10, 100, cid=5)
    assert event.kind == EventKind.ACCEPTED
    assert event.order_id == event.seq
    assert (event.account, event.instrument, event.client_order_id, event.side) == (ALICE, ACME, 5, 1)
    assert (event.price_ticks, event.quantity_lots, event.leaves_lots) == (100, 10, 10)
    assert event.flags == EventFlag.BOOKS
    assert (event.session_id, event.session_no) == (100, 1)
    assert venue.book() == ([(100, 10, 1)], [])


def test_trade_names_both_sides_and_what_is_left_of_each(venue: Any) -> None:
    maker = venue.new(BOB, "S", 10, 100, cid=1, session=200)[0]
    taken = venue.new(ALICE, "B", 4, 101, cid=2)
    assert kinds(taken) == [EventKind.ACCEPTED, EventKind.TRADE]
    trade = taken[1]
    assert (trade.side, trade.price_ticks, trade.quantity_lots, trade.leaves_lots) == (1, 100, 4, 0)
    assert (trade.account, trade.session_id, trade.session_no, trade.order_id) == (ALICE, 100, 1, taken[0].order_id)
    assert (trade.maker_account, trade.maker_session_id, trade.maker_order_id) == (BOB, 200, maker.order_id)
    assert (trade.maker_client_order_id, trade.maker_leaves_lots, trade.client_order_id) == (1, 6, 2)


def test_trades_are_at_the_makers_price_in_both_directions(venue: Any) -> None:
    venue.new(BOB, "S", 1, 100, cid=1)
    assert trades(venue.new(ALICE, "B", 1, 105)) == [(1, 1, 100)]
    venue.new(ALICE, "B", 1, 100, cid=2)
    assert trades(venue.new(BOB, "S", 1, 95)) == [(2, 1, 100)]


def test_best_price_goes_first_then_the_earlier_order(venue: Any) -> None:
    for cid, price in ((1, 102), (2, 101), (3, 101), (4, 100)):
        venue.new(BOB, "S", 5, price, cid=cid)
    assert trades(venue.new(ALICE, "B", 12, 102)) == [(4, 5, 100), (2, 5, 101), (3, 2, 101)]
    assert venue.book() == ([], [(101, 3, 1), (102, 5, 1)])


def test_sweep_respects_the_limit_on_every_level(venue: Any) -> None:
    for cid, price in ((1, 100), (2, 101), (3, 102)):
        venue.new(BOB, "S", 5, price, cid=cid)
    assert trades(venue.new(ALICE, "B", 20, 101)) == [(1, 5, 100), (2, 5, 101)]
    assert venue.book() == ([(101, 10, 1)], [(102, 5, 1)])


def test_partly_filled_maker_keeps_its_place(venue: Any) -> None:
    venue.new(BOB, "S", 10, 100, cid=1)
    venue.new(CAROL, "S", 10, 100, cid=2)
    venue.new(ALICE, "B", 4, 100)
    assert trades(venue.new(ALICE, "B", 8, 100)) == [(1, 6, 100), (2, 2, 100)]


@pytest.mark.parametrize("tif", [TIF.DAY, TIF.GTC])
def test_remainder_of_a_standing_limit_order_rests(venue: Any, tif: TimeInForce) -> None:
    venue.new(BOB, "S", 3, 100)
    events = venue.new(ALICE, "B", 10, 100, tif=tif)
    assert kinds(events) == [EventKind.ACCEPTED, EventKind.TRADE]
    assert events[0].flags == EventFlag.BOOKS
    assert venue.book() == ([(100, 7, 1)], [])


def test_ioc_remainder_is_canceled_and_does_not_rest(venue: Any) -> None:
    venue.new(BOB, "S", 3, 100)
    accepted, _, canceled = venue.new(ALICE, "B", 10, 100, cid=4, tif=TIF.IOC)
    assert accepted.flags == 0
    assert (canceled.kind, canceled.code) == (EventKind.CANCELED, Code.IOC_REMAINDER)
    assert (canceled.quantity_lots, canceled.leaves_lots, canceled.client_order_id) == (7, 0, 4)
    assert venue.book() == ([], [])
    assert venue.engine.order_by_client_id(ALICE, 4) is None


def test_fok_that_fills_completely_trades(venue: Any) -> None:
    venue.new(BOB, "S", 3, 100, cid=1)
    venue.new(BOB, "S", 3, 101, cid=2)
    assert trades(venue.new(ALICE, "B", 6, 101, tif=TIF.FOK)) == [(1, 3, 100), (2, 3, 101)]


@pytest.mark.parametrize("price", [100, 0])
def test_fok_that_cannot_fill_completely_does_not_trade_at_all(venue: Any, price: int) -> None:
    venue.new(BOB, "S", 3, 100)
    accepted, canceled = venue.new(ALICE, "B", 4, price, tif=TIF.FOK)
    assert accepted.kind == EventKind.ACCEPTED
    assert (canceled.kind, canceled.code, canceled.quantity_lots) == (EventKind.CANCELED, Code.FOK_UNFILLABLE, 4)
    assert venue.book() == ([], [(100, 3, 1)])


@pytest.mark.parametrize("tif", [TIF.DAY, TIF.GTC, TIF.IOC])
def test_market_order_takes_what_is_there_and_never_rests(venue: Any, tif: TimeInForce) -> None:
    venue.new(BOB, "S", 3, 100, cid=1)
    venue.new(BOB, "S", 3, 900, cid=2)
    events = venue.new(ALICE, "B", 10, tif=tif)
    assert events[0].flags == 0
    assert events[0].price_ticks == 0
    assert trades(events) == [(1, 3, 100), (2, 3, 900)]
    assert (events[-1].code, events[-1].quantity_lots, events[-1].index) == (Code.NO_LIQUIDITY, 4, 3)
    assert venue.book() == ([], [])


def test_market_order_on_an_empty_book_is_canceled(venue: Any) -> None:
    assert [event.code for event in venue.new(ALICE, "S", 10)] == [0, Code.NO_LIQUIDITY]


@pytest.mark.parametrize(
    "fields",
    [
        {"order_type": 0},
        {"order_type": 255},
        {"order_type": OrderType.MARKET, "tif": TIF.GTD},
        {"order_type": OrderType.MARKET, "tif": TIF.AT_OPEN, "min_lots": 1},
        {"order_type": OrderType.STOP, "tif": TIF.IOC, "stop_price_ticks": 9},
        {"order_type": OrderType.STOP, "trail_ticks": 9, "stop_price_ticks": 9},
        {"order_type": OrderType.STOP_LIMIT, "flags": OrderFlag.POST_ONLY, "stop_price_ticks": 9},
        {"order_type": OrderType.STOP_LIMIT, "min_lots": 1, "stop_price_ticks": 9},
        {"tif": 0},
        {"tif": 255},
        {"side": 0},
        {"side": 3},
        {"stp": 5},
        {"flags": 16},
        {"flags": 128},
        {"flags": OrderFlag.POST_ONLY, "tif": TIF.IOC},
        {"flags": OrderFlag.HIDDEN, "display_lots": 1},
        {"flags": OrderFlag.POST_ONLY, "min_lots": 1},
        {"display_lots": 1, "tif": TIF.FOK},
        {"min_lots": 1, "tif": TIF.FOK},
        {"min_lots": 1, "tif": TIF.AT_CLOSE},
        {"stop_price_ticks": 1},
        {"expire_ns": 1},
        {"trail_ticks": 1},
    ],
)
def test_fields_that_do_not_make_an_order_are_not_supported(venue: Any, fields: dict[str, int]) -> None:
    (event,) = venue.new(ALICE, "B", 1, 100, cid=8, **fields)
    assert (event.kind, event.code, event.client_order_id) == (EventKind.REJECTED, Code.NOT_SUPPORTED, 8)
    assert venue.book() == ([], [])


@pytest.mark.parametrize("lots", [0, -1, MAX_QUANTITY_LOTS + 1, I64_MAX, -I64_MAX - 1])
def test_quantity_out_of_range_is_refused(venue: Any, lots: int) -> None:
    assert venue.new(HOUSE, "B", lots, 100)[0].code == Code.BAD_QUANTITY


@pytest.mark.parametrize("price", [-1, MAX_PRICE_TICKS + 1, I64_MAX, -I64_MAX - 1])
def test_limit_price_out_of_range_is_refused(venue: Any, price: int) -> None:
    assert venue.new(HOUSE, "B", 1, price)[0].code == Code.BAD_PRICE


def test_limit_order_without_a_price_is_refused(venue: Any) -> None:
    assert venue.new(HOUSE, "B", 1, order_type=OrderType.LIMIT)[0].code == Code.BAD_PRICE


def test_market_order_with_a_price_trades_no_further_than_that(venue: Any) -> None:
    for cid, price in ((1, 100), (2, 101), (3, 102)):
        venue.new(BOB, "S", 5, price, cid=cid)
    events = venue.new(HOUSE, "B", 20, 101, order_type=OrderType.MARKET)
    assert trades(events) == [(1, 5, 100), (2, 5, 101)]
    assert (events[-1].code, events[-1].quantity_lots) == (Code.NO_LIQUIDITY, 10)
    assert venue.new(HOUSE, "B", 1, -1, order_type=OrderType.MARKET)[0].code == Code.BAD_PRICE


def test_largest_terms_are_accepted_if_their_worth_fits_64_bits(bare_venue: Any) -> None:
    bare_venue.define_instrument(ACME, b"ACME")
    bare_venue.define_account(HOUSE, b"house", 3)
    lots = I64_MAX // MAX_PRICE_TICKS
    assert bare_venue.new(HOUSE, "B", lots, MAX_PRICE_TICKS)[0].kind == EventKind.ACCEPTED
    assert bare_venue.new(HOUSE, "S", lots + 1, MAX_PRICE_TICKS)[0].code == Code.OVERFLOW


@pytest.mark.parametrize("side", ["B", "S"])
def test_order_worth_more_than_64_bits_is_refused(venue: Any, side: str) -> None:
    assert venue.new(HOUSE, side, MAX_QUANTITY_LOTS, MAX_PRICE_TICKS)[0].code == Code.OVERFLOW


def test_checks_run_in_the_documented_order(venue: Any) -> None:
    venue.new(ALICE, "B", 1, 10, cid=1)
    wrong: dict[str, Any] = {"stp": 5, "instrument": 99}
    steps: list[tuple[Code, dict[str, Any]]] = [
        (Code.NOT_SUPPORTED, {"stp": 0}),
        (Code.UNKNOWN_ACCOUNT, {"account": ALICE}),
        (Code.UNKNOWN_INSTRUMENT, {"instrument": ACME}),
        (Code.BAD_QUANTITY, {"quantity_lots": MAX_QUANTITY_LOTS}),
        (Code.BAD_PRICE, {"price_ticks": MAX_PRICE_TICKS}),
        (Code.OVERFLOW, {"price_ticks": 10**6}),
        (Code.DUPLICATE_ORDER_ID, {"client_order_id": 2}),
        (Code.INSUFFICIENT_CASH, {"quantity_lots": 1, "price_ticks": 10}),
    ]
    fields = wrong | {"account": 77, "quantity_lots": 0, "price_ticks": -1, "client_order_id": 1}
    for code, remedy in steps:
        assert venue.new(ALICE, "B", 1, 10, **fields)[0].code == code
        fields |= remedy
    assert venue.new(ALICE, "B", 1, 10, **fields)[0].kind == EventKind.ACCEPTED


def test_live_client_id_is_refused_and_the_first_order_untouched(venue: Any) -> None:
    first = venue.new(ALICE, "B", 1, 10, cid=5)[0]
    assert venue.new(ALICE, "B", 2, 11, cid=5)[0].code == Code.DUPLICATE_ORDER_ID
    assert venue.engine.order_by_client_id(ALICE, 5).order_id == first.order_id
    assert venue.new(BOB, "B", 2, 11, cid=5)[0].kind == EventKind.ACCEPTED


def test_client_id_zero_is_no_id(venue: Any) -> None:
    venue.new(ALICE, "B", 1, 10)
    assert venue.new(ALICE, "B", 1, 10)[0].kind == EventKind.ACCEPTED
    assert venue.cancel(ALICE, 0)[0].code == Code.UNKNOWN_ORDER


def test_client_id_is_free_again_after_fill_cancel_and_ioc(venue: Any) -> None:
    venue.new(ALICE, "B", 1, 10, cid=5)
    venue.new(BOB, "S", 1, 10, cid=6)
    for _ in range(2):
        assert venue.new(ALICE, "B", 1, 10, cid=5)[0].kind == EventKind.ACCEPTED
        assert venue.cancel(ALICE, 5)[0].kind == EventKind.CANCELED
    venue.new(ALICE, "B", 1, 10, cid=5, tif=TIF.IOC)
    assert venue.new(ALICE, "B", 1, 10, cid=5)[0].kind == EventKind.ACCEPTED
    assert venue.new(BOB, "S", 1, 10, cid=6)[0].kind == EventKind.ACCEPTED


def test_own_orders_trade_with_each_other(venue: Any) -> None:
    venue.new(ALICE, "B", 5, 100, cid=1)
    assert trades(venue.new(ALICE, "S", 5, 100)) == [(1, 5, 100)]
    assert venue.cash_of(ALICE) == (100_000, 0)
    assert venue.lots_of(ALICE) == (100, 0)


def test_books_of_two_instruments_are_separate(venue: Any) -> None:
    venue.define_instrument(8, b"OTHER")
    venue.new(HOUSE, "S", 5, 100, instrument=8)
    assert kinds(venue.new(ALICE, "B", 5, 100)) == [EventKind.ACCEPTED]
    assert venue.book(8) == ([], [(100, 5, 1)])


def test_filled_orders_leave_nothing_behind(venue: Any) -> None:
    for _ in range(50):
        venue.new(ALICE, "B", 2, 100, cid=1)
        venue.new(BOB, "S", 2, 100, cid=1)
        venue.new(BOB, "B", 2, 100, cid=1)
        venue.new(ALICE, "S", 2, 100, cid=1)
    state = venue.state
    assert not state.orders
    assert not any(account.orders or account.by_client_id for account in state.accounts.values())
    assert not any(book.bids.levels or book.asks.levels for book in state.books.values())
