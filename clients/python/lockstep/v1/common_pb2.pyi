from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CommandKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMMAND_KIND_UNSPECIFIED: _ClassVar[CommandKind]
    COMMAND_KIND_NEW_ORDER: _ClassVar[CommandKind]
    COMMAND_KIND_CANCEL: _ClassVar[CommandKind]
    COMMAND_KIND_REPLACE: _ClassVar[CommandKind]
    COMMAND_KIND_MASS_CANCEL: _ClassVar[CommandKind]

class Side(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_UNSPECIFIED: _ClassVar[Side]
    SIDE_BUY: _ClassVar[Side]
    SIDE_SELL: _ClassVar[Side]

class OrderType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_TYPE_UNSPECIFIED: _ClassVar[OrderType]
    ORDER_TYPE_LIMIT: _ClassVar[OrderType]
    ORDER_TYPE_MARKET: _ClassVar[OrderType]
    ORDER_TYPE_STOP: _ClassVar[OrderType]
    ORDER_TYPE_STOP_LIMIT: _ClassVar[OrderType]
    ORDER_TYPE_TRAILING_STOP: _ClassVar[OrderType]
    ORDER_TYPE_OCO: _ClassVar[OrderType]

class TimeInForce(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIME_IN_FORCE_UNSPECIFIED: _ClassVar[TimeInForce]
    TIME_IN_FORCE_DAY: _ClassVar[TimeInForce]
    TIME_IN_FORCE_GTC: _ClassVar[TimeInForce]
    TIME_IN_FORCE_IOC: _ClassVar[TimeInForce]
    TIME_IN_FORCE_FOK: _ClassVar[TimeInForce]
    TIME_IN_FORCE_GTD: _ClassVar[TimeInForce]
    TIME_IN_FORCE_AT_OPEN: _ClassVar[TimeInForce]
    TIME_IN_FORCE_AT_CLOSE: _ClassVar[TimeInForce]
    TIME_IN_FORCE_GOOD_FOR_AUCTION: _ClassVar[TimeInForce]

class SelfTradePrevention(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SELF_TRADE_PREVENTION_NONE: _ClassVar[SelfTradePrevention]
    SELF_TRADE_PREVENTION_CANCEL_NEWEST: _ClassVar[SelfTradePrevention]
    SELF_TRADE_PREVENTION_CANCEL_OLDEST: _ClassVar[SelfTradePrevention]
    SELF_TRADE_PREVENTION_CANCEL_BOTH: _ClassVar[SelfTradePrevention]
    SELF_TRADE_PREVENTION_DECREMENT: _ClassVar[SelfTradePrevention]

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_PRE_OPEN: _ClassVar[Phase]
    PHASE_OPENING_AUCTION: _ClassVar[Phase]
    PHASE_CONTINUOUS: _ClassVar[Phase]
    PHASE_HALT: _ClassVar[Phase]
    PHASE_VOLATILITY_AUCTION: _ClassVar[Phase]
    PHASE_CLOSING_AUCTION: _ClassVar[Phase]
    PHASE_CLOSED: _ClassVar[Phase]

class OddLots(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ODD_LOTS_ACCEPT: _ClassVar[OddLots]
    ODD_LOTS_REFUSE: _ClassVar[OddLots]

class OddLotDisplay(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ODD_LOT_DISPLAY_SHOWN: _ClassVar[OddLotDisplay]
    ODD_LOT_DISPLAY_AGGREGATED: _ClassVar[OddLotDisplay]
    ODD_LOT_DISPLAY_OUT: _ClassVar[OddLotDisplay]

class ShortSaleAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHORT_SALE_ACTION_KEEP: _ClassVar[ShortSaleAction]
    SHORT_SALE_ACTION_BEGIN: _ClassVar[ShortSaleAction]
    SHORT_SALE_ACTION_END: _ClassVar[ShortSaleAction]

class LimitState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_STATE_NORMAL: _ClassVar[LimitState]
    LIMIT_STATE_LIMIT_UP: _ClassVar[LimitState]
    LIMIT_STATE_LIMIT_DOWN: _ClassVar[LimitState]
    LIMIT_STATE_STRADDLE: _ClassVar[LimitState]

class AccountStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_STATUS_ACTIVE: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_CLOSE_ONLY: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_RESTRICTED: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_BANNED: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_KILLED: _ClassVar[AccountStatus]

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_ACCEPTED: _ClassVar[EventKind]
    EVENT_KIND_REJECTED: _ClassVar[EventKind]
    EVENT_KIND_TRADE: _ClassVar[EventKind]
    EVENT_KIND_CANCELED: _ClassVar[EventKind]
    EVENT_KIND_REPLACED: _ClassVar[EventKind]
    EVENT_KIND_CANCEL_REJECTED: _ClassVar[EventKind]
    EVENT_KIND_REPLACE_REJECTED: _ClassVar[EventKind]
    EVENT_KIND_DUPLICATE: _ClassVar[EventKind]
    EVENT_KIND_MASS_CANCELED: _ClassVar[EventKind]
    EVENT_KIND_REDUCED: _ClassVar[EventKind]
    EVENT_KIND_TRIGGERED: _ClassVar[EventKind]
    EVENT_KIND_INDICATIVE: _ClassVar[EventKind]
    EVENT_KIND_INSTRUMENT_DEFINED: _ClassVar[EventKind]
    EVENT_KIND_ACCOUNT_DEFINED: _ClassVar[EventKind]
    EVENT_KIND_CASH_ADJUSTED: _ClassVar[EventKind]
    EVENT_KIND_POSITION_ADJUSTED: _ClassVar[EventKind]
    EVENT_KIND_ADMIN_REJECTED: _ClassVar[EventKind]
    EVENT_KIND_PHASE_CHANGED: _ClassVar[EventKind]
    EVENT_KIND_ACCOUNT_STATUS_SET: _ClassVar[EventKind]
    EVENT_KIND_RISK_LIMITS_SET: _ClassVar[EventKind]
    EVENT_KIND_FEES_SET: _ClassVar[EventKind]
    EVENT_KIND_PRICE_LIMITS_SET: _ClassVar[EventKind]
    EVENT_KIND_POSITION_TRANSFERRED: _ClassVar[EventKind]
    EVENT_KIND_MARGIN_SET: _ClassVar[EventKind]
    EVENT_KIND_INDEX_SET: _ClassVar[EventKind]
    EVENT_KIND_MARKET_BREAKER_SET: _ClassVar[EventKind]
    EVENT_KIND_MARKET_HALTED: _ClassVar[EventKind]
    EVENT_KIND_MARGIN_CALLED: _ClassVar[EventKind]
    EVENT_KIND_SESSION_OPENED: _ClassVar[EventKind]
    EVENT_KIND_THROTTLE_SET: _ClassVar[EventKind]
    EVENT_KIND_BANDS_SET: _ClassVar[EventKind]
    EVENT_KIND_BAND_WIDTH_SET: _ClassVar[EventKind]
    EVENT_KIND_BANDS_MOVED: _ClassVar[EventKind]
    EVENT_KIND_LOTS_SET: _ClassVar[EventKind]
    EVENT_KIND_LIMIT_STATE_CHANGED: _ClassVar[EventKind]
    EVENT_KIND_RESTRICTIONS_SET: _ClassVar[EventKind]
    EVENT_KIND_SHORT_SALES_SET: _ClassVar[EventKind]
    EVENT_KIND_SHORT_SALES_RESTRICTED: _ClassVar[EventKind]
    EVENT_KIND_EPOCH_STARTED: _ClassVar[EventKind]
    EVENT_KIND_GROWN: _ClassVar[EventKind]
    EVENT_KIND_GROW_WITHDRAWN: _ClassVar[EventKind]
    EVENT_KIND_TICKED: _ClassVar[EventKind]

class Code(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CODE_OK: _ClassVar[Code]
    CODE_MALFORMED_BATCH: _ClassVar[Code]
    CODE_UNKNOWN_ENUM_VALUE: _ClassVar[Code]
    CODE_PRICE_OUT_OF_RANGE: _ClassVar[Code]
    CODE_QUANTITY_OUT_OF_RANGE: _ClassVar[Code]
    CODE_BATCH_TOO_LARGE: _ClassVar[Code]
    CODE_NOT_ENTITLED: _ClassVar[Code]
    CODE_UNAUTHENTICATED: _ClassVar[Code]
    CODE_SESSION_TAKEN_OVER: _ClassVar[Code]
    CODE_FIELD_OUT_OF_RANGE: _ClassVar[Code]
    CODE_MISSING_FIELD: _ClassVar[Code]
    CODE_REPORTS_GONE: _ClassVar[Code]
    CODE_NOTED: _ClassVar[Code]
    CODE_SESSION_GAP: _ClassVar[Code]
    CODE_BUSY: _ClassVar[Code]
    CODE_UNAVAILABLE: _ClassVar[Code]
    CODE_SHUTTING_DOWN: _ClassVar[Code]
    CODE_STALE_CONNECTION: _ClassVar[Code]
    CODE_NOT_LEADER: _ClassVar[Code]
    CODE_WINDOW_FULL: _ClassVar[Code]
    CODE_STALE_EPOCH: _ClassVar[Code]
    CODE_LINK_GAP: _ClassVar[Code]
    CODE_UNKNOWN_ACCOUNT: _ClassVar[Code]
    CODE_INSUFFICIENT_CASH: _ClassVar[Code]
    CODE_INSUFFICIENT_POSITION: _ClassVar[Code]
    CODE_ACCOUNT_CLOSE_ONLY: _ClassVar[Code]
    CODE_ACCOUNT_RESTRICTED: _ClassVar[Code]
    CODE_ACCOUNT_BANNED: _ClassVar[Code]
    CODE_ACCOUNT_KILLED: _ClassVar[Code]
    CODE_ORDER_TOO_LARGE: _ClassVar[Code]
    CODE_ORDER_WORTH_TOO_MUCH: _ClassVar[Code]
    CODE_POSITION_LIMIT: _ClassVar[Code]
    CODE_DAILY_ORDER_LIMIT: _ClassVar[Code]
    CODE_ORDER_RATE: _ClassVar[Code]
    CODE_ORDER_TO_TRADE_RATIO: _ClassVar[Code]
    CODE_CONCENTRATION_LIMIT: _ClassVar[Code]
    CODE_PRICE_COLLAR: _ClassVar[Code]
    CODE_SHORT_SALE: _ClassVar[Code]
    CODE_INSUFFICIENT_MARGIN: _ClassVar[Code]
    CODE_MARGIN_CALL: _ClassVar[Code]
    CODE_DAY_TRADER: _ClassVar[Code]
    CODE_INSTRUMENT_THROTTLED: _ClassVar[Code]
    CODE_MARKET_THROTTLED: _ClassVar[Code]
    CODE_INSTRUMENT_RESTRICTED: _ClassVar[Code]
    CODE_OWNERSHIP_LIMIT: _ClassVar[Code]
    CODE_NOT_LOCATED: _ClassVar[Code]
    CODE_SHORT_SALE_PRICE: _ClassVar[Code]
    CODE_UNKNOWN_INSTRUMENT: _ClassVar[Code]
    CODE_BAD_PRICE: _ClassVar[Code]
    CODE_BAD_QUANTITY: _ClassVar[Code]
    CODE_DUPLICATE_ORDER_ID: _ClassVar[Code]
    CODE_UNKNOWN_ORDER: _ClassVar[Code]
    CODE_NOT_SUPPORTED: _ClassVar[Code]
    CODE_SESSION_OUT_OF_ORDER: _ClassVar[Code]
    CODE_ALREADY_DEFINED: _ClassVar[Code]
    CODE_OVERFLOW: _ClassVar[Code]
    CODE_UNKNOWN_COMMAND: _ClassVar[Code]
    CODE_BAD_DEFINITION: _ClassVar[Code]
    CODE_WOULD_TRADE: _ClassVar[Code]
    CODE_BAD_EXPIRY: _ClassVar[Code]
    CODE_WRONG_PHASE: _ClassVar[Code]
    CODE_OUTSIDE_BAND: _ClassVar[Code]
    CODE_ORDERS_LIVE: _ClassVar[Code]
    CODE_BAD_STOP_PRICE: _ClassVar[Code]
    CODE_BAD_DISPLAY: _ClassVar[Code]
    CODE_BAD_MINIMUM: _ClassVar[Code]
    CODE_KEY_REUSED: _ClassVar[Code]
    CODE_BAD_PARENT: _ClassVar[Code]
    CODE_TOO_MANY_CHILDREN: _ClassVar[Code]
    CODE_ODD_LOT: _ClassVar[Code]
    CODE_SESSION_CLOSED: _ClassVar[Code]
    CODE_CANCEL_REQUESTED: _ClassVar[Code]
    CODE_IOC_REMAINDER: _ClassVar[Code]
    CODE_FOK_UNFILLABLE: _ClassVar[Code]
    CODE_NO_LIQUIDITY: _ClassVar[Code]
    CODE_MASS_CANCEL: _ClassVar[Code]
    CODE_SELF_TRADE: _ClassVar[Code]
    CODE_MIN_QUANTITY: _ClassVar[Code]
    CODE_EXPIRED: _ClassVar[Code]
    CODE_DISCONNECTED: _ClassVar[Code]
    CODE_AUCTION_ENDED: _ClassVar[Code]
    CODE_ACCOUNT_BLOCKED: _ClassVar[Code]
    CODE_PARENT_ENDED: _ClassVar[Code]
    CODE_HALTED: _ClassVar[Code]
    CODE_BAND_MOVED: _ClassVar[Code]
COMMAND_KIND_UNSPECIFIED: CommandKind
COMMAND_KIND_NEW_ORDER: CommandKind
COMMAND_KIND_CANCEL: CommandKind
COMMAND_KIND_REPLACE: CommandKind
COMMAND_KIND_MASS_CANCEL: CommandKind
SIDE_UNSPECIFIED: Side
SIDE_BUY: Side
SIDE_SELL: Side
ORDER_TYPE_UNSPECIFIED: OrderType
ORDER_TYPE_LIMIT: OrderType
ORDER_TYPE_MARKET: OrderType
ORDER_TYPE_STOP: OrderType
ORDER_TYPE_STOP_LIMIT: OrderType
ORDER_TYPE_TRAILING_STOP: OrderType
ORDER_TYPE_OCO: OrderType
TIME_IN_FORCE_UNSPECIFIED: TimeInForce
TIME_IN_FORCE_DAY: TimeInForce
TIME_IN_FORCE_GTC: TimeInForce
TIME_IN_FORCE_IOC: TimeInForce
TIME_IN_FORCE_FOK: TimeInForce
TIME_IN_FORCE_GTD: TimeInForce
TIME_IN_FORCE_AT_OPEN: TimeInForce
TIME_IN_FORCE_AT_CLOSE: TimeInForce
TIME_IN_FORCE_GOOD_FOR_AUCTION: TimeInForce
SELF_TRADE_PREVENTION_NONE: SelfTradePrevention
SELF_TRADE_PREVENTION_CANCEL_NEWEST: SelfTradePrevention
SELF_TRADE_PREVENTION_CANCEL_OLDEST: SelfTradePrevention
SELF_TRADE_PREVENTION_CANCEL_BOTH: SelfTradePrevention
SELF_TRADE_PREVENTION_DECREMENT: SelfTradePrevention
PHASE_UNSPECIFIED: Phase
PHASE_PRE_OPEN: Phase
PHASE_OPENING_AUCTION: Phase
PHASE_CONTINUOUS: Phase
PHASE_HALT: Phase
PHASE_VOLATILITY_AUCTION: Phase
PHASE_CLOSING_AUCTION: Phase
PHASE_CLOSED: Phase
ODD_LOTS_ACCEPT: OddLots
ODD_LOTS_REFUSE: OddLots
ODD_LOT_DISPLAY_SHOWN: OddLotDisplay
ODD_LOT_DISPLAY_AGGREGATED: OddLotDisplay
ODD_LOT_DISPLAY_OUT: OddLotDisplay
SHORT_SALE_ACTION_KEEP: ShortSaleAction
SHORT_SALE_ACTION_BEGIN: ShortSaleAction
SHORT_SALE_ACTION_END: ShortSaleAction
LIMIT_STATE_NORMAL: LimitState
LIMIT_STATE_LIMIT_UP: LimitState
LIMIT_STATE_LIMIT_DOWN: LimitState
LIMIT_STATE_STRADDLE: LimitState
ACCOUNT_STATUS_ACTIVE: AccountStatus
ACCOUNT_STATUS_CLOSE_ONLY: AccountStatus
ACCOUNT_STATUS_RESTRICTED: AccountStatus
ACCOUNT_STATUS_BANNED: AccountStatus
ACCOUNT_STATUS_KILLED: AccountStatus
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_ACCEPTED: EventKind
EVENT_KIND_REJECTED: EventKind
EVENT_KIND_TRADE: EventKind
EVENT_KIND_CANCELED: EventKind
EVENT_KIND_REPLACED: EventKind
EVENT_KIND_CANCEL_REJECTED: EventKind
EVENT_KIND_REPLACE_REJECTED: EventKind
EVENT_KIND_DUPLICATE: EventKind
EVENT_KIND_MASS_CANCELED: EventKind
EVENT_KIND_REDUCED: EventKind
EVENT_KIND_TRIGGERED: EventKind
EVENT_KIND_INDICATIVE: EventKind
EVENT_KIND_INSTRUMENT_DEFINED: EventKind
EVENT_KIND_ACCOUNT_DEFINED: EventKind
EVENT_KIND_CASH_ADJUSTED: EventKind
EVENT_KIND_POSITION_ADJUSTED: EventKind
EVENT_KIND_ADMIN_REJECTED: EventKind
EVENT_KIND_PHASE_CHANGED: EventKind
EVENT_KIND_ACCOUNT_STATUS_SET: EventKind
EVENT_KIND_RISK_LIMITS_SET: EventKind
EVENT_KIND_FEES_SET: EventKind
EVENT_KIND_PRICE_LIMITS_SET: EventKind
EVENT_KIND_POSITION_TRANSFERRED: EventKind
EVENT_KIND_MARGIN_SET: EventKind
EVENT_KIND_INDEX_SET: EventKind
EVENT_KIND_MARKET_BREAKER_SET: EventKind
EVENT_KIND_MARKET_HALTED: EventKind
EVENT_KIND_MARGIN_CALLED: EventKind
EVENT_KIND_SESSION_OPENED: EventKind
EVENT_KIND_THROTTLE_SET: EventKind
EVENT_KIND_BANDS_SET: EventKind
EVENT_KIND_BAND_WIDTH_SET: EventKind
EVENT_KIND_BANDS_MOVED: EventKind
EVENT_KIND_LOTS_SET: EventKind
EVENT_KIND_LIMIT_STATE_CHANGED: EventKind
EVENT_KIND_RESTRICTIONS_SET: EventKind
EVENT_KIND_SHORT_SALES_SET: EventKind
EVENT_KIND_SHORT_SALES_RESTRICTED: EventKind
EVENT_KIND_EPOCH_STARTED: EventKind
EVENT_KIND_GROWN: EventKind
EVENT_KIND_GROW_WITHDRAWN: EventKind
EVENT_KIND_TICKED: EventKind
CODE_OK: Code
CODE_MALFORMED_BATCH: Code
CODE_UNKNOWN_ENUM_VALUE: Code
CODE_PRICE_OUT_OF_RANGE: Code
CODE_QUANTITY_OUT_OF_RANGE: Code
CODE_BATCH_TOO_LARGE: Code
CODE_NOT_ENTITLED: Code
CODE_UNAUTHENTICATED: Code
CODE_SESSION_TAKEN_OVER: Code
CODE_FIELD_OUT_OF_RANGE: Code
CODE_MISSING_FIELD: Code
CODE_REPORTS_GONE: Code
CODE_NOTED: Code
CODE_SESSION_GAP: Code
CODE_BUSY: Code
CODE_UNAVAILABLE: Code
CODE_SHUTTING_DOWN: Code
CODE_STALE_CONNECTION: Code
CODE_NOT_LEADER: Code
CODE_WINDOW_FULL: Code
CODE_STALE_EPOCH: Code
CODE_LINK_GAP: Code
CODE_UNKNOWN_ACCOUNT: Code
CODE_INSUFFICIENT_CASH: Code
CODE_INSUFFICIENT_POSITION: Code
CODE_ACCOUNT_CLOSE_ONLY: Code
CODE_ACCOUNT_RESTRICTED: Code
CODE_ACCOUNT_BANNED: Code
CODE_ACCOUNT_KILLED: Code
CODE_ORDER_TOO_LARGE: Code
CODE_ORDER_WORTH_TOO_MUCH: Code
CODE_POSITION_LIMIT: Code
CODE_DAILY_ORDER_LIMIT: Code
CODE_ORDER_RATE: Code
CODE_ORDER_TO_TRADE_RATIO: Code
CODE_CONCENTRATION_LIMIT: Code
CODE_PRICE_COLLAR: Code
CODE_SHORT_SALE: Code
CODE_INSUFFICIENT_MARGIN: Code
CODE_MARGIN_CALL: Code
CODE_DAY_TRADER: Code
CODE_INSTRUMENT_THROTTLED: Code
CODE_MARKET_THROTTLED: Code
CODE_INSTRUMENT_RESTRICTED: Code
CODE_OWNERSHIP_LIMIT: Code
CODE_NOT_LOCATED: Code
CODE_SHORT_SALE_PRICE: Code
CODE_UNKNOWN_INSTRUMENT: Code
CODE_BAD_PRICE: Code
CODE_BAD_QUANTITY: Code
CODE_DUPLICATE_ORDER_ID: Code
CODE_UNKNOWN_ORDER: Code
CODE_NOT_SUPPORTED: Code
CODE_SESSION_OUT_OF_ORDER: Code
CODE_ALREADY_DEFINED: Code
CODE_OVERFLOW: Code
CODE_UNKNOWN_COMMAND: Code
CODE_BAD_DEFINITION: Code
CODE_WOULD_TRADE: Code
CODE_BAD_EXPIRY: Code
CODE_WRONG_PHASE: Code
CODE_OUTSIDE_BAND: Code
CODE_ORDERS_LIVE: Code
CODE_BAD_STOP_PRICE: Code
CODE_BAD_DISPLAY: Code
CODE_BAD_MINIMUM: Code
CODE_KEY_REUSED: Code
CODE_BAD_PARENT: Code
CODE_TOO_MANY_CHILDREN: Code
CODE_ODD_LOT: Code
CODE_SESSION_CLOSED: Code
CODE_CANCEL_REQUESTED: Code
CODE_IOC_REMAINDER: Code
CODE_FOK_UNFILLABLE: Code
CODE_NO_LIQUIDITY: Code
CODE_MASS_CANCEL: Code
CODE_SELF_TRADE: Code
CODE_MIN_QUANTITY: Code
CODE_EXPIRED: Code
CODE_DISCONNECTED: Code
CODE_AUCTION_ENDED: Code
CODE_ACCOUNT_BLOCKED: Code
CODE_PARENT_ENDED: Code
CODE_HALTED: Code
CODE_BAND_MOVED: Code

class EventId(_message.Message):
    __slots__ = ("seq", "index")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    seq: int
    index: int
    def __init__(self, seq: _Optional[int] = ..., index: _Optional[int] = ...) -> None: ...

class Stamp(_message.Message):
    __slots__ = ("epoch", "seq", "event_id")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    seq: int
    event_id: EventId
    def __init__(self, epoch: _Optional[int] = ..., seq: _Optional[int] = ..., event_id: _Optional[_Union[EventId, _Mapping]] = ...) -> None: ...

class Instrument(_message.Message):
    __slots__ = ("id", "symbol", "tick_micros", "lot_units", "phase", "last_price_ticks")
    ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TICK_MICROS_FIELD_NUMBER: _ClassVar[int]
    LOT_UNITS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    LAST_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    id: int
    symbol: str
    tick_micros: int
    lot_units: int
    phase: Phase
    last_price_ticks: int
    def __init__(self, id: _Optional[int] = ..., symbol: _Optional[str] = ..., tick_micros: _Optional[int] = ..., lot_units: _Optional[int] = ..., phase: _Optional[_Union[Phase, str]] = ..., last_price_ticks: _Optional[int] = ...) -> None: ...

class ExecutionReport(_message.Message):
    __slots__ = ("event_id", "epoch", "leg", "kind", "code", "side", "account", "instrument", "session_no", "order_id", "client_order_id", "price_ticks", "quantity_lots", "leaves_lots", "counterparty_order_id", "fee_micros", "flags", "timestamp_ns", "previous_price_ticks", "previous_leaves_lots", "original_seq")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
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
    event_id: EventId
    epoch: int
    leg: int
    kind: EventKind
    code: Code
    side: Side
    account: int
    instrument: int
    session_no: int
    order_id: int
    client_order_id: int
    price_ticks: int
    quantity_lots: int
    leaves_lots: int
    counterparty_order_id: int
    fee_micros: int
    flags: int
    timestamp_ns: int
    previous_price_ticks: int
    previous_leaves_lots: int
    original_seq: int
    def __init__(self, event_id: _Optional[_Union[EventId, _Mapping]] = ..., epoch: _Optional[int] = ..., leg: _Optional[int] = ..., kind: _Optional[_Union[EventKind, str]] = ..., code: _Optional[_Union[Code, str]] = ..., side: _Optional[_Union[Side, str]] = ..., account: _Optional[int] = ..., instrument: _Optional[int] = ..., session_no: _Optional[int] = ..., order_id: _Optional[int] = ..., client_order_id: _Optional[int] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., leaves_lots: _Optional[int] = ..., counterparty_order_id: _Optional[int] = ..., fee_micros: _Optional[int] = ..., flags: _Optional[int] = ..., timestamp_ns: _Optional[int] = ..., previous_price_ticks: _Optional[int] = ..., previous_leaves_lots: _Optional[int] = ..., original_seq: _Optional[int] = ...) -> None: ...
