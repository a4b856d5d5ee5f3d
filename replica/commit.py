"""When a command is committed: every engine that the stream requires has acked it, with this engine's own digest.

The digests are a chain, so a digest that is equal at one batch's end proves everything before it equal as well; only
the newest comparable one of each peer is looked at.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from lockstep.replica.divergence import EpochEntry, epoch_at
from lockstep.stream.digest import Digest
from lockstep.stream.messages import Ack
from lockstep.stream.values import frozen

# Own digests that are kept behind the committed seq, for peers that ack late.
_HISTORY_BATCHES: Final = 4096
# Digests of one peer that are ahead of this engine; more than the sequencer's window can't be.
_AHEAD_BATCHES: Final = 65_536


@dataclass(slots=True)
class _Peer:
    verified_seq: int = 0
    """0..own applied: highest seq at which its digest was seen equal to the own one."""
    agreed: int = 0
    """Times that its newest comparable digest was equal."""
    ahead: deque[tuple[int, bytes, int]] = field(default_factory=lambda: deque(maxlen=_AHEAD_BATCHES))
    """Acked beyond the own applied seq: (seq, digest, epoch of the ack), ascending."""


@frozen
class Mismatch:
    """A peer's digest differs at a seq that both have applied."""

    member: int
    seq: int
    own: bytes
    theirs: bytes
    verified_seq: int = 0
    """Highest seq at which it was seen to agree."""
    agreed: int = 0
    """How often it was."""

    @property
    def text(self) -> str:
        """For people."""
        return f"digest at seq {self.seq} is {self.own.hex()}, engine {self.member} has {self.theirs.hex()}"


@frozen
class _Segment:
    first_seq: int
    in_sync: int


class CommitGate:
    """Acks of all engines against the own digests.

    Invariants: segments ascend by first seq; verified_seq of a peer never passes the own applied seq.
    """

    __slots__ = ("_digests", "_member", "_peers", "_segments", "joined")

    def __init__(self, member: int, engines: tuple[int, ...]) -> None:
        self._member = member
        self.joined = True
        """Whether the own acks count. Those of a journal that the cluster has not admitted yet do not."""
        self._peers = {engine: _Peer() for engine in engines if engine != member}
        self._digests: dict[int, Digest] = {}
        # Who is required, from which seq on. Empty before the first EPOCH_START.
        self._segments: list[_Segment] = []

    @property
    def in_sync(self) -> int:
        """Bit set of the engines that are required for the newest seq."""
        return self._segments[-1].in_sync if self._segments else 0

    def on_epoch_start(self, in_sync: int) -> None:
        """The new set governs every seq that is not committed yet, also older ones."""
        self._segments = [_Segment(0, in_sync)]
        self._forget_others()

    def on_grow(self, seq: int, learner: int) -> None:
        """The learner is required from `seq` on."""
        self._segments.append(_Segment(seq, self.in_sync | 1 << learner))

    def on_grow_revoked(self, learner: int) -> None:
        """The learner is required for nothing any more: it never was in sync in the config."""
        kept = [_Segment(segment.first_seq, segment.in_sync & ~(1 << learner)) for segment in self._segments]
        self._segments = [segment for i, segment in enumerate(kept) if i == 0 or kept[i - 1].in_sync != segment.in_sync]
        self._forget_others()

    def on_applied(self, last_seq: int, digest: Digest, committed_seq: int) -> None:
        """The own digest at a batch's end."""
        digests = self._digests
        digests[last_seq] = digest
        while len(digests) > _HISTORY_BATCHES:
            oldest = next(iter(digests))
            if oldest >= committed_seq:
                break
            del digests[oldest]

    def on_ack(self, ack: Ack, applied_seq: int, epochs: list[EpochEntry]) -> Mismatch | None:
        """Another engine's acks. A mismatch is only reported of an engine that is required."""
        peer = self._peers.get(ack.sender)
        if peer is None or not ack.count or ack.unjoined:
            return None
        seqs = ack.entries["last_seq"]
        if len(seqs) == 1:
            newest = 0 if int(seqs[0]) <= applied_seq else -1
        else:
            newest = int(np.searchsorted(seqs, applied_seq, side="right")) - 1
        ahead = peer.ahead
        for i in range(newest + 1, len(seqs)):
            seq = int(seqs[i])
            while ahead and ahead[-1][0] >= seq:
                ahead.pop()
            ahead.append((seq, bytes(ack.entries["digest"][i]), ack.epoch))
        if newest < 0:
            return None
        theirs = bytes(ack.entries["digest"][newest])
        return self._compare(ack.sender, peer, (int(seqs[newest]), theirs, ack.epoch), epochs)

    def compare_ahead(self, applied_seq: int, epochs: list[EpochEntry]) -> Mismatch | None:
        """Compare what peers acked before this engine got there. Call after applying."""
        for member, peer in self._peers.items():
            ahead = peer.ahead
            found: tuple[int, bytes, int] | None = None
            while ahead and ahead[0][0] <= applied_seq:
                found = ahead.popleft()
            if found is not None:
                mismatch = self._compare(member, peer, found, epochs)
                if mismatch is not None:
                    return mismatch
        return None

    def committed(self, applied_seq: int, committed_seq: int, leader_seq: int) -> int:
        """The committed seq now, given the one before; never lower than it.

        For seqs that do not need this engine itself, acks of others do not show it the whole set: there the leader's
        word `leader_seq` counts, as far as an in-sync engine has acked the same digest.
        """
        reached = committed_seq
        for i, segment in enumerate(self._segments):
            others = [peer.verified_seq for member, peer in self._peers.items() if segment.in_sync >> member & 1]
            if segment.in_sync >> self._member & 1 and self.joined:
                bound = min([applied_seq, *others])
            else:
                bound = min(applied_seq, leader_seq, max(others, default=0))
            if i + 1 == len(self._segments) or bound < self._segments[i + 1].first_seq - 1:
                reached = max(reached, bound)
                break
            reached = max(reached, self._segments[i + 1].first_seq - 1)
        while len(self._segments) > 1 and reached >= self._segments[1].first_seq - 1:
            del self._segments[0]
        return reached

    def on_digest(self, member: int, seq: int, digest: bytes) -> Mismatch | None:
        """A peer itself, asked, has said its digest: how it differs, if it does and this engine has one there."""
        own = self._digests.get(seq)
        return Mismatch(member, seq, own, digest) if own is not None and digest and digest != own else None

    def verified_seq(self, member: int) -> int:
        """Highest seq at which a peer's digest was seen equal."""
        return self._peers[member].verified_seq

    def _compare(
        self, member: int, peer: _Peer, ack: tuple[int, bytes, int], epochs: list[EpochEntry]
    ) -> Mismatch | None:
        seq, theirs, epoch = ack
        own = self._digests.get(seq)
        # An ack of a lower epoch was said before the record that now stands at this seq was stamped: it is about
        # another record.
        if own is None or epoch < epoch_at(epochs, seq):
            return None
        if own == theirs:
            peer.verified_seq = max(peer.verified_seq, seq)
            peer.agreed += 1
            return None
        if any(segment.in_sync >> member & 1 for segment in self._segments):
            return Mismatch(member, seq, own, theirs, peer.verified_seq, peer.agreed)
        return None

    def _forget_others(self) -> None:
        """What an engine acked before it left says nothing about its next life."""
        required = 0
        for segment in self._segments:
            required |= segment.in_sync
        for member in self._peers:
            if not required >> member & 1:
                self._peers[member] = _Peer()
