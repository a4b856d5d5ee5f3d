from lockstep.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IdempotencyKey(_message.Message):
    __slots__ = ("session_id", "session_no")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    session_id: int
    session_no: int
    def __init__(self, session_id: _Optional[int] = ..., session_no: _Optional[int] = ...) -> None: ...

class NewOrder(_message.Message):
    __slots__ = ("account", "instrument", "side", "order_type", "tif", "stp", "flags", "client_order_id", "price_ticks", "quantity_lots", "stop_price_ticks", "display_lots", "min_lots", "expire_ns", "trail_ticks", "tag", "parent_id")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ORDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIF_FIELD_NUMBER: _ClassVar[int]
    STP_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    STOP_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_LOTS_FIELD_NUMBER: _ClassVar[int]
    MIN_LOTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_NS_FIELD_NUMBER: _ClassVar[int]
    TRAIL_TICKS_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    account: int
    instrument: int
    side: _common_pb2.Side
    order_type: _common_pb2.OrderType
    tif: _common_pb2.TimeInForce
    stp: _common_pb2.SelfTradePrevention
    flags: int
    client_order_id: int
    price_ticks: int
    quantity_lots: int
    stop_price_ticks: int
    display_lots: int
    min_lots: int
    expire_ns: int
    trail_ticks: int
    tag: int
    parent_id: int
    def __init__(self, account: _Optional[int] = ..., instrument: _Optional[int] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., order_type: _Optional[_Union[_common_pb2.OrderType, str]] = ..., tif: _Optional[_Union[_common_pb2.TimeInForce, str]] = ..., stp: _Optional[_Union[_common_pb2.SelfTradePrevention, str]] = ..., flags: _Optional[int] = ..., client_order_id: _Optional[int] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., stop_price_ticks: _Optional[int] = ..., display_lots: _Optional[int] = ..., min_lots: _Optional[int] = ..., expire_ns: _Optional[int] = ..., trail_ticks: _Optional[int] = ..., tag: _Optional[int] = ..., parent_id: _Optional[int] = ...) -> None: ...

class OrderRef(_message.Message):
    __slots__ = ("account", "order_id", "client_order_id")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    account: int
    order_id: int
    client_order_id: int
    def __init__(self, account: _Optional[int] = ..., order_id: _Optional[int] = ..., client_order_id: _Optional[int] = ...) -> None: ...

class CancelOrder(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: OrderRef
    def __init__(self, order: _Optional[_Union[OrderRef, _Mapping]] = ...) -> None: ...

class ReplaceOrder(_message.Message):
    __slots__ = ("order", "price_ticks", "quantity_lots", "stop_price_ticks")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    STOP_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    order: OrderRef
    price_ticks: int
    quantity_lots: int
    stop_price_ticks: int
    def __init__(self, order: _Optional[_Union[OrderRef, _Mapping]] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., stop_price_ticks: _Optional[int] = ...) -> None: ...

class MassCancelOrders(_message.Message):
    __slots__ = ("account", "instrument", "side", "session_id", "block")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    account: int
    instrument: int
    side: _common_pb2.Side
    session_id: int
    block: bool
    def __init__(self, account: _Optional[int] = ..., instrument: _Optional[int] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., session_id: _Optional[int] = ..., block: bool = ...) -> None: ...

class Note(_message.Message):
    __slots__ = ("high", "low")
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    high: int
    low: int
    def __init__(self, high: _Optional[int] = ..., low: _Optional[int] = ...) -> None: ...

class DefineInstrument(_message.Message):
    __slots__ = ("instrument",)
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    instrument: _common_pb2.Instrument
    def __init__(self, instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ...) -> None: ...

class DefineAccount(_message.Message):
    __slots__ = ("account", "name", "unlimited_cash", "unlimited_positions", "margin", "short_sales", "day_trade_rule")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNLIMITED_CASH_FIELD_NUMBER: _ClassVar[int]
    UNLIMITED_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    SHORT_SALES_FIELD_NUMBER: _ClassVar[int]
    DAY_TRADE_RULE_FIELD_NUMBER: _ClassVar[int]
    account: int
    name: str
    unlimited_cash: bool
    unlimited_positions: bool
    margin: bool
    short_sales: bool
    day_trade_rule: bool
    def __init__(self, account: _Optional[int] = ..., name: _Optional[str] = ..., unlimited_cash: bool = ..., unlimited_positions: bool = ..., margin: bool = ..., short_sales: bool = ..., day_trade_rule: bool = ...) -> None: ...

class AdjustCash(_message.Message):
    __slots__ = ("account", "amount_micros")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MICROS_FIELD_NUMBER: _ClassVar[int]
    account: int
    amount_micros: int
    def __init__(self, account: _Optional[int] = ..., amount_micros: _Optional[int] = ...) -> None: ...

class AdjustPosition(_message.Message):
    __slots__ = ("account", "instrument", "quantity_lots")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    account: int
    instrument: int
    quantity_lots: int
    def __init__(self, account: _Optional[int] = ..., instrument: _Optional[int] = ..., quantity_lots: _Optional[int] = ...) -> None: ...

class SetPhase(_message.Message):
    __slots__ = ("instrument", "phase", "next_phase", "until_ns", "reference_price_ticks")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PHASE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    phase: _common_pb2.Phase
    next_phase: _common_pb2.Phase
    until_ns: int
    reference_price_ticks: int
    def __init__(self, instrument: _Optional[int] = ..., phase: _Optional[_Union[_common_pb2.Phase, str]] = ..., next_phase: _Optional[_Union[_common_pb2.Phase, str]] = ..., until_ns: _Optional[int] = ..., reference_price_ticks: _Optional[int] = ...) -> None: ...

class SetAccountStatus(_message.Message):
    __slots__ = ("account", "status")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    account: int
    status: _common_pb2.AccountStatus
    def __init__(self, account: _Optional[int] = ..., status: _Optional[_Union[_common_pb2.AccountStatus, str]] = ...) -> None: ...

class SetRiskLimits(_message.Message):
    __slots__ = ("account", "max_order_lots", "max_order_micros", "max_position_lots", "max_orders_per_day", "orders_per_second", "burst_orders", "max_orders_per_trade", "max_concentration_ppm")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDER_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDER_MICROS_FIELD_NUMBER: _ClassVar[int]
    MAX_POSITION_LOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDERS_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    ORDERS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BURST_ORDERS_FIELD_NUMBER: _ClassVar[int]
    MAX_ORDERS_PER_TRADE_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCENTRATION_PPM_FIELD_NUMBER: _ClassVar[int]
    account: int
    max_order_lots: int
    max_order_micros: int
    max_position_lots: int
    max_orders_per_day: int
    orders_per_second: int
    burst_orders: int
    max_orders_per_trade: int
    max_concentration_ppm: int
    def __init__(self, account: _Optional[int] = ..., max_order_lots: _Optional[int] = ..., max_order_micros: _Optional[int] = ..., max_position_lots: _Optional[int] = ..., max_orders_per_day: _Optional[int] = ..., orders_per_second: _Optional[int] = ..., burst_orders: _Optional[int] = ..., max_orders_per_trade: _Optional[int] = ..., max_concentration_ppm: _Optional[int] = ...) -> None: ...

class SetFees(_message.Message):
    __slots__ = ("instrument", "maker_fee_ppm", "taker_fee_ppm")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    MAKER_FEE_PPM_FIELD_NUMBER: _ClassVar[int]
    TAKER_FEE_PPM_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    def __init__(self, instrument: _Optional[int] = ..., maker_fee_ppm: _Optional[int] = ..., taker_fee_ppm: _Optional[int] = ...) -> None: ...

class SetPriceLimits(_message.Message):
    __slots__ = ("instrument", "band_ppm", "collar_ppm", "breaker_ppm", "breaker_window_ns", "breaker_pause_ns", "breaker_phase")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    BAND_PPM_FIELD_NUMBER: _ClassVar[int]
    COLLAR_PPM_FIELD_NUMBER: _ClassVar[int]
    BREAKER_PPM_FIELD_NUMBER: _ClassVar[int]
    BREAKER_WINDOW_NS_FIELD_NUMBER: _ClassVar[int]
    BREAKER_PAUSE_NS_FIELD_NUMBER: _ClassVar[int]
    BREAKER_PHASE_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    band_ppm: int
    collar_ppm: int
    breaker_ppm: int
    breaker_window_ns: int
    breaker_pause_ns: int
    breaker_phase: _common_pb2.Phase
    def __init__(self, instrument: _Optional[int] = ..., band_ppm: _Optional[int] = ..., collar_ppm: _Optional[int] = ..., breaker_ppm: _Optional[int] = ..., breaker_window_ns: _Optional[int] = ..., breaker_pause_ns: _Optional[int] = ..., breaker_phase: _Optional[_Union[_common_pb2.Phase, str]] = ...) -> None: ...

class SetMargin(_message.Message):
    __slots__ = ("instrument", "initial_margin_ppm", "maintenance_margin_ppm")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_MARGIN_PPM_FIELD_NUMBER: _ClassVar[int]
    MAINTENANCE_MARGIN_PPM_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    initial_margin_ppm: int
    maintenance_margin_ppm: int
    def __init__(self, instrument: _Optional[int] = ..., initial_margin_ppm: _Optional[int] = ..., maintenance_margin_ppm: _Optional[int] = ...) -> None: ...

class SetIndex(_message.Message):
    __slots__ = ("instrument", "index_weight", "close_price_ticks")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    INDEX_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CLOSE_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    index_weight: int
    close_price_ticks: int
    def __init__(self, instrument: _Optional[int] = ..., index_weight: _Optional[int] = ..., close_price_ticks: _Optional[int] = ...) -> None: ...

class SetMarketBreaker(_message.Message):
    __slots__ = ("level1_ppm", "level2_ppm", "level3_ppm", "pause_ns")
    LEVEL1_PPM_FIELD_NUMBER: _ClassVar[int]
    LEVEL2_PPM_FIELD_NUMBER: _ClassVar[int]
    LEVEL3_PPM_FIELD_NUMBER: _ClassVar[int]
    PAUSE_NS_FIELD_NUMBER: _ClassVar[int]
    level1_ppm: int
    level2_ppm: int
    level3_ppm: int
    pause_ns: int
    def __init__(self, level1_ppm: _Optional[int] = ..., level2_ppm: _Optional[int] = ..., level3_ppm: _Optional[int] = ..., pause_ns: _Optional[int] = ...) -> None: ...

class SetThrottle(_message.Message):
    __slots__ = ("instrument", "orders_per_second", "burst_orders")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    ORDERS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BURST_ORDERS_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    orders_per_second: int
    burst_orders: int
    def __init__(self, instrument: _Optional[int] = ..., orders_per_second: _Optional[int] = ..., burst_orders: _Optional[int] = ...) -> None: ...

class SetBands(_message.Message):
    __slots__ = ("instrument", "high_ppm", "middle_ppm", "low_ppm", "step_ppm", "high_above_ticks", "low_below_ticks", "low_most_ticks", "window_ns", "limit_ns", "pause_ns")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    HIGH_PPM_FIELD_NUMBER: _ClassVar[int]
    MIDDLE_PPM_FIELD_NUMBER: _ClassVar[int]
    LOW_PPM_FIELD_NUMBER: _ClassVar[int]
    STEP_PPM_FIELD_NUMBER: _ClassVar[int]
    HIGH_ABOVE_TICKS_FIELD_NUMBER: _ClassVar[int]
    LOW_BELOW_TICKS_FIELD_NUMBER: _ClassVar[int]
    LOW_MOST_TICKS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_NS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NS_FIELD_NUMBER: _ClassVar[int]
    PAUSE_NS_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    high_ppm: int
    middle_ppm: int
    low_ppm: int
    step_ppm: int
    high_above_ticks: int
    low_below_ticks: int
    low_most_ticks: int
    window_ns: int
    limit_ns: int
    pause_ns: int
    def __init__(self, instrument: _Optional[int] = ..., high_ppm: _Optional[int] = ..., middle_ppm: _Optional[int] = ..., low_ppm: _Optional[int] = ..., step_ppm: _Optional[int] = ..., high_above_ticks: _Optional[int] = ..., low_below_ticks: _Optional[int] = ..., low_most_ticks: _Optional[int] = ..., window_ns: _Optional[int] = ..., limit_ns: _Optional[int] = ..., pause_ns: _Optional[int] = ...) -> None: ...

class SetBandWidth(_message.Message):
    __slots__ = ("instrument", "value", "reference_price_ticks")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    value: int
    reference_price_ticks: int
    def __init__(self, instrument: _Optional[int] = ..., value: _Optional[int] = ..., reference_price_ticks: _Optional[int] = ...) -> None: ...

class SetLots(_message.Message):
    __slots__ = ("instrument", "round1_lots", "round2_lots", "round3_lots", "round4_lots", "above2_ticks", "above3_ticks", "above4_ticks", "odd_lots", "display")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    ROUND1_LOTS_FIELD_NUMBER: _ClassVar[int]
    ROUND2_LOTS_FIELD_NUMBER: _ClassVar[int]
    ROUND3_LOTS_FIELD_NUMBER: _ClassVar[int]
    ROUND4_LOTS_FIELD_NUMBER: _ClassVar[int]
    ABOVE2_TICKS_FIELD_NUMBER: _ClassVar[int]
    ABOVE3_TICKS_FIELD_NUMBER: _ClassVar[int]
    ABOVE4_TICKS_FIELD_NUMBER: _ClassVar[int]
    ODD_LOTS_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    round1_lots: int
    round2_lots: int
    round3_lots: int
    round4_lots: int
    above2_ticks: int
    above3_ticks: int
    above4_ticks: int
    odd_lots: _common_pb2.OddLots
    display: _common_pb2.OddLotDisplay
    def __init__(self, instrument: _Optional[int] = ..., round1_lots: _Optional[int] = ..., round2_lots: _Optional[int] = ..., round3_lots: _Optional[int] = ..., round4_lots: _Optional[int] = ..., above2_ticks: _Optional[int] = ..., above3_ticks: _Optional[int] = ..., above4_ticks: _Optional[int] = ..., odd_lots: _Optional[_Union[_common_pb2.OddLots, str]] = ..., display: _Optional[_Union[_common_pb2.OddLotDisplay, str]] = ...) -> None: ...

class SetRestrictions(_message.Message):
    __slots__ = ("account", "instrument", "bars", "max_share_ppm", "outstanding_lots", "located_lots")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    BARS_FIELD_NUMBER: _ClassVar[int]
    MAX_SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_LOTS_FIELD_NUMBER: _ClassVar[int]
    LOCATED_LOTS_FIELD_NUMBER: _ClassVar[int]
    account: int
    instrument: int
    bars: int
    max_share_ppm: int
    outstanding_lots: int
    located_lots: int
    def __init__(self, account: _Optional[int] = ..., instrument: _Optional[int] = ..., bars: _Optional[int] = ..., max_share_ppm: _Optional[int] = ..., outstanding_lots: _Optional[int] = ..., located_lots: _Optional[int] = ...) -> None: ...

class SetShortSales(_message.Message):
    __slots__ = ("instrument", "fall_ppm", "action")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    FALL_PPM_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    instrument: int
    fall_ppm: int
    action: _common_pb2.ShortSaleAction
    def __init__(self, instrument: _Optional[int] = ..., fall_ppm: _Optional[int] = ..., action: _Optional[_Union[_common_pb2.ShortSaleAction, str]] = ...) -> None: ...

class TransferPosition(_message.Message):
    __slots__ = ("account", "to_account", "instrument", "quantity_lots")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TO_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    account: int
    to_account: int
    instrument: int
    quantity_lots: int
    def __init__(self, account: _Optional[int] = ..., to_account: _Optional[int] = ..., instrument: _Optional[int] = ..., quantity_lots: _Optional[int] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("session_no", "new_order", "cancel", "replace", "mass_cancel", "define_instrument", "define_account", "adjust_cash", "adjust_position", "set_phase", "set_account_status", "set_risk_limits", "set_fees", "set_price_limits", "transfer_position", "set_margin", "set_index", "set_market_breaker", "note", "set_throttle", "set_bands", "set_band_width", "set_lots", "set_restrictions", "set_short_sales")
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    NEW_ORDER_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    MASS_CANCEL_FIELD_NUMBER: _ClassVar[int]
    DEFINE_INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    DEFINE_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ADJUST_CASH_FIELD_NUMBER: _ClassVar[int]
    ADJUST_POSITION_FIELD_NUMBER: _ClassVar[int]
    SET_PHASE_FIELD_NUMBER: _ClassVar[int]
    SET_ACCOUNT_STATUS_FIELD_NUMBER: _ClassVar[int]
    SET_RISK_LIMITS_FIELD_NUMBER: _ClassVar[int]
    SET_FEES_FIELD_NUMBER: _ClassVar[int]
    SET_PRICE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_POSITION_FIELD_NUMBER: _ClassVar[int]
    SET_MARGIN_FIELD_NUMBER: _ClassVar[int]
    SET_INDEX_FIELD_NUMBER: _ClassVar[int]
    SET_MARKET_BREAKER_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    SET_THROTTLE_FIELD_NUMBER: _ClassVar[int]
    SET_BANDS_FIELD_NUMBER: _ClassVar[int]
    SET_BAND_WIDTH_FIELD_NUMBER: _ClassVar[int]
    SET_LOTS_FIELD_NUMBER: _ClassVar[int]
    SET_RESTRICTIONS_FIELD_NUMBER: _ClassVar[int]
    SET_SHORT_SALES_FIELD_NUMBER: _ClassVar[int]
    session_no: int
    new_order: NewOrder
    cancel: CancelOrder
    replace: ReplaceOrder
    mass_cancel: MassCancelOrders
    define_instrument: DefineInstrument
    define_account: DefineAccount
    adjust_cash: AdjustCash
    adjust_position: AdjustPosition
    set_phase: SetPhase
    set_account_status: SetAccountStatus
    set_risk_limits: SetRiskLimits
    set_fees: SetFees
    set_price_limits: SetPriceLimits
    transfer_position: TransferPosition
    set_margin: SetMargin
    set_index: SetIndex
    set_market_breaker: SetMarketBreaker
    note: Note
    set_throttle: SetThrottle
    set_bands: SetBands
    set_band_width: SetBandWidth
    set_lots: SetLots
    set_restrictions: SetRestrictions
    set_short_sales: SetShortSales
    def __init__(self, session_no: _Optional[int] = ..., new_order: _Optional[_Union[NewOrder, _Mapping]] = ..., cancel: _Optional[_Union[CancelOrder, _Mapping]] = ..., replace: _Optional[_Union[ReplaceOrder, _Mapping]] = ..., mass_cancel: _Optional[_Union[MassCancelOrders, _Mapping]] = ..., define_instrument: _Optional[_Union[DefineInstrument, _Mapping]] = ..., define_account: _Optional[_Union[DefineAccount, _Mapping]] = ..., adjust_cash: _Optional[_Union[AdjustCash, _Mapping]] = ..., adjust_position: _Optional[_Union[AdjustPosition, _Mapping]] = ..., set_phase: _Optional[_Union[SetPhase, _Mapping]] = ..., set_account_status: _Optional[_Union[SetAccountStatus, _Mapping]] = ..., set_risk_limits: _Optional[_Union[SetRiskLimits, _Mapping]] = ..., set_fees: _Optional[_Union[SetFees, _Mapping]] = ..., set_price_limits: _Optional[_Union[SetPriceLimits, _Mapping]] = ..., transfer_position: _Optional[_Union[TransferPosition, _Mapping]] = ..., set_margin: _Optional[_Union[SetMargin, _Mapping]] = ..., set_index: _Optional[_Union[SetIndex, _Mapping]] = ..., set_market_breaker: _Optional[_Union[SetMarketBreaker, _Mapping]] = ..., note: _Optional[_Union[Note, _Mapping]] = ..., set_throttle: _Optional[_Union[SetThrottle, _Mapping]] = ..., set_bands: _Optional[_Union[SetBands, _Mapping]] = ..., set_band_width: _Optional[_Union[SetBandWidth, _Mapping]] = ..., set_lots: _Optional[_Union[SetLots, _Mapping]] = ..., set_restrictions: _Optional[_Union[SetRestrictions, _Mapping]] = ..., set_short_sales: _Optional[_Union[SetShortSales, _Mapping]] = ...) -> None: ...

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
    kind: _containers.RepeatedScalarFieldContainer[_common_pb2.CommandKind]
    side: _containers.RepeatedScalarFieldContainer[_common_pb2.Side]
    order_type: _containers.RepeatedScalarFieldContainer[_common_pb2.OrderType]
    tif: _containers.RepeatedScalarFieldContainer[_common_pb2.TimeInForce]
    stp: _containers.RepeatedScalarFieldContainer[_common_pb2.SelfTradePrevention]
    flags: _containers.RepeatedScalarFieldContainer[int]
    account: _containers.RepeatedScalarFieldContainer[int]
    instrument: _containers.RepeatedScalarFieldContainer[int]
    client_order_id: _containers.RepeatedScalarFieldContainer[int]
    order_id: _containers.RepeatedScalarFieldContainer[int]
    price_ticks: _containers.RepeatedScalarFieldContainer[int]
    quantity_lots: _containers.RepeatedScalarFieldContainer[int]
    stop_price_ticks: _containers.RepeatedScalarFieldContainer[int]
    display_lots: _containers.RepeatedScalarFieldContainer[int]
    min_lots: _containers.RepeatedScalarFieldContainer[int]
    expire_ns: _containers.RepeatedScalarFieldContainer[int]
    trail_ticks: _containers.RepeatedScalarFieldContainer[int]
    tag: _containers.RepeatedScalarFieldContainer[int]
    parent_id: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, first_no: _Optional[int] = ..., count: _Optional[int] = ..., kind: _Optional[_Iterable[_Union[_common_pb2.CommandKind, str]]] = ..., side: _Optional[_Iterable[_Union[_common_pb2.Side, str]]] = ..., order_type: _Optional[_Iterable[_Union[_common_pb2.OrderType, str]]] = ..., tif: _Optional[_Iterable[_Union[_common_pb2.TimeInForce, str]]] = ..., stp: _Optional[_Iterable[_Union[_common_pb2.SelfTradePrevention, str]]] = ..., flags: _Optional[_Iterable[int]] = ..., account: _Optional[_Iterable[int]] = ..., instrument: _Optional[_Iterable[int]] = ..., client_order_id: _Optional[_Iterable[int]] = ..., order_id: _Optional[_Iterable[int]] = ..., price_ticks: _Optional[_Iterable[int]] = ..., quantity_lots: _Optional[_Iterable[int]] = ..., stop_price_ticks: _Optional[_Iterable[int]] = ..., display_lots: _Optional[_Iterable[int]] = ..., min_lots: _Optional[_Iterable[int]] = ..., expire_ns: _Optional[_Iterable[int]] = ..., trail_ticks: _Optional[_Iterable[int]] = ..., tag: _Optional[_Iterable[int]] = ..., parent_id: _Optional[_Iterable[int]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("session_id", "last_seen", "next_no", "columnar", "cancel_on_disconnect_ms", "connection", "last_epoch", "asks_next_no")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    NEXT_NO_FIELD_NUMBER: _ClassVar[int]
    COLUMNAR_FIELD_NUMBER: _ClassVar[int]
    CANCEL_ON_DISCONNECT_MS_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    LAST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ASKS_NEXT_NO_FIELD_NUMBER: _ClassVar[int]
    session_id: int
    last_seen: _common_pb2.EventId
    next_no: int
    columnar: bool
    cancel_on_disconnect_ms: int
    connection: int
    last_epoch: int
    asks_next_no: bool
    def __init__(self, session_id: _Optional[int] = ..., last_seen: _Optional[_Union[_common_pb2.EventId, _Mapping]] = ..., next_no: _Optional[int] = ..., columnar: bool = ..., cancel_on_disconnect_ms: _Optional[int] = ..., connection: _Optional[int] = ..., last_epoch: _Optional[int] = ..., asks_next_no: bool = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("hello", "command", "batch")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    command: Command
    batch: CommandBatch
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., batch: _Optional[_Union[CommandBatch, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("stamp", "gateway", "credit", "max_batch", "next_number_follows")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    NEXT_NUMBER_FOLLOWS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    gateway: int
    credit: int
    max_batch: int
    next_number_follows: bool
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., gateway: _Optional[int] = ..., credit: _Optional[int] = ..., max_batch: _Optional[int] = ..., next_number_follows: bool = ...) -> None: ...

class NextNumber(_message.Message):
    __slots__ = ("stamp", "next_no", "executed_no")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    NEXT_NO_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_NO_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    next_no: int
    executed_no: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., next_no: _Optional[int] = ..., executed_no: _Optional[int] = ...) -> None: ...

class Reports(_message.Message):
    __slots__ = ("stamp", "reports")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    reports: _containers.RepeatedCompositeFieldContainer[_common_pb2.ExecutionReport]
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., reports: _Optional[_Iterable[_Union[_common_pb2.ExecutionReport, _Mapping]]] = ...) -> None: ...

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
    stamp: _common_pb2.Stamp
    count: int
    seq: _containers.RepeatedScalarFieldContainer[int]
    index: _containers.RepeatedScalarFieldContainer[int]
    leg: _containers.RepeatedScalarFieldContainer[int]
    kind: _containers.RepeatedScalarFieldContainer[_common_pb2.EventKind]
    code: _containers.RepeatedScalarFieldContainer[int]
    side: _containers.RepeatedScalarFieldContainer[_common_pb2.Side]
    account: _containers.RepeatedScalarFieldContainer[int]
    instrument: _containers.RepeatedScalarFieldContainer[int]
    session_no: _containers.RepeatedScalarFieldContainer[int]
    order_id: _containers.RepeatedScalarFieldContainer[int]
    client_order_id: _containers.RepeatedScalarFieldContainer[int]
    price_ticks: _containers.RepeatedScalarFieldContainer[int]
    quantity_lots: _containers.RepeatedScalarFieldContainer[int]
    leaves_lots: _containers.RepeatedScalarFieldContainer[int]
    counterparty_order_id: _containers.RepeatedScalarFieldContainer[int]
    fee_micros: _containers.RepeatedScalarFieldContainer[int]
    flags: _containers.RepeatedScalarFieldContainer[int]
    timestamp_ns: _containers.RepeatedScalarFieldContainer[int]
    previous_price_ticks: _containers.RepeatedScalarFieldContainer[int]
    previous_leaves_lots: _containers.RepeatedScalarFieldContainer[int]
    original_seq: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., count: _Optional[int] = ..., seq: _Optional[_Iterable[int]] = ..., index: _Optional[_Iterable[int]] = ..., leg: _Optional[_Iterable[int]] = ..., kind: _Optional[_Iterable[_Union[_common_pb2.EventKind, str]]] = ..., code: _Optional[_Iterable[int]] = ..., side: _Optional[_Iterable[_Union[_common_pb2.Side, str]]] = ..., account: _Optional[_Iterable[int]] = ..., instrument: _Optional[_Iterable[int]] = ..., session_no: _Optional[_Iterable[int]] = ..., order_id: _Optional[_Iterable[int]] = ..., client_order_id: _Optional[_Iterable[int]] = ..., price_ticks: _Optional[_Iterable[int]] = ..., quantity_lots: _Optional[_Iterable[int]] = ..., leaves_lots: _Optional[_Iterable[int]] = ..., counterparty_order_id: _Optional[_Iterable[int]] = ..., fee_micros: _Optional[_Iterable[int]] = ..., flags: _Optional[_Iterable[int]] = ..., timestamp_ns: _Optional[_Iterable[int]] = ..., previous_price_ticks: _Optional[_Iterable[int]] = ..., previous_leaves_lots: _Optional[_Iterable[int]] = ..., original_seq: _Optional[_Iterable[int]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("stamp", "from_no", "code", "text", "retryable", "retry_after_ms")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    FROM_NO_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    from_no: int
    code: _common_pb2.Code
    text: str
    retryable: bool
    retry_after_ms: int
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., from_no: _Optional[int] = ..., code: _Optional[_Union[_common_pb2.Code, str]] = ..., text: _Optional[str] = ..., retryable: bool = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("welcome", "reports", "report_batch", "refusal", "next_number")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    REPORT_BATCH_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    reports: Reports
    report_batch: ReportBatch
    refusal: Refusal
    next_number: NextNumber
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., reports: _Optional[_Union[Reports, _Mapping]] = ..., report_batch: _Optional[_Union[ReportBatch, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., next_number: _Optional[_Union[NextNumber, _Mapping]] = ...) -> None: ...

class PlaceRequest(_message.Message):
    __slots__ = ("key", "order")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    key: IdempotencyKey
    order: NewOrder
    def __init__(self, key: _Optional[_Union[IdempotencyKey, _Mapping]] = ..., order: _Optional[_Union[NewOrder, _Mapping]] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("key", "cancel")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    key: IdempotencyKey
    cancel: CancelOrder
    def __init__(self, key: _Optional[_Union[IdempotencyKey, _Mapping]] = ..., cancel: _Optional[_Union[CancelOrder, _Mapping]] = ...) -> None: ...

class ReplaceRequest(_message.Message):
    __slots__ = ("key", "replace")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    key: IdempotencyKey
    replace: ReplaceOrder
    def __init__(self, key: _Optional[_Union[IdempotencyKey, _Mapping]] = ..., replace: _Optional[_Union[ReplaceOrder, _Mapping]] = ...) -> None: ...

class MassCancelRequest(_message.Message):
    __slots__ = ("key", "mass_cancel")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MASS_CANCEL_FIELD_NUMBER: _ClassVar[int]
    key: IdempotencyKey
    mass_cancel: MassCancelOrders
    def __init__(self, key: _Optional[_Union[IdempotencyKey, _Mapping]] = ..., mass_cancel: _Optional[_Union[MassCancelOrders, _Mapping]] = ...) -> None: ...

class NoteRequest(_message.Message):
    __slots__ = ("key", "note")
    KEY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    key: IdempotencyKey
    note: Note
    def __init__(self, key: _Optional[_Union[IdempotencyKey, _Mapping]] = ..., note: _Optional[_Union[Note, _Mapping]] = ...) -> None: ...

class CommandReply(_message.Message):
    __slots__ = ("stamp", "reports", "duplicate")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    reports: _containers.RepeatedCompositeFieldContainer[_common_pb2.ExecutionReport]
    duplicate: bool
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., reports: _Optional[_Iterable[_Union[_common_pb2.ExecutionReport, _Mapping]]] = ..., duplicate: bool = ...) -> None: ...

class GetOrderRequest(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: OrderRef
    def __init__(self, order: _Optional[_Union[OrderRef, _Mapping]] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("order_id", "client_order_id", "account", "instrument", "session_id", "side", "order_type", "tif", "price_ticks", "quantity_lots", "leaves_lots", "stop_price_ticks", "display_lots", "shown_lots")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ORDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIF_FIELD_NUMBER: _ClassVar[int]
    PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_LOTS_FIELD_NUMBER: _ClassVar[int]
    LEAVES_LOTS_FIELD_NUMBER: _ClassVar[int]
    STOP_PRICE_TICKS_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_LOTS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_LOTS_FIELD_NUMBER: _ClassVar[int]
    order_id: int
    client_order_id: int
    account: int
    instrument: int
    session_id: int
    side: _common_pb2.Side
    order_type: _common_pb2.OrderType
    tif: _common_pb2.TimeInForce
    price_ticks: int
    quantity_lots: int
    leaves_lots: int
    stop_price_ticks: int
    display_lots: int
    shown_lots: int
    def __init__(self, order_id: _Optional[int] = ..., client_order_id: _Optional[int] = ..., account: _Optional[int] = ..., instrument: _Optional[int] = ..., session_id: _Optional[int] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., order_type: _Optional[_Union[_common_pb2.OrderType, str]] = ..., tif: _Optional[_Union[_common_pb2.TimeInForce, str]] = ..., price_ticks: _Optional[int] = ..., quantity_lots: _Optional[int] = ..., leaves_lots: _Optional[int] = ..., stop_price_ticks: _Optional[int] = ..., display_lots: _Optional[int] = ..., shown_lots: _Optional[int] = ...) -> None: ...

class GetOrderReply(_message.Message):
    __slots__ = ("stamp", "order")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.Stamp
    order: Order
    def __init__(self, stamp: _Optional[_Union[_common_pb2.Stamp, _Mapping]] = ..., order: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...
