"""The session stream's messages by the fast twin: whatever is legal is read as the public message says."""

import numpy as np
import pytest

from lockstep.gateway.reports import ReportRows, report_batch, report_messages
from lockstep.gateway.validation import ShapeError, check_shape
from lockstep.gateway.wire import Unparsable, command_columns, decode_request
from lockstep.stream.records import EVENT
from lockstep.v1 import orders_pb2
from lockstep.wire.v1 import columns_pb2


def read(batch):
    return decode_request(orders_pb2.SessionRequest(batch=batch).SerializeToString()).batch


def rows(batch, name):
    return batch.columns[name].tolist()


def test_public_batch_is_read_by_the_twin_column_by_column():
    batch = read(orders_pb2.CommandBatch(first_no=4, count=2, side=[1, 2], price_ticks=[-5, 7], account=[3]))
    assert (batch.first_no, batch.count, sorted(batch.columns)) == (4, 2, ["account", "price_ticks", "side"])
    assert rows(batch, "price_ticks") == [-5, 7]
    assert batch.columns["side"].dtype == np.uint8


def test_enum_value_above_127_is_read_by_the_public_message():
    batch = read(orders_pb2.CommandBatch(first_no=1, count=2, side=[1, 300]))
    assert rows(batch, "side") == [1, 256]


def test_one_wide_enum_value_is_not_taken_for_two_narrow_ones():
    batch = read(orders_pb2.CommandBatch(first_no=1, count=2, side=[300]))
    assert rows(batch, "side") == [256]


def test_split_column_is_put_together():
    first = orders_pb2.CommandBatch(first_no=1, count=4, side=[1, 2, 1]).SerializeToString()
    raw = first + orders_pb2.CommandBatch(side=[2]).SerializeToString()
    whole = columns_pb2.SessionRequest()
    body = b"\x1a" + bytes([len(raw)]) + raw
    assert whole.ParseFromString(body) == len(body)
    assert rows(decode_request(body).batch, "side") == [1, 2, 1, 2]


def test_column_that_is_not_packed_is_not_lost():
    # Field 4 (side) as two varints.
    raw = orders_pb2.CommandBatch(first_no=1, count=2).SerializeToString() + b"\x20\x02\x20\x01"
    assert rows(decode_request(b"\x1a" + bytes([len(raw)]) + raw).batch, "side") == [2, 1]


def test_column_of_wrong_length_is_told_by_its_rows():
    with pytest.raises(ShapeError, match="column price_ticks has 3 rows in a batch of 2"):
        check_shape(read(orders_pb2.CommandBatch(first_no=1, count=2, price_ticks=[1, 2, 3])), 10)


@pytest.mark.parametrize("raw", [b"", b"\xff\xff", b"\x1a\x05ab"])
def test_other_bytes_are_unparsable(raw):
    with pytest.raises(Unparsable):
        decode_request(raw)


def test_single_command_is_a_batch_of_one():
    order = orders_pb2.NewOrder(account=3, instrument=7, side=1, order_type=1, tif=2, price_ticks=9, quantity_lots=2)
    batch = command_columns(orders_pb2.Command(session_no=6, new_order=order))
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
    events["kind"], events["side"], events["code"] = [1, 2, 3, 4, 5, 9], 2, 5001
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
