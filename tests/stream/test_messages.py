"""Messages survive the wire; damaged, shortened, foreign and newer ones are refused in words."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.stream import messages as module
from lockstep.stream.batch import Batch, LayoutError, stamp_batch
from lockstep.stream.messages import (
    ACK_ENTRY,
    LAYOUTS,
    PREFIX_SIZE,
    Ack,
    Message,
    Receipt,
    Release,
    Stream,
    Submit,
    decode,
    decode_any,
    encode,
)
from lockstep.stream.records import COMMAND, EVENT, LAYOUT_VERSION

NUMBERS = {"bool": st.booleans(), "u64": st.integers(0, 2**64 - 1)}
NOISE = bytes(range(256)) * 4
KINDS = list(LAYOUTS)


def payload(kind: type[Message], count: int, noise: bytes = NOISE) -> tuple[Any, ...]:
    """What a message of a kind carries behind its envelope."""
    layout = LAYOUTS[kind]
    if kind is Stream:
        records = np.frombuffer(noise, dtype=COMMAND, count=count)
        return (stamp_batch(records, epoch=3, first_seq=5, timestamp_ns=7),)
    return () if layout.payload is None else (np.frombuffer(noise, dtype=layout.payload, count=count),)


def example(kind: type[Message], count: int = 2) -> Message:
    """One whose fields are all different."""
    types = [type_ for _, type_ in LAYOUTS[kind].fields]
    values = [place % 2 == 1 if type_ == "bool" else 1000 + place for place, type_ in enumerate(types)]
    make: Any = kind
    return make(9, *values, *payload(kind, count))


def content(message: Message) -> tuple[Any, ...]:
    """Its fields; arrays and batches as bytes."""
    values = (getattr(message, one.name) for one in fields(message))
    return tuple(
        value.raw if isinstance(value, Batch) else value.tobytes() if isinstance(value, np.ndarray) else value
        for value in values
    )


@settings(deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS), count=st.integers(0, 5), sender=st.integers(0, 2**16 - 1))
def test_every_message_is_decoded_as_it_was_encoded(
    data: st.DataObject, kind: type[Message], count: int, sender: int
) -> None:
    values = [data.draw(NUMBERS[type_]) for _, type_ in LAYOUTS[kind].fields]
    noise = data.draw(st.binary(min_size=800, max_size=800))
    make: Any = kind
    sent: Message = make(sender, *values, *payload(kind, count, noise))
    for got in (decode(encode(sent), kind), decode_any(encode(sent))):
        assert content(got) == content(sent)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_names_each_field_of_the_message_in_order(kind: type[Message]) -> None:
    layout = LAYOUTS[kind]
    names = [one.name for one in fields(kind)]
    carried = {Submit: "records", Stream: "batch", Ack: "entries", Release: "events"}
    assert names == ["sender", *(name for name, _ in layout.fields), *([carried[kind]] if kind in carried else [])]
    assert layout.payload is {Submit: COMMAND, Ack: ACK_ENTRY, Release: EVENT}.get(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_each_flipped_bit_is_noticed(kind: type[Message]) -> None:
    raw = encode(example(kind, 1))
    for bit in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LayoutError, match=r"\w"):
            decode(bytes(damaged), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_that_was_cut_short_or_has_more_behind_it_is_refused(kind: type[Message]) -> None:
    raw = encode(example(kind, 1))
    for wrong in (*(raw[:end] for end in range(len(raw))), raw + bytes(1), raw + bytes(160)):
        with pytest.raises(LayoutError, match=r"at least \d+ bytes|payload bytes"):
            decode(wrong, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_of_another_version_or_kind_is_refused_by_its_name(kind: type[Message]) -> None:
    name, raw = LAYOUTS[kind].name, encode(example(kind))
    newer = bytearray(raw)
    newer[9] = 2
    with pytest.raises(LayoutError, match=f"{name} is of version 2, this process speaks 1"):
        decode(bytes(newer), kind)
    for other in KINDS:
        if other is not kind:
            with pytest.raises(LayoutError, match=f"{name} on a link for {LAYOUTS[other].name}"):
                decode(raw, other)
    unknown = bytearray(raw)
    unknown[8] = 77
    with pytest.raises(LayoutError, match="message of unknown kind 77 on a link for"):
        decode(bytes(unknown), kind)
    with pytest.raises(LayoutError, match="unknown message kind 77"):
        decode_any(bytes(unknown))


@pytest.mark.parametrize("raw", [b"", b"LKSM", bytes(8), bytes(PREFIX_SIZE), b"LKST" + bytes(60), bytes(4096)])
def test_bytes_that_are_no_message_are_refused(raw: bytes) -> None:
    with pytest.raises(LayoutError, match=r"\w"):
        decode_any(raw)
    for kind in KINDS:
        with pytest.raises(LayoutError, match=r"message (magic is|has at least 16 bytes)"):
            decode(raw, kind)


def recrc(raw: bytearray, end: int | None = None) -> bytes:
    """Under a CRC that is right."""
    raw[4:8] = crc32c(bytes(raw[8:end])).to_bytes(4, "little")
    return bytes(raw)


@pytest.mark.parametrize("kind", [Submit, Ack, Release])
def test_a_payload_that_is_not_whole_records_is_refused_under_a_right_crc_too(kind: type[Message]) -> None:
    raw = bytearray(encode(example(kind, 2))[:-1])
    raw[12:16] = (len(raw) - LAYOUTS[kind].size).to_bytes(4, "little")
    with pytest.raises(LayoutError, match="no records of"):
        decode(recrc(raw), kind)


def test_a_receipt_carries_nothing_behind_its_envelope() -> None:
    raw = bytearray(encode(example(Receipt)) + bytes(8))
    raw[12:16] = (8).to_bytes(4, "little")
    with pytest.raises(LayoutError, match="RECEIPT has 8 payload bytes, and carries none"):
        decode(recrc(raw), Receipt)


def test_what_is_no_batch_in_a_stream_is_refused() -> None:
    layout = LAYOUTS[Stream]
    raw = bytearray(encode(example(Stream))[: layout.size] + bytes(40))
    raw[12:16] = (40).to_bytes(4, "little")
    with pytest.raises(LayoutError, match="batch magic is 0x0"):
        decode(recrc(raw, layout.size), Stream)


def test_the_batch_in_a_stream_is_the_bytes_that_were_stamped() -> None:
    sent = example(Stream)
    assert isinstance(sent, Stream)
    raw = encode(sent)
    assert raw[LAYOUTS[Stream].size :] == sent.batch.raw
    for again in (replace(sent, sender=2), replace(sent, leader_epoch=99), replace(sent, committed_seq=98)):
        assert decode(encode(again), Stream).batch.raw == sent.batch.raw


def test_records_are_read_where_they_lie() -> None:
    raw = encode(example(Submit))
    got = decode(raw, Submit)
    assert np.shares_memory(got.records, np.frombuffer(raw, np.uint8))
    assert not got.records.flags.writeable


def test_the_layouts_do_not_change_unnoticed() -> None:
    """Another layout, of the records that a message carries as well, needs another version of each such message."""
    assert {layout.name: (layout.kind, layout.version, layout.size) for layout in LAYOUTS.values()} == {
        "SUBMIT": (1, 1, 49), "RECEIPT": (2, 1, 66), "STREAM": (3, 1, 32), "ACK": (4, 1, 50), "RELEASE": (5, 1, 56),
    }  # fmt: skip
    assert LAYOUT_VERSION == 1
    assert encode(example(Release, 0))[:PREFIX_SIZE].hex()[:8] == b"LKSM".hex()
    assert encode(example(Ack, 0))[8:].hex() == (
        "0401090000000000e803000000000000e903000000000000ea03000000000000eb030000000000000001"
    )


def test_an_envelope_has_no_holes() -> None:
    widths = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "bool": 1}
    for layout in LAYOUTS.values():
        assert layout.size == PREFIX_SIZE + sum(widths[type_] for _, type_ in layout.fields)
    assert sum(widths[type_] for _, type_ in module.PREFIX) == PREFIX_SIZE
