"""Which sessions are concerned by which part of history, so that nobody searches all of it for one session.

An entry belongs to some dozens of batches that were stored together and says which seqs they cover. Only what an entry
covers may be passed over; where there is none (stored by an older program, lost in a crash) the events are read. An
entry may name a session too many, never one too few.

| key | value |
| --- | --- |
| first seq, big endian | last seq u64, then the sessions, u64 each, ascending; little endian |
"""

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from lockstep.stream.records import Events

_KEY: Final = struct.Struct(">Q")
_LAST: Final = struct.Struct("<Q")


class Span(NamedTuple):
    """Seqs `first` to `last`; whether a session may be concerned there."""

    first: int
    last: int
    concerned: bool


def encode_entry(last_seq: int, events: Events) -> bytes:
    """The value for events up to `last_seq`."""
    sessions = np.unique(np.concatenate((events["session_id"], events["maker_session_id"])))
    return _LAST.pack(last_seq) + sessions.astype("<u8").tobytes()


def last_of(value: bytes) -> int:
    """The last seq that an entry covers."""
    return int(_LAST.unpack_from(value)[0])


def spans(cursor: Any, session_id: int, from_seq: int, to_seq: int) -> Iterator[Span]:
    """All of `from_seq..to_seq`, in order. `cursor`: an iterator over the entries (as RocksDB's)."""
    cursor.seek_for_prev(_KEY.pack(from_seq))
    if not cursor.valid():
        cursor.seek_to_first()
    position = from_seq
    while cursor.valid() and position <= to_seq:
        first, value = int(_KEY.unpack(cursor.key())[0]), cursor.value()
        if first > to_seq:
            break
        last = min(last_of(value), to_seq)
        if first > position:
            yield Span(position, first - 1, concerned=True)
            position = first
        if last >= position:
            sessions = np.frombuffer(value, dtype="<u8", offset=_LAST.size)
            at = int(np.searchsorted(sessions, np.uint64(session_id)))
            yield Span(position, last, concerned=at < len(sessions) and int(sessions[at]) == session_id)
            position = last + 1
        cursor.next()
    cursor.status()
    if position <= to_seq:
        yield Span(position, to_seq, concerned=True)
