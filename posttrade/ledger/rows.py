"""What a chunk does to the ledger's tables, as columns: what the fold gives, and a store writes. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.posttrade.ledger import schema

Ints = NDArray[np.int64]
"""Rows of integers: shape (n, columns)."""


def columns_of(name: str) -> tuple[str, ...]:
    """Columns of a table, in order."""
    return tuple(column.name for column in schema.METADATA.tables[name].columns)


def width_of(name: str) -> int:
    """How many they are."""
    return len(columns_of(name))


ORDER_SET: Final = ("leaves_lots", "state", "code", "updated_seq", "updated_index", "updated_ns")
ORDER_ADD: Final = ("quantity_lots", "filled_lots", "filled_micros", "fees_micros", "canceled_lots")
ORDER_TERMS: Final = (
    "session_id", "order_type", "tif", "stp", "flags", "price_ticks", "stop_price_ticks", "display_lots", "expire_ns",
    "lot_micros",
)  # fmt: skip


def none(width: int) -> Ints:
    """No rows."""
    return np.empty((0, width), dtype=np.int64)


def _of(name: str) -> Callable[[], Ints]:
    """Makes no rows of a table."""
    return partial(none, width_of(name))


@dataclass(slots=True)
class Rows:
    """Output of one chunk. Arrays are inserted, but where it says otherwise; each row of a table comes once."""

    orders: Ints = field(default_factory=_of("orders"), repr=False)
    """Those that are new."""
    order_events: Ints = field(default_factory=_of("order_events"), repr=False)
    entries: Ints = field(default_factory=_of("entries"), repr=False)
    lot_closings: Ints = field(default_factory=_of("lot_closings"), repr=False)
    orders_changed: Ints = field(default_factory=lambda: none(1 + len(ORDER_SET) + len(ORDER_ADD)), repr=False)
    """Orders of before: order_id, `ORDER_SET` to set, `ORDER_ADD` to add."""
    order_terms: Ints = field(default_factory=lambda: none(1 + len(ORDER_TERMS)), repr=False)
    """Orders of before: order_id, `ORDER_TERMS` to set."""
    balances: Ints = field(default_factory=_of("balances"), repr=False)
    """Replaced."""
    lots: Ints = field(default_factory=_of("lots"), repr=False)
    """Replaced."""
    instruments: list[tuple[Any, ...]] = field(default_factory=list)
    """Replaced."""
    accounts: list[tuple[Any, ...]] = field(default_factory=list)
    """Replaced."""
    openings: list[tuple[Any, ...]] = field(default_factory=list)
    """The one with which a ledger begins."""
