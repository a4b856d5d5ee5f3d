"""Tables of the alerts, in SQLite: integers but for few texts, numbers of 64 bits without a sign as the same bits.

The first group follows from the stream and `requests`, and a rebuild makes it anew. The rest is what users have
written down besides, and how far each webhook is.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, MetaData, Table, Text

VERSION: Final = 1
METADATA: Final = MetaData()


def _table(name: str, keys: str, columns: str, text: str = "") -> Table:
    parts: list[Column[Any]] = [Column(key, BigInteger, primary_key=True, autoincrement=False) for key in keys.split()]
    parts += [Column(column, BigInteger, nullable=False) for column in columns.split()]
    parts += [Column(column, Text, nullable=False) for column in text.split()]
    return Table(name, METADATA, *parts, sqlite_with_rowid=False)


POSITION: Final = _table("position", "id", "seq epoch timestamp_ns requests opened_seq version")
"""`requests`: the last one that counts already. `opened_seq`: of the snapshot that it begins with; 0: of none."""
EPOCHS: Final = _table("epochs", "epoch", "first_seq")
INSTRUMENTS: Final = _table(
    "instruments",
    "instrument",
    "tick_micros lot_units maker_fee_ppm taker_fee_ppm initial_margin_ppm last open close reference volume phase "
    "ever_closed day",
    "symbol",
)
ACCOUNTS: Final = _table("accounts", "account", "flags status cash max_position_lots margin_called")
ORDERS: Final = _table(
    "orders", "order_id", "account instrument side price leaves lot_micros binds place seen client_order_id"
)
POSITIONS: Final = _table("positions", "account instrument", "lots")
ALERTS: Final = _table("alerts", "number", "owner after_seq status side count last_seq last_ns", "definition")
OWNERS: Final = _table("owners", "owner", "fired")
FIRINGS: Final = _table(
    "firings",
    "owner number",
    "alert count kind seq event_index timestamp_ns epoch instrument account direction level threshold leg order_id "
    "client_order_id state side code price_ticks quantity_lots leaves_lots",
    "id note",
)
DERIVED: Final = tuple(METADATA.sorted_tables)
"""What a rebuild makes anew."""

REQUESTS: Final = _table("requests", "number", "owner after_seq timestamp_ns epoch remove", "definition")
"""All that was ever asked for, in order: with the stream, what everything above follows from."""
WATCHLISTS: Final = _table("watchlists", "owner number", "", "name instruments")
ENDPOINTS: Final = _table(
    "endpoints",
    "owner number",
    "delivered discarded attempts failing_since_ns",
    "url secret last_error",
)
"""Webhooks. `delivered`: the last firing that it has taken, or that was discarded."""
KEPT: Final = (REQUESTS, WATCHLISTS, ENDPOINTS)
