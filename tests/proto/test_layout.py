"""What the schema says is what stands on disks and wires: places, widths and numbers do not change unnoticed."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import numpy as np

from lockstep.stream import enums, layouts, records
from lockstep.v1 import common_pb2, orders_pb2

GOLDEN = Path(__file__).with_name("layout.txt")


def _lines() -> Iterator[str]:
    for name, layout in vars(layouts).items():
        if isinstance(layout, np.dtype):
            for field, (kind, offset, *_) in (layout.fields or {}).items():
                if not field.startswith("_reserved"):
                    yield f"{name}.{field} {offset} {kind.str}"
            yield f"{name} {layout.itemsize}"
    for name, enum in vars(enums).items():
        if isinstance(enum, type) and issubclass(enum, Enum) and enum.__module__ == enums.__name__:
            yield from (f"{name}.{member.name} {int(member.value)}" for member in enum)
    for message in (
        orders_pb2.NewOrder, orders_pb2.CommandBatch, orders_pb2.ReportBatch, common_pb2.ExecutionReport,
    ):  # fmt: skip
        yield from (
            f"{message.DESCRIPTOR.full_name}.{field.name} {field.number}" for field in message.DESCRIPTOR.fields
        )


def test_no_place_width_or_number_changes_unnoticed() -> None:
    """A new field or value needs a new line there; a line that changes needs a new LAYOUT_VERSION."""
    assert records.LAYOUT_VERSION == 1
    golden, found = set(GOLDEN.read_text().splitlines()), set(_lines())
    assert (sorted(golden - found), sorted(found - golden)) == ([], [])
