"""Messages of the session stream between bytes and arrays, by the fast twin of the public messages. Pure.

The twin declares packed columns as `bytes` (see `proto/lockstep/wire/v1/columns.proto`). That holds only for the usual
encoding: a peer may legally split a packed column, leave it unpacked, or send an enum value above 127. Then the twin
would misread, so a batch is taken from it only if it has no unknown field, is exactly as long again when written as
what came, and its byte columns stay below 128. Everything else is read by the public message.
"""

from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from lockstep.gateway.validation import COLUMN_TYPES, Column, ColumnBatch, RowBatch, ShapeError
from lockstep.stream.codes import Code
from lockstep.stream.records import (
    COMMAND,
    CONTROL,
    KINDS,
    AccountFlag,
    AccountStatus,
    CommandKind,
    Commands,
    MassCancelFlag,
    Phase,
)
from lockstep.stream.values import frozen
from lockstep.v1 import orders_pb2
from lockstep.wire.v1 import columns_pb2

_COLUMNS: Final = tuple((name, dtype, dtype.itemsize) for name, dtype in COLUMN_TYPES.items())
_FIELDS: Final = tuple((name, dtype.itemsize, dtype.kind == "i") for name, dtype in COLUMN_TYPES.items())
_ENUMS: Final = frozenset(name for name, _dtype, size in _COLUMNS if size == 1)
_CLIP: Final = 256


class Unparsable(ValueError):
    """The bytes are no SessionRequest."""


@frozen
class Request:
    """One message of a session stream; exactly one is set."""

    hello: orders_pb2.Hello | None = None
    command: orders_pb2.Command | None = None
    batch: ColumnBatch | RowBatch | None = None

    @property
    def first_no(self) -> int:
        """Number of the first command in it."""
        if self.batch is not None:
            return self.batch.first_no
        return self.command.session_no if self.command is not None else 0


def decode_request(raw: bytes) -> Request:
    """Raises:
    Unparsable: the bytes are no SessionRequest, or one without a message.
    """
    try:
        twin = columns_pb2.SessionRequest.FromString(raw)
        which = twin.WhichOneof("message")
        if which == "batch":
            batch = _read_twin(twin, len(raw))
            if batch is None:
                batch = _read_public(orders_pb2.SessionRequest.FromString(raw).batch)
            return Request(batch=batch)
        if which == "command":
            return Request(command=orders_pb2.Command.FromString(twin.command))
        if which == "hello":
            return Request(hello=orders_pb2.Hello.FromString(twin.hello))
    except (DecodeError, UnicodeDecodeError) as error:
        raise Unparsable(f"not a lockstep.v1.SessionRequest: {error}") from error
    raise Unparsable("a SessionRequest holds one of hello, command and batch; this one holds none")


def _read_twin(request: columns_pb2.SessionRequest, length: int) -> ColumnBatch | RowBatch | None:
    """The batch without touching a row; None if the twin can't be trusted with it."""
    request.DiscardUnknownFields()
    if request.ByteSize() != length:
        return None
    batch = request.batch
    count = batch.count
    if count == 1:
        return _read_row(batch)
    columns: dict[str, Column] = {}
    for name, dtype, size in _COLUMNS:
        raw: bytes = getattr(batch, name)
        if not raw:
            continue
        if len(raw) != size * count and len(raw) != size:
            return None
        # For bytes objects `isascii` is the fastest test for values below 128.
        if size == 1 and not raw.isascii():
            return None
        columns[name] = np.frombuffer(raw, dtype=dtype)
    return ColumnBatch(batch.first_no, count, columns)


def _read_row(batch: columns_pb2.CommandBatch) -> RowBatch | None:
    row: dict[str, int] = {}
    for name, size, signed in _FIELDS:
        raw: bytes = getattr(batch, name)
        if not raw:
            continue
        if len(raw) != size or (size == 1 and not raw.isascii()):
            return None
        row[name] = int.from_bytes(raw, "little", signed=signed)
    return RowBatch(batch.first_no, row)


def _read_public(batch: orders_pb2.CommandBatch) -> ColumnBatch:
    """The batch by the public message; enum columns are wide, with what fits no byte cut to 256."""
    columns: dict[str, Column] = {}
    for name, dtype, _size in _COLUMNS:
        values = getattr(batch, name)
        if len(values) == 0:
            continue
        if name in _ENUMS:
            columns[name] = np.clip(np.array(values, dtype=np.int64), -1, _CLIP)
        else:
            columns[name] = np.array(values, dtype=dtype)
    return ColumnBatch(batch.first_no, batch.count, columns)


def command_columns(command: orders_pb2.Command) -> ColumnBatch | RowBatch:
    """A single order command as a batch of one.

    Raises:
        ShapeError: it holds nothing that belongs into a batch (see `admin_record`), or an order that is not named.
    """
    which = command.WhichOneof("command")
    if which is None:
        raise ShapeError(Code.MALFORMED_BATCH, "the command is empty; set one of its fields")
    kind, fields = _row_of(which, getattr(command, which))
    columns: dict[str, Column] = {"kind": np.array([kind], dtype=np.uint8)}
    for name, value in fields.items():
        if not value:
            continue
        if name in _ENUMS:
            columns[name] = np.clip(np.array([value], dtype=np.int64), -1, _CLIP)
        else:
            columns[name] = np.array([value], dtype=COLUMN_TYPES[name])
    return ColumnBatch(command.session_no, 1, columns)


_NEW_ORDER_FIELDS: Final = tuple(name for name in COLUMN_TYPES if name not in ("kind", "order_id"))


def _row_of(which: str, message: Any) -> tuple[CommandKind, dict[str, int]]:
    if which == "new_order":
        return CommandKind.NEW_ORDER, {name: getattr(message, name) for name in _NEW_ORDER_FIELDS}
    if which == "mass_cancel":
        return CommandKind.MASS_CANCEL, {
            "account": message.account,
            "instrument": message.instrument,
            "side": message.side,
            "order_id": message.session_id,
            "flags": MassCancelFlag.BLOCK * message.block,
        }
    order = message.order
    named = {"account": order.account, "order_id": order.order_id, "client_order_id": order.client_order_id}
    if which == "cancel":
        return CommandKind.CANCEL, named
    if which == "replace":
        return CommandKind.REPLACE, {
            **named,
            "price_ticks": message.price_ticks,
            "quantity_lots": message.quantity_lots,
            "stop_price_ticks": message.stop_price_ticks,
        }
    raise ShapeError(Code.MALFORMED_BATCH, f"a {which} command has no columns")


ADMIN_COMMANDS: Final = {
    kind.name.lower(): (kind, layout) for kind, (layout, _) in KINDS.items() if layout not in (COMMAND, CONTROL)
}
"""Fields of a Command that need the entitlement "admin", with the kind and the layout of their records."""
_MAX_NAME_BYTES: Final = 32


def admin_record(command: orders_pb2.Command, *, session_id: int, gateway: int, allowed: bool, now_ns: int) -> Commands:
    """An administrative command as one record, viewed as COMMAND; REFUSED if it is not allowed or can't be expressed.

    Only what a record can't hold is refused; the engine judges the values.
    """
    which = command.WhichOneof("command") or ""
    kind, layout = ADMIN_COMMANDS[which]
    record = np.zeros(1, dtype=layout)
    head = {"session_id": session_id, "session_no": command.session_no, "gateway": gateway, "received_ns": now_ns}
    for name, value in {"kind": kind, **head}.items():
        record[name] = value
    code = _fill(record, which, getattr(command, which))
    if not allowed:
        code = Code.NOT_ENTITLED
    records: Commands = record.view(COMMAND)
    if not code:
        return records
    refused = np.zeros(1, dtype=COMMAND)
    for name in ("account", "instrument", *head):
        refused[name] = records[name]
    refused["kind"], refused["tag"] = CommandKind.REFUSED, code
    return refused


def note_record(command: orders_pb2.Command, *, session_id: int, gateway: int, now_ns: int) -> Commands:
    """A name that is put down, as a REFUSED record, which has no effect and comes back in its event."""
    record = np.zeros(1, dtype=COMMAND)
    for name, value in {
        "kind": CommandKind.REFUSED,
        "gateway": gateway,
        "session_id": session_id,
        "session_no": command.session_no,
        "order_id": command.note.high,
        "client_order_id": command.note.low,
        "received_ns": now_ns,
        "tag": Code.NOTED,
    }.items():
        record[name] = value
    return record


def _fill(record: Commands, which: str, message: Any) -> Code:
    """Put the message's fields into the record; why they can't be, if so."""
    if which == "define_instrument":
        instrument = message.instrument
        record["instrument"] = instrument.id
        record["tick_micros"], record["lot_units"] = instrument.tick_micros, instrument.lot_units
        return _fill_name(record, instrument.symbol)
    if which == "define_account":
        record["account"] = message.account
        record["flags"] = AccountFlag.UNLIMITED_CASH * message.unlimited_cash
        record["flags"] |= AccountFlag.UNLIMITED_POSITIONS * message.unlimited_positions
        record["flags"] |= AccountFlag.MARGIN * message.margin | AccountFlag.SHORT_SALES * message.short_sales
        record["flags"] |= AccountFlag.DAY_TRADE_RULE * message.day_trade_rule
        return _fill_name(record, message.name)
    if which == "set_phase":
        record["instrument"] = message.instrument
        record["until_ns"], record["reference_price_ticks"] = message.until_ns, message.reference_price_ticks
        return _fill_phase(record, message.phase, message.next_phase)
    if which == "set_account_status":
        record["account"] = message.account
        if not 0 <= message.status <= max(AccountStatus):
            return Code.UNKNOWN_ENUM_VALUE
        record["value"] = message.status
        return Code.OK
    for field in message.DESCRIPTOR.fields:
        # Of all others the fields have the names that the record gives them.
        record[field.name] = getattr(message, field.name)
    return Code.OK


def _fill_name(record: Commands, name: str) -> Code:
    if len(name) > _MAX_NAME_BYTES or not name.isascii():
        return Code.FIELD_OUT_OF_RANGE
    record["name"] = name.encode()
    return Code.OK


def _fill_phase(record: Commands, phase: int, next_phase: int) -> Code:
    if phase == 0:
        return Code.MISSING_FIELD
    if not (0 < phase <= max(Phase) and 0 <= next_phase <= max(Phase)):
        return Code.UNKNOWN_ENUM_VALUE
    record["value"], record["next_value"] = phase, next_phase
    return Code.OK
