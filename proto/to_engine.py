"""The schema in the engines' Python: events as values, and the view of a live order."""

from python_text import NOTICE, docstring, meaning, named
from schema import Record, Schema


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


def order_view(schema: Schema) -> str:
    """`engine/order_view.py`."""
    fields = "".join(
        f"    {found.name}: {'Side' if found.enum == 'Side' else 'int'}\n{docstring(found.note)}"
        for found in schema.order_fields
    )
    return NOTICE + ORDER_VIEW.format(fields=fields)


ORDER_VIEW = '''"""A live order, as a query sees it."""

from dataclasses import dataclass

from lockstep.stream.enums import Side


@dataclass(frozen=True, slots=True)
class OrderView:
    """See the module."""

{fields}'''


def _event_value(record: Record) -> str:
    said = f"{record.note} Kinds: {', '.join(record.kinds)}."
    text = f"\n\n@dataclass(frozen=True, slots=True)\nclass {record.struct}:\n{docstring(said)}\n"
    for found in named(record):
        kind = "EventKind" if found.name == "kind" else "str" if found.type.startswith("text") else "int"
        said = found.note if found.name == "kind" else meaning(found)
        text += f"    {found.name}: {kind}\n{docstring(f'{said[0].upper()}{said[1:]}.' if said else '')}"
    return text
