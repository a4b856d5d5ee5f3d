"""The sequencer's I/O around its state machine: one loop that polls, steps, and carries the effects out.

All links, watches and the machine belong to the loop's thread. Other threads (etcd, gRPC) put events and questions into
one inbox. The loop sleeps on its doorbell, which the peers on this host, the inbox and the liveness links ring.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from lockstep.runtime import watch
from lockstep.runtime.doorbell import Doorbell
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.topology import ProcessKind
from lockstep.runtime.transport import DriverState, DriverUnavailable, InboundLink, OutboundLink, Transport
from lockstep.runtime.watch_set import WatchSet
from lockstep.sequencer import events as ev
from lockstep.sequencer.clock import LOOK_NS
from lockstep.sequencer.engine_calls import EngineCalls
from lockstep.sequencer.figures import SequencerFigures
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.operations import OperatorAsked, StatusAsked
from lockstep.sequencer.status import fill_status, role_of
from lockstep.sequencer.store_link import Inbox, StoreLink
from lockstep.stream.arrival import decode_from
from lockstep.stream.frames import Frame, FrameError, FrameType, encode_frame
from lockstep.stream.told import NOTHING_TOLD, Told
from lockstep.v1 import cluster_pb2

_FRAGMENTS_PER_POLL: Final = 64
_REBUILD_NS: Final = 100_000_000
MUTE_FLAG: Final = 1
"""In a sequencer's heartbeats: its media driver is lost."""
# Nothing that the peers send to this process' own server is urgent.
_WATCH_NS: Final = 2_000_000
_MS: Final = 1_000_000
_DOWN: Final = {
    watch.DownReason.EOF: ev.Down.EOF,
    watch.DownReason.HANG: ev.Down.HANG,
    watch.DownReason.REFUSED: ev.Down.UNREACHED,
    watch.DownReason.PROTOCOL: ev.Down.UNREACHED,
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that the loop polls or sends on."""

    transport: Transport
    streams: dict[int, OutboundLink]
    receipts: dict[int, OutboundLink]
    acks: dict[int, InboundLink]
    submits: dict[int, InboundLink]
    watches: WatchSet
    watch_server: watch.WatchServer
    peers: dict[str, tuple[ProcessKind, int]]
    """Watched peers by name."""


class SequencerShell:
    """One sequencer process's loop."""

    def __init__(
        self,
        machine: SequencerMachine,
        ports: Ports,
        store: StoreLink,
        engines: EngineCalls,
        inbox: Inbox,
        *,
        bell: Doorbell,
        logger: ProcessLog,
        identity: cluster_pb2.GetStatusReply,
    ) -> None:
        self._machine = machine
        self._ports = ports
        self._store = store
        self._engines = engines
        self._inbox = inbox
        self._bell = bell
        self._logger = logger
        self._identity = identity
        self._now_ns = time.monotonic_ns()
        self.figures = SequencerFigures()
        self._asked: dict[int, Future[ev.OperatorAnswer]] = {}
        self._asked_no = 0
        self._bad_frames = 0
        self._rebuild_due_ns = 0
        self._watch_due_ns = 0
        self._look_due_ns = 0
        self._beats: dict[str, int] = {}  # of each peer, up to the last look at the clocks
        self._driver_lost = False
        self._mute: dict[str, bool] = {}  # what the machine was told of the other sequencers
        self._stalled_ns: dict[str, int] = {}  # and of the engines
        self._promised: dict[int, int] = {}  # by engine: what the machine was told that it has promised
        # Acknowledgements first: they make room for what is submitted.
        self._inbound = [
            *((link, partial(self._on_ack, engine)) for engine, link in ports.acks.items()),
            *((link, partial(self._on_submit, gateway)) for gateway, link in ports.submits.items()),
        ]

    def run(self, stopping: Callable[[], bool]) -> None:
        """Loop until `stopping` says so. Raises EnvironmentFault, BrokenInvariant."""
        while not stopping():
            self._bell.idle(self.turn())

    def turn(self) -> int:
        """One cycle: poll everything, stamp, send; returns how many events came."""
        monotonic_ns = time.monotonic_ns()
        self._now_ns = monotonic_ns
        ports, machine = self._ports, self._machine
        work = self._drain_inbox()
        for peer_event in ports.watches.poll(monotonic_ns):
            work += 1
            self._on_peer(peer_event)
        for link, on_frame in self._inbound:
            work += link.poll(on_frame, _FRAGMENTS_PER_POLL)
        if monotonic_ns >= self._look_due_ns:
            self._look_due_ns = monotonic_ns + LOOK_NS
            self._step(ev.ClocksRead(time.time_ns(), self._clocks_heard()))
        if machine.work_due or self._now_ns >= machine.due_ns:
            self._step(ev.Tick())
        self.figures.on_turn(machine)
        for outbound in ports.streams.values():
            outbound.flush()
        for outbound in ports.receipts.values():
            outbound.flush()
        if monotonic_ns >= self._watch_due_ns:
            self._watch_due_ns = monotonic_ns + _WATCH_NS
            self._announce()
            ports.watch_server.poll(monotonic_ns)
            self._look_at_peers()
            self._look_for_promises()
            self._hear_told()
        self._check_driver(monotonic_ns)
        return work

    def _announce(self) -> None:
        machine, reign = self._machine, self._machine.reign
        seq = 0 if reign is None else reign.window.tip
        config = machine.hold.config
        accepted = 0 if config is None else config.accepted_epoch
        flags = MUTE_FLAG if machine.mute else 0
        self._ports.watch_server.set_status(role_of(machine), machine.epoch, seq, accepted, flags=flags)

    def _clocks_heard(self) -> tuple[tuple[str, int], ...]:
        """What the peers' heartbeats since the last look say the time is."""
        heard = []
        for name, (kind, _member) in self._ports.peers.items():
            if kind is ProcessKind.GATEWAY:
                continue
            watch_of = self._ports.watches[name]
            if watch_of.status is not None and watch_of.beats != self._beats.get(name, 0):
                self._beats[name] = watch_of.beats
                if watch_of.status.wall_ms:
                    heard.append((name, watch_of.status.wall_ms * _MS))
        return tuple(heard)

    def _look_at_peers(self) -> None:
        for name, (kind, member) in self._ports.peers.items():
            watched = self._ports.watches[name]
            if kind is ProcessKind.ENGINE:
                stalled_ns = watched.stalled_ns - self._stalled_ns.get(name, 0)
                if stalled_ns:
                    self._stalled_ns[name] = watched.stalled_ns
                    self._step(ev.EngineStalled(member, stalled_ns))
                continue
            status = watched.status
            if status is None:
                continue
            mute = bool(status.flags & MUTE_FLAG)
            if mute is not self._mute.get(name, False):
                self._mute[name] = mute
                self._step(ev.SequencerMute(member, mute))

    def _hear_told(self) -> None:
        """How far gateways have told clients. What they tell of this very reign is no news to its leader."""
        reign = self._machine.reign
        for name, (kind, member) in self._ports.peers.items():
            watched = self._ports.watches[name]
            if kind is not ProcessKind.GATEWAY or not watched.up or watched.status is None:
                continue
            told = _told_of(watched.status)
            known = self._machine.peers.told.get(member, NOTHING_TOLD)
            if told != known and (reign is None or told.epoch < reign.office_epoch):
                self._step(ev.GatewaySaid(member, watched.status.incarnation, told))

    def _look_for_promises(self) -> None:
        for name, (kind, member) in self._ports.peers.items():
            status = self._ports.watches[name].status
            if kind is ProcessKind.ENGINE and status is not None and status.epoch != self._promised.get(member, 0):
                self._promised[member] = status.epoch
                self._step(ev.EnginePromised(member, status.epoch))

    def _step(self, event: ev.Event) -> None:
        effects = self._machine.step(event, self._now_ns)
        if effects is not ev.NOTHING:
            self._perform(effects)

    def _perform(self, effects: ev.Effects) -> None:
        ports = self._ports
        for stream in effects.streams:
            self.figures.on_stream(stream.frame)
            raw = encode_frame(stream.frame)
            for engine in stream.engines:
                ports.streams[engine].send(raw)
        for receipt in effects.receipts:
            ports.receipts[receipt.gateway].send(encode_frame(receipt.frame))
        if effects.cas is not None:
            self._store.swap(effects.cas)
        if effects.read_config:
            self._store.read()
        for fence in effects.fences:
            self._engines.fence(fence)
        if effects.fetch is not None:
            self._engines.fetch(effects.fetch)
        for answer in effects.answers:
            waiting = self._asked.pop(answer.request, None)
            if waiting is not None:
                waiting.set_result(answer)
        for line in effects.history:
            self._store.record(line)
        for note in effects.notes:
            getattr(self._logger, note.level.value)(note.what, **dict(note.fields))

    def _drain_inbox(self) -> int:
        count = 0
        for item in self._inbox.take():
            count += 1
            self._on_item(item)
        return count

    def _on_item(self, item: Any) -> None:
        if isinstance(item, Exception):
            raise item
        if isinstance(item, StatusAsked):
            item.reply.set_result(self._status())
        elif isinstance(item, OperatorAsked):
            self._asked_no += 1
            self._asked[self._asked_no] = item.reply
            self._step(item.make(self._asked_no))
        else:
            if isinstance(item, ev.FenceAnswered):
                self._hear_told()  # what a log is held against
            self._step(item)

    def _on_peer(self, event: watch.PeerEvent) -> None:
        kind, member = self._ports.peers[event.name]
        if kind is ProcessKind.GATEWAY:
            if isinstance(event, watch.PeerUp):
                self._step(ev.GatewaySaid(member, event.incarnation, _told_of(event.status)))
            elif event.reason is watch.DownReason.EOF:
                self._step(ev.GatewaySaid(member, 0))
            return
        if isinstance(event, watch.PeerUp):
            # Whoever answers a fence has told its time before.
            self._look_due_ns = 0
            epoch = event.status.epoch
            if kind is ProcessKind.ENGINE:
                self._engines.warm(member)
                self._step(ev.EngineUp(member, epoch))
            else:
                # What it says of its driver is told anew.
                self._mute.pop(event.name, None)
                self._step(ev.SequencerUp(member, epoch))
            return
        # A peer that never spoke was never reached, whatever ended the attempt.
        reason = _DOWN[event.reason] if event.incarnation else ev.Down.UNREACHED
        if kind is ProcessKind.ENGINE:
            self._step(ev.EngineDown(member, reason))
            if reason is ev.Down.EOF:
                self._ports.streams[member].clear()
        else:
            self._step(ev.SequencerDown(member, reason))

    def _on_ack(self, engine: int, raw: bytes) -> None:
        received = self._taken(raw, FrameType.ACK, engine)
        if received is not None:
            self._step(ev.AckReceived(received))

    def _on_submit(self, gateway: int, raw: bytes) -> None:
        received = self._taken(raw, FrameType.SUBMIT, gateway)
        if received is not None:
            self.figures.on_submit()
            self._step(ev.SubmitReceived(received))

    def _taken(self, raw: bytes, expected: FrameType, sender: int) -> Frame | None:
        try:
            return decode_from(raw, expected, sender)
        except FrameError as error:
            self._on_bad_frame(error)
            return None

    def _on_bad_frame(self, error: FrameError) -> None:
        self._bad_frames += 1
        self.figures.bad_frames = self._bad_frames
        # Powers of two: a peer that sends nothing but rubbish does not fill the disk with log lines.
        if self._bad_frames & (self._bad_frames - 1) == 0:
            self._logger.warning("frame dropped", why=str(error), dropped=self._bad_frames)

    def _check_driver(self, monotonic_ns: int) -> None:
        transport = self._ports.transport
        state = transport.check(monotonic_ns)
        if state not in (DriverState.DEAD, DriverState.DETACHED) or monotonic_ns < self._rebuild_due_ns:
            return
        if not self._driver_lost:
            self._logger.error("media driver lost", state=state.value, fault=transport.fault)
            self._step(ev.DriverDown())
        self._driver_lost = True
        self._rebuild_due_ns = monotonic_ns + _REBUILD_NS
        try:
            transport.rebuild()
        except DriverUnavailable:
            return
        self._driver_lost = False
        self._step(ev.DriverUp())
        self._logger.info("attached to the media driver again")

    def _status(self) -> cluster_pb2.GetStatusReply:
        machine = self._machine
        reply = cluster_pb2.GetStatusReply()
        reply.CopyFrom(self._identity)
        counters = {
            "bad_frames": self._bad_frames,
            "ignored_events": machine.ignored,
            "reigns": machine.reigns,
            "link_drops": sum(link.dropped for link in self._ports.streams.values()),
        }
        fill_status(reply, machine, counters, etcd_reachable=not self._store.away)
        return reply


def _told_of(status: watch.PeerStatus) -> Told:
    return Told(status.aux, status.seq)
