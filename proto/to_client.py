"""The schema in the client's Python: enums, columns and rows."""

from python_text import ENUMS, NOTICE, docstring, dtype_letter, enum_class
from schema import Schema, Value


def enums(schema: Schema) -> str:
    """`lockstep/enums.py` of the client."""
    found = []
    for enum in schema.enums:
        if enum.client:
            values = [(value, value.public_note) for value in [Value("NONE", 0)] * enum.flags + enum.public_values]
            found.append(enum_class(enum, enum.client, enum.public_note, values))
    return ENUMS.format(text="The words of the wire as Python enums.", enums="".join(found))


def rows(schema: Schema) -> str:
    """`lockstep/rows.py` of the client."""
    commands, reports = schema.command_columns, schema.report_columns
    dtypes = [
        "".join(f'    "{c.name}": np.dtype("{dtype_letter(c)}"),\n' for c in some) for some in (commands, reports)
    ]
    return NOTICE + ROWS.format(
        commands=dtypes[0],
        reports=dtypes[1],
        row="".join(f"    {found.name}: int{' = 0' * (found.name != 'kind')}\n" for found in commands),
        given="".join(f"    {found.name}: ColumnLike\n" for found in commands),
        report="".join(f"    {found.name}: int\n{docstring(found.note)}" for found in reports),
        order="".join(f"    {found.name}: int\n{docstring(found.note)}" for found in schema.order_fields),
        arrays="".join(f"    {found.name}: IntColumn\n" for found in reports),
    )


ROWS = '''"""Columns and rows of commands and reports, and the row of a live order, field by field."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

IntColumn = NDArray[Any]
ColumnLike = NDArray[Any] | Sequence[int] | int | None

COMMAND_DTYPES: Final[dict[str, np.dtype[Any]]] = {{
{commands}}}
REPORT_DTYPES: Final[dict[str, np.dtype[Any]]] = {{
{reports}}}
COMMAND_FIELDS: Final = tuple(COMMAND_DTYPES)
REPORT_FIELDS: Final = tuple(REPORT_DTYPES)


class CommandRow(NamedTuple):
    """One command, in the order of `COMMAND_FIELDS`."""

{row}

class GivenColumns(TypedDict, total=False):
    """The columns of a batch: an array of one row for each command, one value that holds for all, or None (zero)."""

{given}

@dataclass(frozen=True, slots=True)
class ReportRow:
    """The fields of a report, in the order of `REPORT_FIELDS`; `epoch` is the one under which it was delivered."""

{report}    epoch: int


@dataclass(frozen=True, slots=True)
class OrderRow:
    """The fields of a live order."""

{order}

@dataclass(frozen=True, slots=True)
class ReportArrays:
    """The columns of a batch of reports, in the order of `REPORT_FIELDS`; `epoch` holds for all rows."""

    count: int
    epoch: int
    committed_seq: int
{arrays}'''
