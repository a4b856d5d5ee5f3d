"""What may arrive on a link: the one place where a received frame is held to its link and to the bounds of its fields.

A frame is a message of `messages.py` on its link; a link has one sender and one kind of them. A frame that passes here
can be computed with: every number fits 62 bits, so that a sum of two fits 63; entries and events stand in order and
within what the envelope says they cover. What it says may still be untrue: the machines look at what the peer itself
says (its liveness link) before they act on a word that would outlast the frame.

Who may ask for what: a gateway sends orders; control records are the sequencer's alone; an administrative command needs
the gateway's word (`administrative`) that an admin principal gave it; of a session's opening and closing a gateway
speaks in its own session only.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from lockstep.stream.batch import MAX_BATCH_COMMANDS, LayoutError
from lockstep.stream.messages import Ack, Message, Receipt, Release, Stream, Submit, decode, name_of
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


def decode_from[M: Message](raw: bytes, expected: type[M], sender: int) -> M:
    """Decode a frame that came on the link of `sender`, which carries frames of one kind.

    Raises:
        LayoutError: it is damaged, or not what this link carries, or a field is outside its bounds.
    """
    received = decode(raw, expected)
    why = fault_of(received, expected, sender)
    if why:
        raise LayoutError(why)
    return received


def fault_of(received: Message, expected: type, sender: int) -> str:
    """Why a frame is dropped that came on the link of `sender`; empty: it may be looked at."""
    if type(received) is not expected:
        return f"{name_of(type(received))} on a link for {name_of(expected)}"
    if received.sender != sender:
        return f"frame in the name of member {received.sender} on the link of {sender}"
    return _CHECKS[expected](received)


def has_administration(records: Commands) -> bool:
    """Whether one of these commands is an administrative one."""
    return bool(np.count_nonzero(_CLASSES[records["kind"]] == _ADMIN))


def _submit_fault(received: Submit) -> str:
    if not 1 <= received.first_link_no <= MAX_SEQ or not 1 <= received.incarnation <= MAX_INCARNATION:
        return f"link number {received.first_link_no} or incarnation {received.incarnation} is out of bounds"
    if received.count > MAX_BATCH_COMMANDS or max(received.view_epoch, received.reign) > MAX_EPOCH:
        return f"{received.count} commands, epoch {received.view_epoch}, reign {received.reign}: out of bounds"
    records, sender, count = received.records, received.sender, received.count
    classes = _CLASSES[records["kind"]]
    # Orders alone, as nearly always: nothing else is to be asked.
    if np.count_nonzero(classes == _ORDER) == count == np.count_nonzero(records["gateway"] == sender):
        return ""
    if not classes.all():
        return f"command of kind {records['kind'][int(np.argmin(classes))]}, which no gateway may send"
    if (records["gateway"] != sender).any():
        return f"command in the name of another gateway than {sender}"
    own = records["session_id"] >> np.uint64(32) == GATEWAY_CLIENT_BASE + sender
    if ((classes == _SESSION) & ~own).any():
        return "session opened or closed in another session than the gateway's own"
    if not received.administrative and (classes == _ADMIN).any():
        return "administrative command without the gateway's word for an admin principal"
    return ""


def _receipt_fault(received: Receipt) -> str:
    number, credit, reign = received.next_link_no, received.credit, received.reign
    if received.epoch > MAX_EPOCH or received.committed_seq > MAX_SEQ or received.incarnation > MAX_INCARNATION:
        return (
            f"epoch {received.epoch}, seq {received.committed_seq}, incarnation {received.incarnation}: out of bounds"
        )
    if not 1 <= number <= MAX_LINK or credit > _MAX_CREDIT or reign > MAX_EPOCH:
        return f"link number {number}, credit {credit}, reign {reign}: out of bounds"
    return f"reign {reign} is later than epoch {received.epoch}" if reign > received.epoch else ""


def _stream_fault(received: Stream) -> str:
    batch, leader_epoch = received.batch, received.leader_epoch
    if not 1 <= batch.first_seq <= MAX_SEQ or leader_epoch > MAX_EPOCH or batch.count > MAX_BATCH_COMMANDS:
        return f"seq {batch.first_seq}, leader's epoch {leader_epoch}, {batch.count} commands: out of bounds"
    if batch.timestamp_ns < 0 or received.committed_seq > MAX_SEQ:
        return f"time {batch.timestamp_ns}, committed seq {received.committed_seq}: out of bounds"
    return f"epoch {batch.epoch} is later than the leader's {leader_epoch}" if batch.epoch > leader_epoch else ""


def _ack_fault(received: Ack) -> str:
    if received.epoch > MAX_EPOCH or max(received.acked_seq, received.known_committed_seq) > MAX_SEQ:
        return f"epoch {received.epoch}, seq {received.acked_seq} or {received.known_committed_seq} is out of bounds"
    seqs = received.entries["last_seq"]
    if len(seqs) == 1 and 1 <= int(seqs[0]) <= received.acked_seq:
        return ""
    digests = received.entries["digest"]
    if len(seqs) and (int(seqs[0]) < 1 or bool(((seqs[1:] == seqs[:-1]) & (digests[1:] != digests[:-1])).any())):
        return "an ACK's entries begin at seq 0, or have two digests for one seq"
    if len(seqs) and (int(seqs[-1]) > received.acked_seq or bool((seqs[1:] < seqs[:-1]).any())):
        return f"entries of an ACK are not in order, or go beyond its seq {received.acked_seq}"
    return ""


def _release_fault(received: Release) -> str:
    first, last = received.first_seq, received.last_seq
    if max(received.epoch, received.parent_epoch) > MAX_EPOCH or received.committed_seq > MAX_SEQ:
        return (
            f"epoch {received.epoch}, parent epoch {received.parent_epoch}, seq {received.committed_seq}: out of bounds"
        )
    if first < 1 or not first - 1 <= last <= MAX_SEQ:
        return f"seqs {first} to {last}: out of bounds"
    seqs = received.events["seq"]
    if len(seqs) <= 1:
        whole = first == last == int(seqs[0]) if len(seqs) else last < first
        return "" if whole else f"{len(seqs)} events for the seqs from {first} to {last}"
    # Every command yields an event: whoever covers a seq without one would have its events pass unseen.
    steps = seqs[1:] - seqs[:-1]
    whole = int(seqs[0]) == first and int(seqs[-1]) == last and np.count_nonzero(steps <= 1) == len(steps)
    return "" if whole else f"events are not in order, or not one or more for each seq from {first} to {last}"


_CHECKS: Final[dict[type, Callable[[Any], str]]] = {
    Submit: _submit_fault,
    Receipt: _receipt_fault,
    Stream: _stream_fault,
    Ack: _ack_fault,
    Release: _release_fault,
}
