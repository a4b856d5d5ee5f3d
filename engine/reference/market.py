"""The market as a whole: its index, and the breaker that halts everything when that falls."""

from collections.abc import Iterable

from lockstep.engine.reference.book import PPM, Book
from lockstep.engine.reference.limits import DAY_NS

Levels = tuple[int, int, int]
"""Falls in millionths of the previous close; 0: no such level."""


class Market:
    """The breaker's terms; the level reached on `day`; until when (level 1, 2) the market is halted."""

    __slots__ = ("day", "level", "levels", "pause_ns", "until_ns")

    def __init__(self) -> None:
        self.set((0, 0, 0), 0)
        self.until_ns = 0

    def set(self, levels: Levels, pause_ns: int) -> None:
        """New terms; the level reached is 0 again, a halt goes on."""
        self.levels = levels
        self.pause_ns = pause_ns
        self.day = self.level = 0

    def level_reached(self, now_ns: int) -> int:
        """Highest level reached on the stamped day."""
        return self.level if now_ns // DAY_NS == self.day else 0

    def level_of(self, books: Iterable[Book]) -> int:
        """Highest level that the index stands at; 0: at none."""
        members = [book for book in books if book.index_weight and book.close]
        base = sum(book.index_weight * book.close for book in members)
        fall = base - sum(book.index_weight * (book.last or book.close) for book in members)
        return max((at for at, ppm in enumerate(self.levels, 1) if ppm and fall * PPM >= ppm * base), default=0)
