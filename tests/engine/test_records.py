"""The reference engine's records have the names and the places of the stream's layouts."""

from collections.abc import Callable

import numpy as np
import pytest

from lockstep.engine.reference import records
from lockstep.engine.reference.output import Output
from lockstep.stream.records import (
    COMMAND,
    CONTROL_EVENT,
    DEFINITION_EVENT,
    EVENT,
    KINDS,
    ORDER_EVENT,
    SETTING_EVENT,
    CommandKind,
)

Layout = np.dtype[np.void]
EVENTS: list[tuple[Callable[..., None], Layout]] = [
    (records.event, EVENT),
    (records.order_event, ORDER_EVENT),
    (records.control_event, CONTROL_EVENT),
    (records.definition_event, DEFINITION_EVENT),
    (records.setting_event, SETTING_EVENT),
]


def _distinct(layout: Layout) -> dict[str, int | bytes]:
    """A value for each field that no other one has."""
    names = [name for name in layout.names or () if not name.startswith("_reserved")]
    return {name: b"ACME" if layout[name].kind == "S" else at for at, name in enumerate(names, 1)}


@pytest.mark.parametrize("kind", CommandKind)
def test_each_field_of_a_command_is_read_from_its_place(kind: CommandKind) -> None:
    layout = KINDS[kind][0]
    values = {**_distinct(layout), "kind": int(kind)}
    row = np.zeros(2, dtype=layout)
    for name, value in values.items():
        row[name][1] = value
    read = records.read_command(row.tobytes(), layout.itemsize)._asdict()
    assert {name: value.rstrip(b"\0") if isinstance(value, bytes) else value for name, value in read.items()} == values


def test_a_command_of_an_unknown_kind_is_read_as_an_order() -> None:
    row = np.zeros(1, dtype=COMMAND)
    row["kind"], row["order_id"] = 99, 7
    read = records.read_command(row.tobytes(), 0)
    assert isinstance(read, records.OrderCommand)
    assert (read.kind, read.order_id) == (99, 7)


@pytest.mark.parametrize(("write", "layout"), EVENTS)
def test_each_field_of_an_event_is_written_to_its_place(write: Callable[..., None], layout: Layout) -> None:
    values = _distinct(layout)
    of_output = ("seq", "index", "timestamp_ns")
    out = Output(now_ns=int(values["timestamp_ns"]))
    out.begin(int(values["seq"]))
    for _ in range(int(values["index"]) + 1):
        write(out, **{name: value for name, value in values.items() if name not in of_output})
    written = np.frombuffer(out.records[-1], dtype=layout)
    assert {name: written[name][0].item() for name in values} == values
    reserved = [name for name in layout.names or () if name not in values]
    assert not any(written[name].tobytes().strip(b"\0") for name in reserved)
