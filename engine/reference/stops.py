"""Orders that wait for a stop price, in the order in which they are set off.

A buy is set off when the last price has risen to its stop price, a sell when it has fallen to it. The keys make the
first entry of each side the next one: (stop, order id) for buys, (-stop, order id) for sells.
"""

from typing import TYPE_CHECKING, Final

from sortedcontainers import SortedDict

from lockstep.stream.records import Side

if TYPE_CHECKING:
    from lockstep.engine.reference.book import Order

BUY: Final = int(Side.BUY)


def _key(order: "Order") -> tuple[int, int]:
    return (order.stop if order.side == BUY else -order.stop, order.order_id)


class Stops:
    """The waiting stop orders of one instrument. `trailing` are those among them whose stop price follows."""

    __slots__ = ("buys", "sells", "trailing")

    def __init__(self) -> None:
        self.buys: SortedDict[tuple[int, int], Order] = SortedDict()
        self.sells: SortedDict[tuple[int, int], Order] = SortedDict()
        self.trailing: dict[int, Order] = {}

    def __len__(self) -> int:
        return len(self.buys) + len(self.sells)

    def _side(self, order: "Order") -> "SortedDict[tuple[int, int], Order]":
        return self.buys if order.side == BUY else self.sells

    def add(self, order: "Order") -> None:
        """Let an order wait."""
        self._side(order)[_key(order)] = order
        if order.trail:
            self.trailing[order.order_id] = order

    def remove(self, order: "Order") -> None:
        """An order waits no longer."""
        del self._side(order)[_key(order)]
        if order.trail:
            del self.trailing[order.order_id]

    def follow(self, last: int) -> None:
        """Move the trailing stop prices after the last price; they never move away from it."""
        for order in list(self.trailing.values()):
            stop = min(order.stop, last + order.trail) if order.side == BUY else max(order.stop, last - order.trail)
            if stop != order.stop:
                self.remove(order)
                order.stop = stop
                self.add(order)

    def next(self, last: int) -> "Order | None":
        """The order that is set off next at this last price, None if there is none."""
        if self.buys:
            order: Order = self.buys.peekitem(0)[1]
            if last >= order.stop:
                return order
        if self.sells:
            order = self.sells.peekitem(0)[1]
            if last <= order.stop:
                return order
        return None
