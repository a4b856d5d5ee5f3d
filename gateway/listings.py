"""Pages of an engine's state as clients are shown them. Pure."""

from typing import Final

import numpy as np

from lockstep.engine.pages import account_rows, instrument_rows, order_rows, position_rows
from lockstep.gateway.row_messages import RowMessages
from lockstep.runtime.access.instruments import may_read
from lockstep.runtime.topology import Principal
from lockstep.stream.records import AccountFlag
from lockstep.v1 import accounts_pb2, market_data_pb2, orders_pb2, replication_pb2

_ORDERS: Final = RowMessages(accounts_pb2.ListOpenOrdersReply.DESCRIPTOR, "orders")
_ACCOUNTS: Final = RowMessages(accounts_pb2.ListAccountsReply.DESCRIPTOR, "accounts")
_POSITIONS: Final = RowMessages(accounts_pb2.Account.DESCRIPTOR, "positions")
_INSTRUMENTS: Final = RowMessages(market_data_pb2.ListInstrumentsReply.DESCRIPTOR, "instruments")
_FLAGS: Final = {
    "unlimited_cash": AccountFlag.UNLIMITED_CASH,
    "unlimited_positions": AccountFlag.UNLIMITED_POSITIONS,
    "margin": AccountFlag.MARGIN,
    "short_sales": AccountFlag.SHORT_SALES,
    "day_trade_rule": AccountFlag.DAY_TRADE_RULE,
}


def open_orders(reply: replication_pb2.QueryReply) -> accounts_pb2.ListOpenOrdersReply:
    """A page of one account's live orders."""
    page = accounts_pb2.ListOpenOrdersReply.FromString(_ORDERS.encode(order_rows(reply.order_rows)))
    page.stamp.CopyFrom(reply.stamp)
    page.next_cursor = reply.next.order_id if reply.more else 0
    return page


def order(
    reply: replication_pb2.QueryReply, ref: orders_pb2.OrderRef, entitled: tuple[int, ...] = ()
) -> orders_pb2.Order | None:
    """The order that was asked for, if it is one of the account named (0: of any) that may be seen (empty: all)."""
    found = next((order for order in reply.orders if ref.account in (0, order.account)), None)
    return None if found is None or (entitled and found.account not in entitled) else found


def ask_open_orders(request: accounts_pb2.ListOpenOrdersRequest) -> replication_pb2.QueryRequest:
    """What an engine is asked for a page of one account's live orders."""
    place = replication_pb2.OrderCursor(account=request.account, order_id=request.cursor)
    return replication_pb2.QueryRequest(open_orders=place, limit=request.limit)


def accounts(
    reply: replication_pb2.QueryReply, entitled: frozenset[int] | None = None
) -> accounts_pb2.ListAccountsReply:
    """A page of accounts; `entitled`: of these only (None: of all)."""
    rows = account_rows(reply.account_rows)
    positions = _POSITIONS.encode(position_rows(reply.position_rows))
    ends = (np.cumsum(rows["positions"], dtype=np.int64) * _POSITIONS.size).tolist()
    held = [positions[begin:end] for begin, end in zip((0, *ends), ends, strict=False)]
    if entitled is not None:
        own = [place for place, number in enumerate(rows["account"].tolist()) if number in entitled]
        rows, held = rows[own], [held[place] for place in own]
    columns = {name: rows[name] for name in ("account", "name", "cash_micros", "reserved_micros", "status")}
    columns |= {name: (rows["flags"] & flag) != 0 for name, flag in _FLAGS.items()}
    page = accounts_pb2.ListAccountsReply.FromString(_ACCOUNTS.encode(columns, held))
    page.stamp.CopyFrom(reply.stamp)
    page.next_cursor = reply.next.account if reply.more else 0
    return page


def instruments(reply: replication_pb2.QueryReply, client: Principal) -> market_data_pb2.ListInstrumentsReply:
    """A page of instruments; prices of those that the client is entitled to alone."""
    rows = instrument_rows(reply.instrument_rows)
    columns = {name: rows[name] for name in ("symbol", "tick_micros", "lot_units", "phase", "last_price_ticks")}
    columns["id"] = rows["instrument"]
    if client.instruments is not None:
        seen = [may_read(client, number) for number in columns["id"].tolist()]
        columns["last_price_ticks"] = np.where(seen, columns["last_price_ticks"], 0)
    page = market_data_pb2.ListInstrumentsReply.FromString(_INSTRUMENTS.encode(columns))
    page.stamp.CopyFrom(reply.stamp)
    page.next_cursor = reply.next.account if reply.more else 0
    return page
