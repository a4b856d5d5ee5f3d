"""Commands and events of the stream in words, for people who look into a journal. Pure."""

from typing import Any, Final

import numpy as np

from lockstep.ops.operator.history import cause_name
from lockstep.stream.layouts import COMMAND_COLUMNS
from lockstep.stream.records import (
    COMMAND,
    CONTROL,
    CONTROL_EVENT,
    KINDS,
    SETTING_EVENT,
    CommandKind,
    EventKind,
    MassCancelFlag,
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    bits_to_members,
)

_FIRST_CONTROL: Final = int(CommandKind.EPOCH_START)
_ORDER_FIELDS: Final = COMMAND_COLUMNS[COMMAND_COLUMNS.index("client_order_id") :]
_TERMS: Final = (("side", Side), ("order_type", OrderType), ("tif", TimeInForce), ("stp", SelfTradePrevention))
_HEAD_FIELDS: Final = ("account", "instrument", "session_id", "session_no")
_EVENT_FIELDS: Final = (
    "code",
    "account",
    "instrument",
    "order_id",
    "price_ticks",
    "quantity_lots",
    "leaves_lots",
    "maker_order_id",
)


def describe_command(record: Any) -> str:
    """One COMMAND record; fields that are zero are left out."""
    number = int(record["kind"])
    name = _name(CommandKind, number)
    if number == CommandKind.TICK:
        return name
    if number >= _FIRST_CONTROL:
        row = _overlay(record, CONTROL)
        members = ",".join(map(str, bits_to_members(int(row["in_sync"]))))
        cause = int(row["cause"])
        text = f"{name} epoch={row['epoch']} sequencer={row['sequencer']} primary={row['primary']} in_sync={members}"
        return text + (f" cause={cause_name(cause)}" if cause else "") + _fields(row, ("member", "policy"))
    head = _fields(record, _HEAD_FIELDS)
    layout, names = KINDS[CommandKind(number)] if number in CommandKind else (COMMAND, ())
    if layout is not COMMAND:
        return f"{name}{head}{_fields(_overlay(record, layout), tuple(n for n in names if n not in _HEAD_FIELDS))}"
    terms = "".join(
        f" {_name(kind, int(record[field])).lower()}"
        for field, kind in (
            ("side", Side),
            ("order_type", OrderType),
            ("tif", TimeInForce),
            ("stp", SelfTradePrevention),
        )
        if int(record[field])
    )
    flags = MassCancelFlag if number == CommandKind.MASS_CANCEL else OrderFlag
    terms += "".join(f" {flag.name.lower()}" for flag in flags if int(record["flags"]) & flag and flag.name)
    return f"{name}{terms}{head}{_fields(record, _ORDER_FIELDS)}"


def describe_event(event: Any) -> str:
    """One EVENT record."""
    number = int(event["kind"])
    name = _name(EventKind, number)
    if number >= EventKind.EPOCH_STARTED:
        return name + _fields(_overlay(event, CONTROL_EVENT), ("epoch", "primary", "member", "sequencer"))
    if number in (EventKind.PHASE_CHANGED, EventKind.ACCOUNT_STATUS_SET):
        names = ("account", "instrument", "value", "previous_value", "until_ns")
        return name + _fields(_overlay(event, SETTING_EVENT), names)
    if number == EventKind.SESSION_OPENED:
        return name + _fields(_overlay(event, SETTING_EVENT), ("of_session", "connection", "value", "previous_value"))
    return name + _fields(event, _EVENT_FIELDS)


def _overlay(record: Any, layout: np.dtype[np.void]) -> Any:
    return np.frombuffer(record.tobytes(), layout)[0]


def _name(kind: Any, number: int) -> str:
    return kind(number).name if number in kind else f"kind {number}"


def _fields(row: Any, names: tuple[str, ...]) -> str:
    found = []
    for name in names:
        value = row[name]
        if name in ("kind", "gateway", "received_ns") or name.startswith("_"):
            continue
        shown = value.decode(errors="replace") if isinstance(value, bytes) else int(value)
        if shown:
            found.append(f" {name}={shown}")
    return "".join(found)
