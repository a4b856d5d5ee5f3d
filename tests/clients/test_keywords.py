"""An argument that a call does not know is a TypeError that names it and the nearest one."""

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest

from lockstep import AsyncClient, AsyncSession, Client, Session
from lockstep.administration import Administration
from lockstep.keywords import named_arguments, nearest
from lockstep.orders import OrderTerms

FACES: list[type[Any]] = [Client, AsyncClient, Session, AsyncSession]
ORDER: dict[str, Any] = {"account": 1, "instrument": "ACME", "side": "buy", "quantity_lots": 1}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("limit_price", "price"), ("Price", "price"), ("limit", "price"), ("px", "price"), ("prize", "price"),
        ("limitPrice", "price"), ("price_tick", "price_ticks"), ("postonly", "post_only"), ("postOnly", "post_only"),
        ("time_in_force", "tif"), ("TIF", "tif"), ("type", "order_type"), ("ordertype", "order_type"),
        ("qty", "quantity_lots"), ("quantity", "quantity_lots"), ("symbol", "instrument"), ("stop", "stop_price"),
        ("stopPrice", "stop_price"), ("trigger_price", "stop_price"), ("cl_ord_id", "client_order_id"),
        ("display_qty", "display_lots"), ("iceberg", "display_lots"), ("expires", "expire_ns"), ("trailing", "trail"),
        ("hiden", "hidden"), ("min_quantity", "min_lots"), ("self_trade_prevention", "stp"), ("acct", "account"),
    ],
)  # fmt: skip
def test_unknown_argument_of_an_order_is_named_with_the_nearest_one(face: type[Any], wrong: str, meant: str) -> None:
    with pytest.raises(TypeError, match=rf"place\(\) got an unexpected keyword argument '{wrong}'; .*'{meant}'"):
        face.place(None, **ORDER, **{wrong: "101.50"})


@pytest.mark.parametrize("face", FACES)
def test_argument_that_is_near_to_none_is_answered_with_all(face: type[Any]) -> None:
    with pytest.raises(TypeError, match=r"'zzz'; it takes account, .*post_only, price"):
        face.place(None, **ORDER, zzz=1)
    with pytest.raises(TypeError, match="'reduce_only'; it takes account"):
        face.place(None, **ORDER, reduce_only=True)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("method", "wrong", "meant"),
    [
        ("place_market", "limit_price", "price"),
        ("place_market", "quantity", "quantity_lots"),
        ("cancel", "id", "order_id"),
        ("cancel", "clientorderid", "client_order_id"),
        ("replace", "limit_price", "price"),
        ("replace", "quantity", "quantity_lots"),
        ("replace", "stop_price", "stop_price_ticks"),
        ("mass_cancel", "symbol", "instrument"),
        ("mass_cancel", "session", "session_id"),
    ],
)
def test_other_commands_name_the_nearest_argument_too(face: type[Any], method: str, wrong: str, meant: str) -> None:
    with pytest.raises(TypeError, match=rf"{method}\(\) got .*'{wrong}'; did you mean '{meant}'\?"):
        getattr(face, method)(None, **{wrong: 1})


@pytest.mark.parametrize("term", ["stop_price", "post_only", "expire_ns", "order_type", "trail", "hidden"])
def test_market_order_takes_no_term_that_it_cannot_have(term: str) -> None:
    with pytest.raises(TypeError, match=rf"place_market\(\) got an unexpected keyword argument '{term}'"):
        Client.place_market(None, **ORDER, **{term: 1})  # type: ignore[arg-type]


def test_administration_names_the_nearest_argument() -> None:
    for method, wrong, meant in (
        ("define_instrument", "ticker", "id"), ("define_instrument", "tick_size", "tick"),
        ("adjust_cash", "cash", "amount"), ("adjust_position", "quantity", "quantity_lots"),
        ("set_fees", "maker_fee", "maker_fee_ppm"),
        ("set_phase", "until", "until_ns"), ("define_account", "unlimitedcash", "unlimited_cash"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=rf"{method}\(\) got .*'{wrong}'; did you mean '{meant}'\?"):
            getattr(Administration, method)(None, **{wrong: 1})


def test_every_command_of_every_face_checks_its_arguments() -> None:
    commands = ["place", "place_market", "cancel", "replace", "mass_cancel"]
    administration = [
        name for name in vars(Administration) if name.startswith(("define_", "adjust_", "set_", "transfer_"))
    ]
    assert len(administration) == 19
    for face in FACES:
        for name in commands + (administration if issubclass(face, Administration) else []):
            with pytest.raises(TypeError, match="unexpected keyword argument 'no_such_word'; "):
                getattr(face, name)(None, no_such_word=1)


def test_decorated_call_keeps_its_kind_name_and_signature() -> None:
    async def call(*, first: int, second: int = 2) -> int:
        return first + second

    checked: Callable[..., Any] = named_arguments(call)
    assert inspect.iscoroutinefunction(checked) or sys.version_info < (3, 12), "nothing can tell it so before"
    assert (checked.__name__, inspect.signature(checked)) == ("call", inspect.signature(call))


def test_nearest_word_is_the_same_word_in_other_letters_or_the_same_thing_elsewhere() -> None:
    words = sorted(OrderTerms.__annotations__)
    assert nearest("PRICE_TICKS", words) == "price_ticks"
    assert nearest("stop", ["stop_price_ticks"]) == "stop_price_ticks"
    assert nearest("limit_price", ["tick"]) is None
    assert nearest("qqq", words) is None
