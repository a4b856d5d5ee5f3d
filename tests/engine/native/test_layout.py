"""The core's structs and numbers are those of the stream."""

from enum import IntEnum, IntFlag

import pytest

from lockstep.engine.native import _core
from lockstep.stream import codes, records

RECORDS = sorted({record for record, *_ in _core.layouts()})
GROUPS = sorted({group for group, *_ in _core.codes()})


def test_every_record_layout_is_known_to_the_core() -> None:
    overlays = {"COMMAND", "ADMIN", "SETTING", "LIMITS", "RULES", "MARKET", "TRANSFER", "CONTROL"}
    events = {"EVENT", "ORDER_EVENT", "CONTROL_EVENT", "DEFINITION_EVENT", "SETTING_EVENT"}
    assert set(RECORDS) == overlays | events


@pytest.mark.parametrize("record", RECORDS)
def test_each_field_has_the_same_name_place_width_and_sign_as_the_dtype(record: str) -> None:
    dtype = getattr(records, record)
    expected = {
        (name, offset, field.itemsize, field.kind == "i")
        for name, (field, offset, *_) in dtype.fields.items()
        if not name.startswith("_reserved")
    }
    got = {
        (name, offset, size, signed and name != "name")
        for owner, name, offset, size, signed in _core.layouts()
        if owner == record
    }
    assert got == expected


@pytest.mark.parametrize("group", GROUPS)
def test_each_number_is_that_of_the_python_enum(group: str) -> None:
    enum: type[IntEnum | IntFlag] = codes.Code if group == "Code" else getattr(records, group)
    got = {name: value for owner, name, value in _core.codes() if owner == group}
    # The gateway's and the sequencer's codes never come from an engine.
    expected = {member.name: int(member) for member in enum if group != "Code" or not 0 < member < 3000}
    assert got == expected
