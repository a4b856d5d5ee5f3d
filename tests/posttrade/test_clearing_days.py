"""Settlement dates: the published examples, over the library's calendar."""

import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest

from lockstep.posttrade.clearing.calendars import calendar_for, date_of, number_of
from lockstep.posttrade.clearing.days import Calendar, CalendarEnds, day_of, weekday_of
from lockstep.posttrade.clearing.entries import Issue, Prepare, SetCalendar, StartDay
from lockstep.posttrade.clearing.outputs import Kind, Refusal
from lockstep.runtime.faults import EnvironmentFault
from tests.posttrade.clearing_world import MONDAY, House, of_kind, refused


def _calendar(first, last):
    made = calendar_for("XNYS", first, last)
    return Calendar(made.closed, made.cycles, made.offset_s)


@pytest.fixture(scope="module")
def of_1995():
    return _calendar(dt.date(1995, 9, 1), dt.date(1995, 12, 29))


@pytest.fixture(scope="module")
def of_2024():
    return _calendar(dt.date(2024, 1, 2), dt.date(2025, 12, 31))


@pytest.mark.parametrize(
    ("trade", "settles"), [(2, 5), (3, 6), (4, 10), (5, 11), (6, 12), (9, 12), (10, 13)], ids=lambda day: f"oct-{day}"
)
def test_notice_to_members_95_77_has_these_dates_around_columbus_day(of_1995, trade, settles):
    found = of_1995.settlement_of(number_of(dt.date(1995, 10, trade)))
    assert date_of(found) == dt.date(1995, 10, settles)


@pytest.mark.parametrize(
    ("trade", "settles"),
    [
        ((2025, 10, 10), (2025, 10, 14)),
        ((2025, 10, 13), (2025, 10, 14)),
        ((2025, 11, 10), (2025, 11, 12)),
        ((2025, 11, 11), (2025, 11, 12)),
        # The last day of T+2 and the first of T+1 settle together; Monday was Memorial Day.
        ((2024, 5, 24), (2024, 5, 29)),
        ((2024, 5, 28), (2024, 5, 29)),
    ],
)
def test_cycle_length_follows_the_trade_date(of_2024, trade, settles):
    assert date_of(of_2024.settlement_of(number_of(dt.date(*trade)))) == dt.date(*settles)


def test_day_numbers_are_those_of_the_standard_library():
    for date in (dt.date(1970, 1, 1), dt.date(2000, 2, 29), dt.date(2024, 12, 31), dt.date(1900, 3, 1)):
        assert day_of(date.year, date.month, date.day) == number_of(date)
        assert weekday_of(number_of(date)) == date.weekday()


def test_trade_of_the_evening_is_of_the_market_places_day(of_2024):
    late = int(dt.datetime(2025, 10, 11, 0, 30, tzinfo=dt.UTC).timestamp()) * 10**9
    assert date_of(of_2024.trade_day(late)) == dt.date(2025, 10, 10)


def test_a_calendar_that_leaves_a_trade_without_a_settlement_day_is_refused():
    house = House()
    closed = tuple(day for day in range(MONDAY, MONDAY + 59) if weekday_of(day) < 5)
    assert refused(house.do(SetCalendar(closed, ((0, 1),), 0))) == Refusal.CALENDAR_ENDS
    shorter = tuple(day for day in closed if day < MONDAY + 50)
    assert not of_kind(house.do(SetCalendar(shorter, ((0, 1),), 0)), Kind.REFUSED)
    for day in range(MONDAY, MONDAY + 60):
        house.fill(1, 2, 1, 100, day=day)


@pytest.mark.parametrize("day", [20261203, 1_796_099_106_329, 0, -5, MONDAY + 367])
def test_a_day_that_nobody_can_mean_does_not_begin(day):
    house = House()
    house.whole_day(MONDAY)
    assert refused(house.do(StartDay(day))) == Refusal.BAD_NUMBER
    house.whole_day(MONDAY + 1)


def test_an_instrument_that_is_defined_again_keeps_its_prices_and_its_fails():
    house = House()
    house.fill(1, 2, 5, 100)
    house.whole_day(MONDAY)
    house.whole_day(MONDAY + 1)
    before = replace(house.state.issues[1])
    assert before.mark
    house.do(Issue(1, 10_000, 1, "S1"))
    assert house.state.issues[1] == before
    claims = dict(house.state.claims)
    house.do(StartDay(MONDAY + 2))
    house.do(Prepare())
    assert Counter(house.state.claims) == Counter(claims), "nobody is charged a second time"


def test_calendar_without_any_settlement_day_says_so():
    closed = tuple(range(number_of(dt.date(2025, 1, 1)), number_of(dt.date(2025, 12, 31))))
    with pytest.raises(CalendarEnds):
        Calendar(closed).after(closed[0])


def test_place_whose_banks_are_not_known_is_refused():
    with pytest.raises(EnvironmentFault, match="XNYS"):
        calendar_for("XLON", dt.date(2025, 1, 1), dt.date(2025, 2, 1))
