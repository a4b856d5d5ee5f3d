"""The record layouts: sizes, overlays and growth rule."""

import numpy as np
import pytest

from lockstep.stream import records

COMMAND_OVERLAYS = [
    *(records.ADMIN, records.SETTING, records.LIMITS, records.RULES, records.TRANSFER, records.CONTROL),
]
EVENT_OVERLAYS = [records.CONTROL_EVENT, records.DEFINITION_EVENT, records.SETTING_EVENT]


@pytest.mark.parametrize("overlay", COMMAND_OVERLAYS)
def test_command_overlays_share_the_head_of_a_command(overlay: np.dtype[np.void]) -> None:
    assert overlay.itemsize == records.COMMAND.itemsize == 128
    head = ("kind", "flags", "gateway", "session_id", "session_no", "account", "instrument", "order_id")
    for name in head:
        assert overlay.fields is not None
        assert records.COMMAND.fields is not None
        assert overlay.fields[name] == records.COMMAND.fields[name]


@pytest.mark.parametrize("overlay", EVENT_OVERLAYS)
def test_event_overlays_share_identity_and_time(overlay: np.dtype[np.void]) -> None:
    assert overlay.itemsize == records.EVENT.itemsize == 160
    for name in ("seq", "index", "kind", "side", "code", "timestamp_ns"):
        assert overlay.fields is not None
        assert records.EVENT.fields is not None
        assert overlay.fields[name] == records.EVENT.fields[name]


def test_layouts_are_little_endian_and_without_padding() -> None:
    for dtype in (records.COMMAND, records.EVENT, *COMMAND_OVERLAYS, *EVENT_OVERLAYS):
        assert dtype.fields is not None
        position = 0
        for name in dtype.names or ():
            field, offset = dtype.fields[name][:2]
            assert offset == position, f"{name} leaves a hole"
            assert field.byteorder in ("<", "|", "="), name
            position += field.itemsize
        assert position == dtype.itemsize


def test_member_bits_round_trip() -> None:
    assert records.bits_to_members(records.members_to_bits((1, 5, 63))) == (1, 5, 63)


@pytest.mark.parametrize("member", [0, 64, -1])
def test_member_ids_outside_the_bit_set_are_refused(member: int) -> None:
    with pytest.raises(ValueError, match=r"outside 1\.\.63"):
        records.members_to_bits((member,))


def test_bounds_of_price_and_quantity_keep_their_product_in_71_bits_and_each_in_range() -> None:
    assert records.MAX_PRICE_TICKS * records.MAX_QUANTITY_LOTS < 2**71
    assert records.MAX_PRICE_TICKS < records.I64_MAX


def test_joined_records_are_those_of_the_parts_in_order() -> None:
    parts = [np.zeros(count, records.EVENT) for count in (2, 0, 3)]
    for seq, part in enumerate(parts):
        part["seq"] = seq
    joined = records.join_records([parts[0], parts[1], parts[2][1:]])
    assert joined.dtype == records.EVENT
    assert joined["seq"].tolist() == [0, 0, 2, 2]
    assert records.join_records(parts[:1]) is parts[0]
