"""What a request says, checked against the schemas that the OpenAPI document shows. Pure."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

from lockstep.edge.rest.operations import BODIES, DIGITS, KEY_PATTERN, MOST_LOTS, Operation, Parameter
from lockstep.edge.rest.prices import PRICE_PATTERN, shortest, ticks_of
from lockstep.edge.rest.problems import Problem, refused
from lockstep.edge.rest.shapes import Field, Kind, fields_of, words_of
from lockstep.stream.codes import Code
from lockstep.stream.records import MAX_PRICE_TICKS, OrderFlag
from lockstep.v1 import orders_pb2

I64_MAX: Final = 2**63 - 1
FLAGS: Final = {
    "post_only": int(OrderFlag.POST_ONLY),
    "hidden": int(OrderFlag.HIDDEN),
    "cancel_on_halt": int(OrderFlag.CANCEL_ON_HALT),
    "short_exempt": int(OrderFlag.SHORT_EXEMPT),
}
_FLAG_TEXTS: Final = {
    "post_only": "Refuse the order if it would trade at once.",
    "hidden": "Show nothing of it in the book.",
    "cancel_on_halt": "Cancel it when trading is halted or paused.",
    "short_exempt": "Of a sell: no short-sale restriction holds it to a price.",
}
_DEFAULTS: Final = {"order_type": "limit", "tif": "day"}
_REQUIRED: Final = ["instrument", "side", "quantity_lots"]
_MOST_INTEGER: Final = 10**20


@cache
def body_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a body: of a message of the protocol, or as `BODIES` has it."""
    if name in BODIES:
        return {"type": "object", "additionalProperties": False, **BODIES[name]}
    assert name == "NewOrder", "the one message that clients send as it is"
    properties = {field.name: _input_schema(field) for field in fields_of(new_order())}
    properties |= {flag: {"type": "boolean", "default": False, "description": _FLAG_TEXTS[flag]} for flag in FLAGS}
    return {"type": "object", "additionalProperties": False, "required": _REQUIRED, "properties": properties}


def new_order() -> Any:
    """Descriptor of what is placed."""
    return orders_pb2.NewOrder.DESCRIPTOR


def _input_schema(field: Field) -> dict[str, Any]:
    if field.name == "instrument":
        return {"type": "string", "pattern": r"^[!-~]{1,32}$", "description": "Symbol or number of the instrument."}
    match field.kind:
        case Kind.PRICE:
            return {"type": "string", "pattern": PRICE_PATTERN}
        case Kind.INTEGER:
            least = 1 if field.name in _REQUIRED else 0
            return {"type": "integer", "minimum": least, "maximum": MOST_LOTS}
        case Kind.WORD:
            words = [word for word in words_of(field.descriptor.enum_type).values() if word != "unspecified"]
            default = _DEFAULTS.get(field.name)
            return {"type": "string", "enum": words, **({"default": default} if default else {})}
        case _:
            return {"type": "string", "pattern": DIGITS}


# ---- bytes to values ---------------------------------------------------------------------------------------------


def body_of(raw: bytes) -> dict[str, Any]:
    """A JSON object, each name once.

    Raises:
        Problem: it is none.
    """
    try:
        value = json.loads(raw, object_pairs_hook=_object, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError, InvalidOperation) as error:
        why = str(error) if isinstance(error, json.JSONDecodeError | _Twice) else "it can't be read"
        raise Problem(Code.MALFORMED_BATCH, f"the body is no JSON: {why}", field="") from None
    if not isinstance(value, dict):
        raise Problem(Code.MALFORMED_BATCH, "the body is no JSON object", field="")
    return value


class _Twice(ValueError):
    pass


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Twice("a name stands twice in one object")
    return made


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def checked(schema: Mapping[str, Any], value: Any, pointer: str) -> Any:
    """The value as the schema has it; numbers as int.

    Raises:
        Problem: it does not fit.
    """
    match schema["type"]:
        case "object":
            return _checked_object(schema, value, pointer)
        case "integer":
            return _checked_integer(schema, value, pointer)
        case "boolean":
            if not isinstance(value, bool):
                raise _wrong(pointer, "true or false")
        case _:
            if not isinstance(value, str):
                raise _wrong(pointer, "a string")
            if "pattern" in schema and not _pattern(schema["pattern"]).fullmatch(value):
                raise _wrong(pointer, f"a string like {schema['pattern']}")
    if "enum" in schema and value not in schema["enum"]:
        raise Problem(Code.UNKNOWN_ENUM_VALUE, f"{pointer}: one of {', '.join(schema['enum'])}", field=pointer)
    return value


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


def _checked_object(schema: Mapping[str, Any], value: Any, pointer: str) -> dict[str, Any]:
    properties = schema["properties"]
    for name in value:
        if name not in properties:
            raise Problem(
                Code.FIELD_OUT_OF_RANGE, f"there is no field {name[:64]!r}; there are {', '.join(properties)}",
                field=f"{pointer}/{name[:64]}",
            )  # fmt: skip
    for name in schema["required"]:
        if name not in value:
            raise Problem(Code.MISSING_FIELD, f"the field {name} is missing", field=f"{pointer}/{name}")
    return {name: checked(properties[name], one, f"{pointer}/{name}") for name, one in value.items()}


def _checked_integer(schema: Mapping[str, Any], value: Any, pointer: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _wrong(pointer, "an integer")
    # Bounds before anything is computed of it: an exponent has no end.
    least, most = schema.get("minimum", -_MOST_INTEGER), schema.get("maximum", _MOST_INTEGER)
    if not least <= value <= most or value != int(value):
        raise _wrong(pointer, f"an integer from {least} to {most}")
    if "enum" in schema and value not in schema["enum"]:
        raise _wrong(pointer, f"one of {', '.join(map(str, schema['enum']))}")
    return int(value)


def _wrong(pointer: str, wanted: str) -> Problem:
    return Problem(Code.FIELD_OUT_OF_RANGE, f"{pointer} has to be {wanted}", field=pointer)


def as_meant(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A checked body, the same for all ways to write it: prices without zeros at the end. `name`: of its schema."""
    properties = body_schema(name)["properties"] if name else {}
    prices = {one for one, schema in properties.items() if schema.get("pattern") == PRICE_PATTERN}
    return {one: shortest(value) if one in prices else value for one, value in body.items()}


# ---- parameters --------------------------------------------------------------------------------------------------

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)


def parameters_of(operation: Operation, path: Mapping[str, str], query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The values of all parameters, defaults included.

    Raises:
        Problem: one is wrong, unknown, or stands twice.
    """
    known = {one.name: one for one in operation.parameters}
    said: dict[str, str] = dict(path)
    for name, text in query:
        if name not in known or known[name].place != "query":
            names = ", ".join(one.name for one in operation.parameters if one.place == "query") or "none"
            raise Problem(
                Code.FIELD_OUT_OF_RANGE, f"there is no parameter {name[:64]!r}; there are: {names}", field=name[:64]
            )
        if name in said:
            raise Problem(Code.FIELD_OUT_OF_RANGE, f"the parameter {name} stands twice", field=name)
        said[name] = text
    return {name: _parameter(one, said.get(name)) for name, one in known.items()}


def _parameter(parameter: Parameter, text: str | None) -> Any:
    if text is None:
        return parameter.default
    if parameter.schema["type"] == "integer":
        if not _INTEGER.fullmatch(text):
            raise _wrong(parameter.name, "an integer")
        return checked(parameter.schema, int(text), parameter.name)
    return checked(parameter.schema, text, parameter.name)


def key_of(header: str | None) -> str:
    """The idempotency key; as an HTTP structured string it may stand in quotes.

    Raises:
        Problem: there is none, or it is no key.
    """
    if header is None:
        text = "a command needs the header Idempotency-Key: a UUID, or any other name that you use for it alone"
        raise Problem(Code.MISSING_FIELD, text, field="Idempotency-Key")
    quoted = len(header) > 2 and header[0] == header[-1] == '"'
    key = header[1:-1] if quoted else header
    if not _pattern(KEY_PATTERN).fullmatch(key):
        raise _wrong("Idempotency-Key", "1 to 255 printable ASCII characters without blanks")
    return key


# ---- commands ----------------------------------------------------------------------------------------------------


def order_of(account: int, instrument: int, tick_micros: int, body: Mapping[str, Any]) -> orders_pb2.NewOrder:
    """The order that a checked body asks for.

    Raises:
        Problem: a price is no multiple of the tick, or beyond what the exchange takes.
    """
    said = {**_DEFAULTS, **body}
    values: dict[str, Any] = {"account": account, "instrument": instrument}
    for field in fields_of(new_order()):
        if field.name == "instrument" or field.name not in said:
            continue
        values[field.source] = _input(field, said[field.name], tick_micros)
    values["flags"] = sum(bit for name, bit in FLAGS.items() if said.get(name))
    return orders_pb2.NewOrder(**values)


def _input(field: Field, value: Any, tick_micros: int) -> int:
    match field.kind:
        case Kind.PRICE:
            return price_ticks(value, tick_micros, field.name)
        case Kind.WORD:
            return next(number for number, word in words_of(field.descriptor.enum_type).items() if word == value)
        case Kind.DIGITS:
            signed = field.descriptor.type == field.descriptor.TYPE_SFIXED64
            return min(int(value), I64_MAX) if signed else int(value)
        case _:
            return int(value)


def price_ticks(price: str, tick_micros: int, name: str) -> int:
    """A checked price in ticks.

    Raises:
        Problem: the instrument has no such price.
    """
    ticks = ticks_of(price, tick_micros)
    if ticks is None:
        text = f"{name} {price} is no multiple of the instrument's tick of {tick_micros} millionths"
        raise refused(Code.BAD_PRICE, text, field=f"/{name}")
    if ticks > MAX_PRICE_TICKS:
        raise refused(Code.PRICE_OUT_OF_RANGE, f"{name} {price} is beyond {MAX_PRICE_TICKS} ticks", field=f"/{name}")
    return ticks


Resolve = Callable[[str], tuple[int, int]]
"""Number and tick of an instrument by symbol or number."""
