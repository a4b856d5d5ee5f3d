"""Streams: what is reported of one source, at one pace, to all who follow it at that pace. Pure.

Each update is made once and handed to all. A reader that is at another seq than the stream (it joins, it comes back, it
was slow) is caught up with what changed since its own, made once for all who are there; until then it gets nothing of
the stream. So there is no queue for anybody: what a reader lacks is a seq.
"""

from typing import Final

from lockstep.marketdata.feed_encoding import encode_head, frame_of
from lockstep.marketdata.feed_sources import Reach, Source

NOTHING_YET: Final = -1
"""Position of a reader that has nothing of a stream."""
MAX_KEPT_BYTES: Final = 64 << 20
_MAX_CATCH_UPS: Final = 256


class Snapshots:
    """Snapshots of sources as bytes, made once and kept while the source stays as it is; in bounded memory."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int, int, int], tuple[int, int, bytes]] = {}
        self._bytes = 0
        self.made = 0

    def of(self, source: Source, epoch: int, timestamp_ns: int) -> bytes:
        """The snapshot, as (a part of) a frame; its `last_seq` is `source.changed()`."""
        changed = source.changed()
        key = source.instrument, source.feed, source.depth, source.candle_s
        known = self._kept.get(key)
        if known is not None:
            if known[:2] == (changed, epoch):
                return known[2]
            self._bytes -= len(known[2])
            del self._kept[key]
        frame = _frame(source, source.whole(), epoch, timestamp_ns, first=1, last=changed, previous=0, snapshot=True)
        self.made += 1
        if self._bytes + len(frame) > MAX_KEPT_BYTES:
            self._kept.clear()
            self._bytes = 0
        self._kept[key] = (changed, epoch, frame)
        self._bytes += len(frame)
        return frame


def _frame(
    source: Source, content: bytes, epoch: int, timestamp_ns: int, *, first: int, last: int, previous: int,
    snapshot: bool,
) -> bytes:  # fmt: skip
    head = encode_head(
        instrument=source.instrument,
        feed=source.feed,
        depth=source.depth,
        candle_s=source.candle_s,
        epoch=epoch,
        first_seq=first,
        last_seq=last,
        previous_last_seq=previous,
        timestamp_ns=timestamp_ns,
        checksum=source.checksum(),
        snapshot=snapshot,
    )
    return frame_of(head, content)


class Stream[R]:
    """One source at one pace. Invariant: every reader that is not set apart has it as of `published`."""

    __slots__ = ("_catch_ups", "_catch_ups_of", "_looked", "_reach", "_shown", "interval_ms", "key", "on_line",
                 "published", "readers", "source")  # fmt: skip

    def __init__(self, key: tuple[int, int, int, int], source: Source) -> None:
        """`key`: instrument, feed, depth or candle length, interval in ms."""
        self.key = key
        self.source = source
        self.interval_ms = key[3]
        self.readers: dict[R, None] = {}
        self.on_line = False
        """It is reported whether it has readers or not: it is part of the feed's line."""
        self.published = self._looked = source.changed()
        self._reach: Reach | None = source.reach()
        self._shown = source.whole() if source.latest else b""
        self._catch_ups: dict[int, tuple[bytes, bool]] = {}
        self._catch_ups_of = (0, 0)

    def publish(self, snapshots: Snapshots, epoch: int, timestamp_ns: int) -> bytes:
        """What is reported to all: (a part of) a frame; empty if nothing has changed for them."""
        source = self.source
        changed = source.changed()
        if changed <= self._looked:
            return b""
        content = source.since(self._looked, self._reach)
        self._looked = changed
        self._reach = source.reach()
        if content is not None and (not content or (source.latest and content == self._shown)):
            return b""
        if source.latest:
            self._shown = content or b""
        previous, self.published = self.published, changed
        if content is None:
            return snapshots.of(source, epoch, timestamp_ns)
        return _frame(
            source, content, epoch, timestamp_ns, first=previous + 1, last=changed, previous=previous, snapshot=False
        )

    def catch_up(self, seq: int, snapshots: Snapshots, epoch: int, timestamp_ns: int) -> tuple[bytes, int, bool]:
        """For a reader that has the stream as of `seq`: (a part of) a frame, up to where it has it then, and whether
        it misses nothing. A snapshot if what changed since is not known, or is no shorter."""
        source = self.source
        changed = source.changed()
        if seq >= changed:
            return b"", seq, True
        if seq == NOTHING_YET:
            return snapshots.of(source, epoch, timestamp_ns), changed, False
        if self._catch_ups_of != (changed, epoch) or len(self._catch_ups) >= _MAX_CATCH_UPS:
            self._catch_ups.clear()
            self._catch_ups_of = changed, epoch
        found = self._catch_ups.get(seq)
        if found is None:
            content = source.since(seq, None)
            if content is None:
                found = snapshots.of(source, epoch, timestamp_ns), False
            else:
                frame = _frame(
                    source, content, epoch, timestamp_ns, first=seq + 1, last=changed, previous=seq, snapshot=False
                )
                found = frame, True
            self._catch_ups[seq] = found
        return found[0], changed, found[1]
