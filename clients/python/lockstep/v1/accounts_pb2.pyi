from lockstep.v1 import common_pb2 as _common_pb2
from lockstep.v1 import orders_pb2 as _orders_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Position(_message.Message):
    __slots__ = ("instrument", "quantity_lots", "reserved_lots", "cost_micros", "realised_micros")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_LOTS_FIELD_NUMBER: _ClassVar[int]
    COST_MICROS_FIELD_NUMBER: _ClassVar[int]
    REALISED_MICROS_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    quantity_lots: int
    reserved_lots: int
    cost_micros: int
    realised_micros: int
    def __init__(self, instrument: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., reserved_lots: _Optional[int] = ..., cost_micros: _Optional[int] = ..., realised_micros: _Optional[int] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("account", "name", "unlimited_cash", "unlimited_positions", "cash_micros", "reserved_micros", "positions", "status", "margin", "short_sales", "day_trade_rule")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNLIMITED_CASH_FIELD_NUMBER: _ClassVar[int]
    UNLIMITED_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    CASH_MICROS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MICROS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    SHORT_SALES_FIELD_NUMBER: _ClassVar[int]
    DAY_TRADE_RULE_FIELD_NUMBER: _ClassVar[int]
    account: int
    name: str
    unlimited_cash: bool
    unlimited_positions: bool
    cash_micros: int
    reserved_micros: int
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    status: _common_pb2.AccountStatus
    margin: bool
    short_sales: bool
    day_trade_rule: bool
    def __init__(self, account: _Optional[int] = ..., name: _Optional[str] = ..., unlimited_cash: bool = ..., unlimited_positions: bool = ..., cash_micros: _Optional[int] = ..., reserved_micros: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., status: _Optional[_Union[_common_pb2.AccountStatus, str]] = ..., margin: bool = ..., short_sales: bool = ..., day_trade_rule: bool = ...) -> None: ...

class GetAccountRequest(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: int
    def __init__(self, account: _Optional[int] = ...) -> None: ...

class GetAccountReply(_message.Message):
    __slots__ = ("stamp", "account")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    account: Account
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("cursor", "limit", "min_seq")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    limit: int
    min_seq: int
    def __init__(self, cursor: _Optional[int] = ..., limit: _Optional[int] = ..., min_seq: _Optional[int] = ...) -> None: ...

class ListAccountsReply(_message.Message):
    __slots__ = ("stamp", "accounts", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    next_cursor: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ..., next_cursor: _Optional[int] = ...) -> None: ...

class ListOpenOrdersRequest(_message.Message):
    __slots__ = ("account", "cursor", "limit", "min_seq")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    account: int
    cursor: int
    limit: int
    min_seq: int
    def __init__(self, account: _Optional[int] = ..., cursor: _Optional[int] = ..., limit: _Optional[int] = ..., min_seq: _Optional[int] = ...) -> None: ...

class ListOpenOrdersReply(_message.Message):
    __slots__ = ("stamp", "orders", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    orders: _containers.RepeatedCompositeFieldContainer[_orders_pb2.Order]
    next_cursor: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., orders: _Optional[_Iterable[_Union[_orders_pb2.Order, _Mapping]]] = ..., next_cursor: _Optional[int] = ...) -> None: ...
