from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CommandBatch(_message.Message):
    __slots__ = ("first_no", "count", "kind", "side", "order_type", "tif", "stp", "flags", "account", "instrument", "client_order_id", "order_id", "price_ticks", "quantity_lots", "stop_price_ticks", "display_lots", "min_lots", "expire_ns", "trail_ticks", "tag", "parent_id")
    FIRST_NO_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ORDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIF_FIELD_NUMBER: _ClassVar[int]
    STP_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    STOP_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_LOTS_FIELD_NUMBER: _ClassVar[int]
    MIN_LOTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_NS_FIELD_NUMBER: _ClassVar[int]
    TRAIL_TICKS_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    first_no: int
    count: int
    kind: bytes
    side: bytes
    order_type: bytes
    tif: bytes
    stp: bytes
    flags: bytes
    account: bytes
    instrument: bytes
    client_order_id: bytes
    order_id: bytes
    price_ticks: bytes
    quantity_lots: bytes
    stop_price_ticks: bytes
    display_lots: bytes
    min_lots: bytes
    expire_ns: bytes
    trail_ticks: bytes
    tag: bytes
    parent_id: bytes
    def __init__(self, first_no: _Optional[int] = ..., count: _Optional[int] = ..., kind: _Optional[bytes] = ..., side: _Optional[bytes] = ..., order_type: _Optional[bytes] = ..., tif: _Optional[bytes] = ..., stp: _Optional[bytes] = ..., flags: _Optional[bytes] = ..., account: _Optional[bytes] = ..., instrument: _Optional[bytes] = ..., client_order_id: _Optional[bytes] = ..., order_id: _Optional[bytes] = ..., price_ticks: _Optional[bytes] = ..., quantity_lots: _Optional[bytes] = ..., stop_price_ticks: _Optional[bytes] = ..., display_lots: _Optional[bytes] = ..., min_lots: _Optional[bytes] = ..., expire_ns: _Optional[bytes] = ..., trail_ticks: _Optional[bytes] = ..., tag: _Optional[bytes] = ..., parent_id: _Optional[bytes] = ...) -> None: ...

class ReportBatch(_message.Message):
    __slots__ = ("stamp", "count", "seq", "index", "leg", "kind", "code", "side", "account", "instrument", "session_no", "order_id", "client_order_id", "price_ticks", "quantity_lots", "leaves_lots", "counterparty_order_id", "fee_micros", "flags", "timestamp_ns", "previous_price_ticks", "previous_leaves_lots", "original_seq")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    LEAVES_LOTS_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    FEE_MICROS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_LEAVES_LOTS_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_SEQ_FIELD_NUMBER: _ClassVar[int]
    stamp: bytes
    count: int
    seq: bytes
    index: bytes
    leg: bytes
    kind: bytes
    code: bytes
    side: bytes
    account: bytes
    instrument: bytes
    session_no: bytes
    order_id: bytes
    client_order_id: bytes
    price_ticks: bytes
    quantity_lots: bytes
    leaves_lots: bytes
    counterparty_order_id: bytes
    fee_micros: bytes
    flags: bytes
    timestamp_ns: bytes
    previous_price_ticks: bytes
    previous_leaves_lots: bytes
    original_seq: bytes
    def __init__(self, stamp: _Optional[bytes] = ..., count: _Optional[int] = ..., seq: _Optional[bytes] = ..., index: _Optional[bytes] = ..., leg: _Optional[bytes] = ..., kind: _Optional[bytes] = ..., code: _Optional[bytes] = ..., side: _Optional[bytes] = ..., account: _Optional[bytes] = ..., instrument: _Optional[bytes] = ..., session_no: _Optional[bytes] = ..., order_id: _Optional[bytes] = ..., client_order_id: _Optional[bytes] = ..., price_ticks: _Optional[bytes] = ..., quantity_lots: _Optional[bytes] = ..., leaves_lots: _Optional[bytes] = ..., counterparty_order_id: _Optional[bytes] = ..., fee_micros: _Optional[bytes] = ..., flags: _Optional[bytes] = ..., timestamp_ns: _Optional[bytes] = ..., previous_price_ticks: _Optional[bytes] = ..., previous_leaves_lots: _Optional[bytes] = ..., original_seq: _Optional[bytes] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("hello", "command", "batch")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    hello: bytes
    command: bytes
    batch: CommandBatch
    def __init__(self, hello: _Optional[bytes] = ..., command: _Optional[bytes] = ..., batch: _Optional[_Union[CommandBatch, _Mapping]] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("welcome", "reports", "report_batch", "refusal", "next_number")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    REPORT_BATCH_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    welcome: bytes
    reports: bytes
    report_batch: ReportBatch
    refusal: bytes
    next_number: bytes
    def __init__(self, welcome: _Optional[bytes] = ..., reports: _Optional[bytes] = ..., report_batch: _Optional[_Union[ReportBatch, _Mapping]] = ..., refusal: _Optional[bytes] = ..., next_number: _Optional[bytes] = ...) -> None: ...
