"""Times as operators write them."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lockstep.ops.operator.times import LocalZone, TimeFault, check_zone, parse_time, shown

NOW = datetime(2026, 1, 31, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("+90", 90),
        ("+90s", 90),
        ("+2m", 120),
        ("18:30", 1800),
        ("18:00:05", 5),
        ("2026-01-31T18:00:07", 7),
        ("2026-01-31T19:00:00+01:00", 0),
    ],
)
def test_a_time_is_the_next_such_moment(text: str, seconds: int) -> None:
    assert parse_time(text, NOW) == NOW + timedelta(seconds=seconds)


def test_a_time_of_day_that_is_over_is_tomorrow() -> None:
    assert parse_time("17:00", NOW) == NOW + timedelta(hours=23)


@pytest.mark.parametrize("text", ["soon", "25:00", "+", "2026-01-31T17:59", "2026-03-01", "+200h"])
def test_what_is_no_time_to_wait_for_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(TimeFault, match=r"is not a time|is past|more than a week"):
        parse_time(text, NOW)


BERLIN = ZoneInfo("Europe/Berlin")
"""Clocks are put back on 25 October 2026 at 3:00, forward on 28 March 2027 at 2:00."""


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("now", "text", "utc"),
    [
        ("2026-10-24T12:00", "2026-10-26T09:00", "2026-10-26T08:00"),
        ("2026-10-24T12:00", "2026-10-24T13:00", "2026-10-24T11:00"),
        ("2026-10-24T12:00", "09:00", "2026-10-25T08:00"),
        ("2026-10-25T01:00", "09:00", "2026-10-25T08:00"),
        ("2026-10-25T12:00", "11:00", "2026-10-26T10:00"),
        ("2027-03-27T12:00", "2027-03-29T09:00", "2027-03-29T07:00"),
        ("2027-03-27T12:00", "11:00", "2027-03-28T09:00"),
        ("2027-03-28T01:30", "03:00", "2027-03-28T01:00"),
        ("2027-03-28T04:00", "02:30", "2027-03-29T00:30"),
        ("2026-10-25T12:00", "02:30", "2026-10-26T01:30"),
        ("2026-10-24T12:00", "2026-10-26T09:00+02:00", "2026-10-26T07:00"),
        ("2026-10-24T12:00", "2026-10-25T02:30+02:00", "2026-10-25T00:30"),
        ("2026-10-24T12:00", "2026-10-25T02:30+01:00", "2026-10-25T01:30"),
        ("2026-10-24T12:00", "2026-10-26T08:00Z", "2026-10-26T08:00"),
        ("2026-10-25T01:59", "+2h", "2026-10-25T01:59"),
        ("2027-03-28T01:59", "+2h", "2027-03-28T02:59"),
    ],
)
def test_a_local_time_is_meant_by_the_rules_of_its_own_day(now: str, text: str, utc: str) -> None:
    found = parse_time(text, berlin(now))
    assert found.astimezone(UTC) == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert found.tzinfo is BERLIN


@pytest.mark.parametrize(
    ("now", "text"),
    [("2026-10-24T12:00", "2026-10-25T02:30"), ("2026-10-25T00:30", "02:30"), ("2026-10-24T12:00", "02:00")],
)
def test_a_local_time_that_comes_twice_is_refused_with_both_ways_to_write_it(now: str, text: str) -> None:
    with pytest.raises(TimeFault, match=r"comes twice here.*T02:\d0:00\+02:00 or 2026-10-25T02:\d0:00\+01:00"):
        parse_time(text, berlin(now))


@pytest.mark.parametrize(
    ("now", "text"),
    [("2027-03-27T12:00", "2027-03-28T02:30"), ("2027-03-28T00:30", "02:30"), ("2027-03-27T12:00", "02:59:59")],
)
def test_a_local_time_that_does_not_exist_is_refused_with_when_clocks_are_put_forward(now: str, text: str) -> None:
    with pytest.raises(TimeFault, match=r"there is no 2027-03-28 02:.*put forward over it at 2027-03-28 01:59:59 CET"):
        parse_time(text, berlin(now))


def test_between_the_two_of_a_time_of_day_the_second_is_not_guessed() -> None:
    with pytest.raises(TimeFault, match="comes twice"):
        parse_time("02:30", berlin("2026-10-25T02:45", fold=0))
    assert parse_time("02:30", berlin("2026-10-25T02:45", fold=1)) == berlin("2026-10-26T02:30")


def test_past_and_far_are_measured_in_real_time() -> None:
    with pytest.raises(TimeFault, match="is past: it is 2026-10-25 02:10:00 CET"):
        parse_time("2026-10-25T02:50+02:00", berlin("2026-10-25T02:10", fold=1))
    week = berlin("2026-10-20T09:00")
    with pytest.raises(TimeFault, match="more than a week"):
        parse_time("2026-10-27T09:00", week)
    assert parse_time("2026-10-27T08:00", week)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00+01:00", "9999-12-31T23:59-23:00", "0001-01-01", "9999-12-31", "\u0663:\u0660\u0660"]
)
def test_times_at_the_ends_of_the_calendar_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(TimeFault):
        parse_time(text, berlin("2026-10-24T12:00"))


def test_a_time_is_shown_with_the_offset_of_its_day() -> None:
    assert shown(berlin("2026-10-24T09:00")) == "2026-10-24 09:00:00 CEST (UTC+02:00)"
    assert shown(berlin("2026-10-26T09:00")) == "2026-10-26 09:00:00 CET (UTC+01:00)"
    assert shown(NOW) == "2026-01-31 18:00:00 UTC"
    assert shown(NOW.astimezone(timezone(timedelta(hours=-3)))) == "2026-01-31 15:00:00 UTC-03:00"


@pytest.fixture
def tz(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str | None], None]]:
    """Set this process's TZ."""

    def put(name: str | None) -> None:
        monkeypatch.delenv("TZ", raising=False)
        if name is not None:
            monkeypatch.setenv("TZ", name)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "name",
    ["Europe/Berlin", ":Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", "<CET>-1<CEST>,M3.5.0/2,M10.5.0/3",
     "/usr/share/zoneinfo/Europe/Berlin", ":/usr/share/zoneinfo/Europe/Berlin"],
)  # fmt: skip
def test_each_form_of_tz_is_read_by_the_rules_of_that_day(tz: Callable[[str | None], None], name: str) -> None:
    if "/usr" in name and not Path(name.removeprefix(":")).exists():
        pytest.skip("no time zone database here")
    tz(name)
    zone = LocalZone()
    now = datetime(2026, 10, 24, 12, 0, tzinfo=zone)
    assert parse_time("2026-10-26T09:00", now).astimezone(UTC) == datetime(2026, 10, 26, 8, 0, tzinfo=UTC)
    assert parse_time("09:00", now).astimezone(UTC) == datetime(2026, 10, 25, 8, 0, tzinfo=UTC)
    with pytest.raises(TimeFault, match="comes twice"):
        parse_time("2026-10-25T02:30", now)
    with pytest.raises(TimeFault, match="there is no"):
        parse_time("2027-03-28T02:30", datetime(2027, 3, 27, 12, 0, tzinfo=zone))
    for hour in range(72):
        moment = datetime(2026, 10, 24, tzinfo=UTC) + timedelta(hours=hour)
        assert moment.astimezone(zone).replace(tzinfo=None) == moment.astimezone(BERLIN).replace(tzinfo=None)
        assert moment.astimezone(zone).fold == moment.astimezone(BERLIN).fold
        assert moment.astimezone(zone).astimezone(UTC) == moment


@pytest.mark.parametrize("name", [None, ""])
def test_without_a_tz_the_host_s_own_zone_counts(tz: Callable[[str | None], None], name: str | None) -> None:
    tz(name)
    now = datetime.now(LocalZone())
    assert abs((now.astimezone(UTC) - datetime.now(UTC)).total_seconds()) < 5
    assert parse_time("+90s", now).utcoffset() == datetime.now().astimezone().utcoffset()


@pytest.mark.parametrize(
    ("name", "is_file", "sound"),
    [
        (None, False, True), ("", False, True), (":", False, True), ("Europe/Berlin", False, True),
        (":Europe/Berlin", False, True), ("UTC0", False, True), ("CET-1CEST,M3.5.0,M10.5.0/3", False, True),
        ("<+0330>-3:30", False, True), ("EST5EDT", False, True), ("/etc/localtime", True, True),
        ("Europe/Berln", False, False), (":Europe/Berln", False, False), ("Berlin", False, False),
        ("/no/such/file", False, False), (":CET-1", False, False), ("CET", False, False),
    ],
)  # fmt: skip
def test_a_tz_that_would_silently_mean_utc_is_refused(name: str | None, is_file: bool, sound: bool) -> None:
    known = frozenset({"Europe/Berlin"})
    if sound:
        check_zone(name, known, is_file=is_file)
        return
    with pytest.raises(TimeFault, match="is no time zone here"):
        check_zone(name, known, is_file=is_file)
