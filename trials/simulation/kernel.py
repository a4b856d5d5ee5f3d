"""Virtual time: a heap of events, one source of chance, and a running hash of what happened.

Everything that the simulation does is an action in this heap, in an order that depends on the seed alone. The hash
covers every message that is delivered, so two runs with equal hashes did the same.
"""

import hashlib
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

US: Final = 1_000
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
START_NS: Final = 1_900_000_000 * SECOND
"""Unix time at which every run begins."""


class Kernel:
    """The clock of the world, its chance and its agenda."""

    __slots__ = ("_agenda", "_count", "_hash", "history", "now_ns", "random", "seed", "steps")

    def __init__(self, seed: int, *, keep_history: bool = False) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311 - repeatable on purpose
        self.now_ns = START_NS
        self.steps = 0
        """Actions done."""
        self.history: list[str] | None = [] if keep_history else None
        self._agenda: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def after(self, delay_ns: int, action: Callable[..., None], *arguments: Any) -> None:
        """Do `action` in `delay_ns`; of actions at one time the one asked for first goes first."""
        self._count += 1
        heappush(self._agenda, (self.now_ns + delay_ns, self._count, action, arguments))

    def run(self, end_ns: int, stop: Callable[[], bool]) -> None:
        """Go on until `end_ns`, or until `stop` (asked now and then) says so."""
        agenda = self._agenda
        while agenda and agenda[0][0] <= end_ns:
            self.now_ns, _count, action, arguments = heappop(agenda)
            action(*arguments)
            self.steps += 1
            if not self.steps & 63 and stop():
                return

    def between(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return low + int(self.random.random() * (high - low + 1))

    def chance(self, parts: int, of: int) -> bool:
        """True in `parts` cases of `of`."""
        return self.random.random() * of < parts

    def note(self, text: str) -> None:
        """Something worth a line in the history."""
        self._hash.update(text.encode())
        if self.history is not None:
            self.history.append(f"{(self.now_ns - START_NS) / SECOND:10.6f} {text}")

    def witness(self, who: str, what: int, number: int) -> None:
        """Take a small event into the hash, without a line."""
        self._hash.update(b"%d %b %d %d;" % (self.now_ns, who.encode(), what, number))

    def fingerprint(self) -> str:
        """Hash of all that happened so far."""
        return self._hash.hexdigest()
