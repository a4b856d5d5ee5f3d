"""An account's pre-trade limits, and the counters that they are held against (*Limits of an account*).

Counters exist only while a limit is set. Time is stamped time: a day is counted from midnight UTC, the token bucket is
kept as its theoretical arrival time (one number, no rounding).
"""

from typing import Final, NamedTuple

DAY_NS: Final = 86_400 * 10**9
SECOND_NS: Final = 10**9
BUSINESS_DAYS: Final = 5
"""Of a week."""


def business_day(now_ns: int) -> int:
    """Number of the business day of a stamp: Mondays to Fridays counted on, a weekend is its Friday."""
    # The epoch began on a Thursday, so that 3 days more make weeks begin on Mondays.
    weeks, weekday = divmod(now_ns // DAY_NS + 3, 7)
    return weeks * BUSINESS_DAYS + min(weekday, BUSINESS_DAYS - 1)


class LimitValues(NamedTuple):
    """What SET_RISK_LIMITS sets; 0 is no limit."""

    max_order_lots: int = 0
    max_order_micros: int = 0
    max_position_lots: int = 0
    max_orders_per_day: int = 0
    orders_per_second: int = 0
    burst_orders: int = 0
    max_orders_per_trade: int = 0
    max_concentration_ppm: int = 0


NO_LIMITS: Final = LimitValues()


class Limits:
    """The limits of an account that has any, and its counters."""

    __slots__ = ("day", "orders_today", "tat_ns", "trades_today", "values")

    def __init__(self, values: LimitValues) -> None:
        self.values = values
        # The stamped day of the two counters.
        self.day = self.orders_today = self.trades_today = 0
        self.tat_ns = 0

    def are_orders_used_up(self, now_ns: int) -> bool:
        """*New order* check 23: no more orders today."""
        orders, _ = self._today(now_ns)
        return bool(self.values.max_orders_per_day) and orders >= self.values.max_orders_per_day

    def has_token(self, now_ns: int) -> bool:
        """*New order* check 24: a token is there."""
        if not self.values.orders_per_second:
            return True
        return self.tat_ns - now_ns <= (self.values.burst_orders - 1) * self._interval_ns()

    def are_trades_missing(self, now_ns: int) -> bool:
        """*New order* check 25: one more order is too many for the trades of today."""
        orders, trades = self._today(now_ns)
        most = self.values.max_orders_per_trade
        return bool(most) and orders + 1 > most * max(trades, 1)

    def count_order(self, now_ns: int) -> None:
        """An order was accepted."""
        self._begin_day(now_ns)
        self.orders_today += 1
        if self.values.orders_per_second:
            self.tat_ns = max(self.tat_ns, now_ns) + self._interval_ns()

    def count_trade(self, now_ns: int) -> None:
        """The account was one side of a trade."""
        self._begin_day(now_ns)
        self.trades_today += 1

    def _interval_ns(self) -> int:
        return SECOND_NS // self.values.orders_per_second

    def _today(self, now_ns: int) -> tuple[int, int]:
        """Orders and trades of the stamped day."""
        return (self.orders_today, self.trades_today) if now_ns // DAY_NS == self.day else (0, 0)

    def _begin_day(self, now_ns: int) -> None:
        day = now_ns // DAY_NS
        if day != self.day:
            self.day = day
            self.orders_today = self.trades_today = 0


class Throttle:
    """*Throttles*: how many orders an instrument, or the market, takes; a token bucket as an account's."""

    __slots__ = ("burst_orders", "orders_per_second", "tat_ns")

    def __init__(self) -> None:
        self.set(0, 0)

    def set(self, orders_per_second: int, burst_orders: int) -> None:
        """New terms, and a full bucket; 0: takes as many as come."""
        self.orders_per_second = orders_per_second
        self.burst_orders = burst_orders
        self.tat_ns = 0

    def has_token(self, now_ns: int) -> bool:
        """Whether one more order is taken."""
        if not self.orders_per_second:
            return True
        return self.tat_ns - now_ns <= (self.burst_orders - 1) * (SECOND_NS // self.orders_per_second)

    def take_token(self, now_ns: int) -> None:
        """An order was taken."""
        if self.orders_per_second:
            self.tat_ns = max(self.tat_ns, now_ns) + SECOND_NS // self.orders_per_second
