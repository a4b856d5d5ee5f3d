"""From a trader's words to the wire's numbers."""

import decimal
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from lockstep import (
    Instrument,
    OrderFlag,
    OrderTerms,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    price_to_ticks,
    ticks_to_price,
)
from lockstep.columns import COMMAND_BOUNDS
from lockstep.orders import cancel_row, checked_row, mass_cancel_row, needs_reference, new_order_row, replace_row
from lockstep.rows import CommandRow

ACME = Instrument(7, "ACME", 10_000, 1)


def test_price_is_exact_ticks_or_an_error_that_names_the_nearest_ones() -> None:
    assert price_to_ticks(ACME, "101.50") == 10_150
    assert price_to_ticks(ACME, Decimal("0.01")) == 1
    assert price_to_ticks(ACME, 3) == 300
    assert ticks_to_price(ACME, 10_150) == Decimal("101.5")
    with pytest.raises(ValueError, match=r"off the tick of ACME; the nearest are 10 and 10\.01"):
        price_to_ticks(ACME, "10.005")


def test_float_price_is_refused_because_it_is_not_exact() -> None:
    with pytest.raises(TypeError, match="float"):
        price_to_ticks(ACME, 0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a decimal number"):
        price_to_ticks(ACME, "ten")
    with pytest.raises(ValueError, match="finite"):
        price_to_ticks(ACME, "NaN")


def test_order_with_a_price_is_a_limit_order_that_stays() -> None:
    limit = new_order_row(
        account=1, instrument_id=7, instrument=ACME, side="buy", quantity_lots=5, terms={"price": "1.00"}
    )
    assert (limit.order_type, limit.tif, limit.side, limit.price_ticks) == (
        OrderType.LIMIT,
        TimeInForce.GTC,
        Side.BUY,
        100,
    )


def test_order_without_a_price_is_a_market_order_only_if_it_says_so() -> None:
    for terms in ({}, {"price": None}, {"price_ticks": None, "tif": "ioc"}, {"client_order_id": 4, "order_type": None}):
        with pytest.raises(ValueError, match="without a price must say what it is"):
            row(terms)  # type: ignore[arg-type]
    for word in (OrderType.MARKET, "market", "MARKET", 2):
        market = row({"order_type": word})  # type: ignore[typeddict-item]
        assert (market.order_type, market.tif, market.price_ticks) == (OrderType.MARKET, TimeInForce.IOC, 0)
    protected = row({"order_type": "market", "price": "2.00"})
    assert (protected.order_type, protected.price_ticks) == (OrderType.MARKET, 200)


@pytest.mark.parametrize(
    ("terms", "needed"),
    [
        ({"order_type": "limit"}, "price"),
        ({"order_type": "limit", "stop_price": "1.00"}, "price"),
        ({"order_type": "stop", "price": "1.00"}, "stop_price"),
        ({"order_type": "stop_limit", "price": "1.00"}, "stop_price"),
        ({"order_type": "stop_limit", "stop_price": "1.00"}, "price"),
        ({"order_type": "trailing_stop", "stop_price": "1.00"}, "trail"),
    ],
)
def test_type_that_was_said_needs_its_prices(terms: OrderTerms, needed: str) -> None:
    with pytest.raises(ValueError, match=rf"order needs {needed}=\.\.\. or {needed}_ticks"):
        row(terms)


@pytest.mark.parametrize(
    "terms",
    [
        {"stop_price": "0"}, {"stop_price": 0}, {"stop_price": Decimal("0.00")}, {"stop_price": "-0"},
        {"stop_price_ticks": 0}, {"stop_price_ticks": np.int64(0)}, {"stop_price_ticks": -1}, {"stop_price": "-1"},
        {"trail": "0"}, {"trail": Decimal(0)}, {"trail_ticks": 0}, {"trail_ticks": -5}, {"trail": "-0.01"},
        {"trail_ticks": 5, "stop_price_ticks": 0}, {"trail_ticks": 5, "stop_price": "0.0"},
        {"stop_price": "0", "price": "1.00"}, {"stop_price_ticks": 0, "price_ticks": 5, "order_type": "stop_limit"},
        {"stop_price_ticks": 0, "order_type": "stop"}, {"trail": "0", "order_type": "trailing_stop"},
        {"order_type": "market", "price": "0"}, {"order_type": "market", "price_ticks": 0},
        {"order_type": "market", "stop_price_ticks": 0}, {"order_type": "market", "trail_ticks": 0},
        {"stop_price": "1.00", "order_type": "stop", "price": "0"},
        {"price": "1.00", "expire_ns": 0}, {"price": "1.00", "expire_ns": 0, "tif": "gtd"},
        {"price": "1.00", "expire_ns": -1}, {"price": "1.00", "display_lots": 0}, {"price": "1.00", "display_lots": -1},
    ],
)  # fmt: skip
def test_zero_that_would_count_as_absent_on_the_wire_is_refused(terms: OrderTerms) -> None:
    with pytest.raises(ValueError, match=r"must be (above 0|1 or more)|is below 0|price 0 of a .* order"):
        row(terms)


def test_zero_price_of_a_limit_order_is_sent_as_one_and_for_the_engine_to_refuse() -> None:
    for terms in ({"price": "0"}, {"price_ticks": 0}, {"price": "0", "stop_price": "1.00"}):
        made = row(terms)  # type: ignore[arg-type]
        assert made.price_ticks == 0
        assert made.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)


@pytest.mark.parametrize(
    ("terms", "error", "text"),
    [
        ({"price": "1e30"}, ValueError, "price .* out of range"),
        ({"price": "1e99999999999999999999"}, ValueError, "price .* out of range"),
        ({"price": True}, TypeError, "price must be a Decimal"),
        ({"price": "-1.00"}, ValueError, "price '-1.00' is below 0"),
        ({"price_ticks": -1}, ValueError, "price_ticks -1 is outside"),
        ({"price_ticks": "100"}, TypeError, "price_ticks must be an integer"),
        ({"price_ticks": 100.0}, TypeError, "price_ticks must be an integer"),
        ({"price_ticks": True}, TypeError, "price_ticks must be an integer"),
        ({"price": "1", "post_only": "false"}, TypeError, "post_only must be True or False, not 'false'"),
        ({"price": "1", "hidden": 0}, TypeError, "hidden must be True or False, not 0"),
        ({"price": "1", "min_lots": True}, TypeError, "min_lots must be an integer"),
        ({"price": "1", "min_lots": -1}, ValueError, "min_lots -1 is outside"),
        ({"price": "1", "display_lots": 2.0}, TypeError, "display_lots must be an integer"),
        ({"price": "1", "expire_ns": 1.8e18}, TypeError, "expire_ns must be an integer"),
        ({"price": "1", "expire_ns": 2**63}, ValueError, "expire_ns 9223372036854775808 must|outside"),
        ({"price": "1", "client_order_id": "A1"}, TypeError, "client_order_id must be an integer"),
        ({"price": "1", "client_order_id": 2**64}, ValueError, "client_order_id .* is outside"),
        ({"price": "1", "tag": -1}, ValueError, "tag -1 is outside"),
        ({"price": "1", "tif": OrderType.MARKET}, TypeError, "tif must be a TimeInForce"),
        ({"price": "1", "stp": True}, TypeError, "stp must be a SelfTradePrevention"),
        ({"price": "1", "order_type": Side.SELL}, TypeError, "order_type must be a OrderType"),
        ({"limit_price": "1"}, TypeError, "'limit_price'; did you mean 'price'"),
    ],
)
def test_value_that_the_wire_cannot_hold_or_would_bend_is_named(
    terms: OrderTerms, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        row(terms)


def test_numbers_of_numpy_are_numbers() -> None:
    made = new_order_row(
        account=np.uint32(1),  # type: ignore[arg-type]
        instrument_id=np.int64(7),  # type: ignore[arg-type]
        instrument=ACME,
        side=np.int8(2),  # type: ignore[arg-type]
        quantity_lots=np.int16(5),  # type: ignore[arg-type]
        terms={"price_ticks": np.int64(100), "post_only": np.True_, "tag": np.uint64(2**64 - 1)},  # type: ignore[typeddict-item]
    )
    assert made == (1, 2, 1, 2, 0, 1, 1, 7, 0, 0, 100, 5, 0, 0, 0, 0, 0, 2**64 - 1, 0)
    assert {type(value) for value in made} == {int}


@pytest.mark.parametrize("precision", [1, 6, 28])
def test_price_off_its_tick_is_refused_whatever_the_callers_precision_is(precision: int) -> None:
    with decimal.localcontext() as context:
        context.prec = precision
        with pytest.raises(ValueError, match=r"price 1234\.567 is off .* nearest are 1234\.56 and 1234\.57"):
            price_to_ticks(ACME, Decimal("1234.567"))
        with pytest.raises(ValueError, match=r"the nearest are 0 and 0\.01"):
            price_to_ticks(ACME, "1e-30")
        assert price_to_ticks(ACME, "12345678901.23") == 1_234_567_890_123
        assert str(ticks_to_price(ACME, 1_234_567_890_123)) == "12345678901.23"
        assert str(ticks_to_price(ACME, 100_000)) == "1000"
        assert str(Instrument(1, "BIG", 1_234_567_890_123, 1).tick) == "1234567.890123"


def test_replace_takes_no_zero_for_the_price_that_stays() -> None:
    def change(**terms: Any) -> CommandRow:
        given = {"price": None, "price_ticks": None, "quantity_lots": 5, "instrument": ACME, **terms}
        return replace_row(account=1, order_id=9, client_order_id=0, **given)

    assert change(stop_price_ticks=5).stop_price_ticks == 5
    assert change(price="1.00").stop_price_ticks == 0
    for terms, text in (
        ({}, "needs the order's new price"),
        ({"stop_price_ticks": 0}, "stop_price_ticks 0 must be 1 or more"),
        ({"price": "1.00", "stop_price_ticks": 0}, "stop_price_ticks 0 must be 1 or more"),
        ({"price": "1.00", "price_ticks": 100}, "not both"),
        ({"price": "-1.00"}, "price_ticks -100 is outside"),
        ({"price": "1.00", "instrument": None}, "needs the instrument"),
    ):
        with pytest.raises(ValueError, match=text):
            change(**terms)


@pytest.mark.parametrize("name", ["account", "order_id", "client_order_id"])
@pytest.mark.parametrize("wrong", [True, 1.0, "1", None, -1, 2**64])
def test_order_is_named_by_integers(name: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name} "):
        cancel_row(**{"account": 1, "order_id": 2, "client_order_id": 3, name: wrong})


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ({"block": "false"}, "block must be True or False"),
        ({"block": 1}, "block must be True or False"),
        ({"session_id": 2**64}, "session_id .* is outside"),
        ({"session_id": None}, "session_id must be an integer"),
        ({"instrument_id": True}, "instrument must be an integer"),
        ({"instrument_id": 2**32}, "instrument 4294967296 is outside"),
        ({"side": True}, "side must be a Side"),
        ({"side": ""}, "side '' is unknown"),
    ],
)
def test_scope_of_a_mass_cancel_is_never_bent(terms: dict[str, Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        mass_cancel_row(**{"account": 1, "instrument_id": 7, "side": None, **terms})


@pytest.mark.parametrize("name", CommandRow._fields)
def test_row_made_by_hand_is_checked_field_by_field(name: str) -> None:
    low, high = COMMAND_BOUNDS[name]
    foreign: dict[str, Any] = {name: np.int64(1)}
    made = checked_row(CommandRow(kind=1)._replace(**foreign))
    assert made == CommandRow(kind=1)._replace(**{name: 1})
    for far in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"^{name} {far} is outside"):
            checked_row(CommandRow(kind=1)._replace(**{name: far}))
    for wrong in (True, 1.0, "1", None):
        with pytest.raises(TypeError, match=f"^{name} must be an integer"):
            checked_row(CommandRow(kind=1)._replace(**{name: wrong}))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a CommandRow or an administrative command"):
        checked_row((1,) * len(CommandRow._fields))  # type: ignore[arg-type]


def test_wrong_words_and_numbers_are_named() -> None:
    with pytest.raises(ValueError, match="side 'long' is unknown; use one of: buy, sell"):
        new_order_row(account=1, instrument_id=7, instrument=ACME, side="long", quantity_lots=5, terms={})
    with pytest.raises(ValueError, match="account -1 is outside"):
        new_order_row(account=-1, instrument_id=7, instrument=ACME, side="buy", quantity_lots=5, terms={})
    with pytest.raises(TypeError, match="quantity_lots must be an integer"):
        new_order_row(account=1, instrument_id=7, instrument=ACME, side="buy", quantity_lots=1.5, terms={})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not both"):
        new_order_row(
            account=1,
            instrument_id=7,
            instrument=ACME,
            side="buy",
            quantity_lots=1,
            terms={"price": "1", "price_ticks": 100},
        )
    with pytest.raises(ValueError, match="name the order"):
        cancel_row(account=1, order_id=0, client_order_id=0)


def row(terms: OrderTerms) -> CommandRow:
    return new_order_row(account=1, instrument_id=7, instrument=ACME, side="sell", quantity_lots=50, terms=terms)


@pytest.mark.parametrize(
    ("terms", "order_type", "tif"),
    [
        ({"stop_price": "1.00"}, OrderType.STOP, TimeInForce.GTC),
        ({"stop_price_ticks": 100, "price": "0.99"}, OrderType.STOP_LIMIT, TimeInForce.GTC),
        ({"trail": "0.05"}, OrderType.TRAILING_STOP, TimeInForce.GTC),
        ({"trail_ticks": 5, "stop_price": "1.00", "tif": "day"}, OrderType.TRAILING_STOP, TimeInForce.DAY),
        ({"price": "1.00", "expire_ns": 9}, OrderType.LIMIT, TimeInForce.GTD),
        ({"price": "1.00", "order_type": "market"}, OrderType.MARKET, TimeInForce.IOC),
        ({"price": "1.00", "tif": "at_close"}, OrderType.LIMIT, TimeInForce.AT_CLOSE),
    ],
)
def test_type_and_time_in_force_follow_from_the_prices(
    terms: OrderTerms, order_type: OrderType, tif: TimeInForce
) -> None:
    made = row(terms)
    assert (made.order_type, made.tif) == (order_type, tif)


def test_every_term_stands_in_its_field() -> None:
    made = row({
        "price": "1.00", "post_only": True, "display_lots": 10, "min_lots": 2, "expire_ns": 99, "stp": "decrement",
        "client_order_id": 4, "tag": 6,
    })  # fmt: skip
    assert (made.flags, made.stp) == (OrderFlag.POST_ONLY, SelfTradePrevention.DECREMENT)
    assert (made.display_lots, made.min_lots, made.expire_ns, made.client_order_id, made.tag) == (10, 2, 99, 4, 6)
    trailing = row({"trail": "0.05", "stop_price": "2.00"})
    assert (trailing.trail_ticks, trailing.stop_price_ticks) == (5, 200)
    assert row({"price": "1.00", "hidden": True}).flags == OrderFlag.HIDDEN
    assert needs_reference({"trail": "0.05"})
    assert not needs_reference({"trail_ticks": 5})


def test_mass_cancel_names_its_scope() -> None:
    made = mass_cancel_row(account=1, instrument_id=7, side="buy", session_id=99, block=True)
    assert (made.account, made.instrument, made.side, made.order_id, made.flags) == (1, 7, Side.BUY, 99, 1)
