"""`switchover --at`: what is read from the command line, in this host's zone, and how it is waited for."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import click
import pytest

from lockstep.ops.cli.cluster import switchover

CONTEXT = click.Context(switchover.command)
AT = next(param for param in switchover.command.params if param.name == "at")


@pytest.fixture
def tz(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def put(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", ["Europe/Berlin", ":Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", "UTC", ""])
def test_the_option_reads_local_time(tz: Callable[[str], None], name: str) -> None:
    tz(name)
    day = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    tomorrow = day.replace(hour=12, minute=0, second=0, microsecond=0)
    at = switchover._read_time(CONTEXT, AT, tomorrow.isoformat())
    assert at is not None
    assert at.moment.astimezone(UTC).timestamp() == time.mktime(tomorrow.timetuple())
    assert at.due_s is None


@pytest.mark.parametrize("text", ["18:30", "2026-10-26T09:00"])
def test_a_misspelt_zone_is_an_error_and_not_utc(tz: Callable[[str], None], text: str) -> None:
    tz("Europe/Berln")
    with pytest.raises(click.BadParameter, match="is no time zone here"):
        switchover._read_time(CONTEXT, AT, text)


def test_a_misspelt_zone_is_no_matter_to_a_delay_or_a_time_with_its_offset(tz: Callable[[str], None]) -> None:
    tz("Europe/Berln")
    later = datetime.now(UTC) + timedelta(hours=3)
    for text in ("+90s", later.isoformat(timespec="seconds"), later.strftime("%Y-%m-%dT%H:%MZ")):
        assert switchover._read_time(CONTEXT, AT, text) is not None


def test_a_delay_lasts_as_long_when_the_clock_is_set_back_and_a_date_waits_for_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delay = switchover._read_time(CONTEXT, AT, "+2s")
    date = switchover._read_time(CONTEXT, AT, (datetime.now(UTC) + timedelta(seconds=30)).isoformat())
    assert delay is not None
    assert date is not None
    slept: list[float] = []
    passed = [0.0]
    monotonic, wall, back = time.monotonic(), datetime.now(UTC), timedelta(hours=1)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            del tz
            return wall + timedelta(seconds=passed[0]) - back

    def sleep(span_s: float) -> None:
        slept.append(span_s)
        passed[0] += span_s

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic + passed[0])
    monkeypatch.setattr(switchover, "datetime", Clock)
    switchover._wait_for(delay)
    assert 1.5 < sum(slept) < 2.5
    slept.clear()
    switchover._wait_for(date)
    assert 3_600 < sum(slept) < 3_640
    assert max(slept) <= 1.0
