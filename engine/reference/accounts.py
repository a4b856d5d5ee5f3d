"""Cash, shares and what resting orders bind of them.

A buy binds `price * lots * unit` of cash, a sell binds its lots; buying uses `cash - reserved`, selling uses
`quantity - reserved`. So a trade can always be settled when it happens, and nothing that is not there is ever spent.

Every balance stays within 64 bits, without a check on the way of a trade. Two bounds, checked at entry, do that:

* buying: `reserved - min(cash, 0) <= I64_MAX`. A buy moves at most its reservation out of cash.
* selling: `max(cash, 0) + receivable <= I64_MAX`, `receivable` being the worth of all resting sells at their limits,
  which is what they will bring in, as a maker trades at its own price.

A trade keeps both. Positions are held within `MAX_POSITION_LOTS` = 2**62 at entry; the rest of the 63 bits is room for
2**31 open orders of the largest size.
"""

from typing import TYPE_CHECKING, Final

from lockstep.stream.codes import Code
from lockstep.stream.records import I64_MAX, AccountFlag, Side

if TYPE_CHECKING:
    from lockstep.engine.reference.book import Order

MAX_POSITION_LOTS: Final = 2**62


class Position:
    """Lots held of one instrument; `reserved` is the sum of the open lots of the account's resting sells."""

    __slots__ = ("quantity", "reserved")

    def __init__(self) -> None:
        self.quantity = 0
        self.reserved = 0


class Account:
    """One account. `reserved` is bound by resting buys, `receivable` is the worth of resting sells (both micros)."""

    __slots__ = (
        "account_id",
        "by_client_id",
        "cash",
        "flags",
        "name",
        "orders",
        "positions",
        "receivable",
        "reserved",
        "unlimited_cash",
        "unlimited_positions",
    )

    def __init__(self, account_id: int, name: bytes, flags: int) -> None:
        self.account_id = account_id
        self.name = name
        self.flags = flags
        self.unlimited_cash = bool(flags & AccountFlag.UNLIMITED_CASH)
        self.unlimited_positions = bool(flags & AccountFlag.UNLIMITED_POSITIONS)
        self.cash = 0
        self.reserved = 0
        self.receivable = 0
        self.positions: dict[int, Position] = {}
        # Live orders: all of them by exchange id, and those that have a client id by that.
        self.orders: dict[int, Order] = {}
        self.by_client_id: dict[int, Order] = {}

    def position(self, instrument_id: int) -> Position:
        """The account's position, made when it is first needed."""
        position = self.positions.get(instrument_id)
        if position is None:
            position = self.positions[instrument_id] = Position()
        return position

    def buy_refusal(self, value: int, lots: int, position: Position | None, freed: int) -> Code:
        """Why a buy of `lots` that may cost `value` micros can't be taken; OK if it can.

        `freed` is what the order itself has reserved until now (replace).
        """
        reserved = self.reserved - freed
        if self.unlimited_cash:
            if reserved + value - min(self.cash, 0) > I64_MAX:
                return Code.OVERFLOW
        elif value > self.cash - reserved:
            return Code.INSUFFICIENT_CASH
        if position is not None and position.quantity + lots > MAX_POSITION_LOTS:
            return Code.OVERFLOW
        return Code.OK

    def sell_refusal(self, value: int, lots: int, position: Position | None, freed_lots: int, freed: int) -> Code:
        """Why a sell of `lots` that may bring in `value` micros can't be taken; OK if it can."""
        held = position.quantity if position is not None else 0
        reserved = position.reserved - freed_lots if position is not None else 0
        if not self.unlimited_positions:
            if lots > held - reserved:
                return Code.INSUFFICIENT_POSITION
        elif lots - held > MAX_POSITION_LOTS:
            return Code.OVERFLOW
        if max(self.cash, 0) + self.receivable - freed + value > I64_MAX:
            return Code.OVERFLOW
        return Code.OK

    def reserve(self, order: "Order", lots: int) -> None:
        """Bind what `lots` of a resting order need; negative lots release it."""
        value = order.price * lots * order.book.unit_micros
        if order.side == Side.BUY:
            self.reserved += value
        else:
            self.receivable += value
            order.position.reserved += lots
