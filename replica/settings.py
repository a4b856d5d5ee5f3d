"""What a replica's machine is told when it is made."""

from dataclasses import dataclass


class BrokenInvariant(AssertionError):
    """The replica's state contradicts itself or the journal; it must stop."""


@dataclass(frozen=True, slots=True)
class ReplicaOptions:
    """Identity and repetition times."""

    member: int
    engines: tuple[int, ...]
    """All configured engines, this one included."""
    rewind_ns: int = 20_000_000
    """Least time between two requests for a missing frame."""
    repeat_ns: int = 10_000_000
    """An idle replica repeats its newest ack, and an idle primary its release position, so often."""
    fetch_retry_ns: int = 50_000_000
    """Pause before the next peer is asked after one that could not help."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What the journal remembered besides the frames, for a machine that starts."""

    promise: tuple[int, int] = (0, 0)
    """(epoch, sequencer)."""
    cluster_uuid: str = ""
    committed_seq: int = 0
    """A hint: it may be too low, never too high."""
