"""The OpenAPI 3.1 document of the door, from the operations and the protocol's descriptors. Pure.

`docs/generate.py` writes it into `openapi.json`, with the comments of `proto/` as descriptions; the door serves that
file. A test holds it current.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor

from lockstep.edge.rest.comments import comments_of
from lockstep.edge.rest.inputs import body_schema
from lockstep.edge.rest.operations import KEY_HEADER, KEY_PATTERN, OPERATIONS, PREFIX, Operation, Parameter
from lockstep.edge.rest.problems import PROBLEM_SCHEMA, TYPE
from lockstep.edge.rest.shapes import Field, Kind, fields_of, words_of
from lockstep.v1 import accounts_pb2, common_pb2, feed_pb2, orders_pb2

Comments = Mapping[str, str]
"""By full name of a message or field: what its .proto file says of it."""
Schema = dict[str, Any]

MESSAGES: Final[dict[str, Any]] = {
    "ExecutionReport": common_pb2.ExecutionReport.DESCRIPTOR,
    "EventId": common_pb2.EventId.DESCRIPTOR,
    "Order": orders_pb2.Order.DESCRIPTOR,
    "Account": accounts_pb2.Account.DESCRIPTOR,
    "Position": accounts_pb2.Position.DESCRIPTOR,
    "Instrument": common_pb2.Instrument.DESCRIPTOR,
    "Statistics": feed_pb2.Statistics.DESCRIPTOR,
    "InstrumentStatus": feed_pb2.InstrumentStatus.DESCRIPTOR,
    "BookLevel": feed_pb2.BookLevel.DESCRIPTOR,
    "TapeTrade": feed_pb2.TapeTrade.DESCRIPTOR,
    "Candle": feed_pb2.Candle.DESCRIPTOR,
}
"""Messages that are shown as they are."""
_DECIMAL: Final = {"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"}
_DIGITS: Final = {"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)$"}
_NEXT: Final = {"type": ["string", "null"], "description": "The cursor of the next page; null: this was the last one."}
_INTRODUCTION: Final = (
    "Orders, accounts and market data of a Lockstep exchange. Prices and money are decimal strings, exact. Every "
    "command has an Idempotency-Key: sent again with the same key, at any address and time, it is executed once and "
    "answered with its first outcome. See docs/rest.md."
)

_LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def text_of(protos: Iterable[str], version: str) -> str:
    """The document as it is kept: of the protocol as it is compiled, with the comments of its files."""
    comments: dict[str, str] = {}
    for text in protos:
        comments |= comments_of(text)
    return json.dumps(document(comments, version), indent=1, ensure_ascii=False) + "\n"


def document(comments: Comments, version: str) -> Schema:
    """All of it."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Lockstep", "version": version, "description": _INTRODUCTION, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in OPERATIONS)],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A client's token."}},
            "schemas": _schemas(comments),
        },
    }  # fmt: skip


def _operation(operation: Operation) -> Schema:
    said: Schema = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.text.split(". ")[0].split(": ")[0].rstrip("."),
        "description": operation.text,
        "parameters": [_parameter(one) for one in operation.parameters],
        "responses": _responses(operation),
    }
    if operation.keyed:
        said["parameters"].append(
            {
                "name": KEY_HEADER,
                "in": "header",
                "required": True,
                "schema": {"type": "string", "pattern": KEY_PATTERN},
                "description": "Names this command for ever: a UUID, for instance. The same key with the same request "
                "has the first outcome; with another one it is refused (422).",
            }
        )
    if operation.body:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{operation.body}"}}}
        said["requestBody"] = {"required": True, "content": content}
    return said


def _parameter(parameter: Parameter) -> Schema:
    schema = dict(parameter.schema)
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "schema": schema,
        "description": parameter.text,
    }


_STATUSES: Final = {
    "400": "The request is not as described here.",
    "401": "No token, or none of a client of this cluster.",
    "403": "The caller is not entitled to the account.",
    "404": "There is no such account, order or instrument.",
    "409": "The exchange refused it, in its present state; the code says why.",
    "410": "It was executed, once, but what was reported is kept no more.",
    "413": "The body is too long.",
    "415": "The body is no application/json.",
    "422": "The Idempotency-Key was used before, for another request.",
    "429": "Too many requests; nothing was executed. Try again after the pause.",
    "503": "No answer now. Send it again, a command with the same Idempotency-Key.",
}
_OF_COMMANDS: Final = ("410", "413", "415", "422")


def _responses(operation: Operation) -> Schema:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{operation.reply}"}}}
    headers: Schema = {
        "Lockstep-Epoch": {"required": True, "schema": {"type": "string"}, "description": "Epoch of the answer."},
        "Lockstep-Seq": {
            "required": True,
            "schema": {"type": "string"},
            "description": "The answer is as of this seq.",
        },
    }
    if operation.keyed:
        headers["Idempotency-Replayed"] = {
            "required": True,
            "schema": {"type": "string", "enum": ["true", "false"]},
            "description": "Whether the key had been used before.",
        }
    else:
        headers["ETag"] = {"required": True, "schema": {"type": "string"}, "description": "Of this content."}
    said: Schema = {str(operation.status): {"description": "Done.", "headers": headers, "content": content}}
    if not operation.keyed:
        said["304"] = {"description": "If-None-Match names what would be answered."}
    problem = {TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, text in _STATUSES.items():
        if operation.keyed or status not in _OF_COMMANDS:
            said[status] = {"description": text, "content": problem}
    said["default"] = {"description": "Anything else that is wrong.", "content": problem}
    return said


# ---- schemas -----------------------------------------------------------------------------------------------------


def _schemas(comments: Comments) -> Schema:
    made = {name: message_schema(message, comments) for name, message in MESSAGES.items()}
    bodies = dict.fromkeys(one.body for one in OPERATIONS if one.body)
    made |= {name: _described(body_schema(name), name, comments) for name in bodies}
    made |= _envelopes(made)
    made["Problem"] = PROBLEM_SCHEMA
    return made


def message_schema(message: Descriptor, comments: Comments) -> Schema:
    """A message as it is answered: every field is there."""
    properties = {field.name: _field_schema(field, comments) for field in fields_of(message)}
    said: Schema = {"type": "object", "required": list(properties), "properties": properties}
    text = comments.get(message.full_name)
    return {"description": text, **said} if text else said


def _field_schema(field: Field, comments: Comments) -> Schema:
    schema = _kind_schema(field)
    if field.repeated:
        schema = {"type": "array", "items": schema}
    text = comments.get(field.descriptor.full_name)
    return {**schema, "description": text} if text else schema


def _kind_schema(field: Field) -> Schema:
    match field.kind:
        case Kind.PRICE | Kind.FINE_PRICE | Kind.MONEY:
            return dict(_DECIMAL)
        case Kind.DIGITS:
            return dict(_DIGITS)
        case Kind.INTEGER:
            return {"type": "integer"}
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case Kind.WORD:
            return {"type": "string", "enum": list(words_of(field.descriptor.enum_type).values())}
        case Kind.MESSAGE:
            return {"$ref": f"#/components/schemas/{(field.descriptor.message_type or field.descriptor).name}"}
        case _:
            return {"type": "string"}


def _described(schema: Schema, name: str, comments: Comments) -> Schema:
    """A body with the comments of the message that it becomes."""
    sources = {field.name: field.descriptor.full_name for field in fields_of(orders_pb2.NewOrder.DESCRIPTOR)}
    properties = {}
    for field, one in schema["properties"].items():
        text = comments.get(sources.get(field, "")) if name == "NewOrder" else None
        properties[field] = {**one, "description": text} if text and "description" not in one else one
    return {**schema, "properties": properties}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(text: str, **properties: Schema) -> Schema:
    return {"type": "object", "description": text, "required": list(properties), "properties": properties}


def _page(of: str, rows: str) -> Schema:
    properties: dict[str, Schema] = {rows: {"type": "array", "items": _ref(of)}, "next_cursor": dict(_NEXT)}
    return _object(f"A page of {rows}.", **properties)


def _extended(base: Schema, text: str, **more: Schema) -> Schema:
    properties = {**base["properties"], **more}
    return {"type": "object", "description": text, "required": list(properties), "properties": properties}


def _envelopes(made: Schema) -> Schema:
    """What answers put around messages."""
    reports = {"type": "array", "items": _ref("ExecutionReport")}
    seq = {**_DIGITS, "description": "Where the outcome stands in the history; min_seq of a later read."}
    values = {name: dict(_DECIMAL) for name in ("price", "value", "unrealised")}
    totals = {
        name: dict(_DECIMAL) for name in ("cash", "reserved", "positions_value", "unrealised", "realised", "equity")
    }
    return {
        "CommandOutcome": _object(
            "What came of a command: the same for the same Idempotency-Key, for ever.",
            kind={**made["ExecutionReport"]["properties"]["kind"], "description": "Of the first report: the outcome."},
            order_id={**_DIGITS, "description": "The exchange's id of the order; 0: of none."},
            filled_lots={"type": "integer", "description": "Traded by this command."},
            leaves_lots={"type": "integer", "description": "Open after it."},
            seq=seq,
            reports={**reports, "description": "What was reported of the command, in order; the outcome first."},
        ),
        "OrderPage": _page("Order", "orders"),
        "OrderState": _extended(
            made["Order"],
            "An order, live or ended.",
            status={
                "type": "string",
                "enum": ["live", "filled", "canceled"],
                "description": "canceled: what had not traded was taken off, for whatever reason.",
            },
        ),
        "HistoryPage": _page("ExecutionReport", "reports"),
        "AccountPage": _page("Account", "accounts"),
        "PositionList": _object("Positions of an account.", positions={"type": "array", "items": _ref("Position")}),
        "PortfolioPosition": _extended(
            made["Position"], "A position at the last price of its instrument.", symbol={"type": "string"}, **values
        ),
        "Portfolio": _object(
            "An account at the last prices; equity is cash and the value of all positions.",
            account={"type": "integer"},
            **totals,
            positions={"type": "array", "items": _ref("PortfolioPosition")},
        ),
        **_market_envelopes(made),
    }


def _market_envelopes(made: Schema) -> Schema:
    return {
        "InstrumentPage": _page("Instrument", "instruments"),
        "InstrumentState": _extended(
            made["Instrument"], "An instrument, its status, and its stamped day.",
            status=_ref("InstrumentStatus"), day=_ref("Statistics"),
        ),
        "Book": _object(
            "Price levels, best first, after every event up to `seq`, at which the book changed last.",
            instrument={"type": "integer"},
            symbol={"type": "string"},
            seq=dict(_DIGITS),
            bids={"type": "array", "items": _ref("BookLevel")},
            asks={"type": "array", "items": _ref("BookLevel")},
        ),
        "TradePage": _page("TapeTrade", "trades"),
        "CandleList": _object(
            "Candles, oldest first.",
            instrument={"type": "integer"},
            seconds={"type": "integer"},
            since_seq={**_DIGITS, "description": "Trades before this seq are in no candle: the feed did not see them."},
            candles={"type": "array", "items": _ref("Candle")},
        ),
        "Cluster": _object(
            "Where the cluster stands, as this door has it.",
            serving={"type": "boolean", "description": "Whether this door has market data."},
            epoch=dict(_DIGITS),
            seq=dict(_DIGITS),
            timestamp_ns={**_DIGITS, "description": "Stamped time of that seq."},
            primary={"type": "integer", "description": "Engine that releases events; 0: not known."},
            instruments={"type": "integer", "description": "How many there are."},
            gateways={"type": "integer", "description": "How many the cluster has."},
        ),
    }  # fmt: skip
