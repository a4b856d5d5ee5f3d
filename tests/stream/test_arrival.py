"""What a link lets in: one type of frame, from one sender, with fields that can be computed with."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lockstep.stream.arrival import (
    MAX_EPOCH,
    MAX_INCARNATION,
    MAX_LINK,
    MAX_SEQ,
    decode_from,
    fault_of,
    has_administration,
)
from lockstep.stream.frames import ACK_ENTRY, Frame, FrameError, FrameFlag, FrameType, encode_frame, frame
from lockstep.stream.records import COMMAND, EVENT, CommandKind

GATEWAY = 3
OWN = (0x7FFF0000 + GATEWAY) << 32 | 17
ORDERS = [kind for kind in CommandKind if kind < 64]
SESSIONS = [CommandKind.SESSION_OPENED, CommandKind.SESSION_CLOSED]
ADMIN = [kind for kind in CommandKind if 64 <= kind < 192 and kind not in SESSIONS]
CONTROL = [kind for kind in CommandKind if kind >= 192]


def submit(*kinds: int, flags: int = 0, session: int = 5 << 32, gateway: int = GATEWAY) -> Frame:
    records = np.zeros(len(kinds), dtype=COMMAND)
    records["kind"], records["gateway"], records["session_id"] = kinds, gateway, session
    return frame(FrameType.SUBMIT, sender=GATEWAY, epoch=4, first_seq=1, records=records, aux=9, flags=flags)


def receipt(**fields: Any) -> Frame:
    incarnation: NDArray[Any] = np.zeros(8, dtype=np.uint8)
    made = frame(FrameType.RECEIPT, sender=1, epoch=4, first_seq=1, timestamp_ns=4, aux=100, records=incarnation)
    return replace(made, **fields)


def ack(*seqs: int, first_seq: int = 9) -> Frame:
    entries = np.zeros(len(seqs), dtype=ACK_ENTRY)
    entries["last_seq"] = seqs
    return frame(FrameType.ACK, sender=1, epoch=4, first_seq=first_seq, records=entries)


def stream(**fields: Any) -> Frame:
    records = np.zeros(2, dtype=COMMAND)
    return replace(frame(FrameType.STREAM, sender=1, epoch=4, first_seq=7, records=records, aux=4), **fields)


def release(*seqs: int, **fields: Any) -> Frame:
    events = np.zeros(len(seqs), dtype=EVENT)
    events["seq"] = seqs
    last = max(seqs, default=6)
    made = frame(FrameType.RELEASE, sender=1, epoch=4, first_seq=7, records=events, aux=last, timestamp_ns=3)
    return replace(made, **fields)


@pytest.mark.parametrize("kind", ORDERS)
def test_a_gateway_sends_orders(kind: int) -> None:
    assert fault_of(submit(kind), FrameType.SUBMIT, GATEWAY) == ""


@pytest.mark.parametrize("flags", [0, FrameFlag.ADMINISTRATIVE, 0xFFFF])
@pytest.mark.parametrize("kind", [*CONTROL, 0, 6, 63, 79, 191, 196, 255])
def test_control_records_and_unknown_kinds_are_not_a_gateways_to_send(kind: int, flags: int) -> None:
    assert f"kind {kind}" in fault_of(submit(1, kind, 2, flags=flags), FrameType.SUBMIT, GATEWAY)


@pytest.mark.parametrize("kind", ADMIN)
def test_administration_needs_the_gateways_word_for_an_admin_principal(kind: int) -> None:
    assert "administrative" in fault_of(submit(1, kind), FrameType.SUBMIT, GATEWAY)
    assert fault_of(submit(1, kind, flags=FrameFlag.ADMINISTRATIVE), FrameType.SUBMIT, GATEWAY) == ""
    assert has_administration(submit(1, kind).records)


@pytest.mark.parametrize("kind", SESSIONS)
def test_a_gateway_speaks_of_sessions_in_its_own_session_only(kind: int) -> None:
    assert fault_of(submit(kind, session=OWN), FrameType.SUBMIT, GATEWAY) == ""
    for foreign in (5 << 32, OWN + (1 << 32), 2**64 - 1):
        assert "session" in fault_of(submit(kind, session=foreign), FrameType.SUBMIT, GATEWAY)


@pytest.mark.parametrize("sender", [0, 1, 2, 4, 63, 65535])
def test_a_frame_is_its_links_own(sender: int) -> None:
    for made in (submit(1), receipt(), ack(9), stream(), release(7)):
        assert "in the name of" in fault_of(replace(made, sender=sender + 100), made.type, sender)
    assert "another gateway" in fault_of(submit(1, gateway=sender), FrameType.SUBMIT, GATEWAY)


def test_a_link_carries_one_type_of_frame() -> None:
    frames = [submit(1), receipt(), ack(9), stream(), release(7)]
    for made in frames:
        for other in frames:
            assert bool(fault_of(made, other.type, made.sender)) is (made is not other)


ODD = [
    *(replace(made, epoch=MAX_EPOCH + 1) for made in (submit(1), receipt(), ack(9), stream(), release(7))),
    *(replace(made, first_seq=MAX_SEQ + 1) for made in (submit(1), receipt(), ack(9), stream(), release(7))),
    *(replace(made, committed_seq=MAX_SEQ + 1) for made in (submit(1), receipt(), ack(9), stream(), release(7))),
    *(replace(made, timestamp_ns=-1) for made in (submit(1), receipt(), ack(9), stream(), release(7))),
    *(replace(made, first_seq=0) for made in (submit(1), receipt(), stream(), release(7))),
    replace(submit(1), aux=0),
    replace(submit(1), aux=MAX_INCARNATION + 1),
    replace(submit(1), aux=2**64 - 1),
    replace(submit(1), timestamp_ns=2**63 - 1),
    receipt(aux=2**63),
    receipt(timestamp_ns=5),
    receipt(epoch=2**62 - 1, timestamp_ns=2**63 - 1),
    *(replace(receipt(), records=np.zeros(size, dtype=np.uint8)) for size in (0, 3, 16)),
    receipt(first_seq=MAX_LINK + 1),
    ack(10),
    ack(6, 5),
    ack(2**64 - 1),
    ack(0),
    stream(aux=3),
    stream(aux=2**64 - 1),
    release(6, aux=7),
    release(10, aux=9),
    release(8, 7),
    # Every command yields an event: what is covered without one would pass unseen.
    release(aux=7),
    release(aux=MAX_SEQ),
    release(7, aux=8),
    release(7, 9),
    release(8, 9),
    release(7, aux=5),
    release(7, aux=2**64 - 1),
    release(7, timestamp_ns=2**62),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd.type.name}-{odd.epoch}-{odd.first_seq}-{odd.aux}")
def test_a_field_out_of_bounds_is_refused_with_a_reason(odd: Frame) -> None:
    with pytest.raises(FrameError, match=r"\w"):
        decode_from(encode_frame(odd), odd.type, odd.sender)


def test_what_honest_processes_send_passes() -> None:
    honest = [
        submit(1, 2),
        receipt(),
        ack(),
        ack(3, 9),
        ack(5, 5),
        stream(),
        release(),
        release(7, 7, 8, 9, 9),
        release(aux=6),
    ]
    for made in honest:
        assert decode_from(encode_frame(made), made.type, made.sender).epoch == 4
