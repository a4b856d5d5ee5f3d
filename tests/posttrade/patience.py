"""Waiting for processes that are killed and started again."""

import time
from collections.abc import Callable

from lockstep.errors import Unavailable

PATIENCE_S = 90


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Until it is so; fails after `PATIENCE_S`."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {PATIENCE_S} s"
        time.sleep(0.1)


def answered[T](ask: Callable[[], T]) -> T:
    """The answer, once who is asked has started again and caught up."""
    found: list[T] = []

    def tried() -> bool:
        try:
            found.append(ask())
        except Unavailable:
            return False
        return True

    wait_for(tried, "an answer")
    return found[0]
