"""What goes into the replica's state machine and what comes out: events and effects, all of them plain values.

The shell performs the fields of `Effects` from the top down. The order is part of the safety argument: nothing that
another process could take for a promise or an acknowledgement leaves before the journal write above it is durable.
"""

from dataclasses import field
from enum import IntEnum

from lockstep.replica.divergence import EpochEntry
from lockstep.replica.settings import Base
from lockstep.stream.batch import Batch
from lockstep.stream.digest import Digest
from lockstep.stream.messages import Ack, Release, Stream
from lockstep.stream.records import Events
from lockstep.stream.values import frozen


class Role(IntEnum):
    """What an engine does now; same numbers as `lockstep.v1.Role`."""

    LEARNER = 4
    """Its log may be incomplete or is not required for a commit."""
    STANDBY = 5
    PRIMARY = 6
    DIVERGED = 7
    """It computed something else than a peer did. It acks and releases nothing any more."""


# ---- events -----------------------------------------------------------------------------------------------------


@frozen
class StreamFrames:
    """STREAM frames in the order in which they arrived, from any sequencer."""

    frames: tuple[Stream, ...]


@frozen
class AckFrames:
    """ACK frames of other engines in the order in which they arrived."""

    frames: tuple[Ack, ...]


@frozen
class Journaled:
    """The journal write of an earlier step is durable (as the ack policy defines it) through `seq`."""

    seq: int


@frozen
class FenceRequested:
    """A sequencer that took over asks for the promise. `ticket` comes back in the answer."""

    ticket: int
    cluster_uuid: str
    epoch: int
    sequencer: int
    settled: bool = False
    """The cluster was opened before, so a blank journal means a lost disk."""


@frozen
class SequencerSaid:
    """What a sequencer says on its own liveness link: the epoch of the config that it knows."""

    sequencer: int
    epoch: int


@frozen
class PeerLog:
    """A part of another engine's journal, as it was asked for by `FetchLog`.

    `batches` start with the one that holds the seq asked for; `digest` is the peer's chain digest after the last of
    them. `cluster_uuid` is empty if the peer knows none yet.
    """

    peer: int
    cluster_uuid: str
    in_sync: bool
    tip_seq: int
    epochs: tuple[EpochEntry, ...]
    batches: tuple[Batch, ...] = ()
    digest: bytes = b""
    committed_seq: int = 0
    snapshot_seq: int = 0
    """Of the peer's newest verified snapshot; 0: it has none."""

    @property
    def delivered(self) -> "PeerDigest":
        """What it says to an `AskDigest`: the digest after the last batch, or at the tip where there is none."""
        return PeerDigest(self.peer, self.batches[-1].last_seq if self.batches else self.tip_seq, self.digest)


@frozen
class PeerDigest:
    """What a peer says itself that its chain digest is after a seq, as it was asked for by `AskDigest`."""

    peer: int
    seq: int
    digest: bytes


@frozen
class PeerLogFailed:
    """The peer did not answer, or not in time; or its snapshot could not be had."""

    peer: int


@frozen
class PeerLogBehind:
    """The peer's journal begins later than the seq asked for: what is before is in its snapshots only."""

    peer: int


@frozen
class PeerSnapshot:
    """A peer's snapshot has come, whole and checked, and lies beside the journal."""

    peer: int
    cluster_uuid: str
    base: Base


@frozen
class Tick:
    """Time has passed."""


Event = (
    StreamFrames
    | AckFrames
    | Journaled
    | FenceRequested
    | SequencerSaid
    | PeerLog
    | PeerDigest
    | PeerLogFailed
    | PeerLogBehind
    | PeerSnapshot
    | Tick
)


# ---- effects ----------------------------------------------------------------------------------------------------


@frozen
class JournalWrite:
    """One atomic write. With `batches` the shell answers `Journaled` once it is durable."""

    batches: tuple[Batch, ...] = ()
    epochs: tuple[EpochEntry, ...] = ()
    """Epochs that begin in `batches`."""
    promise: tuple[int, int] | None = None
    """(epoch, sequencer). Always synced, whatever the ack policy: safety hangs on it."""
    cluster_uuid: str = ""
    """To be stored as the identity of the directory; empty: unchanged."""
    committed_seq: int = 0
    """A hint for the next start; it may be stale but never too high."""
    joined: bool = False
    """The cluster has admitted this journal: to be stored, synced."""
    synced: bool = True
    """Whether `batches` have to be synced before they are acked; False only under the policy REPLICATED."""


@frozen
class FenceAnswer:
    """What a Fence call gets. `refusal` is set if the caller belongs to another cluster."""

    ticket: int
    accepted: bool
    promised: int
    tip_epoch: int
    tip_seq: int
    digest: bytes
    committed_seq: int
    timestamp_ns: int
    refusal: str = ""
    blank: bool = False
    """The journal was not taken into the cluster yet: what it holds is no in-sync log."""
    journal: int = 0
    """Identity of the journal."""


@frozen
class AppliedBatch:
    """One stamped batch after the engine has executed it."""

    epoch: int
    first_seq: int
    last_seq: int
    events: Events = field(repr=False)
    digest: Digest


@frozen
class Rewind:
    """An ACK frame that asks for what is missing, for one sequencer only."""

    sequencer: int
    frame: Ack


@frozen
class FetchLog:
    """Ask one peer for its log from `from_seq`; the answer comes as `PeerLog` or `PeerLogFailed`."""

    peer: int
    from_seq: int


@frozen
class AskDigest:
    """Ask a peer for its digest after the batch that holds `seq`, or at its tip; the answer comes as `PeerDigest`, or
    not at all."""

    peer: int
    seq: int


@frozen
class FetchSnapshot:
    """Ask one peer for a snapshot; the answer comes as `PeerSnapshot` or `PeerLogFailed`."""

    peer: int


@frozen
class Install:
    """Begin anew from a snapshot that has come: the own log is equal to its history up to `common_seq`."""

    base: Base
    cluster_uuid: str
    common_seq: int


@frozen
class Notice:
    """Something that a person reading the log wants to know."""

    event: str
    detail: str


@frozen
class Effects:
    """What one step decided. The shell performs the fields in the order in which they stand here."""

    journal: JournalWrite | None = None
    """Durable before anything below is done."""
    truncate_after: int | None = None
    """Archive and delete the journal after this seq, then replace this machine by one restored from the journal."""
    install: Install | None = None
    """Archive the journal after `common_seq`, have it begin after the snapshot, then replace this machine."""
    fence_answers: tuple[FenceAnswer, ...] = ()
    ack: Ack | None = None
    """To every other engine and to every sequencer."""
    applied: tuple[AppliedBatch, ...] = ()
    """To be kept for event fetches; need not be durable, replay makes them again."""
    releases: tuple[Release, ...] = ()
    """To every gateway."""
    rewind: Rewind | None = None
    fetch: FetchLog | None = None
    ask: AskDigest | None = None
    fetch_snapshot: FetchSnapshot | None = None
    notices: tuple[Notice, ...] = ()


NO_EFFECTS = Effects()
