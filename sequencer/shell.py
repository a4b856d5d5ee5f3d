"""The sequencer's process around its driver: supplies links, liveness, etcd and calls, and says how it stands.

All links, watches and the driver belong to the loop's thread. Other threads (etcd, gRPC) put events and questions into
one inbox. The loop sleeps on its doorbell, which the peers on this host, the inbox and the liveness links ring.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Final

from lockstep.runtime import watch
from lockstep.runtime.doorbell import Doorbell
from lockstep.runtime.process_log import ProcessLog
from lockstep.runtime.topology import ProcessKind
from lockstep.runtime.transport import DriverState, DriverUnavailable, InboundLink, OutboundLink, Transport
from lockstep.runtime.watch_set import WatchSet
from lockstep.sequencer import events as ev
from lockstep.sequencer.driver import SequencerDriver
from lockstep.sequencer.engine_calls import EngineCalls
from lockstep.sequencer.figures import SequencerFigures
from lockstep.sequencer.machine import SequencerMachine
from lockstep.sequencer.operations import OperatorAsked, StatusAsked
from lockstep.sequencer.ports import Beat, EngineBeat, GatewayBeat, Ports, SequencerBeat
from lockstep.sequencer.status import fill_status, role_of
from lockstep.sequencer.store_link import Inbox, StoreLink
from lockstep.stream.arrival import decode_from
from lockstep.stream.batch import LayoutError
from lockstep.stream.delivery_mark import DeliveryMark
from lockstep.stream.messages import Ack, Message, Receipt, Stream, Submit, encode
from lockstep.stream.values import frozen
from lockstep.v1 import cluster_pb2, replication_pb2

_FRAGMENTS_PER_POLL: Final = 64
_REBUILD_NS: Final = 100_000_000
MUTE_FLAG: Final = 1
"""In a sequencer's heartbeats: its media driver is lost."""
# Nothing that the peers send to this process' own server is urgent.
_ANNOUNCE_NS: Final = 2_000_000
_MS: Final = 1_000_000
_DOWN: Final = {
    watch.DownReason.EOF: ev.Down.EOF,
    watch.DownReason.HANG: ev.Down.HANG,
    watch.DownReason.REFUSED: ev.Down.UNREACHED,
    watch.DownReason.PROTOCOL: ev.Down.UNREACHED,
}


@frozen
class Wires:
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


class SequencerShell(Ports):
    """One sequencer process's loop."""

    def __init__(
        self,
        machine: SequencerMachine,
        wires: Wires,
        store: StoreLink,
        engines: EngineCalls,
        inbox: Inbox,
        *,
        bell: Doorbell,
        logger: ProcessLog,
        identity: cluster_pb2.GetStatusReply,
    ) -> None:
        self._machine = machine
        self._wires = wires
        self._store = store
        self._engines = engines
        self._inbox = inbox
        self._bell = bell
        self._logger = logger
        self._identity = identity
        self.figures = SequencerFigures()
        self._driver = SequencerDriver(machine, self, member=identity.member)
        self._asked: dict[int, Future[ev.OperatorAnswer]] = {}
        self._asked_no = 0
        self._bad_frames = 0
        self._rebuild_due_ns = 0
        self._announce_due_ns = 0
        self._beats_of: dict[str, int] = {}  # of each peer, up to the last look at the clocks
        self._driver_lost = False
        self._drained = False
        """The last turn has taken all that had come."""
        self._on_ack: Callable[[Ack], None] = lambda _frame: None
        self._on_submit: Callable[[Submit], None] = lambda _frame: None
        # Acknowledgements first: they make room for what is submitted.
        self._inbound = [
            *((link, partial(self._on_ack_bytes, engine)) for engine, link in wires.acks.items()),
            *((link, partial(self._on_submit_bytes, gateway)) for gateway, link in wires.submits.items()),
        ]

    def run(self, stopping: Callable[[], bool]) -> None:
        """Loop until `stopping` says so. Raises EnvironmentFault, BrokenInvariant."""
        while not stopping():
            work = self.turn()
            self._bell.idle(work, drained=self._drained)

    def turn(self) -> int:
        """One cycle; returns how many events came."""
        wires = self._wires
        self._drained = True
        work = self._driver.turn()
        self.figures.on_turn(self._machine)
        for outbound in (*wires.streams.values(), *wires.receipts.values()):
            outbound.flush()
            self._drained &= not outbound.pending_bytes
        # What is due is not all done in one turn where that would keep what comes from being read.
        self._drained &= not self._machine.work_due
        now_ns = time.monotonic_ns()
        if now_ns >= self._announce_due_ns:
            self._announce_due_ns = now_ns + _ANNOUNCE_NS
            self._announce()
            wires.watch_server.poll(now_ns)
        return work

    def _announce(self) -> None:
        machine, config = self._machine, self._machine.config_store.config
        accepted = 0 if config is None else config.accepted_epoch
        flags = MUTE_FLAG if machine.mute else 0
        self._wires.watch_server.set_status(role_of(machine), machine.epoch, flags=flags, accepted_epoch=accepted)

    # ---- the driver's ports --------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """See `Ports`."""
        return time.time_ns()

    def happenings(self) -> Iterator[ev.Event]:
        """See `Ports`. Raises what other threads could not mend."""
        for item in self._inbox.take():
            if isinstance(item, Exception):
                raise item
            if isinstance(item, StatusAsked):
                item.reply.set_result(self._status())
            elif isinstance(item, OperatorAsked):
                self._asked_no += 1
                self._asked[self._asked_no] = item.reply
                yield item.make(self._asked_no)
            else:
                yield item
        now_ns = time.monotonic_ns()
        yield from self._check_driver(now_ns)
        for peer_event in self._wires.watches.poll(now_ns):
            kind, member = self._wires.peers[peer_event.name]
            event = _event_of(kind, member, peer_event)
            if event is not None:
                yield event

    def poll(self, on_ack: Callable[[Ack], None], on_submit: Callable[[Submit], None]) -> int:
        """See `Ports`."""
        self._on_ack, self._on_submit = on_ack, on_submit
        work = 0
        for link, on_bytes in self._inbound:
            work += link.poll(on_bytes, _FRAGMENTS_PER_POLL)
            self._drained &= not link.full
        return work

    def clocks(self) -> tuple[tuple[str, int], ...]:
        """See `Ports`."""
        heard = []
        for name, (kind, _member) in self._wires.peers.items():
            if kind is ProcessKind.GATEWAY:
                continue
            watched = self._wires.watches[name]
            if watched.status is not None and watched.beats != self._beats_of.get(name, 0):
                self._beats_of[name] = watched.beats
                if watched.status.wall_ms:
                    heard.append((name, watched.status.wall_ms * _MS))
        return tuple(heard)

    def beats(self) -> Iterator[Beat]:
        """See `Ports`."""
        for name, (kind, member) in self._wires.peers.items():
            watched = self._wires.watches[name]
            status = watched.status
            if kind is ProcessKind.ENGINE:
                yield EngineBeat(member, 0 if status is None else status.epoch, watched.stalled_ns)
            elif status is None:
                continue
            elif kind is ProcessKind.SEQUENCER:
                yield SequencerBeat(member, bool(status.flags & MUTE_FLAG))
            elif watched.up:
                yield GatewayBeat(member, status.incarnation, _delivery_mark(status))

    def send_stream(self, engines: tuple[int, ...], frame: Stream) -> None:
        """See `Ports`."""
        self.figures.on_stream(frame)
        raw = encode(frame)
        for engine in engines:
            self._wires.streams[engine].send(raw)

    def send_receipt(self, gateway: int, frame: Receipt) -> None:
        """See `Ports`."""
        self._wires.receipts[gateway].send(encode(frame))

    def drop_queued(self, engine: int) -> None:
        """See `Ports`."""
        self._wires.streams[engine].clear()

    def warm(self, engine: int) -> None:
        """See `Ports`."""
        self._engines.warm(engine)

    def swap(self, cas: ev.Cas) -> None:
        """See `Ports`."""
        self._store.swap(cas)

    def read_config(self) -> None:
        """See `Ports`."""
        self._store.read()

    def fence(self, engine: int, request: replication_pb2.FenceRequest, order: ev.FenceOrder) -> None:
        """See `Ports`."""
        del engine
        self._engines.fence(request, order)

    def fetch_journal(self, engine: int, request: replication_pb2.FetchJournalRequest, order: ev.FetchOrder) -> None:
        """See `Ports`."""
        del engine
        self._engines.fetch(request, order)

    def answer(self, answer: ev.OperatorAnswer) -> None:
        """See `Ports`."""
        waiting = self._asked.pop(answer.request, None)
        if waiting is not None:
            waiting.set_result(answer)

    def record(self, line: ev.EpochOpened) -> None:
        """See `Ports`."""
        self._store.record(line)

    def note(self, note: ev.Note) -> None:
        """See `Ports`."""
        getattr(self._logger, note.level.value)(note.what, **dict(note.fields))

    # ---- links ---------------------------------------------------------------------------------------------------

    def _on_ack_bytes(self, engine: int, raw: bytes) -> None:
        received = self._taken(raw, Ack, engine)
        if received is not None:
            self._on_ack(received)

    def _on_submit_bytes(self, gateway: int, raw: bytes) -> None:
        received = self._taken(raw, Submit, gateway)
        if received is not None:
            self.figures.on_submit(received)
            self._on_submit(received)

    def _taken[M: Message](self, raw: bytes, expected: type[M], sender: int) -> M | None:
        try:
            return decode_from(raw, expected, sender)
        except LayoutError as error:
            self._on_bad_frame(error)
            return None

    def _on_bad_frame(self, error: LayoutError) -> None:
        self._bad_frames += 1
        self.figures.bad_frames = self._bad_frames
        # Powers of two: a peer that sends nothing but rubbish does not fill the disk with log lines.
        if self._bad_frames & (self._bad_frames - 1) == 0:
            self._logger.warning("frame dropped", why=str(error), dropped=self._bad_frames)

    def _check_driver(self, now_ns: int) -> Iterator[ev.Event]:
        transport = self._wires.transport
        state = transport.check(now_ns)
        if state not in (DriverState.DEAD, DriverState.DETACHED) or now_ns < self._rebuild_due_ns:
            return
        if not self._driver_lost:
            self._logger.error("media driver lost", state=state.value, fault=transport.fault)
            yield ev.DriverDown()
        self._driver_lost = True
        self._rebuild_due_ns = now_ns + _REBUILD_NS
        try:
            transport.rebuild()
        except DriverUnavailable:
            return
        self._driver_lost = False
        yield ev.DriverUp()
        self._logger.info("attached to the media driver again")

    def _status(self) -> cluster_pb2.GetStatusReply:
        machine = self._machine
        reply = cluster_pb2.GetStatusReply()
        reply.CopyFrom(self._identity)
        counters = {
            "bad_frames": self._bad_frames,
            "ignored_events": machine.ignored,
            "reigns": machine.reigns,
            "link_drops": sum(link.dropped for link in self._wires.streams.values()),
        }
        fill_status(reply, machine, counters, etcd_reachable=not self._store.away)
        return reply


def _event_of(kind: ProcessKind, member: int, event: watch.PeerEvent) -> ev.Event | None:
    """What a liveness link says, as an event of the machine."""
    if isinstance(event, watch.PeerUp):
        if kind is ProcessKind.GATEWAY:
            return ev.GatewaySaid(member, event.incarnation, _delivery_mark(event.status))
        up = ev.EngineUp if kind is ProcessKind.ENGINE else ev.SequencerUp
        return up(member, event.status.epoch)
    if kind is ProcessKind.GATEWAY:
        return ev.GatewaySaid(member, 0) if event.reason is watch.DownReason.EOF else None
    # A peer that never spoke was never reached, whatever ended the attempt.
    reason = _DOWN[event.reason] if event.incarnation else ev.Down.UNREACHED
    down = ev.EngineDown if kind is ProcessKind.ENGINE else ev.SequencerDown
    return down(member, reason)


def _delivery_mark(status: watch.PeerStatus) -> DeliveryMark:
    return DeliveryMark(status.delivered_epoch, status.delivered_seq)
