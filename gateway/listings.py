"""Pages of an engine's state as clients are shown them. Pure.

The engine's rows have fixed fields, and so have orders and positions on the wire: a column at a time is put where
protobuf wants it, without an object for each row. Zeros are written out, which protobuf reads as what they are.
"""

from typing import Any, Final

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from numpy.typing import NDArray

from lockstep.engine.pages import account_rows, instrument_rows, order_rows, position_rows
from lockstep.runtime.access.instruments import may_read
from lockstep.runtime.topology import Principal
from lockstep.stream.records import AccountFlag
from lockstep.v1 import accounts_pb2, common_pb2, market_data_pb2, orders_pb2, replication_pb2

_ONE_BYTE: Final = 0x80
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIRE: Final = {
    FieldDescriptor.TYPE_FIXED64: (_FIXED64, "<u8"),
    FieldDescriptor.TYPE_SFIXED64: (_FIXED64, "<i8"),
    FieldDescriptor.TYPE_FIXED32: (_FIXED32, "<u4"),
    # Enums here are below 128: one byte.
    FieldDescriptor.TYPE_ENUM: (_VARINT, "u1"),
}


class FixedMessages:
    """A repeated field whose messages have fields of fixed size only, written from columns of the same names."""

    def __init__(self, holder: Any, name: str) -> None:
        """`holder`: descriptor of the message that has the field `name`."""
        field = holder.fields_by_name[name]
        inner = field.message_type.fields
        columns: list[tuple[str, str]] = [("tag", "u1"), ("length", "u1")]
        tags: dict[str, int] = {"tag": field.number << 3 | _LENGTH}
        for one in inner:
            wire_type, dtype = _WIRE[one.type]
            columns += [(f"tag of {one.name}", "u1"), (one.name, dtype)]
            tags[f"tag of {one.name}"] = one.number << 3 | wire_type
        self._dtype = np.dtype(columns)
        tags["length"] = self.size - 2
        assert max(tags.values()) < _ONE_BYTE, f"{field.full_name}: a tag or the length needs more than a byte"
        self._blank = np.zeros(1, dtype=self._dtype)
        for name, value in tags.items():
            self._blank[name] = value
        self._names = tuple(one.name for one in inner)

    @property
    def size(self) -> int:
        """Bytes of one row."""
        return self._dtype.itemsize

    def encode(self, rows: NDArray[Any]) -> bytes:
        """Bytes of the field for all rows, in order."""
        page = np.repeat(self._blank, len(rows))
        for name in self._names:
            page[name] = rows[name]
        return page.tobytes()


_ORDERS: Final = FixedMessages(accounts_pb2.ListOpenOrdersReply.DESCRIPTOR, "orders")
_POSITIONS: Final = FixedMessages(accounts_pb2.Account.DESCRIPTOR, "positions")


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


def accounts(reply: replication_pb2.QueryReply, entitled: frozenset[int] | None = None) -> list[accounts_pb2.Account]:
    """A page of accounts; `entitled`: of these only (None: of all)."""
    rows = account_rows(reply.account_rows)
    positions = _POSITIONS.encode(position_rows(reply.position_rows))
    found = []
    end = 0
    names = ("account", "flags", "name", "cash_micros", "reserved_micros", "status", "positions")
    columns = (rows[name].tolist() for name in names)
    for number, flags, name, cash, reserved, status, held in zip(*columns, strict=True):
        begin, end = end, end + held * _POSITIONS.size
        if entitled is not None and number not in entitled:
            continue
        account = accounts_pb2.Account(
            account=number,
            name=name.decode("ascii"),
            unlimited_cash=bool(flags & AccountFlag.UNLIMITED_CASH),
            unlimited_positions=bool(flags & AccountFlag.UNLIMITED_POSITIONS),
            cash_micros=cash,
            reserved_micros=reserved,
            status=status,
            margin=bool(flags & AccountFlag.MARGIN),
            short_sales=bool(flags & AccountFlag.SHORT_SALES),
            day_trade_rule=bool(flags & AccountFlag.DAY_TRADE_RULE),
        )
        account.MergeFromString(positions[begin:end])
        found.append(account)
    return found


def instruments(reply: replication_pb2.QueryReply, client: Principal) -> market_data_pb2.ListInstrumentsReply:
    """A page of instruments; prices of those that the client is entitled to alone."""
    rows = instrument_rows(reply.instrument_rows)
    names = ("instrument", "symbol", "tick_micros", "lot_units", "phase", "last_price_ticks")
    columns = (rows[name].tolist() for name in names)
    found = [
        common_pb2.Instrument(
            id=number,
            symbol=symbol.decode("ascii"),
            tick_micros=tick,
            lot_units=lot,
            phase=phase,
            last_price_ticks=last if may_read(client, number) else 0,
        )
        for number, symbol, tick, lot, phase, last in zip(*columns, strict=True)
    ]
    next_cursor = reply.next.account if reply.more else 0
    return market_data_pb2.ListInstrumentsReply(stamp=reply.stamp, instruments=found, next_cursor=next_cursor)
