"""What the engines have acknowledged, and whether they agree.

Two marks per engine. `acked`: it holds the stream up to there, by its own word or by its answer to the fence; the
window follows it. `confirmed`: it acknowledged that in this reign with a digest that no in-sync engine contradicts; the
committed seq follows it. Digests are chained, so agreement at one seq is agreement about everything before it.

Where digests differ at a seq, nothing more is confirmed. If most of the required engines have one digest there, the
others are the minority, and once they are out of the config the rest goes on. Only a difference that lasts counts: an
engine that later has the digest of the others has never had another one, whoever said so in its name.
"""

from collections import deque

from lockstep.stream.digest import DIGEST_SIZE
from lockstep.stream.messages import Ack
from lockstep.stream.records import bits_to_members

# Digests kept for comparing: twice what a learner may lag when it is admitted, in batches.
_KEPT = 8192
# An engine repeats its newest digest every ten milliseconds.
_STANDS_NS = 500_000_000
_NEW_JOURNAL_NS = 200_000_000


class Agreement:
    """Acks of one reign."""

    __slots__ = (
        "_claims", "_digests", "_order", "_others", "_suspects", "_voters", "acked", "committed", "confirmed",
        "diverged", "diverged_ns", "heard_ns", "progress_ns", "returning", "unjoined",
    )  # fmt: skip

    def __init__(self, acked: dict[int, int], committed: int, now_ns: int) -> None:
        self.acked = dict(acked)
        """Highest seq that an engine holds, by engine; falls only when an engine is admitted again."""
        self.confirmed: dict[int, int] = {}
        self.committed = committed
        """Highest seq confirmed by every required engine; never falls."""
        self.diverged = ""
        """What disagrees; while something does, nothing more is committed."""
        self.diverged_ns = now_ns
        """Since when."""
        self.progress_ns = dict.fromkeys(acked, now_ns)
        """When each engine last got on or had nothing to do."""
        self.heard_ns = dict.fromkeys(acked, now_ns)
        """When each engine's last ack came."""
        self.unjoined: dict[int, int] = {}
        """Required engines that acknowledge with a new journal, and since when they have said nothing else."""
        self.returning: set[int] = set()
        """Engines that were lost in this reign and have not acknowledged anything since: whether they still have what
        they held is not known, also where their links are up again."""
        self._claims: dict[int, tuple[int, bytes]] = {}  # newest ack of each engine that is not required
        self._digests: dict[int, bytes] = {}  # of the required engine that came first, by seq
        self._voters: dict[int, int] = {}  # bit set of the engines that said the same, by seq
        self._others: dict[int, dict[bytes, int]] = {}  # other digests at a seq, and who said them
        self._order: deque[int] = deque()
        self._suspects: set[int] = set()  # engines whose last frame differed from what is known

    def on_ack(self, ack: Ack, required: tuple[int, ...], now_ns: int) -> None:
        """Take an ACK frame of this reign in."""
        engine = ack.sender
        self.heard_ns[engine] = now_ns
        seqs: list[int] = ack.entries["last_seq"].tolist()
        raw = ack.entries["digest"].tobytes()
        digests = [raw[start : start + DIGEST_SIZE] for start in range(0, len(raw), DIGEST_SIZE)]
        if engine not in required:
            if seqs:
                self._claims[engine] = (seqs[-1], digests[-1])
            return
        if ack.unjoined:
            # Listed, and with a new journal: it is being admitted, or has lost its disk.
            self.unjoined.setdefault(engine, now_ns)
            return
        self.unjoined.pop(engine, None)
        bit = 1 << engine
        if self._is_odd(engine, seqs, digests, bit):
            return
        for seq, digest in zip(seqs, digests, strict=True):
            known = self._digests.get(seq)
            if known is None:
                self._remember(seq, digest, bit)
            elif seq in self._others:
                self._vote_again(seq, digest, bit)
            elif known == digest:
                self._voters[seq] |= bit
            elif self._voters[seq] == bit:
                self._digests[seq] = digest  # nobody contradicts itself
            else:
                self._contradict(seq, digest, engine, now_ns)
        if self._others and seqs:
            self._take_back(seqs[-1])
        if ack.acked_seq > self.acked.get(engine, 0):
            self.acked[engine] = ack.acked_seq
            self.progress_ns[engine] = now_ns
        if not self.diverged and seqs:
            self.confirmed[engine] = max(self.confirmed.get(engine, 0), seqs[-1])

    def _is_odd(self, engine: int, seqs: list[int], digests: list[bytes], bit: int) -> bool:
        """Whether a frame is the first that differs from what is known: it counts for nothing, and the engine's next
        one, which repeats its digest, confirms the difference or takes it back. What only it itself has said before,
        its newest word replaces."""
        differs = False
        for seq, digest in zip(seqs, digests, strict=True):
            if self._digests.get(seq, digest) == digest:
                continue
            if self._voters[seq] == bit and seq not in self._others:
                self._digests[seq] = digest
            else:
                differs = True
        known = engine in self._suspects
        if differs:
            self._suspects.add(engine)
        elif seqs:
            self._suspects.discard(engine)
        return differs and not known

    def _take_back(self, agreed_seq: int) -> None:
        """Engines agree at a seq, and so about all before it: where only they were said to differ, they do not."""
        together = self._voters.get(agreed_seq, 0)
        if not together & (together - 1) or agreed_seq in self._others:
            return
        for seq in [seq for seq in self._others if seq < agreed_seq]:
            ballots = self._voters[seq]
            for bits in self._others[seq].values():
                ballots |= bits
            if not ballots & ~together:
                del self._others[seq], self._digests[seq], self._voters[seq]
        self._order = deque(seq for seq in self._order if seq in self._digests)
        self._settle()

    def _vote_again(self, seq: int, digest: bytes, bit: int) -> None:
        """An engine's newest word at a seq where digests differ takes the place of what it was said to have."""
        ballots = {self._digests[seq]: self._voters[seq], **self._others.pop(seq)}
        ballots[digest] = ballots.get(digest, 0) | bit
        left = {one: bits for one, bits in ballots.items() if one == digest or bits & ~bit}
        left = {one: bits if one == digest else bits & ~bit for one, bits in left.items()}
        (self._digests[seq], self._voters[seq]), *rest = left.items()
        if rest:
            self._others[seq] = dict(rest)
        self._settle()

    def _settle(self) -> None:
        if not self._others:
            self.diverged = ""

    def stands(self, now_ns: int) -> bool:
        """Whether engines have disagreed for so long that none of them will take it back."""
        return bool(self.diverged) and now_ns - self.diverged_ns >= _STANDS_NS

    def is_hardly_unjoined(self, engine: int, now_ns: int) -> bool:
        """Whether an engine has a new journal by what was said just now: its next word may take that back."""
        return now_ns - self.unjoined.get(engine, now_ns - _NEW_JOURNAL_NS) < _NEW_JOURNAL_NS

    def commit(self, required: tuple[int, ...]) -> int:
        """The committed seq if these engines are required."""
        if not self.diverged:
            self.committed = max(self.committed, min(self.confirmed.get(engine, 0) for engine in required))
        return self.committed

    def lowest(self, required: tuple[int, ...]) -> int:
        """Highest seq that all of these engines hold."""
        return min(self.acked.get(engine, 0) for engine in required)

    def learner_at(self, engine: int) -> int:
        """Highest seq at which a learner is known to agree with an in-sync engine; 0: none."""
        seq, digest = self._claims.get(engine, (0, b""))
        return seq if self._digests.get(seq) == digest else 0

    def claimed(self, engine: int) -> int:
        """Newest seq that an engine has acknowledged that is not required; 0: none."""
        return self._claims.get(engine, (0, b""))[0]

    @property
    def contradicting(self) -> tuple[int, ...]:
        """Engines that said another digest somewhere than the one that came first, ascending."""
        bits = 0
        for others in self._others.values():
            for theirs in others.values():
                bits |= theirs
        return bits_to_members(bits)

    def admit(self, engine: int, seq: int, now_ns: int) -> None:
        """A learner becomes required; it holds the stream up to `seq`."""
        self.acked[engine] = seq
        self.confirmed[engine] = seq
        self.progress_ns[engine] = now_ns
        self._claims.pop(engine, None)

    def forget(self, engine: int) -> None:
        """An engine went down: what it claimed belongs to its former life."""
        self._claims.pop(engine, None)

    def odd(self, required: tuple[int, ...]) -> tuple[int, ...]:
        """Engines whose digest differs from the one that most of the required engines have; empty: undecided."""
        for seq, others in self._others.items():
            odd = odd_ones({self._digests[seq]: self._voters[seq], **others}, required)
            if odd:
                return odd
        return ()

    def resolve(self, odd: tuple[int, ...]) -> None:
        """The minority is out: what it said no longer counts."""
        kept = ~sum(1 << engine for engine in odd)
        for seq in list(self._digests):
            ballots = {self._digests[seq]: self._voters[seq], **self._others.get(seq, {})}
            left = {digest: bits & kept for digest, bits in ballots.items() if bits & kept}
            self._others.pop(seq, None)
            if not left:
                del self._digests[seq], self._voters[seq]
                continue
            first, *rest = left
            self._digests[seq], self._voters[seq] = first, left[first]
            if rest:
                self._others[seq] = {digest: left[digest] for digest in rest}
        self._order = deque(seq for seq in self._order if seq in self._digests)
        for engine in odd:
            self.confirmed.pop(engine, None)
            self._claims.pop(engine, None)
        self._settle()

    def stalled(self, required: tuple[int, ...], now_ns: int, patience_ns: int) -> tuple[int, ...]:
        """Engines that have not got on for `patience_ns` while another has."""
        best = max((self.acked.get(engine, 0) for engine in required), default=0)
        return tuple(
            engine
            for engine in required
            if self.acked.get(engine, 0) < best and now_ns - self.progress_ns.get(engine, now_ns) > patience_ns
        )

    def on_stamped(self, before: int, now_ns: int) -> None:
        """Something was stamped after `before`: engines that had everything have something to do from now on."""
        for engine, acked in self.acked.items():
            if acked >= before:
                self.progress_ns[engine] = now_ns

    def excuse(self, now_ns: int) -> None:
        """This process was paused itself: silence in that time proves nothing."""
        for engine in self.progress_ns:
            self.progress_ns[engine] = now_ns

    def _remember(self, seq: int, digest: bytes, bit: int) -> None:
        self._digests[seq] = digest
        self._voters[seq] = bit
        self._order.append(seq)
        if len(self._order) > _KEPT:
            oldest = self._order.popleft()
            del self._digests[oldest], self._voters[oldest]
            self._others.pop(oldest, None)

    def _contradict(self, seq: int, digest: bytes, engine: int, now_ns: int) -> None:
        others = self._others.setdefault(seq, {})
        others[digest] = others.get(digest, 0) | 1 << engine
        if not self.diverged:
            self.diverged_ns = now_ns
            self.diverged = f"engine {engine} has another digest at seq {seq} than the engine that came first"


def odd_ones(ballots: dict[bytes, int], voters: tuple[int, ...]) -> tuple[int, ...]:
    """Voters with another digest than the one that more than half of all `voters` have, if there is such a one.

    `ballots`: bit set of engines by digest.
    """
    for digest, bits in ballots.items():
        against = 0
        for other, theirs in ballots.items():
            against |= theirs if other != digest else 0
        agreeing = sum(1 for voter in voters if (bits & ~against) >> voter & 1)
        if agreeing * 2 > len(voters):
            return tuple(voter for voter in voters if against >> voter & 1)
    return ()
