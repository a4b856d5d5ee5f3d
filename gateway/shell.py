"""The gateway's process around its driver: links, intake log, engines, market data. All in one asyncio loop."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

from lockstep.gateway.disconnects import Watch
from lockstep.gateway.driver import GatewayDriver
from lockstep.gateway.figures import GatewayFigures
from lockstep.gateway.intake import IntakeLog
from lockstep.gateway.machine import GatewayMachine
from lockstep.gateway.ports import Ports
from lockstep.gateway.sessions import Admission
from lockstep.marketdata.market_hub import MarketHub
from lockstep.marketdata.missed_trades import MissedTrades
from lockstep.runtime.access.entering import Entrance
from lockstep.runtime.delivery_mark_file import DeliveryMarkFile
from lockstep.runtime.downlink import LeftBehind
from lockstep.runtime.engines import Engines, EnginesUnavailable
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.guarded_loop import GuardedLoop
from lockstep.runtime.inlet import Inlet
from lockstep.runtime.inquiry import Fault, Inquiry, NoAnswer, Todo
from lockstep.runtime.process_log import open_log
from lockstep.runtime.topology import LinkKind, Member, Topology, can_ring, outbound_links
from lockstep.runtime.transport import DriverState, DriverUnavailable, OutboundLink, Transport
from lockstep.runtime.turns import Turns
from lockstep.runtime.watch import WatchServer
from lockstep.stream.codes import Code
from lockstep.stream.messages import Receipt, Release, Submit, encode
from lockstep.stream.records import Commands, Events
from lockstep.v1 import cluster_pb2, common_pb2, replication_pb2

# Where some sender is on another host, and cannot ring.
_POLL_S: Final = 0.001
_LONGEST_TICK_S: Final = 0.1
_LISTINGS_AT_ONCE: Final = 2


class GatewayShell(GuardedLoop, Ports):
    """Supplies the driver's `Ports`. Made, started and stopped in one asyncio loop."""

    def __init__(
        self,
        topology: Topology,
        member: Member,
        machine: GatewayMachine,
        intake: IntakeLog,
        transport: Transport,
        watch: WatchServer,
        delivered: DeliveryMarkFile,
        entrance: Entrance,
    ) -> None:
        super().__init__()
        self.topology = topology
        self.member = member
        self.machine = machine
        self._log = open_log(member.name)
        self.entrance = entrance
        self.entitlements, self.trail = self.entrance.entitlements, self.entrance.trail
        self.engines = Engines(topology.engines)
        self.listings = Turns(_LISTINGS_AT_ONCE)
        self.market = MarketHub(self.engines, lambda: machine.delivered_seq, lambda: machine.epoch)
        self.missed_trades = MissedTrades(self.engines, lambda: machine.epoch)
        self.own_session_id = machine.own_session_id
        self.driver = GatewayDriver(
            machine,
            self,
            delivered,
            engines=tuple(engine.id for engine in topology.engines),
            max_batch=topology.limits.client_batch,
            budgets=self.entitlements.budgets,
        )
        self.on_serving: Callable[[bool], None] = lambda _serving: None
        """Called when the gateway begins or ceases to serve."""
        self.listeners: list[Callable[[Events], None]] = []
        """Who else wants each burst of events, once it has been delivered: the doors."""
        self.door_counters: list[Callable[[], dict[str, int]]] = []
        """What doors count, for `status`."""
        self._serving = False
        self._intake = intake
        self._transport = transport
        self._submit_links: dict[int, OutboundLink] = {
            peer: transport.outbound(spec, queue_limit_bytes=topology.limits.link_queue_bytes)
            for (kind, peer), spec in outbound_links(topology, member).items()
            if kind is LinkKind.SUBMIT
        }
        self._watch = watch
        on_accepted = self.driver.delivered.on_accepted
        self._inlet = Inlet(
            topology, member, transport, watch, self._on_burst, self.driver.on_said, on_accepted, entrance.seals
        )
        tick_s = min(_LONGEST_TICK_S, topology.timing.heartbeat_ms / 2_000)
        self._tick_s = tick_s if can_ring(topology, member) else _POLL_S
        self.figures = GatewayFigures()

    # ---- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work; it serves as soon as an engine and a leading sequencer are heard of."""
        self.driver.start()
        self.spawn(self._tick_forever())
        self.spawn(self.entrance.run())

    @property
    def left_behind(self) -> bool:
        """It can't go on from what it has delivered, and has to start anew at what is committed now."""
        return self.driver.left_behind

    @property
    def stopping(self) -> bool:
        """Nothing is admitted any more."""
        return self.driver.stopping

    async def end_streams(self) -> None:
        """Send every client elsewhere; nothing is admitted from here on."""
        self.driver.stopping = True
        self.driver.streams.finish_all(Code.SHUTTING_DOWN)
        self.market.end()
        self.driver.calls.finish_all()

    async def stop(self) -> None:
        """End everything, in order. Call it when no call is open any more."""
        await self.end_streams()
        await self.end_tasks()
        self._inlet.close()
        self._transport.close()
        self._intake.close()
        await self.engines.close()

    async def query(self, request: replication_pb2.QueryRequest) -> replication_pb2.QueryReply:
        """Committed state, at least as new as everything that this gateway has delivered to clients.

        Raises:
            EnginesUnavailable: no engine answered that has it.
        """
        return await self.engines.end_of(self.driver.look_up(request))

    async def list_page(
        self, request: replication_pb2.QueryRequest, *, min_seq: int, timeout_s: float
    ) -> replication_pb2.QueryReply:
        """A page of a list, from one engine; as new as `query`'s answers, and of `min_seq` or later.

        Raises:
            EnginesUnavailable, EnginesBusy: there is none now.
        """
        page = self.driver.one_page(request, min_seq=min_seq, timeout_ns=int(timeout_s * 1e9))
        return await self.engines.end_of(page)

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            now_ns = time.monotonic_ns()
            self._check_links(now_ns)
            self._inlet.poll()
            self._watch.poll(now_ns)
            self.driver.on_tick()
            self.market.on_tick(now_ns)
            self._show_status(now_ns)

    def _check_links(self, now_ns: int) -> None:
        if self._transport.check(now_ns) in (DriverState.DEAD, DriverState.DETACHED):
            try:
                self._transport.rebuild()
                self._log.warning("attached to the media driver again")
            except DriverUnavailable as error:
                self._log.debug("media driver is away", said=str(error))
            return
        for link in self._submit_links.values():
            link.flush()

    def _show_status(self, now_ns: int) -> None:
        serving = self.machine.why_closed(now_ns) is None and not self.stopping
        if serving != self._serving:
            self._serving = serving
            self._log.info("serving" if serving else "waiting", why=self.why_not_serving())
            self.on_serving(serving)
        role = cluster_pb2.ROLE_SERVING if serving else cluster_pb2.ROLE_WAITING
        delivered = self.driver.delivered.said
        self._watch.set_status(int(role), self.machine.epoch, delivered=(delivered.epoch, delivered.seq))

    def why_not_serving(self) -> str:
        """In one sentence; empty if it serves."""
        if self.failure is not None:
            return str(self.failure)
        why = self.driver.why_not_serving()
        return "" if why is None else why[1]

    def stamp(self) -> common_pb2.Stamp:
        """Where the gateway's answers stand at the moment."""
        return self.driver.stamp()

    def _on_burst(self, frames: list[Receipt | Release]) -> None:
        self.guarded(lambda: self.driver.on_frames(frames))
        self.engines.primary = self.driver.primary

    # ---- the driver's ports --------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """See `Ports`."""
        return time.time_ns()

    def send(self, sequencer: int, frame: Submit) -> bool:
        """See `Ports`."""
        link = self._submit_links.get(sequencer)
        return link is not None and link.send(encode(frame))

    def store(self, entries: Sequence[tuple[int, Commands]], forget_through: int, watched: Sequence[Watch]) -> bool:
        """See `Ports`."""
        try:
            self._intake.write(entries, forget_through, watched)
        except EnvironmentFault as fault:
            if self.failure is None:
                # Clients move to another gateway now, not when this one has ended.
                self.fail(fault)
                self.driver.stopping = True
                self._show_status(time.monotonic_ns())
                self._log.error("serves_nobody", text=str(fault))
                self.spawn(self.end_streams())
            return False
        return True

    def ask(self, inquiry: Inquiry, heard: Callable[[Todo], bool], client: str | None = None) -> None:
        """See `Ports`."""
        self.spawn(self._ask(inquiry, heard, client))

    async def _ask(self, inquiry: Inquiry, heard: Callable[[Todo], bool], client: str | None) -> None:
        try:
            async with aclosing(self.engines.play(inquiry, client)) as steps:
                async for todo in steps:
                    if not heard(todo):
                        return
        except EnginesUnavailable as error:
            heard(Todo(end=NoAnswer(Fault.UNAVAILABLE, str(error))))

    def on_frames(self, frames: Sequence[Receipt | Release]) -> None:
        """See `Ports`."""
        self.figures.on_frames(frames)

    def on_stored(self, entries: Sequence[tuple[int, Commands]]) -> None:
        """See `Ports`."""
        self.figures.on_stored(entries)

    def on_submit(self, admission: Admission) -> None:
        """See `Ports`."""
        self.figures.on_submit(admission)

    def on_events(self, events: Events) -> None:
        """See `Ports`."""
        self.figures.on_delivered(len(events), self.machine.sessions)
        self.market.on_events(events, self.machine.delivered_seq)
        for listener in self.listeners:
            listener(events)

    def on_left_behind(self, why: LeftBehind, *, accepted: bool) -> None:
        """See `Ports`."""
        if not why.diverged:
            text = (
                "events were cut from every journal before this gateway had them: starting anew at what is committed "
                "now; clients resume, or hear from where to reconcile"
            )
            self._log.error(text, after_seq=why.after_seq, first_seq=why.first_seq)
            return
        text = (
            "as an operator has accepted: starting anew at what is committed now; clients that know of them get "
            "REPORTS_GONE and reconcile"
            if accepted
            else "and no operator is known to have accepted that: sequencers hear of it; see `lockstep cluster status`"
        )
        lost = "the cluster goes on without commands that were delivered here"
        self._log.error(f"{lost}, {text}", delivered_seq=why.after_seq, epoch=why.epoch)

    def note(self, text: str, **values: Any) -> None:
        """See `Ports`."""
        self._log.info(text, **values)

    def status(self) -> cluster_pb2.GetStatusReply:
        """For `Cluster.GetStatus`."""
        uplink = self.machine.uplink
        why = self.why_not_serving()
        counters = {
            **self.driver.counters,
            "sessions_turned_away": self.driver.streams.handshakes.turned_away,
            "sessions": len(self.machine.sessions),
            "streams": len(self.driver.streams),
            "subscribers": self.market.subscribers,
            "cancel_on_disconnect": len(self.machine.disconnects),
            "lost_sessions": self.machine.disconnects.lost,
            "unanswered": uplink.unanswered_commands,
            "entries_resent": uplink.entries_resent,
            "stale_receipts": uplink.stale_receipts,
            "damaged_frames": self._inlet.damaged,
        }
        for count in self.door_counters:
            counters |= count()
        if self.machine.downlink is not None:
            downlink = self.machine.downlink
            counters |= {"gaps": downlink.gaps, "repeats": downlink.repeats, "stale_releases": downlink.stale}
        return cluster_pb2.GetStatusReply(
            kind=cluster_pb2.PROCESS_KIND_GATEWAY,
            member=self.member.id,
            role=cluster_pb2.ROLE_WAITING if why else cluster_pb2.ROLE_SERVING,
            epoch=self.machine.epoch,
            seq=self.machine.delivered_seq,
            committed_seq=self.machine.delivered_seq,
            primary=self.engines.primary,
            incarnation=self.machine.settings.incarnation,
            pid=os.getpid(),
            counters=counters,
            why=why,
        )
