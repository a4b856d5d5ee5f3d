"""Events of executed commands, for gateways and clients that missed some: the newest in memory, all in the journal.

The main loop adds, gRPC threads read; only committed events may be read, and the reader says how far that is.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from lockstep.replica.effects import AppliedBatch
from lockstep.replica.journal import Journal
from lockstep.replica.recent_events import RecentEvents
from lockstep.replica.session_index import Span
from lockstep.stream.records import EVENT, EventKind, Events, no_events

_FIRST_ADMIN: Final = int(EventKind.INSTRUMENT_DEFINED)
_FIRST_CONTROL: Final = int(EventKind.EPOCH_STARTED)


class EventStore:
    """Window of the newest `window_commands` commands in front of the journal's stored events."""

    def __init__(self, journal: Journal, window_commands: int) -> None:
        self._journal = journal
        self._recent = RecentEvents(window_commands)

    def add(self, batches: tuple[AppliedBatch, ...]) -> None:
        """Take newly executed batches; contiguous with what came before."""
        self._journal.derived.keep(batches)
        self._recent.add(batches)

    def clear(self) -> None:
        """Forget the window: the journal was truncated."""
        self._recent.clear()

    def read(self, from_seq: int, to_seq: int) -> Iterator[tuple[Events, int]]:
        """(events, last seq covered) of `from_seq..to_seq`, some batches at a time, in order."""
        while from_seq <= to_seq and (part := self._recent.part_of(from_seq)) is not None:
            yield _clip(part.events, from_seq, to_seq), min(part.last_seq, to_seq)
            from_seq = part.last_seq + 1
        if from_seq > to_seq:
            return
        for first_seq, raw in self._journal.derived.events_from(from_seq):
            if first_seq > to_seq:
                return
            events = np.frombuffer(raw, dtype=EVENT)
            last_seq = int(events["seq"][-1])
            if last_seq >= from_seq:
                yield _clip(events, from_seq, to_seq), min(last_seq, to_seq)

    def search(self, session_id: int, from_seq: int, to_seq: int) -> Iterator[tuple[Events, int]]:
        """(events that concern a session, last seq covered), in order, some or none at a time."""
        in_memory = 0 < self._recent.first_seq <= from_seq
        spans = (Span(from_seq, to_seq, concerned=True),)
        for span in spans if in_memory else self._journal.derived.spans_of(session_id, from_seq, to_seq):
            if not span.concerned:
                yield no_events(), span.last
                continue
            for events, last_seq in self.read(span.first, span.last):
                yield of_session(events, session_id), last_seq


def after_event(events: Events, seq: int, index: int) -> Events:
    """Events with an id greater than (seq, index)."""
    seqs = events["seq"]
    if not len(events) or int(seqs[0]) > seq:
        return events
    later: Events = events[(seqs > seq) | ((seqs == seq) & (events["index"] > index))]
    return later


def of_session(events: Events, session_id: int) -> Events:
    """Events that go to a session: its own, and those where it stands on the other side."""
    kinds = events["kind"]
    # The overlays of admin and control events have other fields at the place of these ids.
    own = (events["session_id"] == session_id) & (kinds < _FIRST_CONTROL)
    other = (events["maker_session_id"] == session_id) & (kinds < _FIRST_ADMIN)
    found: Events = events[own | other]
    return found


def _clip(events: Events, from_seq: int, to_seq: int) -> Events:
    seqs = events["seq"]
    if not len(events) or (int(seqs[0]) >= from_seq and int(seqs[-1]) <= to_seq):
        return events
    clipped: Events = events[(seqs >= from_seq) & (seqs <= to_seq)]
    return clipped
