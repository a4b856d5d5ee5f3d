"""Which other engines have contradicted this one's digest, and when that means that it must stop.

Two engines that differ can't know who is right: both stop. Of three or more, one that is contradicted by half of the
in-sync set or more stops; one that only a minority contradicts goes on executing and acknowledging, so that the
sequencer sees who is the odd one and removes it. Nothing is released meanwhile: a commit needs the equal digest of
every in-sync engine.
"""


class Contradictions:
    """One life's. See the module."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}

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
