"""Which seqs are there, and whether one is missing between them. Pure."""

from collections.abc import Iterable, Iterator
from itertools import groupby


class Seqs:
    """As ranges: the seqs of a day follow each other, so years are few numbers."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._broken: list[int] = []
        """Seqs that have not all their records."""

    def take(self, places: Iterable[tuple[int, int]]) -> None:
        """All records of a day by (seq, place behind it): 0 is the command, then its events."""
        for seq, rows in groupby(sorted(places), key=lambda place: place[0]):
            numbers = [number for _, number in rows]
            if numbers != list(range(len(numbers))):
                self._broken.append(seq)
            if self._ranges and self._ranges[-1][1] + 1 == seq:
                self._ranges[-1] = self._ranges[-1][0], seq
            else:
                self._ranges.append((seq, seq))

    def holes(self) -> Iterator[str]:
        """What is missing, in words."""
        last = None
        for begin, end in sorted(self._ranges):
            if last is not None and begin > last + 1:
                yield f"nothing is there of seq {last + 1}" + (f" to {begin - 1}" if begin - 1 > last + 1 else "")
            last = max(end, last or 0)
        for seq in self._broken:
            yield f"of seq {seq} a record is missing, or is there twice"
