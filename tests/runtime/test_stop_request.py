"""An orderly end for those that need one, and an end at once, wherever they are, for those that don't."""

import signal
import subprocess
import sys
import time

import pytest

from lockstep.runtime.stop_request import StopRequest

HEAD = """
import os, signal, sys, time
from lockstep.runtime.stop_request import StopRequest
stop = StopRequest.install(at_once={at_once})
print("ready", flush=True)
"""
WORK = {
    "call": "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)\n",
    "python": "while True: sum(n * n for n in range(1000))\n",
    "blocked": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()\n",
}
ORDERLY = "while not stop.requested: time.sleep(0.01)\nprint('orderly', stop.reason, flush=True)\n"


def run(code: str, end: signal.Signals | None) -> tuple[int, str, float]:
    """Start it, ask it to end (None: as its parent does by ending); exit code, last words, seconds."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"LOCKSTEP_DIE_WITH_PARENT": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.2)
            started_s = time.monotonic()
            if end is None:
                process.stdin.close()
            else:
                process.send_signal(end)
            exit_code = process.wait(30)
            return exit_code, process.stdout.read().strip(), time.monotonic() - started_s
        finally:
            process.kill()


@pytest.mark.parametrize(("end", "exit_code"), [(signal.SIGTERM, -15), (signal.SIGINT, -2), (None, 0)])
@pytest.mark.parametrize("work", WORK)
def test_what_holds_nothing_ends_at_once_in_the_middle_of_its_work(
    work: str, end: signal.Signals | None, exit_code: int
) -> None:
    code, _, took_s = run(HEAD.format(at_once=True) + WORK[work], end)
    assert code == exit_code
    assert took_s < 5


@pytest.mark.parametrize(
    ("end", "reason"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT"), (None, "parent ended")]
)
def test_others_are_asked_and_end_in_order(end: signal.Signals | None, reason: str) -> None:
    code, words, _ = run(HEAD.format(at_once=False) + ORDERLY, end)
    assert (code, words) == (0, f"orderly {reason}")


WAITS = "while not stop.wait(0): pass\nprint('orderly', stop.reason, flush=True)\n"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT] * 3)
def test_signal_that_comes_while_its_thread_looks_is_heard(end: signal.Signals) -> None:
    """A lock that the handler and the waiting thread share would hold both for ever."""
    code, words, _ = run(HEAD.format(at_once=False) + WAITS, end)
    assert (code, words) == (0, f"orderly {end.name}")


def test_wait_has_a_bound_and_tells_whether_the_end_was_asked_for() -> None:
    stop = StopRequest()
    began_s = time.monotonic()
    assert stop.wait(0.05) is False
    assert time.monotonic() - began_s >= 0.05
    stop.request("enough")
    assert stop.wait() is True
