"""Accounts and positions: cash, shares, and what live orders bind of them.

A buy binds `lot_micros * lots` of cash (price and fees), a sell binds its lots; buying uses `cash - reserved`, selling
uses `quantity - reserved`. So a trade can always be settled when it happens, and nothing that is not there is ever
spent.

Every balance stays within 64 bits, without a check on the way of a trade. Two bounds, checked at entry, do that
(*Settlement*, "Range of balances"):

* buying: `reserved - min(cash, 0) <= I64_MAX`. A buy moves at most its reservation out of cash.
* selling: `max(cash, 0) + receivable <= I64_MAX`, `receivable` being the worth of all resting sells at their limits,
  which is what they will bring in, as a maker trades at its own price.

A trade keeps both. Positions are held within `MAX_POSITION_LOTS` = 2**62 at entry; the rest of the 63 bits is room for
2**31 open orders of the largest size.
"""

from typing import TYPE_CHECKING, Final

from lockstep.engine.reference.words import ACTIVE, BUY
from lockstep.stream.records import I64_MAX, AccountFlag

if TYPE_CHECKING:
    from lockstep.engine.reference.limits import Limits
    from lockstep.engine.reference.order import Order

MAX_POSITION_LOTS: Final = 2**62


class Position:
    """Lots held of one instrument, and what they cost.

    `open_buys` and `reserved` are the open lots of the account's live buys and sells. `cost` is what the lots held were
    bought (short: sold) for, `profit` that of those that were closed; both decide nothing. `opened` is the business day
    of the latest trade that opened or enlarged it and was not closed by a day trade (0: none), if its account is held
    to the day-trade rule.
    """

    __slots__ = ("cost", "open_buys", "opened", "profit", "quantity", "reserved")

    def __init__(self) -> None:
        self.quantity = 0
        self.reserved = 0
        self.open_buys = 0
        self.cost = 0
        self.profit = 0
        self.opened = 0

    def trade(self, lots: int, value: int) -> None:
        """Book a purchase (positive lots) or sale (negative) for `value` micros (*Settlement*, "Cost and profit")."""
        held = self.quantity
        self.quantity = held + lots
        if held * lots >= 0:
            self.cost = min(self.cost + value, I64_MAX)
            return
        closed = min(abs(lots), abs(held))
        out = self.cost * closed // abs(held)
        part = value * closed // abs(lots)
        profit = part - out if lots < 0 else out - part
        self.profit = max(-I64_MAX, min(self.profit + profit, I64_MAX))
        self.cost = self.cost - out if abs(lots) <= abs(held) else min(value - part, I64_MAX)

    def adjust(self, after: int) -> None:
        """Set the lots without a trade: what goes takes its share of the cost along, what comes has cost nothing.

        *Settlement*, "Cost and profit".
        """
        held = self.quantity
        self.quantity = after
        if held * after <= 0:
            self.cost = 0
        elif abs(after) < abs(held):
            self.cost -= self.cost * (abs(held) - abs(after)) // abs(held)


class Account:
    """One account. `reserved` is bound by live buys, `receivable` is the worth of live sells (both micros)."""

    __slots__ = (
        "account_id",
        "borrows",
        "by_client_id",
        "cash",
        "children",
        "day_trades",
        "flags",
        "goes_short",
        "has_day_trade_rule",
        "is_margin",
        "limits",
        "margin_called",
        "name",
        "orders",
        "positions",
        "receivable",
        "reserved",
        "status",
    )

    def __init__(self, *, account_id: int, name: bytes, flags: int) -> None:
        self.account_id = account_id
        self.name = name
        self.flags = flags
        # Whether *Margin accounts* concerns it, and whether the day-trade rule there does.
        self.is_margin = bool(flags & AccountFlag.MARGIN)
        self.has_day_trade_rule = bool(flags & AccountFlag.DAY_TRADE_RULE)
        # Whether its cash, and its positions, may go below zero.
        self.borrows = bool(flags & (AccountFlag.UNLIMITED_CASH | AccountFlag.MARGIN))
        self.goes_short = bool(flags & (AccountFlag.UNLIMITED_POSITIONS | AccountFlag.SHORT_SALES))
        # Business days of the four latest day trades, oldest first; 0: none.
        self.day_trades = (0, 0, 0, 0)
        self.margin_called = False
        self.status = ACTIVE
        self.limits: Limits | None = None
        self.cash = 0
        self.reserved = 0
        self.receivable = 0
        self.positions: dict[int, Position] = {}
        # Live orders: all of them by exchange id, and those that have a client id by that.
        self.orders: dict[int, Order] = {}
        self.by_client_id: dict[int, Order] = {}
        # How many of them wait for a parent.
        self.children = 0

    def position(self, instrument_id: int) -> Position:
        """The account's position, made when it is first asked for."""
        position = self.positions.get(instrument_id)
        if position is None:
            position = self.positions[instrument_id] = Position()
        return position

    def reserve(self, order: "Order", lots: int) -> None:
        """Bind what `lots` of a live order need; negative lots release it."""
        value = order.lot_micros * lots
        position = order.position
        if order.side == BUY:
            self.reserved += value
            position.open_buys += lots
        else:
            self.receivable += value
            position.reserved += lots
