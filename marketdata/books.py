"""Order books as the committed events draw them: levels, best prices and trades of every instrument. Pure.

Kept by order, not by level, because events speak of orders. What an event says of an order's open quantity is absolute
(`leaves_lots`), so applying it needs no memory of how it came there. Only of an iceberg the present peak is counted
along, by the rules of docs/engine.md, "Matching"; its size stands in the order's ORDER_EVENT. Levels are what is
displayed: hidden orders, market orders that gather for an auction (the price at which they stand is nobody's) and
orders that wait outside the book are in none.

The books show the state between two bursts of events only. Within one, an order that trades on entry stands in its
level for a moment (it is ACCEPTED before its trades are reported); after it, it does not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
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
_TRADE_FIELDS: Final = (
    "instrument", "seq", "index", "price_ticks", "quantity_lots", "side", "order_id", "maker_order_id", "timestamp_ns",
    "flags",
)  # fmt: skip
_TERMS: Final = ("order_type", "tif", "order_flags", "display_lots")
"""Read from the ORDER_EVENT overlay; of other kinds they say nothing."""
_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_ACCEPTED: Final = int(EventKind.ACCEPTED)
_TRADE: Final = int(EventKind.TRADE)
_CANCELED: Final = int(EventKind.CANCELED)
_REPLACED: Final = int(EventKind.REPLACED)
_REDUCED: Final = int(EventKind.REDUCED)
_TRIGGERED: Final = int(EventKind.TRIGGERED)
_PHASE_CHANGED: Final = int(EventKind.PHASE_CHANGED)
_KINDS: Final = (_ACCEPTED, _TRADE, _CANCELED, _REPLACED, _REDUCED, _TRIGGERED, _PHASE_CHANGED)
_BOOKS: Final = int(EventFlag.BOOKS)
_LOST_PRIORITY: Final = int(EventFlag.LOST_PRIORITY)
_AUCTION: Final = int(EventFlag.AUCTION)
_WAITS: Final = int(EventFlag.WAITS)
_HIDDEN_FLAG: Final = int(OrderFlag.HIDDEN)
_MARKET: Final = int(OrderType.MARKET)
_FOR_AUCTION: Final = int(TimeInForce.GOOD_FOR_AUCTION)
_AUCTION_TIFS: Final = (int(TimeInForce.AT_CLOSE), _FOR_AUCTION)
_CLOSING_AUCTION: Final = int(Phase.CLOSING_AUCTION)
_CALLS: Final = (int(Phase.PRE_OPEN), int(Phase.OPENING_AUCTION), int(Phase.VOLATILITY_AUCTION), _CLOSING_AUCTION)
_HIDDEN: Final = -1
"""In place of a display quantity: nothing is displayed. 0: everything is."""


class Level(NamedTuple):
    """What one price level displays; no orders means that it is gone."""

    side: int
    price_ticks: int
    quantity_lots: int
    orders: int


class Best(NamedTuple):
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
    """The taker's side; 0: the trade was an auction's."""
    taker_order_id: int
    maker_order_id: int
    timestamp_ns: int


class RestingOrder(NamedTuple):
    """An order that a snapshot brings. It may also wait for an auction."""

    order_id: int
    instrument: int
    side: int
    price_ticks: int
    leaves_lots: int
    display_lots: int = 0
    """Size of an iceberg's peak; 0: no iceberg."""
    hidden: bool = False
    """Nothing of it is displayed: a hidden order, or a market order."""
    at_close: bool = False
    """It waits, and comes to rest when the closing auction begins."""
    shown_lots: int = 0
    """What is left of an iceberg's present peak."""
    for_any_auction: bool = False
    """With `at_close`: it comes to rest when any auction begins."""


@dataclass(frozen=True, slots=True)
class BookChange:
    """What one burst of events did to one instrument."""

    instrument: int
    levels: tuple[Level, ...] = ()
    best: Best | None = None
    """None: unchanged."""
    prints: tuple[Print, ...] = field(default=(), repr=False)


class _Book:
    """Levels of one instrument: price -> [displayed lots, orders]. Invariant: no level without orders."""

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
        # Orders in the book: id -> (instrument, side, price, open lots, display, displayed lots).
        self._orders: dict[int, tuple[int, int, int, int, int, int]] = {}
        # Orders that wait for an auction: id -> ((instrument, side, price, open lots, display), whether for any).
        self._for_close: dict[int, tuple[tuple[int, int, int, int, int], bool]] = {}
        # Orders that were loaded as of a later seq than the books are of, until the books come to the last of them.
        self._as_of: dict[int, int] = {}
        self._complete_at = 0
        self.load(orders)
        self.begin()

    @property
    def complete(self) -> bool:
        """All that was loaded is of `seq` or earlier: the books are those of one seq."""
        return self.seq >= self._complete_at

    def load(self, orders: Iterable[RestingOrder], as_of: int = 0) -> None:
        """More of the orders that the books begin with; `begin` ends it.

        `as_of`: they are as after this seq, which may be later than the books'. What happened to them until then is
        passed over when it is applied, and after it the books are `complete`.
        """
        self._complete_at = max(self._complete_at, as_of)
        for order in orders:
            if as_of > self.seq:
                self._as_of[order.order_id] = as_of
            display = _HIDDEN if order.hidden else order.display_lots
            place = order.instrument, order.side, order.price_ticks, order.leaves_lots, display
            if order.at_close:
                self._for_close[order.order_id] = place, order.for_any_auction
                continue
            self._rest(order.order_id, *place)
            if order.display_lots:
                self._set(order.order_id, order.leaves_lots, order.shown_lots)

    def begin(self) -> None:
        """The snapshot is in: what comes from here on is a change."""
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
        most = depth or None
        bids, asks = islice(reversed(book.bids), most), islice(book.asks, most)
        return tuple(book.level(_BUY, price) for price in bids), tuple(book.level(_SELL, price) for price in asks)

    def level(self, instrument: int, side: int, price_ticks: int) -> Level:
        """What the level displays now."""
        book = self._books.get(instrument)
        return Level(side, price_ticks, 0, 0) if book is None else book.level(side, price_ticks)

    def reach(self, instrument: int, side: int, depth: int) -> int | None:
        """Price of the last of the best `depth` levels; None: there are fewer, or no depth is set (0)."""
        book = self._books.get(instrument)
        if book is None or not depth or len(book.side(side)) < depth:
            return None
        price: int = book.side(side).peekitem(-depth if side == _BUY else depth - 1)[0]
        return price

    def levels_behind(self, instrument: int, side: int, price_ticks: int, through: int | None) -> Iterator[Level]:
        """Levels worse than the price, down to and including the one at `through` (None: to the last), best first."""
        book = self._books.get(instrument)
        if book is None:
            return
        if side == _BUY:
            prices = book.bids.irange(through, price_ticks, (True, False), reverse=True)
        else:
            prices = book.asks.irange(price_ticks, through, (False, True))
        for price in prices:
            yield book.level(side, price)

    def best(self, instrument: int) -> Best:
        """Best bid and offer."""
        book = self._books.get(instrument)
        return Best() if book is None else book.find_best()

    def apply(self, events: Events, through_seq: int) -> tuple[BookChange, ...]:
        """Apply events in order (those up to `seq` are skipped); afterwards the books are as of `through_seq`."""
        wanted = np.isin(events["kind"], _KINDS) & (events["seq"] > self.seq)
        rows = events[wanted]
        self.seq = max(self.seq, through_seq)
        touched: dict[int, list[Print]] = {}
        columns = [rows[name].tolist() for name in _FIELDS]
        orders = rows.view(ORDER_EVENT)
        terms = zip(*(orders[name].tolist() for name in _TERMS), strict=True)
        for kind, instrument, side, order_id, price, lots, leaves, maker, maker_leaves, flags, seq, index, at, (
            order_type,
            tif,
            order_flags,
            display,
        ) in zip(*columns, terms, strict=True):
            prints = touched.setdefault(instrument, [])
            if kind == _TRADE:
                auction = flags & _AUCTION
                prints.append(Print(seq, index, price, lots, 0 if auction else side, order_id, maker, at))
                if auction:
                    self._lessen(seq, maker, maker_leaves)
                else:
                    self._fill(seq, maker, lots, maker_leaves)
                self._lessen(seq, order_id, leaves)
            elif kind in (_CANCELED, _REDUCED):
                self._lessen(seq, order_id, leaves)
            elif kind == _REPLACED and not flags & _WAITS:
                self._replace(seq, order_id, price, leaves, flags)
            elif kind == _PHASE_CHANGED:
                # A SETTING_EVENT: its `value`, the phase, lies where others have the order id.
                if order_id in _CALLS:
                    self._begin_call(seq, instrument, order_id)
            elif self._is_in(seq, order_id):
                continue
            elif flags & _BOOKS:
                hidden = order_flags & _HIDDEN_FLAG or order_type == _MARKET
                self._rest(order_id, instrument, side, price, leaves, _HIDDEN if hidden else display)
            elif flags & _WAITS and tif in _AUCTION_TIFS:
                display = _HIDDEN if order_type == _MARKET else 0
                self._for_close[order_id] = (instrument, side, price, leaves, display), tif == _FOR_AUCTION
        if self._as_of and self.complete:
            self._as_of.clear()
        changes = (self._take_change(instrument, tuple(prints)) for instrument, prints in touched.items())
        return tuple(change for change in changes if change is not None)

    def _is_in(self, seq: int, order_id: int) -> bool:
        """The order was loaded as of that seq or a later one."""
        return bool(self._as_of) and seq <= self._as_of.get(order_id, 0)

    def _rest(self, order_id: int, instrument: int, side: int, price: int, lots: int, display: int) -> None:
        book = self._books.get(instrument)
        if book is None:
            book = self._books[instrument] = _Book()
        if display == _HIDDEN:
            self._orders[order_id] = (instrument, side, price, lots, display, 0)
            return
        shown = min(display, lots) if display else lots
        self._orders[order_id] = (instrument, side, price, lots, display, shown)
        levels = book.side(side)
        level = levels.get(price)
        if level is None:
            levels[price] = [shown, 1]
        else:
            level[0] += shown
            level[1] += 1
        book.touched[side, price] = None

    def _lessen(self, seq: int, order_id: int, leaves: int) -> None:
        """The order has fewer open lots now, where it stands. Some never rested (IOC, market): not known here."""
        if self._is_in(seq, order_id):
            return
        order = self._orders.get(order_id)
        if order is not None:
            self._set(order_id, leaves, min(order[5], leaves))
        elif leaves == 0:
            self._for_close.pop(order_id, None)

    def _fill(self, seq: int, order_id: int, lots: int, leaves: int) -> None:
        """The order gave lots of what it displays; an iceberg whose peak is used up shows the next one."""
        if self._is_in(seq, order_id) or self._ended_unseen(seq, order_id):
            return
        _instrument, _side, _price, _leaves, display, shown = self._orders[order_id]
        if display != _HIDDEN:
            shown -= lots
            if not shown:
                shown = min(display, leaves)
        self._set(order_id, leaves, shown)

    def _set(self, order_id: int, leaves: int, shown: int) -> None:
        instrument, side, price, _leaves, display, before = self._orders[order_id]
        if leaves == 0:
            del self._orders[order_id]
        else:
            self._orders[order_id] = (instrument, side, price, leaves, display, shown)
        if display == _HIDDEN:
            return
        book = self._books[instrument]
        levels = book.side(side)
        level = levels[price]
        level[0] += shown - before
        if leaves == 0:
            level[1] -= 1
            if level[1] == 0:
                del levels[price]
        book.touched[side, price] = None

    def _replace(self, seq: int, order_id: int, price: int, leaves: int, flags: int) -> None:
        if not flags & _LOST_PRIORITY:
            self._lessen(seq, order_id, leaves)
            return
        if self._is_in(seq, order_id) or self._ended_unseen(seq, order_id):
            return
        instrument, side, _price, _leaves, display, _shown = self._orders[order_id]
        self._set(order_id, 0, 0)
        self._rest(order_id, instrument, side, price, leaves, display)

    def _ended_unseen(self, seq: int, order_id: int) -> bool:
        """While the books come to one seq: the order had ended before the page that would have had it."""
        return seq <= self._complete_at and order_id not in self._orders

    def _begin_call(self, seq: int, instrument: int, phase: int) -> None:
        """What has waited for this auction comes to rest."""
        for order_id, (place, for_any) in list(self._for_close.items()):
            is_now = phase == _CLOSING_AUCTION or for_any
            if place[0] == instrument and is_now and not self._is_in(seq, order_id):
                del self._for_close[order_id]
                self._rest(order_id, *place)

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


def trades_of(events: Events, instruments: Iterable[int] = ()) -> list[tuple[int, Print]]:
    """(Instrument, trade) of all trades among the events, in order; of some instruments, or of all (none named)."""
    wanted = events["kind"] == _TRADE
    named = tuple(instruments)
    if named:
        wanted &= np.isin(events["instrument"], named)
    rows = events[wanted]
    columns = (rows[name].tolist() for name in _TRADE_FIELDS)
    found = []
    for instrument, seq, index, price, lots, side, taker, maker, at, flags in zip(*columns, strict=True):
        aggressor = 0 if flags & _AUCTION else side
        found.append((instrument, Print(seq, index, price, lots, aggressor, taker, maker, at)))
    return found


def merge_trades(changes: Iterable[BookChange]) -> list[tuple[int, Print]]:
    """(Instrument, trade) of one burst's changes, in order of event id."""
    trades = [(change.instrument, trade) for change in changes for trade in change.prints]
    return sorted(trades, key=lambda row: (row[1].seq, row[1].index))
