"""Administrative commands as values and as messages."""

import pytest

from lockstep.admin import (
    AdjustCash,
    AdjustPosition,
    AdminCommand,
    DefineAccount,
    DefineInstrument,
    SetAccountStatus,
    SetFees,
    SetIndex,
    SetMargin,
    SetMarketBreaker,
    SetPhase,
    SetPriceLimits,
    SetRiskLimits,
    TransferPosition,
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
    orders = {"new_order", "cancel", "replace", "mass_cancel"}
    assert written == {field.name for field in oneof.fields} - orders


def test_message_that_is_no_administration_is_named() -> None:
    command = orders_pb2.Command(session_no=1, cancel=orders_pb2.CancelOrder())
    with pytest.raises(ValueError, match="holds 'cancel', not an administrative command"):
        decode_admin(orders_pb2.SessionRequest(command=command).SerializeToString())
    with pytest.raises(ValueError, match="printable ASCII"):
        encode_admin(DefineAccount(1, "\n"), 1)
