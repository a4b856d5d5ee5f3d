"""A real media driver process for the tests, and the waiting that polled code needs."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lockstep.runtime.driver import claim_path, default_directory
from lockstep.runtime.transport import wait_for_driver


@dataclass
class DriverProcess:
    """Starts, kills and restarts the driver of one directory."""

    directory: Path
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lockstep.runtime.driver", "--dir", str(self.directory), *self.arguments],
            text=True,
            stdout=subprocess.DEVNULL,
        )
        wait_for_driver(self.directory, 10)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(60)


@pytest.fixture
def driver() -> Iterator[DriverProcess]:
    base = Path(tempfile.mkdtemp(prefix="lockstep-test-", dir=default_directory("x").parent))
    process = DriverProcess(base / "aeron", ("--max-park-us", "100"))
    try:
        process.start()
        yield process
    finally:
        process.stop()
        claim_path(process.directory).unlink(missing_ok=True)
        shutil.rmtree(base)


@pytest.fixture
def until() -> Callable[..., float]:
    """`until(condition)` turns until the condition holds; returns the seconds it took; fails after `limit_s`."""

    def turn(condition: Callable[[], object], limit_s: float = 5.0) -> float:
        start_s = time.monotonic()
        while not condition():
            assert time.monotonic() - start_s < limit_s, "the condition never came true"
            time.sleep(0.0005)
        return time.monotonic() - start_s

    return turn
