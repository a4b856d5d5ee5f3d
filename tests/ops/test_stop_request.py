"""An orderly end where there is time for it, and an end all the same where there is none."""

import signal
import subprocess
import sys
import time

import pytest

HEAD = """
import os, signal, sys, time
from lockstep.ops.stop_request import StopRequest
stop = StopRequest.install()
stop.end_at_once(0.3, 7, lambda: (print("ended", stop.reason), sys.stdout.flush()))
print("ready", flush=True)
"""
LONG_CALL = HEAD + "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)\n"
LONG_PYTHON = HEAD + "while True: sum(n * n for n in range(1000))\n"
STARVED_END = HEAD + "import atexit; atexit.register(time.sleep, 60)\nwhile not stop.requested: time.sleep(0.01)\n"
ORDERLY = HEAD + "while not stop.requested: time.sleep(0.01)\nprint('orderly', stop.reason, flush=True)\n"


def run(code: str, end: signal.Signals | None) -> tuple[int, str, float]:
    """Start it, ask it to end (None: as its parent does by ending); exit code, last words, seconds."""
    environment = {"LOCKSTEP_DIE_WITH_PARENT": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
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
            code_of = process.wait(20)
            return code_of, process.stdout.read().strip(), time.monotonic() - started_s
        finally:
            process.kill()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, None])
@pytest.mark.parametrize("code", [LONG_CALL, LONG_PYTHON, STARVED_END], ids=["call", "python", "end"])
def test_a_process_in_the_middle_of_long_work_ends_soon_after_it_was_asked(code: str, end: signal.Signals) -> None:
    exit_code, words, took_s = run(code, end)
    assert exit_code == 7
    assert words.startswith("ended")
    assert 0.3 <= took_s < 10


def test_a_process_that_ends_in_order_is_let() -> None:
    exit_code, words, _ = run(ORDERLY, signal.SIGTERM)
    assert (exit_code, words) == (0, "orderly SIGTERM")
