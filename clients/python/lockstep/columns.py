"""Orders and reports by columns: NumPy arrays whose memory is the wire's memory.

A packed column of the wire is the little-endian array itself, so a batch of any size costs a few slices and no Python
object a row (`lockstep.wire.v1.columns_pb2` declares the columns as bytes; the public messages of `lockstep.v1` stay
the definition, and are what a batch that does not fit the shortcut is parsed with).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

import numpy as np
from typing_extensions import Unpack

from lockstep.arguments import U32, integer
from lockstep.enums import CommandKind
from lockstep.errors import ProtocolFault
from lockstep.rows import (
    COMMAND_DTYPES,
    COMMAND_FIELDS,
    REPORT_DTYPES,
    REPORT_FIELDS,
    ColumnLike,
    GivenColumns,
    IntColumn,
    ReportArrays,
)
from lockstep.v1 import common_pb2, orders_pb2
from lockstep.values import Report
from lockstep.wire.v1 import columns_pb2

# A number of one byte stands for itself on the wire only below 128: its packed columns are varints.
COMMAND_BOUNDS: Final = {
    name: (0, 127) if dtype.itemsize == 1 else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    for name, dtype in COMMAND_DTYPES.items()
}
"""Least and highest value of each field."""

# An absent column is all zero: a slice of one read-only array for all of them.
_ZERO_BYTES: Final = bytes(8 * 65_536)


def _column(name: str, value: ColumnLike) -> IntColumn:
    """One column as the wire's dtype; a single value has no dimension.

    Raises:
        TypeError: not integers. ValueError: empty, a value does not fit, or more than one dimension.
    """
    dtype = COMMAND_DTYPES[name]
    array = _integers(name, value)
    if array.ndim > 1:
        raise ValueError(f"column {name} has {array.ndim} dimensions; it must have one")
    if array.size == 0:
        raise ValueError(f"column {name} is empty; a batch must have at least one command, or is not sent at all")
    if array.dtype != dtype:
        _check_bounds(name, int(array.min()), int(array.max()))
        array = array.astype(dtype)
    elif dtype.itemsize == 1 and not array.tobytes().isascii():
        # For bytes objects `isascii` is the fastest test for values below 128.
        _check_bounds(name, int(array.min()), int(array.max()))
    return array


def _integers(name: str, value: ColumnLike) -> IntColumn:
    """As an array of integers (of objects, where they are on both sides of 2^63)."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"column {name} is a masked array, whose masked rows would be sent; give the rows that count")
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        # NumPy makes integers of a list with both bools and integers.
        if not isinstance(value, list | tuple) or array.ndim > 1 or not any(isinstance(row, _BOOLS) for row in value):
            return array
    elif array.size == 0 and not isinstance(value, np.ndarray):
        # An empty list has no type.
        return array
    elif not isinstance(value, np.ndarray | int) and _all_integers(value):
        # NumPy makes floats of a list with numbers on both sides of 2^63; as objects they stay exact.
        return np.array(value, dtype=object)
    elif isinstance(value, int) and not isinstance(value, bool):
        # Too large for any of NumPy's types.
        return np.array(value, dtype=object)
    raise TypeError(f"column {name} must hold integers, not {_kind_of(array)}")


_BOOLS: Final = (bool, np.bool_)


def _kind_of(array: IntColumn) -> str:
    return "bool" if array.dtype.kind in "iub" else str(array.dtype)


def _check_bounds(name: str, low: int, high: int) -> None:
    least, most = COMMAND_BOUNDS[name]
    if low < least or high > most:
        raise ValueError(f"column {name} holds {low}..{high}; it must be within {least}..{most}")


def _all_integers(values: object) -> bool:
    return (
        isinstance(values, Sequence)
        and not isinstance(values, str | bytes)
        and all(isinstance(value, int | np.integer) and not isinstance(value, bool) for value in values)
    )


class CommandColumns:
    """A batch of commands: each column an array of `count` rows, one value that holds for all, or nothing (zero).

    The arrays are kept, not copied: don't change them after the batch was submitted.

    Example:
        >>> batch = CommandColumns(
        ...     side=np.array([1, 2], "u1"), account=1, instrument=7, price_ticks=[100, 101], quantity_lots=[5, 5],
        ...     order_type=1, tif=2,
        ... )
        >>> len(batch)
        2
    """

    __slots__ = ("columns", "count")

    def __init__(self, *, count: int | None = None, **given: Unpack[GivenColumns]) -> None:
        """Make a batch. `count` is needed only if no column has a row for each command.

        Raises:
            TypeError: there is no such column, or it does not hold integers.
            ValueError: a value does not fit its column, or the lengths differ; the text names the columns.
        """
        unknown = given.keys() - COMMAND_DTYPES.keys()
        if unknown:
            raise TypeError(f"there is no column {min(unknown)!r}; there are: {', '.join(COMMAND_FIELDS)}")
        values: dict[str, Any] = {**given}
        columns = {name: _column(name, value) for name, value in values.items() if value is not None}
        # One value for all is a scalar; an array has a row for each command, also if it happens to have one only.
        rows = {name: len(column) for name, column in columns.items() if column.ndim}
        self.count = max(rows.values(), default=1) if count is None else integer("count", count, 0, U32)
        if self.count < 1:
            raise ValueError(f"a batch of {self.count} commands; it must have at least one")
        self.columns = {name: column if column.ndim else column.reshape(1) for name, column in columns.items()}
        for name, length in rows.items():
            # With a count it is certain how many are meant, so that one row can only be one for all.
            if length != self.count and not (length == 1 and count is not None):
                lengths = ", ".join(f"{key}: {found}" for key, found in rows.items())
                raise ValueError(
                    f"column {name} has {length} rows in a batch of {self.count} ({lengths}); give every column "
                    "one row for each command, or one value for all"
                )

    def __len__(self) -> int:
        """Number of commands."""
        return self.count

    @classmethod
    def trusted(cls, columns: dict[str, IntColumn], count: int) -> "CommandColumns":
        """From columns that are known to be right: dtypes of `COMMAND_DTYPES`, one row or `count` rows each."""
        made = cls.__new__(cls)
        made.columns = columns
        made.count = count
        return made

    def slice(self, start: int, stop: int) -> "CommandColumns":
        """Rows [start, stop) as views.

        Raises:
            ValueError: there is no such row, or not one row between them.
        """
        if start == 0 and stop == self.count:
            return self
        start, stop = integer("start", start, 0, self.count), integer("stop", stop, 0, self.count)
        count = stop - start
        if count < 1:
            # An empty column would be left out on the wire, where that means 0: all instruments of a mass cancel.
            raise ValueError(f"rows {start} to {stop} are none; a batch must have at least one command")
        return CommandColumns.trusted(
            {name: rows if len(rows) == 1 else rows[start:stop] for name, rows in self.columns.items()}, count
        )

    @classmethod
    def concat(cls, parts: Sequence["CommandColumns"]) -> "CommandColumns":
        """All rows of several batches, in order.

        Raises:
            ValueError: there is no batch.
        """
        if not parts:
            raise ValueError("no batch to join; a batch must have at least one command")
        if len(parts) == 1:
            return parts[0]
        columns: dict[str, IntColumn] = {}
        for name in COMMAND_FIELDS:
            pieces = [part.columns.get(name) for part in parts]
            if all(piece is None for piece in pieces):
                continue
            columns[name] = np.concatenate(
                [_expand(name, piece, part.count) for piece, part in zip(pieces, parts, strict=True)]
            )
        return cls.trusted(columns, sum(part.count for part in parts))

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[int, ...]]) -> "CommandColumns":
        """From tuples in the order of `COMMAND_FIELDS` (such as `CommandRow`).

        Raises:
            TypeError: a value is no integer. ValueError: it does not fit its field, a row has another length, or there
            is no row.
        """
        if not rows:
            raise ValueError("a batch of 0 commands; it must have at least one")
        fields = tuple(COMMAND_BOUNDS.items())
        checked = [
            tuple(integer(name, value, *bounds) for (name, bounds), value in zip(fields, row, strict=True))
            for row in rows
        ]
        return cls.trusted_rows(checked)

    @classmethod
    def trusted_rows(cls, rows: Sequence[tuple[int, ...]]) -> "CommandColumns":
        """From tuples in the order of `COMMAND_FIELDS`, whose values are known to fit. Columns of zeros stay out."""
        columns = {}
        for (name, dtype), values in zip(COMMAND_DTYPES.items(), zip(*rows, strict=True), strict=True):
            if any(values):
                columns[name] = np.array(values, dtype)
        return cls.trusted(columns, len(rows))

    def encode(self, first_no: int) -> bytes:
        """As a serialised `lockstep.v1.SessionRequest` whose rows are numbered from `first_no`."""
        return _encode_request(columns_pb2.CommandBatch(first_no=first_no, count=self.count, **self._bytes()))

    def _bytes(self) -> dict[str, Any]:
        return {name: rows.tobytes() for name, rows in self.columns.items()}


def _encode_request(batch: columns_pb2.CommandBatch) -> bytes:
    return columns_pb2.SessionRequest(batch=batch).SerializeToString()


def _expand(name: str, rows: IntColumn | None, count: int) -> IntColumn:
    if rows is None:
        # The wire's default of an absent column is zero, but for the kind it is a new order.
        return np.full(count, int(CommandKind.NEW_ORDER) if name == "kind" else 0, COMMAND_DTYPES[name])
    return rows if len(rows) == count else np.repeat(rows, count)


def decode_command_batch(message: bytes) -> tuple[int, CommandColumns]:
    """Twin of `CommandColumns.encode` (checkpoints are read with it).

    Raises:
        ProtocolFault: the message is not a batch of the right shape.
    """
    batch = columns_pb2.SessionRequest.FromString(message).batch
    columns: dict[str, IntColumn] = {}
    for name, dtype in COMMAND_DTYPES.items():
        raw: bytes = getattr(batch, name)
        if raw:
            if len(raw) not in (dtype.itemsize, dtype.itemsize * batch.count):
                raise ProtocolFault(f"column {name} of a saved batch has {len(raw)} bytes for {batch.count} rows")
            columns[name] = np.frombuffer(raw, dtype)
    return batch.first_no, CommandColumns.trusted(columns, batch.count)


@dataclass(frozen=True, slots=True)
class ReportColumns(ReportArrays):
    """A batch of execution reports, in order of (seq, index, leg). All columns have `count` rows; don't write to them.

    Fields are those of `Report`; `epoch` holds for all rows, `committed_seq` is the history that the batch reflects.
    """

    def __len__(self) -> int:
        """Number of rows."""
        return self.count

    def take(self, mask: IntColumn) -> "ReportColumns":
        """The rows where `mask` is true."""
        columns = [getattr(self, name)[mask] for name in REPORT_FIELDS]
        return ReportColumns(len(columns[0]), self.epoch, self.committed_seq, *columns)

    def rows(self) -> list[Report]:
        """Row by row, for those who don't need the speed."""
        columns: list[list[int]] = [getattr(self, name).tolist() for name in REPORT_FIELDS]
        return list(map(Report, *columns, repeat(self.epoch)))


def report_columns(epoch: int, committed_seq: int, rows: dict[str, Sequence[int]], count: int) -> ReportColumns:
    """From Python sequences; an absent column is zero."""
    columns = [
        np.array(rows[name], dtype) if name in rows else np.zeros(count, dtype) for name, dtype in REPORT_DTYPES.items()
    ]
    return ReportColumns(count, epoch, committed_seq, *columns)


def decode_report_batch(batch: columns_pb2.ReportBatch, message: bytes) -> ReportColumns:
    """The rows of a `SessionResponse` that holds a report batch.

    Args:
        batch: the fast twin's reading of it.
        message: the whole serialised `SessionResponse`, for the slow way if the lengths don't fit.

    Raises:
        ProtocolFault: the columns have differing lengths.
    """
    count = batch.count
    columns: list[IntColumn] = []
    for name, dtype in REPORT_DTYPES.items():
        raw: bytes = getattr(batch, name)
        if not raw and count * dtype.itemsize <= len(_ZERO_BYTES):
            columns.append(np.frombuffer(_ZERO_BYTES, dtype, count))
        elif len(raw) == count * dtype.itemsize:
            columns.append(np.frombuffer(raw, dtype))
        else:
            return _decode_public(orders_pb2.SessionResponse.FromString(message).report_batch)
    stamp = common_pb2.Stamp.FromString(batch.stamp)
    return ReportColumns(count, stamp.epoch, stamp.seq, *columns)


def _decode_public(batch: orders_pb2.ReportBatch) -> ReportColumns:
    """By the public message: a peer may legally split a packed field, or use more than one byte for a small number."""
    columns: dict[str, Sequence[int]] = {}
    for name in REPORT_FIELDS:
        values = getattr(batch, name)
        if not values:
            continue
        if len(values) != batch.count:
            raise ProtocolFault(f"the gateway sent a report batch of {batch.count} rows with {len(values)} in {name}")
        columns[name] = values
    return report_columns(batch.stamp.epoch, batch.stamp.seq, columns, batch.count)


def decode_reports(message: orders_pb2.Reports) -> ReportColumns:
    """The rows of a row-wise `Reports` message."""
    columns: dict[str, Sequence[int]] = {
        name: [getattr(row, name) for row in message.reports] for name in REPORT_FIELDS if name not in ("seq", "index")
    }
    columns["seq"] = [row.event_id.seq for row in message.reports]
    columns["index"] = [row.event_id.index for row in message.reports]
    return report_columns(message.stamp.epoch, message.stamp.seq, columns, len(message.reports))
