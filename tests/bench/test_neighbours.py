"""What other programs take of the machine."""

import time

from lockstep.bench.neighbours import busy_s, wait_for_quiet


def test_a_core_that_runs_is_busy_and_waiting_has_an_end() -> None:
    before, until = busy_s(), time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert busy_s() - before >= 0.1
    began = time.monotonic()
    assert wait_for_quiet(1.5) >= 0
    assert time.monotonic() - began < 30
