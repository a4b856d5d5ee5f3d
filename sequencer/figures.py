"""What a sequencer measures: intake to stamp, stamp to commit, takeovers, positions, engines, etcd and the driver.

`SequencerFigures` is called by the loop, once for each frame or turn; `families` by scrapes, which read single
attributes of the machine and never walk through anything that the loop changes.
"""

import time
from typing import TYPE_CHECKING

from lockstep.runtime.metrics.families import Families, counter, counters, gauge, gauges, histogram
from lockstep.runtime.metrics.tally import Latencies, Passage
from lockstep.runtime.transport import DriverState
from lockstep.sequencer.events import EpochCause
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.states import State
from lockstep.stream.messages import Stream, Submit
from lockstep.stream.records import CONTROL, CommandKind
from lockstep.v1 import cluster_pb2

if TYPE_CHECKING:
    from lockstep.sequencer.reign import Reign
    from lockstep.sequencer.shell import Wires
    from lockstep.sequencer.store_link import StoreLink

_SECOND = 1_000_000_000
ROLES = {
    State.CANDIDATE: cluster_pb2.ROLE_CANDIDATE,
    State.LEADER: cluster_pb2.ROLE_LEADER,
    State.HALTED: cluster_pb2.ROLE_DIVERGED,
}


class SequencerFigures:
    """Plain numbers of one sequencer process; see the module."""

    __slots__ = (
        "_came_ns",
        "_claim_ns",
        "_committed",
        "_epoch",
        "_state",
        "_tip",
        "bad_frames",
        "batches",
        "commands",
        "commit",
        "epochs",
        "stamp",
        "takeover",
        "way",
    )

    def __init__(self) -> None:
        self.way = Latencies()
        self.stamp = Latencies()
        self.commit = Passage()
        self.takeover = Latencies()
        self.commands = 0
        self.batches = 0
        self.bad_frames = 0
        self.epochs = dict.fromkeys((cause.name.lower() for cause in EpochCause), 0)
        self._state = State.CANDIDATE
        self._came_ns = 0  # when the oldest command that waits to be stamped came; 0: none waits
        self._claim_ns = 0
        self._tip = self._committed = self._epoch = 0

    def on_submit(self, frame: Submit) -> None:
        """Commands came in."""
        received_ns = int(frame.records["received_ns"][0]) if frame.count else 0
        if received_ns:
            self.way.add(max(0, time.time_ns() - received_ns), frame.count)
        if not self._came_ns:
            self._came_ns = time.monotonic_ns()

    def on_stream(self, frame: Stream) -> None:
        """A STREAM frame is sent. Those sent again, and those of former reigns, don't count."""
        stamped = frame.batch
        if not stamped.count or stamped.epoch != frame.leader_epoch or stamped.first_seq <= self._tip:
            return
        now_ns = time.monotonic_ns()
        self._tip = stamped.last_seq
        self.commands += stamped.count
        self.batches += 1
        if self._came_ns:
            self.stamp.add(now_ns - self._came_ns, stamped.count)
        self.commit.enter(stamped.last_seq, now_ns, stamped.count)
        if stamped.epoch != self._epoch:
            self._epoch = stamped.epoch
            first = stamped.records[:1].view(CONTROL)
            if first["kind"][0] == CommandKind.EPOCH_START:
                cause = EpochCause(int(first["cause"][0])).name.lower()
                self.epochs[cause] += 1

    def on_turn(self, machine: SequencerMachine) -> None:
        """One turn of the loop is over."""
        reign = machine.reign
        if machine.state is not self._state:
            self._on_state(machine.state)
        if reign is None:
            self._came_ns = 0
            return
        if not reign.intake.queued:
            self._came_ns = 0
        if reign.agreement.committed != self._committed:
            self._committed = reign.agreement.committed
            self.commit.leave(self._committed, time.monotonic_ns())

    def _on_state(self, state: State) -> None:
        if self._state is State.CANDIDATE:
            self._claim_ns = time.monotonic_ns()
        if state is State.LEADER:
            self.takeover.add(time.monotonic_ns() - self._claim_ns)
        if self._state is State.LEADER:
            self._tip = self._committed = 0
            self.commit.clear()
        self._state = state

    def families(
        self, machine: SequencerMachine, wires: "Wires", store: "StoreLink", engines: tuple[int, ...]
    ) -> Families:
        """For a scrape, from any thread."""
        reign = machine.reign
        role = ROLES.get(machine.state, cluster_pb2.ROLE_TAKING_OVER)
        yield gauge("lockstep_role", "Role code, as in lockstep.v1.Role: 1 candidate, 2 taking over, 3 leader.", role)
        yield gauge("lockstep_epoch", "Epoch that this sequencer knows or leads.", machine.epoch)
        yield gauge("lockstep_sequencer_leads", "1: stamps commands.", reign is not None)
        yield gauge(
            "lockstep_sequencer_clock_ahead_seconds",
            "How far this host's clock is ahead of most clocks of sequencers and engines; negative: behind.",
            machine.clock.apart_ns / _SECOND,
        )
        yield gauge("lockstep_etcd_up", "1: this sequencer holds its lease, so etcd answers.", store.reachable)
        yield gauge(
            "lockstep_etcd_config_usable",
            "1: what etcd's config key holds can be built on; 0: it can't be read, is gone or another cluster's, and "
            "the last good record stays in force.",
            not machine.config_store.fault,
        )
        yield gauge(
            "lockstep_driver_up",
            "1: the media driver is attached and beats.",
            wires.transport.state is DriverState.LIVE,
        )
        yield from self._hops()
        yield counter("lockstep_sequencer_commands_total", "Commands stamped.", self.commands)
        yield counter("lockstep_sequencer_batches_total", "Batches stamped.", self.batches)
        yield counters(
            "lockstep_sequencer_epochs_total", "Epochs begun by this sequencer, by cause.", "cause", self.epochs
        )
        yield counter("lockstep_sequencer_bad_frames_total", "Frames that were damaged.", self.bad_frames)
        yield counter(
            "lockstep_sequencer_link_drops_total",
            "Frames dropped because a link's queue was full.",
            sum(link.dropped for link in wires.streams.values()),
        )
        if reign is not None:
            yield gauge(
                "lockstep_sequencer_stamp_time_seconds",
                "Unix time that a command would be stamped with now.",
                max(reign.window.time_ns, machine.clock.at(time.monotonic_ns())) / _SECOND,
            )
            yield from _of_reign(reign, engines)

    def _hops(self) -> Families:
        """What takes how long."""
        yield histogram(
            "lockstep_sequencer_receive_to_intake_seconds",
            "From the gateway's receipt of a command to the leader's, by command; the frame's oldest counts; needs one "
            "clock or synchronised ones.",
            self.way,
        )
        yield histogram(
            "lockstep_sequencer_intake_to_stamp_seconds",
            "From intake to stamp, by command; the burst's oldest counts.",
            self.stamp,
        )
        yield histogram(
            "lockstep_sequencer_stamp_to_commit_seconds",
            "From stamp to the leader's knowing that all in-sync engines have acknowledged, by "
            "command. The leader is not woken for acknowledgements: engines release sooner.",
            self.commit.latencies,
        )
        yield histogram(
            "lockstep_sequencer_takeover_seconds",
            "From the decision to claim the lead until open for commands.",
            self.takeover,
        )


def _of_reign(reign: "Reign", engines: tuple[int, ...]) -> Families:
    """Only the leader has these."""
    tip, agreement, config = reign.window.tip, reign.agreement, reign.config
    acked = {f"engine-{engine}": agreement.acked.get(engine, 0) for engine in engines}
    in_sync = {f"engine-{engine}": int(engine in config.in_sync) for engine in engines}
    yield gauge("lockstep_sequencer_seq", "Last seq stamped.", tip)
    yield gauge(
        "lockstep_sequencer_committed_seq",
        "Last seq that all in-sync engines have acknowledged alike.",
        agreement.committed,
    )
    yield gauge("lockstep_sequencer_queued", "Commands admitted and not yet stamped.", reign.intake.queued)
    yield gauge("lockstep_sequencer_credit", "Commands that each gateway may send now.", reign.credit)
    yield gauge(
        "lockstep_digests_equal",
        "1: all in-sync engines have acknowledged the same digests; 0: they differ, and nothing more is committed.",
        not agreement.diverged,
    )
    yield gauge("lockstep_sequencer_primary", "Id of the primary engine.", config.primary)
    yield gauge("lockstep_sequencer_in_sync_engines", "Engines that a commit needs.", len(config.in_sync))
    yield gauge("lockstep_sequencer_configured_engines", "Engines in the cluster's configuration.", len(engines))
    yield gauges("lockstep_sequencer_engine_in_sync", "1: a commit needs this engine.", "engine", in_sync)
    yield gauges(
        "lockstep_sequencer_engine_lag",
        "Commands stamped that the engine has not acknowledged.",
        "engine",
        {name: max(0, tip - seq) for name, seq in acked.items()},
    )
    yield counter("lockstep_sequencer_resent_frames_total", "Frames sent again on request.", reign.resent)
    yield counter("lockstep_sequencer_submit_duplicates_total", "Commands that came twice.", reign.intake.duplicates)
    yield counter(
        "lockstep_sequencer_submit_gaps_total", "Frames from gateways that came too early.", reign.intake.gaps
    )
