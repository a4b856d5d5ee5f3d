"""Frames survive the wire, and damage to any byte of them is noticed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.stream.frames import (
    ACK_ENTRY,
    HEADER_SIZE,
    MAX_FRAME_COMMANDS,
    FrameError,
    FrameType,
    decode_frame,
    encode_frame,
    frame,
)
from lockstep.stream.records import COMMAND, EVENT

U64 = st.integers(0, 2**64 - 1)
PAYLOADS = {
    FrameType.SUBMIT: COMMAND,
    FrameType.STREAM: COMMAND,
    FrameType.ACK: ACK_ENTRY,
    FrameType.RELEASE: EVENT,
    FrameType.RECEIPT: np.dtype("u1"),
}


@given(
    type=st.sampled_from(list(FrameType)),
    count=st.integers(0, 5),
    epoch=U64,
    first_seq=U64,
    aux=U64,
    committed=U64,
    timestamp_ns=st.integers(-(2**63), 2**63 - 1),
    sender=st.integers(0, 2**16 - 1),
    flags=st.integers(0, 2**16 - 1),
    noise=st.binary(min_size=800, max_size=800),
)
def test_every_frame_is_decoded_as_it_was_encoded(
    type: FrameType, count: int, epoch: int, first_seq: int, aux: int, committed: int, timestamp_ns: int,
    sender: int, flags: int, noise: bytes,
) -> None:  # fmt: skip
    records = np.frombuffer(noise, dtype=PAYLOADS[type], count=count)
    sent = frame(
        type, sender=sender, epoch=epoch, first_seq=first_seq, records=records, timestamp_ns=timestamp_ns,
        committed_seq=committed, aux=aux, flags=flags,
    )  # fmt: skip
    got = decode_frame(encode_frame(sent))
    assert got.records.tobytes() == records.tobytes()
    assert (got.type, got.sender, got.epoch, got.first_seq, got.aux, got.flags, got.count) == (
        type, sender, epoch, first_seq, aux, flags, count,
    )  # fmt: skip
    assert (got.timestamp_ns, got.committed_seq) == (timestamp_ns, committed)


def test_a_flipped_bit_anywhere_is_noticed() -> None:
    raw = encode_frame(
        frame(FrameType.STREAM, sender=1, epoch=7, first_seq=100, records=np.zeros(2, COMMAND), timestamp_ns=5)
    )
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 0x10
        with pytest.raises(FrameError):
            decode_frame(bytes(damaged))


@pytest.mark.parametrize("length", [0, 1, HEADER_SIZE - 1])
def test_a_frame_shorter_than_its_header_is_refused(length: int) -> None:
    with pytest.raises(FrameError, match="at least 64 bytes"):
        decode_frame(bytes(length))


def test_a_truncated_frame_is_refused() -> None:
    raw = encode_frame(frame(FrameType.STREAM, sender=1, epoch=1, first_seq=1, records=np.zeros(3, COMMAND)))
    with pytest.raises(FrameError, match="payload bytes"):
        decode_frame(raw[:-128])


def test_last_seq_of_an_empty_frame_is_the_one_before_its_first() -> None:
    assert frame(FrameType.STREAM, sender=1, epoch=1, first_seq=10).last_seq == 9
    assert frame(FrameType.STREAM, sender=1, epoch=1, first_seq=10, records=np.zeros(4, COMMAND)).last_seq == 13


def test_the_largest_frame_fits_one_message_of_an_8_mib_term() -> None:
    assert HEADER_SIZE + MAX_FRAME_COMMANDS * EVENT.itemsize <= (8 << 20) // 8
