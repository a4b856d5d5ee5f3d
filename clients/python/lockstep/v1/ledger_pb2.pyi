from lockstep.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetPortfolioRequest(_message.Message):
    __slots__ = ("account", "min_seq", "fifo")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    FIFO_FIELD_NUMBER: _ClassVar[int]
    account: int
    min_seq: int
    fifo: bool
    def __init__(self, account: _Optional[int] = ..., min_seq: _Optional[int] = ..., fifo: bool = ...) -> None: ...

class LedgerPosition(_message.Message):
    __slots__ = ("instrument", "symbol", "quantity_lots", "reserved_lots", "cost_micros", "mark_ticks", "value_micros", "realised_micros", "unrealised_micros")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_LOTS_FIELD_NUMBER: _ClassVar[int]
    COST_MICROS_FIELD_NUMBER: _ClassVar[int]
    MARK_TICKS_FIELD_NUMBER: _ClassVar[int]
    VALUE_MICROS_FIELD_NUMBER: _ClassVar[int]
    REALISED_MICROS_FIELD_NUMBER: _ClassVar[int]
    UNREALISED_MICROS_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    symbol: str
    quantity_lots: int
    reserved_lots: int
    cost_micros: int
    mark_ticks: int
    value_micros: int
    realised_micros: int
    unrealised_micros: int
    def __init__(self, instrument: _Optional[int] = ..., symbol: _Optional[str] = ..., quantity_lots: _Optional[int] = ..., reserved_lots: _Optional[int] = ..., cost_micros: _Optional[int] = ..., mark_ticks: _Optional[int] = ..., value_micros: _Optional[int] = ..., realised_micros: _Optional[int] = ..., unrealised_micros: _Optional[int] = ...) -> None: ...

class GetPortfolioReply(_message.Message):
    __slots__ = ("stamp", "account", "name", "status", "cash_micros", "reserved_micros", "equity_micros", "buying_power_micros", "unlimited_cash", "fees_micros", "positions", "opened_seq")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CASH_MICROS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MICROS_FIELD_NUMBER: _ClassVar[int]
    EQUITY_MICROS_FIELD_NUMBER: _ClassVar[int]
    BUYING_POWER_MICROS_FIELD_NUMBER: _ClassVar[int]
    UNLIMITED_CASH_FIELD_NUMBER: _ClassVar[int]
    FEES_MICROS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    OPENED_SEQ_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    account: int
    name: str
    status: _common_pb2.AccountStatus
    cash_micros: int
    reserved_micros: int
    equity_micros: int
    buying_power_micros: int
    unlimited_cash: bool
    fees_micros: int
    positions: _containers.RepeatedCompositeFieldContainer[LedgerPosition]
    opened_seq: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., account: _Optional[int] = ..., name: _Optional[str] = ..., status: _Optional[_Union[_common_pb2.AccountStatus, str]] = ..., cash_micros: _Optional[int] = ..., reserved_micros: _Optional[int] = ..., equity_micros: _Optional[int] = ..., buying_power_micros: _Optional[int] = ..., unlimited_cash: bool = ..., fees_micros: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[LedgerPosition, _Mapping]]] = ..., opened_seq: _Optional[int] = ...) -> None: ...

class ListLedgerRequest(_message.Message):
    __slots__ = ("account", "instrument", "state", "side", "from_ns", "to_ns", "cursor", "limit", "min_seq")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    FROM_NS_FIELD_NUMBER: _ClassVar[int]
    TO_NS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    account: int
    instrument: int
    state: int
    side: _common_pb2.Side
    from_ns: int
    to_ns: int
    cursor: str
    limit: int
    min_seq: int
    def __init__(self, account: _Optional[int] = ..., instrument: _Optional[int] = ..., state: _Optional[int] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., from_ns: _Optional[int] = ..., to_ns: _Optional[int] = ..., cursor: _Optional[str] = ..., limit: _Optional[int] = ..., min_seq: _Optional[int] = ...) -> None: ...

class LedgerOrder(_message.Message):
    __slots__ = ("order_id", "account", "instrument", "client_order_id", "session_id", "session_no", "side", "order_type", "tif", "price_ticks", "stop_price_ticks", "quantity_lots", "leaves_lots", "filled_lots", "canceled_lots", "filled_micros", "fees_micros", "state", "code", "entered_ns", "updated_ns")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ORDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIF_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    STOP_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    LEAVES_LOTS_FIELD_NUMBER: _ClassVar[int]
    FILLED_LOTS_FIELD_NUMBER: _ClassVar[int]
    CANCELED_LOTS_FIELD_NUMBER: _ClassVar[int]
    FILLED_MICROS_FIELD_NUMBER: _ClassVar[int]
    FEES_MICROS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ENTERED_NS_FIELD_NUMBER: _ClassVar[int]
    UPDATED_NS_FIELD_NUMBER: _ClassVar[int]
    order_id: int
    account: int
    instrument: int
    client_order_id: int
    session_id: int
    session_no: int
    side: _common_pb2.Side
    order_type: _common_pb2.OrderType
    tif: _common_pb2.TimeInForce
    price_ticks: int
    stop_price_ticks: int
    quantity_lots: int
    leaves_lots: int
    filled_lots: int
    canceled_lots: int
    filled_micros: int
    fees_micros: int
    state: int
    code: _common_pb2.Code
    entered_ns: int
    updated_ns: int
    def __init__(self, order_id: _Optional[int] = ..., account: _Optional[int] = ..., instrument: _Optional[int] = ..., client_order_id: _Optional[int] = ..., session_id: _Optional[int] = ..., session_no: _Optional[int] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., order_type: _Optional[_Union[_common_pb2.OrderType, str]] = ..., tif: _Optional[_Union[_common_pb2.TimeInForce, str]] = ..., price_ticks: _Optional[int] = ..., stop_price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., leaves_lots: _Optional[int] = ..., filled_lots: _Optional[int] = ..., canceled_lots: _Optional[int] = ..., filled_micros: _Optional[int] = ..., fees_micros: _Optional[int] = ..., state: _Optional[int] = ..., code: _Optional[_Union[_common_pb2.Code, str]] = ..., entered_ns: _Optional[int] = ..., updated_ns: _Optional[int] = ...) -> None: ...

class ListLedgerOrdersReply(_message.Message):
    __slots__ = ("stamp", "orders", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    orders: _containers.RepeatedCompositeFieldContainer[LedgerOrder]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., orders: _Optional[_Iterable[_Union[LedgerOrder, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GetOrderHistoryRequest(_message.Message):
    __slots__ = ("order_id", "min_seq")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    order_id: int
    min_seq: int
    def __init__(self, order_id: _Optional[int] = ..., min_seq: _Optional[int] = ...) -> None: ...

class LedgerOrderEvent(_message.Message):
    __slots__ = ("event_id", "kind", "code", "price_ticks", "quantity_lots", "leaves_lots", "fee_micros", "timestamp_ns")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    LEAVES_LOTS_FIELD_NUMBER: _ClassVar[int]
    FEE_MICROS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    event_id: _common_pb2.EventId
    kind: _common_pb2.EventKind
    code: _common_pb2.Code
    price_ticks: int
    quantity_lots: int
    leaves_lots: int
    fee_micros: int
    timestamp_ns: int
    def __init__(self, event_id: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., kind: _Optional[_Union[_common_pb2.EventKind, str]] = ..., code: _Optional[_Union[_common_pb2.Code, str]] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., leaves_lots: _Optional[int] = ..., fee_micros: _Optional[int] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...

class GetOrderHistoryReply(_message.Message):
    __slots__ = ("stamp", "order", "events", "more_events")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MORE_EVENTS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    order: LedgerOrder
    events: _containers.RepeatedCompositeFieldContainer[LedgerOrderEvent]
    more_events: bool
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., order: _Optional[_Union[LedgerOrder, _Mapping]] = ..., events: _Optional[_Iterable[_Union[LedgerOrderEvent, _Mapping]]] = ..., more_events: bool = ...) -> None: ...

class LedgerTrade(_message.Message):
    __slots__ = ("event_id", "leg", "instrument", "side", "price_ticks", "quantity_lots", "fee_micros", "cash_micros", "profit_micros", "order_id", "client_order_id", "timestamp_ns")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    FEE_MICROS_FIELD_NUMBER: _ClassVar[int]
    CASH_MICROS_FIELD_NUMBER: _ClassVar[int]
    PROFIT_MICROS_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    event_id: _common_pb2.EventId
    leg: int
    instrument: int
    side: _common_pb2.Side
    price_ticks: int
    quantity_lots: int
    fee_micros: int
    cash_micros: int
    profit_micros: int
    order_id: int
    client_order_id: int
    timestamp_ns: int
    def __init__(self, event_id: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., leg: _Optional[int] = ..., instrument: _Optional[int] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., fee_micros: _Optional[int] = ..., cash_micros: _Optional[int] = ..., profit_micros: _Optional[int] = ..., order_id: _Optional[int] = ..., client_order_id: _Optional[int] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...

class ListLedgerTradesReply(_message.Message):
    __slots__ = ("stamp", "trades", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    trades: _containers.RepeatedCompositeFieldContainer[LedgerTrade]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., trades: _Optional[_Iterable[_Union[LedgerTrade, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class ListLotsRequest(_message.Message):
    __slots__ = ("account", "instrument", "min_seq")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    account: int
    instrument: int
    min_seq: int
    def __init__(self, account: _Optional[int] = ..., instrument: _Optional[int] = ..., min_seq: _Optional[int] = ...) -> None: ...

class LedgerLot(_message.Message):
    __slots__ = ("event_id", "lots", "open_lots", "micros", "open_micros", "timestamp_ns")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    OPEN_LOTS_FIELD_NUMBER: _ClassVar[int]
    MICROS_FIELD_NUMBER: _ClassVar[int]
    OPEN_MICROS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    event_id: _common_pb2.EventId
    lots: int
    open_lots: int
    micros: int
    open_micros: int
    timestamp_ns: int
    def __init__(self, event_id: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., lots: _Optional[int] = ..., open_lots: _Optional[int] = ..., micros: _Optional[int] = ..., open_micros: _Optional[int] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...

class LedgerClosing(_message.Message):
    __slots__ = ("event_id", "opened_by", "lots", "cost_micros", "proceeds_micros", "profit_micros", "timestamp_ns")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    OPENED_BY_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    COST_MICROS_FIELD_NUMBER: _ClassVar[int]
    PROCEEDS_MICROS_FIELD_NUMBER: _ClassVar[int]
    PROFIT_MICROS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    event_id: _common_pb2.EventId
    opened_by: _common_pb2.EventId
    lots: int
    cost_micros: int
    proceeds_micros: int
    profit_micros: int
    timestamp_ns: int
    def __init__(self, event_id: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., opened_by: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., lots: _Optional[int] = ..., cost_micros: _Optional[int] = ..., proceeds_micros: _Optional[int] = ..., profit_micros: _Optional[int] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...

class ListLotsReply(_message.Message):
    __slots__ = ("stamp", "lots", "closings", "more_lots", "more_closings")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    CLOSINGS_FIELD_NUMBER: _ClassVar[int]
    MORE_LOTS_FIELD_NUMBER: _ClassVar[int]
    MORE_CLOSINGS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    lots: _containers.RepeatedCompositeFieldContainer[LedgerLot]
    closings: _containers.RepeatedCompositeFieldContainer[LedgerClosing]
    more_lots: bool
    more_closings: bool
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., lots: _Optional[_Iterable[_Union[LedgerLot, _Mapping]]] = ..., closings: _Optional[_Iterable[_Union[LedgerClosing, _Mapping]]] = ..., more_lots: bool = ..., more_closings: bool = ...) -> None: ...

class ListDaysRequest(_message.Message):
    __slots__ = ("account", "from_ns", "to_ns", "min_seq", "cursor", "limit")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    FROM_NS_FIELD_NUMBER: _ClassVar[int]
    TO_NS_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    account: int
    from_ns: int
    to_ns: int
    min_seq: int
    cursor: str
    limit: int
    def __init__(self, account: _Optional[int] = ..., from_ns: _Optional[int] = ..., to_ns: _Optional[int] = ..., min_seq: _Optional[int] = ..., cursor: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class LedgerDay(_message.Message):
    __slots__ = ("day_ns", "instrument", "trades", "bought_lots", "sold_lots", "cash_micros", "fee_micros", "profit_micros")
    DAY_NS_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    BOUGHT_LOTS_FIELD_NUMBER: _ClassVar[int]
    SOLD_LOTS_FIELD_NUMBER: _ClassVar[int]
    CASH_MICROS_FIELD_NUMBER: _ClassVar[int]
    FEE_MICROS_FIELD_NUMBER: _ClassVar[int]
    PROFIT_MICROS_FIELD_NUMBER: _ClassVar[int]
    day_ns: int
    instrument: int
    trades: int
    bought_lots: int
    sold_lots: int
    cash_micros: int
    fee_micros: int
    profit_micros: int
    def __init__(self, day_ns: _Optional[int] = ..., instrument: _Optional[int] = ..., trades: _Optional[int] = ..., bought_lots: _Optional[int] = ..., sold_lots: _Optional[int] = ..., cash_micros: _Optional[int] = ..., fee_micros: _Optional[int] = ..., profit_micros: _Optional[int] = ...) -> None: ...

class ListDaysReply(_message.Message):
    __slots__ = ("stamp", "days", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    days: _containers.RepeatedCompositeFieldContainer[LedgerDay]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., days: _Optional[_Iterable[_Union[LedgerDay, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GetStatementRequest(_message.Message):
    __slots__ = ("account", "from_ns", "to_ns", "min_seq")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    FROM_NS_FIELD_NUMBER: _ClassVar[int]
    TO_NS_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    account: int
    from_ns: int
    to_ns: int
    min_seq: int
    def __init__(self, account: _Optional[int] = ..., from_ns: _Optional[int] = ..., to_ns: _Optional[int] = ..., min_seq: _Optional[int] = ...) -> None: ...

class LedgerBalance(_message.Message):
    __slots__ = ("instrument", "symbol", "amount")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    symbol: str
    amount: int
    def __init__(self, instrument: _Optional[int] = ..., symbol: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class LedgerMovement(_message.Message):
    __slots__ = ("event_id", "leg", "kind", "instrument", "lots", "price_ticks", "fee_micros", "cash_micros", "cash_after_micros", "lots_after", "order_id", "timestamp_ns")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    FEE_MICROS_FIELD_NUMBER: _ClassVar[int]
    CASH_MICROS_FIELD_NUMBER: _ClassVar[int]
    CASH_AFTER_MICROS_FIELD_NUMBER: _ClassVar[int]
    LOTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    event_id: _common_pb2.EventId
    leg: int
    kind: str
    instrument: int
    lots: int
    price_ticks: int
    fee_micros: int
    cash_micros: int
    cash_after_micros: int
    lots_after: int
    order_id: int
    timestamp_ns: int
    def __init__(self, event_id: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., leg: _Optional[int] = ..., kind: _Optional[str] = ..., instrument: _Optional[int] = ..., lots: _Optional[int] = ..., price_ticks: _Optional[int] = ..., fee_micros: _Optional[int] = ..., cash_micros: _Optional[int] = ..., cash_after_micros: _Optional[int] = ..., lots_after: _Optional[int] = ..., order_id: _Optional[int] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...

class StatementHead(_message.Message):
    __slots__ = ("account", "name", "from_ns", "to_ns", "opening", "closing", "paid_in_micros", "paid_out_micros", "bought_micros", "sold_micros", "fees_micros", "realised_micros", "movements", "opened_seq", "opened_epoch", "taken_over_micros", "not_over")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FROM_NS_FIELD_NUMBER: _ClassVar[int]
    TO_NS_FIELD_NUMBER: _ClassVar[int]
    OPENING_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    PAID_IN_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAID_OUT_MICROS_FIELD_NUMBER: _ClassVar[int]
    BOUGHT_MICROS_FIELD_NUMBER: _ClassVar[int]
    SOLD_MICROS_FIELD_NUMBER: _ClassVar[int]
    FEES_MICROS_FIELD_NUMBER: _ClassVar[int]
    REALISED_MICROS_FIELD_NUMBER: _ClassVar[int]
    MOVEMENTS_FIELD_NUMBER: _ClassVar[int]
    OPENED_SEQ_FIELD_NUMBER: _ClassVar[int]
    OPENED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    TAKEN_OVER_MICROS_FIELD_NUMBER: _ClassVar[int]
    NOT_OVER_FIELD_NUMBER: _ClassVar[int]
    account: int
    name: str
    from_ns: int
    to_ns: int
    opening: _containers.RepeatedCompositeFieldContainer[LedgerBalance]
    closing: _containers.RepeatedCompositeFieldContainer[LedgerBalance]
    paid_in_micros: int
    paid_out_micros: int
    bought_micros: int
    sold_micros: int
    fees_micros: int
    realised_micros: int
    movements: int
    opened_seq: int
    opened_epoch: int
    taken_over_micros: int
    not_over: bool
    def __init__(self, account: _Optional[int] = ..., name: _Optional[str] = ..., from_ns: _Optional[int] = ..., to_ns: _Optional[int] = ..., opening: _Optional[_Iterable[_Union[LedgerBalance, _Mapping]]] = ..., closing: _Optional[_Iterable[_Union[LedgerBalance, _Mapping]]] = ..., paid_in_micros: _Optional[int] = ..., paid_out_micros: _Optional[int] = ..., bought_micros: _Optional[int] = ..., sold_micros: _Optional[int] = ..., fees_micros: _Optional[int] = ..., realised_micros: _Optional[int] = ..., movements: _Optional[int] = ..., opened_seq: _Optional[int] = ..., opened_epoch: _Optional[int] = ..., taken_over_micros: _Optional[int] = ..., not_over: bool = ...) -> None: ...

class StatementPart(_message.Message):
    __slots__ = ("stamp", "head", "movements")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    MOVEMENTS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    head: StatementHead
    movements: _containers.RepeatedCompositeFieldContainer[LedgerMovement]
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., head: _Optional[_Union[StatementHead, _Mapping]] = ..., movements: _Optional[_Iterable[_Union[LedgerMovement, _Mapping]]] = ...) -> None: ...
