"""What a schema may not say, named in words: else a slip of the pen gets into eight files, or is dropped in silence."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from schema import SIZES, Enum, Field, Schema

FILES = ("common", "cluster", "market_data", "orders", "")
"""The .proto files that have a block of enums; and none."""


def check(schema: Schema) -> None:
    """Raises ValueError with every fault, one a line."""
    faults = [*_records(schema), *_enums(schema), *_columns(schema)]
    if faults:
        raise ValueError("\n".join(faults))


def _records(schema: Schema) -> Iterator[str]:
    for record in (*schema.commands, *schema.events):
        where = f"records.toml, {record.name}"
        yield from _fields(schema, where, record.fields)
        names = {found.name for found in record.fields}
        for kind, read in record.kinds.items():
            yield from (f"{where}: {kind} reads {name}, which is no field of it" for name in read if name not in names)


def _enums(schema: Schema) -> Iterator[str]:
    for enum in schema.enums:
        where = "codes.toml" if enum.name == "Code" else f"enums.toml, {enum.name}"
        names = [value.name for value in enum.values]
        yield from (f"{where}: public has {name}, which is no value of it" for name in enum.public if name not in names)
        if enum.protobuf not in FILES:
            yield f"{where}: protobuf is {enum.protobuf!r}, not one of {', '.join(filter(None, FILES))}"
        yield from _numbers(where, enum)


def _numbers(where: str, enum: Enum) -> Iterator[str]:
    for value in enum.values:
        if not isinstance(value.number, int) or not 0 <= value.number < 1 << enum.bits:
            yield f"{where}: {value.name} is {value.number!r}, no number of {enum.bits} bits"
        span = re.match(r"(\d+)-(\d+)", value.stage)
        if span and isinstance(value.number, int) and not int(span[1]) <= value.number <= int(span[2]):
            yield f"{where}: {value.name} is {value.number}, outside the stage {span[0]}"
    for number, times in Counter(str(value.number) for value in enum.values).items():
        if times > 1:
            yield f"{where}: {times} values have the number {number}"


def _columns(schema: Schema) -> Iterator[str]:
    lists = {
        "command": schema.command_columns,
        "new_order": schema.new_order,
        "report": schema.report_columns,
        "order": schema.order_fields,
    }
    for name, fields in lists.items():
        where = f"columns.toml, {name}"
        yield from _fields(schema, where, fields)
        strange = [found for found in fields if found.type not in SIZES]
        yield from (f"{where}: {found.name} is {found.type}, and a column is a number" for found in strange)
        yield from (f"{where}: {twice} stands there twice" for twice in _twice(found.name for found in fields))
    strange_notes = schema.column_notes.keys() - {found.name for found in schema.new_order}
    yield from (f"columns.toml: a note for {name}, which is no column" for name in sorted(strange_notes))


def _fields(schema: Schema, where: str, fields: Iterable[Field]) -> Iterator[str]:
    known = {enum.name for enum in schema.enums}
    for found in fields:
        if found.enum and found.enum not in known:
            yield f"{where}: {found.name} is of enum {found.enum}, which there is not"


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]
