"""What the engines have acknowledged, and whether they agree.

Two marks per engine. `acked`: it holds the stream up to there, by its own word or by its answer to the fence; the
window follows it. `confirmed`: it acknowledged that in this reign with a digest that no in-sync engine contradicts; the
committed seq follows it. Digests are chained, so agreement at one seq is agreement about everything before it.
"""

from collections import deque

from lockstep.stream.digest import DIGEST_SIZE
from lockstep.stream.frames import Frame, FrameFlag

# Digests kept for comparing: twice what a learner may lag when it is taken in, in batches.
_KEPT = 8192


class Agreement:
    """Acks of one reign."""

    __slots__ = ("_claims", "_digests", "_order", "acked", "committed", "confirmed", "diverged", "progress_ns")

    def __init__(self, acked: dict[int, int], committed: int, now_ns: int) -> None:
        self.acked = dict(acked)
        """Highest seq that an engine holds, by engine; falls only when an engine is admitted again."""
        self.confirmed: dict[int, int] = {}
        self.committed = committed
        """Highest seq confirmed by every required engine; never falls."""
        self.diverged = ""
        """What disagreed; from then on nothing more is committed."""
        self.progress_ns = dict.fromkeys(acked, now_ns)
        """When each engine last got on or had nothing to do."""
        self._claims: dict[int, tuple[int, bytes]] = {}  # newest ack of each engine that is not required
        self._digests: dict[int, bytes] = {}  # of in-sync engines, by seq
        self._order: deque[int] = deque()

    def on_ack(self, ack: Frame, required: tuple[int, ...], now_ns: int) -> None:
        """Take an ACK frame of this reign in."""
        engine = ack.sender
        seqs: list[int] = ack.records["last_seq"].tolist()
        raw = ack.records["digest"].tobytes()
        digests = [raw[start : start + DIGEST_SIZE] for start in range(0, len(raw), DIGEST_SIZE)]
        if engine not in required:
            if seqs:
                self._claims[engine] = (seqs[-1], digests[-1])
            return
        if ack.flags & FrameFlag.UNJOINED:
            # Listed, and with a new journal: it is being taken in, or has lost its disk.
            return
        for seq, digest in zip(seqs, digests, strict=True):
            known = self._digests.get(seq)
            if known is None:
                self._remember(seq, digest)
            elif known != digest and not self.diverged:
                self.diverged = f"engine {engine} has another digest at seq {seq} than the engine that came first"
        if ack.first_seq > self.acked.get(engine, 0):
            self.acked[engine] = ack.first_seq
            self.progress_ns[engine] = now_ns
        if not self.diverged and seqs:
            self.confirmed[engine] = max(self.confirmed.get(engine, 0), seqs[-1])

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

    def admit(self, engine: int, seq: int, now_ns: int) -> None:
        """A learner becomes required; it holds the stream up to `seq`."""
        self.acked[engine] = seq
        self.confirmed[engine] = seq
        self.progress_ns[engine] = now_ns
        self._claims.pop(engine, None)

    def forget(self, engine: int) -> None:
        """An engine went down: what it claimed belongs to its former life."""
        self._claims.pop(engine, None)

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

    def _remember(self, seq: int, digest: bytes) -> None:
        self._digests[seq] = digest
        self._order.append(seq)
        if len(self._order) > _KEPT:
            del self._digests[self._order.popleft()]
