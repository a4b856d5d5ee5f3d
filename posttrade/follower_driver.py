"""Does what a follower's machine says, over its ports."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from lockstep.posttrade.chunks import Chunk, Position
from lockstep.posttrade.follower import (
    Answered,
    Applied,
    Due,
    Effects,
    Event,
    Failed,
    FollowerMachine,
    Read,
    Started,
    Stop,
)


class Ports(Protocol):
    """What a follower's driver needs of the world. Called in its own loop alone."""

    def now_ns(self) -> int:
        """The monotonic clock."""
        ...

    def at(self, due_ns: int, action: Callable[[], None]) -> Any:
        """Call back at this time, or, where it has come, soon."""
        ...

    def read(self, wanted: Read, heard: Callable[[Chunk | Failed], None]) -> None:
        """Ask an engine."""
        ...

    def apply(self, chunk: Chunk, stored: Callable[[Position], None]) -> None:
        """Have the sink apply a chunk, beside the loop; what it raises ends the follower."""
        ...

    def stopped(self, why: Stop) -> None:
        """The follower can't go on."""
        ...


class FollowerDriver:
    """One follower. `on_applied` is called behind each chunk that is stored."""

    def __init__(self, machine: FollowerMachine, ports: Ports, on_applied: Callable[[Chunk], None]) -> None:
        self.machine = machine
        self._ports = ports
        self._on_applied = on_applied
        self._ended = False

    def start(self) -> None:
        """Begin to read."""
        self._step(Started())

    def end(self) -> None:
        """Read and apply nothing more; what is being applied still comes to its end."""
        self._ended = True

    def _step(self, event: Event) -> None:
        if not self._ended:
            self._perform(self.machine.step(event, self._ports.now_ns()))

    def _perform(self, effects: Effects) -> None:
        if effects.apply is not None:
            self._ports.apply(effects.apply, partial(self._on_stored, effects.apply))
        if effects.read is not None:
            self._ports.read(effects.read, partial(self._on_heard, effects.read.engine))
        if effects.deadline_ns:
            self._ports.at(effects.deadline_ns, partial(self._step, Due()))
        if effects.stop is not None:
            self._ended = True
            self._ports.stopped(effects.stop)

    def _on_heard(self, engine: int, heard: Chunk | Failed) -> None:
        self._step(heard if isinstance(heard, Failed) else Answered(engine, heard))

    def _on_stored(self, chunk: Chunk, position: Position) -> None:
        self._on_applied(chunk)
        self._step(Applied(position))
