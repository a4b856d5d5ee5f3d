"""Administration through both kinds of session, up to the message that the gateway gets."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lockstep import AsyncClient, Client, Phase, SetBands, SetLots, SetMarketBreaker, SetRestrictions, SetRiskLimits
from lockstep.administration import Administration
from lockstep.arguments import micros
from lockstep.v1 import common_pb2
from lockstep.v1 import orders_pb2 as pb


def calls(session: Administration[Any]) -> Iterator[Any]:
    yield session.define_instrument(id=9, symbol="NEW", tick="0.01", lot_units=2)
    yield session.define_account(account=4, name="dave", unlimited_cash=True)
    yield session.adjust_cash(account=4, amount="1.5")
    yield session.adjust_position(account=4, instrument="ACME", quantity_lots=3)
    yield session.transfer_position(account=4, to_account=5, instrument=9, quantity_lots=2)
    yield session.set_phase("halt", instrument="ACME", next_phase=Phase.CONTINUOUS, until_ns=8)
    yield session.set_phase(Phase.CLOSED)
    yield session.set_account_status(account=4, status="close_only")
    yield session.set_risk_limits(SetRiskLimits(4, max_order_lots=10))
    yield session.set_fees(instrument="ACME", maker_fee_ppm=1, taker_fee_ppm=2)
    yield session.define_account(account=5, name="eve", margin=True, short_sales=True, day_trade_rule=True)
    yield session.set_margin(instrument=7, initial_margin_ppm=2, maintenance_margin_ppm=1)
    yield session.set_index(instrument="ACME", index_weight=3, close_price_ticks=4)
    yield session.set_market_breaker(SetMarketBreaker(level1_ppm=70_000, pause_ns=9))
    yield session.set_throttle(instrument="ACME", orders_per_second=1_000, burst_orders=20)
    yield session.set_throttle(orders_per_second=9, burst_orders=8)
    yield session.set_bands(SetBands.us_plan(7, tier=1, tick_micros=10_000))
    yield session.set_lots(SetLots(7, round1_lots=100, display=1))
    yield session.set_restrictions(SetRestrictions(7, account=4, bars=4, located_lots=20))
    yield session.set_short_sales("ACME", fall_ppm=100_000, action="begin")
    yield session.set_band_width(2, reference_price_ticks=3)
    yield session.set_price_limits(instrument=7, band_ppm=3, breaker_phase="volatility_auction")


NEW = common_pb2.Instrument(id=9, symbol="NEW", tick_micros=10_000, lot_units=2)
EXPECTED = [
    {"define_instrument": pb.DefineInstrument(instrument=NEW)},
    {"define_account": pb.DefineAccount(account=4, name="dave", unlimited_cash=True)},
    {"adjust_cash": pb.AdjustCash(account=4, amount_micros=1_500_000)},
    {"adjust_position": pb.AdjustPosition(account=4, instrument=7, quantity_lots=3)},
    {"transfer_position": pb.TransferPosition(account=4, to_account=5, instrument=9, quantity_lots=2)},
    {"set_phase": pb.SetPhase(instrument=7, phase=4, next_phase=3, until_ns=8)},  # type: ignore[arg-type]
    {"set_phase": pb.SetPhase(phase=7)},  # type: ignore[arg-type]
    {"set_account_status": pb.SetAccountStatus(account=4, status=1)},  # type: ignore[arg-type]
    {"set_risk_limits": pb.SetRiskLimits(account=4, max_order_lots=10)},
    {"set_fees": pb.SetFees(instrument=7, maker_fee_ppm=1, taker_fee_ppm=2)},
    {"define_account": pb.DefineAccount(account=5, name="eve", margin=True, short_sales=True, day_trade_rule=True)},
    {"set_margin": pb.SetMargin(instrument=7, initial_margin_ppm=2, maintenance_margin_ppm=1)},
    {"set_index": pb.SetIndex(instrument=7, index_weight=3, close_price_ticks=4)},
    {"set_market_breaker": pb.SetMarketBreaker(level1_ppm=70_000, pause_ns=9)},
    {"set_throttle": pb.SetThrottle(instrument=7, orders_per_second=1_000, burst_orders=20)},
    {"set_throttle": pb.SetThrottle(orders_per_second=9, burst_orders=8)},
    {
        "set_bands": pb.SetBands(
            instrument=7, high_ppm=50_000, middle_ppm=200_000, low_ppm=750_000, step_ppm=10_000, high_above_ticks=300,
            low_below_ticks=75, low_most_ticks=15, window_ns=300 * 10**9, limit_ns=15 * 10**9, pause_ns=300 * 10**9,
        )
    },
    {"set_lots": pb.SetLots(instrument=7, round1_lots=100, display=1)},  # type: ignore[arg-type]
    {"set_restrictions": pb.SetRestrictions(account=4, instrument=7, bars=4, located_lots=20)},
    {"set_short_sales": pb.SetShortSales(instrument=7, fall_ppm=100_000, action=1)},  # type: ignore[arg-type]
    {"set_band_width": pb.SetBandWidth(value=2, reference_price_ticks=3)},
    {"set_price_limits": pb.SetPriceLimits(instrument=7, band_ppm=3, breaker_phase=5)},  # type: ignore[arg-type]
]  # fmt: skip


def commands(exchange: Any) -> list[pb.Command]:
    (executed,) = exchange.executed.values()
    return list(executed)


def expected() -> list[pb.Command]:
    return [pb.Command(session_no=number, **fields) for number, fields in enumerate(EXPECTED, 1)]  # type: ignore[arg-type]


def test_asyncio_session_sends_each_command_as_it_was_said(
    run_with_gateways: Callable[..., Any], exchange: Any
) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            for call in calls(session):
                await (await call)

    run_with_gateways(body)
    assert commands(exchange) == expected()


def test_blocking_session_sends_each_command_as_it_was_said(gateway_thread: Any, exchange: Any) -> None:
    with Client(gateway_thread.address) as client, client.session() as session:
        for handle in calls(session):
            handle.result(5)
    assert commands(exchange) == expected()


def test_money_is_exact() -> None:
    assert micros("amount", "0.000001") == 1
    with pytest.raises(TypeError, match="float"):
        micros("amount", 0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finer than a millionth"):
        micros("amount", "0.0000001")
