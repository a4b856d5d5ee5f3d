"""Columns to records: what is refused whole, what row by row."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.gateway.validation import COLUMN_TYPES, ColumnBatch, RowBatch, ShapeError, build_records
from lockstep.stream.codes import Code
from lockstep.stream.records import CommandKind

GOOD = {"side": [1], "order_type": [1], "tif": [1], "account": [4], "instrument": [7], "price_ticks": [5]}


def build(count, accounts=None, first_no=1, admin=False, instruments=None, **columns):
    arrays = {
        name: np.array(values, dtype=np.int64 if max(values) > 255 and COLUMN_TYPES[name].itemsize == 1 else None)
        for name, values in {**GOOD, **columns}.items()
    }
    for name, array in arrays.items():
        if (array.dtype == np.int64 and COLUMN_TYPES[name].itemsize > 1) or (array.max() < 128 and array.min() >= 0):
            arrays[name] = array.astype(COLUMN_TYPES[name])
    batch = ColumnBatch(first_no, count, arrays)
    return build_records(
        batch, session_id=9, gateway=2, accounts=accounts, max_rows=10, now_ns=77, admin=admin, instruments=instruments
    )


def codes(records):
    return [int(row["tag"]) if row["kind"] == CommandKind.REFUSED else 0 for row in records]


def test_rows_are_numbered_and_single_values_hold_for_all():
    records = build(3, first_no=8, quantity_lots=[1, 2, 3])
    assert records["session_no"].tolist() == [8, 9, 10]
    assert records["price_ticks"].tolist() == [5, 5, 5]
    assert records["quantity_lots"].tolist() == [1, 2, 3]
    assert set(records["kind"].tolist()) == {CommandKind.NEW_ORDER}
    assert (records["session_id"] == 9).all()
    assert (records["gateway"] == 2).all()
    assert (records["received_ns"] == 77).all()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"count": 2, "price_ticks": [1, 2, 3]}, Code.MALFORMED_BATCH),
        ({"count": 0}, Code.MALFORMED_BATCH),
        ({"count": 1, "first_no": 0}, Code.MALFORMED_BATCH),
        ({"count": 2, "first_no": 2**64 - 1}, Code.MALFORMED_BATCH),
        ({"count": 11}, Code.BATCH_TOO_LARGE),
    ],
)
def test_wrong_shape_is_refused_whole(fields, code):
    with pytest.raises(ShapeError) as refused:
        build(**fields)
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"side": [1, 0, 1]}, Code.MISSING_FIELD),
        ({"side": [1, 3, 1]}, Code.UNKNOWN_ENUM_VALUE),
        ({"order_type": [1, 7, 1]}, Code.UNKNOWN_ENUM_VALUE),
        ({"tif": [1, 9, 1]}, Code.UNKNOWN_ENUM_VALUE),
        ({"stp": [0, 5, 0]}, Code.UNKNOWN_ENUM_VALUE),
        ({"tif": [1, 256, 1]}, Code.UNKNOWN_ENUM_VALUE),
        ({"flags": [0, 16, 0]}, Code.FIELD_OUT_OF_RANGE),
        ({"kind": [1, 5, 1]}, Code.UNKNOWN_ENUM_VALUE),
        ({"kind": [1, 2, 1]}, Code.MISSING_FIELD),
        ({"price_ticks": [1, -1, 1]}, Code.PRICE_OUT_OF_RANGE),
        ({"price_ticks": [1, 2**40, 1]}, Code.PRICE_OUT_OF_RANGE),
        ({"quantity_lots": [1, 2**31, 1]}, Code.QUANTITY_OUT_OF_RANGE),
        ({"expire_ns": [1, -4, 1]}, Code.FIELD_OUT_OF_RANGE),
    ],
)
def test_wrong_row_becomes_a_refused_record_and_its_neighbours_stay(columns, code):
    records = build(3, **columns)
    assert codes(records) == [0, code, 0]
    assert records["session_no"].tolist() == [1, 2, 3]
    refused = records[1]
    assert (refused["account"], refused["instrument"], refused["price_ticks"], refused["side"]) == (4, 7, 0, 0)


def test_account_that_is_not_the_clients_is_refused():
    assert codes(build(2, accounts=np.array([4], dtype="u4"), account=[4, 5])) == [0, Code.NOT_ENTITLED]


def test_cancel_needs_neither_side_nor_price_but_a_name():
    records = build(2, kind=[2, 3], side=[0], order_type=[0], tif=[0], order_id=[11, 12], price_ticks=[-9, 5])
    assert codes(records) == [0, 0]


def test_first_fault_of_a_row_is_the_one_told():
    assert codes(build(1, accounts=np.array([1], dtype="u4"), side=[3], price_ticks=[-1])) == [Code.NOT_ENTITLED]


def test_every_term_of_an_order_passes_through():
    terms = {
        "order_type": [4], "tif": [5], "stp": [4], "flags": [3], "stop_price_ticks": [9], "display_lots": [4],
        "min_lots": [2], "expire_ns": [2**62], "trail_ticks": [6],
    }  # fmt: skip
    (row,) = build(1, **terms)
    assert row["kind"] == CommandKind.NEW_ORDER
    assert {name: [int(row[name])] for name in terms} == terms


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("stop_price_ticks", 2**40, Code.PRICE_OUT_OF_RANGE),
        ("trail_ticks", -1, Code.PRICE_OUT_OF_RANGE),
        ("display_lots", 2**31, Code.QUANTITY_OUT_OF_RANGE),
        ("min_lots", -1, Code.QUANTITY_OUT_OF_RANGE),
    ],
)
def test_optional_term_out_of_range_is_refused(name, value, code):
    assert codes(build(2, **{name: [0, value]})) == [0, code]


# Mass cancels: the client's own account, another's, everybody's, and the kill switch on its own.
MASS = {"kind": [4], "side": [0], "account": [4, 5, 0, 4], "flags": [0, 0, 0, 1]}


@pytest.mark.parametrize(
    ("accounts", "admin", "expected"),
    [
        ([4], False, [0, Code.NOT_ENTITLED, Code.NOT_ENTITLED, Code.NOT_ENTITLED]),
        (None, False, [0, 0, Code.NOT_ENTITLED, Code.NOT_ENTITLED]),
        ([4], True, [0, 0, 0, 0]),
        (None, True, [0, 0, 0, 0]),
    ],
)
def test_mass_cancel_of_everybody_and_the_kill_switch_need_the_admin_entitlement(accounts, admin, expected):
    allowed = None if accounts is None else np.array(accounts, dtype="u4")
    assert codes(build(4, accounts=allowed, admin=admin, **MASS)) == expected


def test_admin_of_some_accounts_places_orders_for_those_only():
    accounts = np.array([4], dtype="u4")
    rows = build(3, accounts=accounts, admin=True, kind=[1, 2, 4], account=[5], order_id=[9], flags=[0])
    assert codes(rows) == [Code.NOT_ENTITLED, Code.NOT_ENTITLED, 0]
    assert codes(build(1, accounts=accounts, admin=True, account=[5])) == [Code.NOT_ENTITLED]


def test_mass_cancel_with_an_unknown_flag_is_refused():
    assert codes(build(1, admin=True, kind=[4], flags=[2], account=[4])) == [Code.FIELD_OUT_OF_RANGE]


@pytest.mark.parametrize("kind", [kind for kind in CommandKind if kind > CommandKind.MASS_CANCEL])
def test_no_batch_brings_administration_or_control_into_the_stream(kind):
    assert codes(build(2, kind=[1, int(kind)], admin=True)) == [0, Code.UNKNOWN_ENUM_VALUE]


INTERESTING = {
    "kind": [0, 1, 2, 3, 4, 5, 127],
    "side": [0, 1, 2, 3],
    "order_type": [0, 1, 5, 6],
    "tif": [0, 1, 7, 8],
    "stp": [0, 4, 5],
    "flags": [0, 1, 2, 3, 4, 127],
    "account": [0, 4, 5],
    "instrument": [0, 7],
    "client_order_id": [0, 2**64 - 1],
    "order_id": [0, 9],
    **{
        name: [-1, 0, 1, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1]
        for name in ("price_ticks", "quantity_lots", "stop_price_ticks", "display_lots", "min_lots", "expire_ns")
    },
    "trail_ticks": [0, -5, 2**63 - 1],
    "tag": [0, 3, 2**64 - 1],
}


@settings(max_examples=300, deadline=None)
@given(
    row=st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in INTERESTING.items()}),
    accounts=st.sampled_from([None, [4], [4, 5]]),
    admin=st.booleans(),
)
def test_a_lone_command_becomes_the_record_that_a_column_of_one_row_becomes(row, accounts, admin):
    allowed = None if accounts is None else np.array(accounts, dtype=np.uint32)
    terms: dict[str, Any] = {
        "session_id": 9,
        "gateway": 2,
        "accounts": allowed,
        "max_rows": 10,
        "now_ns": 77,
        "admin": admin,
    }
    columns = {name: np.array([value], dtype=COLUMN_TYPES[name]) for name, value in row.items()}
    by_columns = build_records(ColumnBatch(3, 1, columns), **terms)
    by_fields = build_records(RowBatch(3, row), **terms)
    assert by_fields.tobytes() == by_columns.tobytes()


def test_a_lone_command_numbered_zero_is_refused_whole():
    with pytest.raises(ShapeError):
        build_records(RowBatch(0, {}), session_id=9, gateway=2, accounts=None, max_rows=10, now_ns=77)


def test_flags_of_a_replace_are_not_a_clients_to_set():
    """Doors have some (`ReplaceFlag`); a client's are ignored, as every other term of a replace is."""
    records = build(2, kind=[3, 1], order_id=[5, 0], flags=[192, 1])
    assert codes(records) == [0, 0]
    assert records["flags"].tolist() == [0, 1]
    row = {"kind": 3, "order_id": 5, "account": 4, "price_ticks": 5, "flags": 192}
    (record,) = build_records(RowBatch(1, row), session_id=9, gateway=2, accounts=None, max_rows=10, now_ns=77)
    assert (record["kind"], record["flags"]) == (3, 0)


def test_new_orders_are_for_the_clients_instruments_and_whoever_has_an_order_may_cancel_and_change_it():
    own = np.array([7, 8], dtype=np.uint32)
    records = build(3, instruments=own, instrument=[7, 9, 8], side=[1, 0, 0])
    assert codes(records) == [0, Code.NOT_ENTITLED, Code.MISSING_FIELD]
    kinds = [int(CommandKind.NEW_ORDER), int(CommandKind.CANCEL), int(CommandKind.REPLACE)]
    records = build(3, instruments=own[:0], kind=kinds, order_id=[1])
    assert codes(records) == [Code.NOT_ENTITLED, 0, 0]
    terms: Any = {"session_id": 9, "gateway": 2, "accounts": None, "max_rows": 10, "now_ns": 77, "instruments": own}
    for instrument, kind in itertools.product((7, 9), kinds):
        row = {name: values[0] for name, values in GOOD.items()} | {
            "instrument": instrument,
            "order_id": 1,
            "kind": kind,
        }
        columns = {name: np.array([value], COLUMN_TYPES[name]) for name, value in row.items()}
        one, other = build_records(RowBatch(3, row), **terms), build_records(ColumnBatch(3, 1, columns), **terms)
        assert codes(one) == codes(other) == [Code.NOT_ENTITLED if (instrument, kind) == (9, kinds[0]) else 0]
