"""The session stream's messages by the fast twin: whatever is legal is read as the public message says."""

from typing import Any

import numpy as np
import pytest

from lockstep.gateway.reports import ReportRows, report_batch, report_messages
from lockstep.gateway.validation import ColumnBatch, ShapeError, check_shape
from lockstep.gateway.wire import ADMIN_COMMANDS, Unparsable, admin_record, command_columns, decode_request
from lockstep.stream.codes import Code
from lockstep.stream.records import EVENT, LIMITS, RULES, SETTING, TRANSFER, CommandKind, EventKind
from lockstep.v1 import orders_pb2
from lockstep.wire.v1 import columns_pb2

messages: Any = orders_pb2
"""Its enums here are numbers, as on the wire: a client may send any."""


def read(batch):
    found = decode_request(orders_pb2.SessionRequest(batch=batch).SerializeToString()).batch
    assert isinstance(found, ColumnBatch)
    return found


def rows(batch, name):
    return batch.columns[name].tolist()


def test_public_batch_is_read_by_the_twin_column_by_column():
    batch = read(messages.CommandBatch(first_no=4, count=2, side=[1, 2], price_ticks=[-5, 7], account=[3]))
    assert (batch.first_no, batch.count, sorted(batch.columns)) == (4, 2, ["account", "price_ticks", "side"])
    assert rows(batch, "price_ticks") == [-5, 7]
    assert batch.columns["side"].dtype == np.uint8


def test_enum_value_above_127_is_read_by_the_public_message():
    batch = read(messages.CommandBatch(first_no=1, count=2, side=[1, 300]))
    assert rows(batch, "side") == [1, 256]


def test_one_wide_enum_value_is_not_taken_for_two_narrow_ones():
    batch = read(messages.CommandBatch(first_no=1, count=2, side=[300]))
    assert rows(batch, "side") == [256]


def test_split_column_is_put_together():
    first = messages.CommandBatch(first_no=1, count=4, side=[1, 2, 1]).SerializeToString()
    raw = first + messages.CommandBatch(side=[2]).SerializeToString()
    whole = columns_pb2.SessionRequest()
    body = b"\x1a" + bytes([len(raw)]) + raw
    assert whole.ParseFromString(body) == len(body)
    assert rows(decode_request(body).batch, "side") == [1, 2, 1, 2]


def test_column_that_is_not_packed_is_not_lost():
    # Field 4 (side) as two varints.
    raw = messages.CommandBatch(first_no=1, count=2).SerializeToString() + b"\x20\x02\x20\x01"
    assert rows(decode_request(b"\x1a" + bytes([len(raw)]) + raw).batch, "side") == [2, 1]


def test_column_of_wrong_length_is_told_by_its_rows():
    with pytest.raises(ShapeError, match="column price_ticks has 3 rows in a batch of 2"):
        check_shape(read(messages.CommandBatch(first_no=1, count=2, price_ticks=[1, 2, 3])), 10)


@pytest.mark.parametrize("raw", [b"", b"\xff\xff", b"\x1a\x05ab"])
def test_other_bytes_are_unparsable(raw):
    with pytest.raises(Unparsable):
        decode_request(raw)


def test_single_command_is_a_batch_of_one():
    order = messages.NewOrder(account=3, instrument=7, side=1, order_type=1, tif=2, price_ticks=9, quantity_lots=2)
    batch = command_columns(orders_pb2.Command(session_no=6, new_order=order))
    assert isinstance(batch, ColumnBatch)
    assert (batch.first_no, batch.count) == (6, 1)
    assert {name: rows(batch, name) for name in ("kind", "side", "price_ticks")} == {
        "kind": [1],
        "side": [1],
        "price_ticks": [9],
    }
    with pytest.raises(ShapeError):
        command_columns(orders_pb2.Command(session_no=6))


def test_report_batch_of_the_twin_is_read_by_the_public_message():
    rng = np.random.default_rng(3)
    events = np.frombuffer(rng.bytes(EVENT.itemsize * 6), dtype=EVENT).copy()
    events["kind"], events["side"], events["code"] = [1, 2, 3, EventKind.DUPLICATE, 5, 9], 2, 5001
    reports = ReportRows(events, np.array([0, 0, 1, 0, 1, 0], dtype="u1"))
    raw = columns_pb2.SessionResponse(report_batch=report_batch(reports, b"")).SerializeToString()
    public = orders_pb2.SessionResponse.FromString(raw).report_batch
    plain = report_messages(reports, 1)
    for field in public.DESCRIPTOR.fields:
        if field.name in ("stamp", "count"):
            continue
        column = list(getattr(public, field.name))
        if field.name in ("seq", "index"):
            assert column == [getattr(row.event_id, field.name) for row in plain]
        else:
            assert column == [getattr(row, field.name) for row in plain], field.name
    again = orders_pb2.SessionResponse(report_batch=public).SerializeToString()
    assert orders_pb2.SessionResponse.FromString(again) == orders_pb2.SessionResponse.FromString(raw)


def test_mass_cancel_carries_its_scope_and_the_kill_switch():
    mass = messages.MassCancelOrders(account=3, instrument=7, side=2, session_id=99, block=True)
    batch = command_columns(orders_pb2.Command(session_no=1, mass_cancel=mass))
    assert isinstance(batch, ColumnBatch)
    fields = ("kind", "account", "instrument", "side", "order_id", "flags")
    assert [batch.columns[name].tolist() for name in fields] == [[4], [3], [7], [2], [99], [1]]


def record(*, allowed=True, **message):
    command = orders_pb2.Command(session_no=6, **message)
    return admin_record(command, session_id=9, gateway=2, allowed=allowed, now_ns=77)


@pytest.mark.parametrize(
    ("message", "layout", "fields"),
    [
        (
            {
                "set_phase": messages.SetPhase(
                    instrument=7, phase=2, next_phase=3, until_ns=5, reference_price_ticks=4
                )
            },
            SETTING,
            {"kind": 68, "instrument": 7, "value": 2, "next_value": 3, "until_ns": 5, "reference_price_ticks": 4},
        ),
        (
            {"set_account_status": messages.SetAccountStatus(account=3, status=4)},
            SETTING,
            {"kind": 69, "account": 3, "value": 4},
        ),
        (
            {
                "set_risk_limits": orders_pb2.SetRiskLimits(
                    account=3, max_order_lots=1, max_order_micros=2, max_position_lots=3, max_orders_per_day=4,
                    orders_per_second=5, burst_orders=6, max_orders_per_trade=-7,
                )
            },
            LIMITS,
            {
                "kind": 70, "account": 3, "max_order_lots": 1, "max_order_micros": 2, "max_position_lots": 3,
                "max_orders_per_day": 4, "orders_per_second": 5, "burst_orders": 6, "max_orders_per_trade": -7,
            },
        ),
        (
            {"set_fees": orders_pb2.SetFees(instrument=7, maker_fee_ppm=1, taker_fee_ppm=2)},
            RULES,
            {"kind": 71, "instrument": 7, "maker_fee_ppm": 1, "taker_fee_ppm": 2},
        ),
        (
            {
                "set_price_limits": messages.SetPriceLimits(
                    instrument=7, band_ppm=1, collar_ppm=2, breaker_ppm=3, breaker_window_ns=4, breaker_pause_ns=5,
                    breaker_phase=4,
                )
            },
            RULES,
            {
                "kind": 72, "instrument": 7, "band_ppm": 1, "collar_ppm": 2, "breaker_ppm": 3, "breaker_window_ns": 4,
                "breaker_pause_ns": 5, "breaker_phase": 4,
            },
        ),
        (
            {"transfer_position": orders_pb2.TransferPosition(account=3, to_account=4, instrument=7, quantity_lots=8)},
            TRANSFER,
            {"kind": 73, "account": 3, "to_account": 4, "instrument": 7, "quantity_lots": 8},
        ),
    ],
)  # fmt: skip
def test_administration_is_a_record_of_its_layout(message, layout, fields):
    row = record(**message).view(layout)[0]
    assert {name: int(row[name]) for name in fields} == fields
    assert [int(row[name]) for name in ("session_id", "session_no", "gateway", "received_ns")] == [9, 6, 2, 77]


def test_every_command_of_the_protocol_but_orders_needs_the_admin_entitlement():
    (oneof,) = orders_pb2.Command.DESCRIPTOR.oneofs
    orders = {"new_order", "cancel", "replace", "mass_cancel", "note"}
    assert {field.name for field in oneof.fields} - orders == set(ADMIN_COMMANDS)
    for name in ADMIN_COMMANDS:
        message = getattr(orders_pb2, "".join(part.title() for part in name.split("_")))()
        (row,) = record(allowed=False, **{name: message})
        assert (row["kind"], row["tag"], row["session_no"]) == (CommandKind.REFUSED, Code.NOT_ENTITLED, 6)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"set_phase": messages.SetPhase(instrument=7)}, Code.MISSING_FIELD),
        ({"set_phase": messages.SetPhase(phase=300)}, Code.UNKNOWN_ENUM_VALUE),
        ({"set_phase": messages.SetPhase(phase=1, next_phase=-1)}, Code.UNKNOWN_ENUM_VALUE),
        ({"set_account_status": messages.SetAccountStatus(account=7, status=256)}, Code.UNKNOWN_ENUM_VALUE),
    ],
)
def test_enum_value_that_no_record_can_hold_is_refused(message, code):
    (row,) = record(**message)
    assert (row["kind"], row["tag"]) == (CommandKind.REFUSED, code)
