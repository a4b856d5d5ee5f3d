"""A process of a benchmark: it is told words, a line each, and says JSON lines."""

import contextlib
import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from lockstep.runtime.process import EnvironmentFault


class Child:
    """A module run with a plan (a dataclass) as its argument; it is killed when the stack ends."""

    def __init__(self, stack: contextlib.ExitStack, module: str, plan: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(asdict(plan))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(self._process.wait)
        stack.callback(self._process.kill)

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next message of this kind; others are skipped.

        Raises:
            EnvironmentFault: the process ended before it.
        """
        assert self._process.stdout is not None, "it is a pipe"
        for line in self._process.stdout:
            message: dict[str, Any] = json.loads(line)
            if message.get("event") == event:
                return message
        raise EnvironmentFault(f"a process of the bench ended before {event!r}; its messages are above")

    def last(self) -> dict[str, Any]:
        """Its last message, once it has ended.

        Raises:
            EnvironmentFault: it said nothing.
        """
        assert self._process.stdout is not None, "it is a pipe"
        lines = self._process.stdout.read().splitlines()
        if not lines:
            raise EnvironmentFault("a process of the bench ended without a result; its messages are above")
        message: dict[str, Any] = json.loads(lines[-1])
        return message

    def tell(self, word: str) -> None:
        """One word."""
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()


def tell_all(children: list[Child], word: str) -> None:
    """The same word to each."""
    for child in children:
        child.tell(word)
