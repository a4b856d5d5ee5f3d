"""Lots and what closing them brought, for one position at a time. Pure.

Two policies are kept at once. *Average cost*: the rule of the engines (docs/engine.md, "Settlement", "Cost and
profit"), so that the ledger's figures can be held against theirs. *FIFO*: what is sold closes the oldest lots first,
each with what it cost; `lot_closings` then says of every micro of profit from which two trades it came.

Amounts are integers; what a part of a lot cost is rounded down, and the last part takes what is left, so that the parts
are the whole.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

I64_MAX: Final = 2**63 - 1


def clamped(amount: int) -> int:
    """At 2^63 - 1 on either side, as the engines hold cost and profit."""
    return max(-I64_MAX, min(amount, I64_MAX))


@dataclass(slots=True)
class Lot:
    """What one event brought in: `lots` below 0 were sold short. `micros` is what they cost, or brought."""

    seq: int
    index: int
    leg: int
    lots: int
    micros: int
    open_lots: int
    open_micros: int
    timestamp_ns: int


@dataclass(slots=True)
class Closing:
    """Some lots of a lot, closed by an event."""

    lot: Lot
    lots: int
    cost: int
    proceeds: int
    profit: int


@dataclass(slots=True)
class Holding:
    """One account's holding of one instrument; of cash only `amount` counts."""

    amount: int = 0
    cost: int = 0
    profit: int = 0
    fifo_profit: int = 0
    lots: deque[Lot] = field(default_factory=deque)
    """Those that are open, oldest first."""
    touched: list[Lot] = field(default_factory=list)
    """Those that have changed since they were stored."""
    dirty: bool = False
    updated_seq: int = 0

    def trade(self, lots: int, value: int) -> tuple[int, int]:
        """Average cost: (cost that went out, profit) of a purchase (positive) or sale for `value` micros."""
        held = self.amount
        self.amount = held + lots
        if held * lots >= 0:
            self.cost = min(self.cost + value, I64_MAX)
            return 0, 0
        closed = min(abs(lots), abs(held))
        out = self.cost * closed // abs(held)
        part = value * closed // abs(lots)
        profit = part - out if lots < 0 else out - part
        self.profit = clamped(self.profit + profit)
        self.cost = self.cost - out if abs(lots) <= abs(held) else min(value - part, I64_MAX)
        return out, profit

    def adjust(self, after: int) -> int:
        """Average cost: lots set without a trade; the cost that went out."""
        held, before = self.amount, self.cost
        self.amount = after
        if held * after <= 0:
            self.cost = 0
        elif abs(after) < abs(held):
            self.cost -= self.cost * (abs(held) - abs(after)) // abs(held)
        return before - self.cost

    def fifo(self, event: tuple[int, int, int, int], lots: int, value: int, *, free: bool = False) -> list[Closing]:
        """FIFO: close the oldest lots of the other sign, and open one with what is left.

        `event`: seq, index, leg, stamp. `free`: what goes out goes at its cost, without a profit.
        """
        closings: list[Closing] = []
        left, money = abs(lots), value
        sign = 1 if lots > 0 else -1
        queue = self.lots
        while left and queue and (queue[0].open_lots > 0) is (sign < 0):
            lot = queue[0]
            open_lots = abs(lot.open_lots)
            closed = min(left, open_lots)
            cost = lot.open_micros * closed // open_lots
            part = cost if free else money * closed // left
            profit = 0 if free else (part - cost if sign < 0 else cost - part)
            lot.open_lots += sign * closed
            lot.open_micros -= cost
            self.touched.append(lot)
            if not lot.open_lots:
                queue.popleft()
            closings.append(Closing(lot, closed, cost, part, profit))
            self.fifo_profit = clamped(self.fifo_profit + profit)
            left -= closed
            money -= 0 if free else part
        if left:
            lot = Lot(event[0], event[1], event[2], sign * left, money, sign * left, money, event[3])
            queue.append(lot)
            self.touched.append(lot)
        return closings
