"""Which other engines have contradicted this one's digest, and when that means that it must stop.

Two engines that differ can't know who is right: both stop. Of three or more, one that is contradicted by half of the
in-sync set or more stops; one that only a minority contradicts goes on executing and acknowledging, so that the
sequencer sees which engines are the minority and removes them. Nothing is released meanwhile: a commit needs the equal
digest of every in-sync engine.

Odd ACKs are no contradiction, however many come: an engine repeats its newest digest all the time, and digests are
chained, so what it says next confirms the difference or takes it back. Only a difference that has stood for
`STANDS_NS`, without one word of the engine that agrees, makes this engine ask it, and its own answer decides: it may
hang, and somebody else speak in its name. Nothing is released in that time.
"""

from typing import Final

from lockstep.replica.commit import Mismatch
from lockstep.replica.effects import AskDigest

STANDS_NS: Final = 100_000_000
_ASK_AGAIN_NS: Final = 200_000_000


class Contradictions:
    """One life's. See the module."""

    __slots__ = ("_ask_due_ns", "_since", "_texts")

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._ask_due_ns: dict[int, int] = {}
        self._since: dict[int, tuple[int, int]] = {}  # by engine: how often it had agreed, and when it then differed

    def is_confirmed(self, mismatch: Mismatch, now_ns: int, *, stands_ns: int = STANDS_NS) -> bool:
        """Whether another digest counts: not what the engine itself has said otherwise, nor the first time, nor before
        it has stood for so long."""
        if mismatch.seq <= mismatch.verified_seq:
            return False
        agreed, since_ns = self._since.get(mismatch.member, (-1, now_ns))
        if agreed != mismatch.agreed:
            self._since[mismatch.member] = (mismatch.agreed, now_ns)
            return False
        return now_ns - since_ns >= stands_ns

    def ask(self, mismatch: Mismatch, now_ns: int) -> AskDigest | None:
        """What to ask the engine now, if it was not asked just before."""
        if now_ns < self._ask_due_ns.get(mismatch.member, 0):
            return None
        self._ask_due_ns[mismatch.member] = now_ns + _ASK_AGAIN_NS
        return AskDigest(mismatch.member, mismatch.seq)

    def note(self, member: int, text: str) -> bool:
        """An engine has another digest; whether that is news."""
        news = member not in self._texts
        self._texts.setdefault(member, text)
        return news

    def verdict(self, in_sync: int) -> str:
        """Why this engine must stop, given the bit set of in-sync engines; empty: it goes on."""
        self._texts = {member: text for member, text in self._texts.items() if in_sync >> member & 1}
        if self._texts and len(self._texts) * 2 >= in_sync.bit_count():
            return "; ".join(self._texts.values())
        return ""
