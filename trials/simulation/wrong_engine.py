"""An engine that, from some moment on, computes something else than the others: a bug, or a bit that has flipped."""

from collections.abc import Callable
from dataclasses import dataclass

from lockstep.engine.reference import ReferenceEngine
from lockstep.stream.records import Commands, Events


class _Engine(ReferenceEngine):
    """The reference engine as long as `is_wrong` says no."""

    is_wrong: Callable[[], bool]

    def apply(self, commands: Commands, *, first_seq: int, timestamp_ns: int) -> Events:
        """Execute; a wrong engine gives its last event another time."""
        events = super().apply(commands, first_seq=first_seq, timestamp_ns=timestamp_ns)
        if len(events) and self.is_wrong():
            events = events.copy()
            events["timestamp_ns"][-1] += 1
        return events


@dataclass(frozen=True, slots=True)
class WrongEngine:
    """Makes such engines, as the class of an implementation does."""

    is_wrong: Callable[[], bool]

    def __call__(self) -> ReferenceEngine:
        """A new one."""
        return self._marked(_Engine())

    def restore(self, raw: bytes) -> ReferenceEngine:
        """One from a snapshot. Raises SnapshotError."""
        return self._marked(_Engine.restore(raw))

    def _marked(self, engine: ReferenceEngine) -> ReferenceEngine:
        assert isinstance(engine, _Engine), "restored as another class"
        engine.is_wrong = self.is_wrong
        return engine
