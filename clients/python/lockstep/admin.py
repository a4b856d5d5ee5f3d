"""Administrative commands as values: they travel in a session, numbered and executed once like an order."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from lockstep.arguments import I64, U32, flag, integer, name_text
from lockstep.v1 import common_pb2, orders_pb2


@dataclass(frozen=True, slots=True)
class _Checked:
    """A value whose fields are in the range of its message's: one that the wire can't hold can't be made.

    Raises:
        TypeError: a field is of another type. ValueError: it is out of range, or a name that is none.
    """

    def __post_init__(self) -> None:
        for name, check in _CHECKS[type(self)].items():
            object.__setattr__(self, name, check(name, getattr(self, name)))


@dataclass(frozen=True, slots=True)
class DefineInstrument(_Checked):
    """Make an instrument tradable. One lot at one tick is worth `tick_micros * lot_units` micros of currency."""

    instrument: int
    symbol: str
    tick_micros: int
    lot_units: int = 1


@dataclass(frozen=True, slots=True)
class DefineAccount(_Checked):
    """Open an account; the unlimited flags waive the funds checks (market makers, tests)."""

    account: int
    name: str
    unlimited_cash: bool = False
    unlimited_positions: bool = False
    margin: bool = False
    short_sales: bool = False
    """Needs `margin`."""
    day_trade_rule: bool = False
    """Pattern day traders need an equity of 25 000."""


@dataclass(frozen=True, slots=True)
class AdjustCash(_Checked):
    """Pay in (positive) or out (negative)."""

    account: int
    amount_micros: int


@dataclass(frozen=True, slots=True)
class AdjustPosition(_Checked):
    """Deliver lots to an account (positive) or take them out (negative)."""

    account: int
    instrument: int
    quantity_lots: int


@dataclass(frozen=True, slots=True)
class SetPhase(_Checked):
    """Bring an instrument (0: all) into a `lockstep.Phase`; with `next_phase`, into that one at `until_ns`."""

    instrument: int
    phase: int
    next_phase: int = 0
    until_ns: int = 0
    """Nanoseconds since 1970; the cluster's own time decides."""
    reference_price_ticks: int = 0
    """New reference price of the price band and the auctions; 0: stays as it is."""


@dataclass(frozen=True, slots=True)
class SetAccountStatus(_Checked):
    """Say what an account may do (a `lockstep.AccountStatus`); BANNED cancels its orders, too."""

    account: int
    status: int


@dataclass(frozen=True, slots=True)
class SetRiskLimits(_Checked):
    """All pre-trade limits of an account at once; 0 is no limit."""

    account: int
    max_order_lots: int = 0
    max_order_micros: int = 0
    max_position_lots: int = 0
    max_orders_per_day: int = 0
    orders_per_second: int = 0
    """Needs `burst_orders`, the number that may come at once."""
    burst_orders: int = 0
    max_orders_per_trade: int = 0
    max_concentration_ppm: int = 0
    """Worth of a position, in millionths of the account's equity."""


@dataclass(frozen=True, slots=True)
class SetFees(_Checked):
    """Fee rates of an instrument, in millionths of a trade's worth; a maker's below 0 is a rebate.

    Refused while orders are live in it.
    """

    instrument: int
    maker_fee_ppm: int
    taker_fee_ppm: int


@dataclass(frozen=True, slots=True)
class SetPriceLimits(_Checked):
    """Price limits of an instrument, in millionths; 0 is no limit. A breaker needs all four of its values."""

    instrument: int
    band_ppm: int = 0
    collar_ppm: int = 0
    breaker_ppm: int = 0
    breaker_window_ns: int = 0
    breaker_pause_ns: int = 0
    breaker_phase: int = 0
    """Phase.HALT or Phase.VOLATILITY_AUCTION."""


@dataclass(frozen=True, slots=True)
class TransferPosition(_Checked):
    """Move lots from one account to another, with their part of the cost."""

    account: int
    to_account: int
    instrument: int
    quantity_lots: int


@dataclass(frozen=True, slots=True)
class SetMargin(_Checked):
    """Margin rates of an instrument, in millionths of a position's worth."""

    instrument: int
    initial_margin_ppm: int
    maintenance_margin_ppm: int


@dataclass(frozen=True, slots=True)
class SetIndex(_Checked):
    """An instrument's weight in the index of the market (0: none); `close_price_ticks` 0: as it is."""

    instrument: int
    index_weight: int
    close_price_ticks: int = 0


@dataclass(frozen=True, slots=True)
class SetMarketBreaker(_Checked):
    """Falls of the index, in millionths of the previous close, at which the whole market halts; 0: no such level.

    Levels 1 and 2 halt it for `pause_ns`, level 3 closes it.
    """

    level1_ppm: int = 0
    level2_ppm: int = 0
    level3_ppm: int = 0
    pause_ns: int = 0


@dataclass(frozen=True, slots=True)
class SetThrottle(_Checked):
    """How many orders an instrument, or (0) the market, takes in a second, and so many at once; 0: all that come."""

    instrument: int = 0
    orders_per_second: int = 0
    burst_orders: int = 0


@dataclass(frozen=True, slots=True)
class SetBands(_Checked):
    """Limit up, limit down: bands around the mean of an instrument's latest trades; all 0: none."""

    instrument: int
    high_ppm: int = 0
    """Of the reference price, half a band's width, where the previous close is above `high_above_ticks`."""
    middle_ppm: int = 0
    """Where it is neither that nor below `low_below_ticks`."""
    low_ppm: int = 0
    step_ppm: int = 0
    """The reference price moves by so much at least."""
    high_above_ticks: int = 0
    low_below_ticks: int = 0
    low_most_ticks: int = 0
    """A width by `low_ppm` is no more than that; 0: whatever it is."""
    window_ns: int = 0
    limit_ns: int = 0
    """A limit state of that length ends in a pause of `pause_ns`, with an auction."""
    pause_ns: int = 0

    @classmethod
    def us_plan(cls, instrument: int, *, tier: int, tick_micros: int) -> "SetBands":
        """As the US plan to address extraordinary market volatility has them, for a stock of tier 1 or 2.

        `tick_micros`: the instrument's. Its previous close is that of SetIndex, or the one of the day before.
        """
        if tier not in (1, 2):
            raise ValueError(f"tier is {tier!r}: the plan has tiers 1 and 2")
        second_ns = 10**9
        return cls(
            instrument,
            high_ppm=50_000 * tier,
            middle_ppm=200_000,
            low_ppm=750_000,
            step_ppm=10_000,
            high_above_ticks=3_000_000 // tick_micros,
            low_below_ticks=750_000 // tick_micros,
            low_most_ticks=150_000 // tick_micros,
            window_ns=300 * second_ns,
            limit_ns=15 * second_ns,
            pause_ns=300 * second_ns,
        )


@dataclass(frozen=True, slots=True)
class SetBandWidth(_Checked):
    """Bands of an instrument, or (0) of all that have some, as they were set (1), or twice as wide (2)."""

    instrument: int
    value: int
    reference_price_ticks: int = 0
    """A new reference price of the bands; 0: as it is."""


@dataclass(frozen=True, slots=True)
class SetLots(_Checked):
    """What a round lot of an instrument is, by its previous close, and what becomes of odd ones; all 0: none."""

    instrument: int
    round1_lots: int = 0
    round2_lots: int = 0
    """Where the previous close is above `above2_ticks`; 0: no such tier."""
    round3_lots: int = 0
    round4_lots: int = 0
    above2_ticks: int = 0
    above3_ticks: int = 0
    above4_ticks: int = 0
    odd_lots: int = 0
    """OddLots: whether orders that are no multiple of a round lot are taken."""
    display: int = 0
    """OddLotDisplay: what of them the best bid and offer show."""


@dataclass(frozen=True, slots=True)
class SetRestrictions(_Checked):
    """Who may trade an instrument, and how far: an account, or (0) every one; all 0: no such restriction any more."""

    instrument: int
    account: int = 0
    bars: int = 0
    """Bits of TradeBar; LOCATES of every account only."""
    max_share_ppm: int = 0
    """What an account may hold at the most of `outstanding_lots`, in millionths; both of every account only."""
    outstanding_lots: int = 0
    located_lots: int = 0
    """Lots that this account may be short of, where locates are needed."""


@dataclass(frozen=True, slots=True)
class SetShortSales(_Checked):
    """From which fall under the previous close on short sales of an instrument are held to a price; if they are now."""

    instrument: int
    fall_ppm: int = 0
    """0: the price restricts nothing."""
    action: int = 0
    """ShortSaleAction."""


AdminCommand = (
    DefineInstrument
    | DefineAccount
    | AdjustCash
    | AdjustPosition
    | SetPhase
    | SetAccountStatus
    | SetRiskLimits
    | SetFees
    | SetPriceLimits
    | TransferPosition
    | SetMargin
    | SetIndex
    | SetMarketBreaker
    | SetThrottle
    | SetBands
    | SetBandWidth
    | SetLots
    | SetRestrictions
    | SetShortSales
)

# Field of a Command -> value whose fields are called as those of the message.
_VALUES: Final[dict[str, type[Any]]] = {
    "define_account": DefineAccount,
    "adjust_cash": AdjustCash,
    "adjust_position": AdjustPosition,
    "set_phase": SetPhase,
    "set_account_status": SetAccountStatus,
    "set_risk_limits": SetRiskLimits,
    "set_fees": SetFees,
    "set_price_limits": SetPriceLimits,
    "transfer_position": TransferPosition,
    "set_margin": SetMargin,
    "set_index": SetIndex,
    "set_market_breaker": SetMarketBreaker,
    "set_throttle": SetThrottle,
    "set_bands": SetBands,
    "set_band_width": SetBandWidth,
    "set_lots": SetLots,
    "set_restrictions": SetRestrictions,
    "set_short_sales": SetShortSales,
}
_FIELDS: Final = {value: name for name, value in _VALUES.items()}

Check = Callable[[str, Any], Any]


def _u32(name: str, value: object) -> int:
    return integer(name, value, 0, U32)


def _i64(name: str, value: object) -> int:
    return integer(name, value, -I64, I64)


def _of_enum(enum: Any) -> Check:
    words, known = enum.name, enum.values_by_number

    def check(name: str, value: object) -> int:
        if isinstance(value, Enum) and type(value).__name__ != words:
            raise TypeError(f"{name} must be a {words}, not {value!s} of {type(value).__name__}")
        number = _i64(name, value)
        if number not in known:
            raise ValueError(f"{name} {number} is no {words}; there are: {sorted(known)}")
        return number

    return check


_BY_TYPE: Final[dict[int, Check]] = {
    FieldDescriptor.TYPE_FIXED32: _u32,
    FieldDescriptor.TYPE_SFIXED64: _i64,
    FieldDescriptor.TYPE_BOOL: flag,
    FieldDescriptor.TYPE_STRING: name_text,
}


def _checks_of(message: Any, value: type[Any]) -> dict[str, Check]:
    checks = {}
    for field in fields(value):
        # An instrument calls its own id so.
        own_id = value is DefineInstrument and field.name == "instrument"
        on_wire = message.fields_by_name["id" if own_id else field.name]
        by_type = _BY_TYPE.get(on_wire.type)
        checks[field.name] = _of_enum(on_wire.enum_type) if by_type is None else by_type
    return checks


_CHECKS: Final[dict[type[Any], dict[str, Check]]] = {
    DefineInstrument: _checks_of(common_pb2.Instrument.DESCRIPTOR, DefineInstrument),
    **{
        value: _checks_of(orders_pb2.Command.DESCRIPTOR.fields_by_name[name].message_type, value)
        for name, value in _VALUES.items()
    },
}
"""By kind of command and name of field: gives the plain value, or raises. The messages themselves say what fits."""


def checked_admin(command: AdminCommand) -> AdminCommand:
    """Itself.

    Raises:
        TypeError: it is no administrative command.
    """
    if type(command) not in _CHECKS:
        raise TypeError(f"a command must be a CommandRow or an administrative command, not {command!r}")
    return command


def encode_admin(command: AdminCommand, session_no: int) -> bytes:
    """As a serialised `lockstep.v1.SessionRequest`; that it can be said was checked when the command was made."""
    message = orders_pb2.Command(session_no=session_no)
    if isinstance(command, DefineInstrument):
        message.define_instrument.instrument.CopyFrom(
            common_pb2.Instrument(
                id=command.instrument,
                symbol=command.symbol,
                tick_micros=command.tick_micros,
                lot_units=command.lot_units,
            )
        )
    else:
        part = getattr(message, _FIELDS[type(command)])
        part.SetInParent()
        for field in fields(command):
            setattr(part, field.name, getattr(command, field.name))
    return orders_pb2.SessionRequest(command=message).SerializeToString()


def decode_admin(message: bytes) -> tuple[int, AdminCommand]:
    """Twin of `encode_admin` (checkpoints are read with it).

    Raises:
        ValueError: the message holds no administrative command.
    """
    command = orders_pb2.SessionRequest.FromString(message).command
    which = command.WhichOneof("command") or ""
    if which == "define_instrument":
        row = command.define_instrument.instrument
        return command.session_no, DefineInstrument(row.id, row.symbol, row.tick_micros, row.lot_units)
    if which not in _VALUES:
        raise ValueError(f"a saved message holds {which or 'nothing'!r}, not an administrative command")
    value, part = _VALUES[which], getattr(command, which)
    made: AdminCommand = value(*(getattr(part, field.name) for field in fields(value)))
    return command.session_no, made
