"""The newest events in memory, in parts that can be looked through quickly.

The main loop adds batches, and many of them hold the events of a single command. Readers that miss some come together:
five hundred sessions that return together look through the same thousands of batches. So the first reader of a batch
joins it with its neighbours, into parts of some thousand events, and all later ones read those. Only a reader that
misses the very newest, like a gateway that finds a gap in a failover, gets just these, and waits for nobody's joining.
"""

import threading
from bisect import bisect_left
from collections import deque
from itertools import islice
from typing import Final, NamedTuple

from lockstep.replica.effects import AppliedBatch
from lockstep.stream.records import Events, join_records

EVENTS_AT_ONCE: Final = 4096
"""Events after which a part is full."""
_BATCHES_AT_ONCE: Final = 256
NEWEST: Final = 64
"""Batches at the end that are read as they stand."""


class Part(NamedTuple):
    """Events of the seqs `first_seq` to `last_seq`, all of them."""

    first_seq: int
    last_seq: int
    events: Events


class RecentEvents:
    """At least the newest `window_commands` commands. One thread adds and clears, any may read.

    Invariant: `_parts`, then `_fresh`, without a gap in their seqs.
    """

    def __init__(self, window_commands: int) -> None:
        self._window_commands = window_commands
        self._parts: deque[Part] = deque()
        self._fresh: deque[AppliedBatch] = deque()
        self._lock = threading.Lock()
        self._joining = threading.Lock()
        """Held by the reader that joins; nothing else is done under it, and the main loop never takes it."""

    def add(self, batches: tuple[AppliedBatch, ...]) -> None:
        """Take newly executed batches; contiguous with what came before. What is too old is forgotten."""
        oldest = batches[-1].last_seq - self._window_commands
        with self._lock:
            self._fresh.extend(batches)
            while self._parts and self._parts[0].last_seq <= oldest:
                self._parts.popleft()
            if not self._parts:
                while self._fresh[0].last_seq <= oldest:
                    self._fresh.popleft()

    def clear(self) -> None:
        """Forget all: the journal was truncated."""
        with self._lock:
            self._parts.clear()
            self._fresh.clear()

    @property
    def first_seq(self) -> int:
        """Of the oldest that is held; 0: there are none."""
        with self._lock:
            if self._parts:
                return self._parts[0].first_seq
            return self._fresh[0].first_seq if self._fresh else 0

    def part_of(self, seq: int) -> Part | None:
        """The part that holds this seq; None: it is not held. The newest part grows, by replacement."""
        while True:
            with self._lock:
                if self._parts and seq <= self._parts[-1].last_seq:
                    if seq < self._parts[0].first_seq:
                        return None
                    return self._parts[bisect_left(self._parts, seq, key=lambda part: part.last_seq)]
                if not self._fresh or not self._fresh[0].first_seq <= seq <= self._fresh[-1].last_seq:
                    return None
                newest = self._newest_from(seq)
            if newest:
                events = join_records([batch.events for batch in newest])
                return Part(newest[0].first_seq, newest[-1].last_seq, events)
            self._join_some()

    def _newest_from(self, seq: int) -> list[AppliedBatch]:
        """The batches from this seq on, if they are few and small."""
        newest: list[AppliedBatch] = []
        size = 0
        for batch in islice(reversed(self._fresh), NEWEST):
            size += len(batch.events)
            if newest and size > EVENTS_AT_ONCE:
                break
            newest.append(batch)
            if batch.first_seq <= seq:
                return newest[::-1]
        return []

    def _join_some(self) -> None:
        """Make a part of the oldest batches that stand alone, or enlarge the last one by them."""
        with self._joining:
            with self._lock:
                batches = list(islice(self._fresh, _BATCHES_AT_ONCE))
                last = self._parts[-1] if self._parts else None
            if not batches:
                return
            taken, size = 1, len(batches[0].events)
            while taken < len(batches) and size < EVENTS_AT_ONCE:
                size += len(batches[taken].events)
                taken += 1
            del batches[taken:]
            grows = last is not None and len(last.events) + size <= EVENTS_AT_ONCE
            events = [batch.events for batch in batches]
            if last is not None and grows:
                part = Part(last.first_seq, batches[-1].last_seq, join_records([last.events, *events]))
            else:
                part = Part(batches[0].first_seq, batches[-1].last_seq, join_records(events))
            with self._lock:
                if not self._fresh or self._fresh[0] is not batches[0]:
                    return  # forgotten meanwhile
                if grows and (not self._parts or self._parts[-1] is not last):
                    return
                for _ in batches:
                    self._fresh.popleft()
                if grows:
                    self._parts.pop()
                self._parts.append(part)
