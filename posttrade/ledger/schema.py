"""The ledger's tables, for SQLite and PostgreSQL alike.

Every column but a few names is a 64-bit integer, so that what is written often can go in as columns, and no two
databases round differently. Amounts keep their unit at the end of the name, as everywhere. Numbers of 64 bits without
a sign (session ids, order ids, a client's names) stand as the signed number of the same bits.

Balances of accounts fit 64 bits, because the engines see to that. What the outside world and the exchange have is a sum
over all accounts and does not: `amount_high` times 2^64 and `amount` are that number, and `amount_high` is 0 where it
fits. All other sums are held at 2^63 - 1 on either side, as the engines hold cost and profit.

A row is keyed by the event that made it: (seq, index), and where an event makes several of a kind, the leg. All keys of
`entries`, `lots` and `lot_closings` begin with the account, which is how they are asked for.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text

VERSION: Final = 3
"""Of the tables and of how they follow from the stream: another one is rebuilt, never converted."""

WORLD: Final = -1
"""The account of everything outside: what is paid in, here goes out."""
HOUSE: Final = -2
"""The exchange's own account: fees."""
CASH: Final = 0
"""Stands for cash where an instrument is named."""

# Kinds of entries.
TRADE: Final = 1
CASH_MOVED: Final = 2
SHARES_MOVED: Final = 3
TRANSFER: Final = 4
FEE: Final = 5
OPENING: Final = 6
KINDS: Final = {
    TRADE: "trade", CASH_MOVED: "cash", SHARES_MOVED: "shares", TRANSFER: "transfer", FEE: "fee", OPENING: "snapshot",
}  # fmt: skip

# States of an order.
LIVE: Final = 1
FILLED: Final = 2
CANCELED: Final = 3
REJECTED: Final = 4
STATES: Final = {LIVE: "live", FILLED: "filled", CANCELED: "canceled", REJECTED: "rejected"}


def _table(metadata: MetaData, name: str, keys: str, columns: str, text: str = "") -> Table:
    parts: list[Column[Any]] = [Column(key, BigInteger, primary_key=True, autoincrement=False) for key in keys.split()]
    parts += [Column(column, BigInteger, nullable=False) for column in columns.split()]
    parts += [Column(column, Text, nullable=False) for column in text.split()]
    return Table(name, metadata, *parts, sqlite_with_rowid=False)


METADATA: Final = MetaData()
POSITION: Final = _table(METADATA, "position", "id", "seq epoch timestamp_ns version")
EPOCHS: Final = _table(METADATA, "epochs", "epoch", "first_seq")
OPENINGS: Final = _table(METADATA, "openings", "seq", "epoch timestamp_ns", "digest state_sum")
"""One row where the ledger begins with an engine's snapshot (`opening.py`), none where with the first command."""
INSTRUMENTS: Final = _table(
    METADATA,
    "instruments",
    "instrument",
    "tick_micros lot_units maker_fee_ppm taker_fee_ppm initial_margin_ppm maintenance_margin_ppm last_price_ticks "
    "last_trade_ns reference_price_ticks trades volume_lots defined_seq",
    "symbol",
)
ACCOUNTS: Final = _table(METADATA, "accounts", "account", "flags status defined_seq", "name")
ORDERS: Final = _table(
    METADATA,
    "orders",
    "order_id",
    "account instrument session_id session_no client_order_id side order_type tif stp flags price_ticks "
    "stop_price_ticks quantity_lots min_lots display_lots expire_ns lot_micros leaves_lots filled_lots filled_micros "
    "fees_micros canceled_lots state code received_ns entered_ns updated_seq updated_index updated_ns",
)
ORDER_EVENTS: Final = _table(
    METADATA,
    "order_events",
    "order_id seq event_index",
    "kind code price_ticks quantity_lots leaves_lots fee_micros timestamp_ns",
)
ENTRIES: Final = _table(
    METADATA,
    "entries",
    "account seq event_index leg",
    "kind instrument lots cash_micros fee_micros price_ticks order_id client_order_id cost_micros profit_micros "
    "timestamp_ns",
)
BALANCES: Final = _table(
    METADATA,
    "balances",
    "account instrument",
    "amount amount_high cost_micros profit_micros fifo_profit_micros updated_seq",
)
LOTS: Final = _table(
    METADATA,
    "lots",
    "account instrument seq event_index leg",
    "lots micros open_lots open_micros timestamp_ns",
)
LOT_CLOSINGS: Final = _table(
    METADATA,
    "lot_closings",
    "account instrument seq event_index leg lot_seq lot_index lot_leg",
    "kind lots cost_micros proceeds_micros profit_micros timestamp_ns",
)
Index("orders_of_account", ORDERS.c.account, ORDERS.c.order_id)
Index("live_orders", ORDERS.c.account, sqlite_where=ORDERS.c.state == LIVE, postgresql_where=ORDERS.c.state == LIVE)
Index(
    "open_lots",
    LOTS.c.account, LOTS.c.instrument,
    sqlite_where=LOTS.c.open_lots != 0, postgresql_where=LOTS.c.open_lots != 0,
)  # fmt: skip

DIGESTED: Final = tuple(METADATA.sorted_tables)
"""All of them: nothing that is stored depends on how it was read."""
