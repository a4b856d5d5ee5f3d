"""What a snapshotter shows: how far it follows the journal, the newest snapshot, and whether one is late.

`SnapshotterFigures` is called by its one thread; `families` by scrapes, also in the middle of a long replay.
"""

import time

from lockstep.runtime.metrics.families import Families, counter, gauge


class SnapshotterFigures:
    """Plain numbers of one snapshotter process; see the module."""

    __slots__ = ("_wanted_ns", "committed_seq", "duration_ns", "faults", "following", "hurries", "replayed_seq",
                 "seq", "size_bytes", "taken", "taken_ns", "tip_seq")  # fmt: skip

    def __init__(self) -> None:
        self.following = False
        """Whether it reads its engine's journal."""
        self.tip_seq = 0
        """Last seq in that journal."""
        self.replayed_seq = 0
        self.seq = 0
        """Of the newest verified snapshot; 0: there is none."""
        self.taken_ns = 0
        """When that was written, Unix time."""
        self.size_bytes = 0
        self.duration_ns = 0
        """What the last one took that this process made: replay, writing and verification."""
        self.taken = 0
        self.faults = 0
        self.hurries = False
        """A snapshot is so late that it does not give way to other processes any more."""
        self._wanted_ns = 0

    def on_looked(self, tip_seq: int, *, wanted: bool, now_ns: int) -> None:
        """The journal has come so far. `wanted`: a snapshot is due, or asked for. `now_ns`: the monotonic clock."""
        self.following = True
        self.tip_seq = tip_seq
        self._wanted_ns = (self._wanted_ns or now_ns) if wanted else 0

    def on_newest(self, seq: int, taken_ns: int, size_bytes: int) -> None:
        """There is this verified snapshot; it is the newest."""
        self.seq, self.taken_ns, self.size_bytes = seq, taken_ns, size_bytes

    def on_taken(self, duration_ns: int) -> None:
        """One more was taken and verified."""
        self.taken += 1
        self.duration_ns = duration_ns
        self._wanted_ns = 0

    def on_fault(self, now_ns: int) -> None:
        """The journal or a snapshot could not be read: nothing can be taken until it can."""
        self.faults += 1
        self.following = False
        self._wanted_ns = self._wanted_ns or now_ns

    def waiting_ns(self, now_ns: int) -> int:
        """How long a snapshot has been due; 0: none is."""
        wanted_ns = self._wanted_ns
        return now_ns - wanted_ns if wanted_ns else 0

    def families(self) -> Families:
        """For a scrape, from any thread."""
        waiting_ns = self.waiting_ns(time.monotonic_ns())
        yield gauge("lockstep_snapshotter_hurries", "1: a snapshot is late: it gives way no more.", self.hurries)
        yield gauge("lockstep_snapshotter_following", "1: it reads its engine's journal.", self.following)
        yield gauge(
            "lockstep_snapshotter_replayed_seq", "Last seq that its own engine has executed.", self.replayed_seq
        )
        yield gauge(
            "lockstep_snapshotter_behind_commands",
            "Journaled commands that no verified snapshot holds: what a start would replay.",
            max(0, self.tip_seq - self.seq),
        )
        yield gauge(
            "lockstep_snapshotter_overdue_seconds",
            "For how long a snapshot has been due, or asked for, and not taken; 0: none is.",
            waiting_ns / 1e9,
        )
        yield gauge("lockstep_snapshotter_snapshot_seq", "Seq of the newest verified snapshot; 0: none.", self.seq)
        yield gauge(
            "lockstep_snapshotter_snapshot_time_seconds",
            "When it was written, Unix time; 0: none.",
            self.taken_ns / 1e9,
        )
        yield gauge("lockstep_snapshotter_snapshot_bytes", "Its size.", self.size_bytes)
        yield gauge(
            "lockstep_snapshotter_last_duration_seconds",
            "What the last one took: replay, writing, verification. 0: none was taken since the start.",
            self.duration_ns / 1e9,
        )
        yield counter("lockstep_snapshotter_snapshots_total", "Snapshots taken and verified.", self.taken)
        text = "How often the journal or a snapshot could not be read; a new or moved journal counts, too."
        yield counter("lockstep_snapshotter_faults_total", text, self.faults)
