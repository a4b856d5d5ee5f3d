"""The load of the matching benchmarks: new / cancel / replace / IOC in the shares 50 / 40 / 8 / 2, from a seed.

Orders come around a mid price that wanders, from funded accounts with every check on, and fall upon the books evenly.
Everything is made beforehand, so that runs are comparable and no generator is inside a measured time.

An engine follows the making of the flow a few commands behind, so that cancels and replaces name orders that are still
live; the few that were filled within those commands miss, and the benchmark reports how many. While the wanted number
of orders rests, a quarter of the new ones cross the spread; while it is less, only the wandering mid makes trades.
"""

import random
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from lockstep.engine.implementations import DEFAULT, implementation
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CommandKind,
    Commands,
    EventKind,
    OrderType,
    Side,
    TimeInForce,
    join_records,
)

MIX: Final = "new 50 %, cancel 40 %, replace 8 %, IOC 2 %; 64 funded accounts, all checks on"
ACCOUNTS: Final = 64
_OPENING_SESSION: Final = 1
_SESSION: Final = 2
_CASH_MICROS: Final = 10**17
_SHARES_LOTS: Final = 10**9
_FIRST_MID: Final = 100_000
_NEAREST_TICKS: Final = 2
_DEPTH_TICKS: Final = 50.0  # mean distance of resting orders from the nearest price
_FOLLOWED_EVERY: Final = 32
_COLUMNS: Final = (
    "kind",
    "side",
    "order_type",
    "tif",
    "account",
    "client_order_id",
    "instrument",
    "price_ticks",
    "quantity_lots",
)


@dataclass(frozen=True, slots=True)
class MatchingFlow:
    """Two arrays of commands for a fresh engine, one after the other."""

    opening: Commands
    """Instruments, accounts and their funds, and the orders that rest at the start."""
    commands: Commands
    """What is measured."""
    books: int
    resting: int


def make_flow(count: int, *, seed: int = 1, books: int = 1, resting: int = 10_000) -> MatchingFlow:
    """`count` commands on `books` instruments, in whose books `resting` orders stand before.

    Raises:
        UnknownImplementation: the engine that follows the flow is not built here.
    """
    market = _Market(seed, books, resting)
    opening = [_definitions(books)]
    if resting:
        opening.append(_records([market.new_order(crosses=False) for _ in range(resting)], _OPENING_SESSION, 1))
    for records in opening:
        market.follow(records)
    parts = []
    for first in range(0, count, _FOLLOWED_EVERY):
        rows = [market.next_command(at) for at in range(first, min(first + _FOLLOWED_EVERY, count))]
        parts.append(_records(rows, _SESSION, first + 1))
        market.follow(parts[-1])
    return MatchingFlow(join_records(opening), join_records(parts), books, resting)


class _Market:
    """Draws commands one after the other and knows which orders are live, a few commands late."""

    def __init__(self, seed: int, books: int, resting: int) -> None:
        self._pick = random.Random(seed)  # noqa: S311 - a load that can be made again, no secret
        self._books = books
        self._resting = resting
        self._mids = [_FIRST_MID] * books
        self._live: list[tuple[int, int, int, int]] = []
        self._slots: dict[int, int] = {}
        """Place in `_live` by client id; ids are unique among all accounts."""
        self._client_id = 0
        self._engine = implementation(DEFAULT)()

    def follow(self, records: Commands) -> None:
        """Let the engine have these, and forget the orders that they filled."""
        events = self._engine.apply(records, first_seq=self._engine.last_seq + 1, timestamp_ns=1)
        trades = events[events["kind"] == EventKind.TRADE]
        for client_id in trades["client_order_id"][trades["leaves_lots"] == 0].tolist():
            self._forget(client_id)
        for client_id in trades["maker_client_order_id"][trades["maker_leaves_lots"] == 0].tolist():
            self._forget(client_id)

    def _forget(self, client_id: int) -> None:
        slot = self._slots.pop(client_id, None)
        if slot is None:
            return
        last = self._live.pop()
        if slot < len(self._live):
            self._live[slot] = last
            self._slots[last[1]] = slot

    def next_command(self, at: int) -> dict[str, int]:
        pick = self._pick
        if at % 16 == 0:
            self._mids[pick.randrange(self._books)] += pick.choice((-1, 1))
        draw = pick.random()
        if draw < 0.52 or not self._live:
            ioc = draw >= 0.50
            crosses = ioc or (len(self._live) >= self._resting and pick.random() < 0.25)
            return self.new_order(crosses=crosses, ioc=ioc)
        account, client_id, side, instrument = self._live[pick.randrange(len(self._live))]
        address = {"account": account, "client_order_id": client_id, "instrument": instrument}
        if draw >= 0.92:
            price = self._price(instrument, side, self._away())
            return {"kind": CommandKind.REPLACE, "price_ticks": price, "quantity_lots": pick.randint(1, 100), **address}
        self._forget(client_id)
        return {"kind": CommandKind.CANCEL, **address}

    def new_order(self, *, crosses: bool, ioc: bool = False) -> dict[str, int]:
        pick = self._pick
        self._client_id += 1
        account, side = pick.randint(1, ACCOUNTS), int(pick.choice((Side.BUY, Side.SELL)))
        instrument = 1 + pick.randrange(self._books)
        if not ioc:
            self._slots[self._client_id] = len(self._live)
            self._live.append((account, self._client_id, side, instrument))
        return {
            "kind": CommandKind.NEW_ORDER,
            "side": side,
            "order_type": OrderType.LIMIT,
            "tif": TimeInForce.IOC if ioc else TimeInForce.GTC,
            "account": account,
            "client_order_id": self._client_id,
            "instrument": instrument,
            "price_ticks": self._price(instrument, side, -_NEAREST_TICKS if crosses else self._away()),
            "quantity_lots": pick.randint(1, 100),
        }

    def _away(self) -> int:
        return _NEAREST_TICKS + int(self._pick.expovariate(1 / _DEPTH_TICKS))

    def _price(self, instrument: int, side: int, away: int) -> int:
        mid = self._mids[instrument - 1]
        return mid - away if side == Side.BUY else mid + away


def _records(rows: list[dict[str, int]], session_id: int, first_no: int) -> Commands:
    records = np.zeros(len(rows), dtype=COMMAND)
    for name in _COLUMNS:
        records[name] = [row.get(name, 0) for row in rows]
    records["session_id"] = session_id
    records["session_no"] = np.arange(first_no, first_no + len(rows))
    return records


def _definitions(books: int) -> Commands:
    """Instruments, and accounts with cash and shares that suffice for the run."""
    rows: list[dict[str, Any]] = [
        {
            "kind": CommandKind.DEFINE_INSTRUMENT,
            "instrument": instrument,
            "name": f"BENCH {instrument}".encode(),
            "tick_micros": 10_000,
            "lot_units": 1,
        }
        for instrument in range(1, books + 1)
    ]
    for account in range(1, ACCOUNTS + 1):
        label = f"account {account}".encode()
        rows.append({"kind": CommandKind.DEFINE_ACCOUNT, "account": account, "name": label})
        rows.append({"kind": CommandKind.ADJUST_CASH, "account": account, "amount_micros": _CASH_MICROS})
        rows += [
            {
                "kind": CommandKind.ADJUST_POSITION,
                "account": account,
                "instrument": instrument,
                "quantity_lots": _SHARES_LOTS,
            }
            for instrument in range(1, books + 1)
        ]
    records = np.zeros(len(rows), dtype=ADMIN)
    for name in ("kind", "account", "instrument", "tick_micros", "lot_units", "amount_micros", "quantity_lots"):
        records[name] = [row.get(name, 0) for row in rows]
    records["name"] = [row.get("name", b"") for row in rows]
    return records.view(COMMAND)
