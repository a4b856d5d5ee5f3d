"""Records as JSON: every field of every kind, and the same bytes again, from the JSON alone."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.ops.operator.record_json import (
    batch_from_json,
    batch_to_json,
    command_from_json,
    command_layout,
    command_to_json,
    event_from_json,
    event_layout,
    event_to_json,
)
from lockstep.ops.operator.record_text import describe_command
from lockstep.stream.batch import stamp_batch
from lockstep.stream.records import ADMIN, COMMAND, EVENT, CommandKind, EventKind

COMMAND_KINDS = [int(kind) for kind in CommandKind]
EVENT_KINDS = [int(kind) for kind in EventKind]
assert EVENT.fields is not None
EVENT_KIND_AT: int = EVENT.fields["kind"][1]
KIND_AT = {COMMAND: 0, EVENT: EVENT_KIND_AT}


def record(layout: np.dtype, kind: int, raw: bytes) -> np.void:
    whole = bytearray(raw.ljust(layout.itemsize, b"\0")[: layout.itemsize])
    whole[KIND_AT[layout]] = kind
    return np.frombuffer(bytes(whole), layout)[0]


def as_others_read(fields: object) -> dict:
    """Through JSON as a reader sees it that keeps every number as a double."""
    return json.loads(json.dumps(fields), parse_int=lambda digits: int(float(digits)))


@pytest.mark.parametrize("kind", [*COMMAND_KINDS, 0, 63, 191, 255])
@settings(max_examples=40, deadline=None)
@given(raw=st.binary(min_size=128, max_size=128))
def test_any_command_of_any_kind_comes_back_byte_for_byte(kind: int, raw: bytes) -> None:
    made = record(COMMAND, kind, raw)
    assert command_from_json(as_others_read(command_to_json(made))) == made.tobytes()


@pytest.mark.parametrize("kind", [*EVENT_KINDS, 0, 63, 191, 255])
@settings(max_examples=40, deadline=None)
@given(raw=st.binary(min_size=160, max_size=160))
def test_any_event_of_any_kind_comes_back_byte_for_byte(kind: int, raw: bytes) -> None:
    made = record(EVENT, kind, raw)
    assert event_from_json(as_others_read(event_to_json(made))) == made.tobytes()


@pytest.mark.parametrize("fill", [0, 1, 127, 128, 255])
def test_the_ends_of_every_field_come_back(fill: int) -> None:
    for kind in COMMAND_KINDS:
        made = record(COMMAND, kind, bytes([fill]) * 128)
        assert command_from_json(as_others_read(command_to_json(made))) == made.tobytes()
    for kind in EVENT_KINDS:
        made = record(EVENT, kind, bytes([fill]) * 160)
        assert event_from_json(as_others_read(event_to_json(made))) == made.tobytes()


def test_every_named_field_of_a_layout_is_there_zeros_included() -> None:
    for kind in COMMAND_KINDS:
        found = command_to_json(record(COMMAND, kind, b""))
        assert list(found) == [name for name in command_layout(kind).names or () if not name.startswith("_")]
        assert found["kind"] == CommandKind(kind).name
    for kind in EVENT_KINDS:
        found = event_to_json(record(EVENT, kind, b""))
        assert list(found) == [name for name in event_layout(kind).names or () if not name.startswith("_")]
        assert found["kind"] == EventKind(kind).name


def test_an_order_says_all_its_terms_in_words_and_exact_numbers() -> None:
    made = np.zeros(1, COMMAND)[0]
    for name, value in {
        "kind": 1, "side": 2, "order_type": 4, "tif": 5, "stp": 3, "flags": 3, "gateway": 2, "session_id": 2**64 - 1,
        "session_no": 2**53 + 1, "account": 7, "instrument": 9, "client_order_id": 2**63, "price_ticks": 101,
        "stop_price_ticks": 99, "quantity_lots": 5, "display_lots": 2, "min_lots": 1,
        "expire_ns": 1_800_000_000_000_000_001,
        "trail_ticks": 4, "received_ns": 1_700_000_000_000_000_001, "tag": 2**64 - 2,
    }.items():  # fmt: skip
        made[name] = value
    assert command_to_json(made) == {
        "kind": "NEW_ORDER", "side": "SELL", "order_type": "STOP_LIMIT", "tif": "GTD", "stp": "CANCEL_BOTH",
        "flags": ["POST_ONLY", "HIDDEN"], "gateway": 2, "session_id": "18446744073709551615",
        "session_no": "9007199254740993", "account": 7, "instrument": 9, "client_order_id": "9223372036854775808",
        "order_id": "0", "price_ticks": "101", "stop_price_ticks": "99", "quantity_lots": "5", "display_lots": "2",
        "min_lots": "1", "expire_ns": "1800000000000000001", "trail_ticks": "4", "parent_id": "0",
        "received_ns": "1700000000000000001", "tag": "18446744073709551614",
    }  # fmt: skip
    text = describe_command(made)
    for part in ("cancel_both", "post_only", "hidden", "display_lots=2", "min_lots=1", "expire_ns=1800000000000000001",
                 "trail_ticks=4"):  # fmt: skip
        assert part in text


def test_words_depend_on_the_kind() -> None:
    kill = np.zeros(1, COMMAND)[0]
    kill["kind"], kill["account"], kill["flags"] = CommandKind.MASS_CANCEL, 3, 1
    assert command_to_json(kill)["flags"] == ["BLOCK"]
    assert "block" in describe_command(kill)
    account = np.zeros(1, ADMIN)[0]
    account["kind"], account["flags"], account["name"] = CommandKind.DEFINE_ACCOUNT, 6, b"DESK"
    found = command_to_json(account)
    assert (found["flags"], found["name"]) == (["UNLIMITED_POSITIONS", "MARGIN"], "DESK")
    phase = record(COMMAND, CommandKind.SET_PHASE, bytes(48) + b"\x02\x03")
    assert (command_to_json(phase)["value"], command_to_json(phase)["next_value"]) == ("OPENING_AUCTION", "CONTINUOUS")
    refused = record(EVENT, EventKind.REJECTED, bytes(14) + (3002).to_bytes(2, "little"))
    assert event_to_json(refused)["code"] == "INSUFFICIENT_CASH"


def test_numbers_without_a_name_stay_numbers() -> None:
    made = record(COMMAND, 200, b"")
    assert command_to_json(made)["kind"] == 200
    order = record(COMMAND, 1, bytes([1, 9, 99, 0, 0, 0x83]))
    found = command_to_json(order)
    assert (found["side"], found["order_type"], found["flags"]) == (9, 99, 0x83)


def test_a_field_that_is_missing_wrong_or_unknown_is_not_guessed() -> None:
    good = command_to_json(record(COMMAND, 1, b""))
    with pytest.raises(KeyError):
        command_from_json({name: value for name, value in good.items() if name != "stp"})
    with pytest.raises(ValueError, match="no such fields in a NEW_ORDER: colour"):
        command_from_json(good | {"colour": 1})
    with pytest.raises(ValueError, match="BUYY"):
        command_from_json(good | {"side": "BUYY"})


def test_margin_index_and_breaker_say_their_own_figures_in_words() -> None:
    for kind, part in ((75, "initial_margin_ppm="), (76, "index_weight="), (77, "level1_ppm=")):
        made = record(COMMAND, kind, bytes(48) + b"\x05\0\0\0\0\0\0\0" * 8)
        assert part in describe_command(made)


@settings(max_examples=60, deadline=None)
@given(epoch=st.integers(0, 2**48), stamp=st.integers(-(2**63), 2**63 - 1))
def test_a_batch_is_the_journals_entry_again(epoch: int, stamp: int) -> None:
    records = np.zeros(2, COMMAND)
    records["kind"] = 1, 195
    made = stamp_batch(records, epoch=epoch, first_seq=9, timestamp_ns=stamp)
    fields = as_others_read(batch_to_json(made, None))
    raw = b"".join(command_from_json(as_others_read(command_to_json(row))) for row in records)
    assert batch_from_json(fields, np.frombuffer(raw, COMMAND)).raw == made.raw
