from lockstep.v1 import common_pb2 as _common_pb2
from lockstep.v1 import market_data_pb2 as _market_data_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FollowRequest(_message.Message):
    __slots__ = ("subscriptions", "at_least")
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    subscriptions: _containers.RepeatedCompositeFieldContainer[Subscription]
    at_least: _common_pb2.Stamp
    def __init__(self, subscriptions: _Optional[_Iterable[_Union[Subscription, _Mapping]]] = ..., at_least: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ...) -> None: ...

class Subscription(_message.Message):
    __slots__ = ("instruments", "feed", "depth", "interval_ms", "candle_s", "recover")
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    CANDLE_S_FIELD_NUMBER: _ClassVar[int]
    RECOVER_FIELD_NUMBER: _ClassVar[int]
    instruments: _containers.RepeatedScalarFieldContainer[int]
    feed: _market_data_pb2.Feed
    depth: int
    interval_ms: int
    candle_s: int
    recover: _containers.RepeatedCompositeFieldContainer[StreamPosition]
    def __init__(self, instruments: _Optional[_Iterable[int]] = ..., feed: _Optional[_Union[_market_data_pb2.Feed, str]] = ..., depth: _Optional[int] = ..., interval_ms: _Optional[int] = ..., candle_s: _Optional[int] = ..., recover: _Optional[_Iterable[_Union[StreamPosition, _Mapping]]] = ...) -> None: ...

class StreamPosition(_message.Message):
    __slots__ = ("instrument", "epoch", "seq")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    epoch: int
    seq: int
    def __init__(self, instrument: _Optional[int] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class FeedRequest(_message.Message):
    __slots__ = ("subscribe", "unsubscribe", "ping")
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    subscribe: Subscription
    unsubscribe: Subscription
    ping: int
    def __init__(self, subscribe: _Optional[_Union[Subscription, _Mapping]] = ..., unsubscribe: _Optional[_Union[Subscription, _Mapping]] = ..., ping: _Optional[int] = ...) -> None: ...

class FeedFrame(_message.Message):
    __slots__ = ("updates", "recoveries", "heartbeat", "closing", "pong", "line")
    UPDATES_FIELD_NUMBER: _ClassVar[int]
    RECOVERIES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    updates: _containers.RepeatedCompositeFieldContainer[FeedUpdate]
    recoveries: _containers.RepeatedCompositeFieldContainer[Recovery]
    heartbeat: Heartbeat
    closing: Closing
    pong: int
    line: LineSpan
    def __init__(self, updates: _Optional[_Iterable[_Union[FeedUpdate, _Mapping]]] = ..., recoveries: _Optional[_Iterable[_Union[Recovery, _Mapping]]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., closing: _Optional[_Union[Closing, _Mapping]] = ..., pong: _Optional[int] = ..., line: _Optional[_Union[LineSpan, _Mapping]] = ...) -> None: ...

class LineSpan(_message.Message):
    __slots__ = ("epoch", "previous_seq", "seq", "fetch")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SEQ_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    previous_seq: int
    seq: int
    fetch: bool
    def __init__(self, epoch: _Optional[int] = ..., previous_seq: _Optional[int] = ..., seq: _Optional[int] = ..., fetch: bool = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("epoch", "seq", "timestamp_ns")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    timestamp_ns: int
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...

class Recovery(_message.Message):
    __slots__ = ("instrument", "feed", "recovered", "reason")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    RECOVERED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    feed: _market_data_pb2.Feed
    recovered: bool
    reason: str
    def __init__(self, instrument: _Optional[int] = ..., feed: _Optional[_Union[_market_data_pb2.Feed, str]] = ..., recovered: bool = ..., reason: _Optional[str] = ...) -> None: ...

class Closing(_message.Message):
    __slots__ = ("code", "reason", "retry_after_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    retry_after_ms: int
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class FeedUpdate(_message.Message):
    __slots__ = ("instrument", "feed", "depth", "candle_s", "epoch", "first_seq", "last_seq", "previous_last_seq", "timestamp_ns", "checksum", "snapshot", "levels", "orders", "best", "trades", "candles", "statistics", "status", "definition")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    CANDLE_S_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    CANDLES_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    feed: _market_data_pb2.Feed
    depth: int
    candle_s: int
    epoch: int
    first_seq: int
    last_seq: int
    previous_last_seq: int
    timestamp_ns: int
    checksum: int
    snapshot: bool
    levels: _containers.RepeatedCompositeFieldContainer[BookLevel]
    orders: _containers.RepeatedCompositeFieldContainer[BookOrder]
    best: BestPrices
    trades: _containers.RepeatedCompositeFieldContainer[TapeTrade]
    candles: _containers.RepeatedCompositeFieldContainer[Candle]
    statistics: Statistics
    status: InstrumentStatus
    definition: Definition
    def __init__(self, instrument: _Optional[int] = ..., feed: _Optional[_Union[_market_data_pb2.Feed, str]] = ..., depth: _Optional[int] = ..., candle_s: _Optional[int] = ..., epoch: _Optional[int] = ..., first_seq: _Optional[int] = ..., last_seq: _Optional[int] = ..., previous_last_seq: _Optional[int] = ..., timestamp_ns: _Optional[int] = ..., checksum: _Optional[int] = ..., snapshot: bool = ..., levels: _Optional[_Iterable[_Union[BookLevel, _Mapping]]] = ..., orders: _Optional[_Iterable[_Union[BookOrder, _Mapping]]] = ..., best: _Optional[_Union[BestPrices, _Mapping]] = ..., trades: _Optional[_Iterable[_Union[TapeTrade, _Mapping]]] = ..., candles: _Optional[_Iterable[_Union[Candle, _Mapping]]] = ..., statistics: _Optional[_Union[Statistics, _Mapping]] = ..., status: _Optional[_Union[InstrumentStatus, _Mapping]] = ..., definition: _Optional[_Union[Definition, _Mapping]] = ...) -> None: ...

class BookLevel(_message.Message):
    __slots__ = ("side", "price_ticks", "quantity_lots", "orders")
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    side: _common_pb2.Side
    price_ticks: int
    quantity_lots: int
    orders: int
    def __init__(self, side: _Optional[_Union[_common_pb2.Side, str]] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., orders: _Optional[int] = ...) -> None: ...

class BookOrder(_message.Message):
    __slots__ = ("order_id", "side", "price_ticks", "quantity_lots", "last")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    order_id: int
    side: _common_pb2.Side
    price_ticks: int
    quantity_lots: int
    last: bool
    def __init__(self, order_id: _Optional[int] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., last: bool = ...) -> None: ...

class BestPrices(_message.Message):
    __slots__ = ("bid_price_ticks", "bid_quantity_lots", "bid_orders", "ask_price_ticks", "ask_quantity_lots", "ask_orders")
    BID_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    BID_QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    BID_ORDERS_FIELD_NUMBER: _ClassVar[int]
    ASK_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    ASK_QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    ASK_ORDERS_FIELD_NUMBER: _ClassVar[int]
    bid_price_ticks: int
    bid_quantity_lots: int
    bid_orders: int
    ask_price_ticks: int
    ask_quantity_lots: int
    ask_orders: int
    def __init__(self, bid_price_ticks: _Optional[int] = ..., bid_quantity_lots: _Optional[int] = ..., bid_orders: _Optional[int] = ..., ask_price_ticks: _Optional[int] = ..., ask_quantity_lots: _Optional[int] = ..., ask_orders: _Optional[int] = ...) -> None: ...

class TapeTrade(_message.Message):
    __slots__ = ("seq", "index", "price_ticks", "quantity_lots", "aggressor", "auction", "taker_order_id", "maker_order_id", "timestamp_ns")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    AGGRESSOR_FIELD_NUMBER: _ClassVar[int]
    AUCTION_FIELD_NUMBER: _ClassVar[int]
    TAKER_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    MAKER_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    index: int
    price_ticks: int
    quantity_lots: int
    aggressor: _common_pb2.Side
    auction: bool
    taker_order_id: int
    maker_order_id: int
    timestamp_ns: int
    def __init__(self, seq: _Optional[int] = ..., index: _Optional[int] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., aggressor: _Optional[_Union[_common_pb2.Side, str]] = ..., auction: bool = ..., taker_order_id: _Optional[int] = ..., maker_order_id: _Optional[int] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...

class Candle(_message.Message):
    __slots__ = ("open_ns", "open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume_lots", "trades", "vwap_micro_ticks", "last_seq")
    OPEN_NS_FIELD_NUMBER: _ClassVar[int]
    OPEN_TICKS_FIELD_NUMBER: _ClassVar[int]
    HIGH_TICKS_FIELD_NUMBER: _ClassVar[int]
    LOW_TICKS_FIELD_NUMBER: _ClassVar[int]
    CLOSE_TICKS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_LOTS_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    VWAP_MICRO_TICKS_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    open_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    volume_lots: int
    trades: int
    vwap_micro_ticks: int
    last_seq: int
    def __init__(self, open_ns: _Optional[int] = ..., open_ticks: _Optional[int] = ..., high_ticks: _Optional[int] = ..., low_ticks: _Optional[int] = ..., close_ticks: _Optional[int] = ..., volume_lots: _Optional[int] = ..., trades: _Optional[int] = ..., vwap_micro_ticks: _Optional[int] = ..., last_seq: _Optional[int] = ...) -> None: ...

class Statistics(_message.Message):
    __slots__ = ("day_ns", "open_ticks", "high_ticks", "low_ticks", "last_ticks", "close_ticks", "volume_lots", "trades", "vwap_micro_ticks")
    DAY_NS_FIELD_NUMBER: _ClassVar[int]
    OPEN_TICKS_FIELD_NUMBER: _ClassVar[int]
    HIGH_TICKS_FIELD_NUMBER: _ClassVar[int]
    LOW_TICKS_FIELD_NUMBER: _ClassVar[int]
    LAST_TICKS_FIELD_NUMBER: _ClassVar[int]
    CLOSE_TICKS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_LOTS_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    VWAP_MICRO_TICKS_FIELD_NUMBER: _ClassVar[int]
    day_ns: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    last_ticks: int
    close_ticks: int
    volume_lots: int
    trades: int
    vwap_micro_ticks: int
    def __init__(self, day_ns: _Optional[int] = ..., open_ticks: _Optional[int] = ..., high_ticks: _Optional[int] = ..., low_ticks: _Optional[int] = ..., last_ticks: _Optional[int] = ..., close_ticks: _Optional[int] = ..., volume_lots: _Optional[int] = ..., trades: _Optional[int] = ..., vwap_micro_ticks: _Optional[int] = ...) -> None: ...

class InstrumentStatus(_message.Message):
    __slots__ = ("phase", "until_ns", "reference_ticks", "band_low_ticks", "band_high_ticks", "band_known", "indicative_ticks", "indicative_lots", "imbalance_lots", "imbalance_side", "halt_level", "limit_state", "limit_until_ns")
    PHASE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_TICKS_FIELD_NUMBER: _ClassVar[int]
    BAND_LOW_TICKS_FIELD_NUMBER: _ClassVar[int]
    BAND_HIGH_TICKS_FIELD_NUMBER: _ClassVar[int]
    BAND_KNOWN_FIELD_NUMBER: _ClassVar[int]
    INDICATIVE_TICKS_FIELD_NUMBER: _ClassVar[int]
    INDICATIVE_LOTS_FIELD_NUMBER: _ClassVar[int]
    IMBALANCE_LOTS_FIELD_NUMBER: _ClassVar[int]
    IMBALANCE_SIDE_FIELD_NUMBER: _ClassVar[int]
    HALT_LEVEL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_STATE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    phase: _common_pb2.Phase
    until_ns: int
    reference_ticks: int
    band_low_ticks: int
    band_high_ticks: int
    band_known: bool
    indicative_ticks: int
    indicative_lots: int
    imbalance_lots: int
    imbalance_side: _common_pb2.Side
    halt_level: int
    limit_state: _common_pb2.LimitState
    limit_until_ns: int
    def __init__(self, phase: _Optional[_Union[_common_pb2.Phase, str]] = ..., until_ns: _Optional[int] = ..., reference_ticks: _Optional[int] = ..., band_low_ticks: _Optional[int] = ..., band_high_ticks: _Optional[int] = ..., band_known: bool = ..., indicative_ticks: _Optional[int] = ..., indicative_lots: _Optional[int] = ..., imbalance_lots: _Optional[int] = ..., imbalance_side: _Optional[_Union[_common_pb2.Side, str]] = ..., halt_level: _Optional[int] = ..., limit_state: _Optional[_Union[_common_pb2.LimitState, str]] = ..., limit_until_ns: _Optional[int] = ...) -> None: ...

class Definition(_message.Message):
    __slots__ = ("symbol", "tick_micros", "lot_units")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TICK_MICROS_FIELD_NUMBER: _ClassVar[int]
    LOT_UNITS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    tick_micros: int
    lot_units: int
    def __init__(self, symbol: _Optional[str] = ..., tick_micros: _Optional[int] = ..., lot_units: _Optional[int] = ...) -> None: ...

class ListCandlesRequest(_message.Message):
    __slots__ = ("instrument", "candle_s", "from_ns", "to_ns", "limit")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CANDLE_S_FIELD_NUMBER: _ClassVar[int]
    FROM_NS_FIELD_NUMBER: _ClassVar[int]
    TO_NS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    candle_s: int
    from_ns: int
    to_ns: int
    limit: int
    def __init__(self, instrument: _Optional[int] = ..., candle_s: _Optional[int] = ..., from_ns: _Optional[int] = ..., to_ns: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListCandlesReply(_message.Message):
    __slots__ = ("epoch", "seq", "candles", "since_seq")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CANDLES_FIELD_NUMBER: _ClassVar[int]
    SINCE_SEQ_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    candles: _containers.RepeatedCompositeFieldContainer[Candle]
    since_seq: int
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ..., candles: _Optional[_Iterable[_Union[Candle, _Mapping]]] = ..., since_seq: _Optional[int] = ...) -> None: ...

class DescribeLineRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeLineReply(_message.Message):
    __slots__ = ("channel", "stream_id", "feeds", "epoch", "seq", "oldest_seq")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    FEEDS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SEQ_FIELD_NUMBER: _ClassVar[int]
    channel: str
    stream_id: int
    feeds: _containers.RepeatedScalarFieldContainer[_market_data_pb2.Feed]
    epoch: int
    seq: int
    oldest_seq: int
    def __init__(self, channel: _Optional[str] = ..., stream_id: _Optional[int] = ..., feeds: _Optional[_Iterable[_Union[_market_data_pb2.Feed, str]]] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., oldest_seq: _Optional[int] = ...) -> None: ...

class RetransmitRequest(_message.Message):
    __slots__ = ("after_seq", "through_seq", "epoch")
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQ_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    after_seq: int
    through_seq: int
    epoch: int
    def __init__(self, after_seq: _Optional[int] = ..., through_seq: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class JoinLineRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
