"""The schema in the stream's Python: enums, and records as dtypes."""

from collections.abc import Iterator

from python_text import ENUMS, NOTICE, dtype_letter, enum_class, meaning
from schema import Record, Schema


def enums(schema: Schema) -> str:
    """`stream/enums.py`."""
    found = [
        enum_class(enum, enum.name, enum.note, [(v, v.note) for v in enum.values])
        for enum in schema.enums
        if enum.stream
    ]
    return ENUMS.format(text="Enums of the stream, and the outcome codes.", enums="".join(found))


def layouts(schema: Schema) -> str:
    """`stream/layouts.py`."""
    heads = [(head, "HEAD") for head in schema.heads.values()] + [(tail, "TAIL") for tail in schema.tails.values()]
    records = [*schema.commands, *schema.events]
    return NOTICE + LAYOUTS.format(
        fingerprint=schema.fingerprint,
        heads="".join(f"_{part.name.upper()}_{which} = [\n{_dtype(part, '    ')}]\n" for part, which in heads),
        records="".join(
            f'\n{r.name}: Final = np.dtype(\n    [\n{_dtype(r, " " * 8)}    ]\n)\n"""{r.note}"""\n' for r in records
        ),
        kinds="".join(line for record in schema.commands for line in _kinds(record)),
        events="".join(f"    EventKind.{kind}: {record.name},\n" for record in schema.events for kind in record.kinds),
        columns="".join(f'    "{found.name}",\n' for found in schema.command_columns),
    )


LAYOUTS = '''"""Layouts of the records. Take them from `lockstep.stream.records`; docs/records.md has them as tables."""

from typing import Final

import numpy as np

from lockstep.stream.enums import CommandKind, EventKind

SCHEMA: Final = 0x{fingerprint:016X}
"""Names every place, width and number; the compiled core has the same one."""

{heads}{records}
KINDS: Final[dict[CommandKind, tuple[np.dtype[np.void], tuple[str, ...]]]] = {{
{kinds}}}
"""Of each kind: the layout of its commands, and the fields that are read of it."""

EVENT_LAYOUTS: Final[dict[EventKind, np.dtype[np.void]]] = {{
{events}}}

COMMAND_COLUMNS: Final = (
{columns})
"""Fields that a client gives by columns, in the order of the wire."""
'''


def _dtype(record: Record, indent: str) -> str:
    lines = [f"*_{record.head.upper()}_HEAD,"] if record.head else []
    for found in record.own:
        note = meaning(found)
        lines.append(f'("{found.name}", "{dtype_letter(found)}"),' + (f"  # {note}" if note else ""))
    lines += [f"*_{record.tail.upper()}_TAIL,"] if record.tail else []
    return "".join(f"{indent}{line}\n" for line in lines)


def _kinds(record: Record) -> Iterator[str]:
    for kind, uses in record.kinds.items():
        names = ", ".join(f'"{name}"' for name in uses) + "," * (len(uses) == 1)
        line = f"    CommandKind.{kind}: ({record.name}, ({names})),\n"
        if len(line) > 121:
            names = "".join(f'            "{name}",\n' for name in uses)
            line = f"    CommandKind.{kind}: (\n        {record.name},\n        (\n{names}        ),\n    ),\n"
        yield line
