"""Order books as the committed events draw them: levels, best prices and trades of every instrument. Pure.

Kept by order, not by level, because events speak of orders. What an event says of an order's open quantity is absolute
(`leaves_lots`), so applying it needs no memory of how it came there.

The books show the state between two bursts of events only. Within one, an order that trades on entry stands in its
level for a moment (it is ACCEPTED before its trades are told); after it, it does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sortedcontainers import SortedDict

from lockstep.stream.records import EventFlag, EventKind, Events, Side

_FIELDS: Final = (
    "kind",
    "instrument",
    "side",
    "order_id",
    "price_ticks",
    "quantity_lots",
    "leaves_lots",
    "maker_order_id",
    "maker_leaves_lots",
    "flags",
    "seq",
    "index",
    "timestamp_ns",
)
_BUY: Final = int(Side.BUY)
_ACCEPTED: Final = int(EventKind.ACCEPTED)
_TRADE: Final = int(EventKind.TRADE)
_CANCELED: Final = int(EventKind.CANCELED)
_REPLACED: Final = int(EventKind.REPLACED)
_BOOKS: Final = int(EventFlag.BOOKS)


@dataclass(frozen=True, slots=True)
class Level:
    """One price level; no orders means that it is gone."""

    side: int
    price_ticks: int
    quantity_lots: int
    orders: int


@dataclass(frozen=True, slots=True)
class Best:
    """Best bid and offer. Quantity 0: no order on that side."""

    bid_price_ticks: int = 0
    bid_quantity_lots: int = 0
    ask_price_ticks: int = 0
    ask_quantity_lots: int = 0


@dataclass(frozen=True, slots=True)
class Print:
    """One trade, as the tape shows it."""

    seq: int
    index: int
    price_ticks: int
    quantity_lots: int
    aggressor: int
    taker_order_id: int
    maker_order_id: int
    timestamp_ns: int


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An order that a snapshot brings."""

    order_id: int
    instrument: int
    side: int
    price_ticks: int
    leaves_lots: int


@dataclass(frozen=True, slots=True)
class BookChange:
    """What one burst of events did to one instrument."""

    instrument: int
    levels: tuple[Level, ...] = ()
    best: Best | None = None
    """None: unchanged."""
    prints: tuple[Print, ...] = field(default=(), repr=False)


class _Book:
    """Levels of one instrument: price -> [open lots, orders]. Invariant: no level without orders."""

    __slots__ = ("asks", "best", "bids", "touched")

    def __init__(self) -> None:
        self.bids: SortedDict = SortedDict()
        self.asks: SortedDict = SortedDict()
        self.best = Best()
        # Levels touched since the last `_take_change`, in order of first touch.
        self.touched: dict[tuple[int, int], None] = {}

    def side(self, side: int) -> SortedDict:
        return self.bids if side == _BUY else self.asks

    def find_best(self) -> Best:
        bid, ask = (0, (0, 0)), (0, (0, 0))
        if self.bids:
            bid = self.bids.peekitem(-1)
        if self.asks:
            ask = self.asks.peekitem(0)
        return Best(bid[0], bid[1][0], ask[0], ask[1][0])

    def level(self, side: int, price: int) -> Level:
        lots, orders = self.side(side).get(price, (0, 0))
        return Level(side, price, lots, orders)


class Books:
    """All instruments' books as of `seq`."""

    def __init__(self, seq: int, orders: Iterable[RestingOrder] = ()) -> None:
        self.seq = seq
        """The last seq whose events are in."""
        self._books: dict[int, _Book] = {}
        # Live orders: id -> [instrument, side, price, open lots].
        self._orders: dict[int, list[int]] = {}
        for order in orders:
            self._rest(order.order_id, order.instrument, order.side, order.price_ticks, order.leaves_lots)
        for book in self._books.values():
            book.touched.clear()
            book.best = book.find_best()

    def instruments(self) -> tuple[int, ...]:
        """Instruments that ever had an order here, ascending."""
        return tuple(sorted(self._books))

    def levels(self, instrument: int, depth: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """(bids, asks), best first, at most `depth` each (0: all)."""
        book = self._books.get(instrument)
        if book is None:
            return (), ()
        bids, asks = list(reversed(book.bids)), list(book.asks)
        if depth:
            bids, asks = bids[:depth], asks[:depth]
        return tuple(book.level(_BUY, price) for price in bids), tuple(
            book.level(int(Side.SELL), price) for price in asks
        )

    def best(self, instrument: int) -> Best:
        """Best bid and offer."""
        book = self._books.get(instrument)
        return Best() if book is None else book.find_best()

    def apply(self, events: Events, through_seq: int) -> tuple[BookChange, ...]:
        """Apply events in order (those up to `seq` are skipped); afterwards the books are as of `through_seq`."""
        kinds = events["kind"]
        wanted = (kinds == _ACCEPTED) | (kinds == _TRADE) | (kinds == _CANCELED) | (kinds == _REPLACED)
        wanted &= events["seq"] > self.seq
        rows = events[wanted]
        self.seq = max(self.seq, through_seq)
        touched: dict[int, list[Print]] = {}
        columns = [rows[name].tolist() for name in _FIELDS]
        for kind, instrument, side, order_id, price, lots, leaves, maker, maker_leaves, flags, seq, index, at in zip(
            *columns, strict=True
        ):
            prints = touched.setdefault(instrument, [])
            if kind == _TRADE:
                prints.append(Print(seq, index, price, lots, side, order_id, maker, at))
                self._set_leaves(maker, maker_leaves)
                self._set_leaves(order_id, leaves)
            elif kind == _CANCELED:
                self._set_leaves(order_id, leaves)
            elif kind == _REPLACED:
                self._set_leaves(order_id, 0)
                self._rest(order_id, instrument, side, price, leaves)
            elif flags & _BOOKS:
                self._rest(order_id, instrument, side, price, leaves)
        changes = (self._take_change(instrument, tuple(prints)) for instrument, prints in touched.items())
        return tuple(change for change in changes if change is not None)

    def _rest(self, order_id: int, instrument: int, side: int, price: int, lots: int) -> None:
        book = self._books.get(instrument)
        if book is None:
            book = self._books[instrument] = _Book()
        self._orders[order_id] = [instrument, side, price, lots]
        levels = book.side(side)
        level = levels.get(price)
        if level is None:
            levels[price] = [lots, 1]
        else:
            level[0] += lots
            level[1] += 1
        book.touched[side, price] = None

    def _set_leaves(self, order_id: int, leaves: int) -> None:
        """The order has `leaves` open lots now. Orders that never rested (IOC, market) are not known here."""
        order = self._orders.get(order_id)
        if order is None:
            return
        instrument, side, price, before = order
        book = self._books[instrument]
        levels = book.side(side)
        level = levels[price]
        level[0] += leaves - before
        if leaves == 0:
            del self._orders[order_id]
            level[1] -= 1
            if level[1] == 0:
                del levels[price]
        else:
            order[3] = leaves
        book.touched[side, price] = None

    def _take_change(self, instrument: int, prints: tuple[Print, ...]) -> BookChange | None:
        book = self._books.get(instrument)
        if book is None:
            return BookChange(instrument, (), None, prints) if prints else None
        levels = tuple(book.level(side, price) for side, price in book.touched)
        book.touched.clear()
        best = book.find_best()
        changed = best != book.best
        book.best = best
        if not (levels or prints):
            return None
        return BookChange(instrument, levels, best if changed else None, prints)
