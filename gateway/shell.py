"""The gateway's I/O around `GatewayMachine`: links, intake log, engines, client streams. All in the asyncio loop.

Order of work: a burst of frames from the inlet is one step of the machine; commands that clients' messages bring in
one turn of the loop, or while the frames before are under way (see `_FRAME_PATIENCE_S`), leave together, with one write
to the intake log and as few frames as possible.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Callable
from typing import Any, Final

import grpc

from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.delivered import Delivered
from lockstep.gateway.disconnects import Watch
from lockstep.gateway.downlink import Fetch
from lockstep.gateway.entitlement import Entitlements
from lockstep.gateway.figures import GatewayFigures
from lockstep.gateway.handshakes import Handshakes
from lockstep.gateway.inlet import Inlet
from lockstep.gateway.intake import IntakeLog
from lockstep.gateway.machine import Effects, GatewayMachine
from lockstep.gateway.missed_events import MissedEvents
from lockstep.gateway.numbering import say_next_number
from lockstep.gateway.reports import Routed, stamp_message
from lockstep.gateway.resuming import resume
from lockstep.gateway.sessions import Refused
from lockstep.gateway.waiters import Waiters
from lockstep.marketdata.market_hub import MarketHub
from lockstep.marketdata.missed_trades import MissedTrades
from lockstep.runtime.engines import Engines, EnginesUnavailable
from lockstep.runtime.faults import EnvironmentFault, disk_text
from lockstep.runtime.process_log import open_log
from lockstep.runtime.told_mark import ToldMark, told_path
from lockstep.runtime.topology import LinkKind, Member, Topology, can_ring, outbound_links
from lockstep.runtime.transport import DriverState, DriverUnavailable, OutboundLink, Transport
from lockstep.runtime.turns import Turns
from lockstep.runtime.watch import WatchServer
from lockstep.stream.codes import Code
from lockstep.stream.frames import Frame, encode_frame
from lockstep.stream.records import Commands, Events
from lockstep.v1 import cluster_pb2, common_pb2, orders_pb2, replication_pb2

TICK_S: Final = 0.010
# Where some sender is on another host, and cannot ring.
_POLL_S: Final = 0.001
# A frame wakes four processes and costs two synced writes, whatever it holds. So the next one leaves when those under
# way are answered, and waits no longer than this for each of them: a lone order never waits, and the busier the
# cluster, the fewer and larger its frames.
_FRAME_PATIENCE_S: Final = 0.004
_LONGEST_PATIENCE_S: Final = 0.015
_LISTINGS_AT_ONCE: Final = 2
_SYNC_PAUSE_S: Final = 0.1

REFUSAL_TEXTS: Final = {
    Code.SESSION_GAP: "a number was left out; send again from from_no",
    Code.BUSY: "too many commands are unanswered; send again from from_no",
    Code.UNAVAILABLE: "no sequencer leads the cluster at the moment; send again from from_no",
    Code.SHUTTING_DOWN: "this gateway is being stopped; open the session at another one",
    Code.NOT_ENTITLED: "the session belongs to another client",
    Code.SESSION_TAKEN_OVER: "the session was opened on another stream",
    Code.STALE_CONNECTION: "the session has a later connection; say Hello with a higher connection number",
}


class GatewayShell:
    """See the module. Made, started and stopped in one asyncio loop."""

    def __init__(
        self,
        topology: Topology,
        member: Member,
        machine: GatewayMachine,
        intake: IntakeLog,
        transport: Transport,
        watch: WatchServer,
        told: ToldMark,
    ) -> None:
        self.topology = topology
        self.member = member
        self.machine = machine
        self.entitlements = Entitlements(topology.clients)
        self.engines = Engines(topology.engines)
        self.listings = Turns(_LISTINGS_AT_ONCE)
        self.market = MarketHub(self.engines, lambda: machine.delivered_seq, lambda: machine.epoch)
        self.missed_trades = MissedTrades(self.engines, lambda: machine.epoch)
        self.own_session_id = machine.own_session_id
        self.stopping = False
        self.failure: BaseException | None = None
        """A broken invariant, or a disk that fails; the process must end."""
        self.failed = asyncio.Event()
        self.on_serving: Callable[[bool], None] = lambda _serving: None
        """Called when the gateway begins or ceases to serve."""
        self._serving = False
        self._intake = intake
        self._forget = self._forgotten = 0
        self._transport = transport
        self._submit_links: dict[int, OutboundLink] = {
            peer: transport.outbound(spec, queue_limit_bytes=topology.limits.link_queue_bytes)
            for (kind, peer), spec in outbound_links(topology, member).items()
            if kind is LinkKind.SUBMIT
        }
        self.handshakes = Handshakes()
        self._streams: dict[int, ClientStream] = {}
        self._tokens = itertools.count(1)
        self._watch = watch
        self._log = open_log(member.name)
        self._delivered = Delivered(told, self._log)
        self._missed = MissedEvents(self.engines, self._log, self._delivered.accepted)
        on_accepted = self._delivered.on_accepted
        self._inlet = Inlet(topology, member, transport, watch, self._on_frames, machine.on_said, on_accepted)
        self._tick_s = TICK_S if can_ring(topology, member) else _POLL_S
        self._flush_due: asyncio.TimerHandle | asyncio.Handle | None = None
        self._flushed_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.waiters = Waiters(self._loop)
        self.figures = GatewayFigures()
        self.counters = {"frames_sent": 0, "commands": 0, "reports": 0, "refusals": 0, "send_failures": 0}

    # ---- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work; it serves as soon as an engine and a leading sequencer are heard of."""
        self.spawn(self._synchronise())
        self.spawn(self._tick_forever())

    @property
    def left_behind(self) -> bool:
        """It can't go on from what it has delivered, and has to start anew at what is committed now."""
        return self._missed.left_behind

    async def end_streams(self) -> None:
        """Tell every client to go elsewhere; nothing is taken in from here on."""
        self.stopping = True
        for stream in list(self._streams.values()):
            stream.finish(grpc.StatusCode.UNAVAILABLE, REFUSAL_TEXTS[Code.SHUTTING_DOWN], Code.SHUTTING_DOWN)
        self.market.end()
        self.waiters.cancel()

    async def stop(self) -> None:
        """End everything, in order. Call it when no call is open any more."""
        await self.end_streams()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._inlet.close()
        self._transport.close()
        self._intake.close()
        await self.engines.close()

    def spawn(self, work: Any) -> None:
        """Run a coroutine beside; an unexpected exception in it ends the process."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._fail(task.exception())

    def _fail(self, failure: BaseException | None) -> None:
        if self.failure is None:
            self.failure = failure
            self.failed.set()

    async def query(self, request: replication_pb2.QueryRequest) -> replication_pb2.QueryReply:
        """Committed state, as new as everything that clients of this gateway have been told, or newer.

        Raises:
            EnginesUnavailable: no engine answered that has it.
        """
        machine = self.machine
        return await self.engines.query(request, min_epoch=machine.epoch, min_seq=machine.delivered_seq)

    async def list_page(
        self, request: replication_pb2.QueryRequest, *, min_seq: int, timeout_s: float
    ) -> replication_pb2.QueryReply:
        """A page of a list, from one engine; as new as `query`'s answers, and of `min_seq` or later.

        Raises:
            EnginesUnavailable, EnginesBusy: there is none now.
        """
        machine = self.machine
        least = max(machine.delivered_seq, min_seq)
        return await self.engines.page(request, min_epoch=machine.epoch, min_seq=least, timeout_s=timeout_s)

    async def _synchronise(self) -> None:
        """Find out where the cluster stands; engines may come later than this gateway."""
        request = replication_pb2.QueryRequest(session_id=self.own_session_id)
        told = ""
        while True:
            try:
                reply = await self.engines.newest(request)
                # An engine without an epoch has a new disk, and knows nothing of where the cluster stands.
                if reply.stamp.epoch and await self._delivered.compare(reply, self.engines):
                    break
                said = self._delivered.why or "the engines that answer have no history yet"
            except EnginesUnavailable as error:
                said = str(error)
            if said != told:
                told = said
                self._log.info("waiting for the engines", said=told)
            await asyncio.sleep(_SYNC_PAUSE_S)
        self.machine.start(reply.stamp.seq, reply.stamp.epoch, own_last_no=reply.session_last_no)
        self._log.info("in step with the cluster", seq=reply.stamp.seq, epoch=reply.stamp.epoch)

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            now_ns = time.monotonic_ns()
            self._check_links(now_ns)
            self._inlet.poll()
            self._watch.poll(now_ns)
            self._perform(self.machine.on_tick(now_ns))
            if self._forget > self._forgotten and not self.stopping:
                self._write_intake((), ())
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
        told = self._delivered.said
        self._watch.set_status(int(role), self.machine.epoch, told.seq, told.epoch)

    def why_not_serving(self) -> str:
        """In one sentence; empty if it serves."""
        if self.failure is not None:
            return str(self.failure)
        if self.stopping:
            return "this gateway is being stopped"
        if self.machine.downlink is None:
            return self._delivered.why or "no engine has told yet where the cluster stands"
        if self.machine.why_closed(time.monotonic_ns()) is not None:
            return "no sequencer leads the cluster at the moment"
        return ""

    # ---- frames and effects --------------------------------------------------------------------------------------

    def _on_frames(self, frames: list[Frame]) -> None:
        if self.stopping:
            return
        self.figures.on_frames(frames)
        try:
            effects = self.machine.on_frames(frames, time.monotonic_ns())
            # Before anything is asked of an engine: the one that releases lives, the primary of before may hang.
            if self.machine.downlink is not None:
                self.engines.primary = self.machine.downlink.primary or self.engines.primary
            self._perform(effects)
        except Exception as failure:
            # Called by the loop itself, which would log it and go on.
            self._fail(failure)
            raise

    def submit(self, session_id: int, records: Commands, *, admin: bool) -> Refused | None:
        """Take commands in (`admin`: for an admin principal); what was not. They leave with this turn of the loop."""
        session = self.machine.sessions.get(session_id)
        assert session is not None, "commands of a session that was never opened"
        admission = self.machine.submit(session, records, time.monotonic_ns(), admin=admin)
        if (admission.taken or admission.repeated) and self._flush_due is None:
            self._plan_flush()
        self.figures.on_submit(admission)
        self.counters["commands"] += admission.taken
        self.counters["refusals"] += admission.refused is not None
        return admission.refused

    def _plan_flush(self) -> None:
        """Have the next frame leave when it is time, at the end of this turn of the loop at the earliest."""
        if self._flush_due is not None:
            self._flush_due.cancel()
        patience_s = min(_FRAME_PATIENCE_S * self.machine.uplink.frames_under_way, _LONGEST_PATIENCE_S)
        wait_s = self._flushed_s + patience_s - self._loop.time()
        if wait_s <= 0 or self.machine.frame_full:
            self._flush_due = self._loop.call_soon(self._flush)
        else:
            self._flush_due = self._loop.call_later(wait_s, self._flush)

    def _flush(self) -> None:
        self._flush_due = None
        self._flushed_s = self._loop.time()
        if not self.stopping:
            self._perform(self.machine.flush(time.monotonic_ns()))

    def _perform(self, effects: Effects) -> None:
        self._forget = max(self._forget, effects.forget_through)
        if (effects.store or effects.watched) and not self._write_intake(effects.store, effects.watched):
            return
        if effects.store:
            self.figures.on_stored(effects.store)
        if effects.sends:
            self._send(effects)
        if effects.new_reign:
            leader = self.machine.uplink.leader
            total = self.machine.uplink.entries_resent
            self._log.info("new leading sequencer", leader=str(leader), resent_since_start=total)
        if effects.events is not None:
            self._note_told()
            self._deliver(effects.events, effects.routed)
            if self._flush_due is not None:
                self._plan_flush()
        for session_id in effects.left:
            stream = self._streams.get(session_id)
            if stream is not None:
                code = Code.STALE_CONNECTION
                stream.finish(grpc.StatusCode.ABORTED, REFUSAL_TEXTS[code], code)
        if effects.fetch is not None:
            self.spawn(self._fetch(effects.fetch))

    def _note_told(self) -> None:
        assert self.machine.downlink is not None, "delivered before the start"
        try:
            self._delivered.on_delivered(self.machine.downlink.told)
        except OSError as error:
            self._fail(EnvironmentFault(disk_text("write", told_path(self.member.data_dir), error)))

    def _write_intake(self, entries: tuple[tuple[int, Commands], ...], watched: tuple[Watch, ...]) -> bool:
        """Whether it was written. If not, nothing of it may leave, and this gateway serves nobody any more."""
        try:
            self._intake.write(entries, self._forget, watched)
        except EnvironmentFault as fault:
            if self.failure is None:
                # Clients move to another gateway now, not when this one has ended.
                self._fail(fault)
                self.stopping = True
                self._show_status(time.monotonic_ns())
                self._log.error("serves_nobody", text=str(fault))
                self.spawn(self.end_streams())
            return False
        self._forgotten = self._forget
        return True

    def _send(self, effects: Effects) -> None:
        link = self._submit_links.get(effects.sequencer)
        for frame in effects.sends:
            self.counters["frames_sent"] += 1
            if link is None or not link.send(encode_frame(frame)):
                self.counters["send_failures"] += 1
                self.machine.uplink.on_send_failed(time.monotonic_ns())

    def _deliver(self, events: Events, routed: Routed | None) -> None:
        downlink = self.machine.downlink
        assert downlink is not None, "events before the start"
        if routed is not None:
            for position, session_id in enumerate(routed.sessions):
                stream = self._streams.get(session_id)
                waited = session_id in self.waiters
                if stream is None and not waited:
                    continue
                reports = routed.of(position)
                self.counters["reports"] += len(reports)
                if stream is not None:
                    stream.put_live(reports)
                    if stream.half_closed:
                        self.finish_if_answered(stream)
                if waited:
                    self.waiters.answer(session_id, reports)
        self.figures.on_delivered(len(events), self.machine.sessions)
        self.market.on_events(events, downlink.delivered_seq)

    async def _fetch(self, wanted: Fetch) -> None:
        events = await self._missed.fetch(wanted)
        if events is not None:
            self._perform(self.machine.on_fetched(events, wanted.to_seq))
        elif not self.left_behind:
            self.machine.on_fetch_failed()

    # ---- client streams ------------------------------------------------------------------------------------------

    def stamp(self) -> common_pb2.Stamp:
        """Where the gateway's answers stand at the moment."""
        return stamp_message(self.machine.epoch, self.machine.delivered_seq)

    def open_stream(self, client: str, hello: orders_pb2.Hello) -> ClientStream | Refused:
        """A client's Hello: its stream owns the session now, another one that did is ended."""
        token = next(self._tokens)
        retry_after_ms = self.handshakes.begin(token, time.monotonic_ns())
        if retry_after_ms:
            return Refused(0, Code.BUSY, retry_after_ms)
        opened = self.machine.open_session(
            hello.session_id,
            client,
            token,
            max(1, hello.next_no),
            cancel_on_disconnect_ms=hello.cancel_on_disconnect_ms,
            connection=hello.connection,
            last_seen=(hello.last_seen.seq, hello.last_seen.index),
            last_epoch=hello.last_epoch,
        )
        if isinstance(opened, Refused):
            self.handshakes.end(token, time.monotonic_ns())
            return opened
        previous = self._streams.pop(hello.session_id, None)
        if previous is not None:
            refused = Refused(0, Code.SESSION_TAKEN_OVER)
            previous.refuse(self.stamp(), refused, REFUSAL_TEXTS[refused.code])
            previous.finish(grpc.StatusCode.ABORTED, REFUSAL_TEXTS[refused.code], refused.code)
        stream = ClientStream(token, hello.session_id, opened.resumption, columnar=hello.columnar, client=client)
        self._streams[hello.session_id] = stream
        stream.welcome(
            self.stamp(),
            gateway=self.member.id,
            credit=opened.credit,
            max_batch=self.topology.limits.client_batch,
            next_number_follows=hello.asks_next_no,
        )
        stream.asks_next_no = hello.asks_next_no
        return stream

    def close_stream(self, stream: ClientStream) -> None:
        """The stream ended; its session stays."""
        stream.close()
        if self._streams.get(stream.session_id) is stream:
            del self._streams[stream.session_id]
        self.machine.close_stream(stream.session_id, stream.token, time.monotonic_ns())

    def finish_if_answered(self, stream: ClientStream) -> None:
        """End a stream whose client has said all, once it has got all answers."""
        session = self.machine.sessions.get(stream.session_id)
        if session is None or session.unanswered == 0:
            stream.wakeup.set()

    def has_all_answers(self, stream: ClientStream) -> bool:
        """Nothing of the session is unanswered, and nothing older is being fetched."""
        session = self.machine.sessions.get(stream.session_id)
        return (session is None or session.unanswered == 0) and not stream.resuming

    async def resume(self, stream: ClientStream) -> None:
        """Bring a new stream the reports after those of its Hello that were delivered before it was opened."""
        try:
            await resume(stream, self.engines, self.machine)
            if stream.asks_next_no:
                await say_next_number(stream, self.query, self.machine.sessions, self.stamp)
        finally:
            self.handshakes.end(stream.token, time.monotonic_ns())

    def status(self) -> cluster_pb2.GetStatusReply:
        """For `Cluster.GetStatus`."""
        uplink = self.machine.uplink
        why = self.why_not_serving()
        counters = {
            **self.counters,
            "sessions_turned_away": self.handshakes.turned_away,
            "sessions": len(self.machine.sessions),
            "streams": len(self._streams),
            "subscribers": self.market.subscribers,
            "cancel_on_disconnect": len(self.machine.disconnects),
            "lost_sessions": self.machine.disconnects.lost,
            "unanswered": uplink.unanswered_commands,
            "entries_resent": uplink.entries_resent,
            "stale_receipts": uplink.stale_receipts,
            "damaged_frames": self._inlet.damaged,
        }
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
