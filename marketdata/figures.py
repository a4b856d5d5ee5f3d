"""What a feed measures: how far it is, what it makes, for how many, and what that costs."""

import time
from collections.abc import Sequence
from typing import Final

from lockstep.runtime.metrics.families import Families, counter, gauge, histogram
from lockstep.runtime.metrics.tally import Latencies
from lockstep.runtime.transport import DriverState, Transport
from lockstep.stream.messages import Release
from lockstep.v1 import cluster_pb2

_COUNTERS: Final = (
    ("updates", "Updates made, each once for all its readers."),
    ("deliveries", "Updates handed to readers."),
    ("catch_ups", "Readers brought to the present: that joined, came back, or were slow."),
    ("recovered", "Streams that went on behind what their reader had."),
    ("not_recovered", "Streams that began anew, though their reader had something."),
    ("slow", "Readers that were closed because they took nothing."),
    ("handshakes_refused", "WebSocket handshakes refused: too many a second, or connections in all."),
    ("frames", "Frames written."),
    ("frame_bytes", "Bytes of them."),
    ("snapshots", "Snapshots made."),
    ("datagrams", "Datagrams of the line sent."),
    ("datagrams_dropped", "Datagrams that nobody was there for, or too many at once."),
    ("datagrams_too_long", "Datagrams whose updates did not fit: receivers fetch them."),
    ("gaps", "Gaps in the releases, fetched from an engine."),
    ("damaged_frames", "Frames of the cluster that were damaged."),
)
_GAUGES: Final = (
    ("readers", "Readers connected."),
    ("streams", "Streams reported."),
    ("orders", "Orders in the books."),
    ("line_kept_bytes", "Bytes of the line that can be had again."),
)


class FeedFigures:
    """Plain numbers of one feed process; see the module."""

    __slots__ = ("_released_ns", "events", "folded", "stamp")

    def __init__(self) -> None:
        self.stamp = Latencies()
        self.folded = Latencies()
        self.events = 0
        self._released_ns = 0

    def on_releases(self, releases: Sequence[Release]) -> None:
        """Frames came."""
        if releases:
            self._released_ns = time.monotonic_ns()
        for release in releases:
            if release.count:
                self.stamp.add(max(0, time.time_ns() - int(release.events["timestamp_ns"][0])))
                return

    def on_folded(self, count: int, took_ns: int) -> None:
        """Events were folded, and what is reported at once was written."""
        if count:
            self.events += count
            self.folded.add(took_ns)

    def families(self, status: cluster_pb2.GetStatusReply, transport: Transport) -> Families:
        """For a scrape, from any thread."""
        counts, released_ns = status.counters, self._released_ns
        silence_ns = time.monotonic_ns() - released_ns if released_ns else 0
        yield gauge("lockstep_role", "Role code, as in lockstep.v1.Role: 8 serving, 9 waiting.", status.role)
        yield gauge("lockstep_epoch", "Highest epoch under which events were released.", status.epoch)
        yield gauge("lockstep_feed_serving", "1: has caught up, and takes readers.", status.role == 8)
        yield gauge("lockstep_feed_reported_seq", "Last seq that was reported.", status.seq)
        yield gauge(
            "lockstep_driver_up", "1: the media driver is attached and beats.", transport.state is DriverState.LIVE
        )
        yield gauge(
            "lockstep_feed_release_silence_seconds",
            "Since the primary was last heard; it speaks every 10 ms even when nothing happens.",
            silence_ns / 1e9,
        )
        yield histogram(
            "lockstep_feed_stamp_to_receive_seconds",
            "From the sequencer's stamp to the released events' arrival, by burst; the oldest counts; needs one clock "
            "or synchronised ones.",
            self.stamp,
        )
        yield histogram(
            "lockstep_feed_fold_seconds",
            "To take in a burst of events, and to write what is reported at once.",
            self.folded,
        )
        yield counter("lockstep_feed_events_total", "Events taken in.", self.events)
        for name, text in _COUNTERS:
            yield counter(f"lockstep_feed_{name}_total", text, counts.get(name, 0))
        for name, text in _GAUGES:
            yield gauge(f"lockstep_feed_{name}", text, counts.get(name, 0))
