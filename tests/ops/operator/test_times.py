"""Times as operators write them."""

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.ops.operator.times import TimeFault, parse_time

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
