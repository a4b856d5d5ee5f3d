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


def test_the_journaled_layout_does_not_change_unnoticed() -> None:
    """These offsets are on disks. A new field takes reserved bytes; a moved one raises LAYOUT_VERSION."""
    assert records.LAYOUT_VERSION == 1
    assert records.COMMAND.fields is not None
    assert records.EVENT.fields is not None
    assert {name: int(spec[1]) for name, spec in records.COMMAND.fields.items()} == {
        "kind": 0, "side": 1, "order_type": 2, "tif": 3, "stp": 4, "flags": 5, "gateway": 6, "session_id": 8,
        "session_no": 16, "account": 24, "instrument": 28, "client_order_id": 32, "order_id": 40, "price_ticks": 48,
        "stop_price_ticks": 56, "quantity_lots": 64, "display_lots": 72, "min_lots": 80, "expire_ns": 88,
        "trail_ticks": 96, "amount_micros": 104, "received_ns": 112, "tag": 120,
    }  # fmt: skip
    assert {name: int(spec[1]) for name, spec in records.EVENT.fields.items()} == {
        "seq": 0, "index": 8, "kind": 12, "side": 13, "code": 14, "instrument": 16, "account": 20, "session_id": 24,
        "session_no": 32, "order_id": 40, "client_order_id": 48, "price_ticks": 56, "quantity_lots": 64,
        "leaves_lots": 72, "maker_order_id": 80, "maker_client_order_id": 88, "maker_session_id": 96,
        "maker_account": 104, "flags": 108, "maker_leaves_lots": 112, "timestamp_ns": 120, "taker_fee_micros": 128,
        "maker_fee_micros": 136, "previous_price_ticks": 144, "previous_leaves_lots": 152,
    }  # fmt: skip


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
