"""From a trader's words to the wire's numbers."""

from decimal import Decimal

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
from lockstep.orders import CommandRow, cancel_row, mass_cancel_row, needs_reference, new_order_row

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


def test_order_with_a_price_is_a_limit_order_that_stays_and_without_one_a_market_order() -> None:
    limit = new_order_row(
        account=1, instrument_id=7, instrument=ACME, side="buy", quantity_lots=5, terms={"price": "1.00"}
    )
    assert (limit.order_type, limit.tif, limit.side, limit.price_ticks) == (
        OrderType.LIMIT,
        TimeInForce.GTC,
        Side.BUY,
        100,
    )
    market = new_order_row(account=1, instrument_id=7, instrument=None, side=Side.SELL, quantity_lots=5, terms={})
    assert (market.order_type, market.tif, market.price_ticks) == (OrderType.MARKET, TimeInForce.IOC, 0)


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
