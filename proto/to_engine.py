"""The schema in the engines' Python: events as values, and records with named fields for the reference engine."""

import textwrap

from python_text import NOTICE, docstring, meaning, struct_format
from schema import Field, Record, Schema


def event_values(schema: Schema) -> str:
    """`engine/event_values.py`."""
    return NOTICE + EVENT_VALUES.format(
        classes="".join(_event_value(record) for record in schema.events),
        union=" | ".join(record.struct for record in schema.events),
        kinds="".join(f"    EventKind.{kind}: {record.struct},\n" for record in schema.events for kind in record.kinds),
    )


EVENT_VALUES = '''"""Events as values: a class for each layout. Take them from `lockstep.engine.events`."""

from dataclasses import dataclass
from typing import Final

from lockstep.stream.enums import EventKind
{classes}

AnyEvent = {union}

CLASSES: Final[dict[EventKind, type[AnyEvent]]] = {{
{kinds}}}
"""Of each kind."""
'''


def _event_value(record: Record) -> str:
    said = f"{record.note} Kinds: {', '.join(record.kinds)}."
    text = f"\n\n@dataclass(frozen=True, slots=True)\nclass {record.struct}:\n{docstring(said)}\n"
    for found in _named(record):
        kind = "EventKind" if found.name == "kind" else "str" if found.type.startswith("text") else "int"
        said = found.note if found.name == "kind" else meaning(found)
        text += f"    {found.name}: {kind}\n{docstring(f'{said[0].upper()}{said[1:]}.' if said else '')}"
    return text


def _named(record: Record) -> list[Field]:
    return [found for found in record.fields if not found.is_reserved]


def _bare(found: Field) -> str:
    return "bytes" if found.type.startswith("text") else "int"


def reference_records(schema: Schema) -> str:
    """`engine/reference/records.py`."""
    names = {record.name: record.struct.replace("Terms", "Command") for record in schema.commands}
    kinds = [(kind, record) for record in schema.commands for kind in record.kinds]
    return NOTICE + RECORDS.format(
        commands="".join(_command(record, names[record.name]) for record in schema.commands),
        union="\n    | ".join(names.values()),
        structs="".join(
            f'_{record.name}: Final = Struct("{struct_format(record.fields)}")\n'
            for record in (*schema.commands, *schema.events)
        ),
        kinds="".join(f"    CommandKind.{kind}: ({names[r.name]}, _{r.name}),\n" for kind, r in kinds),
        other=f"({names['COMMAND']}, _COMMAND)",
        packers="".join(_packer(record) for record in schema.events),
    )


RECORDS = '''"""Records with named fields: what a command says, and the bytes of an event."""

from struct import Struct
from typing import Final, NamedTuple

from lockstep.stream.enums import CommandKind
{commands}

AnyCommand = (
    {union}
)

{structs}
_COMMANDS: Final[dict[int, tuple[type[AnyCommand], Struct]]] = {{
{kinds}}}
_UNKNOWN: Final[tuple[type[AnyCommand], Struct]] = {other}


def read_command(raw: bytes, at: int) -> AnyCommand:
    """The command whose record begins there; one of an unknown kind as an order."""
    made, layout = _COMMANDS.get(raw[at], _UNKNOWN)
    return made._make(layout.unpack_from(raw, at))
{packers}'''


def _command(record: Record, name: str) -> str:
    fields = "".join(f"    {found.name}: {_bare(found)}\n" for found in _named(record))
    return f"\n\nclass {name}(NamedTuple):\n{docstring(record.note)}\n{fields}"


def _packer(record: Record) -> str:
    """A function of the fields by name; those that stand in each event have no default."""
    always = ("seq", "index", "kind", "timestamp_ns")
    given = "".join(f"    {found.name}: int,\n" for found in _named(record) if found.name in always)
    for found in _named(record):
        if found.name not in always:
            given += f"    {found.name}: {_bare(found)} = {'b""' if _bare(found) == 'bytes' else 0},\n"
    values = textwrap.indent("".join(f"{found.name},\n" for found in _named(record)), " " * 8)
    return (
        f"\n\ndef {record.name.lower()}_record(\n    *,\n{given}) -> bytes:\n{docstring(record.note)}"
        f"    return _{record.name}.pack(\n{values}    )\n"
    )
