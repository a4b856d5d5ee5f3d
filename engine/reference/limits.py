"""An account's pre-trade limits, and the counters that they are held against.

Counters exist only while a limit is set, so an account without limits pays nothing for them. Time is stamped time:
a day is counted from midnight UTC, the token bucket is kept as its theoretical arrival time (one number, no rounding).
"""

from typing import Final

from lockstep.stream.codes import Code

DAY_NS: Final = 86_400 * 10**9
SECOND_NS: Final = 10**9

LimitValues = tuple[int, int, int, int, int, int, int, int]
"""max_order_lots, max_order_micros, max_position_lots, max_orders_per_day, orders_per_second, burst_orders,
max_orders_per_trade, max_concentration_ppm; 0 is no limit."""


class Limits:
    """Limits (`docs/engine.md`, *Limits of an account*) and counters."""

    __slots__ = (
        "burst_orders",
        "day",
        "day_orders",
        "day_trades",
        "max_concentration_ppm",
        "max_order_lots",
        "max_order_micros",
        "max_orders_per_day",
        "max_orders_per_trade",
        "max_position_lots",
        "orders_per_second",
        "tat_ns",
    )

    def __init__(self, values: LimitValues) -> None:
        self.day = self.day_orders = self.day_trades = 0
        self.tat_ns = 0
        self.set(values)

    def set(self, values: LimitValues) -> None:
        """New limits; the counters go on."""
        self.max_order_lots, self.max_order_micros, self.max_position_lots = values[:3]
        self.max_orders_per_day, self.orders_per_second, self.burst_orders = values[3:6]
        self.max_orders_per_trade, self.max_concentration_ppm = values[6:]

    @property
    def values(self) -> LimitValues:
        """The limits alone."""
        return (
            *(self.max_order_lots, self.max_order_micros, self.max_position_lots, self.max_orders_per_day),
            *(self.orders_per_second, self.burst_orders, self.max_orders_per_trade, self.max_concentration_ppm),
        )

    def count_refusal(self, now_ns: int) -> Code:
        """Why one more order is too many; counts nothing."""
        today = now_ns // DAY_NS == self.day
        orders = self.day_orders if today else 0
        trades = self.day_trades if today else 0
        if self.max_orders_per_day and orders >= self.max_orders_per_day:
            return Code.DAILY_ORDER_LIMIT
        if self.orders_per_second:
            interval = SECOND_NS // self.orders_per_second
            if self.tat_ns - now_ns > (self.burst_orders - 1) * interval:
                return Code.ORDER_RATE
        if self.max_orders_per_trade and orders + 1 > self.max_orders_per_trade * max(trades, 1):
            return Code.ORDER_TO_TRADE_RATIO
        return Code.OK

    def count_order(self, now_ns: int) -> None:
        """An order was accepted."""
        self._roll(now_ns)
        self.day_orders += 1
        if self.orders_per_second:
            self.tat_ns = max(self.tat_ns, now_ns) + SECOND_NS // self.orders_per_second

    def count_trade(self, now_ns: int) -> None:
        """The account was one side of a trade."""
        self._roll(now_ns)
        self.day_trades += 1

    def _roll(self, now_ns: int) -> None:
        day = now_ns // DAY_NS
        if day != self.day:
            self.day = day
            self.day_orders = self.day_trades = 0
