"""The feed's process around its driver: links, engines, and what its doors need. All in one asyncio loop."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

from lockstep.marketdata.driver import FeedDriver
from lockstep.marketdata.feed_events import Refusal
from lockstep.marketdata.feed_ports import Ports
from lockstep.marketdata.figures import FeedFigures
from lockstep.marketdata.line_sender import LineSender
from lockstep.marketdata.machine import FeedMachine
from lockstep.runtime.access.entering import Entrance
from lockstep.runtime.downlink import LeftBehind
from lockstep.runtime.engines import Engines, EnginesUnavailable
from lockstep.runtime.guarded_loop import GuardedLoop
from lockstep.runtime.inlet import Inlet
from lockstep.runtime.inquiry import Fault, Inquiry, NoAnswer, Todo, in_order
from lockstep.runtime.process_log import open_log
from lockstep.runtime.snapshot_reader import Snapshot, SnapshotUnreadable, read_snapshot
from lockstep.runtime.topology import Member, Topology, can_ring
from lockstep.runtime.transport import DriverState, DriverUnavailable, Transport
from lockstep.runtime.watch import PeerStatus
from lockstep.stream.batch import LayoutError, decode_batch
from lockstep.stream.codes import Code
from lockstep.stream.messages import Receipt, Release
from lockstep.stream.records import RULES, CommandKind
from lockstep.v1 import cluster_pb2

_TICK_S: Final = 0.050
# Where some sender is on another host, and cannot ring.
_POLL_S: Final = 0.001
_RETRY_MS: Final = 50


class FeedShell(GuardedLoop, Ports):
    """Supplies the driver's `Ports`. Made, started and stopped in one asyncio loop."""

    def __init__(
        self,
        topology: Topology,
        member: Member,
        transport: Transport,
        incarnation: int,
        entrance: Entrance,
        *,
        least_epoch: int = 0,
        begin_is_gone: bool = False,
    ) -> None:
        """The last two: see `FeedBeginning`."""
        super().__init__()
        self.topology = topology
        self.member = member
        self._log = open_log(member.name)
        self.entrance = entrance
        self.entitlements, self.trail = self.entrance.entitlements, self.entrance.trail
        self.engines = Engines(topology.engines)
        self.machine = FeedMachine(has_line=bool(member.udp))
        self.driver = FeedDriver(
            self.machine,
            self,
            engines=tuple(engine.id for engine in topology.engines),
            least_epoch=least_epoch,
            begin_is_gone=begin_is_gone,
        )
        self.figures = FeedFigures()
        self.handshakes_refused = 0
        """By doors that have too many at once."""
        self.on_serving: Callable[[bool], None] = lambda _serving: None
        """Called when the feed begins or ceases to serve."""
        self.on_burst: Callable[[Sequence[Release]], None] = lambda _releases: None
        """Called with the releases of each burst, before they are reported."""
        self._serving = False
        self._incarnation = incarnation
        self._transport = transport
        identity = PeerStatus(member.id, incarnation)
        self._line = LineSender(member, transport) if member.udp else None
        self._inlet = Inlet(
            topology,
            member,
            transport,
            identity,
            self._on_burst,
            self._on_said,
            lambda _epoch: None,
            entrance.seals,
        )
        self._tick_s = _TICK_S if can_ring(topology, member) else _POLL_S

    # ---- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to work; it serves as soon as it has come as far as the cluster is."""
        self.driver.start()
        self.spawn(self._tick_forever())
        self.spawn(self.entrance.run())

    @property
    def left_behind(self) -> bool:
        """It can't go on from what it has reported, and has to start anew."""
        return self.driver.left_behind

    def end_readers(self) -> None:
        """Send every reader elsewhere."""
        self.driver.stopping = True
        text = (
            "this feed is being stopped" if not self.left_behind else "this feed begins anew: what it reported is void"
        )
        self.driver.end_all(Refusal(int(Code.SHUTTING_DOWN), text, _RETRY_MS))

    async def stop(self) -> None:
        """End everything, in order. Call it when no reader is connected any more."""
        self.end_readers()
        await self.end_tasks()
        self._inlet.close()
        self._transport.close()
        await self.engines.close()

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            self._check_links(time.monotonic_ns())
            self._inlet.poll()
            self.driver.on_tick()
            if self._line is not None:
                self._line.flush()
            self._show_status()

    def _check_links(self, now_ns: int) -> None:
        if self._transport.check(now_ns) in (DriverState.DEAD, DriverState.DETACHED):
            try:
                self._transport.rebuild()
                self._log.warning("attached to the media driver again")
            except DriverUnavailable as error:
                self._log.debug("media driver is away", said=str(error))

    def _show_status(self) -> None:
        serving = not self.why_not_serving()
        if serving != self._serving:
            self._serving = serving
            self._log.info("serving" if serving else "waiting", why=self.why_not_serving())
            self.on_serving(serving)

    def why_not_serving(self) -> str:
        """In one sentence; empty if it serves."""
        if self.failure is not None:
            return str(self.failure)
        if self.driver.stopping:
            return "this feed is being stopped"
        if self.machine.downlink is None:
            return "no engine has said yet where the cluster stands"
        return "" if self.machine.serves else f"catching up with the cluster, at seq {self.machine.seq}"

    def _on_burst(self, frames: list[Receipt | Release]) -> None:
        releases = [frame for frame in frames if isinstance(frame, Release)]
        self.figures.on_releases(releases)
        self.on_burst(releases)
        self.guarded(lambda: self.driver.on_frames(releases))
        self.engines.primary = self.driver.primary

    def _on_said(self, _sequencer: int, epoch: int, _leads: bool) -> None:
        self.driver.on_said(epoch)

    # ---- the driver's ports --------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return time.monotonic_ns()

    def ask(self, inquiry: Inquiry, heard: Callable[[Todo], bool]) -> None:
        """See `Ports`."""
        self.spawn(self._ask(inquiry, heard))

    async def _ask(self, inquiry: Inquiry, heard: Callable[[Todo], bool]) -> None:
        try:
            async with aclosing(self.engines.play(inquiry)) as steps:
                async for todo in steps:
                    if not heard(todo):
                        return
        except EnginesUnavailable as error:
            heard(Todo(end=NoAnswer(Fault.UNAVAILABLE, str(error))))

    def fetch_snapshot(self, engines: Sequence[int], heard: Callable[[Snapshot | str | None], None]) -> None:
        """See `Ports`."""
        self.spawn(self._fetch_snapshot(engines, heard))

    async def _fetch_snapshot(self, engines: Sequence[int], heard: Callable[[Snapshot | str | None], None]) -> None:
        said: list[str] = []
        for engine in engines:
            try:
                raw = await self.engines.snapshot(engine)
                if raw is not None:
                    heard(await asyncio.to_thread(read_snapshot, raw))
                    return
            except (EnginesUnavailable, SnapshotUnreadable) as error:
                said.append(f"engine {engine}: {error}")
        heard("; ".join(said) or None)

    def fetch_band(self, seq: int, heard: Callable[[int], None]) -> None:
        """See `Ports`."""
        self.spawn(self._fetch_band(seq, heard))

    async def _fetch_band(self, seq: int, heard: Callable[[int], None]) -> None:
        for engine in in_order([member.id for member in self.topology.engines], last=self.driver.primary):
            try:
                batch = decode_batch(await self.engines.batch(engine, seq))
            except (EnginesUnavailable, LayoutError) as error:
                self._log.info("a band can't be read", seq=seq, said=str(error))
                continue
            at = seq - batch.first_seq
            if 0 <= at < batch.count and batch.records["kind"][at] == CommandKind.SET_PRICE_LIMITS:
                heard(int(batch.records.view(RULES)["band_ppm"][at]))
                return

    def send_datagrams(self, datagrams: Sequence[bytes]) -> None:
        """See `Ports`."""
        if self._line is not None:
            self._line.send(datagrams)

    def on_events(self, count: int, took_ns: int) -> None:
        """See `Ports`."""
        self.figures.on_folded(count, took_ns)

    def on_left_behind(self, why: LeftBehind) -> None:
        """See `Ports`."""
        text = (
            "the cluster goes on without commands whose events were reported here: starting anew"
            if why.diverged
            else "events were cut from every journal before they came here: starting anew from a snapshot"
        )
        self._log.error(text, told_seq=why.after_seq, epoch=why.epoch, first_seq=why.first_seq)

    def note(self, text: str, **values: Any) -> None:
        """See `Ports`."""
        self._log.info(text, **values)

    def status(self) -> cluster_pb2.GetStatusReply:
        """For `Cluster.GetStatus`."""
        why = self.why_not_serving()
        counters = {"readers": self.driver.readers, "damaged_frames": self._inlet.damaged}
        counters["handshakes_refused"] = self.handshakes_refused
        hub, downlink = self.machine.hub, self.machine.downlink
        if hub is not None and downlink is not None:
            counts = hub.counts
            counters |= {name: getattr(counts, name) for name in type(counts).__slots__}
            counters |= {"streams": hub.streams, "orders": len(hub.fold.books), "snapshots": hub.snapshots.made}
            if hub.line is not None and self._line is not None:
                counters |= {"datagrams": self._line.sent, "datagrams_dropped": self._line.dropped}
                counters |= {"datagrams_too_long": hub.line.too_long, "line_kept_bytes": hub.line.kept_bytes}
            counters |= {"gaps": downlink.gaps, "repeats": downlink.repeats, "stale_releases": downlink.stale}
        return cluster_pb2.GetStatusReply(
            kind=cluster_pb2.PROCESS_KIND_FEED,
            member=self.member.id,
            role=cluster_pb2.ROLE_WAITING if why else cluster_pb2.ROLE_SERVING,
            epoch=self.machine.epoch,
            seq=self.machine.seq,
            committed_seq=self.machine.seq,
            primary=self.driver.primary,
            incarnation=self._incarnation,
            pid=os.getpid(),
            counters=counters,
            why=why,
        )
