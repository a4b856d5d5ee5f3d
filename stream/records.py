"""Record layouts of the stream: one definition of every byte that is journaled, digested or sent between processes.

All records are fixed size and little endian, so that a batch of them is one NumPy array, one slice of memory and one
journal value, and no process on the hot path touches a single order in Python unless it has to decide about it. The
native core declares the same structs; a test compares offsets.

Units: `*_ticks` are integer multiples of an instrument's tick, `*_lots` integer multiples of its lot, `*_micros` are
millionths of the currency unit, `*_ns` are nanoseconds since the Unix epoch (stamped time). No field is a float.

These overlays share the 128 bytes of a command; `kind` says which one is meant:

* `COMMAND`: orders (`NEW_ORDER`, `CANCEL`, `REPLACE`, `MASS_CANCEL`, `REFUSED`), `SESSION_OPENED`, `SESSION_CLOSED`;
* `ADMIN`: reference data and accounts (`DEFINE_INSTRUMENT`, `DEFINE_ACCOUNT`, `ADJUST_CASH`, `ADJUST_POSITION`);
* `SETTING`: one value of an instrument or account (`SET_PHASE`, `SET_ACCOUNT_STATUS`);
* `LIMITS`: an account's pre-trade limits (`SET_RISK_LIMITS`);
* `RULES`: an instrument's fees and price limits (`SET_FEES`, `SET_PRICE_LIMITS`);
* `MARKET`: margin rates, and the index with its breaker (`SET_MARGIN`, `SET_INDEX`, `SET_MARKET_BREAKER`);
* `TRANSFER`: shares from account to account (`TRANSFER_POSITION`);
* `CONTROL`: what the sequencer itself says in the stream (`EPOCH_START`, `GROW`, `GROW_REVOKED`, `TICK`).

Of the 160 bytes of an event, `ORDER_EVENT` (`ACCEPTED`, `REPLACED`, `TRIGGERED`) says the order's terms where a `TRADE`
speaks of its maker; `CONTROL_EVENT`, `DEFINITION_EVENT` and `SETTING_EVENT` belong to the commands of like names.

Growth rule: a new field takes reserved bytes or a new overlay; a field never moves. Anything else raises
`LAYOUT_VERSION`, which every frame carries.
"""

from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import Final, NewType

import numpy as np
from numpy.typing import NDArray

from lockstep.stream.event_layouts import CONTROL_EVENT as CONTROL_EVENT
from lockstep.stream.event_layouts import DEFINITION_EVENT as DEFINITION_EVENT
from lockstep.stream.event_layouts import EVENT as EVENT
from lockstep.stream.event_layouts import ORDER_EVENT as ORDER_EVENT
from lockstep.stream.event_layouts import SETTING_EVENT as SETTING_EVENT
from lockstep.stream.members import MAX_MEMBER as MAX_MEMBER

LAYOUT_VERSION: Final = 1

Epoch = NewType("Epoch", int)
Seq = NewType("Seq", int)

REMEMBERED_NUMBERS: Final = 8192
"""For so many of a session's latest numbers an engine knows the original outcome and the content: as many as a gateway
ever lets be unanswered at once, so that a key answers for whatever a client may be unsure of (docs/adr/0011)."""

# Bounds of what a gateway lets into the stream. Products of two of them still fit 63 bits.
MAX_PRICE_TICKS: Final = 2**40 - 1
MAX_QUANTITY_LOTS: Final = 2**31 - 1
I64_MAX: Final = 2**63 - 1


class CommandKind(IntEnum):
    """What a command asks for. Values below 64 are orders, 64-127 administration, 192 and above control."""

    NEW_ORDER = 1
    CANCEL = 2
    REPLACE = 3
    MASS_CANCEL = 4
    REFUSED = 5
    """A command that the gateway refused (code in `tag`): it takes its session number and yields one REJECTED."""

    DEFINE_INSTRUMENT = 64
    DEFINE_ACCOUNT = 65
    ADJUST_CASH = 66
    ADJUST_POSITION = 67
    SET_PHASE = 68
    SET_ACCOUNT_STATUS = 69
    SET_RISK_LIMITS = 70
    SET_FEES = 71
    SET_PRICE_LIMITS = 72
    TRANSFER_POSITION = 73
    SESSION_CLOSED = 74
    """Cancel on disconnect: a gateway says that the session in `order_id` is gone, whose connection in
    `client_order_id` it had; it counts if that is the session's latest one."""
    SET_MARGIN = 75
    SET_INDEX = 76
    """An instrument's weight in the index of the market, and its previous close."""
    SET_MARKET_BREAKER = 77
    SESSION_OPENED = 78
    """Cancel on disconnect: the session in `order_id` is at the gateway in `gateway` now, by the connection in
    `client_order_id`, unless a later one of it (a higher number) was opened before."""

    EPOCH_START = 192
    GROW = 193
    GROW_REVOKED = 194
    TICK = 195
    """Time has come to its stamp: what is due by then happens."""


class Side(IntEnum):
    """Side of an order."""

    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """How an order is priced."""

    LIMIT = 1
    MARKET = 2
    STOP = 3
    STOP_LIMIT = 4
    TRAILING_STOP = 5


class TimeInForce(IntEnum):
    """How long an order may stand."""

    DAY = 1
    GTC = 2
    IOC = 3
    FOK = 4
    GTD = 5
    AT_OPEN = 6
    AT_CLOSE = 7


class SelfTradePrevention(IntEnum):
    """What happens when an order would trade with one of its own account's."""

    NONE = 0
    CANCEL_NEWEST = 1
    CANCEL_OLDEST = 2
    CANCEL_BOTH = 3
    DECREMENT = 4


class OrderFlag(IntFlag):
    """Bits of `COMMAND.flags` for orders."""

    POST_ONLY = 1
    HIDDEN = 2


class MassCancelFlag(IntFlag):
    """Bits of `COMMAND.flags` for MASS_CANCEL."""

    BLOCK = 1
    """Kill switch: the account gets status KILLED before its orders are canceled."""


class Phase(IntEnum):
    """What an instrument is open for. PRE_OPEN and the three auctions are *call* phases: orders gather, none trade."""

    PRE_OPEN = 1
    OPENING_AUCTION = 2
    CONTINUOUS = 3
    HALT = 4
    VOLATILITY_AUCTION = 5
    CLOSING_AUCTION = 6
    CLOSED = 7


class AccountStatus(IntEnum):
    """What an account may do. Canceling is always allowed."""

    ACTIVE = 0
    CLOSE_ONLY = 1
    """Orders only that lessen a position."""
    RESTRICTED = 2
    """No new orders; those that rest stay."""
    BANNED = 3
    """No new orders; those that rest were canceled."""
    KILLED = 4
    """As RESTRICTED, by the kill switch."""


class AckPolicy(IntEnum):
    """When an engine may acknowledge a batch; same numbers as `lockstep.v1.AckPolicy`."""

    SYNCED = 0
    """On every in-sync engine's disk, synced."""
    REPLICATED = 1
    """In every in-sync engine's memory; its disk is synced in the background."""


class AccountFlag(IntFlag):
    """Bits of `ADMIN.flags` for DEFINE_ACCOUNT."""

    UNLIMITED_CASH = 1
    UNLIMITED_POSITIONS = 2
    MARGIN = 4
    """It trades on margin: what it owns secures what it owes."""
    SHORT_SALES = 8
    """A margin account that may sell what it does not have."""
    DAY_TRADE_RULE = 16
    """It is held to the pattern-day-trader rule."""


class EventKind(IntEnum):
    """What happened. Values below 64 concern orders, 64-127 administration, 192 and above control."""

    ACCEPTED = 1
    REJECTED = 2
    TRADE = 3
    CANCELED = 4
    REPLACED = 5
    CANCEL_REJECTED = 6
    REPLACE_REJECTED = 7
    DUPLICATE = 8
    MASS_CANCELED = 9
    REDUCED = 10
    """Self-trade prevention took lots off; unlike CANCELED, the order lives on with `leaves_lots`."""
    TRIGGERED = 11
    """A stop order was set off; its trades follow."""
    INDICATIVE = 12
    """Of a running auction: price, volume, and in `leaves_lots` what would be left over on `side`."""

    INSTRUMENT_DEFINED = 64
    ACCOUNT_DEFINED = 65
    CASH_ADJUSTED = 66
    POSITION_ADJUSTED = 67
    ADMIN_REJECTED = 68
    PHASE_CHANGED = 69
    ACCOUNT_STATUS_SET = 70
    RISK_LIMITS_SET = 71
    FEES_SET = 72
    PRICE_LIMITS_SET = 73
    POSITION_TRANSFERRED = 74
    MARGIN_SET = 75
    INDEX_SET = 76
    MARKET_BREAKER_SET = 77
    MARKET_HALTED = 78
    """The index has fallen to a level of the market's breaker."""
    MARGIN_CALLED = 79
    """A margin account's equity (`value`) fell under its maintenance margin (`previous_value`), or is back at it."""
    SESSION_OPENED = 80
    """Session `of_session` is at gateway `value` now, by `connection`; before at `previous_value` (0: at none that
    cancels for it). If the command had no effect, both are who has it."""

    EPOCH_STARTED = 192
    GROWN = 193
    GROW_WITHDRAWN = 194
    TICKED = 195


class EventFlag(IntFlag):
    """Bits of `EVENT.flags`."""

    BOOKS = 1
    """On ACCEPTED and REPLACED: what is left after matching rests in the book (limit order, DAY, GTC, GTD; in a call
    phase AT_OPEN and AT_CLOSE too). On TRIGGERED: the same of a STOP_LIMIT."""
    LOST_PRIORITY = 2
    """On REPLACED: the order went behind its price level."""
    AUCTION = 4
    """On TRADE: of an auction; the buyer stands in the taker's fields, the seller in the maker's."""
    WAITS = 8
    """On ACCEPTED and REPLACED: the order stands outside the book, until its stop price or the closing auction."""
    UNSEEN = 16
    """On ACCEPTED, REPLACED and TRIGGERED: not all of what rests is displayed: an iceberg, a hidden order, or a market
    order that gathers for an auction."""


_COMMAND_HEAD = [
    ("kind", "u1"),
    ("side", "u1"),
    ("order_type", "u1"),
    ("tif", "u1"),
    ("stp", "u1"),
    ("flags", "u1"),
    ("gateway", "<u2"),  # member id of the gateway that took the command in
    ("session_id", "<u8"),
    ("session_no", "<u8"),  # the session's own numbering: 1, 2, 3 ...
    ("account", "<u4"),
    ("instrument", "<u4"),
    ("client_order_id", "<u8"),  # chosen by the client; unique among its account's live orders
    ("order_id", "<u8"),  # exchange order id (the seq of its NEW_ORDER); 0: address by client_order_id
]

COMMAND: Final = np.dtype(
    [
        *_COMMAND_HEAD,
        ("price_ticks", "<i8"),  # REPLACE: the new price
        ("stop_price_ticks", "<i8"),
        ("quantity_lots", "<i8"),  # REPLACE: the new open quantity
        ("display_lots", "<i8"),
        ("min_lots", "<i8"),
        ("expire_ns", "<i8"),
        ("trail_ticks", "<i8"),
        ("amount_micros", "<i8"),
        ("received_ns", "<i8"),  # gateway's clock; for latency figures only, nothing decides by it
        ("tag", "<u8"),  # REFUSED: the code; otherwise free for the client
    ]
)

ADMIN: Final = np.dtype(
    [
        *_COMMAND_HEAD,
        ("name", "S32"),  # DEFINE_*: symbol or account name, ASCII
        ("tick_micros", "<i8"),  # DEFINE_INSTRUMENT: currency micros of one tick of price, for one unit
        ("lot_units", "<i8"),  # DEFINE_INSTRUMENT: units (shares) of one lot
        ("quantity_lots", "<i8"),  # ADJUST_POSITION: signed
        ("amount_micros", "<i8"),  # ADJUST_CASH: signed
        ("received_ns", "<i8"),
        ("tag", "<u8"),
    ]
)

SETTING: Final = np.dtype(
    [
        *_COMMAND_HEAD,
        ("value", "u1"),  # SET_PHASE: Phase; SET_ACCOUNT_STATUS: AccountStatus
        ("next_value", "u1"),  # SET_PHASE: the phase that follows at until_ns; 0: none
        ("_reserved", "V6"),
        ("reference_price_ticks", "<i8"),  # SET_PHASE: new reference price; 0: as it is
        ("until_ns", "<i8"),
        ("_reserved2", "V40"),
        ("received_ns", "<i8"),
        ("tag", "<u8"),
    ]
)

LIMITS: Final = np.dtype(
    [
        *_COMMAND_HEAD,
        ("max_order_lots", "<i8"),  # 0, here and below: no such limit
        ("max_order_micros", "<i8"),
        ("max_position_lots", "<i8"),
        ("max_orders_per_day", "<i8"),
        ("orders_per_second", "<i8"),
        ("burst_orders", "<i8"),
        ("max_orders_per_trade", "<i8"),
        ("max_concentration_ppm", "<i8"),
        ("received_ns", "<i8"),
        ("tag", "<u8"),
    ]
)

RULES: Final = np.dtype(
    [
        *_COMMAND_HEAD,
        ("maker_fee_ppm", "<i8"),  # SET_FEES: these two, in millionths of the trade's worth
        ("taker_fee_ppm", "<i8"),
        ("band_ppm", "<i8"),  # SET_PRICE_LIMITS: the other six; 0: no such limit
        ("collar_ppm", "<i8"),
        ("breaker_ppm", "<i8"),
        ("breaker_window_ns", "<i8"),
        ("breaker_pause_ns", "<i8"),
        ("breaker_phase", "<i8"),
        ("received_ns", "<i8"),
        ("tag", "<u8"),
    ]
)

MARKET: Final = np.dtype(
    [
        *_COMMAND_HEAD,
        ("initial_margin_ppm", "<i8"),  # SET_MARGIN: these two, in millionths of a position's worth
        ("maintenance_margin_ppm", "<i8"),
        ("index_weight", "<i8"),  # SET_INDEX: these two; 0: not in the index
        ("close_price_ticks", "<i8"),  # 0: as it is
        ("level1_ppm", "<i8"),  # SET_MARKET_BREAKER: the other four; 0: no such level
        ("level2_ppm", "<i8"),
        ("level3_ppm", "<i8"),
        ("pause_ns", "<i8"),
        ("received_ns", "<i8"),
        ("tag", "<u8"),
    ]
)

TRANSFER: Final = np.dtype(
    [
        *_COMMAND_HEAD,  # account: the giver
        ("to_account", "<u4"),
        ("_reserved", "V4"),
        ("quantity_lots", "<i8"),
        ("_reserved2", "V48"),
        ("received_ns", "<i8"),
        ("tag", "<u8"),
    ]
)

CONTROL: Final = np.dtype(
    [
        *_COMMAND_HEAD,
        ("epoch", "<u8"),
        ("in_sync", "<u8"),  # bit m: engine member m is in sync
        ("primary", "<u2"),
        ("member", "<u2"),  # GROW, GROW_REVOKED: the learner
        ("sequencer", "<u2"),
        ("cause", "<u2"),
        ("policy", "u1"),  # EPOCH_START: AckPolicy in force from this seq on
        ("_reserved", "V7"),
        ("journal", "<u8"),  # GROW: identity of the journal that it takes in; EPOCH_START: only when that is forced
        ("previous", "<u8"),  # EPOCH_START: epoch of the record before it; 0: unknown, or there is none
        ("cluster_high", "<u8"),  # EPOCH_START, GROW: the cluster's uuid (`identity.py`); 0 in both: not named
        ("cluster_low", "<u8"),
        ("_reserved2", "V16"),
    ]
)

Commands = NDArray[np.void]
"""A one-dimensional array of dtype COMMAND (or an overlay of it)."""
Events = NDArray[np.void]
"""A one-dimensional array of dtype EVENT (or an overlay of it)."""

for _dtypes, _size in (
    ((COMMAND, ADMIN, SETTING, LIMITS, RULES, MARKET, TRANSFER, CONTROL), 128),
    ((EVENT, ORDER_EVENT, CONTROL_EVENT, DEFINITION_EVENT, SETTING_EVENT), 160),
):
    for _dtype in _dtypes:
        if _dtype.itemsize != _size:
            raise AssertionError(f"record layout of {_dtype.names} is {_dtype.itemsize} bytes, not {_size}")


def no_commands() -> Commands:
    """An empty command array."""
    return np.empty(0, dtype=COMMAND)


def no_events() -> Events:
    """An empty event array."""
    return np.empty(0, dtype=EVENT)


def join_records(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """One read-only array of the rows of several contiguous ones of the same dtype, of which there is at least one.

    `np.concatenate` does the same a hundred times slower: for structured dtypes it works out the common one each time.
    """
    if len(parts) == 1:
        return parts[0]
    return np.frombuffer(b"".join(part.data for part in parts), dtype=parts[0].dtype)


def members_to_bits(members: tuple[int, ...]) -> int:
    """Bit set of engine member ids.

    Raises:
        ValueError: a member id is outside 1..63.
    """
    bits = 0
    for member in members:
        if not 1 <= member <= MAX_MEMBER:
            raise ValueError(f"engine member id {member} is outside 1..{MAX_MEMBER}")
        bits |= 1 << member
    return bits


def bits_to_members(bits: int) -> tuple[int, ...]:
    """Engine member ids of a bit set, ascending."""
    return tuple(member for member in range(1, MAX_MEMBER + 1) if bits >> member & 1)
