"""How messages of the protocol look as JSON, by the names and types of their fields. Pure.

One rule for all, so that the protocol's descriptors are the one source of what the door says, takes and documents:

| field | JSON | as |
| --- | --- | --- |
| `price_ticks` | `price` | decimal string in currency units; `vwap_micro_ticks` is `vwap`, with more digits |
| `cash_micros` | `cash` | decimal string in currency units |
| `quantity_lots` | `quantity_lots` | integer |
| `timestamp_ns` | `timestamp_ns` | string of digits: nanoseconds since 1970 |
| 64-bit numbers (ids, seqs) | as named | string of digits, since many JSON readers hold 53 bits |
| 32-bit numbers | as named | integer |
| enums | as named | the value's name: `buy`, `gtc`; codes as elsewhere: `INSUFFICIENT_CASH` |
"""

from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from lockstep.edge.rest.prices import MICROS, decimal_of
from lockstep.stream.values import frozen


class Kind(Enum):
    """What a value is in JSON."""

    PRICE = "price"
    FINE_PRICE = "fine price"
    MONEY = "money"
    DIGITS = "digits"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"
    WORD = "word"
    MESSAGE = "message"


_SUFFIXES: Final = (
    ("_micro_ticks", Kind.FINE_PRICE, True),
    ("_ticks", Kind.PRICE, True),
    ("_micros", Kind.MONEY, True),
    ("_lots", Kind.INTEGER, False),
    ("_units", Kind.INTEGER, False),
)
"""End of a name, what it means, whether it goes."""
_TYPES: Final = {
    FieldDescriptor.TYPE_FIXED64: Kind.DIGITS,
    FieldDescriptor.TYPE_SFIXED64: Kind.DIGITS,
    FieldDescriptor.TYPE_FIXED32: Kind.INTEGER,
    FieldDescriptor.TYPE_UINT32: Kind.INTEGER,
    FieldDescriptor.TYPE_BOOL: Kind.BOOLEAN,
    FieldDescriptor.TYPE_STRING: Kind.TEXT,
    FieldDescriptor.TYPE_ENUM: Kind.WORD,
    FieldDescriptor.TYPE_MESSAGE: Kind.MESSAGE,
}
LEFT_OUT: Final = frozenset(
    (
        # An answer is the same whenever and wherever it is given; the epoch stands in a header.
        "lockstep.v1.ExecutionReport.epoch",
        "lockstep.v1.ExecutionReport.original_seq",
        # The path names the account; nobody gets the tag back.
        "lockstep.v1.NewOrder.account",
        "lockstep.v1.NewOrder.tag",
        "lockstep.v1.NewOrder.flags",
    )
)
Json = dict[str, Any]
TickOf = Callable[[int], int]
"""An instrument's tick in millionths of the currency unit; 1 of 0, which is none."""


@frozen
class Field:
    """One field of a message."""

    name: str
    """In JSON."""
    source: str
    """In the message."""
    kind: Kind
    repeated: bool
    descriptor: FieldDescriptor


def _field(descriptor: FieldDescriptor) -> Field:
    name, kind = descriptor.name, _TYPES[descriptor.type]
    if kind is Kind.DIGITS:
        for suffix, meaning, goes in _SUFFIXES:
            if name.endswith(suffix):
                name, kind = (name.removesuffix(suffix) if goes else name), meaning
                break
    return Field(name, descriptor.name, kind, bool(descriptor.is_repeated), descriptor)


@cache
def fields_of(message: Descriptor) -> tuple[Field, ...]:
    """The fields that a message has in JSON, in their order."""
    return tuple(_field(one) for one in message.fields if one.full_name not in LEFT_OUT)


@cache
def words_of(enum: EnumDescriptor) -> dict[int, str]:
    """The words of an enum by number: without its name, in small letters; a code as it is."""
    prefix = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in enum.name).lstrip("_") + "_"
    shown = (lambda word: word) if enum.name == "Code" else str.lower
    return {value.number: shown(value.name.removeprefix(prefix)) for value in enum.values}


def json_of(message: Any, tick_of: TickOf, tick_micros: int = 1) -> Json:
    """A message as JSON. `tick_micros`: of messages that name no instrument."""
    descriptor = message.DESCRIPTOR
    if "instrument" in descriptor.fields_by_name:
        tick_micros = tick_of(message.instrument)
    elif "tick_micros" in descriptor.fields_by_name:
        tick_micros = message.tick_micros
    said: Json = {}
    for field in fields_of(descriptor):
        value = getattr(message, field.source)
        if field.repeated:
            said[field.name] = [_value(field, one, tick_of, tick_micros) for one in value]
        else:
            said[field.name] = _value(field, value, tick_of, tick_micros)
    return said


def _value(field: Field, value: Any, tick_of: TickOf, tick_micros: int) -> Any:
    match field.kind:
        case Kind.PRICE:
            return decimal_of(value * tick_micros)
        case Kind.FINE_PRICE:
            return decimal_of(value * tick_micros, MICROS * MICROS)
        case Kind.MONEY:
            return decimal_of(value)
        case Kind.DIGITS:
            return str(value)
        case Kind.WORD:
            words = words_of(field.descriptor.enum_type)
            return words.get(value, str(value))
        case Kind.MESSAGE:
            return json_of(value, tick_of, tick_micros)
        case _:
            return value
