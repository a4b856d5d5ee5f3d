"""What an engine measures: journal, apply, acknowledgement to release, positions, and the business figures.

`EngineFigures` is called by the replica's loop, once for each journal write or release; `families` by scrapes.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lockstep.replica.effects import AppliedBatch, Role
from lockstep.runtime.metrics.families import Families, counter, counters, gauge, histogram
from lockstep.runtime.metrics.tally import Latencies, Passage
from lockstep.runtime.metrics.trading import TradingTally
from lockstep.runtime.transport import DriverState, Transport
from lockstep.stream.arrival import MAX_EPOCH
from lockstep.stream.messages import Release, Stream

if TYPE_CHECKING:
    from lockstep.replica.view import ReplicaView


class EngineFigures:
    """Plain numbers of one engine process; see the module."""

    __slots__ = ("apply", "batches", "commands", "journal", "receive", "release", "stamp_to_release", "trading")

    def __init__(self) -> None:
        self.receive = Latencies()
        self.journal = Latencies()
        self.apply = Latencies()
        self.commands = 0
        self.batches = 0
        self.release = Passage()
        self.trading = TradingTally()
        self.stamp_to_release = Latencies()

    def on_received(self, frames: Sequence[Stream]) -> None:
        """A burst of STREAM frames came. Those that the leader sends again, of another reign, say nothing of now."""
        for frame in frames:
            if frame.batch.count and frame.batch.epoch == frame.leader_epoch:
                self.receive.add(max(0, time.time_ns() - frame.batch.timestamp_ns))
                return

    def on_acked(self, applied: Sequence[AppliedBatch], role: Role) -> None:
        """Batches were applied and acknowledged."""
        count = applied[-1].last_seq - applied[0].first_seq + 1
        self.commands += count
        self.batches += len(applied)
        if role is Role.PRIMARY:
            self.release.enter(applied[-1].last_seq, time.monotonic_ns(), count)
        else:
            self.release.clear()

    def on_released(self, releases: Sequence[Release]) -> None:
        """The primary released frames; empty ones, too."""
        full = [frame.events for frame in releases if frame.count]
        if full:
            now_ns = time.monotonic_ns()
            self.release.leave(releases[-1].last_seq, now_ns)
            self.stamp_to_release.add(max(0, time.time_ns() - int(full[0]["timestamp_ns"][0])))
            for events in full:
                self.trading.add(events, now_ns)

    def families(self, seen: "ReplicaView", transport: Transport, damage: str = "") -> Families:
        """For a scrape, from any thread.

        `seen` is what the loop published last, `damage` what is known to be wrong with what is stored.
        """
        yield gauge(
            "lockstep_role",
            "Role code, as in lockstep.v1.Role: 4 learner, 5 standby, 6 primary, 7 diverged.",
            int(seen.role),
        )
        # What a former primary had not released is another one's business.
        waiting_ns = self.release.oldest_ns(time.monotonic_ns()) if seen.role is Role.PRIMARY else 0
        yield gauge("lockstep_epoch", "Epoch of the newest applied record.", seen.epoch)
        yield gauge("lockstep_engine_promised_epoch", "Highest epoch promised to a sequencer.", seen.promised)
        yield gauge(
            "lockstep_engine_promise_usable",
            "0: the promise is for an epoch that no sequencer can have asked for, and the engine obeys nobody.",
            seen.promised <= MAX_EPOCH,
        )
        yield gauge(
            "lockstep_engine_stored_damaged",
            "1: some of what is stored is damaged; what the engine has in memory is right.",
            bool(damage),
        )
        yield gauge("lockstep_engine_in_sync", "1: the stream requires this engine's acknowledgement.", seen.in_sync)
        yield gauge(
            "lockstep_engine_diverged",
            "1: computed something else than its peers and has stopped.",
            seen.role is Role.DIVERGED,
        )
        yield gauge("lockstep_engine_applied_seq", "Last seq journaled and applied.", seen.applied_seq)
        yield gauge("lockstep_engine_committed_seq", "Last seq known to be committed.", seen.committed_seq)
        yield gauge(
            "lockstep_engine_release_waiting_seconds",
            "For how long the oldest applied command of the primary has waited for its release; 0: none waits.",
            waiting_ns / 1e9,
        )
        yield gauge(
            "lockstep_driver_up", "1: the media driver is attached and beats.", transport.state is DriverState.LIVE
        )
        yield from self._hops()
        yield counter("lockstep_engine_commands_total", "Commands applied.", self.commands)
        yield counter("lockstep_engine_batches_total", "Stamped batches applied.", self.batches)
        text = "Frames that were not used, by why."
        yield counters("lockstep_engine_frames_lost_total", text, "why", dict(seen.counters))
        yield from self.trading.families()

    def _hops(self) -> Families:
        """What takes how long."""
        yield histogram(
            "lockstep_engine_stamp_to_receive_seconds",
            "From the sequencer's stamp to the engine, by burst; the oldest counts; needs one clock or synchronised "
            "ones.",
            self.receive,
        )
        yield histogram(
            "lockstep_engine_journal_write_seconds", "One journal write of a burst, sync included.", self.journal
        )
        yield histogram("lockstep_engine_apply_seconds", "Applying one journaled burst.", self.apply)
        yield histogram(
            "lockstep_engine_ack_to_release_seconds",
            "From the primary's own acknowledgement to the release, by command; the burst's oldest counts.",
            self.release.latencies,
        )
        yield histogram(
            "lockstep_engine_stamp_to_release_seconds",
            "From the sequencer's stamp to the release, by burst; needs one clock or synchronised ones.",
            self.stamp_to_release,
        )
