"""One instrument's market: price levels in priority order, phase, price limits and rates.

The book knows no money: it says who stands where, and `settlement.py` books what they trade.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

from sortedcontainers import SortedDict, SortedKeyList

from lockstep.engine.reference.bands import PPM as PPM
from lockstep.engine.reference.bands import Bands
from lockstep.engine.reference.limits import Throttle
from lockstep.engine.reference.lots import NO_LOTS
from lockstep.engine.reference.order import IN_BOOK, LIMITED_TYPES, WAITS_FOR_STOP, Order
from lockstep.engine.reference.restrictions import EVERYBODY, NO_RESTRICTION, Restriction, ShortSales
from lockstep.engine.reference.stood import Extremes
from lockstep.engine.reference.words import BUY, CONTINUOUS, HIDDEN, SELL

DEFAULT_MARGIN_PPM: Final = (500_000, 250_000)
"""Initial and maintenance margin of an instrument that was given no other (*Margin accounts*)."""


class Level:
    """All orders at one price: the displayed ones in the order of their queue, then the hidden ones in theirs.

    Market orders of an auction stand among the displayed, but nobody is shown them.
    """

    __slots__ = ("displayed", "hidden", "price")

    def __init__(self, price: int) -> None:
        self.price = price
        # By order id, in arrival order. An OrderedDict and not a dict: reading a dict's first entry after many
        # removals from its front takes time in proportion to the removals.
        self.displayed: OrderedDict[int, Order] = OrderedDict()
        self.hidden: OrderedDict[int, Order] = OrderedDict()

    def front(self) -> Order:
        """The order that trades next."""
        return next(iter((self.displayed or self.hidden).values()))

    def by_priority(self) -> Iterator[Order]:
        """All orders, the next one first."""
        return chain(self.displayed.values(), self.hidden.values())

    def quantity(self) -> int:
        """Open lots, hidden ones included."""
        return sum(order.leaves for order in self.by_priority())

    def is_named(self) -> bool:
        """Whether any order here has this price from its client, and not from what holds market orders."""
        return any(order.is_named for order in self.by_priority())


class Half:
    """One side of a book: its levels by price."""

    __slots__ = ("levels", "side")

    def __init__(self, side: int) -> None:
        self.side = side
        self.levels: SortedDict[int, Level] = SortedDict()

    def best(self) -> Level | None:
        """The highest bid, or the lowest offer."""
        if not self.levels:
            return None
        _, level = self.levels.peekitem(-1 if self.side == BUY else 0)
        found: Level = level
        return found

    def best_first(self) -> Iterator[Level]:
        """All levels by priority."""
        for price in reversed(self.levels) if self.side == BUY else iter(self.levels):
            yield self.levels[price]

    def add(self, order: Order) -> None:
        """Rest an order behind the others of its price; a new iceberg's peak is made now (*Matching*)."""
        level: Level | None = self.levels.get(order.held)
        if level is None:
            level = self.levels[order.held] = Level(order.held)
        (level.hidden if order.flags & HIDDEN else level.displayed)[order.order_id] = order
        if order.display:
            order.shown = min(order.display, order.leaves)
        order.place = IN_BOOK

    def remove(self, order: Order) -> None:
        """Take a resting order out; its open lots stay as they are."""
        level = self.levels[order.held]
        del (level.hidden if order.flags & HIDDEN else level.displayed)[order.order_id]
        order.shown = 0
        if not level.displayed and not level.hidden:
            del self.levels[order.held]

    def reduce(self, order: Order, leaves: int) -> None:
        """Lower a resting order's open lots without moving it; at 0 it is gone."""
        if not leaves:
            self.remove(order)
        order.leaves = leaves
        order.shown = min(order.shown, leaves)

    def trade(self, order: Order, lots: int) -> None:
        """Lower a maker's open lots by what it traded; a used-up iceberg peak is renewed behind (*Matching*)."""
        shown = order.shown
        self.reduce(order, order.leaves - lots)
        if shown and order.leaves:
            order.shown = shown - lots
            if not order.shown:
                order.shown = min(order.display, order.leaves)
                self.levels[order.held].displayed.move_to_end(order.order_id)


class Book:
    """In CONTINUOUS it is never crossed between two commands."""

    __slots__ = (
        "asks",
        "band_ppm",
        "bands",
        "bids",
        "breaker_pause_ns",
        "breaker_phase",
        "breaker_ppm",
        "breaker_window_ns",
        "close",
        "collar_ppm",
        "for_close",
        "for_parent",
        "highest",
        "index_weight",
        "initial_ppm",
        "instrument_id",
        "last",
        "lot_units",
        "lots",
        "lowest",
        "maintenance_ppm",
        "maker_fee_ppm",
        "next_phase",
        "phase",
        "reference",
        "restrictions",
        "short_sales",
        "stop_buys",
        "stop_sells",
        "symbol",
        "taker_fee_ppm",
        "throttle",
        "tick_micros",
        "unit",
        "until_ns",
    )

    def __init__(self, *, instrument_id: int, symbol: bytes, tick_micros: int, lot_units: int) -> None:
        self.instrument_id = instrument_id
        self.symbol = symbol
        self.tick_micros = tick_micros
        self.lot_units = lot_units
        # Worth of one lot at one tick, in micros (*New order*, "Worth").
        self.unit = tick_micros * lot_units
        self.bids = Half(BUY)
        self.asks = Half(SELL)
        # Orders with a stop price, in the order in which they are set off (*Stops* 2). OCO orders rest above, too.
        self.stop_buys: SortedKeyList[Order, tuple[int, int]] = SortedKeyList(
            key=lambda order: (order.stop_price, order.order_id)
        )
        self.stop_sells: SortedKeyList[Order, tuple[int, int]] = SortedKeyList(
            key=lambda order: (-order.stop_price, order.order_id)
        )
        # AT_CLOSE orders that wait for the closing auction, by order id, in the order in which they will rest.
        self.for_close: dict[int, Order] = {}
        # *Contingent orders* that wait, by order id, in that order.
        self.for_parent: SortedDict[int, Order] = SortedDict()
        self.phase = CONTINUOUS
        self.next_phase = self.until_ns = 0
        # Price of the latest trade; price that auctions and limits are measured by. 0: none.
        self.last = self.reference = 0
        self.maker_fee_ppm = self.taker_fee_ppm = 0
        self.band_ppm = self.collar_ppm = 0
        # Limit up, limit down; None: it has no such bands.
        self.bands: Bands | None = None
        self.breaker_ppm = self.breaker_window_ns = self.breaker_pause_ns = self.breaker_phase = 0
        # Of the prices that stood within the breaker's span; empty: none did.
        self.highest, self.lowest = Extremes(is_highest=True), Extremes(is_highest=False)
        self.throttle = Throttle()
        self.lots = NO_LOTS
        # Restrictions by account id; those of everybody under `EVERYBODY`.
        self.restrictions: SortedDict[int, Restriction] = SortedDict()
        self.short_sales = ShortSales()
        self.initial_ppm, self.maintenance_ppm = DEFAULT_MARGIN_PPM
        # Part of the market's index, and the close that it is measured from.
        self.index_weight = self.close = 0

    @property
    def mark(self) -> int:
        """Price at which positions are valued; 0: not known (*Margin accounts*)."""
        return self.last or self.reference

    def restriction_of(self, account_id: int) -> Restriction:
        """What holds for an account alone, or (`EVERYBODY`) for all."""
        found: Restriction = self.restrictions.get(account_id, NO_RESTRICTION)
        return found

    @property
    def restriction(self) -> Restriction:
        """What holds for every account."""
        return self.restriction_of(EVERYBODY)

    def lot_micros(self, side: int, price: int) -> int:
        """Worth of one lot at this price: with the highest fee (buy), with the maker's rebate (sell); rounded up.

        *New order*, "Worth".
        """
        ppm = max(self.maker_fee_ppm, self.taker_fee_ppm) if side == BUY else max(-self.maker_fee_ppm, 0)
        value = price * self.unit
        return value + -(-value * ppm // PPM)

    def begin_span(self) -> None:
        """No price has stood yet (*Price limits*, "Breaker")."""
        self.highest.clear()
        self.lowest.clear()

    def band(self) -> "Span | None":
        """Lowest and highest price that limits may have; None: no band (*Price limits*, "Band")."""
        if not self.band_ppm or not self.reference:
            return None
        return around(self.reference, self.band_ppm)

    def bands_in_force(self) -> "Span | None":
        """Between which prices it may trade now; None: there is no such limit (*Limit up and limit down*)."""
        if self.bands is None or not self.bands.reference or self.phase != CONTINUOUS:
            return None
        return Span(low=self.bands.low, high=self.bands.high)

    def limit_of(self, side: int, order_type: int, price: int) -> int | None:
        """How far a taker may go; None: without limit (*Matching*)."""
        limit = price or None
        if order_type in LIMITED_TYPES:
            return limit
        for band in (self.band(), self.bands_in_force()):
            if band is not None and side == BUY:
                limit = band.high if limit is None else min(limit, band.high)
            elif band is not None:
                limit = band.low if limit is None else max(limit, band.low)
        return limit

    def own(self, side: int) -> Half:
        """The half in which an order of this side rests."""
        return self.bids if side == BUY else self.asks

    def opposite(self, side: int) -> Half:
        """The half that an order of this side trades with."""
        return self.asks if side == BUY else self.bids

    def stops_of(self, side: int) -> "SortedKeyList[Order, tuple[int, int]]":
        """Orders of this side with a stop price, the next one first. It changes only while its order is out."""
        return self.stop_buys if side == BUY else self.stop_sells

    def stops(self) -> Iterator[Order]:
        """All orders with a stop price that may be set off."""
        return chain(self.stop_buys, self.stop_sells)

    def live_orders(self) -> Iterator[Order]:
        """All orders that rest or wait, in the order of the snapshot (*State*)."""
        for half in (self.bids, self.asks):
            for level in half.best_first():
                yield from level.by_priority()
        yield from (order for order in self.stops() if order.place == WAITS_FOR_STOP)
        yield from self.for_close.values()
        yield from self.for_parent.values()


class Span(NamedTuple):
    """Prices from the lowest to the highest."""

    low: int
    high: int


def around(center: int, ppm: int) -> Span:
    """From `ppm` millionths below to `ppm` millionths above."""
    width = center * ppm // PPM
    return Span(low=center - width, high=center + width)
