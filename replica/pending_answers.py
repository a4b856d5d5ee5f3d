"""Answers about the state after commands that are applied and not committed yet: held back until they are. Pure."""


class PendingAnswers[A]:
    """Answers of type `A` by the seq whose state they show. Bounded: the oldest are dropped, their callers gave up."""

    __slots__ = ("_limit", "_waiting")

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._waiting: list[tuple[int, A]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, seq: int, answer: A) -> None:
        """Hold an answer back until `seq` is committed."""
        self._waiting.append((seq, answer))
        del self._waiting[: -self._limit]

    def due(self, committed_seq: int) -> list[A]:
        """Those that may be delivered now; they are not held any longer."""
        due = [answer for seq, answer in self._waiting if seq <= committed_seq]
        if due:
            self._waiting = [entry for entry in self._waiting if entry[0] > committed_seq]
        return due

    def give_up_after(self, seq: int) -> list[A]:
        """Answers that show later commands: these were discarded, and others will be committed under their seqs."""
        gone = [answer for at, answer in self._waiting if at > seq]
        self._waiting = [entry for entry in self._waiting if entry[0] <= seq]
        return gone
