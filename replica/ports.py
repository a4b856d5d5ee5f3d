"""What the replica's driver needs of the world: a clock, links, calls, a journal, peers, and who wants to know.

Two worlds supply it: the process (`shell.py`) and the simulation (`trials/simulation/engine_host.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from lockstep.replica.effects import (
    AppliedBatch,
    AskDigest,
    FenceAnswer,
    FetchLog,
    FetchSnapshot,
    Install,
    JournalWrite,
    Notice,
    Role,
    SequencerSaid,
)
from lockstep.replica.machine import ReplicaMachine
from lockstep.replica.peers import FromPeer
from lockstep.replica.service import FenceCall, QueryCall
from lockstep.stream.digest import Digest
from lockstep.stream.messages import Ack, Release, Stream


class Ports(Protocol):
    """Called by the driver, in its own loop alone. What has a body here may be left out."""

    def now_ns(self) -> int:
        """The monotonic clock."""

    # What has come.

    def streams(self) -> Sequence[Stream]:
        """STREAM frames, up to a burst."""

    def acks(self) -> Sequence[Ack]:
        """ACK frames of peers."""

    def calls(self) -> Iterable[FenceCall | QueryCall | FromPeer]:
        """Calls, and what peers have answered."""

    def heard(self) -> Iterable[SequencerSaid]:
        """News of the sequencers' heartbeats."""

    # What is done.

    def write(self, write: JournalWrite, applied: tuple[int, Digest], done: Callable[[], None]) -> None:
        """Journal it, and call `done` when it is durable: at once, or later.

        `applied`: up to where, and to which digest, what was written before is applied.
        Raises JournalFault.
        """

    def truncate(self, after_seq: int) -> str:
        """Archive and delete the journal after this seq, and snapshots of it; where the archive is."""

    def install(self, order: Install, *, had_more: bool) -> str:
        """Have the journal begin after a peer's snapshot; where the archive of the own tail is (`had_more`)."""

    def rebuild(self) -> ReplicaMachine:
        """A machine restored from the journal, for the present one. It has to hear anew what sequencers say."""

    def send_ack(self, ack: Ack, primary: int) -> None:
        """To every other engine and to every sequencer. Only the primary waits for it."""

    def release(self, frame: Release) -> None:
        """To every gateway."""

    def send_rewind(self, sequencer: int, frame: Ack) -> None:
        """To one sequencer, if there is such a one."""

    def fetch_log(self, order: FetchLog, cluster_uuid: str) -> None:
        """Start it; ends in PeerLog, PeerLogFailed or PeerLogBehind."""

    def ask_digest(self, order: AskDigest, cluster_uuid: str) -> None:
        """Start it; ends in PeerDigest, or in nothing."""

    def fetch_snapshot(self, order: FetchSnapshot) -> None:
        """Start it; ends in PeerSnapshot or PeerLogFailed."""

    # Who wants to know.

    def on_applied(self, batches: tuple[AppliedBatch, ...], role: Role) -> None:
        """Batches were applied and acknowledged."""
        return

    def on_apply_time(self, took_ns: int) -> None:
        """A write's records were applied."""
        return

    def on_releases(self, frames: tuple[Release, ...]) -> None:
        """Events were released."""
        return

    def on_fence_answer(self, answer: FenceAnswer) -> None:
        """A fence is answered."""
        return

    def on_delivered(self, seq: int, digest: Digest) -> None:
        """A query is answered with the state of this digest after `seq`."""
        return

    def on_step(self) -> None:
        """What a step said is done."""
        return

    def notice(self, notice: Notice) -> None:
        """For people."""
