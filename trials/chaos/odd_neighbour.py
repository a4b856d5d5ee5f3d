"""A broken or hostile neighbour: a process that may use the host's media driver, and speaks on everybody's links.

It opens publications on the links of a running cluster, as their senders do, and sends frames with valid CRCs and odd
fields on them. It knows what any process may ask: epochs, seqs, incarnations. So its frames are odd in a few fields,
and right in all others.

What it does not send is a frame that is right in every field and false: nobody can tell that from its sender's own word
(`fits_in_every_field`). Who may use the links at all is a matter of the host.
"""

import struct
from dataclasses import dataclass, replace
from random import Random
from typing import Final

import numpy as np
from crc32c import crc32c

from lockstep.runtime.cluster_view import ClusterStatus
from lockstep.runtime.topology import LinkKind, Member, Topology, outbound_links
from lockstep.runtime.transport import OutboundLink, Transport
from lockstep.stream.frames import ACK_ENTRY, HEADER_SIZE, Frame, FrameFlag, FrameType, encode_frame, frame
from lockstep.stream.records import COMMAND, EVENT, CommandKind, EventKind
from lockstep.trials.odd_frames import make_odd

_QUEUE_BYTES: Final = 4 << 20
_FAR: Final = 1_000_000
"""Seqs and link numbers so far off no run comes to."""
_SESSION: Final = 0x0DD << 32
_HEADER_FIELDS: Final = ((4, "<H"), (6, "<H"), (24, "<I"), (28, "<I"))
"""Layout version, type, count and length: what a frame's own reader looks at first."""
_WORDS: Final = (0, 1, 2, 3, 4, 5, 6, 63, 255, 4096, 4097, 65_535, 2**31, 2**32 - 1)


_TYPES: Final = {
    LinkKind.SUBMIT: FrameType.SUBMIT,
    LinkKind.RECEIPT: FrameType.RECEIPT,
    LinkKind.STREAM: FrameType.STREAM,
    LinkKind.ACK_TO_ENGINE: FrameType.ACK,
    LinkKind.ACK_TO_SEQUENCER: FrameType.ACK,
    LinkKind.RELEASE: FrameType.RELEASE,
}


@dataclass(frozen=True, slots=True)
class Moment:
    """What the processes say of themselves at a time."""

    epoch: int
    tip: int
    committed: int
    digest: bytes
    """Of the newest engine."""
    incarnations: dict[int, int]
    """By gateway."""


def look(status: ClusterStatus, before: Moment | None = None) -> Moment | None:
    """What the answers say; the moment before where nobody leads or no engine answers."""
    engines = [m.reply for m in status.members if m.reply is not None and m.name.startswith("engine")]
    gateways = [m.reply for m in status.members if m.reply is not None and m.name.startswith("gateway")]
    newest = max(engines, key=lambda reply: (reply.epoch, reply.seq), default=None)
    if newest is None:
        return before
    known = before.incarnations if before is not None else {}
    return Moment(
        newest.epoch,
        newest.seq,
        newest.committed_seq,
        newest.digest,
        {**known, **{reply.member: reply.incarnation for reply in gateways}},
    )


class OddNeighbour:
    """See the module. `close` it."""

    def __init__(self, topology: Topology, seed: int) -> None:
        """Raises DriverUnavailable: no media driver runs in the cluster's directory."""
        self._dice = Random(seed)  # noqa: S311 - repeatable on purpose
        self._transport = Transport(topology.aeron_dir)
        self._ends: list[tuple[LinkKind, Member, OutboundLink]] = [
            (kind, member, self._transport.outbound(link, queue_limit_bytes=_QUEUE_BYTES))
            for member in topology.all_members()
            for (kind, _), link in outbound_links(topology, member).items()
        ]
        self.sent = dict.fromkeys(LinkKind, 0)
        """Frames that left, by the kind of their link."""

    def send(self, moment: Moment, count: int) -> None:
        """Send so many frames, each on the next link."""
        for _ in range(count):
            self._ends.append(self._ends.pop(0))
            kind, source, link = self._ends[0]
            link.flush()
            self.sent[kind] += link.send(self._one(kind, source.id, moment))

    def close(self) -> None:
        """Leave the media driver."""
        self._transport.close()

    def _one(self, kind: LinkKind, source: int, moment: Moment) -> bytes:
        dice = self._dice
        if dice.random() < 0.1:  # some other link's
            other = dice.choice([one for one in _TYPES if _TYPES[one] is not _TYPES[kind]])
            return encode_frame(make_odd(_honest(other, source, moment, dice), dice))
        honest = _honest(kind, source, moment, dice)
        odd = make_odd(honest, dice)
        while fits_in_every_field(odd, moment):
            odd = make_odd(honest, dice)
        raw = encode_frame(odd)
        return _bent(raw, dice) if dice.random() < 0.1 else raw


def fits_in_every_field(made: Frame, moment: Moment) -> bool:
    """Whether its receiver might have to take the frame for its sender's own next word."""
    near = abs(made.first_seq - moment.tip) < _FAR
    if made.type is FrameType.SUBMIT:
        mine = made.aux == moment.incarnations.get(made.sender) and made.first_seq < _FAR
        return mine and moment.epoch - _FAR < made.timestamp_ns <= moment.epoch + _FAR
    if made.type in (FrameType.STREAM, FrameType.RELEASE):
        return near and made.count > 0
    return False


def _bent(raw: bytes, dice: Random) -> bytes:
    """With another version, type, count or length, or another number of bytes, under a CRC that is right."""
    bent = bytearray(raw)
    at, form = dice.choice(_HEADER_FIELDS)
    struct.pack_into(form, bent, at, dice.choice(_WORDS) % 2 ** (8 * struct.calcsize(form)))
    if dice.random() < 0.3:
        bent = bent[: dice.randint(HEADER_SIZE, len(bent))] + bytes(dice.choice((0, 1, 64, 4096)))
    bent[HEADER_SIZE - 4 : HEADER_SIZE] = bytes(4)
    bent[HEADER_SIZE - 4 : HEADER_SIZE] = crc32c(bytes(bent)).to_bytes(4, "little")
    return bytes(bent)


def _honest(kind: LinkKind, source: int, moment: Moment, dice: Random) -> Frame:
    """What the sender of such a link might send now, but for seqs where a false record would be taken for true."""
    make = {
        LinkKind.SUBMIT: _submit,
        LinkKind.RECEIPT: _receipt,
        LinkKind.STREAM: _stream,
        LinkKind.RELEASE: _release,
    }.get(kind, _ack)
    return replace(make(source, moment, dice), sender=source)


def _commands(source: int, dice: Random) -> np.ndarray:
    records = np.zeros(dice.randint(1, 3), dtype=COMMAND)
    records["kind"] = dice.choice([*CommandKind, 0, 63, 191, 255])
    records["gateway"] = source
    records["session_id"], records["session_no"] = _SESSION + source, 1
    return records


def _submit(source: int, moment: Moment, dice: Random) -> Frame:
    return frame(
        FrameType.SUBMIT, sender=source, epoch=moment.epoch, first_seq=dice.choice((1, _FAR, 2 * _FAR)),
        records=_commands(source, dice), timestamp_ns=moment.epoch, aux=moment.incarnations.get(source, 1),
        flags=dice.choice((0, FrameFlag.ADMINISTRATIVE)),
    )  # fmt: skip


def _receipt(source: int, moment: Moment, dice: Random) -> Frame:
    incarnation = dice.choice([*moment.incarnations.values(), 1])
    return frame(
        FrameType.RECEIPT, sender=source, epoch=moment.epoch, first_seq=dice.choice((1, 50, moment.tip, _FAR)),
        timestamp_ns=moment.epoch, committed_seq=moment.committed, aux=dice.choice((0, 1, 10_000)),
        flags=dice.choice((0, FrameFlag.OPEN, FrameFlag.OPEN, FrameFlag.OPEN | FrameFlag.REWIND)),
        records=np.array([incarnation], dtype="<u8").view(np.uint8),
    )  # fmt: skip


def _stream(source: int, moment: Moment, dice: Random) -> Frame:
    records = _commands(0, dice) if dice.random() < 0.5 else None
    at = moment.tip + 1 if records is None else moment.tip + 2 * _FAR
    return frame(
        FrameType.STREAM, sender=source, epoch=moment.epoch, first_seq=at, records=records,
        timestamp_ns=dice.choice((0, 2**60)), committed_seq=moment.committed, aux=moment.epoch,
    )  # fmt: skip


def _ack(source: int, moment: Moment, dice: Random) -> Frame:
    entries = np.zeros(dice.randint(0, 3), dtype=ACK_ENTRY)
    last = max(len(entries), moment.tip - dice.choice((-3, 0, 0, 1, 50)))
    entries["last_seq"] = range(last - len(entries) + 1, last + 1)
    if len(entries):
        entries["digest"][-1] = np.void(dice.choice((moment.digest.ljust(16, b"\0"), dice.randbytes(16))))
    return frame(
        FrameType.ACK, sender=source, epoch=moment.epoch, first_seq=last, records=entries,
        committed_seq=moment.committed, flags=dice.choice((0, 0, FrameFlag.REWIND, FrameFlag.UNJOINED)),
    )  # fmt: skip


def _release(source: int, moment: Moment, dice: Random) -> Frame:
    events = np.zeros(dice.choice((0, 2)), dtype=EVENT)
    first = moment.committed + 1 if not len(events) else moment.committed + 2 * _FAR
    if len(events):
        events["seq"], events["kind"] = [first, first + 1], EventKind.TICKED
    return frame(
        FrameType.RELEASE, sender=source, epoch=moment.epoch, first_seq=first, records=events,
        timestamp_ns=dice.choice((0, moment.epoch)), committed_seq=moment.committed, aux=first + len(events) - 1,
    )  # fmt: skip
