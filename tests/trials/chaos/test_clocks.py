"""A host's wall clock: wrong, stepped while a process runs, and what waits by it waits as long as it should."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstep.runtime.process import EnvironmentFault
from lockstep.trials.chaos.clocks import HostClock

# Tells the time by each of the calls that there are, and how long waits of 0.2 s took, whenever it is asked.
TELLER = """
import ctypes, datetime, sys, threading, time

libc = ctypes.CDLL(None)
class Timespec(ctypes.Structure):
    _fields_ = [("s", ctypes.c_long), ("ns", ctypes.c_long)]

def wall_clock_wait():
    # As C++'s wait_until(system_clock): a deadline by the wall clock, on a condition that nobody signals.
    mutex, condition = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
    at = time.time_ns() + 200_000_000
    libc.pthread_mutex_lock(mutex)
    libc.pthread_cond_timedwait(condition, mutex, ctypes.byref(Timespec(at // 10**9, at % 10**9)))
    libc.pthread_mutex_unlock(mutex)

def took(wait):
    began = time.monotonic()
    wait()
    return time.monotonic() - began

for _ in sys.stdin:
    print(
        time.time(), datetime.datetime.now().timestamp(), libc.time(None),
        took(lambda: time.sleep(0.2)), took(lambda: threading.Event().wait(0.2)), took(wall_clock_wait),
        flush=True,
    )
"""


@pytest.fixture
def clock(tmp_path: Path) -> HostClock:
    try:
        return HostClock(tmp_path / "clock")
    except EnvironmentFault as error:
        pytest.skip(f"THE CLOCKS of chaos were NOT checked: {error}")


def test_a_running_process_sees_each_step_and_waits_as_long_as_before(clock: HostClock) -> None:
    command = (*clock.prefix(), sys.executable, "-c", TELLER)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as teller:
        assert teller.stdin is not None
        assert teller.stdout is not None
        for offset_s in (0, 3600, -3600, -30, 0):
            clock.step(offset_s * 1000)
            teller.stdin.write("now\n")
            *reported, slept, waited, waited_by_wall_clock = map(float, teller.stdout.readline().split())
            assert [round(time_s - time.time() - offset_s, -1) for time_s in reported] == [0, 0, 0]
            assert all(0.19 < took_s < 10 for took_s in (slept, waited, waited_by_wall_clock))
        teller.stdin.close()


def test_clocks_are_each_host_s_own_and_leave_ours_alone(tmp_path: Path, clock: HostClock) -> None:
    other = HostClock(tmp_path / "other")
    clock.step(3_600_000)
    hour_ahead, right = (
        float(subprocess.run([*one.prefix(), "date", "+%s.%N"], capture_output=True, text=True, check=True).stdout)
        for one in (clock, other)
    )
    assert round(hour_ahead - right, -1) == 3600
    assert round(right - time.time(), -1) == 0


def test_a_clock_that_cannot_be_had_ends_the_process_loudly(tmp_path: Path, clock: HostClock) -> None:
    command = [word.replace(str(tmp_path), str(tmp_path / "nowhere")) for word in clock.prefix()]
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "can't be mapped" in done.stderr
