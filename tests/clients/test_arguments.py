"""What callers hand in: the plain value of the wire, or an error that says what is wrong; money is exact."""

import decimal
from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep import Feed, OrderType, Phase, Side, TimeInForce
from lockstep.arguments import (
    I64,
    bearer_token,
    flag,
    from_micros,
    instrument_name,
    integer,
    micros,
    name_text,
    span,
    word,
)

# As the cluster has them: other enums of the same names.
TheirSide = IntEnum("Side", {"BUY": 1, "SELL": 2})  # type: ignore[misc]
TheirPhase = IntEnum("Phase", {"HALT": 4})  # type: ignore[misc]


@pytest.fixture(params=["six digits", "every trap", "no trap", "rounds up, small exponents"])
def foreign_context(request: Any) -> Iterator[None]:
    """A decimal context as a program that computes other things may have set it."""
    with decimal.localcontext() as context:
        context.prec = 6
        if request.param == "every trap":
            context.traps = dict.fromkeys(context.traps, True)
        elif request.param == "no trap":
            context.traps = dict.fromkeys(context.traps, False)
        elif request.param == "rounds up, small exponents":
            context.rounding, context.Emax, context.Emin = decimal.ROUND_UP, 3, -3
        yield


@pytest.mark.usefixtures("foreign_context")
@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("1234567.89", 1_234_567_890_000),
        (Decimal("1234567.89"), 1_234_567_890_000),
        ("12345.67", 12_345_670_000),
        ("9223372036854.775807", I64),
        ("-9223372036854.775807", -I64),
        (Decimal("1E+3"), 1_000_000_000),
        ("1e3", 1_000_000_000),
        ("0.000001", 1),
        (".5", 500_000),
        ("+5.", 5_000_000),
        ("0.5" + 300 * "0", 500_000),
        (123_456_789, 123_456_789_000_000),
        (np.int64(7), 7_000_000),
        (Decimal("0E+100"), 0),
        ("-0", 0),
    ],
)
def test_money_is_exact_whatever_the_callers_decimal_context_is(amount: Any, expected: int) -> None:
    assert micros("amount", amount) == expected


@pytest.mark.usefixtures("foreign_context")
@pytest.mark.parametrize(
    "amount",
    [
        "ten", "", " 1", "1 ", "1\n", "1_000", "1,5", "1,000.00", "0x10", "--1", "1e", ".", "१२", "\uff11",
        "NaN", "nan", "sNaN", "inf", "-Infinity", "1e30", "1e999999999999999999999", "9" * 5000, "0.0000001",
        "1e-999999999", "9223372036854.775808", "-9223372036854.775809", Decimal("NaN"), Decimal("sNaN"),
        Decimal("-Infinity"), Decimal("1E+999999"), pytest.param(10**5000, id="of 5001 digits"),
    ],
)  # fmt: skip
def test_what_is_no_money_is_a_value_error_that_names_the_argument(amount: Any) -> None:
    with pytest.raises(ValueError, match=r"^amount ") as caught:
        micros("amount", amount)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "amount",
    [
        True, False, np.True_, 1.0, float("nan"), np.float32(1), np.float64(1), Fraction(1, 2), 1j, b"1", None, [1],
        (0, (1,), 0),
    ],
)  # fmt: skip
def test_what_is_of_another_type_than_money_is_a_type_error(amount: Any) -> None:
    with pytest.raises(TypeError, match=r"^amount "):
        micros("amount", amount)


@given(st.integers(-(2**70), 2**70))
def test_money_goes_both_ways_without_loss(amount: int) -> None:
    with decimal.localcontext() as context:
        context.prec = 3
        shown = from_micros(amount)
    assert int(shown.scaleb(6, decimal.Context(prec=60))) == amount
    assert "E" not in str(shown)
    if abs(amount) <= I64:
        assert micros("amount", shown) == micros("amount", str(shown)) == amount


def test_integers_are_whole_numbers_only() -> None:
    made = integer("account", np.uint32(5), 0, 9)
    assert made == 5
    assert type(made) is int
    assert type(integer("side", Side.SELL, 0, 9)) is int
    for wrong in (True, np.True_, 1.0, "1", None, Decimal(1), np.array([1]), np.array(1), Fraction(1)):
        with pytest.raises(TypeError, match="account must be an integer"):
            integer("account", wrong, 0, 9)
    for far in (-1, 10, 10**5000, -(10**5000)):
        with pytest.raises(ValueError, match=r"account .* is outside 0\.\.9"):
            integer("account", far, 0, 9)


@pytest.mark.parametrize("wrong", ["false", "true", "", 0, 1, 1.0, None, [], np.array([True])])
def test_a_flag_is_true_or_false_and_nothing_that_counts_as_one(wrong: Any) -> None:
    with pytest.raises(TypeError, match="post_only must be True or False"):
        flag("post_only", wrong)
    assert flag("post_only", np.True_) is True


def test_word_of_an_enum_is_its_member_name_or_number() -> None:
    goods: tuple[Any, ...] = (Side.SELL, "sell", "SELL", 2, np.int8(2), TheirSide.SELL)
    for good in goods:
        assert word(Side, "side", good) is Side.SELL


@pytest.mark.parametrize("wrong", ["", "buyy", "buy ", "\u017fell", 0, 3, -1, 10**30])
def test_word_that_an_enum_lacks_is_a_value_error_that_names_those_it_has(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^side "):
        word(Side, "side", wrong)


@pytest.mark.parametrize("wrong", [True, 1.0, None, OrderType.MARKET, Phase.HALT, TheirPhase.HALT, b"buy", ["buy"]])
def test_member_of_another_enum_is_a_type_error_although_it_has_a_number(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^tif must be a TimeInForce"):
        word(TimeInForce, "tif", wrong)


def test_every_member_of_every_enum_is_found_by_its_name() -> None:
    words: list[type[IntEnum]] = [Side, OrderType, TimeInForce, Phase, Feed]
    for enum in words:
        assert [word(enum, "word", member.name.lower()) for member in enum] == list(enum)


@pytest.mark.parametrize("wrong", ["", "x" * 33, "AÇME", "A\tB", "A\x00", "A\n", "ACME\u200b", "\ud800"])
def test_name_that_the_wire_cannot_hold_is_a_value_error(wrong: str) -> None:
    with pytest.raises(ValueError, match="1 to 32 printable ASCII"):
        name_text("symbol", wrong)


def test_name_of_another_type_is_a_type_error() -> None:
    assert name_text("symbol", "x" * 32) == "x" * 32
    for wrong in (None, b"ACME", 7):
        with pytest.raises(TypeError, match="symbol must be a string"):
            name_text("symbol", wrong)


def test_instrument_is_a_symbol_or_an_id() -> None:
    assert (instrument_name("ACME"), instrument_name(np.int64(7))) == ("ACME", 7)
    for wrong in (True, 7.0, None, b"ACME", ["ACME"]):
        with pytest.raises(TypeError, match="instrument must be a symbol or an id"):
            instrument_name(wrong)
    with pytest.raises(ValueError, match="instrument -1 is outside"):
        instrument_name(-1)


def test_span_of_time_is_a_finite_number_in_its_bounds() -> None:
    assert (span("timeout_s", 1, 0, 9), span("timeout_s", np.float32(0.5), 0, 9)) == (1.0, 0.5)
    for far in (-0.1, 9.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="timeout_s="):
            span("timeout_s", far, 0, 9)
    for wrong in (True, "1", None, Decimal(1)):
        with pytest.raises(TypeError, match="timeout_s must be a number"):
            span("timeout_s", wrong, 0, 9)


def test_token_is_what_a_header_can_hold_and_is_not_shown_in_errors() -> None:
    assert (bearer_token("s3cret"), bearer_token(None), bearer_token("")) == ("s3cret", None, None)
    for wrong in ("s3cret\n", "s3 cret", "s3çret"):
        with pytest.raises(ValueError, match="token must be printable ASCII") as caught:
            bearer_token(wrong)
        assert "s3" not in str(caught.value)
    with pytest.raises(TypeError, match="token must be a string"):
        bearer_token(b"s3cret")
