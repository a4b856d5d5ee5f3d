"""What is due when: real days of real calendars, summer time, half days; and every day of ten years."""

import datetime as dt
from functools import cache
from itertools import pairwise

import pytest

from lockstep.day.calendars import Calendar, Hours, calendar_of, wall_ns
from lockstep.day.marks import END, FIRST_DATE, LAST_DATE, START, Mark, mark_of
from lockstep.day.plan import Plan, plan_of
from lockstep.day.plans import plans_of
from lockstep.day.schedule import ScheduleFault, load_schedule, parse_schedule
from lockstep.stream.enums import Phase
from tests.day.world import LONDON, NEW_YORK, SCHEDULE

HONG_KONG = """
[[segment]]
name = "hong-kong"
number = 3
calendar = "XHKG"
instruments = ["HSI"]
phase = [
  { phase = "pre_open", at = "09:00" },
  { phase = "continuous", at = "open" },
  { phase = "pre_open", at = "break_start" },
  { phase = "continuous", at = "break_end" },
  { phase = "closing_auction", at = "close" },
  { phase = "closed", at = "close+10m" },
]
"""


def times(text: str, day: str) -> dict[str, str]:
    """When each phase of a day begins, UTC; empty: there is no such day."""
    found = _plan(text).day(dt.date.fromisoformat(day))
    return {
        f"{change.code} {change.phase.name.lower()}": f"{dt.datetime.fromtimestamp(change.at_ns / 1e9, dt.UTC):%H:%M}"
        for change in (found.changes if found else ())
    }


@cache
def _plan(text: str) -> Plan:
    (plan,) = plans_of(parse_schedule(text, origin="test"), dt.date(2024, 1, 1), dt.date(2025, 1, 31)).values()
    return plan


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2024-03-08", "14:30", "21:01"),  # New York puts its clocks forward on 2024-03-10
        ("2024-03-11", "13:30", "20:01"),
        ("2024-07-03", "13:30", "17:01"),  # half days
        ("2024-11-29", "14:30", "18:01"),
        ("2024-11-01", "13:30", "20:01"),  # and back on 2024-11-03
        ("2024-11-04", "14:30", "21:01"),
    ],
)
def test_new_yorks_days_follow_its_clocks_and_its_half_days(day, opens, closes):
    found = times(NEW_YORK, day)
    assert (found["2 continuous"], found["31 closed"]) == (opens, closes)
    pre_open = dt.datetime.fromisoformat(f"{day}T08:00").replace(tzinfo=dt.timezone(-dt.timedelta(hours=5)))
    summer = opens == "13:30"
    assert found["0 pre_open"] == f"{pre_open.astimezone(dt.UTC) - dt.timedelta(hours=summer):%H:%M}"


@pytest.mark.parametrize("day", ["2024-11-28", "2024-07-04", "2025-01-09", "2024-11-30"])
def test_a_holiday_a_day_of_mourning_and_a_saturday_have_no_changes(day):
    assert times(NEW_YORK, day) == {}


def test_london_puts_its_clocks_forward_three_weeks_after_new_york():
    assert times(LONDON, "2024-03-28")["1 continuous"] == "08:00"
    assert times(LONDON, "2024-04-02")["1 continuous"] == "07:00"
    assert times(LONDON, "2024-04-02")["2 volatility_auction"] == "11:00"


def test_a_half_day_leaves_out_what_is_not_for_half_days():
    christmas_eve = times(LONDON, "2024-12-24")
    assert list(christmas_eve) == ["0 opening_auction", "1 continuous", "4 closing_auction", "31 closed"]
    assert christmas_eve["4 closing_auction"] == "12:30"


def test_a_break_at_noon_is_there_on_the_days_that_have_one():
    assert times(HONG_KONG, "2024-12-23") == {
        "0 pre_open": "01:00", "1 continuous": "01:30", "2 pre_open": "04:00", "3 continuous": "05:00",
        "4 closing_auction": "08:00", "31 closed": "08:10",
    }  # fmt: skip
    assert list(times(HONG_KONG, "2024-12-24")) == ["0 pre_open", "1 continuous", "4 closing_auction", "31 closed"]


def test_every_day_of_ten_years_has_its_phases_in_order_and_closes_once():
    schedule = parse_schedule(NEW_YORK + LONDON + HONG_KONG, origin="test")
    days = 0
    for plan in plans_of(schedule, dt.date(2018, 1, 1), dt.date(2027, 12, 31)).values():
        previous_end, dates = 0, set()
        for day in plan.days:
            moments = [previous_end, *(change.at_ns for change in day.changes)]
            assert all(one < other for one, other in pairwise(moments)), day
            codes = [change.code for change in day.changes]
            assert codes[0] == START
            assert codes == sorted(set(codes))
            assert [change.code for change in day.changes if change.phase is Phase.CLOSED] == [END] == codes[-1:]
            assert day.date not in dates
            for change in day.changes:
                assert plan.at(change.at_ns) is day
                assert day.current(change.at_ns) is change
            dates.add(day.date)
            previous_end = day.end_ns
        days += len(plan.days)
    assert days > 3 * 10 * 240


def test_what_the_segment_says_otherwise_than_its_calendar_counts():
    text = NEW_YORK.replace('calendar = "XNYS"', 'calendar = "XNYS"\nclosures = [2024-11-27]')
    assert times(text, "2024-11-27") == {}
    early = NEW_YORK.replace('calendar = "XNYS"', 'calendar = "XNYS"\nearly_closes = { 2024-11-27 = 14:00:00 }')
    assert times(early, "2024-11-27")["31 closed"] == "19:01"
    wrong = early.replace("14:00:00", "17:00:00")
    with pytest.raises(ScheduleFault, match=r"2024-11-27 is open from .* give a time between"):
        times(wrong, "2024-11-27")


@pytest.mark.parametrize("key", ["closures", "early_closes"])
@pytest.mark.parametrize(
    ("date", "weekday"),
    [("2024-11-30", "Saturday"), ("2024-11-28", "Thursday"), ("2025-02-16", "Sunday"), ("2027-12-25", "Saturday")],
)
def test_what_is_said_of_a_day_that_is_none_is_an_error_that_names_it(key, date, weekday):
    said = f"[{date}]" if key == "closures" else f"{{ {date} = 13:00:00 }}"
    schedule = parse_schedule(NEW_YORK.replace("calendar", f"{key} = {said}\ncalendar"), origin="test")
    day = dt.date(2024, 11, 27)
    with pytest.raises(ScheduleFault, match=f"^{key} of segment 'new-york': {date}, a {weekday}, is no business day"):
        plans_of(schedule, day, day)
    long_ago = dt.date.fromisoformat(date) + dt.timedelta(days=90)
    assert plans_of(schedule, long_ago, long_ago), "nobody asks for that day any more"


def test_dates_that_no_day_can_have_and_a_day_that_is_closed_and_closes_early_are_errors():
    for date in ("1999-12-31", "9999-12-31"):
        schedule = parse_schedule(NEW_YORK.replace("calendar", f"closures = [{date}]\ncalendar"), origin="test")
        with pytest.raises(ScheduleFault, match=f"names {date}; give dates between"):
            plans_of(schedule, dt.date(2024, 11, 27), dt.date(2024, 11, 27))
    both = "closures = [2024-11-27]\nearly_closes = { 2024-11-27 = 13:00:00 }\ncalendar"
    with pytest.raises(ScheduleFault, match="2024-11-27 of segment 'new-york' is in closures and in early_closes"):
        parse_schedule(NEW_YORK.replace("calendar", both), origin="test")


@pytest.mark.parametrize(
    ("day", "late"),
    [
        ("2024-11-26", "close+17h"),
        ("2024-11-26", "close+900h"),
        ("2024-11-28", "close+900h"),
        ("2024-12-01", "open+900h"),
    ],
)
def test_one_day_alone_is_held_against_its_neighbours(day, late):
    schedule = parse_schedule(NEW_YORK.replace("close+1m", late), origin="test")
    date = dt.date.fromisoformat(day)
    with pytest.raises(ScheduleFault, match=r"begins at .*, before 2024-11-\d\d has ended"):
        plans_of(schedule, date, date)


def test_neighbours_are_no_part_of_what_was_asked_for():
    schedule = parse_schedule(NEW_YORK, origin="test")
    for first, last, count in (("2024-11-27", "2024-11-27", 1), ("2024-11-28", "2024-11-28", 0)):
        (plan,) = plans_of(schedule, dt.date.fromisoformat(first), dt.date.fromisoformat(last)).values()
        assert [str(one.date) for one in plan.days] == [first] * count


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "day.toml"
    path.write_text(NEW_YORK, encoding="utf-8-sig")
    assert load_schedule(path) == parse_schedule(NEW_YORK, origin="test")
    path.write_text(NEW_YORK, encoding="utf-16")
    with pytest.raises(ScheduleFault, match="it is not UTF-8"):
        load_schedule(path)


def test_phases_that_do_not_fit_a_day_are_an_error_that_names_the_day():
    text = NEW_YORK.replace('at = "close-10m"', 'at = "15:50"')
    with pytest.raises(
        ScheduleFault, match=r"on the half day 2024-07-03 .*closed at close\+1m.* is not behind phase 4"
    ):
        times(text, "2024-11-29")


def test_a_time_that_clocks_skip_or_show_twice_is_one_moment():
    new_york = "America/New_York"
    skipped = wall_ns(dt.date(2024, 3, 10), 2 * 3_600 + 1_800, new_york)
    assert dt.datetime.fromtimestamp(skipped / 1e9, dt.UTC).isoformat() == "2024-03-10T07:30:00+00:00"
    twice = wall_ns(dt.date(2024, 11, 3), 3_600 + 1_800, new_york)
    assert dt.datetime.fromtimestamp(twice / 1e9, dt.UTC).isoformat() == "2024-11-03T05:30:00+00:00"


def test_days_that_overlap_are_an_error():
    hour = 3_600 * 10**9
    hours = [Hours(dt.date(2024, 1, day), at, at + hour) for day, at in ((1, 10 * hour), (2, 11 * hour))]
    segment = parse_schedule(NEW_YORK.replace('"08:00"', '"open-20m"'), origin="test").segments[0]
    with pytest.raises(ScheduleFault, match="before 2024-01-01 has ended"):
        plan_of(segment, Calendar(tuple(hours), "UTC"))


def test_an_unknown_calendar_and_one_that_ends_are_errors():
    segment = parse_schedule(NEW_YORK.replace("XNYS", "NOWHERE"), origin="test").segments[0]
    with pytest.raises(ScheduleFault, match="unknown calendar 'NOWHERE'"):
        calendar_of(segment, dt.date(2024, 1, 1), dt.date(2024, 2, 1))
    seoul = parse_schedule(NEW_YORK.replace("XNYS", "XKRX"), origin="test").segments[0]
    with pytest.raises(ScheduleFault, match="XKRX"):
        calendar_of(seoul, dt.date(2060, 1, 1), dt.date(2060, 2, 1))


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("[[segment]]", "[[segments]]", "unknown key 'segments'"),
        ("number = 1", "number = 0", "a number from 1 to 4095"),
        ("number = 1", "number = true", "a number from 1 to 4095"),
        ('name = "new-york"', 'name = "New York"', "1 to 32 of a-z"),
        ('calendar = "XNYS"', "", "has no calendar"),
        ('calendar = "XNYS"', 'calendar = "XNYS"\ntime_zone = "Mars/Base"', "a time zone such as"),
        ('calendar = "XNYS"', 'calendar = "XNYS"\ncolour = 1', "unknown key 'colour'"),
        ('calendar = "XNYS"', 'calendar = "XNYS"\nclosures = ["2024-01-01"]', "a list of dates"),
        ('["ACME", "GLOBEX"]', "[]", "a list of symbols"),
        ('["ACME", "GLOBEX"]', '["ACME", "ACME"]', "instrument ACME is there twice"),
        ('"pre_open"', '"lunch"', "one of pre_open"),
        ('"pre_open"', '"opening_auction"', "are both opening_auction"),
        ('"continuous"', '"closed"', "does not end with its one closed phase"),
        ('at = "open-5m"', 'at = "open-5"', "is 'open-5'; give a time"),
        ('at = "open-5m"', 'at = "25:00"', "is '25:00'; give a time"),
        ('at = "08:00"', 'at = "break_start"', "can't begin or end with a break"),
        ('at = "08:00" }', 'at = "08:00", half_days = "skip" }', "neither has half_days"),
        ("phase = [", "phases = [", "unknown key 'phases'"),
        ("phase = [", "phase = [[", "not TOML"),
        ("number = 1", f"number = {'1' * 5_000}", "a number of thousands of digits"),
    ],
)
def test_what_is_no_schedule_is_an_error_that_says_where_and_what_to_do(change, to, said):
    assert change in NEW_YORK
    with pytest.raises(ScheduleFault, match=r"^day\.toml: ") as fault:
        parse_schedule(NEW_YORK.replace(change, to, 1), origin="day.toml")
    assert said in str(fault.value)


def test_segments_share_no_number_and_one_alone_takes_all_others():
    for wrong, said in ((LONDON.replace("number = 2", "number = 1"), "number 1 is there twice"),):
        with pytest.raises(ScheduleFault, match=said):
            parse_schedule(NEW_YORK + wrong, origin="day.toml")
    with pytest.raises(ScheduleFault, match="two segments have instruments"):
        parse_schedule(LONDON + LONDON.replace("number = 2", "number = 3").replace("london", "l2"), origin="day.toml")
    found = [SCHEDULE.segment_of(one) for one in ("ACME", "TEA")]
    assert [one.name for one in found if one] == ["new-york", "london"]


def test_a_session_names_segment_date_and_change_and_nothing_else_is_one():
    for date in (FIRST_DATE, dt.date(2024, 11, 29), LAST_DATE):
        for mark in (Mark(1, date, START), Mark(4095, date, END), Mark(7, date, 12)):
            session_id = mark.session_id(77)
            assert session_id >> 32 == 77
            assert mark_of(session_id) == mark
    assert mark_of(77 << 32 | 1) is None
