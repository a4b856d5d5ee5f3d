"""Prices, JSON of messages, bodies and parameters: what is written one way is read back as it was."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.edge.rest.answers import Asked
from lockstep.edge.rest.inputs import body_of, body_schema, checked, key_of, order_of, parameters_of
from lockstep.edge.rest.openapi import MESSAGES
from lockstep.edge.rest.operations import OPERATIONS
from lockstep.edge.rest.prices import decimal_of, price_of, ticks_of
from lockstep.edge.rest.problems import Problem, refused
from lockstep.edge.rest.shapes import Kind, fields_of, json_of, words_of
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.stream.records import MAX_PRICE_TICKS
from lockstep.v1 import common_pb2, feed_pb2, orders_pb2

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TICKS = st.integers(0, MAX_PRICE_TICKS)


def made(message: Any, /, **fields: Any) -> Any:
    """A message; enums as plain numbers."""
    return message(**fields)


@given(TICKS, st.sampled_from((1, 100, 10_000, 50_000, 1_000_000)))
def test_a_price_is_exact_and_read_back(ticks, tick_micros):
    text = price_of(ticks, tick_micros)
    assert Decimal(text) == Decimal(ticks) * tick_micros / 1_000_000
    assert "E" not in text
    assert not (text.endswith("0") and "." in text)
    if len(text.partition(".")[0]) <= 13:
        assert ticks_of(text, tick_micros) == ticks


@given(st.integers(-(2**70), 2**70), st.sampled_from((10**6, 10**12)))
def test_money_is_exact_with_its_sign(value, per_unit):
    assert Decimal(decimal_of(value, per_unit)) * per_unit == value


@pytest.mark.parametrize(
    "text", ["", "1.", ".5", "01", "-1", "+1", "1e3", "1,5", " 1", "1.0000001", "1٣", "12345678901234"]
)
def test_what_is_no_price_is_refused(text):
    with pytest.raises(ValueError, match="decimal string"):
        ticks_of(text, 1)


def test_how_a_price_is_written_does_not_make_another_request_under_a_key():
    def content(name: str, **body: Any) -> bytes:
        operation = next(one for one in OPERATIONS if one.name == name)
        return Asked(operation, Principal("a", "t", 1), None, {"account": 1}, "k", body).content

    for name in ("placeOrder", "replaceOrder"):
        for one, other in (("101.50", "101.5"), ("100.00", "100"), ("0.0", "0"), ("0.010000", "0.01")):
            assert content(name, price=one, stop_price=other) == content(name, price=other, stop_price=one)
        assert content(name, price="100") != content(name, price="10")
    # A symbol is no price.
    assert content("placeOrder", instrument="1.50") != content("placeOrder", instrument="1.5")
    assert content("massCancel", instrument="1.50") != content("massCancel", instrument="1.5")
    assert content("cancelOrder") == content("cancelOrder")


def test_a_price_between_two_ticks_is_none():
    assert ticks_of("1.005", 10_000) is None
    assert ticks_of("1.50", 10_000) == 150


def test_every_field_of_a_message_is_said_by_its_rule():
    report = made(
common_pb2.ExecutionReport,
        event_id=common_pb2.EventId(seq=2**60, index=1), epoch=4, kind=3, side=2, code=0, instrument=7, price_ticks=150,
        fee_micros=-1_500_000, timestamp_ns=12, quantity_lots=5, order_id=9,
    )  # fmt: skip
    said = json_of(report, {7: 10_000}.__getitem__)
    assert said["event_id"] == {"seq": str(2**60), "index": 1}
    assert (said["price"], said["fee"], said["timestamp_ns"], said["quantity_lots"], said["order_id"]) == (
        "1.5", "-1.5", "12", 5, "9",
    )  # fmt: skip
    assert (said["kind"], said["side"], said["code"]) == ("trade", "sell", "OK")
    assert "epoch" not in said
    assert json.loads(json.dumps(said)) == said
    candle = json_of(feed_pb2.Candle(open_ticks=3, open_ns=4, vwap_micro_ticks=2_500_000), lambda _: 1, 10_000)
    assert (candle["open"], candle["open_ns"], candle["vwap"]) == ("0.03", "4", "0.025")


def test_no_two_fields_of_a_message_have_one_name():
    for name, message in MESSAGES.items():
        names = [field.name for field in fields_of(message)]
        assert len(set(names)) == len(names), name
        for field in fields_of(message):
            if field.kind is Kind.WORD:
                words = list(words_of(field.descriptor.enum_type).values())
                assert len(set(words)) == len(words), field.name


def test_an_order_is_what_its_body_says():
    body = checked(
        body_schema("NewOrder"),
        body_of(b'{"instrument":"ACME","side":"sell","quantity_lots":3,"price":"1.50","tif":"gtc","order_type":"limit",'
                b'"post_only":true,"expire_ns":"9999999999999999999","client_order_id":"5","stp":"cancel_oldest"}'),
        "",
    )  # fmt: skip
    order = order_of(4, 7, 10_000, body)
    assert order == made(
orders_pb2.NewOrder,
        account=4, instrument=7, side=2, order_type=1, tif=2, stp=2, flags=1, client_order_id=5, price_ticks=150,
        quantity_lots=3, expire_ns=2**63 - 1,
    )  # fmt: skip


@given(ANY_JSON)
def test_any_json_is_taken_or_refused_with_a_problem(value):
    for name in ("NewOrder", "ReplaceOrder", "MassCancel"):
        try:
            checked(body_schema(name), body_of(json.dumps(value).encode()), "")
        except Problem as problem:
            assert 400 <= problem.status < 500  # noqa: PT017 - it may be taken, too


def test_every_refusal_has_a_status_and_a_document():
    for code in Code:
        problem = refused(code, "why")
        assert 400 <= problem.status < 600
        assert json.loads(problem.body())["code"] == code.name


def test_parameters_have_their_defaults_and_their_types():
    operation = next(one for one in OPERATIONS if one.name == "listOpenOrders")
    assert parameters_of(operation, {"account": "7"}, []) == {
        "account": 7, "cursor": "0", "limit": 100, "min_seq": "0",
    }  # fmt: skip
    for path, query in (("x", []), ("0", []), ("07", []), ("7", [("account", "8")]), ("7", [("limit", "1_0")])):
        with pytest.raises(Problem):
            parameters_of(operation, {"account": path}, query)


def test_a_key_may_stand_in_quotes():
    assert key_of('"a-b"') == key_of("a-b") == "a-b"
    for wrong in (None, "", "a b", "x" * 256, "é"):
        with pytest.raises(Problem):
            key_of(wrong)


def test_an_id_of_the_client_is_taken_as_it_is_up_to_the_greatest():
    body = {"instrument": "ACME", "side": "buy", "quantity_lots": 1, "price": "1", "client_order_id": str(2**64 - 1)}
    assert order_of(4, 7, 10_000, body).client_order_id == 2**64 - 1
