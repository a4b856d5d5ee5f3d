"""What a replica's machine gets when it is made."""

from lockstep.replica.divergence import EpochTable
from lockstep.stream.digest import Digest
from lockstep.stream.values import frozen


class BrokenInvariant(AssertionError):
    """The replica's state contradicts itself or the journal; it must stop."""


@frozen
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
    snapshot_gap: int = 100_000
    """A learner that is so many commands behind a peer's snapshot takes the snapshot instead of the log."""


@frozen
class Base:
    """Where a machine begins that does not begin at seq 1: what the stream's head and roles were at a committed seq.

    The engine that the machine is given has the state of the same seq.
    """

    seq: int
    digest: Digest
    """Chain digest at `seq`."""
    timestamp_ns: int
    """Stamped time of the record at `seq`."""
    epochs: EpochTable
    """Epochs that begin at or before `seq`."""
    in_sync: int
    """Bit set that the stream required at `seq`."""
    primary: int
    policy: int
    """Acknowledgement policy (`AckPolicy`) in force at `seq`."""
    sequencer: int
    """Who opened the epoch of `seq`: a journal that begins here has to have promised that epoch to it."""


@frozen
class Restored:
    """What the journal remembered besides the frames, for a machine that starts."""

    promise: tuple[int, int] = (0, 0)
    """(epoch, sequencer)."""
    cluster_uuid: str = ""
    committed_seq: int = 0
    """A hint: it may be too low, never too high."""
    journal: int = 0
    """The journal's identity, a random number; another disk has another one."""
    joined: bool = True
    """Whether the cluster has admitted this journal. What a new journal holds is no in-sync log, whatever it holds."""
    base: Base | None = None
    """State to begin with; None: seq 1 is the first to be replayed."""
