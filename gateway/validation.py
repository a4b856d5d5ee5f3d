"""From columns to COMMAND records, checked a column at a time. Pure.

Two kinds of fault:

* The shape is wrong (a column with another number of rows, no rows, too many): `ShapeError`. Nothing can be said about
  single commands, no session number is used.
* A command is wrong (unknown enum value, number out of range, not entitled): it becomes a REFUSED record under its own
  session number with the code in `tag`. So numbering stays contiguous and the refusal is part of the history.

Only what an engine could not represent is refused here; whether a price or quantity makes sense is the engine's to say.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lockstep.stream.codes import Code
from lockstep.stream.layouts import COMMAND_COLUMNS
from lockstep.stream.records import (
    COMMAND,
    MAX_PRICE_TICKS,
    MAX_QUANTITY_LOTS,
    CommandKind,
    Commands,
    MassCancelFlag,
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from lockstep.stream.values import frozen

Column = NDArray[Any]

COLUMN_TYPES: Final[Mapping[str, np.dtype[Any]]] = {name: COMMAND[name] for name in COMMAND_COLUMNS}
"""Columns of a CommandBatch with their record types. Enums may come wider; values that do not fit are refused."""

_U64_END: Final = 1 << 64
_NEW: Final = int(CommandKind.NEW_ORDER)
_CANCEL: Final = int(CommandKind.CANCEL)
_REPLACE: Final = int(CommandKind.REPLACE)
_MASS_CANCEL: Final = int(CommandKind.MASS_CANCEL)
_REFUSED: Final = int(CommandKind.REFUSED)
_ALL_FLAGS: Final = sum(OrderFlag)
_BLOCK: Final = int(MassCancelFlag.BLOCK)

_ROW_FIELDS: Final = tuple(COMMAND.names or ())
# Of a REFUSED record; of the others `refuse_rows` sets two and clears the rest.
_KEPT_OF_REFUSED: Final = (
    "gateway", "session_id", "session_no", "account", "instrument", "client_order_id", "order_id", "parent_id",
    "received_ns",
)  # fmt: skip
_CLEARED_OF_REFUSED: Final = tuple(name for name in _ROW_FIELDS if name not in ("kind", "tag", *_KEPT_OF_REFUSED))
_ROW: Final = struct.Struct(
    "<" + "".join(np.dtype(COMMAND[name]).char for name in _ROW_FIELDS).replace("l", "q").replace("L", "Q")
)
assert _ROW.size == COMMAND.itemsize, "COMMAND has gaps"


class ShapeError(ValueError):
    """The batch is refused whole. `code` says why in a word, the text in a sentence."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True, eq=False)
class ColumnBatch:
    """Commands by columns: each column has `count` rows, or one for all. Absent columns have their default."""

    first_no: int
    count: int
    columns: Mapping[str, Column]


@frozen
class RowBatch:
    """One command, by fields: the lone order, for which columns of one row would cost several times as much.

    Only from the fast twin: values are in the range of their record fields.
    """

    first_no: int
    row: Mapping[str, int]
    """Value by column name; absent ones have their default."""


class _Marks:
    """The first fault of each row."""

    __slots__ = ("codes", "count")

    def __init__(self, count: int) -> None:
        self.count = count
        self.codes: NDArray[np.uint64] | None = None

    def add(self, mask: Any, code: Code) -> None:
        """Mark the rows of `mask` (an array, or one bool for all) that have no mark yet."""
        if not (mask.any() if isinstance(mask, np.ndarray) else mask):
            return
        if self.codes is None:
            self.codes = np.zeros(self.count, dtype=np.uint64)
        self.codes[(self.codes == 0) & mask] = code


def check_shape(batch: ColumnBatch, max_rows: int) -> None:
    """Raises:
    ShapeError: see the class.
    """
    if batch.count == 0:
        raise ShapeError(Code.MALFORMED_BATCH, "the batch has count 0; send at least one command")
    if batch.count > max_rows:
        raise ShapeError(
            Code.BATCH_TOO_LARGE, f"the batch has {batch.count} commands; at most {max_rows} may come in one"
        )
    if batch.first_no == 0 or batch.first_no + batch.count > _U64_END:
        raise ShapeError(Code.MALFORMED_BATCH, f"first_no is {batch.first_no}; session numbers count from 1")
    for name, column in batch.columns.items():
        if len(column) not in (1, batch.count):
            raise ShapeError(
                Code.MALFORMED_BATCH,
                f"column {name} has {len(column)} rows in a batch of {batch.count}; send {batch.count}, 1 or none",
            )


def build_records(
    batch: ColumnBatch | RowBatch,
    *,
    session_id: int,
    gateway: int,
    accounts: NDArray[np.uint32] | None,
    max_rows: int,
    now_ns: int,
    admin: bool = False,
    instruments: NDArray[np.uint32] | None = None,
) -> Commands:
    """The batch as COMMAND records; wrong rows as REFUSED. `accounts` are those that the client may use, None: all;
    `instruments` those that it may enter orders for, None: all.

    `admin`: the client may also cancel for any account, for all of them at once, and use the kill switch.

    Raises:
        ShapeError: the batch is refused whole.
    """
    if isinstance(batch, RowBatch):
        allowed = accounts is None or batch.row.get("account", 0) in accounts
        head = {"session_id": session_id, "session_no": batch.first_no, "gateway": gateway, "received_ns": now_ns}
        enters = batch.row.get("kind", _NEW) == _NEW
        if enters and instruments is not None:
            allowed = allowed and batch.row.get("instrument", 0) in instruments
        return _build_row(batch, head, allowed=allowed, admin=admin)
    check_shape(batch, max_rows)
    columns = batch.columns
    records = np.zeros(batch.count, dtype=COMMAND)
    marks = _Marks(batch.count)
    for name, column in columns.items():
        wide = column.dtype.itemsize > COLUMN_TYPES[name].itemsize
        if wide:
            fits = (column >= 0) & (column <= 255)
            marks.add(~fits, Code.FIELD_OUT_OF_RANGE if name == "flags" else Code.UNKNOWN_ENUM_VALUE)
            column = np.where(fits, column, 0)
        records[name] = column
    if "kind" not in columns:
        records["kind"] = _NEW
    if "flags" in columns:
        records["flags"][records["kind"] == _REPLACE] = 0
    records["session_id"] = session_id
    records["session_no"] = np.arange(batch.first_no, batch.first_no + batch.count, dtype=np.uint64)
    records["gateway"] = gateway
    records["received_ns"] = now_ns
    if instruments is not None:
        marks.add(strange_orders(records, instruments), Code.NOT_ENTITLED)
    mark_rows(records, columns, marks, accounts, admin=admin)
    if marks.codes is not None:
        refuse_rows(records, marks.codes)
    return records


def _build_row(batch: RowBatch, head: Mapping[str, int], *, allowed: bool, admin: bool) -> Commands:
    """The same as for a batch of columns with one row; the two are compared by a test."""
    if batch.first_no == 0:
        raise ShapeError(Code.MALFORMED_BATCH, "first_no is 0; session numbers count from 1")
    row = {**batch.row, **head}
    row.setdefault("kind", _NEW)
    if row["kind"] == _REPLACE:
        row["flags"] = 0
    code = _fault_of_row(row, allowed=allowed, admin=admin)
    if code:
        row = {name: row.get(name, 0) for name in _KEPT_OF_REFUSED} | {"kind": _REFUSED, "tag": int(code)}
    raw = bytearray(COMMAND.itemsize)
    _ROW.pack_into(raw, 0, *[row.get(name, 0) for name in _ROW_FIELDS])
    return np.frombuffer(raw, dtype=COMMAND)


def _fault_of_row(row: Mapping[str, int], *, allowed: bool, admin: bool) -> Code:
    """The first fault, in the order of `mark_rows`; OK if there is none."""
    get = row.get
    kind = row["kind"]
    if kind == 0 or kind > _MASS_CANCEL:
        return Code.UNKNOWN_ENUM_VALUE
    mass = kind == _MASS_CANCEL
    if not allowed and not (admin and mass):
        return Code.NOT_ENTITLED
    if mass:
        if not admin and (get("account", 0) == 0 or get("flags", 0) & _BLOCK):
            return Code.NOT_ENTITLED
        if get("side", 0) > Side.SELL:
            return Code.UNKNOWN_ENUM_VALUE
        return Code.FIELD_OUT_OF_RANGE if get("flags", 0) > _BLOCK else Code.OK
    if kind == _NEW:
        for name, last in _ENUMS:
            value = get(name, 0)
            if not 0 < value <= last:
                return Code.UNKNOWN_ENUM_VALUE if value else Code.MISSING_FIELD
        if get("stp", 0) > _LAST_STP:
            return Code.UNKNOWN_ENUM_VALUE
        if get("flags", 0) > _ALL_FLAGS:
            return Code.FIELD_OUT_OF_RANGE
    elif not get("order_id", 0) and not get("client_order_id", 0):
        return Code.MISSING_FIELD
    if kind != _CANCEL:
        for name, limit, code in _RANGES:
            if not 0 <= get(name, 0) <= limit:
                return code
    return Code.OK


def strange_orders(records: Commands, instruments: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """New orders for other instruments than these. Whoever has an order may cancel and change it."""
    strange: NDArray[np.bool_] = (records["kind"] == _NEW) & ~np.isin(records["instrument"], instruments)
    return strange


def refuse_rows(records: Commands, codes: NDArray[np.uint64]) -> None:
    """Turn the rows with a code into REFUSED records, which say nothing but whose command it was and why not."""
    bad = codes != 0
    for name in _CLEARED_OF_REFUSED:
        records[name][bad] = 0
    records["kind"][bad] = _REFUSED
    records["tag"][bad] = codes[bad]


def mark_rows(
    records: Commands, columns: Mapping[str, Column], marks: _Marks, accounts: NDArray[np.uint32] | None, *, admin: bool
) -> None:
    """Mark what is wrong with single rows. Only columns that came are looked at: defaults are in range."""
    kind = records["kind"]
    only_new = "kind" not in columns or bool((kind == _NEW).all())
    new: Any = True if only_new else kind == _NEW
    if not only_new:
        marks.add((kind == 0) | (kind > _MASS_CANCEL), Code.UNKNOWN_ENUM_VALUE)
    mass: Any = False if only_new else kind == _MASS_CANCEL
    if accounts is not None:
        foreign = ~np.isin(records["account"], accounts)
        marks.add(foreign & ~mass if admin and not only_new else foreign, Code.NOT_ENTITLED)
    if not only_new and not admin:
        # Of everybody, or with the kill switch: what one client must not do to the others, nor undo by itself.
        everybody = records["account"] == 0
        marks.add(mass & (everybody | (records["flags"] & _BLOCK != 0)), Code.NOT_ENTITLED)
    if only_new or new.any():
        _mark_enums(records, new, marks)
    if not only_new:
        names_none = (records["order_id"] == 0) & (records["client_order_id"] == 0)
        marks.add(names_none & ((kind == _CANCEL) | (kind == _REPLACE)), Code.MISSING_FIELD)
        marks.add(mass & (records["side"] > Side.SELL), Code.UNKNOWN_ENUM_VALUE)
        marks.add(mass & (records["flags"] > _BLOCK), Code.FIELD_OUT_OF_RANGE)
    priced: Any = new if only_new else new | (kind == _REPLACE)
    for name, limit, code in _RANGES:
        if name in columns:
            column = records[name]
            marks.add(((column < 0) | (column > limit)) & priced, code)


_RANGES: Final = (
    ("price_ticks", MAX_PRICE_TICKS, Code.PRICE_OUT_OF_RANGE),
    ("quantity_lots", MAX_QUANTITY_LOTS, Code.QUANTITY_OUT_OF_RANGE),
    ("stop_price_ticks", MAX_PRICE_TICKS, Code.PRICE_OUT_OF_RANGE),
    ("trail_ticks", MAX_PRICE_TICKS, Code.PRICE_OUT_OF_RANGE),
    ("display_lots", MAX_QUANTITY_LOTS, Code.QUANTITY_OUT_OF_RANGE),
    ("min_lots", MAX_QUANTITY_LOTS, Code.QUANTITY_OUT_OF_RANGE),
    ("expire_ns", 2**63 - 1, Code.FIELD_OUT_OF_RANGE),
)

_ENUMS: Final = (
    ("side", int(max(Side))),
    ("order_type", int(max(OrderType))),
    ("tif", int(max(TimeInForce))),
)
_LAST_STP: Final = int(max(SelfTradePrevention))


def _mark_enums(records: Commands, new: Any, marks: _Marks) -> None:
    """Sides, types and so on of new orders; 0 is "unspecified", so the field is missing."""
    for name, last in _ENUMS:
        column = records[name]
        marks.add((column == 0) & new, Code.MISSING_FIELD)
        marks.add((column > last) & new, Code.UNKNOWN_ENUM_VALUE)
    marks.add((records["stp"] > _LAST_STP) & new, Code.UNKNOWN_ENUM_VALUE)
    marks.add((records["flags"] > _ALL_FLAGS) & new, Code.FIELD_OUT_OF_RANGE)
