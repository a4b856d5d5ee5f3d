"""One instrument's order book: price levels in priority order, and the matching of one side against a taker.

Both sides are the same code. A level's `key` is its price on the sell side and the negated price on the buy side, so
the lowest key is always the best price, and a taker that may go as far as `limit_key` trades while
`level.key <= limit_key`. A resting order's own key is the negation of the limit key that it had as a taker.

The book knows no money: it says who trades how much, and `orders.py` settles that.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import chain
from typing import Final

from sortedcontainers import SortedDict

from lockstep.engine.reference.accounts import Account, Position
from lockstep.engine.reference.stops import Stops
from lockstep.stream.codes import Code
from lockstep.stream.records import MAX_PRICE_TICKS, OrderFlag, OrderType, Phase, SelfTradePrevention, Side

UNLIMITED_KEY: Final = 2**63
"""Limit key of a market order: worse than every price."""
PPM: Final = 10**6
DEFAULT_MARGIN_PPM: Final = (500_000, 250_000)
"""Initial and maintenance margin of an instrument that was told no other."""
IN_BOOK, WAITS_FOR_STOP, WAITS_FOR_CLOSE = 0, 1, 2
"""Places of a live order."""
BUY: Final = int(Side.BUY)
CONTINUOUS: Final = int(Phase.CONTINUOUS)
HIDDEN: Final = int(OrderFlag.HIDDEN)
LIMIT: Final = int(OrderType.LIMIT)
MARKET: Final = int(OrderType.MARKET)
STOP_LIMIT: Final = int(OrderType.STOP_LIMIT)
_DECREMENT: Final = int(SelfTradePrevention.DECREMENT)
_OLDEST: Final = int(SelfTradePrevention.CANCEL_OLDEST)

Fill = tuple["Order", int, int]
"""(maker, lots traded, maker's open lots afterwards)."""


class Instrument:
    """What is traded. One lot at one tick is worth `unit_micros = tick_micros * lot_units`."""

    __slots__ = ("instrument_id", "lot_units", "symbol", "tick_micros", "unit_micros")

    def __init__(self, instrument_id: int, symbol: bytes, tick_micros: int, lot_units: int) -> None:
        self.instrument_id = instrument_id
        self.symbol = symbol
        self.tick_micros = tick_micros
        self.lot_units = lot_units
        self.unit_micros = tick_micros * lot_units

    def is_defined_as(self, symbol: bytes, tick_micros: int, lot_units: int) -> bool:
        """Whether a repeated definition says the same."""
        return (symbol, tick_micros, lot_units) == (self.symbol, self.tick_micros, self.lot_units)


class Order:
    """An order from its acceptance on. It is live while it rests in a level or waits (`place`)."""

    __slots__ = (
        "account",
        "book",
        "client_order_id",
        "display",
        "expire_ns",
        "flags",
        "held",
        "leaves",
        "level",
        "lot_micros",
        "order_id",
        "order_type",
        "place",
        "position",
        "price",
        "quantity",
        "session_id",
        "shown",
        "side",
        "stop",
        "stp",
        "tif",
        "trail",
    )

    def __init__(
        self,
        order_id: int,
        client_order_id: int,
        session_id: int,
        account: Account,
        position: Position,
        book: "Book",
        side: int,
        order_type: int,
        tif: int,
        price: int,
        quantity: int,
        lot_micros: int,
    ) -> None:
        self.order_id = order_id
        self.client_order_id = client_order_id
        self.session_id = session_id
        self.account = account
        self.position = position
        self.book = book
        self.side = side
        self.order_type = order_type
        self.tif = tif
        # What the client named; a market order's is its protection, 0 if it has none. This is what everybody is told.
        self.price = price
        # Where it stands in the book: its price; a market order in an auction stands at what protection and band hold
        # it to.
        self.held = price
        self.quantity = quantity
        self.leaves = quantity
        # What one lot reserves while the order is live (buy), or brings in at the least (sell).
        self.lot_micros = lot_micros
        self.level: Level | None = None
        self.place = IN_BOOK
        self.stp = self.flags = 0
        # Iceberg: the size of a peak, and what is left of the present one.
        self.display = self.shown = 0
        self.expire_ns = self.stop = self.trail = 0

    @property
    def limit_key(self) -> int:
        """How far this order may go as a taker."""
        if self.order_type == LIMIT:
            return self.price if self.side == BUY else -self.price
        return self.book.limit_key(self.side, self.order_type, self.price)

    @property
    def is_unseen(self) -> bool:
        """Whether the book shows less than the whole of it, wherever it stands there."""
        return bool(self.display or self.flags & HIDDEN or self.order_type == MARKET)

    @property
    def is_named(self) -> bool:
        """Whether a client named the price at which it stands in the book; the band or one tick are nobody's price."""
        return self.price == self.held


class Level:
    """All orders at one price, first come first served: the displayed `orders`, then the `hidden` ones.

    Market orders of an auction stand in the queue of `orders`, but nobody is shown them. `quantity` is the sum of all
    open lots, never 0; `unseen` is the number of icebergs, hidden orders and market orders.
    """

    __slots__ = ("hidden", "key", "orders", "price", "quantity", "unseen")

    def __init__(self, key: int, price: int) -> None:
        self.key = key
        self.price = price
        self.quantity = 0
        # By order id, in arrival order. An OrderedDict and not a dict: reading a dict's first entry after many
        # removals from its front takes time in proportion to the removals.
        self.orders: OrderedDict[int, Order] = OrderedDict()
        self.hidden: OrderedDict[int, Order] = OrderedDict()
        self.unseen = 0

    def front(self) -> Order:
        """The order that trades next."""
        return next(iter((self.orders or self.hidden).values()))

    def by_priority(self) -> Iterator[Order]:
        """All orders, the next one first."""
        return chain(self.orders.values(), self.hidden.values())

    def is_named(self) -> bool:
        """Whether any order here has this price from its client, and not from what holds market orders."""
        return any(order.is_named for order in self.by_priority())


class Half:
    """One side of a book. `best` is the first value of `levels`, None when that is empty."""

    __slots__ = ("best", "levels")

    def __init__(self) -> None:
        self.levels: SortedDict[int, Level] = SortedDict()
        self.best: Level | None = None

    def add(self, order: Order) -> None:
        """Rest an order behind the others of its price."""
        key = -order.held if order.side == BUY else order.held
        level: Level | None = self.levels.get(key)
        if level is None:
            level = self.levels[key] = Level(key, order.held)
            if self.best is None or key < self.best.key:
                self.best = level
        level.quantity += order.leaves
        order.level = level
        order.place = IN_BOOK
        if order.flags & HIDDEN:
            level.unseen += 1
            level.hidden[order.order_id] = order
            return
        level.orders[order.order_id] = order
        if order.display:
            order.shown = min(order.display, order.leaves)
        if order.is_unseen:
            level.unseen += 1

    def remove(self, order: Order) -> None:
        """Take a resting order out; its open lots stay as they are."""
        level = _level_of(order)
        del (level.hidden if order.flags & HIDDEN else level.orders)[order.order_id]
        level.quantity -= order.leaves
        level.unseen -= order.is_unseen
        order.level = None
        order.shown = 0
        if not level.orders and not level.hidden:
            self._drop(level)

    def reduce(self, order: Order, leaves: int) -> None:
        """Lower a resting order's open lots to `leaves` (> 0) without moving it."""
        _level_of(order).quantity -= order.leaves - leaves
        order.leaves = leaves
        order.shown = min(order.shown, leaves)

    def fill(self, order: Order, lots: int) -> None:
        """Trade `lots` of a resting order, at the most what it displays; a used-up iceberg peak is renewed behind."""
        if lots == order.leaves:
            self.remove(order)
            order.leaves = 0
            return
        level = _level_of(order)
        level.quantity -= lots
        order.leaves -= lots
        if order.display:
            order.shown -= lots
            if not order.shown:
                order.shown = min(order.display, order.leaves)
                level.orders.move_to_end(order.order_id)

    def reach(self, limit_key: int, lots: int, account: Account, stp: int) -> tuple[int, int]:
        """What a taker of `lots` would trade now: (lots, sum of price * lots). Changes nothing."""
        wanted = lots
        filled = worth = 0
        for level in self.levels.values():
            if not wanted or level.key > limit_key:
                break
            if stp and any(order.account is account for order in level.by_priority()):
                taken, wanted = _reach_among_own(level, wanted, account, stp)
            else:
                taken = min(wanted, level.quantity)
                wanted -= taken
            filled += taken
            worth += level.price * taken
        return filled, worth

    def take(self, limit_key: int, lots: int) -> list[Fill]:
        """Match a taker of `lots`: best price first, then first come first served; filled makers leave the book.

        Stops before the first level with icebergs or hidden orders: those are for `fill`, one by one.
        """
        fills: list[Fill] = []
        level = self.best
        while lots and level is not None and level.key <= limit_key and not level.unseen:
            if lots < level.quantity:
                self._take_part(level, lots, fills)
                break
            lots -= level.quantity
            for maker in level.orders.values():
                fills.append((maker, maker.leaves, 0))
                maker.leaves = 0
                maker.level = None
            self._drop(level)
            level = self.best
        return fills

    def _take_part(self, level: Level, lots: int, fills: list[Fill]) -> None:
        """Take `lots` of a level that has more than that."""
        level.quantity -= lots
        orders = level.orders
        while lots:
            maker = next(iter(orders.values()))
            leaves = maker.leaves
            if leaves > lots:
                # A maker that is filled in part keeps its place at the front.
                maker.leaves = leaves - lots
                fills.append((maker, lots, leaves - lots))
                return
            lots -= leaves
            fills.append((maker, leaves, 0))
            maker.leaves = 0
            maker.level = None
            del orders[maker.order_id]

    def _drop(self, level: Level) -> None:
        del self.levels[level.key]
        if level is self.best:
            self.best = self.levels.peekitem(0)[1] if self.levels else None


def _level_of(order: Order) -> Level:
    if order.level is None:
        raise AssertionError(f"order {order.order_id} does not rest")
    return order.level


def _reach_among_own(level: Level, wanted: int, account: Account, stp: int) -> tuple[int, int]:
    """`reach` at one level where own orders are: the matching on paper. (lots traded, lots still wanted)."""
    # (own?, open lots, lots displayed now, peak size); the hidden ones come after every displayed one.
    displayed = deque((o.account is account, o.leaves, o.shown or o.leaves, o.display) for o in level.orders.values())
    hidden = deque((o.account is account, o.leaves, o.leaves, 0) for o in level.hidden.values())
    filled = 0
    while wanted and (displayed or hidden):
        queue = displayed or hidden
        own, leaves, shown, display = queue.popleft()
        if own and stp == _DECREMENT:
            wanted -= min(wanted, leaves)
        elif own and stp == _OLDEST:
            continue
        elif own:
            return filled, 0
        else:
            taken = min(wanted, shown)
            wanted -= taken
            filled += taken
            if display and leaves > taken:
                queue.append((False, leaves - taken, min(display, leaves - taken), display))
    return filled, wanted


class Book:
    """One instrument's market: the halves of its book, waiting orders, phase and price limits.

    In CONTINUOUS it is never crossed between two commands.
    """

    __slots__ = (
        "asks",
        "band_ppm",
        "bids",
        "breaker_pause_ns",
        "breaker_phase",
        "breaker_ppm",
        "breaker_window_ns",
        "close",
        "collar_ppm",
        "fee_ppm",
        "for_close",
        "index_weight",
        "initial_ppm",
        "instrument",
        "last",
        "maintenance_ppm",
        "maker_fee_ppm",
        "next_phase",
        "phase",
        "reference",
        "stops",
        "taker_fee_ppm",
        "unit_micros",
        "until_ns",
        "window_price",
        "window_start_ns",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.unit_micros = instrument.unit_micros
        self.bids = Half()
        self.asks = Half()
        self.stops = Stops()
        # AT_CLOSE orders that wait for the closing auction, by order id, in the order in which they will rest.
        self.for_close: dict[int, Order] = {}
        self.phase = CONTINUOUS
        self.next_phase = self.until_ns = 0
        self.reference = self.last = 0
        self.set_fees(0, 0)
        self.band_ppm = self.collar_ppm = 0
        self.breaker_ppm = self.breaker_window_ns = self.breaker_pause_ns = self.breaker_phase = 0
        # The breaker's open window; price 0: none is open.
        self.window_start_ns = self.window_price = 0
        self.initial_ppm, self.maintenance_ppm = DEFAULT_MARGIN_PPM
        # Part of the market's index, and the close that it is measured from.
        self.index_weight = self.close = 0

    def set_fees(self, maker_ppm: int, taker_ppm: int) -> None:
        """Rates in millionths of a trade's worth, a rebate below 0. Only while no order is live: they reserve by it."""
        self.maker_fee_ppm = maker_ppm
        self.taker_fee_ppm = taker_ppm
        self.fee_ppm = max(maker_ppm, taker_ppm)

    def lot_micros(self, side: int, price: int) -> int:
        """What one lot of an order at this price reserves: a buy its price and the highest fee, rounded up.

        Of a sell it is the most that it brings in as a maker: its price and the rebate, rounded up.
        """
        value = price * self.unit_micros
        ppm = self.fee_ppm if side == BUY else max(-self.maker_fee_ppm, 0)
        return value - -value * ppm // PPM

    @property
    def mark(self) -> int:
        """Price at which positions are valued; 0: not known."""
        return self.last or self.reference

    def gathering_price(self, side: int, protection: int) -> int:
        """Price at which a market order stands in an auction; 0: nothing limits what it would cost.

        It decides at which prices the order takes part, and what a buy reserves. It is never an auction's price by
        itself, unless it is the protection that the client named.
        """
        key = self.limit_key(side, MARKET, protection)
        if side == BUY:
            return min(key, MAX_PRICE_TICKS) if key < UNLIMITED_KEY else 0
        return max(-key, 1)

    def limit_key(self, side: int, order_type: int, price: int) -> int:
        """How far a taker may go: its limit; what has none is held by the band."""
        if order_type in (LIMIT, STOP_LIMIT):
            return price if side == BUY else -price
        key = UNLIMITED_KEY
        if price:
            key = price if side == BUY else -price
        if self.band_ppm and self.reference:
            low, high = self._around(self.reference, self.band_ppm)
            key = min(key, high if side == BUY else -low)
        return key

    def price_refusal(self, side: int, price: int) -> Code:
        """Why a limit is too far off: band, then collar."""
        if self.band_ppm and self.reference:
            low, high = self._around(self.reference, self.band_ppm)
            if not low <= price <= high:
                return Code.OUTSIDE_BAND
        center = self.last or self.reference
        if self.collar_ppm and center:
            low, high = self._around(center, self.collar_ppm)
            if (price > high) if side == BUY else (price < low):
                return Code.PRICE_COLLAR
        return Code.OK

    @staticmethod
    def _around(center: int, ppm: int) -> tuple[int, int]:
        width = center * ppm // PPM
        return center - width, center + width

    def own(self, side: int) -> Half:
        """The half in which an order of this side rests."""
        return self.bids if side == BUY else self.asks

    def opposite(self, side: int) -> Half:
        """The half that an order of this side trades with."""
        return self.asks if side == BUY else self.bids

    def live_orders(self) -> Iterator[Order]:
        """All orders that rest or wait, in the order of the snapshot."""
        for half in (self.bids, self.asks):
            for level in half.levels.values():
                yield from level.by_priority()
        yield from self.stops.buys.values()
        yield from self.stops.sells.values()
        yield from self.for_close.values()
