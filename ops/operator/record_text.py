"""Commands and events of the stream in words, for people who look into a journal. Pure."""

from typing import Any, Final

import numpy as np

from lockstep.ops.operator.history import cause_name
from lockstep.stream.records import (
    ADMIN,
    CONTROL,
    CONTROL_EVENT,
    LIMITS,
    MARKET,
    RULES,
    SETTING,
    SETTING_EVENT,
    TRANSFER,
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

_OVERLAYS: Final = {
    CommandKind.DEFINE_INSTRUMENT: (ADMIN, ("name", "tick_micros", "lot_units")),
    CommandKind.DEFINE_ACCOUNT: (ADMIN, ("name", "flags")),
    CommandKind.ADJUST_CASH: (ADMIN, ("amount_micros",)),
    CommandKind.ADJUST_POSITION: (ADMIN, ("quantity_lots",)),
    CommandKind.SET_PHASE: (SETTING, ("value", "next_value", "until_ns", "reference_price_ticks")),
    CommandKind.SET_ACCOUNT_STATUS: (SETTING, ("value",)),
    CommandKind.SET_RISK_LIMITS: (LIMITS, LIMITS.names or ()),
    CommandKind.SET_FEES: (RULES, ("maker_fee_ppm", "taker_fee_ppm")),
    CommandKind.SET_PRICE_LIMITS: (
        RULES,
        ("band_ppm", "collar_ppm", "breaker_ppm", "breaker_window_ns", "breaker_pause_ns", "breaker_phase"),
    ),
    CommandKind.TRANSFER_POSITION: (TRANSFER, ("to_account", "quantity_lots")),
    CommandKind.SET_MARGIN: (MARKET, ("initial_margin_ppm", "maintenance_margin_ppm")),
    CommandKind.SET_INDEX: (MARKET, ("index_weight", "close_price_ticks")),
    CommandKind.SET_MARKET_BREAKER: (MARKET, ("level1_ppm", "level2_ppm", "level3_ppm", "pause_ns")),
}
_FIRST_CONTROL: Final = int(CommandKind.EPOCH_START)
_ORDER_FIELDS: Final = (
    "order_id",
    "client_order_id",
    "price_ticks",
    "stop_price_ticks",
    "trail_ticks",
    "quantity_lots",
    "display_lots",
    "min_lots",
    "expire_ns",
    "tag",
)
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
    found = next((value for kind, value in _OVERLAYS.items() if kind == number), None)
    if found is not None:
        layout, names = found
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
