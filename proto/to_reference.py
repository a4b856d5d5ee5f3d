"""The schema in the reference engine: commands as values with named fields, and events written by named fields."""

import textwrap

from python_text import NOTICE, docstring, named, struct_format
from schema import Field, Record, Schema


def records(schema: Schema) -> str:
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
        writers="".join(_writer(record) for record in schema.events),
    )


RECORDS = '''"""Records with named fields: what a command says, and events as their bytes."""

from struct import Struct
from typing import Final, NamedTuple

from lockstep.engine.reference.output import Output
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
{writers}'''


_NOTHING = {"int": " = 0", "bytes": ' = b""'}


def _bare(found: Field) -> str:
    return "bytes" if found.type.startswith("text") else "int"


def _command(record: Record, name: str) -> str:
    fields = "".join(f"    {found.name}: {_bare(found)}\n" for found in named(record))
    return f"\n\nclass {name}(NamedTuple):\n{docstring(record.note)}\n{fields}"


def _writer(record: Record) -> str:
    """A function of the fields by name; seq, index and stamp are those of the command at work."""
    of_output = {"seq": "out.seq", "index": "out.index", "timestamp_ns": "out.now_ns"}
    given = [found for found in named(record) if found.name not in of_output]
    arguments = "".join(
        f"    {found.name}: {_bare(found)}{'' if found.name == 'kind' else _NOTHING[_bare(found)]},\n"
        for found in given
    )
    values = "".join(f"{of_output.get(found.name, found.name)},\n" for found in named(record))
    return (
        f"\n\ndef {record.name.lower()}(\n    out: Output,\n    *,\n{arguments}) -> None:\n{docstring(record.note)}"
        f"    record = _{record.name}.pack(\n{textwrap.indent(values, ' ' * 8)}    )\n    out.add(record)\n"
    )
