"""The struct layouts of the reference engine are the dtypes of the stream."""

import struct
from typing import Any

import numpy as np
import pytest

from lockstep.engine.reference import rows
from lockstep.stream.records import (
    ADMIN,
    COMMAND,
    CONTROL,
    CONTROL_EVENT,
    DEFINITION_EVENT,
    EVENT,
    LIMITS,
    MARKET,
    ORDER_EVENT,
    RULES,
    SETTING,
    SETTING_EVENT,
    TRANSFER,
)

PAIRS = [
    (rows.COMMAND_ROW, COMMAND),
    (rows.ADMIN_ROW, ADMIN),
    (rows.COMMAND_ROW, LIMITS),
    (rows.COMMAND_ROW, RULES),
    (rows.COMMAND_ROW, MARKET),
    (rows.SETTING_ROW, SETTING),
    (rows.TRANSFER_ROW, TRANSFER),
    (rows.CONTROL_ROW, CONTROL),
    (rows.EVENT_ROW, EVENT),
    (rows.ORDER_EVENT_ROW, ORDER_EVENT),
    (rows.CONTROL_EVENT_ROW, CONTROL_EVENT),
    (rows.DEFINITION_EVENT_ROW, DEFINITION_EVENT),
    (rows.SETTING_EVENT_ROW, SETTING_EVENT),
]


@pytest.mark.parametrize(("layout", "dtype"), PAIRS)
def test_struct_and_dtype_have_equal_size_and_number_of_fields(layout: struct.Struct, dtype: np.dtype[Any]) -> None:
    assert layout.size == dtype.itemsize
    assert len(layout.unpack(bytes(layout.size))) == len(dtype.names or ())


@pytest.mark.parametrize(("layout", "dtype"), PAIRS)
def test_each_field_has_the_same_place_width_and_sign_in_struct_and_dtype(
    layout: struct.Struct, dtype: np.dtype[Any]
) -> None:
    assert dtype.fields is not None
    for position, name in enumerate(dtype.names or ()):
        field, offset = dtype.fields[name][:2]
        raw = bytearray(layout.size)
        raw[offset : offset + field.itemsize] = b"\xff" * field.itemsize
        values = layout.unpack(raw)
        expected = np.frombuffer(raw, dtype=dtype)[name][0].item()
        assert values[position] == expected, name
        others = [value for at, value in enumerate(values) if at != position]
        assert not any(value.strip(b"\0") if isinstance(value, bytes) else value for value in others), name


def test_dispatcher_positions_name_the_right_fields() -> None:
    names = COMMAND.names or ()
    assert names[rows.KIND] == "kind"
    assert names[rows.SESSION_ID] == "session_id"
    assert names[rows.SESSION_NO] == "session_no"
    assert names[9:23] == (
        "account",
        "instrument",
        "client_order_id",
        "order_id",
        "price_ticks",
        "stop_price_ticks",
        "quantity_lots",
        "display_lots",
        "min_lots",
        "expire_ns",
        "trail_ticks",
        "amount_micros",
        "received_ns",
        "tag",
    )
