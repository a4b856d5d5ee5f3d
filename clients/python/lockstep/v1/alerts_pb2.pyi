from lockstep.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AlertKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_KIND_UNSPECIFIED: _ClassVar[AlertKind]
    ALERT_KIND_PRICE: _ClassVar[AlertKind]
    ALERT_KIND_CHANGE: _ClassVar[AlertKind]
    ALERT_KIND_VOLUME: _ClassVar[AlertKind]
    ALERT_KIND_FILL: _ClassVar[AlertKind]
    ALERT_KIND_ORDER_STATE: _ClassVar[AlertKind]
    ALERT_KIND_BUYING_POWER: _ClassVar[AlertKind]
    ALERT_KIND_POSITION_LIMIT: _ClassVar[AlertKind]
    ALERT_KIND_ACCOUNT_STATUS: _ClassVar[AlertKind]
    ALERT_KIND_MARGIN_CALL: _ClassVar[AlertKind]

class AlertDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_DIRECTION_UNSPECIFIED: _ClassVar[AlertDirection]
    ALERT_DIRECTION_ABOVE: _ClassVar[AlertDirection]
    ALERT_DIRECTION_BELOW: _ClassVar[AlertDirection]
    ALERT_DIRECTION_CROSSING: _ClassVar[AlertDirection]

class AlertPrice(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_PRICE_UNSPECIFIED: _ClassVar[AlertPrice]
    ALERT_PRICE_LAST: _ClassVar[AlertPrice]
    ALERT_PRICE_BID: _ClassVar[AlertPrice]
    ALERT_PRICE_ASK: _ClassVar[AlertPrice]

class AlertBase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_BASE_UNSPECIFIED: _ClassVar[AlertBase]
    ALERT_BASE_OPEN: _ClassVar[AlertBase]
    ALERT_BASE_CLOSE: _ClassVar[AlertBase]
    ALERT_BASE_REFERENCE: _ClassVar[AlertBase]
    ALERT_BASE_GIVEN: _ClassVar[AlertBase]

class AlertOrderState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_ORDER_STATE_UNSPECIFIED: _ClassVar[AlertOrderState]
    ALERT_ORDER_STATE_ACCEPTED: _ClassVar[AlertOrderState]
    ALERT_ORDER_STATE_REJECTED: _ClassVar[AlertOrderState]
    ALERT_ORDER_STATE_PARTLY_FILLED: _ClassVar[AlertOrderState]
    ALERT_ORDER_STATE_FILLED: _ClassVar[AlertOrderState]
    ALERT_ORDER_STATE_CANCELED: _ClassVar[AlertOrderState]
    ALERT_ORDER_STATE_REPLACED: _ClassVar[AlertOrderState]
    ALERT_ORDER_STATE_TRIGGERED: _ClassVar[AlertOrderState]

class AlertStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_STATUS_UNSPECIFIED: _ClassVar[AlertStatus]
    ALERT_STATUS_ACTIVE: _ClassVar[AlertStatus]
    ALERT_STATUS_FIRED: _ClassVar[AlertStatus]
    ALERT_STATUS_EXPIRED: _ClassVar[AlertStatus]
ALERT_KIND_UNSPECIFIED: AlertKind
ALERT_KIND_PRICE: AlertKind
ALERT_KIND_CHANGE: AlertKind
ALERT_KIND_VOLUME: AlertKind
ALERT_KIND_FILL: AlertKind
ALERT_KIND_ORDER_STATE: AlertKind
ALERT_KIND_BUYING_POWER: AlertKind
ALERT_KIND_POSITION_LIMIT: AlertKind
ALERT_KIND_ACCOUNT_STATUS: AlertKind
ALERT_KIND_MARGIN_CALL: AlertKind
ALERT_DIRECTION_UNSPECIFIED: AlertDirection
ALERT_DIRECTION_ABOVE: AlertDirection
ALERT_DIRECTION_BELOW: AlertDirection
ALERT_DIRECTION_CROSSING: AlertDirection
ALERT_PRICE_UNSPECIFIED: AlertPrice
ALERT_PRICE_LAST: AlertPrice
ALERT_PRICE_BID: AlertPrice
ALERT_PRICE_ASK: AlertPrice
ALERT_BASE_UNSPECIFIED: AlertBase
ALERT_BASE_OPEN: AlertBase
ALERT_BASE_CLOSE: AlertBase
ALERT_BASE_REFERENCE: AlertBase
ALERT_BASE_GIVEN: AlertBase
ALERT_ORDER_STATE_UNSPECIFIED: AlertOrderState
ALERT_ORDER_STATE_ACCEPTED: AlertOrderState
ALERT_ORDER_STATE_REJECTED: AlertOrderState
ALERT_ORDER_STATE_PARTLY_FILLED: AlertOrderState
ALERT_ORDER_STATE_FILLED: AlertOrderState
ALERT_ORDER_STATE_CANCELED: AlertOrderState
ALERT_ORDER_STATE_REPLACED: AlertOrderState
ALERT_ORDER_STATE_TRIGGERED: AlertOrderState
ALERT_STATUS_UNSPECIFIED: AlertStatus
ALERT_STATUS_ACTIVE: AlertStatus
ALERT_STATUS_FIRED: AlertStatus
ALERT_STATUS_EXPIRED: AlertStatus

class AlertDefinition(_message.Message):
    __slots__ = ("kind", "instrument", "account", "direction", "threshold", "hysteresis", "price", "base", "base_ticks", "states", "client_order_id", "once", "expire_ns", "note")
    KIND_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    HYSTERESIS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    BASE_TICKS_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ONCE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_NS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    kind: AlertKind
    instrument: int
    account: int
    direction: AlertDirection
    threshold: int
    hysteresis: int
    price: AlertPrice
    base: AlertBase
    base_ticks: int
    states: int
    client_order_id: int
    once: bool
    expire_ns: int
    note: str
    def __init__(self, kind: _Optional[_Union[AlertKind, str]] = ..., instrument: _Optional[int] = ..., account: _Optional[int] = ..., direction: _Optional[_Union[AlertDirection, str]] = ..., threshold: _Optional[int] = ..., hysteresis: _Optional[int] = ..., price: _Optional[_Union[AlertPrice, str]] = ..., base: _Optional[_Union[AlertBase, str]] = ..., base_ticks: _Optional[int] = ..., states: _Optional[int] = ..., client_order_id: _Optional[int] = ..., once: bool = ..., expire_ns: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class Alert(_message.Message):
    __slots__ = ("number", "definition", "status", "count", "last_fired_ns", "after_seq", "armed")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIRED_NS_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    ARMED_FIELD_NUMBER: _ClassVar[int]
    number: int
    definition: AlertDefinition
    status: AlertStatus
    count: int
    last_fired_ns: int
    after_seq: int
    armed: bool
    def __init__(self, number: _Optional[int] = ..., definition: _Optional[_Union[AlertDefinition, _Mapping]] = ..., status: _Optional[_Union[AlertStatus, str]] = ..., count: _Optional[int] = ..., last_fired_ns: _Optional[int] = ..., after_seq: _Optional[int] = ..., armed: bool = ...) -> None: ...

class CreateAlertRequest(_message.Message):
    __slots__ = ("definition",)
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    definition: AlertDefinition
    def __init__(self, definition: _Optional[_Union[AlertDefinition, _Mapping]] = ...) -> None: ...

class CreateAlertReply(_message.Message):
    __slots__ = ("stamp", "alert")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    alert: Alert
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., alert: _Optional[_Union[Alert, _Mapping]] = ...) -> None: ...

class RemoveAlertRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class RemoveAlertReply(_message.Message):
    __slots__ = ("stamp",)
    STAMP_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ...) -> None: ...

class ListAlertsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAlertsReply(_message.Message):
    __slots__ = ("stamp", "alerts")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ...) -> None: ...

class Firing(_message.Message):
    __slots__ = ("number", "id", "alert", "count", "kind", "epoch", "seq", "index", "timestamp_ns", "instrument", "account", "direction", "level", "threshold", "note", "order_state", "order_id", "client_order_id", "side", "code", "price_ticks", "quantity_lots", "leaves_lots")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ORDER_STATE_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    LEAVES_LOTS_FIELD_NUMBER: _ClassVar[int]
    number: int
    id: str
    alert: int
    count: int
    kind: AlertKind
    epoch: int
    seq: int
    index: int
    timestamp_ns: int
    instrument: int
    account: int
    direction: AlertDirection
    level: int
    threshold: int
    note: str
    order_state: AlertOrderState
    order_id: int
    client_order_id: int
    side: _common_pb2.Side
    code: int
    price_ticks: int
    quantity_lots: int
    leaves_lots: int
    def __init__(self, number: _Optional[int] = ..., id: _Optional[str] = ..., alert: _Optional[int] = ..., count: _Optional[int] = ..., kind: _Optional[_Union[AlertKind, str]] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., index: _Optional[int] = ..., timestamp_ns: _Optional[int] = ..., instrument: _Optional[int] = ..., account: _Optional[int] = ..., direction: _Optional[_Union[AlertDirection, str]] = ..., level: _Optional[int] = ..., threshold: _Optional[int] = ..., note: _Optional[str] = ..., order_state: _Optional[_Union[AlertOrderState, str]] = ..., order_id: _Optional[int] = ..., client_order_id: _Optional[int] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., code: _Optional[int] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., leaves_lots: _Optional[int] = ...) -> None: ...

class ListFiringsRequest(_message.Message):
    __slots__ = ("after", "limit", "min_seq")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    after: int
    limit: int
    min_seq: int
    def __init__(self, after: _Optional[int] = ..., limit: _Optional[int] = ..., min_seq: _Optional[int] = ...) -> None: ...

class ListFiringsReply(_message.Message):
    __slots__ = ("stamp", "firings", "last", "first")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    FIRINGS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    firings: _containers.RepeatedCompositeFieldContainer[Firing]
    last: int
    first: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., firings: _Optional[_Iterable[_Union[Firing, _Mapping]]] = ..., last: _Optional[int] = ..., first: _Optional[int] = ...) -> None: ...

class FollowFiringsRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class Watchlist(_message.Message):
    __slots__ = ("name", "instruments")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    instruments: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., instruments: _Optional[_Iterable[int]] = ...) -> None: ...

class PutWatchlistRequest(_message.Message):
    __slots__ = ("watchlist",)
    WATCHLIST_FIELD_NUMBER: _ClassVar[int]
    watchlist: Watchlist
    def __init__(self, watchlist: _Optional[_Union[Watchlist, _Mapping]] = ...) -> None: ...

class PutWatchlistReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RemoveWatchlistRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RemoveWatchlistReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWatchlistsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWatchlistsReply(_message.Message):
    __slots__ = ("watchlists",)
    WATCHLISTS_FIELD_NUMBER: _ClassVar[int]
    watchlists: _containers.RepeatedCompositeFieldContainer[Watchlist]
    def __init__(self, watchlists: _Optional[_Iterable[_Union[Watchlist, _Mapping]]] = ...) -> None: ...

class GetQuotesRequest(_message.Message):
    __slots__ = ("watchlist", "min_seq")
    WATCHLIST_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    watchlist: str
    min_seq: int
    def __init__(self, watchlist: _Optional[str] = ..., min_seq: _Optional[int] = ...) -> None: ...

class Quote(_message.Message):
    __slots__ = ("instrument", "symbol", "last_ticks", "bid_ticks", "ask_ticks", "open_ticks", "close_ticks", "reference_ticks", "volume_lots", "phase")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    LAST_TICKS_FIELD_NUMBER: _ClassVar[int]
    BID_TICKS_FIELD_NUMBER: _ClassVar[int]
    ASK_TICKS_FIELD_NUMBER: _ClassVar[int]
    OPEN_TICKS_FIELD_NUMBER: _ClassVar[int]
    CLOSE_TICKS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_TICKS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_LOTS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    symbol: str
    last_ticks: int
    bid_ticks: int
    ask_ticks: int
    open_ticks: int
    close_ticks: int
    reference_ticks: int
    volume_lots: int
    phase: _common_pb2.Phase
    def __init__(self, instrument: _Optional[int] = ..., symbol: _Optional[str] = ..., last_ticks: _Optional[int] = ..., bid_ticks: _Optional[int] = ..., ask_ticks: _Optional[int] = ..., open_ticks: _Optional[int] = ..., close_ticks: _Optional[int] = ..., reference_ticks: _Optional[int] = ..., volume_lots: _Optional[int] = ..., phase: _Optional[_Union[_common_pb2.Phase, str]] = ...) -> None: ...

class GetQuotesReply(_message.Message):
    __slots__ = ("stamp", "quotes")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    QUOTES_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    quotes: _containers.RepeatedCompositeFieldContainer[Quote]
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., quotes: _Optional[_Iterable[_Union[Quote, _Mapping]]] = ...) -> None: ...

class Webhook(_message.Message):
    __slots__ = ("number", "url", "delivered", "discarded", "failing_since_ns", "last_error", "waiting")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    DISCARDED_FIELD_NUMBER: _ClassVar[int]
    FAILING_SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    number: int
    url: str
    delivered: int
    discarded: int
    failing_since_ns: int
    last_error: str
    waiting: int
    def __init__(self, number: _Optional[int] = ..., url: _Optional[str] = ..., delivered: _Optional[int] = ..., discarded: _Optional[int] = ..., failing_since_ns: _Optional[int] = ..., last_error: _Optional[str] = ..., waiting: _Optional[int] = ...) -> None: ...

class CreateWebhookRequest(_message.Message):
    __slots__ = ("url",)
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class CreateWebhookReply(_message.Message):
    __slots__ = ("webhook", "secret")
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    webhook: Webhook
    secret: str
    def __init__(self, webhook: _Optional[_Union[Webhook, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class RemoveWebhookRequest(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class RemoveWebhookReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWebhooksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListWebhooksReply(_message.Message):
    __slots__ = ("webhooks",)
    WEBHOOKS_FIELD_NUMBER: _ClassVar[int]
    webhooks: _containers.RepeatedCompositeFieldContainer[Webhook]
    def __init__(self, webhooks: _Optional[_Iterable[_Union[Webhook, _Mapping]]] = ...) -> None: ...
