"""Events as values: one class per layout of `lockstep.stream.records`, with the same fields; and an iterator of them.

The array that `MatchingEngine.apply` gives is the fast way to read events: a column at a time, without an object for
each. These are for programs that look at them one by one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from lockstep.engine.command_rows import record_struct
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    CONTROL_EVENT,
    DEFINITION_EVENT,
    EVENT,
    ORDER_EVENT,
    SETTING_EVENT,
    EventKind,
    Events,
    Side,
)


@dataclass(frozen=True, slots=True)
class Event:
    """TRADE, REJECTED, CANCELED, REDUCED, CANCEL_REJECTED, REPLACE_REJECTED, DUPLICATE, MASS_CANCELED, INDICATIVE."""

    seq: int
    """(seq, index) is the event's id; seq is that of its command."""
    index: int
    kind: EventKind
    side: int
    """Of the order (TRADE: the taker's): a `Side`; 0: of none."""
    code: int
    """Why: a `Code`; 0: nothing went wrong."""
    instrument: int
    account: int
    """TRADE: this and the next fields without `maker_` are the taker's."""
    session_id: int
    session_no: int
    """Number of the command that this answers; 0: not an answer."""
    order_id: int
    client_order_id: int
    price_ticks: int
    quantity_lots: int
    """TRADE: traded; CANCELED, REDUCED: taken off."""
    leaves_lots: int
    """Still open after this event."""
    maker_order_id: int
    maker_client_order_id: int
    maker_session_id: int
    maker_account: int
    flags: int
    """Bits of `EventFlag`."""
    maker_leaves_lots: int
    timestamp_ns: int
    taker_fee_micros: int
    maker_fee_micros: int
    previous_price_ticks: int
    """DUPLICATE: seq of the original outcome."""
    previous_leaves_lots: int


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """ACCEPTED, REPLACED, TRIGGERED: an order with its terms."""

    seq: int
    index: int
    kind: EventKind
    side: int
    code: int
    instrument: int
    account: int
    session_id: int
    session_no: int
    order_id: int
    client_order_id: int
    price_ticks: int
    quantity_lots: int
    leaves_lots: int
    stop_price_ticks: int
    maker_session_id: int
    """REPLACED: the session that owned the order, if that was another."""
    order_type: int
    tif: int
    stp: int
    order_flags: int
    """Bits of `OrderFlag`."""
    flags: int
    """Bits of `EventFlag`."""
    display_lots: int
    timestamp_ns: int
    expire_ns: int
    previous_price_ticks: int
    previous_leaves_lots: int


@dataclass(frozen=True, slots=True)
class DefinitionEvent:
    """INSTRUMENT_DEFINED, ACCOUNT_DEFINED, CASH_ADJUSTED, POSITION_ADJUSTED, POSITION_TRANSFERRED, ADMIN_REJECTED."""

    seq: int
    index: int
    kind: EventKind
    side: int
    code: int
    instrument: int
    account: int
    session_id: int
    session_no: int
    name: str
    tick_micros: int
    lot_units: int
    quantity_lots: int
    """POSITION_ADJUSTED, POSITION_TRANSFERRED: the position after; ADMIN_REJECTED: what was asked for."""
    amount_micros: int
    """CASH_ADJUSTED: the cash after; ADMIN_REJECTED: what was asked for."""
    flags: int
    timestamp_ns: int


@dataclass(frozen=True, slots=True)
class SettingEvent:
    """PHASE_CHANGED and the other answers to SET commands; MARKET_HALTED, MARGIN_CALLED, SESSION_OPENED."""

    seq: int
    index: int
    kind: EventKind
    side: int
    code: int
    instrument: int
    account: int
    session_id: int
    session_no: int
    value: int
    """PHASE_CHANGED, ACCOUNT_STATUS_SET: now, and before."""
    previous_value: int
    reference_price_ticks: int
    until_ns: int
    of_session: int
    connection: int
    flags: int
    timestamp_ns: int


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """TICKED, the answer to a tick; and what only clusters have."""

    seq: int
    index: int
    kind: EventKind
    side: int
    code: int
    epoch: int
    in_sync: int
    primary: int
    member: int
    sequencer: int
    cause: int
    timestamp_ns: int


AnyEvent = Event | OrderEvent | DefinitionEvent | SettingEvent | ControlEvent

_CLASSES: Final[dict[type[AnyEvent], Any]] = {
    Event: EVENT,
    OrderEvent: ORDER_EVENT,
    DefinitionEvent: DEFINITION_EVENT,
    SettingEvent: SETTING_EVENT,
    ControlEvent: CONTROL_EVENT,
}
_DEFINITIONS: Final = (
    EventKind.INSTRUMENT_DEFINED,
    EventKind.ACCOUNT_DEFINED,
    EventKind.CASH_ADJUSTED,
    EventKind.POSITION_ADJUSTED,
    EventKind.POSITION_TRANSFERRED,
    EventKind.ADMIN_REJECTED,
)
_ORDERS: Final = (EventKind.ACCEPTED, EventKind.REPLACED, EventKind.TRIGGERED)
_NAME: Final = [field.name for field in fields(DefinitionEvent)].index("name") - 5
"""Place of the name behind the five first fields."""
_CODES: Final[dict[int, int]] = {int(code): code for code in Code}
_SIDES: Final[dict[int, int]] = {int(side): side for side in Side}
_KIND_AT: Final = EVENT.fields["kind"][1] if EVENT.fields is not None else 0


def class_of(kind: EventKind) -> type[AnyEvent]:
    """Which of the classes an event of this kind is."""
    if kind in _ORDERS:
        return OrderEvent
    if kind < EventKind.INSTRUMENT_DEFINED:
        return Event
    if kind >= EventKind.EPOCH_STARTED:
        return ControlEvent
    return DefinitionEvent if kind in _DEFINITIONS else SettingEvent


def _reader(kind: EventKind) -> Callable[[bytes, int], AnyEvent]:
    """What makes the value of an event of this kind, of the record at an offset."""
    found = class_of(kind)
    layout, _ = record_struct(_CLASSES[found])
    unpack = layout.unpack_from

    def read(raw: bytes, at: int) -> AnyEvent:
        seq, index, _kind, side, code, *rest = unpack(raw, at)
        return found(seq, index, kind, _SIDES.get(side, side), _CODES.get(code, code), *rest)

    def read_definition(raw: bytes, at: int) -> AnyEvent:
        seq, index, _kind, side, code, *rest = unpack(raw, at)
        rest[_NAME] = rest[_NAME].rstrip(b"\0").decode("ascii", "backslashreplace")
        return found(seq, index, kind, side, _CODES.get(code, code), *rest)

    return read_definition if found is DefinitionEvent else read


_READERS: Final = {int(kind): _reader(kind) for kind in EventKind}


def each_event(events: Events) -> Iterator[AnyEvent]:
    """The events of an array one by one, in order.

    Args:
        events: what `MatchingEngine.apply` gave: dtype EVENT, shape (n,).

    Raises:
        ValueError: no records of 160 bytes. At the call, not at the first `next`.
    """
    if events.dtype.itemsize != EVENT.itemsize:
        raise ValueError(f"events are records of {EVENT.itemsize} bytes, not {events.dtype.itemsize}")
    raw = events.tobytes()
    return (_READERS[raw[at + _KIND_AT]](raw, at) for at in range(0, len(raw), EVENT.itemsize))
