"""*State*: all that the engine knows between two commands. This, and nothing else, decides what comes next."""

from typing import NamedTuple

from sortedcontainers import SortedDict

from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import Book
from lockstep.engine.reference.market import Market
from lockstep.engine.reference.order import IN_BOOK, WAITS_FOR_PARENT, WAITS_FOR_STOP, Order
from lockstep.engine.reference.sessions import Session


class Owner(NamedTuple):
    """Of a session: the highest connection that was opened, and the gateway that has it; 0: none has (any more)."""

    connection: int
    gateway: int


class State:
    """Maps by id. Reservations hang on the accounts, price levels and waiting orders on the books."""

    __slots__ = (
        "account_names",
        "accounts",
        "are_children_due",
        "books",
        "children",
        "fees",
        "last_seq",
        "last_timestamp_ns",
        "market",
        "orders",
        "owners",
        "sessions",
        "symbols",
        "touched",
    )

    def __init__(self) -> None:
        self.last_seq = 0
        self.last_timestamp_ns = 0
        self.sessions: dict[int, Session] = {}
        # Sessions that want (or wanted) their orders canceled when they are lost (*Cancel on disconnect*).
        self.owners: dict[int, Owner] = {}
        self.accounts: SortedDict[int, Account] = SortedDict()
        self.account_names: dict[bytes, Account] = {}
        self.books: SortedDict[int, Book] = SortedDict()
        self.symbols: dict[bytes, Book] = {}
        # Live orders by exchange id.
        self.orders: dict[int, Order] = {}
        # All fees that were ever paid, in micros.
        self.fees = 0
        self.market = Market()
        # *Contingent orders* that wait, by order id; whether one of them may be due, as a parent or a phase has ended.
        self.children: SortedDict[int, Order] = SortedDict()
        self.are_children_due = False
        # Instruments with bands that are looked at when the command is done with (*Limit up and limit down*).
        self.touched: set[int] = set()

    def touch(self, book: Book) -> None:
        """*Limit up and limit down*, "A look": something of the instrument's orders or phase has changed."""
        if book.bands is not None:
            self.touched.add(book.instrument_id)

    def is_closed(self, session_id: int) -> bool:
        """*Cancel on disconnect*: its client was gone, and no later connection of it has been opened."""
        owner = self.owners.get(session_id)
        return owner is not None and not owner.gateway

    def rest(self, order: Order) -> None:
        """Put an order with open lots behind its price level, and bind what it needs."""
        order.book.own(order.side).add(order)
        if order.is_oco:
            order.book.stops_of(order.side).add(order)
        self._register(order)

    def wait(self, order: Order, place: int) -> None:
        """Keep an order outside the book until its stop price, the closing auction or its parent's end.

        What it needs is bound, unless it waits for its parent.
        """
        order.place = place
        if place == WAITS_FOR_STOP:
            order.book.stops_of(order.side).add(order)
        elif place == WAITS_FOR_PARENT:
            order.book.for_parent[order.order_id] = order
            self.children[order.order_id] = order
            order.account.children += 1
        else:
            order.book.for_close[order.order_id] = order
        self._register(order)

    def _register(self, order: Order) -> None:
        account = order.account
        if order.binds:
            account.reserve(order, order.leaves)
        self.orders[order.order_id] = order
        account.orders[order.order_id] = order
        if order.client_order_id:
            account.by_client_id[order.client_order_id] = order

    def withdraw(self, order: Order) -> None:
        """Take a live order out of its place and release what it bound; its open lots stay readable."""
        if order.place == IN_BOOK:
            order.book.own(order.side).remove(order)
        elif order.place == WAITS_FOR_STOP:
            order.book.stops_of(order.side).remove(order)
        elif order.place == WAITS_FOR_PARENT:
            del order.book.for_parent[order.order_id]
            del self.children[order.order_id]
            order.account.children -= 1
            if order.parent is not None:
                order.parent.children.remove(order)
        else:
            del order.book.for_close[order.order_id]
        if order.binds:
            order.account.reserve(order, -order.leaves)
        self.forget(order)

    def forget(self, order: Order) -> None:
        """Drop an order that left its place from all maps; its client id is free again."""
        account = order.account
        self.touch(order.book)
        if order.children:
            self.are_children_due = True
        if order.is_oco and order.place == IN_BOOK:
            order.book.stops_of(order.side).remove(order)
        del self.orders[order.order_id]
        del account.orders[order.order_id]
        if order.client_order_id:
            del account.by_client_id[order.client_order_id]
