"""Margin accounts: initial and maintenance margin, short sales, concentration, the day-trade rule."""

from typing import Any

import pytest

from lockstep.stream.codes import Code
from lockstep.stream.records import MARKET, AccountFlag, CommandKind, EventKind

ACME, OTHER = 7, 8
ALICE, HOUSE = 1, 9
MARGIN, SHORT, TRADER = 20, 21, 22
DAY_NS = 86_400 * 10**9
"""A lot of ACME at 100 is worth 1 000 micros."""


def code(events: list[Any]) -> int:
    return int(events[0].code)


@pytest.fixture
def market(venue: Any) -> Any:
    """Three accounts with 100 000 micros each: on margin, with short sales, and held to the day-trade rule."""
    venue.define_account(MARGIN, b"margin", AccountFlag.MARGIN)
    venue.define_account(SHORT, b"short", AccountFlag.MARGIN | AccountFlag.SHORT_SALES)
    venue.define_account(TRADER, b"trader", AccountFlag.DAY_TRADE_RULE)
    for account in (MARGIN, SHORT, TRADER):
        venue.pay_in(account, 100_000)
    trade_at(venue, 100)
    return venue


def trade_at(venue: Any, price: int) -> None:
    """Make it the last price."""
    venue.new(HOUSE, "S", 1, price)
    venue.new(HOUSE, "B", 1, price)


def buy(venue: Any, account: int, lots: int, price: int = 100) -> int:
    venue.new(HOUSE, "S", lots, price)
    result = code(venue.new(account, "B", lots, price, tif=3))
    venue.mass_cancel(HOUSE)
    return result


def sell(venue: Any, account: int, lots: int, price: int = 100) -> int:
    venue.new(HOUSE, "B", lots, price)
    result = code(venue.new(account, "S", lots, price, tif=3))
    venue.mass_cancel(HOUSE)
    return result


def test_margin_account_buys_for_twice_its_equity(market: Any) -> None:
    assert buy(market, MARGIN, 201) == Code.INSUFFICIENT_MARGIN
    assert buy(market, MARGIN, 200) == Code.OK
    assert market.cash_of(MARGIN) == (-100_000, 0)
    assert buy(market, MARGIN, 1) == Code.INSUFFICIENT_MARGIN


def test_resting_orders_count_as_if_they_were_filled(market: Any) -> None:
    assert code(market.new(MARGIN, "B", 150, 100)) == Code.OK
    assert code(market.new(MARGIN, "B", 51, 100)) == Code.INSUFFICIENT_MARGIN
    assert code(market.new(MARGIN, "B", 50, 100, cid=2)) == Code.OK
    assert code(market.replace(MARGIN, 2, 100, 51)) == Code.INSUFFICIENT_MARGIN
    assert code(market.replace(MARGIN, 2, 100, 49)) == Code.OK


def test_what_an_order_would_lose_at_once_lessens_what_it_may_cost(market: Any) -> None:
    """180 lots at 110 are worth 198 000, half of which are 99 000; against the mark of 100 they lose 18 000."""
    assert code(market.new(MARGIN, "B", 180, 110)) == Code.INSUFFICIENT_MARGIN
    assert code(market.new(MARGIN, "B", 150, 110)) == Code.OK


def test_under_maintenance_nothing_can_be_opened_and_all_closed(market: Any) -> None:
    buy(market, MARGIN, 200)
    trade_at(market, 66)
    assert code(market.new(MARGIN, "B", 1, 50)) == Code.MARGIN_CALL
    assert code(market.new(MARGIN, "S", 200, 70)) == Code.OK


def test_margin_call_is_told_once_and_again_when_it_is_over(market: Any) -> None:
    buy(market, MARGIN, 200)
    assert market.tick() == []
    trade_at(market, 66)
    (call,) = market.tick()
    assert (call.kind, call.account, call.value, call.previous_value) == (
        EventKind.MARGIN_CALLED,
        MARGIN,
        32_000,
        33_000,
    )
    assert market.tick() == []
    market.pay_in(MARGIN, 1_000)
    (over,) = market.tick()
    assert (over.value, over.previous_value) == (33_000, 33_000)


def test_short_sale_needs_permission_and_margin(market: Any) -> None:
    assert sell(market, ALICE, 101) == Code.INSUFFICIENT_POSITION
    assert sell(market, MARGIN, 1) == Code.SHORT_SALE
    assert sell(market, SHORT, 201) == Code.INSUFFICIENT_MARGIN
    assert sell(market, SHORT, 200) == Code.OK
    assert market.lots_of(SHORT) == (-200, 0)
    assert market.cash_of(SHORT) == (300_000, 0)
    trade_at(market, 121)
    assert sell(market, SHORT, 1, 121) == Code.MARGIN_CALL
    assert buy(market, SHORT, 200, 121) == Code.OK, "buying back only lessens the position"
    assert market.cash_of(SHORT) == (58_000, 0)


def test_withdrawal_leaves_the_initial_margin(market: Any) -> None:
    buy(market, MARGIN, 100)
    assert code(market.pay_in(MARGIN, -50_001)) == Code.INSUFFICIENT_MARGIN
    assert code(market.pay_in(MARGIN, -50_000)) == Code.OK


def test_margin_rates_are_the_instruments(market: Any, make_command: Any) -> None:
    def rates(initial: int, maintenance: int) -> int:
        fields = {"initial_margin_ppm": initial, "maintenance_margin_ppm": maintenance, "instrument": ACME}
        return code(market.send(make_command(CommandKind.SET_MARGIN, MARKET, **fields), session=0))

    assert [rates(*bad) for bad in ((0, 0), (10, 11), (10**7 + 1, 5), (5, 0))] == [Code.BAD_DEFINITION] * 4
    assert rates(1_000_000, 300_000) == Code.OK
    assert buy(market, MARGIN, 101) == Code.INSUFFICIENT_MARGIN
    assert buy(market, MARGIN, 100) == Code.OK


def test_concentration_is_limited_by_equity(market: Any) -> None:
    """Alice has 100 000 micros and 100 lots, together 200 000; 60 % of it are 120 lots."""
    market.limits(ALICE, max_concentration_ppm=600_000)
    assert code(market.new(ALICE, "B", 21, 100)) == Code.CONCENTRATION_LIMIT
    assert code(market.new(ALICE, "B", 20, 100)) == Code.OK
    assert code(market.new(ALICE, "B", 1, 100)) == Code.CONCENTRATION_LIMIT
    assert code(market.new(ALICE, "S", 50, 100)) == Code.OK


def day_trade(venue: Any) -> int:
    result = buy(venue, TRADER, 1)
    if result == Code.OK:
        assert sell(venue, TRADER, 1) == Code.OK
    return result


def test_fifth_day_trade_in_five_business_days_is_refused(market: Any) -> None:
    monday = 4 * DAY_NS
    market.now_ns = monday
    assert [day_trade(market) for _ in range(5)] == [0, 0, 0, 0, Code.DAY_TRADER]
    market.now_ns = monday + 4 * DAY_NS
    assert day_trade(market) == Code.DAY_TRADER, "Friday is the fifth day"
    market.now_ns = monday + 6 * DAY_NS
    assert day_trade(market) == Code.DAY_TRADER, "Sunday counts as Friday"
    market.now_ns = monday + 7 * DAY_NS
    assert day_trade(market) == Code.OK


def test_day_trader_with_enough_equity_is_not_held_to_the_rule(market: Any) -> None:
    for _ in range(4):
        day_trade(market)
    market.pay_in(TRADER, 25_000 * 10**6)
    assert day_trade(market) == Code.OK


def test_several_sales_after_one_purchase_are_one_day_trade_and_overnight_is_none(market: Any) -> None:
    buy(market, TRADER, 5)
    for _ in range(5):
        assert sell(market, TRADER, 1) == Code.OK
    for day in (4, 6, 11):
        market.now_ns = day * DAY_NS
        buy(market, TRADER, 1)
        market.now_ns += DAY_NS
        sell(market, TRADER, 1)
    assert buy(market, TRADER, 1) == Code.OK


def test_day_trader_may_still_close(market: Any) -> None:
    for _ in range(4):
        day_trade(market)
    market.move_in(TRADER, 3)
    assert buy(market, TRADER, 1) == Code.DAY_TRADER
    assert sell(market, TRADER, 3) == Code.OK
