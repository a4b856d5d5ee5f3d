"""The command builder: refuses exactly what an engine could never accept, and writes what a test writes by hand."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from lockstep.engine import (
    COMMAND,
    CommandBuilder,
    CommandKind,
    Commands,
    EngineDriver,
    EventKind,
    OrderFlag,
    OrderType,
    Phase,
    ReferenceEngine,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from lockstep.stream.codes import Code
from lockstep.stream.records import MARKET, RULES, SETTING, TRANSFER

ORDER: dict[str, Any] = {"account": 9, "instrument": 7, "side": Side.BUY, "quantity_lots": 10}
NEVER = {
    Code.NOT_SUPPORTED,
    Code.BAD_QUANTITY,
    Code.BAD_PRICE,
    Code.BAD_STOP_PRICE,
    Code.BAD_DISPLAY,
    Code.BAD_MINIMUM,
    Code.BAD_EXPIRY,
}
"""What an engine says to terms that are wrong by themselves."""


def limits() -> list[dict[str, Any]]:
    """Terms of limit orders, sensible ones and others."""
    flags = product((False, True), (False, True), (0, 3, 11), (0, 4, 11))
    return [
        {"tif": tif, "expire_ns": expiry, "post_only": post, "hidden": hidden, "display_lots": peak, "min_lots": least}
        for tif, expiry, (post, hidden, peak, least) in product(TimeInForce, (0, 10**9), flags)
    ]


def raw_limit(terms: dict[str, Any]) -> dict[str, Any]:
    """The same terms as fields of a record."""
    fields = {key: value for key, value in terms.items() if key not in ("post_only", "hidden")}
    flags = OrderFlag.POST_ONLY * terms["post_only"] | OrderFlag.HIDDEN * terms["hidden"]
    return fields | {"order_type": OrderType.LIMIT, "price_ticks": 100, "flags": flags}


def test_a_limit_order_is_refused_by_the_builder_exactly_if_every_engine_refuses_its_terms(
    venue: Any, make_command: Callable[..., Commands]
) -> None:
    seen = {True: 0, False: 0}
    for terms in limits():
        row = make_command(CommandKind.NEW_ORDER, **ORDER, **raw_limit(terms))
        builder = CommandBuilder()
        try:
            builder.limit(**ORDER, price_ticks=100, **terms)
        except ValueError:
            assert len(builder) == 0
        answer = venue.send(row)
        good = answer[0].code not in NEVER
        assert good == bool(builder), (terms, answer[0])
        if good:
            written = builder.take()
            row["session_id"], row["session_no"] = 1, 1
            assert written.tobytes() == row.tobytes()
        seen[good] += 1
        venue.mass_cancel(9)
    assert min(seen.values()) > 30


@pytest.mark.parametrize("tif", TimeInForce)
@pytest.mark.parametrize(
    ("method", "terms", "raw"),
    [
        ("market", {}, {"order_type": OrderType.MARKET}),
        ("market", {"min_lots": 4}, {"order_type": OrderType.MARKET, "min_lots": 4}),
        ("market", {"protection_ticks": 90}, {"order_type": OrderType.MARKET, "price_ticks": 90}),
        ("stop", {"stop_price_ticks": 120}, {"order_type": OrderType.STOP, "stop_price_ticks": 120}),
        (
            "stop",
            {"stop_price_ticks": 120, "limit_price_ticks": 125},
            {"order_type": OrderType.STOP_LIMIT, "stop_price_ticks": 120, "price_ticks": 125},
        ),
        (
            "trailing_stop",
            {"trail_ticks": 5, "stop_price_ticks": 120},
            {"order_type": OrderType.TRAILING_STOP, "trail_ticks": 5, "stop_price_ticks": 120},
        ),
        (
            "oco",
            {"price_ticks": 100, "stop_price_ticks": 120},
            {"order_type": OrderType.OCO, "price_ticks": 100, "stop_price_ticks": 120},
        ),
        (
            "limit",
            {"price_ticks": 100, "cancel_on_halt": True},
            {"order_type": OrderType.LIMIT, "price_ticks": 100, "flags": OrderFlag.CANCEL_ON_HALT},
        ),
        (
            "stop",
            {"stop_price_ticks": 120, "cancel_on_halt": True},
            {"order_type": OrderType.STOP, "stop_price_ticks": 120, "flags": OrderFlag.CANCEL_ON_HALT},
        ),
        (
            "stop",
            {"stop_price_ticks": 120, "limit_price_ticks": 125, "cancel_on_halt": True},
            {
                "order_type": OrderType.STOP_LIMIT,
                "stop_price_ticks": 120,
                "price_ticks": 125,
                "flags": OrderFlag.CANCEL_ON_HALT,
            },
        ),
        (
            "trailing_stop",
            {"trail_ticks": 5, "stop_price_ticks": 120, "cancel_on_halt": True},
            {
                "order_type": OrderType.TRAILING_STOP,
                "trail_ticks": 5,
                "stop_price_ticks": 120,
                "flags": OrderFlag.CANCEL_ON_HALT,
            },
        ),
        (
            "oco",
            {"price_ticks": 100, "stop_price_ticks": 120, "cancel_on_halt": True},
            {
                "order_type": OrderType.OCO,
                "price_ticks": 100,
                "stop_price_ticks": 120,
                "flags": OrderFlag.CANCEL_ON_HALT,
            },
        ),
    ],
)
def test_other_orders_are_refused_by_the_builder_exactly_if_every_engine_refuses_their_terms(
    venue: Any, make_command: Callable[..., Commands], method: str, terms: Any, raw: Any, tif: TimeInForce
) -> None:
    venue.price_limits(band_ppm=500_000)
    venue.phase(Phase.CONTINUOUS, reference_price_ticks=100)  # a market buy has something to reserve by
    dated: dict[str, Any] = {"expire_ns": 10**9} if tif is TimeInForce.GTD and method != "market" else {}
    row = make_command(CommandKind.NEW_ORDER, **ORDER, tif=tif, **raw, **dated)
    builder = CommandBuilder()
    try:
        getattr(builder, method)(**ORDER, tif=tif, **terms, **dated)
    except ValueError:
        assert len(builder) == 0
    good = venue.send(row)[0].code not in NEVER
    assert good == bool(builder)
    if good:
        row["session_id"], row["session_no"] = 1, 1
        assert builder.take().tobytes() == row.tobytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"price_ticks": 101.5}, "price_ticks is 101.5: give a whole number .a price in ticks"),
        ({"price_ticks": 0}, "price_ticks is 0: it must be in 1..1099511627775"),
        ({"quantity_lots": 0}, "quantity_lots is 0: it must be in 1..2147483647"),
        ({"quantity_lots": 2**31}, "must be in 1..2147483647"),
        ({"quantity_lots": True}, "quantity_lots is True: give a whole number"),
        ({"quantity_lots": "5"}, "quantity_lots is '5': give a whole number"),
        ({"quantity_lots": "5", "display_lots": 2}, "quantity_lots is '5': give a whole number"),
        ({"account": 0}, "account is 0: it must be in 1..4294967295"),
        ({"instrument": 2**32}, "instrument is 4294967296"),
        ({"side": "up"}, "side is 'up': use one of Side.BUY, Side.SELL"),
        ({"side": OrderType.LIMIT}, "use one of Side.BUY, Side.SELL"),
        ({"tif": 99}, "tif is 99: use one of TimeInForce.DAY"),
        ({"tif": TimeInForce.GTD}, "expire_ns and tif GTD go together"),
        ({"expire_ns": 5}, "expire_ns and tif GTD go together"),
        ({"hidden": 1}, "hidden is 1: give True or False"),
        ({"hidden": True, "display_lots": 2}, "give one of them"),
        ({"display_lots": 11}, "display_lots is 11 of 10: it must be at most the quantity"),
        ({"min_lots": 11}, "min_lots is 11 of 10"),
        ({"client_order_id": -1}, "client_order_id is -1: it must be in 0.."),
        ({"tag": 2**64}, "tag is 18446744073709551616"),
    ],
)
def test_wrong_terms_are_a_value_error_that_says_what_to_give(change: dict[str, Any], says: str) -> None:
    builder = CommandBuilder()
    with pytest.raises(ValueError, match=says):
        builder.limit(**{**ORDER, "price_ticks": 100, **change})
    assert (len(builder), builder.next_no) == (0, 1)


@pytest.mark.parametrize(
    ("method", "arguments", "says"),
    [
        ("cancel", {"account": 1}, "give one of them, not 0"),
        ("cancel", {"account": 1, "order_id": 5, "client_order_id": 6}, "give one of them"),
        ("replace", {"account": 1, "order_id": 5, "price_ticks": 1, "quantity_lots": 0}, "quantity_lots is 0"),
        ("mass_cancel", {}, "give account, instrument, or both"),
        ("mass_cancel", {"instrument": 1, "block": True}, "give the account"),
        ("market", {**ORDER, "tif": "GTD"}, "tif GTD does not go with a MARKET order: use one of DAY"),
        ("stop", {**ORDER, "stop_price_ticks": 0}, "stop_price_ticks is 0"),
        ("define_instrument", {"instrument": 1, "symbol": "", "tick_micros": 1}, "1 to 32 printable ASCII"),
        ("define_instrument", {"instrument": 1, "symbol": "Ä", "tick_micros": 1}, "1 to 32 printable ASCII"),
        ("define_instrument", {"instrument": 1, "symbol": b"A", "tick_micros": 1}, "give a string of"),
        ("define_instrument", {"instrument": 1, "symbol": "A", "tick_micros": 0.01}, "tick_micros is 0.01"),
        (
            "define_instrument",
            {"instrument": 1, "symbol": "A", "tick_micros": 2**30, "lot_units": 2**11},
            "use a smaller lot",
        ),
        ("define_account", {"account": 1, "name": "a", "short_sales": True}, "goes with margin=True only"),
        ("define_account", {"account": 1, "name": "a", "margin": True, "unlimited_cash": True}, "leave out margin"),
        ("adjust_cash", {"account": 1, "amount_micros": 2**63}, "amount_micros is 9223372036854775808"),
        ("set_phase", {"phase": "CONTINUOUS", "until_ns": 5}, "give both, or neither"),
        ("set_phase", {"phase": "open"}, "use one of Phase.PRE_OPEN"),
        ("set_risk_limits", {"account": 1, "orders_per_second": 5}, "give both, or neither"),
        ("set_fees", {"instrument": 1, "maker_fee_ppm": -2, "taker_fee_ppm": 1}, "must be in -1..100000"),
        ("set_price_limits", {"instrument": 1, "breaker_ppm": 5}, "give all four, or none"),
        ("set_margin", {"instrument": 1, "initial_ppm": 5, "maintenance_ppm": 6}, "must be in 1..5"),
        ("set_market_breaker", {"level1_ppm": 5, "level2_ppm": 5, "pause_ns": 1}, "must rise"),
        ("set_market_breaker", {"level1_ppm": 5}, "pause_ns goes with"),
        ("set_throttle", {"orders_per_second": 5}, "go together"),
    ],
)
def test_other_wrong_arguments_are_value_errors(method: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        getattr(CommandBuilder(), method)(**arguments)


def test_every_administrative_command_is_obeyed(engine_type: type[Any]) -> None:
    driver = EngineDriver(engine_type())
    put = driver.commands
    put.define_instrument(instrument=1, symbol="ACME", tick_micros=10_000, lot_units=1)
    put.define_account(account=1, name="alice", margin=True, short_sales=True, day_trade_rule=True)
    put.define_account(account=2, name="bob", unlimited_cash=True, unlimited_positions=True)
    put.adjust_cash(account=1, amount_micros=10**9)
    put.adjust_position(account=1, instrument=1, quantity_lots=10)
    put.transfer_position(account=1, to_account=2, instrument=1, quantity_lots=4)
    put.set_phase(instrument=1, phase="halt", next_phase=Phase.CONTINUOUS, until_ns=50, reference_price_ticks=100)
    put.set_account_status(account=1, status="active")
    put.set_risk_limits(account=1, max_order_lots=100, orders_per_second=10, burst_orders=5)
    put.set_fees(instrument=1, maker_fee_ppm=-10, taker_fee_ppm=20)
    put.set_price_limits(
        instrument=1, band_ppm=10**5, breaker_ppm=10**4, breaker_window_ns=5, breaker_pause_ns=5, breaker_phase="HALT"
    )
    put.set_margin(instrument=1, initial_ppm=500_000, maintenance_ppm=250_000)
    put.set_index(instrument=1, weight=3, close_price_ticks=100)
    put.set_market_breaker(level1_ppm=70_000, level2_ppm=130_000, level3_ppm=200_000, pause_ns=10)
    put.set_throttle(instrument=1, orders_per_second=1_000, burst_orders=10)
    put.set_bands(instrument=1, high_ppm=900_000)
    put.set_band_width(width=2)
    put.set_band_width(instrument=1, width=1, reference_price_ticks=100)
    put.no_bands(instrument=1)
    put.set_lots(instrument=1, round_lots=100, tiers=[(250, 40), (1_000, 10)], odd_lots="accept", display="out")
    put.no_lots(instrument=1)
    put.set_throttle(orders_per_second=10**9, burst_orders=10**9)
    events = list(driver.events(40))
    refused = [event for event in events if event.kind in (EventKind.ADMIN_REJECTED, EventKind.REJECTED)]
    assert not refused
    assert put.tick() == 0
    assert [event.kind for event in driver.events(50)] == [EventKind.PHASE_CHANGED, EventKind.TICKED]
    alice, bob = driver.engine.accounts()
    assert (alice.flags, bob.flags) == (4 | 8 | 16, 1 | 2)
    assert [position.quantity_lots for position in (*alice.positions, *bob.positions)] == [6, 4]


def test_fields_stand_where_the_overlays_have_them() -> None:
    put = CommandBuilder(session_id=5, first_no=9)
    put.set_phase(instrument=3, phase=Phase.HALT, next_phase=Phase.CONTINUOUS, until_ns=77, reference_price_ticks=8)
    put.set_fees(instrument=3, maker_fee_ppm=-1, taker_fee_ppm=2)
    put.transfer_position(account=1, to_account=2, instrument=3, quantity_lots=4)
    put.set_index(instrument=3, weight=6, close_price_ticks=7)
    put.limit(**ORDER, price_ticks=100, stp=SelfTradePrevention.DECREMENT, tag=2**64 - 1, client_order_id=3)
    rows = put.take()
    assert rows.dtype == COMMAND
    assert rows.shape == (5,)
    assert rows["session_id"].tolist() == [5] * 5
    assert rows["session_no"].tolist() == [9, 10, 11, 12, 13]
    (phase,) = rows[:1].view(SETTING)
    assert (phase["value"], phase["next_value"], phase["until_ns"], phase["reference_price_ticks"]) == (4, 3, 77, 8)
    (fees,) = rows[1:2].view(RULES)
    assert (fees["maker_fee_ppm"], fees["taker_fee_ppm"]) == (-1, 2)
    (moved,) = rows[2:3].view(TRANSFER)
    assert (moved["account"], moved["to_account"], moved["quantity_lots"]) == (1, 2, 4)
    (index,) = rows[3:4].view(MARKET)
    assert (index["index_weight"], index["close_price_ticks"]) == (6, 7)
    assert (rows[4]["stp"], rows[4]["tag"], rows[4]["client_order_id"]) == (4, 2**64 - 1, 3)


def test_numbers_run_on_and_those_of_dropped_commands_are_given_again() -> None:
    put = CommandBuilder()
    assert [put.cancel(account=1, order_id=1), put.tick(), put.cancel(account=1, order_id=2)] == [1, 0, 2]
    assert (len(put), put.first_no, put.next_no) == (3, 1, 3)
    assert len(put.pending()) == len(put) == len(put.take()) == 3
    assert (len(put), put.first_no) == (0, 3)
    put.cancel(account=1, order_id=3)
    put.drop()
    assert put.cancel(account=1, order_id=4) == 3


def test_rows_made_by_hand_are_numbered_between_the_others(make_command: Callable[..., Commands]) -> None:
    put = CommandBuilder(session_id=2**64 - 1)
    put.cancel(account=1, order_id=1)
    rows = np.repeat(make_command(CommandKind.NEW_ORDER, **ORDER, session_no=77), 3)
    rows["kind"][1] = CommandKind.TICK
    assert put.add_rows(rows) == 2
    assert put.cancel(account=1, order_id=1) == 4
    taken = put.take()
    assert taken["session_no"].tolist() == [1, 2, 77, 3, 4]
    assert taken["session_id"].tolist() == [2**64 - 1, 2**64 - 1, 0, 2**64 - 1, 2**64 - 1]
    assert rows["session_no"].tolist() == [77] * 3, "the caller's array stays as it is"
    for wrong in (np.zeros(3), np.zeros((1, 1), dtype=COMMAND), [1]):
        with pytest.raises(ValueError, match="128-byte command records"):
            put.add_rows(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("session_id", [0, -1, 2**64, 1.0, None])
def test_a_session_must_be_one(session_id: Any) -> None:
    with pytest.raises(ValueError, match="session_id is"):
        CommandBuilder(session_id=session_id)
    with pytest.raises(ValueError, match="session_id is"):
        CommandBuilder.of(ReferenceEngine(), session_id=session_id)
