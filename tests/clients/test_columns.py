"""Columns are the wire's bytes: what the fast twin writes, the public messages read, and the other way round."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep import CommandColumns, ProtocolFault
from lockstep.columns import decode_command_batch, decode_report_batch
from lockstep.rows import COMMAND_DTYPES, COMMAND_FIELDS, REPORT_DTYPES, REPORT_FIELDS, CommandRow
from lockstep.v1 import common_pb2, orders_pb2
from lockstep.wire.v1 import columns_pb2


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


def test_column_that_there_is_none_of_is_named() -> None:
    with pytest.raises(TypeError, match=r"there is no column 'price'; there are: kind, side, .*, price_ticks, "):
        CommandColumns(side=1, price=100)  # type: ignore[call-arg]


EMPTY = [np.array([], "u4"), np.array([]), np.zeros(0, "<i8"), np.array([], object), [], (), range(0)]


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("name", COMMAND_FIELDS)
def test_empty_column_is_refused_and_never_one_row_of_zeros(name: str, empty: Any) -> None:
    others: list[dict[str, Any]] = [{}, {"account": 1}, {"account": [1, 2]}, {"account": np.array([], "u4")}]
    for other in others:
        for count in ({}, {"count": 1}, {"count": 2}):
            columns = {"kind": 4, **other, **count, name: empty}
            with pytest.raises((ValueError, TypeError), match="column"):
                CommandColumns(**columns)


def test_mass_cancel_of_an_empty_list_of_instruments_cancels_nothing() -> None:
    with pytest.raises(ValueError, match="column instrument is empty; a batch must have at least one command"):
        CommandColumns(kind=4, account=1, instrument=np.array([], "u4"))


@pytest.mark.parametrize(
    "columns",
    [
        {"account": [1], "instrument": [7, 8]},
        {"account": np.array([1], "u4"), "instrument": np.array([7, 8, 9], "u4")},
        {"account": [1, 2], "instrument": [7, 8, 9]},
        {"account": [1, 2], "instrument": [7, 8], "count": 3},
        {"account": [1, 2], "count": 1},
    ],
)
def test_arrays_of_differing_lengths_are_refused_also_those_of_one_row(columns: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"rows in a batch of"):
        CommandColumns(kind=4, **columns)


def test_one_value_for_all_is_a_scalar_or_one_row_beside_a_count() -> None:
    scalars: tuple[Any, ...] = (7, np.uint32(7), np.array(7))
    for one in scalars:
        batch = CommandColumns(account=one, price_ticks=[1, 2, 3])
        assert (batch.count, len(batch.columns["account"])) == (3, 1)
    assert CommandColumns(account=[7], count=3).count == 3
    assert CommandColumns(account=[7], instrument=[1]).count == 1
    assert CommandColumns(account=7).count == 1


@pytest.mark.parametrize(
    "wrong",
    [
        True, np.True_, [True, 2], [True], (1, np.True_), np.array([True]), 1.0, [1.0], np.array([1.0]),
        np.array([np.nan]), "1", ["1"], [1, None], [None], np.array([1], object),
        np.ma.array([1, 2], mask=[True, False]), {"a": 1}, {1, 2},
        (n for n in (1, 2)),
    ],
)  # fmt: skip
def test_column_of_anything_but_integers_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="column price_ticks"):
        CommandColumns(price_ticks=wrong)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("price_ticks", 2**63), ("price_ticks", [2**64, -1]), ("tag", -1), ("tag", 2**64), ("tag", [2**64, 1]),
        ("account", 2**32), ("flags", 128), ("flags", np.array([1, 200], "u1")), ("side", [255]), ("kind", 10**30),
        ("price_ticks", [[1, 2]]), ("price_ticks", np.zeros((2, 2), "<i8")), ("price_ticks", np.zeros((0, 2), "<i8")),
    ],
)  # fmt: skip
def test_number_that_its_column_cannot_hold_is_a_value_error(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"column {name} (holds|has)"):
        CommandColumns(**{name: wrong})


def test_numbers_on_both_sides_of_2_to_63_stay_exact() -> None:
    columns: tuple[Any, ...] = ([2**64 - 1, 0], [np.uint64(2**64 - 1), 5], (2**63, 2**63 - 1))
    for tags in columns:
        assert CommandColumns(tag=tags).columns["tag"].tolist() == [int(tag) for tag in tags]
    assert CommandColumns(tag=2**64 - 1).columns["tag"].tolist() == [2**64 - 1]


@pytest.mark.parametrize("wrong", [True, 2.0, "2"])
def test_count_is_an_integer(wrong: Any) -> None:
    with pytest.raises(TypeError, match="count must be an integer"):
        CommandColumns(count=wrong, account=1)
    with pytest.raises(ValueError, match="count -1 is outside"):
        CommandColumns(count=-1)


def test_rows_and_columns_make_the_same_message() -> None:
    rows = [CommandRow(kind=1, side=1, price_ticks=5), CommandRow(kind=2, order_id=9)]
    columns = CommandColumns(kind=[1, 2], side=[1, 0], order_id=[0, 9], price_ticks=[5, 0])
    assert CommandColumns.from_rows(rows).encode(3) == columns.encode(3)


@pytest.mark.parametrize("name", COMMAND_FIELDS)
def test_rows_made_by_hand_are_checked_field_by_field(name: str) -> None:
    good = CommandRow(kind=1)
    for wrong in (-(2**64), 2**64, True, 1.5, "1", None):
        with pytest.raises((TypeError, ValueError), match=rf"^{name} "):
            CommandColumns.from_rows([good, good._replace(**{name: wrong})])  # type: ignore[arg-type]


def test_no_rows_and_rows_of_another_length_are_no_batch() -> None:
    with pytest.raises(ValueError, match="at least one"):
        CommandColumns.from_rows([])
    with pytest.raises(ValueError, match="shorter"):
        CommandColumns.from_rows([(1, 2)])


@pytest.mark.parametrize("bounds", [(0, 0), (3, 3), (2, 1), (1, 4), (-1, 2), (0, -1), (4, 9)])
def test_rows_that_a_batch_does_not_have_cannot_be_cut_from_it(bounds: tuple[int, int]) -> None:
    # Beyond the end the one row left would stand for all, and an empty column would say 0: all instruments.
    batch = CommandColumns(kind=4, account=1, instrument=[5, 6, 7])
    with pytest.raises(ValueError, match=r"outside 0\.\.3|at least one"):
        batch.slice(*bounds)
    assert batch.slice(2, 3).columns["instrument"].tolist() == [7]
    with pytest.raises(ValueError, match="at least one"):
        CommandColumns.concat([])


def test_arrays_of_the_right_type_are_not_copied() -> None:
    prices = np.array([1, 2, 3], dtype="<i8")
    batch = CommandColumns(price_ticks=prices)
    assert np.shares_memory(batch.slice(1, 3).columns["price_ticks"], prices)
