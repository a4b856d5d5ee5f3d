"""Parking between empty polls."""

from __future__ import annotations

import threading
import time

import pytest

from lockstep.runtime.idle import Idle


def turn_s(idle: Idle, work: int) -> float:
    start_s = time.perf_counter()
    idle.idle(work)
    return time.perf_counter() - start_s


def test_work_never_parks() -> None:
    idle = Idle(min_park_us=20_000, max_park_us=20_000, quiet_park_us=20_000)
    start_s = time.perf_counter()
    for _ in range(1000):
        idle.idle(1)
    assert time.perf_counter() - start_s < 0.02


def test_the_first_empty_turns_spin_then_each_parks_longer() -> None:
    idle = Idle(min_park_us=2_000, max_park_us=8_000, quiet_park_us=50_000, quiet_after_ms=10_000, spins=2)
    idle.idle(0)
    idle.idle(0)
    assert [turn_s(idle, 0) >= least_s for least_s in (0.002, 0.004, 0.008, 0.008)] == [True] * 4


def test_a_quiet_time_parks_longest_and_work_ends_it() -> None:
    idle = Idle(min_park_us=100, max_park_us=100, quiet_park_us=30_000, quiet_after_ms=1, spins=1)
    deadline_s = time.monotonic() + 0.01
    while time.monotonic() < deadline_s:
        idle.idle(0)
    assert turn_s(idle, 0) >= 0.03
    idle.idle(1)
    idle.idle(0)
    assert min(turn_s(idle, 0) for _ in range(3)) < 0.03


def test_other_threads_run_while_it_parks() -> None:
    idle = Idle(min_park_us=100_000, max_park_us=100_000, quiet_park_us=100_000, spins=0)
    ran = threading.Event()
    timer = threading.Timer(0.01, ran.set)
    timer.start()
    idle.idle(0)
    assert ran.is_set()
    timer.join()


def test_parks_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="min_park_us"):
        Idle(min_park_us=300, max_park_us=200)
