"""What a link lets in: one type of frame, from one sender, with fields that can be computed with."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lockstep.stream.arrival import (
    MAX_EPOCH,
    MAX_INCARNATION,
    MAX_LINK,
    MAX_SEQ,
    decode_from,
    fault_of,
    has_administration,
)
from lockstep.stream.batch import MAX_BATCH_COMMANDS, LayoutError, stamp_batch
from lockstep.stream.messages import ACK_ENTRY, Ack, Message, Receipt, Release, Stream, Submit, encode, name_of
from lockstep.stream.records import COMMAND, EVENT, CommandKind

GATEWAY = 3
OWN = (0x7FFF0000 + GATEWAY) << 32 | 17
ORDERS = [kind for kind in CommandKind if kind < 64]
SESSIONS = [CommandKind.SESSION_OPENED, CommandKind.SESSION_CLOSED]
ADMIN = [kind for kind in CommandKind if 64 <= kind < 192 and kind not in SESSIONS]
CONTROL = [kind for kind in CommandKind if kind >= 192]


def submit(*kinds: int, administrative: bool = False, session: int = 5 << 32, gateway: int = GATEWAY) -> Submit:
    records = np.zeros(len(kinds), dtype=COMMAND)
    records["kind"], records["gateway"], records["session_id"] = kinds, gateway, session
    return Submit(
        sender=GATEWAY, view_epoch=4, reign=0, first_link_no=1, incarnation=9, administrative=administrative,
        records=records,
    )  # fmt: skip


def receipt(**fields: Any) -> Receipt:
    made = Receipt(
        sender=1, epoch=4, reign=4, next_link_no=1, credit=100, committed_seq=0, incarnation=0, opens=False,
        rewinds=False,
    )  # fmt: skip
    return replace(made, **fields)


def ack(*seqs: int, **fields: Any) -> Ack:
    entries = np.zeros(len(seqs), dtype=ACK_ENTRY)
    entries["last_seq"] = seqs
    return replace(Ack(1, 4, 9, 0, 0, unjoined=False, rewinds=False, entries=entries), **fields)


def stream(**fields: Any) -> Stream:
    """`fields`: of the batch, or of what is around it."""
    stamp = {"epoch": 4, "first_seq": 7, "timestamp_ns": 0}
    stamp |= {name: fields.pop(name) for name in tuple(fields) if name in stamp}
    records = fields.pop("records", np.zeros(2, dtype=COMMAND))
    return replace(Stream(1, 4, 0, stamp_batch(records, **stamp)), **fields)


def release(*seqs: int, **fields: Any) -> Release:
    events = np.zeros(len(seqs), dtype=EVENT)
    events["seq"] = seqs
    return replace(Release(1, 4, 3, 7, max(seqs, default=6), 0, events), **fields)


@pytest.mark.parametrize("kind", ORDERS)
def test_a_gateway_sends_orders(kind: int) -> None:
    assert fault_of(submit(kind), Submit, GATEWAY) == ""


@pytest.mark.parametrize("administrative", [False, True])
@pytest.mark.parametrize("kind", [*CONTROL, 0, 6, 63, 90, 191, 196, 255])
def test_control_records_and_unknown_kinds_are_not_a_gateways_to_send(kind: int, administrative: bool) -> None:
    assert f"kind {kind}" in fault_of(submit(1, kind, 2, administrative=administrative), Submit, GATEWAY)


@pytest.mark.parametrize("kind", ADMIN)
def test_administration_needs_the_gateways_word_for_an_admin_principal(kind: int) -> None:
    assert "administrative" in fault_of(submit(1, kind), Submit, GATEWAY)
    assert fault_of(submit(1, kind, administrative=True), Submit, GATEWAY) == ""
    assert has_administration(submit(1, kind).records)


@pytest.mark.parametrize("kind", SESSIONS)
def test_a_gateway_speaks_of_sessions_in_its_own_session_only(kind: int) -> None:
    assert fault_of(submit(kind, session=OWN), Submit, GATEWAY) == ""
    for foreign in (5 << 32, OWN + (1 << 32), 2**64 - 1):
        assert "session" in fault_of(submit(kind, session=foreign), Submit, GATEWAY)


def one_of_each() -> list[Message]:
    return [submit(1), receipt(), ack(9), stream(), release(7)]


@pytest.mark.parametrize("sender", [0, 1, 2, 4, 63, 65535])
def test_a_frame_is_its_links_own(sender: int) -> None:
    for made in one_of_each():
        assert "in the name of" in fault_of(replace(made, sender=sender + 100), type(made), sender)
    assert "another gateway" in fault_of(submit(1, gateway=sender), Submit, GATEWAY)


def test_a_link_carries_one_type_of_frame() -> None:
    for made in one_of_each():
        for other in one_of_each():
            assert bool(fault_of(made, type(other), made.sender)) is (type(made) is not type(other))
            if type(made) is not type(other):
                with pytest.raises(LayoutError, match=f"{name_of(type(made))} on a link for {name_of(type(other))}"):
                    decode_from(encode(made), type(other), made.sender)


ODD: list[Message] = [
    replace(submit(1), view_epoch=MAX_EPOCH + 1),
    *(replace(made, epoch=MAX_EPOCH + 1) for made in (receipt(), ack(9), release(7))),
    stream(epoch=MAX_EPOCH + 1),
    stream(epoch=MAX_EPOCH + 1, leader_epoch=MAX_EPOCH + 1),
    replace(submit(1), first_link_no=MAX_SEQ + 1),
    receipt(next_link_no=MAX_SEQ + 1),
    ack(9, acked_seq=MAX_SEQ + 1),
    stream(first_seq=MAX_SEQ + 1),
    release(7, first_seq=MAX_SEQ + 1),
    *(replace(made, committed_seq=MAX_SEQ + 1) for made in (receipt(), stream(), release(7))),
    ack(9, known_committed_seq=MAX_SEQ + 1),
    stream(timestamp_ns=-1),
    replace(submit(1), first_link_no=0),
    receipt(next_link_no=0),
    stream(first_seq=0),
    release(7, first_seq=0),
    replace(submit(1), incarnation=0),
    replace(submit(1), incarnation=MAX_INCARNATION + 1),
    replace(submit(1), incarnation=2**64 - 1),
    replace(submit(1), reign=2**63 - 1),
    receipt(credit=2**63),
    receipt(reign=5),
    receipt(epoch=2**62 - 1, reign=2**63 - 1),
    receipt(incarnation=MAX_INCARNATION + 1),
    receipt(next_link_no=MAX_LINK + 1),
    ack(10),
    ack(6, 5),
    ack(2**64 - 1),
    ack(0),
    stream(leader_epoch=3),
    stream(leader_epoch=2**64 - 1),
    stream(records=np.zeros(MAX_BATCH_COMMANDS + 1, dtype=COMMAND)),
    release(6, last_seq=7),
    release(10, last_seq=9),
    release(8, 7),
    # Every command yields an event: what is covered without one would pass unseen.
    release(last_seq=7),
    release(last_seq=MAX_SEQ),
    release(7, last_seq=8),
    release(7, 9),
    release(8, 9),
    release(7, last_seq=5),
    release(7, last_seq=2**64 - 1),
    release(7, parent_epoch=2**62),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: name_of(type(odd)))
def test_a_field_out_of_bounds_is_refused_with_a_reason(odd: Message) -> None:
    with pytest.raises(LayoutError, match=r"\w"):
        decode_from(encode(odd), type(odd), odd.sender)


def test_what_honest_processes_send_passes() -> None:
    honest: list[Message] = [
        submit(1, 2),
        receipt(),
        ack(),
        ack(3, 9),
        ack(5, 5),
        stream(),
        release(),
        release(7, 7, 8, 9, 9),
        release(last_seq=6),
    ]
    for made in honest:
        assert encode(decode_from(encode(made), type(made), made.sender)) == encode(made)
