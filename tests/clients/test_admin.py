"""Administrative commands as values and as messages."""

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from lockstep import Side
from lockstep.admin import (
    AdjustCash,
    AdjustPosition,
    AdminCommand,
    DefineAccount,
    DefineInstrument,
    SetAccountStatus,
    SetBands,
    SetBandWidth,
    SetFees,
    SetIndex,
    SetLots,
    SetMargin,
    SetMarketBreaker,
    SetPhase,
    SetPriceLimits,
    SetRestrictions,
    SetRiskLimits,
    SetShortSales,
    SetThrottle,
    TransferPosition,
    checked_admin,
    decode_admin,
    encode_admin,
)
from lockstep.v1 import orders_pb2

COMMANDS: list[AdminCommand] = [
    DefineInstrument(7, "ACME", 10_000, 2),
    DefineAccount(1, "alice", True, False),
    DefineAccount(2, "bob", False, False, True, True, True),
    AdjustCash(1, -5),
    AdjustPosition(1, 7, -6),
    SetPhase(7, 2, 3, 4, 5),
    SetAccountStatus(0, 0),
    SetRiskLimits(1, 2, 3, 4, 5, 6, 7, 8, 9),
    SetFees(7, 1, 2),
    SetPriceLimits(7, 1, 2, 3, 4, 5, 6),
    TransferPosition(1, 2, 7, 9),
    SetMargin(7, 2, 1),
    SetIndex(7, 3, 4),
    SetMarketBreaker(1, 2, 3, 4),
    SetThrottle(7, 2, 3),
    SetBands.us_plan(7, tier=2, tick_micros=10_000),
    SetBands(7),
    SetBandWidth(0, 2, 3),
    SetLots(7, round1_lots=100, odd_lots=1, display=2),
    SetRestrictions(7, bars=8, max_share_ppm=50_000, outstanding_lots=10**6),
    SetShortSales(7, fall_ppm=100_000, action=2),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_what_is_written_is_read_again(command: AdminCommand) -> None:
    assert decode_admin(encode_admin(command, 12)) == (12, command)


def test_there_is_a_value_for_every_administrative_message() -> None:
    (oneof,) = orders_pb2.Command.DESCRIPTOR.oneofs
    written = {
        orders_pb2.SessionRequest.FromString(encode_admin(command, 1)).command.WhichOneof("command")
        for command in COMMANDS
    }
    of_traders = {"new_order", "cancel", "replace", "mass_cancel", "note"}
    assert written == {field.name for field in oneof.fields} - of_traders


def test_message_that_is_no_administration_is_named() -> None:
    command = orders_pb2.Command(session_no=1, cancel=orders_pb2.CancelOrder())
    with pytest.raises(ValueError, match="holds 'cancel', not an administrative command"):
        decode_admin(orders_pb2.SessionRequest(command=command).SerializeToString())
    with pytest.raises(ValueError, match="printable ASCII"):
        encode_admin(DefineAccount(1, "\n"), 1)


def wrong_values(name: str, good: Any) -> list[Any]:
    """Values that a field of this kind must not take."""
    if isinstance(good, bool):
        return ["false", "", 0, 1, None, 1.0]
    if isinstance(good, str):
        return ["", "x" * 33, "AÇME", "A\n", "A\x00", None, b"ACME", 7]
    if name in ("phase", "next_phase", "breaker_phase", "status"):
        return [-1, 99, 2**63, True, 1.0, "halt", None, Side.SELL]
    far = 2**32 if name in ("account", "to_account", "instrument") else 2**63
    return [far, -far - 1, -far * 2**70, True, 2.5, 1e18, float("nan"), "1", None, Decimal(1)]


FIELDS = [
    pytest.param(command, field.name, id=f"{type(command).__name__}.{field.name}")
    for command in {type(command): command for command in COMMANDS}.values()
    for field in fields(command)
]


@pytest.mark.parametrize(("command", "name"), FIELDS)
def test_command_with_a_value_that_the_wire_cannot_hold_cannot_be_made(command: Any, name: str) -> None:
    for wrong in wrong_values(name, getattr(command, name)):
        with pytest.raises((TypeError, ValueError), match=rf"^{name} "):
            replace(command, **{name: wrong})


@pytest.mark.parametrize(("command", "name"), FIELDS)
def test_numbers_and_flags_of_numpy_become_plain_ones(command: Any, name: str) -> None:
    good = getattr(command, name)
    if isinstance(good, str):
        return
    made = replace(command, **{name: np.bool_(good) if isinstance(good, bool) else np.int64(good)})
    assert made == command
    assert type(getattr(made, name)) is type(good)
    assert decode_admin(encode_admin(made, 5)) == (5, made)


def test_what_is_no_administrative_command_is_named() -> None:
    for wrong in (None, 7, {"account": 1}, DefineAccount):
        with pytest.raises(TypeError, match="must be a CommandRow or an administrative command"):
            checked_admin(wrong)  # type: ignore[arg-type]
