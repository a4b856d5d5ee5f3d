"""The ledger's rows where it begins with an engine's snapshot: opening balances, opening lots, live orders. Pure.

Each balance comes from the outside world by an entry of its own, so that all sums are zero from the first row on. A
position is one lot at its average cost; profit of before counts under both policies as it does by average cost. A live
order begins with what is open of it: what it had traded before is not known. All of that is stamped as the snapshot.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from lockstep.engine.snapshot_format import InstrumentRow, OrderRow, StateImage
from lockstep.posttrade.ledger import schema
from lockstep.posttrade.ledger.books import halves_of
from lockstep.posttrade.ledger.fold import parts_that_fit, signed_rows
from lockstep.posttrade.ledger.rows import Ints, Rows, columns_of, none, width_of
from lockstep.posttrade.opening import Opening
from lockstep.stream.records import OrderType

_POT_LEG: Final = 2**32
"""Legs of the outside world's entries are accounts; from here on they stand for the pot of fees."""


def opening_rows(opening: Opening) -> Rows:
    """What an empty ledger is to hold behind the opening's seq."""
    image, at = opening.image, (opening.position.seq, opening.position.timestamp_ns)
    rows = Rows()
    rows.entries = _entries(image, *at)
    rows.balances, rows.lots = _balances(image, *at), _lots(image, *at)
    rows.orders = _orders(image, *at)
    seq = opening.position.seq
    rows.instruments = [_instrument(row, seq) for row in image.instruments]
    rows.accounts = [(row.account, row.flags, row.status, seq, row.name.decode("ascii")) for row in image.accounts]
    rows.openings = [
        (seq, opening.position.epoch, opening.position.timestamp_ns, opening.digest.hex(), opening.state_sum)
    ]
    return rows


def _held(image: StateImage) -> list[tuple[int, int, int]]:
    """(account, instrument or cash, amount) of everything that an account has."""
    cash = [(row.account, schema.CASH, row.cash_micros) for row in image.accounts if row.cash_micros]
    return cash + [(row.account, row.instrument, row.quantity_lots) for row in image.positions if row.quantity_lots]


def _entries(image: StateImage, seq: int, stamp: int) -> Ints:
    made: list[tuple[int, ...]] = []

    def entry(account: int, number: int, leg: int, amount: int) -> None:
        lots, cash = (0, amount) if number == schema.CASH else (amount, 0)
        made.append((account, seq, number, leg, schema.OPENING, number, lots, cash, 0, 0, 0, 0, 0, 0, stamp))

    for account, number, amount in _held(image):
        entry(account, number, 0, amount)
        entry(schema.WORLD, number, account, -amount)
    for leg, part in enumerate(parts_that_fit(image.fees_micros)) if image.fees_micros else ():
        entry(schema.HOUSE, schema.CASH, leg, part)
        entry(schema.WORLD, schema.CASH, _POT_LEG + leg, -part)
    return _sorted(made, "entries", 4)


def _balances(image: StateImage, seq: int, _stamp: int) -> Ints:
    totals: dict[int, int] = {schema.CASH: image.fees_micros}
    for _, number, amount in _held(image):
        totals[number] = totals.get(number, 0) + amount
    made: list[tuple[int, ...]] = [
        (row.account, schema.CASH, row.cash_micros, 0, 0, 0, 0, seq) for row in image.accounts if row.cash_micros
    ]
    made += [
        (row.account, row.instrument, row.quantity_lots, 0, row.cost_micros, *(row.realised_micros,) * 2, seq)
        for row in image.positions
    ]
    made += [(schema.WORLD, number, *halves_of(-total), 0, 0, 0, seq) for number, total in totals.items() if total]
    if image.fees_micros:
        made.append((schema.HOUSE, schema.CASH, *halves_of(image.fees_micros), 0, 0, 0, seq))
    return _sorted(made, "balances", 2)


def _lots(image: StateImage, seq: int, stamp: int) -> Ints:
    made = [
        (
            row.account, row.instrument, seq, 0, 0, row.quantity_lots, row.cost_micros, row.quantity_lots,
            row.cost_micros, stamp,
        )
        for row in image.positions
        if row.quantity_lots
    ]  # fmt: skip
    return _sorted(made, "lots", 5)


_MARKET: Final = int(OrderType.MARKET)
_WAITS_FOR_PARENT: Final = 3
"""`place` of such an order (`engine/snapshot_format.py`)."""
_SAME: Final = (
    "account", "instrument", "session_id", "client_order_id", "side", "order_type", "tif", "stp", "flags",
    "price_ticks", "stop_price_ticks", "display_lots", "expire_ns", "leaves_lots",
)  # fmt: skip


def _lot_micros(row: OrderRow) -> int:
    """What an order binds, as a ledger counts it that has seen it enter (`orders._lot_micros`), or more exactly.

    A child binds nothing before its parent has ended. A market order without a price of its own is held to a band that
    no event says.
    """
    counted = row.place != _WAITS_FOR_PARENT and (row.order_type != _MARKET or row.price_ticks)
    return row.lot_micros if counted else 0


def _orders(image: StateImage, seq: int, stamp: int) -> Ints:
    def made(row: OrderRow) -> tuple[int, ...]:
        values = {name: getattr(row, name) for name in _SAME} | {
            "order_id": row.order_id,
            "lot_micros": _lot_micros(row),
            "quantity_lots": row.leaves_lots,
            "state": schema.LIVE,
            "entered_ns": stamp,
            "updated_seq": seq,
            "updated_ns": stamp,
        }
        return tuple(values.get(name, 0) for name in columns_of("orders"))

    return _sorted(list(map(made, image.orders)), "orders", 1)


def _instrument(row: InstrumentRow, seq: int) -> tuple[Any, ...]:
    values: dict[str, Any] = {
        "instrument": row.instrument,
        "tick_micros": row.tick_micros,
        "lot_units": row.lot_units,
        "maker_fee_ppm": row.maker_fee_ppm,
        "taker_fee_ppm": row.taker_fee_ppm,
        "initial_margin_ppm": row.initial_margin_ppm,
        "maintenance_margin_ppm": row.maintenance_margin_ppm,
        "last_price_ticks": row.last_ticks,
        "reference_price_ticks": row.reference_ticks,
        "defined_seq": seq,
        "symbol": row.symbol.decode("ascii"),
    }
    return tuple(values.get(name, 0) for name in columns_of("instruments"))


def _sorted(made: Sequence[tuple[int, ...]], table: str, keys: int) -> Ints:
    if not made:
        return none(width_of(table))
    rows = signed_rows(list(made), table)
    return rows[np.lexsort(rows[:, keys - 1 :: -1].T)]
