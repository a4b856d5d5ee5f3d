"""The schema in protobuf: enums, rows and columns of the public protocol, and the columns' fast twins."""

import re
import textwrap

from schema import Enum, Field, Schema

FIXED = {"u32": "fixed32", "u64": "fixed64", "i64": "sfixed64"}
FIRST_COLUMN = 3
"""Number of a batch's first column; before it stand what numbers the rows, and how many there are."""


def enums(schema: Schema, file: str) -> str:
    """The enums that `file` declares."""
    return "\n".join(_enum(enum) for enum in schema.enums if enum.protobuf == file)


def _enum(enum: Enum) -> str:
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper()
    text, stage = f"{_comment(enum.public_note, '')}enum {enum.name} {{\n", ""
    if enum.public_values[0].number:
        text += f"  {prefix}_UNSPECIFIED = 0;\n"
    for value in enum.public_values:
        if value.stage != stage:
            stage = value.stage
            text += f"\n  // {stage}\n"
        text += f"{_comment(value.public_note, '  ')}  {prefix}_{value.name} = {value.number};\n"
    return text + "}\n"


def _comment(note: str, indent: str) -> str:
    return "".join(f"{indent}// {line}\n" for line in textwrap.wrap(note.replace("`", ""), 117 - len(indent)))


def batch(columns: list[Field]) -> str:
    """Columns of a public message."""
    kinds = [FIXED.get(found.type) or found.enum or "uint32" for found in columns]
    numbered = enumerate(zip(kinds, columns, strict=True), FIRST_COLUMN)
    return "".join(f"  repeated {kind} {found.name} = {number};\n" for number, (kind, found) in numbered)


def twin(columns: list[Field]) -> str:
    """The same columns as bytes."""
    return "".join(f"  bytes {found.name} = {at};  // {found.type}\n" for at, found in enumerate(columns, FIRST_COLUMN))


def row(fields: list[Field], first: int) -> str:
    """Fields of a message that is one row, numbered from `first` on."""
    text = ""
    for number, found in enumerate(fields, first):
        kind = found.enum or FIXED.get(found.type, "uint32")
        text += f"{_comment(found.note, '  ')}  {kind} {found.name} = {number};\n"
    return text
