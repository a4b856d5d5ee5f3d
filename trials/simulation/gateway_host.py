"""A simulated gateway process: the real machine, the real session streams and their bytes, a simulated intake log."""

from collections.abc import Callable, Iterator
from typing import Final

import grpc
import numpy as np

from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.disconnects import Watch
from lockstep.gateway.downlink import Fetch
from lockstep.gateway.machine import Effects, GatewayMachine, Settings
from lockstep.gateway.reports import stamp_message
from lockstep.gateway.resuming import perform, put_fetched
from lockstep.gateway.resumption import (
    LAST_INDEX,
    Ask,
    AskEvents,
    AskLastNumber,
    AskWhetherLost,
    Began,
    Compared,
    Counted,
    Event,
    Failed,
    Fetched,
    FetchedAll,
    Ticked,
)
from lockstep.gateway.sessions import Refused
from lockstep.gateway.validation import ShapeError, build_records
from lockstep.gateway.wire import ADMIN_COMMANDS, Request, admin_record, command_columns, decode_request
from lockstep.stream.codes import Code
from lockstep.stream.frames import Frame
from lockstep.stream.records import EVENT, Commands, Events, no_events
from lockstep.stream.told import Told
from lockstep.trials.simulation.disk import Intake
from lockstep.trials.simulation.engine_host import EngineHost
from lockstep.trials.simulation.host import Host, hears
from lockstep.trials.simulation.kernel import MS, SECOND, START_NS
from lockstep.trials.simulation.network import Done, Pipe
from lockstep.trials.simulation.sequencer_host import SequencerHost
from lockstep.trials.simulation.world import Violation, World
from lockstep.v1 import common_pb2, replication_pb2

_QUERY_TIMEOUT_NS: Final = 1 * SECOND
_FETCH_TIMEOUT_NS: Final = 10 * SECOND
_SYNC_PAUSE_NS: Final = 100 * MS
_GONE_PATIENCE_NS: Final = 3 * SECOND
_TASK_DELAY_NS: Final = MS // 2
_SUBMIT_INTERVAL_NS: Final = 2 * MS
_CLIENT: Final = "client"
END: Final = b""
"""The gateway's last message on a stream that it ends in order."""


class GatewayHost(Host):
    """See the module."""

    machine: GatewayMachine

    def __init__(self, world: World, id: int) -> None:
        super().__init__(world, "gateway", id)
        self.intake = Intake()
        self._streams: dict[int, tuple[ClientStream, Pipe]] = {}
        self._by_pipe: dict[Pipe, ClientStream] = {}
        self._token = 0
        self._held: dict[Pipe, list[bytes]] = {}  # messages of streams whose session's past is not known yet
        self._forget = self._forgotten = 0
        self._primary = 0
        self._flushed_ns = 0
        self._told = Told()
        self._gone = False  # the last events asked for were cut from a journal
        self._gone_since_ns = 0

    def status_epoch(self) -> int:
        """What its heartbeats say: which life of it this is."""
        return self.intake.incarnation

    def told(self) -> Told:
        """What its heartbeats say, too: how far clients were told, in this life and those before."""
        if self.machine.downlink is not None:
            self._told = max(self._told, self.machine.downlink.told)
        return self._told

    # ---- life ----------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """What the intake log holds is sent again."""
        limits, timing = self.world.topology.limits, self.world.topology.timing
        now_s = (self.wall_ns() - START_NS) // SECOND
        self.intake.incarnation = max(self.intake.incarnation + 1, now_s)
        self._streams.clear()
        self._by_pipe.clear()
        self._held.clear()
        self._forget = self._forgotten = 0
        self._flushed_ns = self._gone_since_ns = 0
        self.machine = GatewayMachine(
            Settings(
                gateway=self.id,
                incarnation=self.intake.incarnation,
                session_credit=limits.session_credit,
                max_commands=limits.window_commands,
                resend_ns=timing.resend_ms * MS,
                rewind_ns=timing.rewind_ms * MS,
            )
        )
        self.machine.restore(self.intake.unanswered(), self.intake.watched())
        self._synchronise()

    def _synchronise(self) -> None:
        """Ask all engines where the cluster stands; the newest answer counts."""
        request = replication_pb2.QueryRequest(session_id=self.machine.own_session_id)
        replies: list[replication_pb2.QueryReply | None] = []
        engines = self.world.of_kind("engine")

        def done(reply: replication_pb2.QueryReply | None, _failure: str) -> None:
            replies.append(reply)
            if len(replies) < len(engines):
                return
            best = max((one for one in replies if one), key=lambda one: (one.stamp.epoch, one.stamp.seq), default=None)
            if best is None or not best.stamp.epoch:
                self.kernel.after(_SYNC_PAUSE_NS, self._again, self.life, self._synchronise)
                return
            self.machine.start(best.stamp.seq, best.stamp.epoch, own_last_no=best.session_last_no)
            self.kernel.note(f"{self.name} in step at seq {best.stamp.seq}")

        for engine in engines:
            self._query(engine, request, done)

    def _again(self, life: int, action: Callable[[], None]) -> None:
        if self.alive and self.life == life:
            action()

    def _query(self, engine: Host, request: replication_pb2.QueryRequest, done: Done) -> None:
        def ask(target: Host, answer: Done) -> None:
            assert isinstance(target, EngineHost)
            target.serve_query(request, answer)

        self.world.network.call(self, engine, ask, done, timeout_ns=_QUERY_TIMEOUT_NS)

    # ---- turns ---------------------------------------------------------------------------------------------------

    def tick_ns(self) -> int:
        """Coarser than the real 5 ms, which only repeats."""
        return 20 * MS

    def on_turn(self) -> None:
        """One turn of the loop: frames, client messages, then what they brought leaves together."""
        inbox, self.inbox = self.inbox, []
        now_ns = self.kernel.now_ns
        frames = [item for item in inbox if isinstance(item, Frame)]
        for sequencer in self.world.of_kind("sequencer"):
            if hears(self, sequencer):
                assert isinstance(sequencer, SequencerHost)
                self.machine.on_said(sequencer.id, sequencer.status_epoch(), sequencer.leads)
        if frames:
            self._perform(self.machine.on_frames(frames, now_ns))
        for item in inbox:
            if isinstance(item, tuple):
                if item[0] == "stream":
                    self._on_message(item[1], item[2])
                else:
                    self._on_ended(item[1])
        # Commands that follow closely wait for company; how long, `GatewayShell` takes from the frames under way.
        if now_ns >= self._flushed_ns + _SUBMIT_INTERVAL_NS:
            self._flushed_ns = now_ns
            self._perform(self.machine.flush(now_ns))
        elif any(not isinstance(item, Frame) for item in inbox):
            self.kernel.after(self._flushed_ns + _SUBMIT_INTERVAL_NS - now_ns, self._again, self.life, self.wake)
        self._perform(self.machine.on_tick(now_ns))
        if self._forget > self._forgotten:
            self._write_intake((), ())
        self._write_streams()

    def _perform(self, effects: Effects) -> None:
        self._forget = max(self._forget, effects.forget_through)
        if effects.store or effects.watched:
            self._write_intake(effects.store, effects.watched)
        target = self.world.hosts.get(f"sequencer-{effects.sequencer}")
        for frame in effects.sends:
            if target is not None:
                self.world.network.send(self, [target], frame)
        if effects.routed is not None:
            for position, session_id in enumerate(effects.routed.sessions):
                known = self._streams.get(session_id)
                if known is not None:
                    known[0].put_live(effects.routed.of(position))
        for session_id in effects.left:
            if session_id in self._streams:
                self._streams[session_id][0].finish(grpc.StatusCode.ABORTED, "the session has a later connection")
        if effects.fetch is not None:
            self._fetch(effects.fetch)

    def _write_intake(self, entries: tuple[tuple[int, Commands], ...], watched: tuple[Watch, ...]) -> None:
        self.intake.write(entries, self._forget, watched)
        self._forgotten = self._forget

    # ---- events from the engines ---------------------------------------------------------------------------------

    def _fetch(self, wanted: Fetch) -> None:
        def done(events: Events | None) -> None:
            if events is None:
                self._gone_since_ns = self._gone_since_ns or self.kernel.now_ns
                if self._gone and self.kernel.now_ns - self._gone_since_ns > _GONE_PATIENCE_NS:
                    self.kernel.note(f"{self.name} was left behind by every journal")
                    self.crash()
                    self.start()
                    return
                self.kernel.after(_SYNC_PAUSE_NS, self._again, self.life, self.machine.on_fetch_failed)
                return
            self._gone_since_ns = 0
            self._perform(self.machine.on_fetched(events, wanted.to_seq))
            self._write_streams()

        self._events(
            (wanted.after_seq, LAST_INDEX),
            wanted.to_seq,
            0,
            done,
            min_epoch=wanted.epoch,
            told_epoch=wanted.told_epoch,
        )

    def _events(
        self,
        after: tuple[int, int],
        to_seq: int,
        session_id: int,
        done: Callable[[Events | None], None],
        *,
        min_epoch: int,
        told_epoch: int = 0,
    ) -> None:
        """Like `Engines.events`: the primary first, the next where one can't go on; None if none can."""
        parts: list[Events] = []
        self._gone = False
        engines = iter(self._engines_to_ask())
        self._next_engine(engines, after, to_seq, session_id, parts, done, min_epoch, told_epoch)

    def _engines_to_ask(self) -> list[Host]:
        downlink = self.machine.downlink
        self._primary = (downlink.primary if downlink is not None else 0) or self._primary
        return sorted(self.world.of_kind("engine"), key=lambda engine: (engine.id != self._primary, engine.id))

    def _next_engine(
        self,
        engines: Iterator[Host],
        after: tuple[int, int],
        to_seq: int,
        session_id: int,
        parts: list[Events],
        done: Callable[[Events | None], None],
        min_epoch: int,
        told_epoch: int,
    ) -> None:
        engine = next(engines, None)
        if engine is None:
            done(None)
            return
        event_id = common_pb2.EventId(seq=after[0], index=after[1])
        request = replication_pb2.FetchEventsRequest(
            after=event_id, session_id=session_id, to_seq=to_seq, told_epoch=told_epoch
        )

        def answered(replies: list[replication_pb2.FetchEventsReply] | None, failure: str) -> None:
            if failure.startswith(grpc.StatusCode.FAILED_PRECONDITION.name):
                raise Violation(f"{self.name} is told that what it delivered was given up: {failure}")
            self._gone |= failure.startswith(grpc.StatusCode.OUT_OF_RANGE.name)
            last, through = after, 0
            for reply in replies or ():
                if reply.epoch < min_epoch:
                    break  # it may be of a history that was given up
                through = max(through, reply.through_seq)
                if reply.events:
                    events = np.frombuffer(reply.events, dtype=EVENT)
                    parts.append(events)
                    last = (int(events["seq"][-1]), int(events["index"][-1]))
            if through >= to_seq:
                done(np.concatenate(parts) if parts else no_events())
            else:
                told = 0 if parts else told_epoch
                self._next_engine(engines, last, to_seq, session_id, parts, done, min_epoch, told)

        def ask(target: Host, answer: Done) -> None:
            assert isinstance(target, EngineHost)
            target.serve_fetch_events(request, answer)

        self.world.network.call(self, engine, ask, answered, timeout_ns=_FETCH_TIMEOUT_NS)

    # ---- client streams ------------------------------------------------------------------------------------------

    def _on_message(self, pipe: Pipe, raw: bytes) -> None:
        request = decode_request(raw)
        stream = self._by_pipe.get(pipe)
        if stream is None:
            self._open(pipe, request)
            return
        if stream.end is not None:
            return
        if not stream.past_known.is_set():
            self._held.setdefault(pipe, []).append(raw)
            return
        try:
            records = self._records(request, stream.session_id)
        except ShapeError as error:
            stream.refuse(self._stamp(), Refused(request.first_no, error.code), str(error))
            return
        session = self.machine.sessions.get(stream.session_id)
        assert session is not None, "commands of a session that was never opened"
        admission = self.machine.submit(session, records, self.kernel.now_ns, admin=True)
        if admission.refused is not None:
            stream.refuse(self._stamp(), admission.refused, "")

    def _records(self, request: Request, session_id: int) -> Commands:
        now_ns = self.wall_ns()
        command = request.command
        if command is not None:
            if command.WhichOneof("command") in ADMIN_COMMANDS:
                return admin_record(command, session_id=session_id, gateway=self.id, allowed=True, now_ns=now_ns)
            batch = command_columns(command)
        else:
            assert request.batch is not None, "a second Hello"
            batch = request.batch
        return build_records(
            batch,
            session_id=session_id,
            gateway=self.id,
            accounts=None,
            max_rows=self.world.topology.limits.client_batch,
            now_ns=now_ns,
        )

    def _stamp(self) -> common_pb2.Stamp:
        return stamp_message(self.machine.epoch, self.machine.delivered_seq)

    def _open(self, pipe: Pipe, request: Request) -> None:
        hello = request.hello
        if hello is None or self.machine.downlink is None:
            pipe.end("UNAVAILABLE: not in step with the cluster yet")
            return
        self._token += 1
        opened = self.machine.open_session(
            hello.session_id,
            _CLIENT,
            self._token,
            max(1, hello.next_no),
            cancel_on_disconnect_ms=hello.cancel_on_disconnect_ms,
            connection=hello.connection,
            last_seen=(hello.last_seen.seq, hello.last_seen.index),
            last_epoch=hello.last_epoch,
        )
        if isinstance(opened, Refused):
            pipe.end(f"refused: {opened.code.name}")
            return
        previous = self._streams.pop(hello.session_id, None)
        if previous is not None:
            stream, old = previous
            stream.refuse(self._stamp(), Refused(0, Code.SESSION_TAKEN_OVER), "")
            stream.finish(grpc.StatusCode.ABORTED, "taken over")
            self._write(stream, old)
        stream = ClientStream(self._token, hello.session_id, opened.resumption, columnar=hello.columnar)
        self._streams[hello.session_id] = (stream, pipe)
        self._by_pipe[pipe] = stream
        stream.welcome(
            self._stamp(), gateway=self.id, credit=opened.credit, max_batch=self.world.topology.limits.client_batch
        )
        # A task that is spawned in a busy loop gets its first turn late; events are delivered meanwhile.
        self.kernel.after(_TASK_DELAY_NS, self._again, self.life, lambda: self._resume(stream, Began()))

    # ---- resuming: the real machine, over simulated calls ----------------------------------------------------------

    def _resume(self, stream: ClientStream, event: Event) -> None:
        if stream.over:
            return
        machine, resumption = self.machine, stream.resumption
        effects = resumption.step(event, self.kernel.now_ns, epoch=machine.epoch, delivered_seq=machine.delivered_seq)
        knew = stream.past_known.is_set()
        perform(stream, machine, effects)
        if stream.past_known.is_set() and not knew:
            self._take_held(stream)
        if effects.end is not None and effects.end.code is Code.REPORTS_GONE:
            raise Violation(f"{self.name} refuses session {stream.session_id:#x}: {effects.end.text}")
        self._write_streams()
        if effects.ask is not None:
            self._ask(stream, effects.ask)
        elif effects.deadline_ns:
            delay_ns = max(0, effects.deadline_ns - self.kernel.now_ns)
            self.kernel.after(delay_ns, self._again, self.life, lambda: self._resume(stream, Ticked()))

    def _ask(self, stream: ClientStream, ask: Ask) -> None:
        match ask:
            case AskWhetherLost():
                told = replication_pb2.Told(epoch=ask.told_epoch, seq=ask.told_seq)
                request = replication_pb2.QueryRequest(told=told)
                self._query_any(
                    request, ask.min_epoch, lambda reply: self._resume(stream, Compared(reply.parted_at)), stream
                )
            case AskLastNumber():
                request = replication_pb2.QueryRequest(session_id=stream.session_id)
                self._query_any(
                    request,
                    ask.min_epoch,
                    lambda reply: self._resume(stream, Counted(reply.session_last_no, reply.stamp.seq)),
                    stream,
                )
            case AskEvents():
                self._events(
                    ask.after,
                    ask.to_seq,
                    stream.session_id,
                    lambda events: self._on_resumed(stream, events),
                    min_epoch=ask.min_epoch,
                )

    def _query_any(
        self,
        request: replication_pb2.QueryRequest,
        min_epoch: int,
        done: Callable[[replication_pb2.QueryReply], None],
        stream: ClientStream,
    ) -> None:
        """The primary first, another one if it can't answer; one that has not heard of the epoch does not count."""
        engines = iter(self._engines_to_ask())

        def ask_next() -> None:
            engine = next(engines, None)
            if engine is None:
                self._resume(stream, Failed("no engine answers"))
            else:
                self._query(engine, request, answered)

        def answered(reply: replication_pb2.QueryReply | None, _failure: str) -> None:
            if reply is None or reply.stamp.epoch < min_epoch:
                ask_next()
            else:
                done(reply)

        ask_next()

    def _on_resumed(self, stream: ClientStream, events: Events | None) -> None:
        if stream.over:
            return
        if events is None:
            self._resume(stream, Failed("no engine has them all"))
            return
        if len(events):
            put_fetched(stream, events, self.machine)
            self._resume(stream, Fetched((int(events["seq"][-1]), int(events["index"][-1]))))
        self._resume(stream, FetchedAll())

    def _take_held(self, stream: ClientStream) -> None:
        """What the client sent before its commands were taken."""
        pipe = next((pipe for pipe, one in self._by_pipe.items() if one is stream), None)
        if pipe is not None:
            for raw in self._held.pop(pipe, ()):
                self._on_message(pipe, raw)
            self.wake()

    def _on_ended(self, pipe: Pipe) -> None:
        stream = self._by_pipe.pop(pipe, None)
        self._held.pop(pipe, None)
        if stream is None:
            return
        stream.close()
        known = self._streams.get(stream.session_id)
        if known is not None and known[0] is stream:
            del self._streams[stream.session_id]
        self.machine.close_stream(stream.session_id, stream.token, self.kernel.now_ns)

    def _write_streams(self) -> None:
        for stream, pipe in list(self._streams.values()):
            if stream.wakeup.is_set():
                self._write(stream, pipe)

    def _write(self, stream: ClientStream, pipe: Pipe) -> None:
        stream.wakeup.clear()
        for message in stream.take(self.machine.epoch, self.machine.delivered_seq):
            pipe.send(message, up=False)
        if stream.end is not None:
            pipe.send(END, up=False)
