"""The part of a book that one subscriber sees: the best `depth` levels of each side, and how it moves. Pure.

Events touch levels, but a window also changes where nothing was touched: when a level inside it goes, the one behind
it moves in; when one comes inside, the last moves out. So what was delivered is remembered as a reach: the worst price
of a full window, or none where the window had room, so that everything was delivered. What follows next is every
touched level within the old reach, and the levels between the old reach and the new one. Both ends are looked up in the
book, so it costs what changed and not what is shown.

Depth 0 is a window without an end: its reach is none for ever.
"""

from collections.abc import Iterable
from typing import Final

from lockstep.marketdata.books import Books, Level
from lockstep.stream.records import Side

_BUY: Final = int(Side.BUY)
_SIDES: Final = (_BUY, int(Side.SELL))
_MAX_TOUCHED: Final = 4096

Reach = int | None


def is_within(side: int, price_ticks: int, reach: Reach) -> bool:
    """Whether the price is the reach, better than it, or there is none."""
    if reach is None:
        return True
    return price_ticks >= reach if side == _BUY else price_ticks <= reach


class Window:
    """What one subscriber has of one instrument's levels, and what is still to be delivered.

    Invariant: as of the last `begin` or `take`, the subscriber has exactly the book's levels within the reaches.
    """

    __slots__ = ("_depth", "_reaches", "_touched")

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._reaches: dict[int, Reach] = dict.fromkeys(_SIDES)
        # Levels within the reach that changed since, in order of first change.
        self._touched: dict[tuple[int, int], None] = {}

    def begin(self, books: Books, instrument: int) -> None:
        """The subscriber gets all that is to be seen now, and forgets what it had."""
        self._touched.clear()
        for side in _SIDES:
            self._reaches[side] = books.reach(instrument, side, self._depth)

    def touch(self, levels: Iterable[Level]) -> None:
        """These levels changed. Those beyond the reach are looked up if they move in."""
        for level in levels:
            if is_within(level.side, level.price_ticks, self._reaches[level.side]):
                self._touched[level.side, level.price_ticks] = None

    @property
    def touched(self) -> bool:
        """Whether there is something to deliver."""
        return bool(self._touched)

    @property
    def overflowed(self) -> bool:
        """Whether so much changed that it is better to begin anew."""
        return len(self._touched) > _MAX_TOUCHED

    def take(self, books: Books, instrument: int) -> tuple[Level, ...]:
        """New values of all levels that changed, came into the window or left it (no orders); those that go first."""
        changed: dict[tuple[int, int], Level] = {}
        for side in _SIDES:
            before, reach = self._reaches[side], books.reach(instrument, side, self._depth)
            self._reaches[side] = reach
            if before is not None and not (reach is not None and is_within(side, reach, before)):
                for level in books.levels_behind(instrument, side, before, reach):
                    changed[side, level.price_ticks] = level
            elif reach is not None and reach != before:
                for level in books.levels_behind(instrument, side, reach, before):
                    changed[side, level.price_ticks] = Level(side, level.price_ticks, 0, 0)
            for touched_side, price in self._touched:
                if touched_side == side:
                    shown = is_within(side, price, reach)
                    changed[side, price] = books.level(instrument, side, price) if shown else Level(side, price, 0, 0)
        self._touched.clear()
        return tuple(sorted(changed.values(), key=lambda level: level.orders != 0))
