"""What may arrive on a link: the one place where a received frame is held to its link and to the bounds of its fields.

A link has one sender and one kind of frame. A frame that passes here can be computed with: every number fits 62 bits,
so that a sum of two fits 63; entries and events stand in order and within what the header says they cover. What it says
may still be untrue: the machines look at what the peer itself says (its liveness link) before they act on a word that
would outlast the frame.

Who may ask for what: a gateway sends orders; control records are the sequencer's alone; an administrative command needs
the gateway's word (ADMINISTRATIVE) that an admin principal gave it; of a session's opening and closing a gateway speaks
in its own session only.
"""

from typing import Final

import numpy as np

from lockstep.stream.frames import (
    MAX_FRAME_COMMANDS,
    Frame,
    FrameError,
    FrameFlag,
    FrameType,
    decode_frame,
)
from lockstep.stream.records import CommandKind, Commands

MAX_EPOCH: Final = 2**48 - 1
"""No epoch that a cluster can reach, with a thousand new ones a second for 8 900 years; whoever speaks of a higher one
does not follow the protocol."""
MAX_STORED_EPOCH: Final = MAX_EPOCH // 2
"""The highest epoch that a stored config record may name: from there every process can still follow to later ones."""
MAX_SEQ: Final = 2**62 - 1
MAX_LINK: Final = 2**61
"""No link number that a gateway can come to; it can go on behind it, and still send what is within bounds."""
MAX_INCARNATION: Final = 2**63 - 1
MAX_UNEXPLAINED_EPOCHS: Final = 4
"""So far may an epoch be above the highest one known before the sequencer itself, asked, has to say that it is its own:
a takeover takes one, and a few may have failed before it."""
GATEWAY_CLIENT_BASE: Final = 0x7FFF0000
"""Client numbers from here on are the gateways' own (`base + gateway id`), for calls without an idempotency key."""
_MAX_CREDIT: Final = 2**32

_ORDER, _SESSION, _ADMIN = 1, 2, 3
_CLASSES: Final = np.zeros(256, dtype=np.uint8)
for _kind in CommandKind:
    if _kind in (CommandKind.SESSION_OPENED, CommandKind.SESSION_CLOSED):
        _CLASSES[_kind] = _SESSION
    elif _kind < 64:
        _CLASSES[_kind] = _ORDER
    elif _kind < 192:
        _CLASSES[_kind] = _ADMIN


def decode_from(raw: bytes, expected: FrameType, sender: int) -> Frame:
    """Decode a frame that came on the link of `sender`, which carries frames of one type.

    Raises:
        FrameError: it is damaged, or not what this link carries, or a field is outside its bounds.
    """
    received = decode_frame(raw)
    why = fault_of(received, expected, sender)
    if why:
        raise FrameError(why)
    return received


def fault_of(received: Frame, expected: FrameType, sender: int) -> str:
    """Why a frame is dropped that came on the link of `sender`; empty: it may be looked at."""
    if received.type is not expected:
        return f"{received.type.name} frame on a link for {expected.name}"
    if received.sender != sender:
        return f"frame in the name of member {received.sender} on the link of {sender}"
    if received.epoch > MAX_EPOCH or max(received.first_seq, received.committed_seq) > MAX_SEQ:
        return f"epoch {received.epoch}, seq {received.first_seq} or {received.committed_seq} is out of bounds"
    if received.timestamp_ns < 0:
        return f"time {received.timestamp_ns} is negative"
    return _CHECKS[expected](received)


def has_administration(records: Commands) -> bool:
    """Whether one of these commands is an administrative one."""
    return bool((_CLASSES[records["kind"]] == _ADMIN).any())


def _submit_fault(received: Frame) -> str:
    if not received.first_seq >= 1 or not 1 <= received.aux <= MAX_INCARNATION:
        return f"link number {received.first_seq} or incarnation {received.aux} is out of bounds"
    if received.count > MAX_FRAME_COMMANDS or received.timestamp_ns > MAX_EPOCH:
        return f"{received.count} commands, reign {received.timestamp_ns}: out of bounds"
    records, sender = received.records, received.sender
    classes = _CLASSES[records["kind"]]
    if not classes.all():
        return f"command of kind {records['kind'][int(np.argmin(classes))]}, which no gateway may send"
    if (records["gateway"] != sender).any():
        return f"command in the name of another gateway than {sender}"
    own = records["session_id"] >> np.uint64(32) == GATEWAY_CLIENT_BASE + sender
    if ((classes == _SESSION) & ~own).any():
        return "session opened or closed in another session than the gateway's own"
    if not received.flags & FrameFlag.ADMINISTRATIVE and (classes == _ADMIN).any():
        return "administrative command without the gateway's word for an admin principal"
    return ""


def _receipt_fault(received: Frame) -> str:
    if not 1 <= received.first_seq <= MAX_LINK or received.aux > _MAX_CREDIT or received.timestamp_ns > MAX_EPOCH:
        return f"link number {received.first_seq}, credit {received.aux}, reign {received.timestamp_ns}: out of bounds"
    if received.timestamp_ns > received.epoch:
        return f"reign {received.timestamp_ns} is later than epoch {received.epoch}"
    return "" if received.count == 8 else f"{received.count} bytes of payload: an incarnation has 8"


def _stream_fault(received: Frame) -> str:
    if received.first_seq < 1 or received.aux > MAX_EPOCH or received.count > MAX_FRAME_COMMANDS:
        return f"seq {received.first_seq}, leader's epoch {received.aux}, {received.count} records: out of bounds"
    return "" if received.epoch <= received.aux else f"epoch {received.epoch} is later than the leader's {received.aux}"


def _ack_fault(received: Frame) -> str:
    seqs, digests = received.records["last_seq"], received.records["digest"]
    if len(seqs) and (int(seqs[0]) < 1 or bool(((seqs[1:] == seqs[:-1]) & (digests[1:] != digests[:-1])).any())):
        return "an ACK's entries begin at seq 0, or have two digests for one seq"
    if len(seqs) and (int(seqs[-1]) > received.first_seq or bool((seqs[1:] < seqs[:-1]).any())):
        return f"entries of an ACK are not in order, or go beyond its seq {received.first_seq}"
    return ""


def _release_fault(received: Frame) -> str:
    first, last = received.first_seq, received.aux
    if first < 1 or not first - 1 <= last <= MAX_SEQ or received.timestamp_ns > MAX_EPOCH:
        return f"seqs {first} to {last}, parent epoch {received.timestamp_ns}: out of bounds"
    seqs = received.records["seq"]
    # Every command yields an event: whoever covers a seq without one would have its events pass unseen.
    steps = seqs[1:] - seqs[:-1]
    whole = int(seqs[0]) == first and int(seqs[-1]) == last and bool((steps <= 1).all()) if len(seqs) else last < first
    return "" if whole else f"events are not in order, or not one or more for each seq from {first} to {last}"


_CHECKS: Final = {
    FrameType.SUBMIT: _submit_fault,
    FrameType.RECEIPT: _receipt_fault,
    FrameType.STREAM: _stream_fault,
    FrameType.ACK: _ack_fault,
    FrameType.RELEASE: _release_fault,
}
