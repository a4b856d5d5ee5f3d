"""Layouts of events, the 160-byte half of `lockstep.stream.records`, through which they are used; see there."""

from typing import Final

import numpy as np

EVENT: Final = np.dtype(
    [
        ("seq", "<u8"),  # (seq, index) is the event id: the same on every replica, for ever
        ("index", "<u4"),
        ("kind", "u1"),
        ("side", "u1"),  # TRADE: the taker's
        ("code", "<u2"),
        ("instrument", "<u4"),
        ("account", "<u4"),  # TRADE: this and the next five are the taker's
        ("session_id", "<u8"),
        ("session_no", "<u8"),  # the command that this answers; 0: not an answer
        ("order_id", "<u8"),
        ("client_order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("quantity_lots", "<i8"),  # ACCEPTED, REPLACED: order quantity; TRADE: traded; CANCELED: taken off
        ("leaves_lots", "<i8"),  # still open after this event
        ("maker_order_id", "<u8"),
        ("maker_client_order_id", "<u8"),
        ("maker_session_id", "<u8"),
        ("maker_account", "<u4"),
        ("flags", "<u4"),
        ("maker_leaves_lots", "<i8"),
        ("timestamp_ns", "<i8"),
        ("taker_fee_micros", "<i8"),
        ("maker_fee_micros", "<i8"),
        ("previous_price_ticks", "<i8"),  # REPLACED: before; DUPLICATE: seq of the original outcome, 0 if forgotten
        ("previous_leaves_lots", "<i8"),  # REPLACED: open quantity before
    ]
)

ORDER_EVENT: Final = np.dtype(
    [
        ("seq", "<u8"),
        ("index", "<u4"),
        ("kind", "u1"),
        ("side", "u1"),
        ("code", "<u2"),
        ("instrument", "<u4"),
        ("account", "<u4"),
        ("session_id", "<u8"),
        ("session_no", "<u8"),
        ("order_id", "<u8"),
        ("client_order_id", "<u8"),
        ("price_ticks", "<i8"),
        ("quantity_lots", "<i8"),
        ("leaves_lots", "<i8"),
        ("_reserved", "V8"),
        ("stop_price_ticks", "<i8"),
        ("maker_session_id", "<u8"),  # REPLACED: the session that owned the order, if that was another
        ("order_type", "u1"),
        ("tif", "u1"),
        ("stp", "u1"),
        ("order_flags", "u1"),
        ("flags", "<u4"),
        ("display_lots", "<i8"),
        ("timestamp_ns", "<i8"),
        ("_reserved2", "V8"),
        ("expire_ns", "<i8"),
        ("previous_price_ticks", "<i8"),
        ("previous_leaves_lots", "<i8"),
    ]
)

CONTROL_EVENT: Final = np.dtype(
    [
        ("seq", "<u8"),
        ("index", "<u4"),
        ("kind", "u1"),
        ("side", "u1"),
        ("code", "<u2"),
        ("epoch", "<u8"),
        ("in_sync", "<u8"),
        ("primary", "<u2"),
        ("member", "<u2"),
        ("sequencer", "<u2"),
        ("cause", "<u2"),
        ("_reserved", "V80"),
        ("timestamp_ns", "<i8"),
        ("_reserved2", "V32"),
    ]
)

DEFINITION_EVENT: Final = np.dtype(
    [
        ("seq", "<u8"),
        ("index", "<u4"),
        ("kind", "u1"),
        ("side", "u1"),
        ("code", "<u2"),
        ("instrument", "<u4"),
        ("account", "<u4"),
        ("session_id", "<u8"),
        ("session_no", "<u8"),
        ("name", "S32"),
        ("tick_micros", "<i8"),
        ("lot_units", "<i8"),
        ("quantity_lots", "<i8"),  # POSITION_ADJUSTED: position after
        ("amount_micros", "<i8"),  # CASH_ADJUSTED: cash after
        ("_reserved", "V4"),
        ("flags", "<u4"),
        ("_reserved2", "V8"),
        ("timestamp_ns", "<i8"),
        ("_reserved3", "V32"),
    ]
)

SETTING_EVENT: Final = np.dtype(
    [
        ("seq", "<u8"),
        ("index", "<u4"),
        ("kind", "u1"),
        ("side", "u1"),
        ("code", "<u2"),
        ("instrument", "<u4"),
        ("account", "<u4"),
        ("session_id", "<u8"),
        ("session_no", "<u8"),
        ("value", "<i8"),  # PHASE_CHANGED, ACCOUNT_STATUS_SET: now, and before
        ("previous_value", "<i8"),
        ("reference_price_ticks", "<i8"),
        ("until_ns", "<i8"),
        ("of_session", "<u8"),  # SESSION_OPENED: which one, and the highest connection of it that was opened
        ("connection", "<u8"),
        ("_reserved", "V20"),
        ("flags", "<u4"),
        ("_reserved2", "V8"),
        ("timestamp_ns", "<i8"),
        ("_reserved3", "V32"),
    ]
)
