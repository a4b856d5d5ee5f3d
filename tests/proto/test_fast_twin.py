"""The fast twin of the columnar messages has the same field numbers and, field by field, the same bytes."""

from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message

from lockstep.v1 import orders_pb2
from lockstep.wire.v1 import columns_pb2

PAIRS = [
    (orders_pb2.CommandBatch, columns_pb2.CommandBatch),
    (orders_pb2.ReportBatch, columns_pb2.ReportBatch),
    (orders_pb2.SessionRequest, columns_pb2.SessionRequest),
    (orders_pb2.SessionResponse, columns_pb2.SessionResponse),
]
VARINT = {"uint32", "enum"}


@pytest.mark.parametrize(("public", "twin"), PAIRS[2:])
def test_twin_has_the_same_fields(public: type[Message], twin: type[Message]) -> None:
    assert {field.name: field.number for field in public.DESCRIPTOR.fields} == {
        field.name: field.number for field in twin.DESCRIPTOR.fields
    }


@pytest.mark.parametrize(("public", "twin"), PAIRS[:2])
def test_columns_are_the_same_bytes_in_both_directions(public: type[Message], twin: type[Message]) -> None:
    rng = np.random.default_rng(7)
    rows = 5
    message: Any = public()
    fast: Any = twin()
    message.count = fast.count = rows
    for field in public.DESCRIPTOR.fields:
        if not field.is_repeated:
            continue
        name = field.name
        values: np.ndarray
        if field.type in (field.TYPE_ENUM, field.TYPE_UINT32):
            legal = list(field.enum_type.values_by_number) if field.enum_type else list(range(128))
            values = rng.choice([number for number in legal if number < 128], rows).astype("u1")
        elif field.type == field.TYPE_FIXED32:
            values = rng.integers(0, 2**32, rows, dtype="u4")
        elif field.type == field.TYPE_FIXED64:
            values = rng.integers(0, 2**64, rows, dtype="u8")
        else:
            assert field.type == field.TYPE_SFIXED64
            values = rng.integers(-(2**63), 2**63, rows, dtype="i8")
        getattr(message, name).extend(values.tolist())
        setattr(fast, name, values.tobytes())
    assert message.SerializeToString(deterministic=True) == fast.SerializeToString(deterministic=True)
    assert public.FromString(fast.SerializeToString()) == message
    assert twin.FromString(message.SerializeToString()) == fast


def test_requests_and_responses_of_both_kinds_read_each_other() -> None:
    hello = orders_pb2.SessionRequest(hello=orders_pb2.Hello(session_id=9, next_no=3, columnar=True))
    fast = columns_pb2.SessionRequest.FromString(hello.SerializeToString())
    assert fast.WhichOneof("message") == "hello"
    assert orders_pb2.Hello.FromString(fast.hello) == hello.hello
    refusal = columns_pb2.SessionResponse(refusal=orders_pb2.Refusal(from_no=4).SerializeToString())
    assert orders_pb2.SessionResponse.FromString(refusal.SerializeToString()).refusal.from_no == 4
