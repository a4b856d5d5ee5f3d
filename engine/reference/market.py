"""*Market-wide breaker*: the market's index, and the terms of the breaker that halts everything when that falls."""

from collections.abc import Iterable

from lockstep.engine.reference.book import PPM, Book
from lockstep.engine.reference.limits import DAY_NS, Throttle

Levels = tuple[int, int, int]
"""Falls of levels 1, 2 and 3 in millionths of the previous close; 0: no such level."""


class Market:
    """The breaker's terms; the level reached on `day`; until when (level 1, 2) the market is halted.

    And how many orders all instruments together take.
    """

    __slots__ = ("day", "level", "levels", "pause_ns", "throttle", "until_ns")

    def __init__(self) -> None:
        self.set((0, 0, 0), 0)
        self.until_ns = 0
        self.throttle = Throttle()

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
        members = [book for book in books if is_in_index(book)]
        base = sum(book.index_weight * book.close for book in members)
        now = sum(book.index_weight * (book.last or book.close) for book in members)
        return max((at for at, ppm in enumerate(self.levels, 1) if ppm and (base - now) * PPM >= ppm * base), default=0)


def is_in_index(book: Book) -> bool:
    """Whether the index has the instrument."""
    return book.index_weight > 0 and book.close > 0
