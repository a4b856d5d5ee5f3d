"""One child process of the local cluster: started, watched, stopped, its output kept in a log file.

Children end with their parent, whatever death it dies: each has a pipe as standard input whose other end only the
parent holds, and stops when it reads the end of file. That needs no code between fork and exec, which would be unsafe
under live gRPC traffic. They run in sessions of their own, so that Ctrl-C reaches only the parent, which then stops
them in the right order.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Protocol

from lockstep.runtime.stop_request import DIE_WITH_PARENT

_TAIL_BYTES: Final = 4096


class Process(Protocol):
    """A running child: a part of `subprocess.Popen`."""

    pid: int

    @property
    def stdin(self) -> IO[bytes] | None:
        """The pipe whose end ends it."""

    def poll(self) -> int | None:
        """Exit code, -N for signal N; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises `subprocess.TimeoutExpired`."""

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""


def execute(arguments: Sequence[str], environment: Mapping[str, str], log: int, prefix: Sequence[str]) -> Process:
    """Start `lockstep` with these arguments; its output goes to the descriptor `log`."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "lockstep.ops.cli.main", *arguments],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=environment,
        start_new_session=True,
    )


launch = execute
"""How children are started. Tests put something faster in its place."""


@dataclass(slots=True)
class Child:
    """A process of the cluster that can be started again and again."""

    name: str
    arguments: Sequence[str]
    """Of the `lockstep` command."""
    log_path: Path
    prefix: Sequence[str] = ()
    """Command that runs the command it is given, in place of itself."""
    starts: int = 0
    started_at: float = 0.0
    """Monotonic seconds."""
    _process: Process | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start the process; its output is added to the log."""
        self.release()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, DIE_WITH_PARENT: "1"}
        with self.log_path.open("ab") as log:
            self._process = launch(self.arguments, environment, log.fileno(), self.prefix)
        self.starts += 1
        self.started_at = time.monotonic()

    @property
    def pid(self) -> int:
        """Process id, 0 if it was never started."""
        return self._process.pid if self._process is not None else 0

    def exit_code(self) -> int | None:
        """None while the process runs (or was never started); -N if signal N ended it."""
        return self._process.poll() if self._process is not None else None

    @property
    def running(self) -> bool:
        """Whether the process exists."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process still exists."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end; whether it came in time."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the process with SIGKILL, at once, and wait for that."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def release(self) -> None:
        """Close the pipe to a process that has ended."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def last_words(self) -> str:
        """What the process said last: the last line of its log that is not empty, in plain words."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - _TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return _plain(next((line.strip() for line in reversed(lines) if line.strip()), ""))


def _plain(line: str) -> str:
    """A structured log line as a sentence; any other line as it is."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    if not isinstance(fields, dict):
        return line
    return str(fields.get("text") or fields.get("event") or line)


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
