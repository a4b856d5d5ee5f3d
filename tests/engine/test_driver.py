"""An engine driven alone: the driver, events as values, and the one module that a user imports."""

import subprocess
import sys
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import lockstep.engine
from lockstep.engine import EVENT, Code, EngineDriver, EventKind, SettingEvent, Side, StreamGap, each_event
from lockstep.engine.events import CLASSES
from lockstep.stream.records import EVENT_LAYOUTS


@pytest.fixture
def driver(engine_type: type[Any]) -> EngineDriver:
    """ACME and two unlimited accounts."""
    found = EngineDriver(engine_type())
    found.commands.define_instrument(instrument=1, symbol="ACME", tick_micros=10_000)
    for account, name in ((1, "alice"), (2, "bob")):
        found.commands.define_account(account=account, name=name, unlimited_cash=True, unlimited_positions=True)
    found.apply(1_000)
    return found


def limit(driver: EngineDriver, account: int, side: str, price: int, lots: int = 5) -> int:
    return driver.commands.limit(account=account, instrument=1, side=side, price_ticks=price, quantity_lots=lots)


def test_orders_trade_without_a_word_of_seq_or_session(driver: EngineDriver) -> None:
    limit(driver, 1, "sell", 100)
    number = limit(driver, 2, "buy", 100, 3)
    accepted, taker, trade = driver.events(2_000)
    assert isinstance(accepted, lockstep.engine.OrderEvent)
    assert isinstance(trade, lockstep.engine.Event)
    assert (accepted.kind, taker.kind, trade.kind) == (EventKind.ACCEPTED, EventKind.ACCEPTED, EventKind.TRADE)
    assert (trade.session_no, trade.price_ticks, trade.quantity_lots, trade.side) == (number, 100, 3, Side.BUY)
    assert trade.maker_order_id == accepted.order_id
    assert trade.timestamp_ns == driver.engine.last_timestamp_ns == 2_000
    best = driver.engine.best(1)
    assert best is not None
    assert best.bid is None
    assert best.ask is not None
    assert best.ask.quantity_lots == 2


def test_time_stands_still_where_none_is_given_and_never_goes_back(driver: EngineDriver) -> None:
    limit(driver, 1, "sell", 100)
    (accepted,) = driver.events()
    assert accepted.timestamp_ns == 1_000
    limit(driver, 1, "sell", 101)
    with pytest.raises(StreamGap, match="time went back"):
        driver.apply(999)
    assert len(driver.commands) == 1, "it goes on waiting"
    (accepted,) = driver.events(1_001)
    assert isinstance(accepted, lockstep.engine.OrderEvent)
    assert accepted.price_ticks == 101


@pytest.mark.parametrize("stamp", [1_000.5, -1, 2**63, "now", True])
def test_a_time_that_is_none_is_a_value_error_and_the_commands_wait(driver: EngineDriver, stamp: Any) -> None:
    limit(driver, 1, "sell", 100)
    with pytest.raises(ValueError, match="timestamp_ns is"):
        driver.apply(stamp)
    assert len(driver.commands) == 1


def test_nothing_to_apply_gives_no_events(driver: EngineDriver) -> None:
    seq = driver.engine.last_seq
    assert len(driver.apply(5_000)) == 0
    assert list(driver.events()) == []
    assert driver.engine.last_seq == seq


def test_a_driver_goes_on_where_a_snapshot_was_taken(driver: EngineDriver, engine_type: type[Any]) -> None:
    limit(driver, 1, "sell", 100)
    driver.apply()
    again = EngineDriver(engine_type.restore(driver.engine.snapshot()))
    for one in (driver, again):
        limit(one, 2, "buy", 100)
        assert EventKind.TRADE in [event.kind for event in one.events(3_000)]
    assert again.engine.state_digest() == driver.engine.state_digest()


def test_two_drivers_share_an_engine_by_sessions_of_their_own(driver: EngineDriver) -> None:
    other = EngineDriver(driver.engine, session_id=2)
    for one in (driver, other, driver):
        limit(one, 1, "sell", 100)
        assert [event.kind for event in one.events()] == [EventKind.ACCEPTED]


def test_a_session_that_others_used_is_noticed_before_anything_is_applied(driver: EngineDriver) -> None:
    other = EngineDriver(driver.engine)
    limit(other, 1, "sell", 100)
    limit(driver, 1, "sell", 101)
    other.apply()
    before = driver.engine.snapshot()
    with pytest.raises(StreamGap, match="session 1 was used by others"):
        driver.apply()
    assert driver.engine.snapshot() == before


def test_what_the_state_forbids_is_an_event_with_a_code(driver: EngineDriver) -> None:
    driver.commands.cancel(account=1, order_id=12_345)
    driver.commands.adjust_cash(account=3, amount_micros=1)
    limit(driver, 3, "buy", 100)
    codes = [event.code for event in driver.events()]
    assert codes == [Code.UNKNOWN_ORDER, Code.UNKNOWN_ACCOUNT, Code.UNKNOWN_ACCOUNT]
    assert all(isinstance(code, Code) for code in codes)


def test_every_kind_of_event_has_a_class_with_the_fields_of_its_layout() -> None:
    for kind in EventKind:
        names = [name for name in EVENT_LAYOUTS[kind].names or () if not name.startswith("_reserved")]
        assert [field.name for field in fields(CLASSES[kind])] == names
    assert CLASSES[EventKind.MARGIN_CALLED] is SettingEvent


def test_other_records_are_no_events() -> None:
    with pytest.raises(ValueError, match="records of 160 bytes, not 8"):
        each_event(np.zeros(3))  # type: ignore[arg-type]
    assert list(each_event(np.empty(0, dtype=EVENT))) == []


def test_the_surface_is_one_module_and_loads_nothing_before_it_is_used() -> None:
    assert sorted(lockstep.engine._HOME_OF) == sorted(lockstep.engine.__all__)
    assert all(getattr(lockstep.engine, name) is not None for name in lockstep.engine.__all__)
    assert set(lockstep.engine.__all__) <= set(dir(lockstep.engine))
    with pytest.raises(AttributeError, match="has no attribute 'Engine'"):
        _ = lockstep.engine.Engine
    script = "import lockstep.engine, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
