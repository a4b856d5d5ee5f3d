"""Frames as RFC 6455 has them: its examples, and every length of length."""

import struct

import pytest

from lockstep.edge.http.frames import TEXT, close_frame, frame_of


def test_frames_are_those_of_the_standard() -> None:
    assert frame_of(b"Hello", TEXT) == bytes.fromhex("810548656c6c6f")
    assert frame_of(bytes(256)) == bytes.fromhex("827e0100") + bytes(256)
    assert frame_of(bytes(65_536)) == bytes.fromhex("827f0000000000010000") + bytes(65_536)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_every_length_says_what_follows(size: int) -> None:
    raw = frame_of(bytes(size))
    short = raw[1]
    form = {126: ">H", 127: ">Q"}.get(short)
    said = short if form is None else struct.unpack_from(form, raw, 2)[0]
    assert said == size
    assert len(raw) == size + {126: 4, 127: 10}.get(short, 2)


def test_a_reason_is_cut_to_what_a_control_frame_holds_and_stays_text() -> None:
    raw = close_frame(4008, "ä" * 200)
    assert raw[0] == 0x88
    assert raw[1] <= 125
    assert struct.unpack(">H", raw[2:4])[0] == 4008
    assert set(raw[4:].decode()) == {"ä"}
