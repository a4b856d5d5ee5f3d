"""What a gateway measures: intake, the whole way of a command, gaps at failovers, refusals, clients.

`GatewayFigures` is called by the shell, once for each burst; `families` by scrapes.
"""

import time
from collections.abc import Sequence
from typing import Final

from lockstep.gateway.sessions import Admission, SessionTable
from lockstep.runtime.metrics.families import Families, counter, counters, gauge, histogram
from lockstep.runtime.metrics.tally import Latencies
from lockstep.runtime.transport import DriverState, Transport
from lockstep.stream.codes import Code
from lockstep.stream.messages import Receipt, Release
from lockstep.stream.records import Commands
from lockstep.v1 import cluster_pb2

_UNDER_WAY: Final = 65_536
_COUNTERS: Final = (
    ("commands", "Commands admitted.", "commands"),
    ("reports", "Reports given to clients' streams.", "reports"),
    ("send_failures", "Frames that the way to the sequencer did not take.", "send_failures"),
    ("resent", "Frames sent again.", "entries_resent"),
    ("fetches", "Gaps in the releases, fetched from an engine.", "gaps"),
    ("damaged_frames", "Frames that were damaged.", "damaged_frames"),
    ("soup_packets", "Packets that clients of the binary door sent.", "soup_packets"),
    ("soup_logins", "Logins to sessions at the binary door.", "soup_logins"),
    ("soup_turned_away", "Connections to the binary door for which there was no room.", "soup_turned_away"),
    ("fix_messages", "Application messages that clients of the FIX door sent.", "fix_messages"),
    ("fix_logons", "Logons to sessions at the FIX door.", "fix_logons"),
    ("fix_turned_away", "Connections to the FIX door for which there was no room.", "fix_turned_away"),
)
_GAUGES: Final = (
    ("unanswered", "Commands admitted and not answered."),
    ("sessions", "Sessions known."),
    ("streams", "Client streams open."),
    ("subscribers", "Market data subscribers."),
    ("soup_connections", "Connections to the binary door."),
    ("fix_connections", "Connections to the FIX door."),
)


class GatewayFigures:
    """Plain numbers of one gateway process; see the module."""

    __slots__ = (
        "_came_ns",
        "_delivery_ns",
        "_epoch",
        "_released_ns",
        "_under_way",
        "delivery",
        "events",
        "gap",
        "last_gap_ns",
        "refusals",
        "report",
        "stamp",
        "store",
    )

    def __init__(self) -> None:
        self.store = Latencies()
        self.stamp = Latencies()
        self.delivery = Latencies()
        self.report = Latencies()
        self.gap = Latencies()
        self.last_gap_ns = 0
        self.events = 0
        self.refusals = dict.fromkeys((code.name.lower() for code in Code if 1000 <= code < 3000), 0)
        self._delivery_ns = 0  # when the oldest events that wait for their delivery came; 0: none wait
        self._came_ns = 0  # when the oldest command that waits for its frame came; 0: none waits
        self._under_way: dict[tuple[int, int], tuple[int, int]] = {}
        self._epoch = 0
        self._released_ns = 0

    def on_submit(self, admission: Admission) -> None:
        """Commands of one message were admitted or refused."""
        if not self._came_ns and (admission.taken or admission.repeated):
            self._came_ns = time.monotonic_ns()
        if admission.refused is not None:
            self.refusals[admission.refused.code.name.lower()] += 1

    def on_stored(self, entries: Sequence[tuple[int, Commands]]) -> None:
        """The intake log has them."""
        now_ns = time.monotonic_ns()
        came_ns, self._came_ns = self._came_ns or now_ns, 0
        for _key, records in entries:
            self.store.add(now_ns - came_ns, len(records))
            if len(self._under_way) < _UNDER_WAY:
                last = records[-1]
                self._under_way[int(last["session_id"]), int(last["session_no"])] = came_ns, len(records)

    def on_frames(self, frames: Sequence[Receipt | Release]) -> None:
        """Frames came; a RELEASE of a new epoch ends the silence that a failover causes."""
        now_ns = time.monotonic_ns()
        for frame in frames:
            if isinstance(frame, Release) and frame.epoch >= self._epoch:
                if frame.epoch > self._epoch:
                    if self._epoch:
                        self.last_gap_ns = now_ns - self._released_ns
                        self.gap.add(self.last_gap_ns)
                    self._epoch = frame.epoch
                self._released_ns = now_ns
                if frame.count and not self._delivery_ns:
                    self._delivery_ns = now_ns
                    self.stamp.add(max(0, time.time_ns() - int(frame.events["timestamp_ns"][0])))

    def on_delivered(self, events: int, sessions: SessionTable) -> None:
        """Events were handed to the clients' streams."""
        self.events += events
        if self._delivery_ns:
            self.delivery.add(time.monotonic_ns() - self._delivery_ns)
            self._delivery_ns = 0
        under_way = self._under_way
        now_ns = 0
        while under_way:
            oldest = next(iter(under_way))
            session = sessions.get(oldest[0])
            if session is not None and session.answered < oldest[1]:
                return
            now_ns = now_ns or time.monotonic_ns()
            came_ns, count = under_way.pop(oldest)
            if session is not None:
                self.report.add(now_ns - came_ns, count)

    def families(self, status: cluster_pb2.GetStatusReply, transport: Transport) -> Families:
        """For a scrape, from any thread."""
        counts, released_ns = status.counters, self._released_ns
        silence_ns = time.monotonic_ns() - released_ns if released_ns else 0
        yield gauge("lockstep_role", "Role code, as in lockstep.v1.Role: 8 serving, 9 waiting.", status.role)
        yield gauge("lockstep_epoch", "Highest epoch under which events were released.", status.epoch)
        yield gauge("lockstep_gateway_serving", "1: takes orders.", status.role == cluster_pb2.ROLE_SERVING)
        yield gauge("lockstep_gateway_delivered_seq", "Last seq whose events were delivered.", status.seq)
        yield gauge(
            "lockstep_driver_up", "1: the media driver is attached and beats.", transport.state is DriverState.LIVE
        )
        yield gauge(
            "lockstep_gateway_release_silence_seconds",
            "Since the primary was last heard; it speaks every 10 ms even when nothing happens.",
            silence_ns / 1e9,
        )
        yield histogram(
            "lockstep_gateway_receive_to_intake_seconds",
            "From a client's message to the intake log, by command; the burst's oldest counts.",
            self.store,
        )
        yield histogram(
            "lockstep_gateway_stamp_to_receive_seconds",
            "From the sequencer's stamp to the released events' arrival, by burst; the oldest counts; needs one clock "
            "or synchronised ones.",
            self.stamp,
        )
        yield histogram(
            "lockstep_gateway_receive_to_delivery_seconds",
            "From the released events' arrival until they are with the clients' streams, by burst; the oldest counts.",
            self.delivery,
        )
        yield histogram(
            "lockstep_gateway_submit_to_report_seconds",
            "From a client's message to its reports, by command; the burst's oldest counts.",
            self.report,
        )
        yield histogram(
            "lockstep_gateway_epoch_gap_seconds",
            "Silence of releases before the first one of each new epoch: the gap of a failover.",
            self.gap,
        )
        yield gauge("lockstep_gateway_last_gap_seconds", "The newest of these gaps.", self.last_gap_ns / 1e9)
        yield counter("lockstep_gateway_events_total", "Events delivered.", self.events)
        yield counters(
            "lockstep_gateway_refusals_total",
            "Messages not admitted, by code; clients come again.",
            "code",
            self.refusals,
        )
        for name, text, key in _COUNTERS:
            yield counter(f"lockstep_gateway_{name}_total", text, counts[key])
        for name, text in _GAUGES:
            yield gauge(f"lockstep_gateway_{name}", text, counts[name])
