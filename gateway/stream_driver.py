"""Clients' session streams: opened, resumed, read and closed, the same in the process and in the simulation.

What carries the messages (a gRPC call, a simulated pipe) gives them to `on_message` once `ClientStream.past_known` is
set, takes what is to be written from the stream when its `wakeup` is set, says `on_drained` when no rows are left that
can be written, and calls `close` at the end.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import grpc
import numpy as np
from numpy.typing import NDArray

from lockstep.gateway.admission import records_of
from lockstep.gateway.client_stream import ClientStream
from lockstep.gateway.events import HelloSaid, Resumed, StreamClosed
from lockstep.gateway.handshakes import Handshakes
from lockstep.gateway.numbering import AskAgain, GiveUp, Numbering, Say
from lockstep.gateway.ports import Ports
from lockstep.gateway.reports import Routed, route
from lockstep.gateway.resumption import (
    Ask,
    AskEvents,
    AskLastNumber,
    AskWhetherLost,
    Began,
    Compared,
    Counted,
    Drained,
    End,
    Event,
    Failed,
    Fetched,
    FetchedAll,
    Ticked,
)
from lockstep.gateway.sessions import Refused
from lockstep.gateway.validation import ShapeError
from lockstep.gateway.wire import Unparsable, decode_request
from lockstep.runtime.access.permissions import MASS_CANCELERS
from lockstep.runtime.budget import BYTES_PER_POINT
from lockstep.runtime.inquiry import EventSearch, Fault, LookUp, NoAnswer, Todo
from lockstep.runtime.topology import Principal
from lockstep.stream.codes import Code
from lockstep.stream.records import Events
from lockstep.v1 import orders_pb2, replication_pb2

if TYPE_CHECKING:
    from lockstep.gateway.driver import GatewayDriver

EventOf = Callable[[replication_pb2.QueryReply], Event]

ROWS_AHEAD: Final = 32_768
"""Of older reports: no more are fetched while so many wait to be written."""

REFUSAL_TEXTS: Final = {
    Code.SESSION_GAP: "a number was left out; send again from from_no",
    Code.BUSY: "too many commands are unanswered; send again from from_no",
    Code.UNAVAILABLE: "no sequencer leads the cluster at the moment; send again from from_no",
    Code.SHUTTING_DOWN: "this gateway is being stopped; open the session at another one",
    Code.NOT_ENTITLED: "the session belongs to another client",
    Code.SESSION_TAKEN_OVER: "the session was opened on another stream",
    Code.STALE_CONNECTION: "the session has a later connection; say Hello with a higher connection number",
}


class StreamDriver:
    """See the module. Part of a `GatewayDriver`."""

    def __init__(self, driver: "GatewayDriver", ports: Ports, *, max_batch: int) -> None:
        self._driver = driver
        self._machine = driver.machine
        self._ports = ports
        self._max_batch = max_batch
        self._streams: dict[int, ClientStream] = {}
        self._tokens = itertools.count(1)
        self.handshakes = Handshakes()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._streams)

    def finish_all(self, code: Code, text: str = "") -> None:
        """Send every client elsewhere."""
        for stream in list(self._streams.values()):
            stream.finish(grpc.StatusCode.UNAVAILABLE, text or REFUSAL_TEXTS[code], code)

    # ---- opening and closing -------------------------------------------------------------------------------------

    def open(
        self, client: str, hello: orders_pb2.Hello, make: type[ClientStream] = ClientStream
    ) -> ClientStream | Refused:
        """A client's Hello: its stream owns the session now, another one that did is ended. `make`: what it is to
        be."""
        token = next(self._tokens)
        now_ns = self._ports.now_ns()
        retry_after_ms = self.handshakes.begin(token, now_ns)
        if retry_after_ms:
            return Refused(0, Code.BUSY, retry_after_ms)
        said = HelloSaid(
            hello.session_id,
            client,
            token,
            max(1, hello.next_no),
            cancel_on_disconnect_ms=hello.cancel_on_disconnect_ms,
            connection=hello.connection,
            last_seen=(hello.last_seen.seq, hello.last_seen.index),
            last_epoch=hello.last_epoch,
        )
        opened = self._machine.step(said, now_ns).opened
        assert opened is not None, "a Hello was looked at"
        if isinstance(opened, Refused):
            self.handshakes.end(token, now_ns)
            return opened
        previous = self._streams.pop(hello.session_id, None)
        if previous is not None:
            refused = Refused(0, Code.SESSION_TAKEN_OVER)
            previous.refuse(self._driver.stamp(), refused, REFUSAL_TEXTS[refused.code])
            previous.finish(grpc.StatusCode.ABORTED, REFUSAL_TEXTS[refused.code], refused.code)
        stream = make(token, hello.session_id, opened.resumption, columnar=hello.columnar, client=client)
        self._streams[hello.session_id] = stream
        stream.asks_next_no = hello.asks_next_no
        # With the loop's next turn: events may be delivered meanwhile, and are live to it.
        self._ports.at(now_ns, partial(self._resume, stream, Began()))
        return stream

    def close(self, stream: ClientStream) -> None:
        """The stream ended; its session stays."""
        stream.close()
        now_ns = self._ports.now_ns()
        self.handshakes.end(stream.token, now_ns)
        if self._streams.get(stream.session_id) is stream:
            del self._streams[stream.session_id]
        self._machine.step(StreamClosed(stream.session_id, stream.token), now_ns)

    def leave(self, session_id: int) -> None:
        """A later connection of the session is known."""
        stream = self._streams.get(session_id)
        if stream is not None:
            code = Code.STALE_CONNECTION
            stream.finish(grpc.StatusCode.ABORTED, REFUSAL_TEXTS[code], code)

    # ---- messages ------------------------------------------------------------------------------------------------

    def on_message(
        self, stream: ClientStream, raw: bytes, client: Principal, accounts: NDArray[np.uint32] | None
    ) -> None:
        """A message of the stream's client, behind its Hello. `accounts`: see `accounts_of`."""
        if stream.end is not None:
            return
        try:
            request = decode_request(raw)
            unread = self._driver.refuse_unread(stream.session_id, request.first_no) if request.first_no else None
            if unread is not None:
                if unread.refused is not None:
                    self._refuse(stream, unread.refused)
                return
            records = records_of(
                request,
                stream.session_id,
                client,
                accounts,
                gateway=self._machine.settings.gateway,
                max_rows=self._max_batch,
                now_ns=self._ports.wall_ns(),
            )
        except Unparsable as error:
            stream.finish(grpc.StatusCode.INVALID_ARGUMENT, str(error), Code.MALFORMED_BATCH)
            return
        except ShapeError as error:
            stream.refuse(self._driver.stamp(), Refused(request.first_no, error.code), str(error))
            return
        self._driver.charge(client, len(raw) // BYTES_PER_POINT)
        refused = self._driver.submit(stream.session_id, records, admin=client.may(MASS_CANCELERS), client=client)
        if refused is not None:
            self._refuse(stream, refused)

    def _refuse(self, stream: ClientStream, refused: Refused) -> None:
        stream.refuse(self._driver.stamp(), refused, refused.text or REFUSAL_TEXTS[refused.code])

    def deliver(self, routed: Routed) -> int:
        """Put reports into the streams of their sessions; how many there were."""
        count = 0
        for position, session_id in enumerate(routed.sessions):
            stream = self._streams.get(session_id)
            if stream is None:
                continue
            reports = routed.of(position)
            count += len(reports)
            stream.put_live(reports)
            if stream.half_closed:
                self.finish_if_answered(stream)
        return count

    def finish_if_answered(self, stream: ClientStream) -> None:
        """End a stream whose client has said all, once it has got all answers."""
        session = self._machine.sessions.get(stream.session_id)
        if session is None or session.unanswered == 0:
            stream.wakeup.set()

    def has_all_answers(self, stream: ClientStream) -> bool:
        """Nothing of the session is unanswered, and nothing older is being fetched."""
        session = self._machine.sessions.get(stream.session_id)
        return (session is None or session.unanswered == 0) and not stream.resuming

    def on_drained(self, stream: ClientStream) -> None:
        """Everything that waited was written."""
        if stream.resumption.waits_for_room:
            self._resume(stream, Drained())

    # ---- resuming ------------------------------------------------------------------------------------------------

    def _resume(self, stream: ClientStream, event: Event) -> None:
        """Bring a stream the reports after those of its Hello that were delivered before it was opened."""
        if stream.over:
            self.handshakes.end(stream.token, self._ports.now_ns())
            return
        effects = stream.resumption.step(
            event, self._ports.now_ns(), epoch=self._machine.epoch, delivered_seq=self._machine.delivered_seq
        )
        if not stream.welcomed and self._machine.epoch >= stream.resumption.delivered_epoch:
            # Not before: a client takes a lower epoch than it knows for that of a gateway that was left behind.
            self._welcome(stream)
        if effects.end is not None:
            self._end(stream, effects.end)
        if effects.take_commands:
            stream.past_known.set()
        if effects.release:
            stream.release_live()
            self._number(stream, Numbering(self._ports.now_ns()))
        if effects.ask is not None:
            self._ask(stream, effects.ask)
        elif effects.deadline_ns:
            self._ports.at(effects.deadline_ns, partial(self._resume, stream, Ticked()))

    def _welcome(self, stream: ClientStream) -> None:
        stream.welcome(
            self._driver.stamp(),
            gateway=self._machine.settings.gateway,
            credit=self._machine.settings.session_credit,
            max_batch=self._max_batch,
            next_number_follows=stream.asks_next_no,
        )

    def _end(self, stream: ClientStream, end: End) -> None:
        if end.code is Code.REPORTS_GONE:
            stream.refuse(self._driver.stamp(), Refused(0, end.code), end.text)
            stream.finish(grpc.StatusCode.OUT_OF_RANGE, end.text, end.code)
        else:
            stream.finish(grpc.StatusCode.UNAVAILABLE, end.text, end.code)
        # The stream has ended, so that no command is taken any more; who waits to read them may go.
        stream.past_known.set()
        self.handshakes.end(stream.token, self._ports.now_ns())

    def _ask(self, stream: ClientStream, ask: Ask) -> None:
        engines = self._driver.engines()
        match ask:
            case AskWhetherLost():
                delivered = replication_pb2.DeliveryMark(epoch=ask.delivered_epoch, seq=ask.delivered_seq)
                request = replication_pb2.QueryRequest(delivered=delivered)
                self._ports.ask(
                    LookUp(engines, request, min_epoch=ask.min_epoch),
                    partial(self._answered, stream, lambda reply: Compared(reply.diverged_at)),
                )
            case AskLastNumber():
                request = replication_pb2.QueryRequest(session_id=stream.session_id)
                self._ports.ask(
                    LookUp(engines, request, min_epoch=ask.min_epoch),
                    partial(self._answered, stream, lambda reply: Counted(reply.session_last_no, reply.stamp.seq)),
                )
            case AskEvents():
                search = EventSearch(
                    engines,
                    after=ask.after,
                    to_seq=ask.to_seq,
                    session_id=stream.session_id,
                    min_epoch=ask.min_epoch,
                )
                self._ports.ask(search, partial(self._found, stream), stream.client)

    def _answered(self, stream: ClientStream, event_of: EventOf, todo: Todo) -> bool:
        end = todo.end
        assert end is not None, "no pages were asked for"
        self._resume(stream, Failed(end.text) if isinstance(end, NoAnswer) else event_of(end))
        return False

    def _found(self, stream: ClientStream, todo: Todo) -> bool:
        """Older events of the session, some or the last."""
        for page in todo.pages:
            if stream.over:
                break
            if len(page.events):
                self._put_fetched(stream, page.events)
            self._resume(stream, Fetched(page.through))
        if stream.over or todo.done:
            self._resume(stream, FetchedAll())
        elif isinstance(todo.end, NoAnswer):
            gone = todo.end.fault is Fault.GONE
            self._resume(stream, Failed(todo.end.text, gone=gone, first_seq=todo.end.first_seq))
        elif stream.pending_rows > ROWS_AHEAD:
            stream.resumption.wait_for_room()
            return False
        return not (todo.over or stream.over)

    def _put_fetched(self, stream: ClientStream, events: Events) -> None:
        """Into the stream, and what they answer is answered here, too."""
        routed = route(events, stream.session_id)
        if routed is not None:
            self._machine.step(Resumed(routed), self._ports.now_ns())
            stream.put_resumed(routed.of(0))

    # ---- the next number -----------------------------------------------------------------------------------------

    def _number(self, stream: ClientStream, numbering: Numbering) -> None:
        """All earlier reports are in the stream; a client that asked gets the number that comes next."""
        if not stream.asks_next_no or stream.over:
            self.handshakes.end(stream.token, self._ports.now_ns())
            return
        machine = self._machine
        request = replication_pb2.QueryRequest(session_id=stream.session_id)
        look_up = LookUp(self._driver.engines(), request, min_epoch=machine.epoch, min_seq=machine.delivered_seq)
        self._ports.ask(look_up, partial(self._on_number, stream, numbering))

    def _on_number(self, stream: ClientStream, numbering: Numbering, todo: Todo) -> bool:
        assert todo.end is not None, "no pages were asked for"
        now_ns = self._ports.now_ns()
        session = self._machine.sessions.get(stream.session_id)
        said = numbering.on_end(todo.end, session, now_ns)
        if isinstance(said, AskAgain):
            self._ports.at(said.at_ns, partial(self._number, stream, numbering))
            return False
        if isinstance(said, GiveUp):
            stream.finish(grpc.StatusCode.UNAVAILABLE, said.text)
        elif isinstance(said, Say) and not stream.over:
            stream.say_next_number(self._driver.stamp(), said.next_no, said.executed_no)
        self.handshakes.end(stream.token, now_ns)
        return False
