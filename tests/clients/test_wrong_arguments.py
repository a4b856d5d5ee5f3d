"""Wrong arguments of every face of the client: an error at the call, nothing on the wire, and everything goes on."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lockstep import (
    AdjustCash,
    AsyncClient,
    Checkpoint,
    Client,
    CommandColumns,
    CommandRow,
    DefineAccount,
    Feed,
    OrderType,
    SetFees,
    SetRiskLimits,
)

WRONG = (TypeError, ValueError)
ORDER: dict[str, Any] = {"account": 1, "instrument": "ACME", "side": "buy", "quantity_lots": 1}
Call = Callable[[Any], Any]

COMMANDS: dict[str, Call] = {
    "no price": lambda face: face.place(**ORDER),
    "limit_price": lambda face: face.place(**ORDER, limit_price="1.00"),
    "zero stop": lambda face: face.place(**ORDER, stop_price="0"),
    "zero stop ticks": lambda face: face.place(**ORDER, stop_price_ticks=0),
    "zero trail": lambda face: face.place(**ORDER, trail="0"),
    "zero trail ticks": lambda face: face.place(**ORDER, trail_ticks=0),
    "price 1e30": lambda face: face.place(**ORDER, price="1e30"),
    "price True": lambda face: face.place(**ORDER, price=True),
    "price float": lambda face: face.place(**ORDER, price=1.5),
    "post-only false": lambda face: face.place(**ORDER, price="1", post_only="false"),
    "account True": lambda face: face.place(**{**ORDER, "account": True}, price_ticks=1),
    "account 2^32": lambda face: face.place(**{**ORDER, "account": 2**32}, price_ticks=1),
    "instrument True": lambda face: face.place(**{**ORDER, "instrument": True}, price_ticks=1),
    "instrument float": lambda face: face.place(**{**ORDER, "instrument": 7.0}, price_ticks=1),
    "instrument None": lambda face: face.place(**{**ORDER, "instrument": None}, price_ticks=1),
    "instrument 2^32": lambda face: face.place(**{**ORDER, "instrument": 2**32}, price_ticks=1),
    "side of another enum": lambda face: face.place(**{**ORDER, "side": OrderType.MARKET}, price_ticks=1),
    "quantity float": lambda face: face.place(**{**ORDER, "quantity_lots": 1.0}, price_ticks=1),
    "quantity 2^63": lambda face: face.place(**{**ORDER, "quantity_lots": 2**63}, price_ticks=1),
    "market with a stop": lambda face: face.place_market(**ORDER, stop_price="1"),
    "market at 0": lambda face: face.place_market(**ORDER, price="0"),
    "cancel nothing": lambda face: face.cancel(account=1),
    "cancel True": lambda face: face.cancel(account=1, order_id=True),
    "cancel float": lambda face: face.cancel(account=1, order_id=1e9),
    "replace without price": lambda face: face.replace(account=1, order_id=1, quantity_lots=1),
    "replace stop 0": lambda face: face.replace(
        account=1, order_id=1, quantity_lots=1, price_ticks=5, stop_price_ticks=0
    ),
    "replace 1e30": lambda face: face.replace(account=1, order_id=1, quantity_lots=1, price="1e30", instrument="ACME"),
    "mass cancel of None": lambda face: face.mass_cancel(account=1, instrument=None),
    "mass cancel of True": lambda face: face.mass_cancel(account=1, instrument=True),
    "mass cancel of an array": lambda face: face.mass_cancel(account=1, instrument=np.array([], "u4")),
    "block false": lambda face: face.mass_cancel(account=1, block="false"),
}  # fmt: skip
SESSION: dict[str, Call] = {
    **COMMANDS,
    "symbol": lambda face: face.define_instrument(id=9, symbol="AÇME", tick="0.01"),
    "tick": lambda face: face.define_instrument(id=9, symbol="NEW", tick="0.0000001"),
    "lot float": lambda face: face.define_instrument(id=9, symbol="NEW", tick="0.01", lot_units=1.0),
    "empty name": lambda face: face.define_account(account=4, name=""),
    "33 letters": lambda face: face.define_account(account=4, name="x" * 33),
    "margin 1": lambda face: face.define_account(account=4, name="dave", margin=1),
    "cash 1e30": lambda face: face.adjust_cash(account=4, amount="1e30"),
    "cash float": lambda face: face.adjust_cash(account=4, amount=0.5),
    "cash True": lambda face: face.adjust_cash(account=4, amount=True),
    "position 2^63": lambda face: face.adjust_position(account=4, instrument="ACME", quantity_lots=2**63),
    "position of True": lambda face: face.adjust_position(account=4, instrument=True, quantity_lots=1),
    "until float": lambda face: face.set_phase("halt", next_phase="continuous", until_ns=1e18),
    "phase True": lambda face: face.set_phase(True),
    "status 9": lambda face: face.set_account_status(account=4, status=9),
    "fee 2.5": lambda face: face.set_fees(instrument="ACME", maker_fee_ppm=0, taker_fee_ppm=2.5),
    "fees of unknown id": lambda face: face.set_fees(instrument=2**32, maker_fee_ppm=0, taker_fee_ppm=2),
    "margin 2^63": lambda face: face.set_margin(instrument=7, initial_margin_ppm=2**63, maintenance_margin_ppm=1),
    "weight": lambda face: face.set_index(instrument=7, index_weight="3"),
    "band": lambda face: face.set_price_limits(instrument=7, band_ppm=-(2**64)),
    "rate 2.5": lambda face: face.set_throttle(instrument=7, orders_per_second=2.5, burst_orders=1),
    "limits made of a dict": lambda face: face.set_risk_limits({"account": 4}),
    "breaker None": lambda face: face.set_market_breaker(None),
    "row with 300": lambda face: face.submit(CommandRow(kind=300)),
    "row with text": lambda face: face.submit(CommandRow(kind=1, price_ticks="5")),  # type: ignore[arg-type]
    "row with 2^64": lambda face: face.submit(CommandRow(kind=1, tag=2**64), track=False),
    "tuple": lambda face: face.submit((1, 2)),
    "columns as a command": lambda face: face.submit(CommandColumns(account=1)),
    "class": lambda face: face.submit(AdjustCash),
    "made wrong": lambda face: face.submit(SetRiskLimits(4, max_order_lots=2.5)),  # type: ignore[arg-type]
    "made wrong too": lambda face: face.submit(SetFees(7, 2**63, 0)),
    "made of no name": lambda face: face.submit(DefineAccount(4, "")),
    "track 1": lambda face: face.submit(CommandRow(kind=1), track=1),
    "no columns": lambda face: face.submit_columns([CommandRow(kind=1)]),
    "no row": lambda face: face.submit_columns(CommandColumns(kind=4, account=1, instrument=np.array([], "u4"))),
}
QUERIES: dict[str, Call] = {
    "account True": lambda face: face.account(True),
    "account -1": lambda face: face.account(-1),
    "account text": lambda face: face.account("1"),
    "open orders of a float": lambda face: face.open_orders(1.0),
    "open orders of 2^32": lambda face: face.open_orders(2**32),
    "order of nothing": lambda face: face.order(account=1),
    "order 2^64": lambda face: face.order(account=1, order_id=2**64),
    "instrument None": lambda face: face.resolve(None, tick_needed=True),
    "letters": lambda face: face.subscribe("ACME"),
    "feed in letters": lambda face: face.subscribe(["ACME"], feeds="L2"),
    "no such feed": lambda face: face.subscribe(["ACME"], feeds=["L9"]),
    "feed True": lambda face: face.subscribe(["ACME"], feeds=[True]),
    "depth -1": lambda face: face.subscribe(["ACME"], depth=-1),
    "depth 2.0": lambda face: face.subscribe(["ACME"], depth=2.0),
    "market of True": lambda face: face.subscribe([True]),
    "no room ever": lambda face: face.session(max_unanswered=0),
    "half a row": lambda face: face.session(batch_rows=0.5),
    "linger NaN": lambda face: face.session(linger_ms=float("nan")),
    "linger before": lambda face: face.session(linger_ms=-1),
    "timeout text": lambda face: face.session(timeout_s="5"),
    "resume of nothing": lambda face: face.session(resume={}),
    "resume of no text": lambda face: face.session(resume=""),
    "resume of a text": lambda face: face.session(resume=Checkpoint(77).to_json()),
    "grace True": lambda face: face.session(cancel_on_disconnect_s=True),
    "grace NaN": lambda face: face.session(cancel_on_disconnect_s=float("nan")),
}


def test_blocking_session_refuses_at_the_call_and_goes_on(gateway_thread: Any, exchange: Any) -> None:
    with Client(gateway_thread.address) as client, client.session() as session:
        for name, call in SESSION.items():
            with pytest.raises(WRONG):
                pytest.fail(f"{name}: {call(session)!r} was taken")
            assert (name, session.unanswered) == (name, 0)
        assert session.place_market(**ORDER).result(5).outcome.session_no == 1
        assert session.checkpoint().to_json()
    (executed,) = exchange.executed.values()
    assert [command.quantity_lots for command in executed] == [1]


def test_asyncio_session_refuses_at_the_call_and_goes_on(run_with_gateways: Callable[..., Any], exchange: Any) -> None:
    async def body(gateway: Any) -> None:
        async with AsyncClient(gateway.address) as client, await client.session() as session:
            for name, call in SESSION.items():
                with pytest.raises(WRONG):
                    pytest.fail(f"{name}: {await call(session)!r} was taken")
                assert (name, session.unanswered) == (name, 0)
            result = await (await session.place_market(**ORDER))
            assert result.outcome.session_no == 1
            assert session.checkpoint().to_json()

    run_with_gateways(body)
    (executed,) = exchange.executed.values()
    assert [command.quantity_lots for command in executed] == [1]


def test_single_calls_refuse_at_the_call_and_send_nothing(gateway_thread: Any, exchange: Any) -> None:
    async def asynchronous() -> None:
        async with AsyncClient(gateway_thread.address) as client:
            for name, call in {**COMMANDS, **QUERIES}.items():
                with pytest.raises(WRONG):
                    pytest.fail(f"{name}: {await call(client)!r} was taken")

    asyncio.run(asynchronous())
    with Client(gateway_thread.address) as client:
        for name, call in {**COMMANDS, **QUERIES}.items():
            with pytest.raises(WRONG):
                pytest.fail(f"{name}: {call(client)!r} was taken")
    assert (exchange.executed, gateway_thread.subscriptions, gateway_thread.hellos) == ({}, [], [])


def test_wrong_arguments_need_no_gateway_to_be_named() -> None:
    with Client("127.0.0.1:1", timeout_s=0.05) as client:
        for name in ("no price", "price 1e30", "price True", "zero stop", "post-only false", "quantity float"):
            with pytest.raises(WRONG):
                pytest.fail(f"{name}: {COMMANDS[name](client)!r} was taken")


def test_market_orders_are_said_by_their_name(gateway_thread: Any, exchange: Any) -> None:
    with Client(gateway_thread.address) as client:
        client.place_market(**ORDER)
        client.place_market(**ORDER, price="5.00", tif="fok", min_lots=0)
        client.place(**ORDER, order_type="market")
    (sent,) = exchange.executed.values()
    assert [(order.order_type, order.tif, order.price_ticks) for order in sent] == [(2, 3, 0), (2, 4, 500), (2, 3, 0)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": "s3cret\n"}, {"token": 5}, {"client_number": -1}, {"client_number": 2**32}, {"client_number": True},
        {"timeout_s": -1}, {"timeout_s": float("nan")}, {"timeout_s": "5"}, {"addresses": [b"127.0.0.1:1"]},
        {"addresses": "127.0.0.1:0"}, {"addresses": "127.0.0.1:65536"}, {"addresses": "127.0.0.1:\u00b2"},
        {"addresses": "127.0.0.1:" + "9" * 5000},
    ],
)  # fmt: skip
def test_client_is_not_made_with_what_no_connection_can_use(wrong: dict[str, Any]) -> None:
    with pytest.raises(WRONG):
        AsyncClient(**{"addresses": "127.0.0.1:1", **wrong})


def test_feeds_may_be_named_by_word(gateway_thread: Any) -> None:
    with Client(gateway_thread.address) as client:
        subscription = client.subscribe(["ACME"], feeds=["l1", Feed.TRADES])  # type: ignore[list-item]
        with pytest.raises(Exception, match="no market data"):
            subscription.next(0.2)
        subscription.close()
    assert list(gateway_thread.subscriptions[0].feeds) == [Feed.L1, Feed.TRADES]


def test_every_face_has_the_same_commands() -> None:
    for name in ("place", "place_market", "cancel", "replace", "mass_cancel"):
        blocking, asynchronous = (
            set(inspect.signature(getattr(face, name)).parameters) for face in (Client, AsyncClient)
        )
        assert blocking == asynchronous, name
