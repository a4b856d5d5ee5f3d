"""Everything that the engine knows between two commands. What is here, and nothing else, decides what comes next."""

from lockstep.engine.reference.accounts import Account
from lockstep.engine.reference.book import Book, Order
from lockstep.engine.reference.sessions import Session


class State:
    """Maps by id. Reservations and client ids hang on the accounts, price levels on the books."""

    __slots__ = (
        "account_names",
        "accounts",
        "books",
        "last_seq",
        "last_timestamp_ns",
        "orders",
        "sessions",
        "symbols",
    )

    def __init__(self) -> None:
        self.last_seq = 0
        self.last_timestamp_ns = 0
        self.sessions: dict[int, Session] = {}
        self.accounts: dict[int, Account] = {}
        self.account_names: dict[bytes, Account] = {}
        self.books: dict[int, Book] = {}
        self.symbols: dict[bytes, Book] = {}
        # Live orders by exchange id.
        self.orders: dict[int, Order] = {}

    def rest(self, order: Order) -> None:
        """Put an order with open lots behind its price level, and bind what it needs."""
        account = order.account
        order.book.own(order.side).add(order)
        account.reserve(order, order.leaves)
        self.orders[order.order_id] = order
        account.orders[order.order_id] = order
        if order.client_order_id:
            account.by_client_id[order.client_order_id] = order

    def withdraw(self, order: Order) -> None:
        """Take a resting order out of its book and release what it bound; its open lots stay readable."""
        order.book.own(order.side).remove(order)
        order.account.reserve(order, -order.leaves)
        self.forget(order)

    def forget(self, order: Order) -> None:
        """Drop an order that left its book from all maps; its client id is free again."""
        account = order.account
        del self.orders[order.order_id]
        del account.orders[order.order_id]
        if order.client_order_id:
            del account.by_client_id[order.client_order_id]
