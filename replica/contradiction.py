"""Which other engines have contradicted this one's digest, and when that means that it must stop.

Two engines that differ can't know who is right: both stop. Of three or more, one that is contradicted by half of the
in-sync set or more stops; one that only a minority contradicts goes on executing and acknowledging, so that the
sequencer sees who is the odd one and removes it. Nothing is released meanwhile: a commit needs the equal digest of
every in-sync engine.

One odd ACK is no contradiction: an engine repeats its newest digest all the time, and digests are chained, so what it
says next confirms the difference or takes it back.
"""


class Contradictions:
    """One life's. See the module."""

    __slots__ = ("_once", "_texts")

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._once: dict[int, int] = {}  # engines that differed in one ACK, and at which seq

    def is_confirmed(self, member: int, seq: int, verified_seq: int) -> bool:
        """Whether an ACK's other digest at `seq` counts: not what the engine itself has said otherwise (it agreed at
        `verified_seq`), nor the first time."""
        if seq <= verified_seq:
            return False
        confirmed = self._once.get(member, 0) > verified_seq
        self._once[member] = seq
        return confirmed

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
