"""A broken or hostile neighbour: a process that may use the host's media driver, and speaks on everybody's links.

It opens publications on the links of a running cluster, as their senders do, and sends frames with valid CRCs and odd
fields on them. It knows what any process may ask: epochs, seqs, incarnations. So its frames are odd in a few fields,
and right in all others.

What it does not send is a frame that is right in every field and false: nobody can know that from its sender's own word
(`fits_in_every_field`). Who may use the links at all is a matter of the host.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np
from crc32c import crc32c

from lockstep.runtime.cluster_view import ClusterStatus
from lockstep.runtime.topology import LinkKind, Member, Topology, outbound_links
from lockstep.runtime.transport import OutboundLink, Transport
from lockstep.stream.batch import stamp_batch
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
    encode,
)
from lockstep.stream.records import COMMAND, EVENT, CommandKind, EventKind, no_commands
from lockstep.trials.odd_frames import make_odd

_QUEUE_BYTES: Final = 4 << 20
_FAR: Final = 1_000_000
"""Seqs and link numbers so far off no run comes to."""
_SESSION: Final = 0x0DD << 32
_PREFIX_FIELDS: Final = ((8, "<B"), (9, "<B"), (12, "<I"))
"""Kind, version and length: what a frame's own reader looks at first."""
_WORDS: Final = (0, 1, 2, 3, 4, 5, 6, 63, 255, 4096, 4097, 65_535, 2**31, 2**32 - 1)


_TYPES: Final[dict[LinkKind, type[Message]]] = {
    LinkKind.SUBMIT: Submit,
    LinkKind.RECEIPT: Receipt,
    LinkKind.STREAM: Stream,
    LinkKind.ACK_TO_ENGINE: Ack,
    LinkKind.ACK_TO_SEQUENCER: Ack,
    LinkKind.RELEASE: Release,
    LinkKind.FEED: Release,
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
            return encode(make_odd(_honest(other, source, moment, dice), dice))
        honest = _honest(kind, source, moment, dice)
        odd = make_odd(honest, dice)
        while fits_in_every_field(odd, moment):
            odd = make_odd(honest, dice)
        raw = encode(odd)
        return _bent(raw, type(odd), dice) if dice.random() < 0.1 else raw


def fits_in_every_field(made: Message, moment: Moment) -> bool:
    """Whether its receiver might have to take the frame for its sender's own next word."""
    match made:
        case Submit():
            mine = made.incarnation == moment.incarnations.get(made.sender) and made.first_link_no < _FAR
            return mine and moment.epoch - _FAR < made.reign <= moment.epoch + _FAR
        case Stream():
            return abs(made.batch.first_seq - moment.tip) < _FAR and made.batch.count > 0
        case Release():
            return abs(made.first_seq - moment.tip) < _FAR and made.count > 0
        case _:
            return False


def _bent(raw: bytes, kind: type[Message], dice: Random) -> bytes:
    """With another kind, version or length, or another number of bytes, under a CRC that is right."""
    bent = bytearray(raw)
    at, form = dice.choice(_PREFIX_FIELDS)
    struct.pack_into(form, bent, at, dice.choice(_WORDS) % 2 ** (8 * struct.calcsize(form)))
    if dice.random() < 0.3:
        bent = bent[: dice.randint(PREFIX_SIZE, len(bent))] + bytes(dice.choice((0, 1, 64, 4096)))
    covered = bent[8 : LAYOUTS[kind].size] if kind is Stream else bent[8:]
    bent[4:8] = crc32c(bytes(covered)).to_bytes(4, "little")
    return bytes(bent)


def _honest(kind: LinkKind, source: int, moment: Moment, dice: Random) -> Message:
    """What the sender of such a link might send now, but for seqs where a false record would be taken for true."""
    makers: dict[LinkKind, Callable[[int, Moment, Random], Message]] = {
        LinkKind.SUBMIT: _submit,
        LinkKind.RECEIPT: _receipt,
        LinkKind.STREAM: _stream,
        LinkKind.RELEASE: _release,
        LinkKind.FEED: _release,
    }
    make = makers.get(kind, _ack)
    return make(source, moment, dice)


def _commands(source: int, dice: Random) -> np.ndarray:
    records = np.zeros(dice.randint(1, 3), dtype=COMMAND)
    records["kind"] = dice.choice([*CommandKind, 0, 63, 191, 255])
    records["gateway"] = source
    records["session_id"], records["session_no"] = _SESSION + source, 1
    return records


def _submit(source: int, moment: Moment, dice: Random) -> Submit:
    return Submit(
        sender=source, view_epoch=moment.epoch, reign=moment.epoch, first_link_no=dice.choice((1, _FAR, 2 * _FAR)),
        incarnation=moment.incarnations.get(source, 1), administrative=dice.choice((False, True)),
        records=_commands(source, dice),
    )  # fmt: skip


def _receipt(source: int, moment: Moment, dice: Random) -> Receipt:
    opens, rewinds = dice.choice(((False, False), (True, False), (True, False), (True, True)))
    return Receipt(
        sender=source, epoch=moment.epoch, reign=moment.epoch, next_link_no=dice.choice((1, 50, moment.tip, _FAR)),
        credit=dice.choice((0, 1, 10_000)), committed_seq=moment.committed,
        incarnation=dice.choice([*moment.incarnations.values(), 1]), opens=opens, rewinds=rewinds,
    )  # fmt: skip


def _stream(source: int, moment: Moment, dice: Random) -> Stream:
    records = _commands(0, dice) if dice.random() < 0.5 else no_commands()
    at = moment.tip + (2 * _FAR if len(records) else 1)
    batch = stamp_batch(records, epoch=moment.epoch, first_seq=at, timestamp_ns=dice.choice((0, 2**60)))
    return Stream(source, moment.epoch, moment.committed, batch)


def _ack(source: int, moment: Moment, dice: Random) -> Ack:
    entries = np.zeros(dice.randint(0, 3), dtype=ACK_ENTRY)
    last = max(len(entries), moment.tip - dice.choice((-3, 0, 0, 1, 50)))
    entries["last_seq"] = range(last - len(entries) + 1, last + 1)
    if len(entries):
        entries["digest"][-1] = np.void(dice.choice((moment.digest.ljust(16, b"\0"), dice.randbytes(16))))
    unjoined, rewinds = dice.choice(((False, False), (False, False), (False, True), (True, False)))
    return Ack(source, moment.epoch, last, 0, moment.committed, unjoined, rewinds, entries)


def _release(source: int, moment: Moment, dice: Random) -> Release:
    events = np.zeros(dice.choice((0, 2)), dtype=EVENT)
    first = moment.committed + 1 if not len(events) else moment.committed + 2 * _FAR
    if len(events):
        events["seq"], events["kind"] = [first, first + 1], EventKind.TICKED
    parent = dice.choice((0, moment.epoch))
    return Release(source, moment.epoch, parent, first, first + len(events) - 1, moment.committed, events)
