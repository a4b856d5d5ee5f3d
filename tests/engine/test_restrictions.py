"""Restrictions of an instrument: restricted lists, the largest share, locates; short sales after a fall."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.engine import CommandBuilder
from lockstep.engine.snapshot_format import decode_snapshot
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    COMMAND,
    RESTRICTION,
    CommandKind,
    EventKind,
    OrderFlag,
    OrderType,
    Phase,
    ShortSaleAction,
    TimeInForce,
    TradeBar,
)

ACME = 7
ALICE, BOB, CAROL, HOUSE = 1, 2, 3, 9
DAY_NS = 86_400 * 10**9
MONDAY = 4 * DAY_NS
FALL_PPM = 100_000
"""Of Regulation SHO, rule 201."""
Send = Callable[..., Any]


@pytest.fixture
def restrict(venue: Any, make_command: Any) -> Send:
    """SET_RESTRICTIONS of ACME."""

    def send(**terms: int) -> Any:
        fields = {"instrument": ACME} | terms
        (event,) = venue.send(make_command(CommandKind.SET_RESTRICTIONS, RESTRICTION, **fields), session=0)
        return event

    return send


@pytest.fixture
def short_sales(venue: Any, make_command: Any) -> Send:
    """SET_SHORT_SALES of ACME."""

    def send(**terms: int) -> Any:
        fields = {"instrument": ACME} | terms
        (event,) = venue.send(make_command(CommandKind.SET_SHORT_SALES, RESTRICTION, **fields), session=0)
        return event

    return send


def code(events: list[Any]) -> int:
    return int(events[0].code)


def fall(venue: Any, price: int = 90) -> list[Any]:
    """A trade at `price`, with a previous close of 100."""
    venue.market(CommandKind.SET_INDEX, instrument=ACME, close_price_ticks=100)
    venue.new(ALICE, "S", 1, price)
    return list(venue.new(HOUSE, "B", 1, price))


def test_a_restricted_list_bars_an_account_or_everybody(venue: Any, restrict: Send) -> None:
    assert restrict(account=ALICE, bars=TradeBar.NO_BUYS).kind == EventKind.RESTRICTIONS_SET
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.INSTRUMENT_RESTRICTED
    assert code(venue.new(ALICE, "S", 1, 20)) == Code.OK
    assert code(venue.new(BOB, "B", 1, 10)) == Code.OK
    restrict(bars=TradeBar.NO_SELLS)
    assert code(venue.new(BOB, "S", 1, 20)) == Code.INSTRUMENT_RESTRICTED
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.INSTRUMENT_RESTRICTED, "both hold together"
    restrict()
    restrict(account=ALICE)
    assert [code(venue.new(ALICE, side, 1, 15)) for side in "BS"] == [Code.OK, Code.OK]


def test_only_closing_takes_what_lessens_a_position(venue: Any, restrict: Send) -> None:
    restrict(bars=TradeBar.ONLY_CLOSING)
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.INSTRUMENT_RESTRICTED
    assert code(venue.new(ALICE, "S", 60, 20)) == Code.OK
    assert code(venue.new(HOUSE, "S", 1, 20)) == Code.INSTRUMENT_RESTRICTED, "it has none"


def test_an_order_that_rests_may_lessen_but_not_grow(venue: Any, restrict: Send) -> None:
    venue.new(ALICE, "B", 10, 10, cid=1)
    restrict(account=ALICE, bars=TradeBar.NO_BUYS)
    assert code(venue.replace(ALICE, 1, 10, 11)) == Code.INSTRUMENT_RESTRICTED
    assert code(venue.replace(ALICE, 1, 10, 9)) == Code.OK
    assert code(venue.cancel(ALICE, 1)) == Code.CANCEL_REQUESTED


def test_nobody_holds_more_than_his_share_of_all_there_is(venue: Any, restrict: Send) -> None:
    restrict(max_share_ppm=50_000, outstanding_lots=2_200)
    assert code(venue.new(ALICE, "B", 11, 10)) == Code.OWNERSHIP_LIMIT, "100 of 110 are there"
    assert code(venue.new(ALICE, "B", 10, 10)) == Code.OK
    assert code(venue.new(ALICE, "B", 1, 10)) == Code.OWNERSHIP_LIMIT, "open buys count"
    assert code(venue.new(ALICE, "S", 1, 20)) == Code.OK


def test_a_short_sale_needs_a_locate(venue: Any, restrict: Send) -> None:
    restrict(bars=TradeBar.LOCATES)
    assert code(venue.new(HOUSE, "S", 1, 20)) == Code.NOT_LOCATED
    restrict(account=HOUSE, located_lots=30)
    assert code(venue.new(HOUSE, "S", 31, 20)) == Code.NOT_LOCATED
    assert code(venue.new(HOUSE, "S", 30, 20)) == Code.OK
    assert code(venue.new(HOUSE, "S", 1, 20)) == Code.NOT_LOCATED, "open sells count"
    assert code(venue.new(ALICE, "S", 100, 20)) == Code.OK, "what one has needs none"


def test_a_child_is_asked_when_it_goes_to_the_market(venue: Any, restrict: Send) -> None:
    venue.new(ALICE, "B", 5, 10, cid=1)
    assert code(venue.new(ALICE, "S", 5, 30, cid=2, parent_id=1)) == Code.OK
    restrict(account=ALICE, bars=TradeBar.NO_SELLS)
    assert code(venue.new(ALICE, "B", 1, 5, cid=3)) == Code.OK
    events = venue.new(HOUSE, "S", 5, 10)
    assert (events[-1].kind, events[-1].code) == (EventKind.CANCELED, Code.INSTRUMENT_RESTRICTED)


@pytest.mark.parametrize(
    "terms",
    [
        {"bars": 16},
        {"account": ALICE, "bars": TradeBar.LOCATES},
        {"account": ALICE, "max_share_ppm": 1, "outstanding_lots": 1},
        {"max_share_ppm": 1},
        {"outstanding_lots": 1},
        {"max_share_ppm": 10**6 + 1, "outstanding_lots": 1},
        {"located_lots": 1},
        {"account": ALICE, "located_lots": -1},
        {"account": ALICE, "located_lots": 2**62 + 1},
    ],
)
def test_restrictions_that_make_no_sense_are_refused(restrict: Send, terms: dict[str, int]) -> None:
    assert restrict(**terms).code == Code.BAD_DEFINITION
    assert restrict(**terms | {"account": 77}).code == Code.UNKNOWN_ACCOUNT
    assert restrict(**terms | {"instrument": 77}).code == Code.UNKNOWN_INSTRUMENT


def test_a_fall_restricts_short_sales_today_and_on_the_next_business_day(venue: Any, short_sales: Send) -> None:
    venue.now_ns = MONDAY
    short_sales(fall_ppm=FALL_PPM)
    assert all(event.kind != EventKind.SHORT_SALES_RESTRICTED for event in fall(venue, 91))
    event = fall(venue)[-1]
    assert (event.kind, event.reference_price_ticks) == (EventKind.SHORT_SALES_RESTRICTED, 90)
    venue.new(BOB, "B", 10, 88)
    assert code(venue.new(HOUSE, "S", 5, 88)) == Code.SHORT_SALE_PRICE
    assert code(venue.new(HOUSE, "S", 5, 89)) == Code.OK, "above the best bid"
    assert code(venue.new(HOUSE, "S", 5, tif=TimeInForce.IOC)) == Code.SHORT_SALE_PRICE, "at any price"
    assert code(venue.new(CAROL, "S", 5, 88)) == Code.OK, "she has them"
    assert [event.kind for event in fall(venue, 90)].count(EventKind.SHORT_SALES_RESTRICTED) == 0, "once a day"
    venue.now_ns = MONDAY + DAY_NS
    assert code(venue.new(HOUSE, "S", 1, 88)) == Code.SHORT_SALE_PRICE
    venue.now_ns = MONDAY + 2 * DAY_NS
    assert code(venue.new(HOUSE, "S", 1, 88)) == Code.OK


def test_of_a_friday_it_lasts_through_the_weekend(venue: Any, short_sales: Send) -> None:
    venue.now_ns = MONDAY + 4 * DAY_NS
    short_sales(fall_ppm=FALL_PPM)
    fall(venue)
    venue.new(BOB, "B", 10, 88)
    venue.now_ns = MONDAY + 7 * DAY_NS
    assert code(venue.new(HOUSE, "S", 2, 88)) == Code.SHORT_SALE_PRICE
    venue.now_ns = MONDAY + 8 * DAY_NS
    assert code(venue.new(HOUSE, "S", 2, 88)) == Code.OK


def test_a_sale_that_is_exempt_says_so(venue: Any, short_sales: Send) -> None:
    short_sales(action=ShortSaleAction.BEGIN)
    venue.new(BOB, "B", 10, 88)
    exempt = int(OrderFlag.SHORT_EXEMPT)
    assert code(venue.new(HOUSE, "S", 1, 88, flags=exempt)) == Code.OK
    assert code(venue.new(HOUSE, "S", 1, tif=TimeInForce.IOC, flags=exempt)) == Code.OK
    assert code(venue.new(HOUSE, "B", 1, 80, flags=exempt)) == Code.NOT_SUPPORTED, "a buy has nothing to be exempt of"
    short_sales(action=ShortSaleAction.END)
    assert code(venue.new(HOUSE, "S", 1, 88)) == Code.OK


def test_an_order_that_rests_above_the_bid_may_trade_there_later(venue: Any, short_sales: Send) -> None:
    short_sales(action=ShortSaleAction.BEGIN)
    venue.new(BOB, "B", 10, 88)
    venue.new(HOUSE, "S", 5, 89, cid=1)
    assert code(venue.replace(HOUSE, 1, 88, 5)) == Code.SHORT_SALE_PRICE
    assert venue.new(CAROL, "B", 5, 89)[-1].kind == EventKind.TRADE


def test_a_stop_that_is_set_off_is_asked_then(venue: Any, short_sales: Send) -> None:
    short_sales(action=ShortSaleAction.BEGIN)
    venue.new(BOB, "B", 10, 80)
    assert code(venue.new(HOUSE, "S", 5, cid=1, order_type=OrderType.STOP, stop_price_ticks=85)) == Code.OK
    venue.new(ALICE, "S", 1, 84)
    events = venue.new(CAROL, "B", 1, 84)
    assert (events[-1].kind, events[-1].code) == (EventKind.CANCELED, Code.SHORT_SALE_PRICE)


def test_an_auction_takes_short_sales_and_its_price_may_set_the_rule_off(venue: Any, short_sales: Send) -> None:
    short_sales(fall_ppm=FALL_PPM)
    venue.market(CommandKind.SET_INDEX, instrument=ACME, close_price_ticks=100)
    venue.phase(Phase.OPENING_AUCTION)
    venue.new(ALICE, "B", 5, 90)
    assert code(venue.new(HOUSE, "S", 5, 90)) == Code.OK
    kinds = [event.kind for event in venue.phase(Phase.CONTINUOUS)]
    assert kinds == [EventKind.PHASE_CHANGED, EventKind.TRADE, EventKind.SHORT_SALES_RESTRICTED]


@pytest.mark.parametrize("terms", [{"fall_ppm": 10**6 + 1}, {"action": 3}])
def test_a_rule_that_makes_no_sense_is_refused(short_sales: Send, terms: dict[str, int]) -> None:
    assert short_sales(**terms).code == Code.BAD_DEFINITION
    assert short_sales(**terms | {"instrument": 77}).code == Code.UNKNOWN_INSTRUMENT


def test_a_snapshot_has_them(venue: Any, restrict: Send, short_sales: Send) -> None:
    restrict(account=BOB, bars=3, located_lots=5)
    restrict(bars=8, max_share_ppm=4, outstanding_lots=100)
    short_sales(fall_ppm=FALL_PPM, action=ShortSaleAction.BEGIN)
    image = decode_snapshot(venue.engine.snapshot())
    assert image.restrictions == ((ACME, 0, 8, 4, 100, 0), (ACME, BOB, 3, 0, 0, 5))
    assert image.short_sales == ((ACME, FALL_PPM, 3),), "a Thursday"
    restrict()
    restrict(account=BOB)
    short_sales(action=ShortSaleAction.END)
    assert decode_snapshot(venue.engine.snapshot()).restrictions == ()


def test_the_builder_writes_them_and_refuses_what_no_engine_takes(make_command: Any) -> None:
    builder = CommandBuilder()
    builder.set_restrictions(instrument=ACME, account=BOB, bars=TradeBar.NO_BUYS, located_lots=5)
    builder.set_short_sales(instrument=ACME, fall_ppm=FALL_PPM, action="begin")
    by_hand = [
        make_command(CommandKind.SET_RESTRICTIONS, RESTRICTION, instrument=ACME, account=BOB, bars=1, located_lots=5),
        make_command(CommandKind.SET_SHORT_SALES, RESTRICTION, instrument=ACME, fall_ppm=FALL_PPM, action=1),
    ]
    for row, expected in zip(builder.take(), by_hand, strict=True):
        said = expected.view(COMMAND)[0]
        assert row.tobytes()[24:] == said.tobytes()[24:], "but for its session and number"
    for terms in ({"bars": 16}, {"account": BOB, "bars": 8}, {"located_lots": 1}, {"max_share_ppm": 1}):
        with pytest.raises(ValueError, match=r"bars|located_lots|max_share_ppm"):
            builder.set_restrictions(instrument=ACME, **terms)
    with pytest.raises(ValueError, match="sells"):
        builder.market(account=BOB, instrument=ACME, side="buy", quantity_lots=1, short_exempt=True)
