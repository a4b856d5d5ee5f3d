"""The line of a feed: all that it says of books, trades and instruments, command by command, as datagrams. Pure.

A line is numbered by the cluster's own seqs. A datagram holds all updates behind one seq up to another one, and which
updates there are for a seq depends on the events alone. So the datagrams of any two feeds stand in for each other,
however each has cut them, and what got lost on the way from one can be had from another. What was sent is kept for
`KEPT_NS`, for whoever asks for it again.
"""

import struct
from bisect import bisect_right
from typing import Final, NamedTuple

from lockstep.marketdata.feed_sources import INSTRUMENTS, L2, TRADES

CONTENT: Final = (L2, TRADES, INSTRUMENTS)
"""Feeds of a line. Not what a feed may say at one seq or at a later one (bands), nor what trades and books come to."""
DATAGRAM_BYTES: Final = 1_376
"""What fits Aeron's usual datagram of 1408 bytes behind its header: one Ethernet frame."""
KEPT_NS: Final = 60_000_000_000
KEPT_BYTES: Final = 128 << 20
QUIET_NS: Final = 20_000_000
"""A line says how far it is after so long without anything, so that a loss shows."""
ANSWER_BYTES: Final = 64 << 10
_OVERHEAD_BYTES: Final = 200
"""Of what is kept, besides its bytes."""
_SPAN: Final = struct.Struct("<BBBQBQBQBB")
_SPAN_BYTES: Final = _SPAN.size
_TAG: Final = 0x32


def span_of(epoch: int, previous_seq: int, seq: int, *, fetch: bool = False) -> bytes:
    """A `LineSpan`, as (a part of) a frame."""
    return _SPAN.pack(_TAG, _SPAN_BYTES - 2, 0x09, epoch, 0x11, previous_seq, 0x19, seq, 0x20, fetch)


class Sent(NamedTuple):
    """What was sent at once, without its span."""

    previous_seq: int
    seq: int
    at_ns: int
    updates: bytes


class FeedLine:
    """One feed's. Begins at a seq, and goes on for ever.

    Invariants: what was sent is contiguous; `seq` is where the last of it ends; each update was sent with its seq.
    """

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.sent = 0
        """Datagrams made."""
        self.too_long = 0
        """Those whose updates did not fit."""
        self.kept_bytes = 0
        self._oldest_seq = seq
        self._kept: list[Sent] = []
        self._gone = 0
        # Of the commands that are not sent yet: (seq, updates), ascending.
        self._open: list[tuple[int, list[bytes]]] = []
        self._spoke_ns = 0

    @property
    def oldest_seq(self) -> int:
        """What follows this seq can be had again."""
        return self._oldest_seq

    def put(self, seq: int, update: bytes) -> None:
        """An update, as (a part of) a frame, of a command that is not older than the last one's."""
        if self._open and self._open[-1][0] == seq:
            self._open[-1][1].append(update)
            return
        assert seq > (self._open[-1][0] if self._open else self.seq), f"an update of seq {seq}, which was sent"
        self._open.append((seq, [update]))

    def send(self, through_seq: int, epoch: int, now_ns: int) -> list[bytes]:
        """Everything up to a seq is in: the datagrams to send; none if nothing has happened."""
        if not self._open:
            return []
        made: list[bytes] = []
        parts: list[bytes] = []
        size, last = _SPAN_BYTES, self.seq
        for seq, updates in self._open:
            more = sum(map(len, updates))
            if parts and size + more > DATAGRAM_BYTES:
                made.append(self._make(parts, last, epoch, now_ns))
                parts, size = [], _SPAN_BYTES
            parts += updates
            size, last = size + more, seq
        made.append(self._make(parts, max(last, through_seq), epoch, now_ns))
        self._open.clear()
        return made

    def on_time(self, through_seq: int, epoch: int, now_ns: int) -> list[bytes]:
        """Say how far the line is, if it has said nothing for a while."""
        if now_ns - self._spoke_ns < QUIET_NS:
            return []
        return [self._make([], through_seq, epoch, now_ns)]

    @property
    def due_ns(self) -> int:
        """When `on_time` has something to do."""
        return self._spoke_ns + QUIET_NS

    def _make(self, parts: list[bytes], seq: int, epoch: int, now_ns: int) -> bytes:
        updates = b"".join(parts)
        previous, self.seq = self.seq, seq
        self.sent += 1
        self._spoke_ns = now_ns
        if seq > previous:
            self._kept.append(Sent(previous, seq, now_ns, updates))
            self.kept_bytes += len(updates) + _OVERHEAD_BYTES
            self._forget(now_ns)
        fits = len(updates) + _SPAN_BYTES <= DATAGRAM_BYTES
        self.too_long += not fits
        return updates + span_of(epoch, previous, seq) if fits else span_of(epoch, previous, seq, fetch=True)

    def _forget(self, now_ns: int) -> None:
        kept, gone = self._kept, self._gone
        while gone < len(kept) and (now_ns - kept[gone].at_ns > KEPT_NS or self.kept_bytes > KEPT_BYTES):
            self.kept_bytes -= len(kept[gone].updates) + _OVERHEAD_BYTES
            self._oldest_seq = kept[gone].seq
            gone += 1
        if gone > len(kept) // 2:
            # What is gone lies there until it is as much as what is not.
            del kept[:gone]
            gone = 0
        self._gone = gone

    def again(self, after_seq: int, through_seq: int, epoch: int) -> list[bytes] | None:
        """Frames of what follows a seq, up to another one (0: all), and at least one; None: not all of it is kept.

        They are not cut as the datagrams were, and speak of the epoch of now: this feed has it all in its history.
        """
        if after_seq < self._oldest_seq:
            return None
        end_seq = min(through_seq or self.seq, self.seq)
        at = max(self._gone, bisect_right(self._kept, after_seq, key=lambda sent: sent.seq))
        made: list[bytes] = []
        parts: list[bytes] = []
        size, begin, last = 0, after_seq, after_seq
        while at < len(self._kept) and self._kept[at].previous_seq < end_seq:
            sent = self._kept[at]
            if parts and size + len(sent.updates) > ANSWER_BYTES:
                made.append(b"".join((*parts, span_of(epoch, begin, last))))
                parts, size, begin = [], 0, last
            parts.append(sent.updates)
            size, last = size + len(sent.updates), sent.seq
            at += 1
        made.append(b"".join((*parts, span_of(epoch, begin, last))))
        return made
