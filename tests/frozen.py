"""Stopping a process for certain: the signal is sent at once, and obeyed when the kernel comes to it."""

import os
import signal
import time
from pathlib import Path


def freeze(pid: int) -> None:
    """Stop a process, and wait until none of its threads runs any more."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 30
    while not _stands(pid):
        assert time.monotonic() < deadline, f"process {pid} goes on"
        time.sleep(0.001)


def _stands(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    try:
        return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in threads)
    except OSError:
        return False  # one ended while we looked
