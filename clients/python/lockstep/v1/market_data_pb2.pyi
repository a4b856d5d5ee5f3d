from lockstep.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Feed(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEED_UNSPECIFIED: _ClassVar[Feed]
    FEED_L1: _ClassVar[Feed]
    FEED_L2: _ClassVar[Feed]
    FEED_TRADES: _ClassVar[Feed]
    FEED_L3: _ClassVar[Feed]
    FEED_CANDLES: _ClassVar[Feed]
    FEED_STATISTICS: _ClassVar[Feed]
    FEED_STATUS: _ClassVar[Feed]
    FEED_INSTRUMENTS: _ClassVar[Feed]
FEED_UNSPECIFIED: Feed
FEED_L1: Feed
FEED_L2: Feed
FEED_TRADES: Feed
FEED_L3: Feed
FEED_CANDLES: Feed
FEED_STATISTICS: Feed
FEED_STATUS: Feed
FEED_INSTRUMENTS: Feed

class ListInstrumentsRequest(_message.Message):
    __slots__ = ("cursor", "limit", "min_seq")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MIN_SEQ_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    limit: int
    min_seq: int
    def __init__(self, cursor: _Optional[int] = ..., limit: _Optional[int] = ..., min_seq: _Optional[int] = ...) -> None: ...

class ListInstrumentsReply(_message.Message):
    __slots__ = ("stamp", "instruments", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    instruments: _containers.RepeatedCompositeFieldContainer[_common_pb2.Instrument]
    next_cursor: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., instruments: _Optional[_Iterable[_Union[_common_pb2.Instrument, _Mapping]]] = ..., next_cursor: _Optional[int] = ...) -> None: ...

class ListFeedsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListFeedsReply(_message.Message):
    __slots__ = ("addresses", "websockets")
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    WEBSOCKETS_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    websockets: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, addresses: _Optional[_Iterable[str]] = ..., websockets: _Optional[_Iterable[str]] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("instruments", "feeds", "depth", "last_seen", "last_epoch", "at_least")
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    FEEDS_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    LAST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    instruments: _containers.RepeatedScalarFieldContainer[int]
    feeds: _containers.RepeatedScalarFieldContainer[Feed]
    depth: int
    last_seen: _common_pb2.EventId
    last_epoch: int
    at_least: _common_pb2.Stamp
    def __init__(self, instruments: _Optional[_Iterable[int]] = ..., feeds: _Optional[_Iterable[_Union[Feed, str]]] = ..., depth: _Optional[int] = ..., last_seen: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., last_epoch: _Optional[int] = ..., at_least: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ...) -> None: ...

class PriceLevel(_message.Message):
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

class BookSnapshot(_message.Message):
    __slots__ = ("bids", "asks")
    BIDS_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    bids: _containers.RepeatedCompositeFieldContainer[PriceLevel]
    asks: _containers.RepeatedCompositeFieldContainer[PriceLevel]
    def __init__(self, bids: _Optional[_Iterable[_Union[PriceLevel, _Mapping]]] = ..., asks: _Optional[_Iterable[_Union[PriceLevel, _Mapping]]] = ...) -> None: ...

class BookUpdate(_message.Message):
    __slots__ = ("levels",)
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    levels: _containers.RepeatedCompositeFieldContainer[PriceLevel]
    def __init__(self, levels: _Optional[_Iterable[_Union[PriceLevel, _Mapping]]] = ...) -> None: ...

class BestBidOffer(_message.Message):
    __slots__ = ("bid_price_ticks", "bid_quantity_lots", "ask_price_ticks", "ask_quantity_lots")
    BID_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    BID_QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    ASK_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    ASK_QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    bid_price_ticks: int
    bid_quantity_lots: int
    ask_price_ticks: int
    ask_quantity_lots: int
    def __init__(self, bid_price_ticks: _Optional[int] = ..., bid_quantity_lots: _Optional[int] = ..., ask_price_ticks: _Optional[int] = ..., ask_quantity_lots: _Optional[int] = ...) -> None: ...

class Trade(_message.Message):
    __slots__ = ("event_id", "price_ticks", "quantity_lots", "aggressor", "taker_order_id", "maker_order_id", "timestamp_ns")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    AGGRESSOR_FIELD_NUMBER: _ClassVar[int]
    TAKER_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    MAKER_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    event_id: _common_pb2.EventId
    price_ticks: int
    quantity_lots: int
    aggressor: _common_pb2.Side
    taker_order_id: int
    maker_order_id: int
    timestamp_ns: int
    def __init__(self, event_id: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., aggressor: _Optional[_Union[_common_pb2.Side, str]] = ..., taker_order_id: _Optional[int] = ..., maker_order_id: _Optional[int] = ..., timestamp_ns: _Optional[int] = ...) -> None: ...

class TradesMissed(_message.Message):
    __slots__ = ("after", "through_seq", "void_from_seq", "text")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    THROUGH_SEQ_FIELD_NUMBER: _ClassVar[int]
    VOID_FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    after: _common_pb2.EventId
    through_seq: int
    void_from_seq: int
    text: str
    def __init__(self, after: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., through_seq: _Optional[int] = ..., void_from_seq: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class MarketDataUpdate(_message.Message):
    __slots__ = ("stamp", "instrument", "feed", "seq", "previous_seq", "snapshot", "book", "best", "trade", "missed", "trades_through")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SEQ_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    TRADE_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    TRADES_THROUGH_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    instrument: int
    feed: Feed
    seq: int
    previous_seq: int
    snapshot: BookSnapshot
    book: BookUpdate
    best: BestBidOffer
    trade: Trade
    missed: TradesMissed
    trades_through: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., instrument: _Optional[int] = ..., feed: _Optional[_Union[Feed, str]] = ..., seq: _Optional[int] = ..., previous_seq: _Optional[int] = ..., snapshot: _Optional[_Union[BookSnapshot, _Mapping]] = ..., book: _Optional[_Union[BookUpdate, _Mapping]] = ..., best: _Optional[_Union[BestBidOffer, _Mapping]] = ..., trade: _Optional[_Union[Trade, _Mapping]] = ..., missed: _Optional[_Union[TradesMissed, _Mapping]] = ..., trades_through: _Optional[int] = ...) -> None: ...
