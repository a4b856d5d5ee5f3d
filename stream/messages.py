"""Messages: what one link carries, one dataclass for each kind of link, with fields named for what they hold.

| message | link |
| --- | --- |
| SUBMIT | gateway -> sequencer |
| RECEIPT | sequencer -> gateway |
| STREAM | sequencer -> engine |
| ACK | engine -> engine, sequencer |
| RELEASE | primary -> gateway, feed |

A message is an envelope and, for all but a RECEIPT, a payload. The envelope's first 16 bytes are those of every message
(`PREFIX`); what follows is the message's own (`LAYOUTS`: its version, its fields, in their order on the wire, without
holes), little endian. CRC32C covers everything behind it but the payload of a STREAM: that is a stamped batch, which
has its own and is passed on as it is. A version counts the message's fields and the layouts of the records in its
payload; `docs/protocol.md` has the tables.

A link number counts the commands that one gateway incarnation has sent to one sequencer, from 1, so that a lost message
is noticed before a later one is stamped.
"""

import struct
from collections.abc import Callable
from dataclasses import field
from operator import attrgetter
from typing import Any, Final, cast

import numpy as np
from crc32c import crc32c

from lockstep.stream.batch import Batch, LayoutError, decode_batch
from lockstep.stream.records import COMMAND, EVENT, Commands, Events
from lockstep.stream.values import frozen

MESSAGE_MAGIC: Final = 0x4D53_4B4C  # "LKSM"
ACK_ENTRY: Final = np.dtype([("last_seq", "<u8"), ("digest", "V16")])
Entries = np.ndarray[tuple[int], np.dtype[np.void]]


@frozen
class Submit:
    """A gateway's commands, for one sequencer in one reign."""

    sender: int
    view_epoch: int
    """The leader's epoch, as far as the gateway knows."""
    reign: int
    """For which they are meant."""
    first_link_no: int
    """Link number of the first command."""
    incarnation: int
    """The life of the gateway that the link numbers belong to."""
    administrative: bool
    """The gateway's word that an admin principal gave each administrative command in it. Without it none is taken."""
    records: Commands = field(repr=False)

    @property
    def count(self) -> int:
        """Commands in it."""
        return len(self.records)


@frozen
class Receipt:
    """What a sequencer has got of a gateway, and how much more it takes."""

    sender: int
    epoch: int
    """The leader's."""
    reign: int
    """Epoch in which it took office."""
    next_link_no: int
    """Link number due."""
    credit: int
    """Commands that it lets come from there on."""
    committed_seq: int
    incarnation: int
    """The life of the gateway that `next_link_no` belongs to; 0: the sequencer has heard of none."""
    opens: bool
    """The sequencer leads and takes commands. Without it: it does not, keep them."""
    rewinds: bool
    """A SUBMIT was missing; send again from `next_link_no`."""


@frozen
class Stream:
    """A stamped batch on its way to an engine; an empty one says where the stream stands."""

    sender: int
    leader_epoch: int
    """Of the leader that sends it now: a batch of a former reign goes out under its own stamp."""
    committed_seq: int
    """As the leader knows."""
    batch: Batch


@frozen
class Ack:
    """What an engine has applied, with its digests."""

    sender: int
    epoch: int
    """The highest that it has promised."""
    acked_seq: int
    """The last seq that it has applied."""
    journal: int
    """Identity of its journal."""
    known_committed_seq: int
    unjoined: bool
    """Its journal is new and was not taken into the cluster yet; the ack counts for no commit."""
    rewinds: bool
    """It misses what follows `acked_seq`; send again from there."""
    entries: Entries = field(repr=False)
    """ACK_ENTRY: (last seq, digest) of batches, ascending."""

    @property
    def count(self) -> int:
        """Entries in it."""
        return len(self.entries)


@frozen
class Release:
    """Committed events; an empty one says where the primary stands."""

    sender: int
    epoch: int
    """The primary's."""
    parent_epoch: int
    """Epoch in which the record before `first_seq` was stamped; 0: not known. With that seq it names one record for
    ever, and so the whole history up to it."""
    first_seq: int
    """First seq covered."""
    last_seq: int
    """Last seq covered (`first_seq - 1`: none)."""
    committed_seq: int
    events: Events = field(repr=False)

    @property
    def count(self) -> int:
        """Events in it."""
        return len(self.events)


Message = Submit | Receipt | Stream | Ack | Release

PREFIX: Final = (
    ("magic", "u32"),
    ("crc", "u32"),
    ("kind", "u8"),
    ("version", "u8"),
    ("sender", "u16"),
    ("payload_bytes", "u32"),
)
PREFIX_SIZE: Final = 16
_CHARS: Final = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "bool": "?"}
_KIND: Final = struct.Struct("<BB")
_CRC: Final = struct.Struct("<II")
_CRC_END: Final = 8


class Layout:
    """How one message lies in its bytes."""

    __slots__ = ("covered", "fields", "kind", "name", "payload", "payload_of", "size", "unpack", "values", "version")

    def __init__(
        self,
        kind: int,
        version: int,
        message: type[Message],
        fields: tuple[tuple[str, str], ...],
        payload: tuple[str, "np.dtype[np.void] | None"] | None,
    ) -> None:
        self.kind, self.version = kind, version
        self.name = message.__name__.upper()
        self.fields = fields
        """(Name, type) behind the prefix, in their order on the wire and in the dataclass."""
        self.payload = None if payload is None else payload[1]
        """Of its records; None: it has none."""
        forms = "".join(_CHARS[type_] for _, type_ in (*PREFIX, *fields))
        whole = struct.Struct("<" + forms)
        self.size = whole.size
        """Of the envelope."""
        self.unpack: Callable[[bytes], tuple[Any, ...]] = whole.unpack_from
        self.covered = struct.Struct("<" + forms[2:])
        self.values: Callable[[Any], tuple[Any, ...]] = attrgetter(*(name for name, _ in fields))
        self.payload_of: Callable[[Any], Any] | None = None if payload is None else attrgetter(payload[0])


LAYOUTS: Final[dict[type, Layout]] = {
    Submit: Layout(
        1, 1, Submit,
        (("view_epoch", "u64"), ("reign", "u64"), ("first_link_no", "u64"), ("incarnation", "u64"),
         ("administrative", "bool")),
        ("records", COMMAND),
    ),
    Receipt: Layout(
        2, 1, Receipt,
        (("epoch", "u64"), ("reign", "u64"), ("next_link_no", "u64"), ("credit", "u64"), ("committed_seq", "u64"),
         ("incarnation", "u64"), ("opens", "bool"), ("rewinds", "bool")),
        None,
    ),
    Stream: Layout(
        3, 1, Stream,
        (("leader_epoch", "u64"), ("committed_seq", "u64")),
        ("batch", None),
    ),
    Ack: Layout(
        4, 1, Ack,
        (("epoch", "u64"), ("acked_seq", "u64"), ("journal", "u64"), ("known_committed_seq", "u64"),
         ("unjoined", "bool"), ("rewinds", "bool")),
        ("entries", ACK_ENTRY),
    ),
    Release: Layout(
        5, 1, Release,
        (("epoch", "u64"), ("parent_epoch", "u64"), ("first_seq", "u64"), ("last_seq", "u64"),
         ("committed_seq", "u64")),
        ("events", EVENT),
    ),
}  # fmt: skip
_BY_KIND: Final[dict[int, type[Message]]] = {layout.kind: message for message, layout in LAYOUTS.items()}


def name_of(message: type) -> str:
    """Of a message, for people."""
    return LAYOUTS[message].name


def encode(message: Message) -> bytes:
    """Its bytes on a link. Those of a STREAM's batch are copied as they are."""
    layout = LAYOUTS[type(message)]
    payload: Any = b""
    if isinstance(message, Stream):
        payload = message.batch.raw
        length = len(payload)
    elif layout.payload_of is None:
        length = 0
    else:
        payload = np.ascontiguousarray(layout.payload_of(message))
        length = payload.nbytes
    covered = layout.covered.pack(layout.kind, layout.version, message.sender, length, *layout.values(message))
    crc = crc32c(covered)
    if length and not isinstance(message, Stream):
        crc = crc32c(payload, crc)
    return b"".join((_CRC.pack(MESSAGE_MAGIC, crc), covered, payload))


def decode[M: Message](raw: bytes, expected: type[M]) -> M:
    """Read and check a message of a link that carries one kind of them.

    Raises:
        LayoutError: it is another one, of another version, was cut short or damaged.
    """
    layout = LAYOUTS[expected]
    size, make = layout.size, cast("Callable[..., M]", expected)
    if len(raw) < size:
        raise LayoutError(_why_foreign(raw, layout) or f"a {layout.name} has at least {size} bytes, not {len(raw)}")
    magic, crc, kind, version, sender, payload_bytes, *values = layout.unpack(raw)
    if magic != MESSAGE_MAGIC or kind != layout.kind or version != layout.version:
        raise LayoutError(_why_foreign(raw, layout))
    if payload_bytes != len(raw) - size:
        raise LayoutError(f"{layout.name} says {payload_bytes} payload bytes, {len(raw) - size} came")
    if crc32c(memoryview(raw)[_CRC_END : size if expected is Stream else None]) != crc:
        raise LayoutError(f"{layout.name} CRC32C mismatch ({len(raw)} bytes, sender {sender})")
    if expected is Stream:
        return make(sender, *values, decode_batch(raw[size:]))
    if layout.payload is None:
        if payload_bytes:
            raise LayoutError(f"{layout.name} has {payload_bytes} payload bytes, and carries none")
        return make(sender, *values)
    if payload_bytes % layout.payload.itemsize:
        raise LayoutError(f"{layout.name} has {payload_bytes} payload bytes, no records of {layout.payload.itemsize}")
    return make(sender, *values, np.frombuffer(raw, dtype=layout.payload, offset=size))


def decode_any(raw: bytes) -> Message:
    """Read and check a message of any kind. Raises LayoutError."""
    kind = raw[_CRC_END] if len(raw) > _CRC_END else 0
    if kind not in _BY_KIND:
        raise LayoutError(f"unknown message kind {kind}")
    return decode(raw, _BY_KIND[kind])


def _why_foreign(raw: bytes, wanted: Layout) -> str:
    """Why these are no bytes of such a message; empty if their beginning looks like one."""
    if len(raw) < PREFIX_SIZE:
        return f"a message has at least {PREFIX_SIZE} bytes, this has {len(raw)}"
    magic, _ = _CRC.unpack_from(raw)
    if magic != MESSAGE_MAGIC:
        return f"message magic is {magic:#x}, not {MESSAGE_MAGIC:#x}"
    kind, version = _KIND.unpack_from(raw, _CRC_END)
    if kind != wanted.kind:
        other = LAYOUTS[_BY_KIND[kind]].name if kind in _BY_KIND else f"message of unknown kind {kind}"
        return f"{other} on a link for {wanted.name}"
    if version != wanted.version:
        return f"{wanted.name} is of version {version}, this process speaks {wanted.version}"
    return ""
