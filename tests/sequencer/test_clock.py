"""The steady clock."""

import time

import pytest

from lockstep.sequencer.clock import SteadyClock


def test_clock_is_near_the_wall_and_never_goes_back() -> None:
    clock = SteadyClock()
    readings = [clock.at(time.monotonic_ns()) for _ in range(100)]
    assert readings == sorted(readings)
    assert abs(readings[-1] - time.time_ns()) < 50_000_000


def test_stepped_wall_clock_is_followed_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    start_ns = time.monotonic_ns()
    before = clock.at(start_ns)
    wall_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns + 3_600_000_000_000)
    after = clock.at(start_ns + 2_000_000_000)
    assert 2_000_000_000 <= after - before <= 2_000_500_000
