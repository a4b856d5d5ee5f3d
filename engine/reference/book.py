"""One instrument's order book: price levels in priority order, and the matching of one side against a taker.

Both sides are the same code. A level's `key` is its price on the sell side and the negated price on the buy side, so
the lowest key is always the best price, and a taker that may go as far as `limit_key` trades while
`level.key <= limit_key`. A resting order's own key is the negation of the limit key that it had as a taker.

The book knows no money: it says who trades how much, and `orders.py` settles that.
"""

from collections import OrderedDict
from typing import Final

from sortedcontainers import SortedDict

from lockstep.engine.reference.accounts import Account, Position
from lockstep.stream.records import OrderType, Side

UNLIMITED_KEY: Final = 2**63
"""Limit key of a market order: worse than every price."""

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
    """An order from its acceptance on. It is live while it rests in a level, which means `leaves > 0`."""

    __slots__ = (
        "account",
        "book",
        "client_order_id",
        "leaves",
        "level",
        "order_id",
        "order_type",
        "position",
        "price",
        "quantity",
        "session_id",
        "side",
        "tif",
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
        self.price = price
        self.quantity = quantity
        self.leaves = quantity
        self.level: Level | None = None

    @property
    def limit_key(self) -> int:
        """How far this order may go as a taker."""
        if self.order_type == OrderType.MARKET:
            return UNLIMITED_KEY
        return self.price if self.side == Side.BUY else -self.price


class Level:
    """All orders at one price, first come first served. `quantity` is the sum of their open lots, never 0."""

    __slots__ = ("key", "orders", "price", "quantity")

    def __init__(self, key: int, price: int) -> None:
        self.key = key
        self.price = price
        self.quantity = 0
        # By order id, in arrival order. An OrderedDict and not a dict: reading a dict's first entry after many
        # removals from its front takes time in proportion to the removals.
        self.orders: OrderedDict[int, Order] = OrderedDict()


class Half:
    """One side of a book. `best` is the first value of `levels`, None when that is empty."""

    __slots__ = ("best", "levels")

    def __init__(self) -> None:
        self.levels: SortedDict[int, Level] = SortedDict()
        self.best: Level | None = None

    def add(self, order: Order) -> None:
        """Rest an order behind the others of its price."""
        key = -order.limit_key
        level: Level | None = self.levels.get(key)
        if level is None:
            level = self.levels[key] = Level(key, order.price)
            if self.best is None or key < self.best.key:
                self.best = level
        level.orders[order.order_id] = order
        level.quantity += order.leaves
        order.level = level

    def remove(self, order: Order) -> None:
        """Take a resting order out; its open lots stay as they are."""
        level = order.level
        if level is None:
            raise AssertionError(f"order {order.order_id} does not rest")
        del level.orders[order.order_id]
        level.quantity -= order.leaves
        order.level = None
        if not level.orders:
            self._drop(level)

    def reduce(self, order: Order, leaves: int) -> None:
        """Lower a resting order's open lots to `leaves` (> 0) without moving it."""
        level = order.level
        if level is None:
            raise AssertionError(f"order {order.order_id} does not rest")
        level.quantity -= order.leaves - leaves
        order.leaves = leaves

    def reach(self, limit_key: int, lots: int) -> tuple[int, int]:
        """What a taker of `lots` would get now: (lots, sum of price * lots). Changes nothing."""
        wanted = lots
        worth = 0
        for level in self.levels.values():
            if not wanted or level.key > limit_key:
                break
            taken = min(wanted, level.quantity)
            wanted -= taken
            worth += level.price * taken
        return lots - wanted, worth

    def take(self, limit_key: int, lots: int) -> list[Fill]:
        """Match a taker of `lots`: best price first, then first come first served; filled makers leave the book."""
        fills: list[Fill] = []
        level = self.best
        while lots and level is not None and level.key <= limit_key:
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


class Book:
    """The two halves of one instrument's book. It is never crossed between two commands."""

    __slots__ = ("asks", "bids", "instrument", "unit_micros")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.unit_micros = instrument.unit_micros
        self.bids = Half()
        self.asks = Half()

    def own(self, side: int) -> Half:
        """The half in which an order of this side rests."""
        return self.bids if side == Side.BUY else self.asks

    def opposite(self, side: int) -> Half:
        """The half that an order of this side trades with."""
        return self.asks if side == Side.BUY else self.bids
