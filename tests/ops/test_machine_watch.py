"""The watch over the machine's own stalls."""

import time

import pytest

from lockstep.ops.machine_watch import MachineWatch


def test_a_watch_ends_when_it_is_told_to_and_says_what_it_saw():
    watch = MachineWatch()
    time.sleep(0.5)
    before = time.monotonic()
    stalls = watch.stop()
    assert time.monotonic() - before < 5
    if stalls is None:
        pytest.skip("no real-time priority here")
    assert stalls.count >= 0
    assert stalls.total_ms >= stalls.longest_ms >= 0
