"""What the checks of an order look at."""

from lockstep.engine.reference.limits import NO_LIMITS
from lockstep.engine.reference.order import Order
from lockstep.engine.reference.state import State


class Entry:
    """An order as it would be, while it is checked whether it may be so: a new one, or one with new terms."""

    __slots__ = (
        "account",
        "book",
        "freed_lots",
        "freed_micros",
        "lessens",
        "limits",
        "minimum",
        "now_ns",
        "order",
        "parent",
        "parent_id",
        "position",
        "state",
        "worth",
    )

    def __init__(self, state: State, order: Order, now_ns: int, *, minimum: int = 0, worth: int = 0) -> None:
        self.state = state
        self.order = order
        self.account = order.account
        self.position = order.position
        self.book = order.book
        self.limits = NO_LIMITS if order.account.limits is None else order.account.limits.values
        self.now_ns = now_ns
        # What must trade on entry.
        self.minimum = minimum
        # Of a *contingent* order: the client order id that it names as its parent, and the live order of that name.
        self.parent_id = 0
        self.parent: Order | None = None
        self.worth = worth
        # Of a replace: whether it lessens; what the order that there is has open and has reserved itself.
        self.lessens = False
        self.freed_lots = self.freed_micros = 0


def take_tokens(entry: Entry) -> None:
    """*Throttles*: a new order, or a replace that does not lessen, was accepted."""
    entry.book.throttle.take_token(entry.now_ns)
    entry.state.market.throttle.take_token(entry.now_ns)
