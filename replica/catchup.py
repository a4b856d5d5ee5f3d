"""What a replica that asks its peers for their logs keeps in mind: whom to ask, when, what the answer must prove."""

from lockstep.replica.effects import FetchLog, PeerLog
from lockstep.stream.values import frozen


@frozen
class Expected:
    """What a peer with an equal log has at a seq that is on its way here."""

    seq: int
    digest: bytes
    peer: int
    committed_seq: int


class CatchUp:
    """One request at a time; the next peer after each that could not help."""

    __slots__ = (
        "_next_ns",
        "_peer_index",
        "_peers",
        "_retry_ns",
        "committed_seq",
        "expected",
        "failed",
        "target_seq",
        "under_way",
    )

    def __init__(self, peers: tuple[int, ...], retry_ns: int) -> None:
        self._peers = peers
        self._retry_ns = retry_ns
        self._peer_index = 0
        self._next_ns = 0
        self.under_way = False
        self.failed = False
        """The last answer was of no use."""
        self.target_seq = 0
        """Tip of the peer that is being copied, 0 if none is."""
        self.expected: Expected | None = None
        self.committed_seq = 0
        """Committed, as said by a peer whose log and digest were found equal up to it."""

    @property
    def possible(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._peers)

    def ask(self, from_seq: int, now_ns: int) -> FetchLog | None:
        """The next request, if it is due and none is under way."""
        if self.under_way or now_ns < self._next_ns:
            return None
        self.under_way = True
        return FetchLog(self._peers[self._peer_index], from_seq)

    def ask_at_once(self) -> None:
        """Make the next request due now."""
        self._next_ns = 0

    def without_effect(self, now_ns: int) -> None:
        """The answer did not help: another peer, after a pause."""
        self.under_way = False
        self.failed = True
        self.target_seq = 0
        self._peer_index = (self._peer_index + 1) % len(self._peers)
        self._next_ns = now_ns + self._retry_ns

    def expect(self, log: PeerLog) -> None:
        """Remember what the peer has at the end of the frames that it sent (or at its tip, if it sent none)."""
        last_seq = log.batches[-1].last_seq if log.batches else log.tip_seq
        if log.digest:
            self.expected = Expected(last_seq, log.digest, log.peer, log.committed_seq)

    def check(self, applied_seq: int, digest: bytes) -> str:
        """Compare when the seq is reached; what is wrong, or an empty text."""
        expected = self.expected
        if expected is None or expected.seq > applied_seq:
            return ""
        self.expected = None
        if expected.seq != applied_seq:
            return ""
        if expected.digest != digest:
            return (
                f"digest at seq {expected.seq} is {digest.hex()}, engine {expected.peer}, whose log is equal, has "
                f"{expected.digest.hex()}"
            )
        self.committed_seq = max(self.committed_seq, min(expected.committed_seq, expected.seq))
        return ""
