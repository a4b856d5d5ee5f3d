"""The watch over the machine's own stalls."""

import os
import time

from lockstep.bench.machine_watch import MachineWatch


def test_a_watch_ends_when_it_is_told_to_and_says_what_it_saw():
    watch = MachineWatch()
    time.sleep(0.5)
    before = time.monotonic()
    stalls = watch.stop()
    assert time.monotonic() - before < 5
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        assert stalls is None
        return
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    assert stalls is not None
    assert stalls.count >= 0
    assert stalls.total_ms >= stalls.longest_ms >= 0
