"""A Lockstep engine as a candidate of `tracebook-conformance`: it answers the judge over stdin and stdout.

    tracebook-conformance qualify --profile fifo-full-v1 --seed 42 --output-dir build/tracebook \
        --candidate-cmd '.venv/bin/python tests/conformance/tracebook_adapter.py --engine native'

The judge is a stranger: it has its own matcher and knows nothing of this project. The adapter only translates. It holds
no book; outcomes, trades, queue positions and refusals come from the engine, the queues from its canonical snapshot.

Where the two speak of different things:

* The judge's `replace` is a cancel and a new order, so it always loses its place. A Lockstep REPLACE that keeps the
  price and adds no lots keeps its place: such a one is sent as CANCEL and NEW_ORDER, every other one as REPLACE.
* `reduce` takes lots off in place: a REPLACE with fewer lots, or a CANCEL if none are left.
* Prices are rounded to the tick as the judge does it; a client would have to. A price of 0 ticks is sent for the engine
  to refuse.
* Quantities are decimal there and whole lots here: one lot is 2^-20. What is no whole number of lots can't be asked.
* Order ids belong to a book there and to an account here. One id live in one book under two accounts can't be asked.
* A book that the judge never opened is no instrument here: changes to its orders are refused without the engine.
* Funds are no subject there: all accounts are unlimited.
"""

import argparse
import os
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import numpy as np
from tracebook.conformance import (
    BookSnapshot,
    BookState,
    ConformanceConfig,
    ConformanceError,
    EngineMetadata,
    Observation,
    Outcome,
    RestingOrder,
    TradeFill,
    canonical_decimal,
    serve_stdio,
)
from tracebook.core.order import NO_OWNER, OrderSide, SelfTradePolicy
from tracebook.core.order import OrderType as TheirOrderType
from tracebook.events import MarketEvent

from lockstep.engine.contract import OrderView
from lockstep.engine.implementations import NAMES, implementation
from lockstep.engine.snapshot_format import OrderRow, decode_snapshot
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    AccountFlag,
    CommandKind,
    EventKind,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)

LOTS_PER_UNIT = 2**20
UNLIMITED = AccountFlag.UNLIMITED_CASH | AccountFlag.UNLIMITED_POSITIONS
SESSION = 1
SIDES = {OrderSide.BUY: Side.BUY, OrderSide.SELL: Side.SELL}
TERMS = {
    TheirOrderType.LIMIT: (OrderType.LIMIT, TimeInForce.GTC),
    TheirOrderType.MARKET: (OrderType.MARKET, TimeInForce.IOC),
    TheirOrderType.IOC: (OrderType.LIMIT, TimeInForce.IOC),
    TheirOrderType.FOK: (OrderType.LIMIT, TimeInForce.FOK),
}
PREVENTION = {
    SelfTradePolicy.NONE: SelfTradePrevention.NONE,
    SelfTradePolicy.CANCEL_RESTING: SelfTradePrevention.CANCEL_OLDEST,
    SelfTradePolicy.CANCEL_INCOMING: SelfTradePrevention.CANCEL_NEWEST,
}
REFUSALS = (EventKind.REJECTED, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED)
ORDER_NOT_ACTIVE = "ORDER_NOT_ACTIVE"


@dataclass
class Names:
    """Numbers here for names there, given at first sight, and the way back."""

    numbers: dict[Any, int] = field(default_factory=dict)
    names: list[Any] = field(default_factory=list)

    def number(self, name: Any) -> int:
        """1, 2, 3 ..."""
        if name not in self.numbers:
            self.names.append(name)
            self.numbers[name] = len(self.names)
        return self.numbers[name]

    def name(self, number: int) -> Any:
        """What has that number."""
        return self.names[number - 1]


class LockstepAdapter:
    """One engine behind the judge's `EngineAdapter` interface."""

    def __init__(self, config: ConformanceConfig, engine: str) -> None:
        if config.matching_algorithm != "fifo":
            raise ConformanceError(f"matching is price-time (fifo) only, not {config.matching_algorithm}")
        self.metadata = EngineMetadata(
            f"lockstep-{engine}", version("lockstep-cluster"), "C++" if engine == "native" else "Python"
        )
        self._engine: Any = implementation(engine)()
        self._tick = config.tick_size
        self._tick_text = Decimal(canonical_decimal(config.tick_size))
        self._places = config.quantity_decimal_places
        self._prevention = PREVENTION[config.self_trade_policy]
        self._books, self._owners, self._ids = Names(), Names(), Names()
        self._owner_of: dict[int, int] = {}
        """Account that last sent a new order under a client id."""
        self._session_no = 0
        self._now_ns = 0

    def apply(self, event: MarketEvent, index: int) -> Observation:
        """One event of the judge; its timestamps may repeat or go back, so the stamp is its index."""
        self._now_ns = index
        if event.op in ("new", "clear"):
            self._define_book(event.symbol)
        if event.op == "clear":
            events = self._send(CommandKind.MASS_CANCEL, instrument=self._books.number(event.symbol))
        elif event.op == "new":
            events = self._new(event)
        elif event.symbol in self._books.numbers:
            events = self._change(event)
        else:
            return self._observe(index, Outcome("rejected", ORDER_NOT_ACTIVE), ())
        refused = events[np.isin(events["kind"], REFUSALS)]
        if len(refused):
            return self._observe(index, Outcome("rejected", reason(int(refused[0]["code"]), event.op)), ())
        fills = (self._fill(event.symbol, row) for row in events[events["kind"] == EventKind.TRADE])
        return self._observe(index, Outcome("applied"), tuple(fills))

    def snapshot(self) -> BookState:
        """All queues, in the order of the engine's canonical snapshot."""
        queues: dict[tuple[int, int], list[RestingOrder]] = {}
        for row in decode_snapshot(self._engine.snapshot()).orders:
            queues.setdefault((row.instrument, row.side), []).append(self._resting(row))
        return BookState(
            tuple(
                BookSnapshot(
                    symbol, tuple(queues.get((number, Side.BUY), ())), tuple(queues.get((number, Side.SELL), ()))
                )
                for symbol, number in sorted(self._books.numbers.items())
            )
        )

    def close(self) -> None:
        """Nothing is held outside the process."""

    def _observe(self, index: int, outcome: Outcome, fills: tuple[TradeFill, ...]) -> Observation:
        state = self.snapshot()
        return Observation(index, outcome, fills, state.digest(), state.order_count)

    def _new(self, event: MarketEvent) -> Any:
        assert event.side is not None, "an order has one"
        client_order_id = self._ids.number((event.symbol, event.order_id))
        account = self._account(event.owner)
        before = self._owner_of.get(client_order_id, account)
        if before != account and self._engine.order_by_client_id(before, client_order_id) is not None:
            raise ConformanceError(f"order {event.order_id} of {event.symbol} is live under another account")
        self._owner_of[client_order_id] = account
        order_type, tif = TERMS[event.order_type]
        return self._send(
            CommandKind.NEW_ORDER,
            instrument=self._books.number(event.symbol),
            account=account,
            client_order_id=client_order_id,
            side=SIDES[event.side],
            order_type=order_type,
            tif=tif,
            stp=self._stp(account),
            price_ticks=0 if order_type == OrderType.MARKET else self._ticks(event.price),
            quantity_lots=self._lots(event.quantity),
        )

    def _change(self, event: MarketEvent) -> Any:
        """Cancel, reduce or replace. What is not live is asked for all the same: the engine is to refuse it."""
        client_order_id = self._ids.number((event.symbol, event.order_id))
        address = {"account": self._owner_of.get(client_order_id, 1), "client_order_id": client_order_id}
        order: OrderView | None = self._engine.order_by_client_id(address["account"], client_order_id)
        if order is None or event.op == "cancel":
            return self._send(CommandKind.CANCEL, **address)
        price, lots = order.price_ticks, order.leaves_lots
        if event.op == "reduce":
            lots -= self._lots(event.quantity)
            if lots == 0:
                return self._send(CommandKind.CANCEL, **address)
            return self._send(CommandKind.REPLACE, price_ticks=price, quantity_lots=lots, **address)
        price = price if event.price is None else self._ticks(event.price)
        lots = lots if event.quantity is None else self._lots(event.quantity)
        if price != order.price_ticks or not 1 <= lots <= order.leaves_lots:
            return self._send(CommandKind.REPLACE, price_ticks=price, quantity_lots=lots, **address)
        self._send(CommandKind.CANCEL, **address)
        terms = {"side": order.side, "order_type": OrderType.LIMIT, "tif": TimeInForce.GTC}
        placed = {
            "instrument": order.instrument,
            "stp": self._stp(order.account),
            "price_ticks": price,
            "quantity_lots": lots,
        }
        return self._send(CommandKind.NEW_ORDER, **address, **terms, **placed)

    def _send(self, kind: int, **fields: int) -> Any:
        row = np.zeros(1, dtype=COMMAND)
        self._session_no += 1
        for name, value in {"kind": kind, "session_id": SESSION, "session_no": self._session_no, **fields}.items():
            row[name] = value
        return self._apply(row)

    def _apply(self, row: Any) -> Any:
        return self._engine.apply(row, first_seq=self._engine.last_seq + 1, timestamp_ns=self._now_ns)

    def _define_book(self, symbol: str) -> None:
        if symbol not in self._books.numbers:
            number = self._books.number(symbol)
            name = f"BOOK {number}"  # their symbols may be longer than a name here
            self._define(CommandKind.DEFINE_INSTRUMENT, name, instrument=number, tick_micros=1, lot_units=1)

    def _account(self, owner: int) -> int:
        seen = owner in self._owners.numbers
        number = self._owners.number(owner)
        if not seen:
            self._define(CommandKind.DEFINE_ACCOUNT, f"owner {owner}", account=number, flags=UNLIMITED)
        return number

    def _stp(self, account: int) -> SelfTradePrevention:
        """Anonymous orders may meet each other."""
        return SelfTradePrevention.NONE if self._owners.name(account) == NO_OWNER else self._prevention

    def _define(self, kind: int, name: str, **fields: int) -> None:
        row = np.zeros(1, dtype=ADMIN)
        row["kind"] = kind
        row["name"] = name.encode()
        for field_name, value in fields.items():
            row[field_name] = value
        answer = self._apply(row.view(COMMAND))
        if answer["kind"][0] == EventKind.ADMIN_REJECTED:
            raise ConformanceError(f"{name} was refused: {Code(int(answer['code'][0])).name}")

    def _ticks(self, price: float | None) -> int:
        return 0 if price is None else round(price / self._tick)

    def _lots(self, quantity: float | None) -> int:
        lots = Decimal(str(quantity)) * LOTS_PER_UNIT
        if lots != int(lots):
            raise ConformanceError(f"quantity {quantity} is no multiple of 1/{LOTS_PER_UNIT}")
        return int(lots)

    def _price(self, ticks: int) -> str:
        return canonical_decimal(ticks * self._tick_text)

    def _quantity(self, lots: int) -> str:
        return canonical_decimal(Decimal(lots) / LOTS_PER_UNIT, self._places)

    def _fill(self, symbol: str, row: Any) -> TradeFill:
        taker, maker = (self._ids.name(int(row[name]))[1] for name in ("client_order_id", "maker_client_order_id"))
        buyer, seller = (taker, maker) if row["side"] == Side.BUY else (maker, taker)
        return TradeFill(
            symbol, buyer, seller, self._price(int(row["price_ticks"])), self._quantity(int(row["quantity_lots"]))
        )

    def _resting(self, row: OrderRow) -> RestingOrder:
        _, order_id = self._ids.name(row.client_order_id)
        owner = self._owners.name(row.account)
        return RestingOrder(order_id, self._price(row.price_ticks), self._quantity(row.leaves_lots), owner)


def reason(code: int, op: str) -> str:
    """The judge's reason for one of this project's refusal codes."""
    if code == Code.UNKNOWN_ORDER:
        return ORDER_NOT_ACTIVE
    if code == Code.DUPLICATE_ORDER_ID:
        return "DUPLICATE_ORDER_ID"
    if code in (Code.BAD_PRICE, Code.BAD_QUANTITY):
        return "INVALID_REPLACEMENT" if op == "replace" else "INVALID_ORDER"
    raise ConformanceError(f"the engine refused a {op} with {Code(code).name}, which the judge has no word for")


def main() -> int:
    """Serve one run; exit code 0 if it was orderly."""
    parser = argparse.ArgumentParser(description="A Lockstep engine as a candidate of tracebook-conformance.")
    parser.add_argument("--engine", choices=NAMES, required=True)
    engine = parser.parse_args().engine
    return int(serve_stdio(lambda config: LockstepAdapter(config, engine)))


if __name__ == "__main__":
    code = main()
    # At once: the judge stops whoever has not ended soon after the last line, and on a busy machine an interpreter with
    # NumPy in it takes its time to take itself down.
    sys.stdout.flush()
    os._exit(code)
