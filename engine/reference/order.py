"""An order from its acceptance on, by the names of docs/engine.md."""

from typing import TYPE_CHECKING, Final

from lockstep.engine.reference.words import (
    BUY,
    DAY,
    GTC,
    GTD,
    HIDDEN,
    LIMIT,
    MARKET,
    OCO,
    STOP,
    STOP_LIMIT,
    TRAILING_STOP,
)

if TYPE_CHECKING:
    from lockstep.engine.reference.accounts import Account
    from lockstep.engine.reference.book import Book
    from lockstep.engine.reference.records import OrderCommand
    from lockstep.engine.snapshot_format import OrderRow

    Terms = OrderCommand | OrderRow

IN_BOOK, WAITS_FOR_STOP, WAITS_FOR_CLOSE, WAITS_FOR_PARENT = 0, 1, 2, 3
"""Places of a live order."""
MOST_CHILDREN: Final = 4
"""Of one parent (*Contingent orders*)."""
MOST_WAITING: Final = 1024
"""Orders of one account that wait for a parent (*Contingent orders*)."""
RESTING_TIFS: Final = (DAY, GTC, GTD)
LIMITED_TYPES: Final = (LIMIT, STOP_LIMIT, OCO)
"""Types whose price is a limit."""


class Order:
    """Its client's terms, and how far it has come. It is live while it rests in the book or waits (`place`)."""

    __slots__ = (
        "account",
        "book",
        "children",
        "client_order_id",
        "display",
        "expire_ns",
        "flags",
        "held",
        "leaves",
        "lot_micros",
        "order_id",
        "order_type",
        "parent",
        "parent_lots",
        "place",
        "position",
        "price",
        "quantity",
        "session_id",
        "shown",
        "side",
        "stop_price",
        "stp",
        "tif",
        "trail",
    )

    def __init__(self, terms: "Terms", *, order_id: int, account: "Account", book: "Book") -> None:
        self.order_id = order_id
        self.client_order_id = terms.client_order_id
        self.session_id = terms.session_id
        self.account = account
        self.book = book
        self.position = account.position(book.instrument_id)
        self.side = terms.side
        self.order_type = terms.order_type
        self.tif = terms.tif
        self.stp = terms.stp
        self.flags = terms.flags
        # What the client named; a market order's is its protection, 0 if it has none. This is what all reports show.
        self.price = terms.price_ticks
        # Where it stands in the book: its price; a market order that gathers stands at what it is held to.
        self.held = terms.price_ticks
        # Of a stop order, as it stands now; of one that was set off, as it was.
        self.stop_price = terms.stop_price_ticks
        self.trail = terms.trail_ticks
        self.quantity = terms.quantity_lots
        self.leaves = terms.quantity_lots
        # An iceberg's peak, and what is left of the present one.
        self.display = terms.display_lots
        self.shown = 0
        self.expire_ns = terms.expire_ns
        # What one lot reserves while the order is live (buy), or brings in at the most as a maker (sell).
        self.lot_micros = 0
        self.place = IN_BOOK
        # *Contingent orders*: the live order that it waits for, and what that has traded since; its own children.
        self.parent: Order | None = None
        self.parent_lots = 0
        self.children: list[Order] = []

    def copy(self) -> "Order":
        """Another one with the same terms, for a look at how it would be with others."""
        twin = Order.__new__(Order)
        for name in Order.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    @property
    def rests(self) -> bool:
        """Whether what does not trade rests in the book (*New order*, "Then" 1)."""
        return self.order_type in LIMITED_TYPES and self.tif in RESTING_TIFS

    @property
    def is_stop(self) -> bool:
        """STOP, STOP_LIMIT, TRAILING_STOP: it waits outside the book for its stop price."""
        return self.order_type in (STOP, STOP_LIMIT, TRAILING_STOP)

    @property
    def is_oco(self) -> bool:
        """It rests in the book and is set off by its stop price from there (*Stops*, "OCO")."""
        return self.order_type == OCO

    @property
    def binds(self) -> bool:
        """Whether funds or lots are bound for it while it is live; one that waits for its parent has none yet."""
        return self.place != WAITS_FOR_PARENT

    @property
    def is_hidden(self) -> bool:
        """Nothing of it is displayed."""
        return bool(self.flags & HIDDEN)

    @property
    def is_unseen(self) -> bool:
        """Whether the book shows less than the whole of it, wherever it stands there."""
        return bool(self.display or self.flags & HIDDEN or self.order_type == MARKET)

    @property
    def is_named(self) -> bool:
        """Whether a client named the price at which it stands in the book; the band or one tick are nobody's price."""
        return self.price == self.held

    @property
    def may_trade(self) -> int:
        """Lots that it gives as a maker before it loses its turn: a peak, or all (*Matching*)."""
        return self.shown or self.leaves


def is_within(price: int, limit: int | None, side: int) -> bool:
    """Whether an order of this side may trade at `price`; None is no limit."""
    if limit is None:
        return True
    return price <= limit if side == BUY else price >= limit
