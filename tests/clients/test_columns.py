"""Columns are the wire's bytes: what the fast twin writes, the public messages read, and the other way round."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep import CommandColumns, ProtocolFault
from lockstep.columns import (
    COMMAND_DTYPES,
    COMMAND_FIELDS,
    REPORT_DTYPES,
    REPORT_FIELDS,
    decode_command_batch,
    decode_report_batch,
)
from lockstep.orders import CommandRow
from lockstep.v1 import common_pb2, orders_pb2
from lockstep.wire.v1 import columns_pb2


def test_fields_are_those_of_the_public_messages() -> None:
    command = [field.name for field in orders_pb2.CommandBatch.DESCRIPTOR.fields]
    report = [field.name for field in orders_pb2.ReportBatch.DESCRIPTOR.fields]
    assert command == ["first_no", "count", *COMMAND_FIELDS]
    assert report == ["stamp", "count", *REPORT_FIELDS]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_public_message_reads_what_columns_encode(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    columns = {}
    for name, dtype in COMMAND_DTYPES.items():
        low, high = (0, 9) if dtype.itemsize == 1 else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
        size = data.draw(st.sampled_from((0, 1, count)))
        if size:
            columns[name] = data.draw(st.lists(st.integers(low, high), min_size=size, max_size=size))
    batch = CommandColumns(count=count, **columns)
    message = batch.encode(42)
    public = orders_pb2.SessionRequest.FromString(message).batch
    assert (public.first_no, public.count) == (42, count)
    for name in COMMAND_FIELDS:
        assert list(getattr(public, name)) == columns.get(name, [])
    first_no, again = decode_command_batch(message)
    assert first_no == 42
    assert again.encode(42) == message


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_columns_read_what_the_public_message_encodes(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    response = orders_pb2.SessionResponse()
    batch = response.report_batch
    batch.count = count
    batch.stamp.CopyFrom(common_pb2.Stamp(epoch=3, seq=2**63))
    expected = {}
    for name, dtype in REPORT_DTYPES.items():
        # Above 127 a small number takes two bytes, which the shortcut can't read and the slow way can.
        high = data.draw(st.sampled_from((9, 255))) if dtype.itemsize == 1 else int(np.iinfo(dtype).max)
        if name in ("kind", "side"):
            high = 9 if name == "kind" else 2
        if name == "code":
            high = 2**31 - 1
        values = data.draw(st.lists(st.integers(0, high), min_size=count, max_size=count))
        if any(values):
            getattr(batch, name).extend(values)
        expected[name] = values
    message = response.SerializeToString()
    found = decode_report_batch(columns_pb2.SessionResponse.FromString(message).report_batch, message)
    assert (found.epoch, found.committed_seq, found.count) == (3, 2**63, count)
    assert {name: getattr(found, name).tolist() for name in REPORT_FIELDS} == expected
    assert [row.seq for row in found.rows()] == expected["seq"]


def test_split_packed_column_is_read_by_the_slow_way() -> None:
    one, two = orders_pb2.ReportBatch(count=2, seq=[7]), orders_pb2.ReportBatch(seq=[8])
    batch = one.SerializeToString() + two.SerializeToString()
    message = bytes([3 << 3 | 2, len(batch)]) + batch
    found = decode_report_batch(columns_pb2.SessionResponse.FromString(message).report_batch, message)
    assert found.seq.tolist() == [7, 8]


def test_report_batch_with_differing_lengths_is_a_protocol_fault() -> None:
    response = orders_pb2.SessionResponse(report_batch=orders_pb2.ReportBatch(count=2, seq=[1, 2], order_id=[1]))
    message = response.SerializeToString()
    with pytest.raises(ProtocolFault, match="2 rows with 1 in order_id"):
        decode_report_batch(columns_pb2.SessionResponse.FromString(message).report_batch, message)


def test_columns_of_differing_lengths_are_named() -> None:
    with pytest.raises(ValueError, match=r"column side has 2 rows in a batch of 3 \(side: 2, price_ticks: 3\)"):
        CommandColumns(side=[1, 2], price_ticks=[1, 2, 3])


def test_values_that_do_not_fit_are_named_and_never_wrapped() -> None:
    with pytest.raises(ValueError, match=r"column side holds 1\.\.300"):
        CommandColumns(side=[1, 300])
    with pytest.raises(ValueError, match="column account holds -1"):
        CommandColumns(account=np.array([-1]))
    with pytest.raises(TypeError, match="must hold integers"):
        CommandColumns(price_ticks=[1.5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="at least one"):
        CommandColumns(count=0)


def test_rows_and_columns_make_the_same_message() -> None:
    rows = [CommandRow(kind=1, side=1, price_ticks=5), CommandRow(kind=2, order_id=9)]
    columns = CommandColumns(kind=[1, 2], side=[1, 0], order_id=[0, 9], price_ticks=[5, 0])
    assert CommandColumns.from_rows(rows).encode(3) == columns.encode(3)


def test_arrays_of_the_right_type_are_not_copied() -> None:
    prices = np.array([1, 2, 3], dtype="<i8")
    batch = CommandColumns(price_ticks=prices)
    assert np.shares_memory(batch.slice(1, 3).columns["price_ticks"], prices)
