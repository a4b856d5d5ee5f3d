"""Parts of an engine's state, for queries: how many rows a page may have, and what they look like.

A page is bounded in rows and in work, so that an engine can make one between two bursts of commands. Rows are packed
little-endian records, the same bytes whichever engine made them:

* orders: as in a snapshot (`snapshot_format.OrderRow`);
* accounts: id u32, flags u32, name 32 bytes (NUL padded), cash_micros i64, reserved_micros i64, status u8, number of
  positions u32; beside them the positions of all of them in their order, those without lots and profit left out:
  instrument u32, quantity_lots i64, reserved_lots i64, cost_micros i64, realised_micros i64;
* instruments: id u32, symbol 32 bytes (NUL padded), tick_micros i64, lot_units i64, phase u8, last price i64.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.engine.snapshot_format import ORDER_COLUMNS

MAX_ROWS: Final = 500
"""Orders, accounts or instruments in one page."""
MAX_POSITIONS: Final = 2_000
"""Positions that are looked at for one page of accounts, before its last account."""
ACCOUNT_COLUMNS: Final = np.dtype(
    [
        ("account", "<u4"),
        ("flags", "<u4"),
        ("name", "S32"),
        ("cash_micros", "<i8"),
        ("reserved_micros", "<i8"),
        ("status", "u1"),
        ("positions", "<u4"),
    ]
)
POSITION_COLUMNS: Final = np.dtype(
    [
        ("instrument", "<u4"),
        ("quantity_lots", "<i8"),
        ("reserved_lots", "<i8"),
        ("cost_micros", "<i8"),
        ("realised_micros", "<i8"),
    ]
)
INSTRUMENT_COLUMNS: Final = np.dtype(
    [
        ("instrument", "<u4"),
        ("symbol", "S32"),
        ("tick_micros", "<i8"),
        ("lot_units", "<i8"),
        ("phase", "u1"),
        ("last_price_ticks", "<i8"),
    ]
)


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """Live orders, by account and exchange id."""

    rows: bytes
    after: tuple[int, int]
    """(Account, exchange id) that the next page follows."""
    more: bool


@dataclass(frozen=True, slots=True)
class AccountsPage:
    """Accounts by id, with their positions."""

    rows: bytes
    positions: bytes
    after: int
    more: bool


@dataclass(frozen=True, slots=True)
class InstrumentsPage:
    """Instruments by id."""

    rows: bytes
    after: int
    more: bool


def order_rows(raw: bytes) -> NDArray[Any]:
    """Rows of a page of orders; the fields of `OrderRow`. Raises ValueError for bytes that are no whole rows."""
    return np.frombuffer(raw, dtype=ORDER_COLUMNS)


def account_rows(raw: bytes) -> NDArray[Any]:
    """Rows of a page of accounts. Raises as `order_rows`."""
    return np.frombuffer(raw, dtype=ACCOUNT_COLUMNS)


def position_rows(raw: bytes) -> NDArray[Any]:
    """Positions of a page of accounts. Raises as `order_rows`."""
    return np.frombuffer(raw, dtype=POSITION_COLUMNS)


def instrument_rows(raw: bytes) -> NDArray[Any]:
    """Rows of a page of instruments. Raises as `order_rows`."""
    return np.frombuffer(raw, dtype=INSTRUMENT_COLUMNS)
