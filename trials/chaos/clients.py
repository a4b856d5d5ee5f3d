"""The client processes of a chaos run, from the outside: started, asked to stop, waited for."""

import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from lockstep.runtime.process import EnvironmentFault
from lockstep.trials.chaos.load import LoadPlan

_START_S: Final = 40.0
_MARGIN_S: Final = 10.0


@dataclass(slots=True)
class ClientProcesses:
    """Several processes that run `lockstep.trials.chaos.load`. Use it as a context manager."""

    plans: tuple[LoadPlan, ...]
    log_dir: Path
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Start them and wait until all of them trade.

        Raises:
            EnvironmentFault: one does not get that far.
        """
        self.log_dir.mkdir(parents=True, exist_ok=True)
        for number, plan in enumerate(self.plans, 1):
            Path(plan.directory).mkdir(parents=True, exist_ok=True)
            with self._log(number).open("wb") as log:
                self._running.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "lockstep.trials.chaos.load", plan.to_json()],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        bufsize=0,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        late = self._await("trading", _START_S)
        if late:
            raise EnvironmentFault(f"{late[0]} does not trade after {_START_S:g} s; keep its log with --data-dir")

    def finish(self, drain_s: float) -> tuple[str, ...]:
        """Stop the flow, wait for all answers, have the histories saved; names of those that did not manage."""
        missing: list[str] = []
        for word, answer in (("stop", "drained"), ("finish", "saved")):
            self._tell(word)
            missing += [name for name in self._await(answer, drain_s + _MARGIN_S) if name not in missing]
        self.close()
        return tuple(missing)

    def close(self) -> None:
        """End them all, whatever they do."""
        for process in self._running:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            try:
                process.wait(_MARGIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _tell(self, word: str) -> None:
        for process in self._running:
            assert process.stdin is not None
            try:
                process.stdin.write(f"{word}\n".encode())
                process.stdin.flush()
            except BrokenPipeError:
                # It has ended; waiting for its answer will show that.
                continue

    def _await(self, word: str, timeout_s: float) -> list[str]:
        """Names of the processes that don't say a word in time."""
        deadline = time.monotonic() + timeout_s
        late = []
        for number, process in enumerate(self._running, 1):
            assert process.stdout is not None
            if not _reads(process.stdout, word, deadline):
                late.append(f"client-{number}")
        return late

    def _log(self, number: int) -> Path:
        return self.log_dir / f"client-{number}.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _reads(stream: IO[bytes], word: str, deadline: float) -> bool:
    """Whether the next line is a word. Lines are short, so one that has begun is there in full."""
    ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
    return bool(ready) and stream.readline().decode().strip() == word
