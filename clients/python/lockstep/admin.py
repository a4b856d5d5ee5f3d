"""Administrative commands as values: they travel in a session, numbered and executed once like an order."""

from dataclasses import dataclass
from typing import Final

from lockstep.v1 import common_pb2, orders_pb2

_MAX_NAME: Final = 32


@dataclass(frozen=True, slots=True)
class DefineInstrument:
    """Make an instrument tradable. One lot at one tick is worth `tick_micros * lot_units` micros of currency."""

    instrument: int
    symbol: str
    tick_micros: int
    lot_units: int = 1


@dataclass(frozen=True, slots=True)
class DefineAccount:
    """Open an account; the unlimited flags waive the funds checks (market makers, tests)."""

    account: int
    name: str
    unlimited_cash: bool = False
    unlimited_positions: bool = False


@dataclass(frozen=True, slots=True)
class AdjustCash:
    """Pay in (positive) or out (negative)."""

    account: int
    amount_micros: int


@dataclass(frozen=True, slots=True)
class AdjustPosition:
    """Deliver lots to an account (positive) or take them out (negative)."""

    account: int
    instrument: int
    quantity_lots: int


AdminCommand = DefineInstrument | DefineAccount | AdjustCash | AdjustPosition


def encode_admin(command: AdminCommand, session_no: int) -> bytes:
    """As a serialised `lockstep.v1.SessionRequest`.

    Raises:
        ValueError: a number or a name does not fit its field.
    """
    message = orders_pb2.Command(session_no=session_no)
    match command:
        case DefineInstrument(instrument, symbol, tick_micros, lot_units):
            _check_name("symbol", symbol)
            message.define_instrument.instrument.CopyFrom(
                common_pb2.Instrument(id=instrument, symbol=symbol, tick_micros=tick_micros, lot_units=lot_units)
            )
        case DefineAccount(account, name, unlimited_cash, unlimited_positions):
            _check_name("account name", name)
            message.define_account.account = account
            message.define_account.name = name
            message.define_account.unlimited_cash = unlimited_cash
            message.define_account.unlimited_positions = unlimited_positions
        case AdjustCash(account, amount_micros):
            message.adjust_cash.account = account
            message.adjust_cash.amount_micros = amount_micros
        case AdjustPosition(account, instrument, quantity_lots):
            message.adjust_position.account = account
            message.adjust_position.instrument = instrument
            message.adjust_position.quantity_lots = quantity_lots
    return orders_pb2.SessionRequest(command=message).SerializeToString()


def decode_admin(message: bytes) -> tuple[int, AdminCommand]:
    """Twin of `encode_admin` (checkpoints are read with it).

    Raises:
        ValueError: the message holds no administrative command.
    """
    command = orders_pb2.SessionRequest.FromString(message).command
    no = command.session_no
    match command.WhichOneof("command"):
        case "define_instrument":
            row = command.define_instrument.instrument
            return no, DefineInstrument(row.id, row.symbol, row.tick_micros, row.lot_units)
        case "define_account":
            made = command.define_account
            return no, DefineAccount(made.account, made.name, made.unlimited_cash, made.unlimited_positions)
        case "adjust_cash":
            return no, AdjustCash(command.adjust_cash.account, command.adjust_cash.amount_micros)
        case "adjust_position":
            moved = command.adjust_position
            return no, AdjustPosition(moved.account, moved.instrument, moved.quantity_lots)
        case other:
            raise ValueError(f"a saved message holds {other!r}, not an administrative command")


def _check_name(what: str, name: str) -> None:
    if not 1 <= len(name) <= _MAX_NAME or not name.isascii() or not name.isprintable():
        raise ValueError(f"{what} {name!r}: it must be 1 to {_MAX_NAME} printable ASCII characters")
