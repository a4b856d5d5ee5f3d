from lockstep.v1 import common_pb2 as _common_pb2
from lockstep.v1 import orders_pb2 as _orders_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tip(_message.Message):
    __slots__ = ("epoch", "seq", "digest")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    digest: bytes
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class EpochEntry(_message.Message):
    __slots__ = ("epoch", "first_seq")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    first_seq: int
    def __init__(self, epoch: _Optional[int] = ..., first_seq: _Optional[int] = ...) -> None: ...

class FenceRequest(_message.Message):
    __slots__ = ("cluster_uuid", "epoch", "sequencer", "settled")
    CLUSTER_UUID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCER_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    cluster_uuid: str
    epoch: int
    sequencer: int
    settled: bool
    def __init__(self, cluster_uuid: _Optional[str] = ..., epoch: _Optional[int] = ..., sequencer: _Optional[int] = ..., settled: bool = ...) -> None: ...

class FenceReply(_message.Message):
    __slots__ = ("accepted", "promised", "tip", "committed_seq", "timestamp_ns", "member", "blank", "journal")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PROMISED_FIELD_NUMBER: _ClassVar[int]
    TIP_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    BLANK_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    promised: int
    tip: Tip
    committed_seq: int
    timestamp_ns: int
    member: int
    blank: bool
    journal: int
    def __init__(self, accepted: bool = ..., promised: _Optional[int] = ..., tip: _Optional[_Union[Tip, _Mapping]] = ..., committed_seq: _Optional[int] = ..., timestamp_ns: _Optional[int] = ..., member: _Optional[int] = ..., blank: bool = ..., journal: _Optional[int] = ...) -> None: ...

class FetchJournalRequest(_message.Message):
    __slots__ = ("from_seq", "max_bytes")
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    from_seq: int
    max_bytes: int
    def __init__(self, from_seq: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class FetchJournalReply(_message.Message):
    __slots__ = ("batches", "tip", "committed_seq", "epochs", "in_sync", "digest", "first_seq", "snapshot_seq")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    TIP_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    IN_SYNC_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_SEQ_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedScalarFieldContainer[bytes]
    tip: Tip
    committed_seq: int
    epochs: _containers.RepeatedCompositeFieldContainer[EpochEntry]
    in_sync: bool
    digest: bytes
    first_seq: int
    snapshot_seq: int
    def __init__(self, batches: _Optional[_Iterable[bytes]] = ..., tip: _Optional[_Union[Tip, _Mapping]] = ..., committed_seq: _Optional[int] = ..., epochs: _Optional[_Iterable[_Union[EpochEntry, _Mapping]]] = ..., in_sync: bool = ..., digest: _Optional[bytes] = ..., first_seq: _Optional[int] = ..., snapshot_seq: _Optional[int] = ...) -> None: ...

class FetchEventsRequest(_message.Message):
    __slots__ = ("after", "session_id", "to_seq", "delivered_epoch")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TO_SEQ_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    after: _common_pb2.EventId
    session_id: int
    to_seq: int
    delivered_epoch: int
    def __init__(self, after: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., session_id: _Optional[int] = ..., to_seq: _Optional[int] = ..., delivered_epoch: _Optional[int] = ...) -> None: ...

class FetchEventsReply(_message.Message):
    __slots__ = ("epoch", "events", "through_seq", "committed_seq", "paused")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQ_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SEQ_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    events: bytes
    through_seq: int
    committed_seq: int
    paused: bool
    def __init__(self, epoch: _Optional[int] = ..., events: _Optional[bytes] = ..., through_seq: _Optional[int] = ..., committed_seq: _Optional[int] = ..., paused: bool = ...) -> None: ...

class FetchSnapshotRequest(_message.Message):
    __slots__ = ("seq", "offset")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    seq: int
    offset: int
    def __init__(self, seq: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class FetchSnapshotReply(_message.Message):
    __slots__ = ("seq", "digest", "chunk", "total_bytes")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    seq: int
    digest: bytes
    chunk: bytes
    total_bytes: int
    def __init__(self, seq: _Optional[int] = ..., digest: _Optional[bytes] = ..., chunk: _Optional[bytes] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("order", "account", "session_id", "delivered", "open_orders", "all_orders", "accounts_after", "instruments_after", "limit", "caller")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    ALL_ORDERS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    order: _orders_pb2.OrderRef
    account: int
    session_id: int
    delivered: DeliveryMark
    open_orders: OrderCursor
    all_orders: OrderCursor
    accounts_after: int
    instruments_after: int
    limit: int
    caller: int
    def __init__(self, order: _Optional[_Union[_orders_pb2.OrderRef, _Mapping]] = ..., account: _Optional[int] = ..., session_id: _Optional[int] = ..., delivered: _Optional[_Union[DeliveryMark, _Mapping]] = ..., open_orders: _Optional[_Union[OrderCursor, _Mapping]] = ..., all_orders: _Optional[_Union[OrderCursor, _Mapping]] = ..., accounts_after: _Optional[int] = ..., instruments_after: _Optional[int] = ..., limit: _Optional[int] = ..., caller: _Optional[int] = ...) -> None: ...

class OrderCursor(_message.Message):
    __slots__ = ("account", "order_id")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    account: int
    order_id: int
    def __init__(self, account: _Optional[int] = ..., order_id: _Optional[int] = ...) -> None: ...

class DeliveryMark(_message.Message):
    __slots__ = ("epoch", "seq")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class QueryReply(_message.Message):
    __slots__ = ("stamp", "primary", "orders", "session_last_no", "diverged_at", "order_rows", "account_rows", "position_rows", "instrument_rows", "more", "next", "cluster_uuid")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    SESSION_LAST_NO_FIELD_NUMBER: _ClassVar[int]
    DIVERGED_AT_FIELD_NUMBER: _ClassVar[int]
    ORDER_ROWS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ROWS_FIELD_NUMBER: _ClassVar[int]
    POSITION_ROWS_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_ROWS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_UUID_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    primary: bool
    orders: _containers.RepeatedCompositeFieldContainer[_orders_pb2.Order]
    session_last_no: int
    diverged_at: int
    order_rows: bytes
    account_rows: bytes
    position_rows: bytes
    instrument_rows: bytes
    more: bool
    next: OrderCursor
    cluster_uuid: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., primary: bool = ..., orders: _Optional[_Iterable[_Union[_orders_pb2.Order, _Mapping]]] = ..., session_last_no: _Optional[int] = ..., diverged_at: _Optional[int] = ..., order_rows: _Optional[bytes] = ..., account_rows: _Optional[bytes] = ..., position_rows: _Optional[bytes] = ..., instrument_rows: _Optional[bytes] = ..., more: bool = ..., next: _Optional[_Union[OrderCursor, _Mapping]] = ..., cluster_uuid: _Optional[str] = ...) -> None: ...
