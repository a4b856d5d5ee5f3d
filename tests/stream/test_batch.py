"""A stamped batch survives as its bytes, and damage to any bit of them is noticed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.stream import batch as module
from lockstep.stream.batch import (
    BATCH_VERSION,
    HEADER_SIZE,
    MAX_BATCH_COMMANDS,
    LayoutError,
    decode_batch,
    seqs_of,
    stamp_batch,
)
from lockstep.stream.records import COMMAND, LAYOUT_VERSION, Commands

U64 = st.integers(0, 2**64 - 1)


def commands(count: int, noise: bytes = bytes(range(256)) * 4) -> Commands:
    return np.frombuffer(noise, dtype=COMMAND, count=count)


@settings(deadline=None)
@given(
    count=st.integers(0, 5),
    epoch=U64,
    first_seq=U64,
    timestamp_ns=st.integers(-(2**63), 2**63 - 1),
    noise=st.binary(min_size=640, max_size=640),
)
def test_every_batch_is_decoded_as_it_was_stamped(
    count: int, epoch: int, first_seq: int, timestamp_ns: int, noise: bytes
) -> None:
    records = commands(count, noise)
    made = stamp_batch(records, epoch=epoch, first_seq=first_seq, timestamp_ns=timestamp_ns)
    for got in (made, decode_batch(made.raw)):
        assert (got.epoch, got.first_seq, got.timestamp_ns, got.count) == (epoch, first_seq, timestamp_ns, count)
        assert got.records.tobytes() == records.tobytes()
    assert decode_batch(made.raw) == made
    if count:
        assert seqs_of(made.raw) == (made.first_seq, made.last_seq)


def test_decoding_keeps_the_bytes_that_came_and_copies_no_record() -> None:
    raw = stamp_batch(commands(3), epoch=1, first_seq=1, timestamp_ns=1).raw
    got = decode_batch(raw)
    assert got.raw is raw
    assert np.shares_memory(got.records, np.frombuffer(raw, np.uint8))
    assert not got.records.flags.writeable


def test_what_is_stamped_does_not_change_with_the_records_that_it_was_made_of() -> None:
    records = commands(1).copy()
    made = stamp_batch(records, epoch=1, first_seq=1, timestamp_ns=1)
    before = made.records.tobytes()
    records["kind"] = 2
    assert made.records.tobytes() == before


def test_each_flipped_bit_is_noticed() -> None:
    raw = stamp_batch(commands(2), epoch=7, first_seq=100, timestamp_ns=5).raw
    for bit in range(8 * len(raw)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LayoutError, match=r"\w"):
            decode_batch(bytes(damaged))


@pytest.mark.parametrize("length", [0, 1, HEADER_SIZE - 1])
def test_a_batch_shorter_than_its_header_is_refused(length: int) -> None:
    for read in (decode_batch, seqs_of):
        with pytest.raises(LayoutError, match="at least 40 bytes"):
            read(bytes(length))


def test_a_batch_that_was_cut_short_or_has_more_behind_it_is_refused() -> None:
    raw = stamp_batch(commands(3), epoch=1, first_seq=1, timestamp_ns=1).raw
    for wrong in (*(raw[:end] for end in range(HEADER_SIZE, len(raw))), raw + bytes(1), raw + bytes(128)):
        with pytest.raises(LayoutError, match="batch says 3 commands of 128 bytes in"):
            decode_batch(wrong)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("BATCH_VERSION", 2, "batch version is 2, of its commands 1; this process speaks 1 and 1"),
        ("LAYOUT_VERSION", 2, "batch version is 1, of its commands 2; this process speaks 1 and 1"),
        ("BATCH_MAGIC", 0x5453_4B4C, "batch magic is 0x54534b4c, not 0x42534b4c"),
    ],
)
def test_a_batch_of_another_version_and_what_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: int, text: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, name, value)
        raw = stamp_batch(commands(1), epoch=1, first_seq=1, timestamp_ns=1).raw
    with pytest.raises(LayoutError, match=text):
        decode_batch(raw)


def test_its_bytes_do_not_change_unnoticed() -> None:
    """They are on disks: another layout needs another `BATCH_VERSION`."""
    stamp: dict[str, Any] = {"epoch": 0x0102, "first_seq": 0x0304, "timestamp_ns": -2}
    raw = stamp_batch(commands(1), **stamp).raw
    assert raw[:4] == b"LKSB"
    assert raw[8:HEADER_SIZE].hex() == "010001000100000002010000000000000403000000000000feffffffffffffff"
    assert raw[HEADER_SIZE:] == commands(1).tobytes()
    assert (BATCH_VERSION, LAYOUT_VERSION) == (1, 1)


def test_last_seq_of_an_empty_batch_is_the_one_before_its_first() -> None:
    assert stamp_batch(commands(0), epoch=1, first_seq=10, timestamp_ns=1).last_seq == 9
    assert stamp_batch(commands(4), epoch=1, first_seq=10, timestamp_ns=1).last_seq == 13


def test_the_largest_batch_fits_one_message_of_an_8_mib_term() -> None:
    assert 128 + HEADER_SIZE + MAX_BATCH_COMMANDS * COMMAND.itemsize <= (8 << 20) // 8
