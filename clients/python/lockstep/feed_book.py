"""Books as a feed reports them, which know whether they are good. Pure."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from lockstep.book import Book, Level
from lockstep.checksum import crc32c
from lockstep.enums import Side

_ROW: Final = struct.Struct("<qqI")
_CHECKED_LEVELS: Final = 10


class FeedState(Enum):
    """Whether what a stream shows is good."""

    LIVE = "live"
    """It is what the feed has reported, without a gap, and its checksum is right."""
    RECOVERING = "recovering"
    """Something is missing, or the connection is: it is brought to the present. Do not trade on it."""


@dataclass(frozen=True)
class BookOrder:
    """One displayed order; of an iceberg the present peak."""

    order_id: int
    side: int
    price_ticks: int
    quantity_lots: int


class FeedBook(Book):
    """A book of a feed, kept up to date by its stream. Read it between two updates, and look at `state` first.

    Attributes:
        state: LIVE or RECOVERING.
        depth: levels of each side that it has; 0: all.
        timestamp_ns: stamped time of what was reported last, Unix ns.
    """

    __slots__ = ("_by_id", "_queues", "depth", "state", "timestamp_ns")

    def __init__(self, instrument: int, depth: int = 0) -> None:
        super().__init__(instrument)
        self.state = FeedState.RECOVERING
        self.depth = depth
        self.timestamp_ns = 0
        # Order by order (L3): by id, and by side and price in the order of the queue.
        self._by_id: dict[int, BookOrder] = {}
        self._queues: dict[tuple[int, int], dict[int, BookOrder]] = {}

    def orders(self, side: Side, price_ticks: int) -> list[BookOrder]:
        """The orders at a price, the next to trade first (feed L3; else there are none)."""
        return list(self._queues.get((int(side), price_ticks), {}).values())

    def order(self, order_id: int) -> "BookOrder | None":
        """A displayed order by its exchange id (feed L3)."""
        return self._by_id.get(order_id)

    def clear(self) -> None:
        """Forget everything: a snapshot follows. A book that shows this one (`show`) stays as it is."""
        self._levels, self._prices = {Side.BUY: {}, Side.SELL: {}}, {Side.BUY: [], Side.SELL: []}
        self._by_id, self._queues = {}, {}

    def show(self, other: "FeedBook") -> None:
        """Be as another book is, and remain so while its stream goes on. Nothing is copied."""
        # Of its own kind, and in the same module.
        self._levels, self._prices = other._levels, other._prices  # noqa: SLF001
        self._by_id, self._queues = other._by_id, other._queues  # noqa: SLF001
        self.seq, self.epoch, self.timestamp_ns = other.seq, other.epoch, other.timestamp_ns

    def apply_levels(self, rows: Iterable[Any]) -> None:
        """Take levels (`BookLevel`), and keep the best ones as the depth says."""
        for row in rows:
            self.apply_level(row.side, Level(row.price_ticks, row.quantity_lots if row.orders else 0, row.orders))
        if self.depth:
            for side in (Side.BUY, Side.SELL):
                self._cut(side)

    def _cut(self, side: Side) -> None:
        levels = self.bids() if side is Side.BUY else self.asks()
        for level in levels[self.depth :]:
            self.apply_level(side, Level(level.price_ticks, 0, 0))

    def apply_orders(self, rows: Iterable[Any]) -> None:
        """Take orders (`BookOrder` of the protocol)."""
        for row in rows:
            before = self._by_id.get(row.order_id)
            if before is not None and (row.last or not row.quantity_lots):
                self._take_off(before)
                before = None
            if not row.quantity_lots:
                continue
            order = BookOrder(row.order_id, row.side, row.price_ticks, row.quantity_lots)
            queue = self._queues.setdefault((order.side, order.price_ticks), {})
            # One that is there keeps its place; another one stands behind all.
            queue[order.order_id] = self._by_id[order.order_id] = order
            self._set_level(order.side, order.price_ticks)

    def _take_off(self, order: BookOrder) -> None:
        del self._by_id[order.order_id]
        queue = self._queues[order.side, order.price_ticks]
        del queue[order.order_id]
        if not queue:
            del self._queues[order.side, order.price_ticks]
        self._set_level(order.side, order.price_ticks)

    def _set_level(self, side: int, price_ticks: int) -> None:
        queue = self._queues.get((side, price_ticks), {})
        lots = sum(order.quantity_lots for order in queue.values())
        self.apply_level(side, Level(price_ticks, lots, len(queue)))

    def checksum(self) -> int:
        """Of the best ten levels of each side, with the queues if it has them."""
        most = min(self.depth or _CHECKED_LEVELS, _CHECKED_LEVELS)
        parts = []
        for side, levels in ((Side.BUY, self.bids(most)), (Side.SELL, self.asks(most))):
            for level in levels:
                parts.append(_ROW.pack(level.price_ticks, level.quantity_lots, level.orders))
                queue = self._queues.get((int(side), level.price_ticks))
                if queue is not None:
                    parts.append(struct.pack(f"<{len(queue)}Q", *queue))
        return crc32c(b"".join(parts))

    def __repr__(self) -> str:
        """Instrument, seq, state and the best of both sides."""
        return (
            f"FeedBook(instrument={self.instrument}, seq={self.seq}, state={self.state.name}, "
            f"bid={self.best_bid}, ask={self.best_ask})"
        )
