"""What was not delivered or not paid: ages, penalties, threshold securities, buy-ins, by the published examples."""

import datetime as dt

import pytest

from lockstep.posttrade.clearing.calendars import number_of
from lockstep.posttrade.clearing.days import NS_PER_DAY
from lockstep.posttrade.clearing.entries import (
    BuyInAccount,
    CloseOutRule,
    EndDay,
    Fill,
    PenaltyRate,
    Price,
    SetCalendar,
    StartDay,
    Terms,
)
from lockstep.posttrade.clearing.fails import apportion
from lockstep.posttrade.clearing.outputs import Kind
from tests.posttrade.clearing_world import MICROS, MONDAY, House, of_kind

TUESDAY = MONDAY + 1
A, B, C = 2, 4, 6
CLASSES = {
    "liquid shares": (1, 100),
    "illiquid shares": (2, 50),
    "growth market": (3, 25),
    "sovereign debt": (4, 10),
    "other debt": (5, 20),
    "debt of small companies": (6, 15),
    "other": (7, 50),
}
"""2017/389: class number of this test, millionths for each business day."""


def _failing(quantity=10_000, ticks=2_000, **terms):
    """Member 1 sells what it does not have to member 2."""
    house = House()
    for penalty_class, ppm in CLASSES.values():
        house.do(PenaltyRate(penalty_class, 0, ppm))
    house.do(Terms(1, **{"penalty_class": 1, "outstanding": 0} | terms))
    house.give(2, cash=10**12)
    house.fill(2, 1, quantity, ticks)
    return house


@pytest.mark.parametrize(("penalty_class", "ppm"), CLASSES.values(), ids=CLASSES)
def test_penalty_of_a_day_is_quantity_times_price_times_rate(penalty_class, ppm):
    house = _failing(penalty_class=penalty_class)
    out = house.whole_day(TUESDAY)
    value = 10_000 * 20 * MICROS
    assert [(one.holder, one.amount, one.detail) for one in of_kind(out, Kind.PENALTY)] == [
        (A, -value * ppm // 1_000_000, ppm),
        (B, value * ppm // 1_000_000, ppm),
    ]


def test_ten_thousand_liquid_shares_at_20_cost_20_a_day():
    out = _failing().whole_day(TUESDAY)
    assert of_kind(out, Kind.PENALTY)[0].amount == -20 * MICROS


def test_penalty_takes_the_price_and_the_rate_of_its_day():
    house = _failing()
    house.do(PenaltyRate(1, TUESDAY + 1, 150))
    house.whole_day(TUESDAY)
    house.do(Price(1, 30 * MICROS))
    out = house.whole_day(TUESDAY + 1)
    assert of_kind(out, Kind.PENALTY)[0].amount == -10_000 * 30 * 150
    assert house.state.claims[A] == -20 * MICROS - 10_000 * 10 * MICROS - 45 * MICROS


def test_fail_is_counted_in_settlement_days_and_keeps_its_age_when_more_comes_due():
    house = _failing()
    house.do(SetCalendar((TUESDAY + 2,), ((0, 1),), 0))
    house.whole_day(TUESDAY)
    house.fill(2, 1, 500, 2_000, day=TUESDAY)
    out = house.whole_day(TUESDAY + 1)
    (fail,) = of_kind(out, Kind.FAIL_TO_DELIVER)
    assert (fail.quantity, fail.detail) == (10_500, 1)
    house.fill(1, 2, 10_200, 2_000, day=TUESDAY + 1)
    out = house.whole_day(TUESDAY + 3)
    (fail,) = of_kind(out, Kind.FAIL_TO_DELIVER)
    assert (fail.quantity, fail.detail) == (300, 1), "the oldest is taken away, the holiday is not counted"


def test_who_cannot_pay_has_failed_and_not_who_has_the_shares():
    house = House()
    house.do(PenaltyRate(0, 0, 36_000))
    house.do(PenaltyRate(1, 0, 100))
    house.give(1, shares=10_000)
    house.fill(2, 1, 10_000, 2_000)
    out = house.whole_day(TUESDAY)
    assert not of_kind(out, Kind.FAIL_TO_DELIVER)
    (fail,) = of_kind(out, Kind.FAIL_TO_PAY)
    assert (fail.holder, fail.quantity, fail.amount) == (B, 10_000, 200_000 * MICROS)
    assert [(one.holder, one.amount) for one in of_kind(out, Kind.PENALTY)] == [(B, -20 * MICROS), (A, 20 * MICROS)]


def test_rate_below_zero_counts_as_zero():
    house = House()
    house.do(PenaltyRate(0, 0, -5_000))
    house.give(1, shares=100)
    house.fill(2, 1, 100, 100)
    assert not of_kind(house.whole_day(TUESDAY), Kind.PENALTY)


def test_money_alone_that_is_owed_fails_too():
    house = House()
    house.do(PenaltyRate(0, 0, 360_000))
    house.fill(2, 1, 100, 130)
    house.fill(1, 2, 100, 100)
    out = house.whole_day(TUESDAY)
    (fail,) = of_kind(out, Kind.FAIL_TO_PAY)
    assert (fail.holder, fail.issue, fail.amount) == (B, 0, 30 * MICROS)
    assert [(one.holder, one.amount) for one in of_kind(out, Kind.PENALTY)] == [(B, -30_000), (A, 30_000)]


def test_penalty_goes_to_those_that_waited_to_the_last_micro():
    house = House(members=4, tick_micros=1)
    house.do(PenaltyRate(1, 0, 1_000_000))
    for buyer in (2, 3, 4):
        house.give(buyer, cash=1_000)
        house.fill(buyer, 1, 1, 100 // 3 + buyer)
    out = house.whole_day(TUESDAY)
    penalties = of_kind(out, Kind.PENALTY)
    assert sum(one.amount for one in penalties) == 0
    assert penalties[0].amount == -3 * 37


def test_apportioned_parts_add_up():
    assert apportion(100, [1, 1, 1]) == [34, 33, 33]
    assert apportion(5, [0, 3, 4]) == [0, 2, 3]
    with pytest.raises(AssertionError):
        apportion(1, [0, 0])


def test_reg_sho_threshold_needs_ten_thousand_and_half_a_per_cent_for_five_days():
    for quantity, outstanding, expected in ((10_000, 2_000_000, 5), (9_999, 1_000, 0), (10_000, 2_000_200, 0)):
        house = _failing(quantity=quantity, outstanding=outstanding)
        days = _settlement_days(6)
        said = [of_kind(house.whole_day(day), Kind.THRESHOLD) for day in days]
        begins = [place for place, one in enumerate(said, 1) if one]
        assert begins == ([expected] if expected else [])
    house = _failing(quantity=10_000, outstanding=2_000_000)
    days = _settlement_days(11)
    for day in days[:5]:
        house.whole_day(day)
    house.give(1, shares=10_000)
    said = [of_kind(house.whole_day(day), Kind.THRESHOLD) for day in days[5:]]
    assert [place for place, one in enumerate(said, 1) if one] == [5]
    assert not house.state.issues[1].threshold


def test_threshold_security_is_bought_in_after_thirteen_settlement_days():
    house = _failing(outstanding=2_000_000)
    house.do(CloseOutRule(0, 13))
    said = [of_kind(house.whole_day(day), Kind.BUY_IN) for day in _settlement_days(15)]
    assert [place for place, one in enumerate(said) if one] == [13]


def test_rule_204_buys_in_on_the_next_settlement_day_and_the_seller_pays():
    house = _failing(quantity=100, ticks=2_000)
    house.do(CloseOutRule(1, 13))
    house.do(BuyInAccount(99))
    house.whole_day(TUESDAY)
    house.give(1, cash=10**10)
    house.give(3, shares=100)
    start = house.do(StartDay(TUESDAY + 1))
    (ordered,) = of_kind(start, Kind.BUY_IN)
    assert (ordered.holder, ordered.quantity) == (A, 100)
    at_ns = (TUESDAY + 1) * NS_PER_DAY + 1
    bought = house.do(Fill(9, 1, at_ns, 1, 99, 30, 2_500, 100, 0, 0))
    assert [(one.holder, one.quantity, one.amount) for one in of_kind(bought, Kind.BOUGHT_IN)] == [
        (A, 100, -2_500 * MICROS)
    ]
    house.cycle()
    house.do(EndDay(TUESDAY + 1))
    out = house.whole_day(TUESDAY + 2)
    assert not of_kind(out, Kind.BUY_IN), "it is on its way"
    assert [(one.holder, one.other) for one in of_kind(out, Kind.SETTLED)] == [(C, B)]
    assert not house.state.open
    penalties = 2 * 100 * 20 * 100
    assert house.state.cash[A] == 10**10 + 2_000 * MICROS - 2_500 * MICROS - penalties - 100 * 5 * 100


def test_buy_in_ends_when_the_shares_come_after_all():
    house = _failing(quantity=100)
    house.do(CloseOutRule(1, 13))
    house.whole_day(TUESDAY)
    house.give(1, shares=100)
    out = house.whole_day(TUESDAY + 1)
    assert [one.quantity for one in of_kind(out, Kind.BUY_IN_ENDED)] == [100]
    assert not house.state.buy_ins


def _settlement_days(count):
    found: list[int] = []
    day = number_of(dt.date(2025, 9, 9))
    while len(found) < count:
        if (day + 3) % 7 < 5:
            found.append(day)
        day += 1
    return found
