"""When a session runs: days and weeks in UTC."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.edge.fix.schedule import ALWAYS, DAY_S, WEEK_S, Period, daily, weekly
from lockstep.edge.fix.times import NS, timestamp, timestamp_ns

HOUR_S = 3_600


def at(text: str) -> int:
    """Nanoseconds of an ISO time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def test_without_a_schedule_a_session_never_ends() -> None:
    assert ALWAYS.period(at("2026-11-30T12:00")) == Period(0, 0)
    assert Period(0, 0).holds(at("2126-11-30T12:00"))


def test_week_runs_from_sunday_evening_to_friday_evening() -> None:
    week = weekly(6, 22 * HOUR_S, 4, 21 * HOUR_S)
    # 2026-11-29 is a Sunday.
    period = Period(at("2026-11-29T22:00"), at("2026-12-04T21:00"))
    for inside in ("2026-11-29T22:00", "2026-12-02T03:00", "2026-12-04T20:59:59"):
        assert week.period(at(inside)) == period
    for outside in ("2026-11-29T21:59:59", "2026-12-04T21:00", "2026-12-05T12:00"):
        assert week.period(at(outside)) is None


def test_day_may_run_over_midnight() -> None:
    day = daily(20 * HOUR_S, 4 * HOUR_S, days=(0, 6))
    assert day.period(at("2026-12-01T03:59:59")) == Period(at("2026-11-30T20:00"), at("2026-12-01T04:00"))
    assert day.period(at("2026-11-30T01:00")) == Period(at("2026-11-29T20:00"), at("2026-11-30T04:00"))
    assert day.period(at("2026-12-01T20:00")) is None


@given(day=st.integers(0, 6), second=st.integers(0, DAY_S - 1), now_s=st.integers(0, 5_000_000_000))
def test_whole_weeks_leave_no_time_out(day: int, second: int, now_s: int) -> None:
    period = weekly(day, second, day, second).period(now_s * NS)
    assert period is not None
    assert period.holds(now_s * NS)
    assert period.ends_ns - period.begins_ns == WEEK_S * NS


@pytest.mark.parametrize(("day", "second"), [(7, 0), (-1, 0), (0, DAY_S)])
def test_days_and_seconds_have_bounds(day: int, second: int) -> None:
    with pytest.raises(ValueError, match="days are 0"):
        weekly(day, second, 0, 0)


@given(ms=st.integers(0, 4_000_000_000_000))
def test_timestamps_are_read_as_they_are_written(ms: int) -> None:
    assert timestamp_ns(timestamp(ms * 1_000_000)) == ms * 1_000_000


@given(seconds=st.integers(0, 253_402_300_799))
def test_dates_are_those_of_the_calendar(seconds: int) -> None:
    date = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d-%H:%M:%S")
    assert timestamp(seconds * NS) == f"{date}.000".encode()
    assert timestamp_ns(date.encode()) == seconds * NS


@pytest.mark.parametrize(
    "text",
    [b"", b"20260229-00:00:00", b"20261301-00:00:00", b"20260131-24:00:00", b"20260131-00:60:00", b"20260131-00:00:61",
     b"20260131 00:00:00", b"20260131-00:00:00.1", b"2026013-00:00:00", b"20260131-00:00:00Z", b"19691231-23:59:59"],
)  # fmt: skip
def test_what_is_no_time_is_none(text: bytes) -> None:
    assert timestamp_ns(text) is None


def test_leap_days_and_seconds_are_times() -> None:
    assert timestamp_ns(b"20240229-23:59:60") == at("2024-02-29T23:59:59")
    assert timestamp_ns(b"20240229-23:59:58.123456789") == at("2024-02-29T23:59:58") + 123_456_789
