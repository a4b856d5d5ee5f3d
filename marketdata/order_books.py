"""Every displayed order of every instrument, in the order of its queue, as the committed events draw it. Pure.

`books.py` keeps levels for a gateway that has subscribers; a feed keeps this always: it has also who stands where in a
queue (docs/engine.md, "Matching"), and when each level and order changed last. So what somebody at an earlier seq lacks
can be reported from any seq on, without a queue for him: that is all that conflation, slow readers and recovery need.

Both halves of a book are kept best first, under one signed number: `key` is the price of an offer, and minus the price
of a bid. The rules of what is displayed are those of `books.py`. A book is read between two commands, never within one.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sortedcontainers import SortedDict

from lockstep.stream.records import (
    ORDER_EVENT,
    EventFlag,
    EventKind,
    Events,
    OrderFlag,
    OrderType,
    Phase,
    Side,
    TimeInForce,
)

MAX_TOUCHED: Final = 65_536
"""Levels, and orders, of one book whose last change is known. For what changed before them all there is a snapshot."""
_SURPLUS: Final = MAX_TOUCHED // 4

_FIELDS: Final = (
    "kind", "instrument", "side", "order_id", "price_ticks", "quantity_lots", "leaves_lots", "maker_order_id",
    "maker_leaves_lots", "flags", "seq",
)  # fmt: skip
_SEQ_OF: Final = itemgetter(_FIELDS.index("seq"))
_TERMS: Final = ("order_type", "tif", "order_flags", "display_lots")
_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_ACCEPTED: Final = int(EventKind.ACCEPTED)
_TRADE: Final = int(EventKind.TRADE)
_CANCELED: Final = int(EventKind.CANCELED)
_REPLACED: Final = int(EventKind.REPLACED)
_REDUCED: Final = int(EventKind.REDUCED)
_PHASE_CHANGED: Final = int(EventKind.PHASE_CHANGED)
_LOST_PRIORITY: Final = int(EventFlag.LOST_PRIORITY)
_AUCTION: Final = int(EventFlag.AUCTION)
_BOOKS: Final = int(EventFlag.BOOKS)
_WAITS: Final = int(EventFlag.WAITS)
_STANDS: Final = _BOOKS | _WAITS
_HIDDEN_FLAG: Final = int(OrderFlag.HIDDEN)
_MARKET: Final = int(OrderType.MARKET)
_FOR_AUCTION: Final = int(TimeInForce.GOOD_FOR_AUCTION)
_AUCTION_TIFS: Final = (int(TimeInForce.AT_CLOSE), _FOR_AUCTION)
_CLOSING_AUCTION: Final = int(Phase.CLOSING_AUCTION)
_CALLS: Final = (int(Phase.PRE_OPEN), int(Phase.OPENING_AUCTION), int(Phase.VOLATILITY_AUCTION), _CLOSING_AUCTION)
_IN_BOOK, _WAITS_FOR_CLOSE = 0, 2
_ROWS: Final = (
    "order_id",
    "instrument",
    "side",
    "price_ticks",
    "leaves_lots",
    "display_lots",
    "shown_lots",
    "place",
    "tif",
)

_WANTED: Final = np.zeros(256, dtype=bool)
_WANTED[[_TRADE, _CANCELED, _REPLACED, _REDUCED, _PHASE_CHANGED]] = True
_NEW: Final = np.zeros(256, dtype=bool)
_NEW[[_ACCEPTED, int(EventKind.TRIGGERED)]] = True


class Level:
    """What stands at one price. Invariant: it has orders, and `lots` is what they show together."""

    __slots__ = ("key", "lots", "orders", "price", "side")

    def __init__(self, key: int) -> None:
        self.key = key
        self.price = abs(key)
        self.side = _BUY if key < 0 else _SELL
        self.lots = 0
        self.orders: dict[int, Resting] = {}
        """By id, the next to trade first."""


class Resting:
    """An order in a book. `level` is None if nothing of it is displayed."""

    __slots__ = ("book", "display", "key", "leaves", "level", "order_id", "place", "queued_seq", "shown")

    def __init__(self, book: "OrderBook", order_id: int, key: int, leaves: int, display: int) -> None:
        self.book = book
        self.order_id = order_id
        self.key = key
        self.leaves = leaves
        self.display = display
        """Size of an iceberg's peak; 0: it is none."""
        self.shown = 0
        self.level: Level | None = None
        self.place = 0
        """Rises with each order that takes its place behind the others."""
        self.queued_seq = 0
        """When it took its place."""


class OrderBook:
    """One instrument's.

    Invariant: `levels_touched` and `orders_touched` hold, ascending, when each level (by key) and order (by id) that
    changed behind `floor` changed last, or a later seq of the same burst; within a burst it is in the `dirty_` ones.
    """

    __slots__ = (
        "asks", "bids", "changed", "dirty_levels", "dirty_orders", "floor", "instrument", "levels_touched", "orders",
        "orders_touched", "places",
    )  # fmt: skip

    def __init__(self, instrument: int, orders: dict[int, Resting], floor: int) -> None:
        self.instrument = instrument
        self.bids: SortedDict[int, Level] = SortedDict()
        self.asks: SortedDict[int, Level] = SortedDict()
        self.orders = orders
        """Those of all books."""
        self.changed = floor
        """Seq of the last command that changed what is displayed."""
        self.floor = floor
        self.places = 0
        self.levels_touched: dict[int, int] = {}
        self.orders_touched: dict[int, int] = {}
        self.dirty_levels: dict[int, None] = {}
        self.dirty_orders: dict[int, None] = {}

    def best(self, side: int, depth: int) -> list[Level]:
        """The best `depth` levels (0: all) of a side, best first."""
        half = self.bids if side == _BUY else self.asks
        return list(islice(half.values(), depth or None))

    def reach(self, side: int, depth: int) -> int | None:
        """Key of the last of the best `depth` levels; None: there are fewer, or no depth is set (0)."""
        half = self.bids if side == _BUY else self.asks
        if not depth or len(half) < depth:
            return None
        key: int = half.peekitem(depth - 1)[0]
        return key

    def level(self, key: int) -> Level | None:
        """What stands at a price now."""
        found: Level | None = (self.bids if key < 0 else self.asks).get(key)
        return found

    def between(self, side: int, behind: int, through: int | None) -> Iterator[Level]:
        """Levels worse than the key, to the one at `through` (None: to the last), best first."""
        half = self.bids if side == _BUY else self.asks
        for key in half.irange(behind, through, (False, True)):
            yield half[key]

    def rest(self, order: Resting, shown: int, seq: int) -> None:
        """Displayed, behind all others of its price."""
        half = self.bids if order.key < 0 else self.asks
        level = half.get(order.key)
        if level is None:
            level = half[order.key] = Level(order.key)
        level.orders[order.order_id] = order
        level.lots += shown
        order.shown = shown
        order.level = level
        self.queue(order, seq)

    def queue(self, order: Resting, seq: int) -> None:
        """It has taken its place."""
        self.places += 1
        order.place, order.queued_seq, self.changed = self.places, seq, seq
        self.dirty_orders[order.order_id] = None
        self.dirty_levels[order.key] = None

    def settle(self) -> None:
        """What is dirty has changed by now."""
        self.levels_touched = self._settled(self.dirty_levels, self.levels_touched)
        self.orders_touched = self._settled(self.dirty_orders, self.orders_touched)

    def _settled(self, dirty: dict[int, None], touched: dict[int, int]) -> dict[int, int]:
        seq = self.changed
        for name in dirty:
            touched.pop(name, None)
            touched[name] = seq
        dirty.clear()
        if len(touched) <= MAX_TOUCHED + _SURPLUS:
            return touched
        # Many at once: the first of a dict is far away when many before it were taken out.
        items = list(touched.items())
        gone = len(items) - MAX_TOUCHED
        self.floor = max(self.floor, items[gone - 1][1])
        return dict(items[gone:])


class OrderBooks:
    """All instruments' books as of `seq`."""

    def __init__(self, seq: int, rows: NDArray[Any] | None = None) -> None:
        """`rows`: the orders of a snapshot as of that seq, in its order (`engine/snapshot_format.py`)."""
        self.seq = seq
        """The last seq whose events are in."""
        self._floor = seq
        self._books: dict[int, OrderBook] = {}
        self._orders: dict[int, Resting] = {}
        # Orders that wait for an auction, as they came to wait: id -> (instrument, key, leaves, hidden, tif).
        self._for_close: dict[int, tuple[int, int, int, bool, int]] = {}
        self._dirty: dict[OrderBook, None] = {}
        if rows is not None:
            self._load(rows)

    def __len__(self) -> int:
        """Orders that stand in a book, hidden ones too."""
        return len(self._orders)

    def book(self, instrument: int) -> OrderBook:
        """An instrument's; an empty one if it never had an order."""
        book = self._books.get(instrument)
        if book is None:
            book = self._books[instrument] = OrderBook(instrument, self._orders, self._floor)
        return book

    def _load(self, rows: NDArray[Any]) -> None:
        rows = rows[(rows["place"] == _IN_BOOK) | (rows["place"] == _WAITS_FOR_CLOSE)]
        hidden = ((rows["flags"] & _HIDDEN_FLAG) != 0) | (rows["order_type"] == _MARKET)
        columns = (rows[name].tolist() for name in _ROWS)
        for order_id, instrument, side, price, leaves, display, shown, place, tif, unseen in zip(
            *columns, hidden.tolist(), strict=True
        ):
            key = -price if side == _BUY else price
            if place == _WAITS_FOR_CLOSE:
                self._for_close[order_id] = (instrument, key, leaves, unseen, tif)
                continue
            order = self._enter(order_id, instrument, key, leaves, 0 if unseen else display)
            if not unseen:
                order.book.rest(order, shown if display else leaves, self.seq)
        for book in self._dirty_books():
            book.settle()
            book.levels_touched.clear()
            book.orders_touched.clear()

    def _dirty_books(self) -> list[OrderBook]:
        return [book for book in self._books.values() if book.dirty_levels]

    def apply(self, events: Events, through_seq: int) -> list[OrderBook]:
        """Apply events in order (those up to `seq` are skipped); afterwards the books are as of `through_seq`.

        Returns:
            The books whose display changed.
        """
        rows = self._rows(events)
        self.seq = max(self.seq, through_seq)
        self._apply_rows(rows)
        return self._take_changed()

    def apply_each(self, events: Events, through_seq: int) -> Iterator[list[OrderBook]]:
        """The same command by command: after each, the books whose display it changed."""
        for seq, rows in groupby(self._rows(events), key=_SEQ_OF):
            self.seq = seq
            self._apply_rows(rows)
            yield self._take_changed()
        self.seq = max(self.seq, through_seq)

    def _rows(self, events: Events) -> Iterable[tuple[Any, ...]]:
        """What concerns books, and was not applied: the fields of each event, then its terms."""
        kinds = events["kind"]
        stands = (events["flags"] & _STANDS) != 0
        rows = events[(_WANTED[kinds] | (_NEW[kinds] & stands)) & (events["seq"] > self.seq)]
        if not len(rows):
            return ()
        orders = rows.view(ORDER_EVENT)
        terms = zip(*(orders[name].tolist() for name in _TERMS), strict=True)
        return zip(*(rows[name].tolist() for name in _FIELDS), terms, strict=True)

    def _take_changed(self) -> list[OrderBook]:
        changed = [book for book in self._dirty if book.dirty_levels]
        self._dirty.clear()
        for book in changed:
            book.settle()
        return changed

    def _apply_rows(self, rows: Iterable[tuple[Any, ...]]) -> None:
        known, dirty = self._orders, self._dirty
        for kind, instrument, side, order_id, price, lots, leaves, maker_id, maker_leaves, flags, seq, terms in rows:
            if kind == _TRADE:
                maker = known[maker_id]
                if flags & _AUCTION:
                    self._set(maker, maker_leaves, min(maker.shown, maker_leaves), seq)
                else:
                    self._fill(maker, lots, maker_leaves, seq)
                dirty[maker.book] = None
                taker = known.get(order_id)
                if taker is not None:
                    self._set(taker, leaves, min(taker.shown, leaves), seq)
            elif kind in (_CANCELED, _REDUCED):
                order = known.get(order_id)
                if order is not None:
                    self._set(order, leaves, min(order.shown, leaves), seq)
                    dirty[order.book] = None
                elif leaves == 0:
                    self._for_close.pop(order_id, None)
            elif kind == _REPLACED and not flags & _WAITS:
                order = known[order_id]
                self._replace(order, price, leaves, flags, seq)
                dirty[order.book] = None
            elif kind == _PHASE_CHANGED:
                # A SETTING_EVENT: its `value`, the phase, lies where others have the order id.
                if order_id in _CALLS:
                    self._begin_call(instrument, order_id, seq)
            else:
                self._stand(order_id, instrument, -price if side == _BUY else price, leaves, flags, seq, terms)

    def _stand(
        self, order_id: int, instrument: int, key: int, leaves: int, flags: int, seq: int, terms: tuple[int, ...]
    ) -> None:
        """ACCEPTED or TRIGGERED with a remainder that rests or waits, or REPLACED of one that waits."""
        order_type, tif, order_flags, display = terms
        if flags & _BOOKS:
            hidden = bool(order_flags & _HIDDEN_FLAG) or order_type == _MARKET
            order = self._enter(order_id, instrument, key, leaves, 0 if hidden else display)
            if not hidden:
                order.book.rest(order, min(display, leaves) if display else leaves, seq)
                self._dirty[order.book] = None
        elif tif in _AUCTION_TIFS:
            if flags & _LOST_PRIORITY:
                self._for_close.pop(order_id, None)
            self._for_close[order_id] = (instrument, key, leaves, order_type == _MARKET, tif)

    def _enter(self, order_id: int, instrument: int, key: int, leaves: int, display: int) -> Resting:
        order = self._orders[order_id] = Resting(self.book(instrument), order_id, key, leaves, display)
        return order

    def _fill(self, order: Resting, lots: int, leaves: int, seq: int) -> None:
        """The order gave lots of what it displays; an iceberg whose peak is used up shows the next one, behind."""
        shown = order.shown - lots
        level = order.level
        if level is not None and leaves and shown <= 0:
            shown = min(order.display, leaves)
            del level.orders[order.order_id]
            level.orders[order.order_id] = order
            order.book.queue(order, seq)
        self._set(order, leaves, shown, seq)

    def _set(self, order: Resting, leaves: int, shown: int, seq: int) -> None:
        """Its open lots, and what it shows of them, where it stands."""
        order.leaves = leaves
        level = order.level
        if leaves == 0:
            del self._orders[order.order_id]
        if level is None:
            return
        book = order.book
        book.changed = seq
        level.lots += shown - order.shown
        order.shown = shown
        if leaves == 0:
            del level.orders[order.order_id]
            if not level.orders:
                del (book.bids if order.key < 0 else book.asks)[order.key]
            order.level = None
        book.dirty_orders[order.order_id] = None
        book.dirty_levels[order.key] = None

    def _replace(self, order: Resting, price: int, leaves: int, flags: int, seq: int) -> None:
        if not flags & _LOST_PRIORITY:
            self._set(order, leaves, min(order.shown, leaves), seq)
            return
        hidden = order.level is None
        key = -price if order.key < 0 else price
        self._set(order, 0, 0, seq)
        order = self._enter(order.order_id, order.book.instrument, key, leaves, order.display)
        if not hidden:
            order.book.rest(order, min(order.display, leaves) if order.display else leaves, seq)

    def _begin_call(self, instrument: int, phase: int, seq: int) -> None:
        """What has waited for this auction comes to rest."""
        for order_id, (wanted, key, leaves, hidden, tif) in list(self._for_close.items()):
            if wanted == instrument and (phase == _CLOSING_AUCTION or tif == _FOR_AUCTION):
                del self._for_close[order_id]
                order = self._enter(order_id, instrument, key, leaves, 0)
                if not hidden:
                    order.book.rest(order, leaves, seq)
                    self._dirty[order.book] = None
