"""OCO orders and children from the command builder, on both engines."""

from typing import Any

import pytest

from lockstep.engine.commands import CommandBuilder
from lockstep.engine.driver import EngineDriver
from lockstep.stream.records import EventKind

ENTRY: dict[str, Any] = {"account": 1, "instrument": 1, "quantity_lots": 10}


def test_a_bracket_in_one_batch(engine_type: type[Any]) -> None:
    """The README of an algorithm: entry, then profit or loss, before anything has traded."""
    driver = EngineDriver(engine_type())
    put = driver.commands
    put.define_instrument(instrument=1, symbol="ACME", tick_micros=10_000)
    for account, name in ((1, "desk"), (2, "market")):
        put.define_account(account=account, name=name)
        put.adjust_cash(account=account, amount_micros=10**9)
    put.adjust_position(account=2, instrument=1, quantity_lots=100)
    put.limit(**ENTRY, side="buy", price_ticks=100, client_order_id=1)
    put.oco(**ENTRY, side="sell", price_ticks=110, stop_price_ticks=95, client_order_id=2, parent_id=1)
    put.stop(**ENTRY, side="sell", stop_price_ticks=90, client_order_id=3, parent_id=1, limit_price_ticks=89)
    put.limit(**ENTRY, side="sell", price_ticks=120, client_order_id=4, parent_id=1)
    put.limit(account=2, instrument=1, side="sell", price_ticks=100, quantity_lots=10)
    kinds = [event.kind for event in driver.events(10)]
    sent, refused = [EventKind.TRIGGERED], [EventKind.TRIGGERED, EventKind.CANCELED]
    assert kinds[-7:] == [EventKind.ACCEPTED, EventKind.TRADE, *sent, *refused, *refused], "there are lots for one only"
    (order,) = driver.engine.open_orders(1)
    assert (order.client_order_id, order.stop_price_ticks, order.leaves_lots) == (2, 95, 10)


def test_all_that_rests_or_waits_can_end_at_a_halt(engine_type: type[Any]) -> None:
    driver = EngineDriver(engine_type())
    put = driver.commands
    put.define_instrument(instrument=1, symbol="ACME", tick_micros=10_000)
    put.define_account(account=1, name="desk", unlimited_cash=True, unlimited_positions=True)
    for at, halts in enumerate((True, False)):
        waits: dict[str, Any] = ENTRY | {"side": "sell", "stop_price_ticks": 90, "cancel_on_halt": halts}
        put.limit(**ENTRY, side="buy", price_ticks=100, client_order_id=1 + 10 * at, cancel_on_halt=halts)
        put.stop(**waits, client_order_id=2 + 10 * at)
        put.stop(**waits, limit_price_ticks=89, client_order_id=3 + 10 * at)
        put.trailing_stop(**waits, trail_ticks=5, client_order_id=4 + 10 * at)
        put.oco(**waits, price_ticks=120, client_order_id=5 + 10 * at)
    list(driver.events(10))
    put.set_phase(instrument=1, phase="halt")
    assert [event.kind for event in driver.events(20)].count(EventKind.CANCELED) == 5
    assert sorted(order.client_order_id for order in driver.engine.open_orders(1)) == [11, 12, 13, 14, 15]


@pytest.mark.parametrize(
    ("method", "terms", "says"),
    [
        ("oco", {"side": "buy", "price_ticks": 5, "stop_price_ticks": 5}, "must be above its limit"),
        ("oco", {"side": "sell", "price_ticks": 5, "stop_price_ticks": 6}, "must be below its limit"),
        (
            "oco",
            {"side": "sell", "price_ticks": 5, "stop_price_ticks": 4, "tif": "ioc"},
            "does not go with a OCO order",
        ),
        ("limit", {"side": "buy", "price_ticks": 5, "parent_id": 1, "tif": "ioc"}, "parent_id is for plain orders"),
        ("limit", {"side": "buy", "price_ticks": 5, "parent_id": 1, "hidden": True}, "parent_id is for plain orders"),
        ("limit", {"side": "buy", "price_ticks": 5, "parent_id": 1, "min_lots": 1}, "parent_id is for plain orders"),
        ("limit", {"side": "buy", "price_ticks": 5, "parent_id": 1, "cancel_on_halt": True}, "no .* cancel_on_halt"),
        (
            "stop",
            {"side": "buy", "stop_price_ticks": 5, "parent_id": 1, "cancel_on_halt": True},
            "no .* cancel_on_halt",
        ),
        (
            "oco",
            {"side": "sell", "price_ticks": 5, "stop_price_ticks": 4, "parent_id": 1, "cancel_on_halt": True},
            "no .* cancel_on_halt",
        ),
        ("stop", {"side": "buy", "stop_price_ticks": 5, "cancel_on_halt": 1}, "cancel_on_halt is 1"),
    ],
)
def test_what_can_not_be_right_is_a_value_error(method: str, terms: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        getattr(CommandBuilder(), method)(**ENTRY, **terms)
