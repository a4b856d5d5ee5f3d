"""Does what the session machine says, over its ports, and gives it what has come: the same in every world.

Any thread may submit: that numbers, under a lock, and asks for the timer to be set. All else happens in one thread, so
all effects are done in one thread, in order. What leaves and what is handed out is written down before: what the owner
acts on must stand in his log.
"""

import threading
from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from lockstep.columns import decode_report_batch, decode_reports
from lockstep.errors import ProtocolFault
from lockstep.session_events import (
    Checkpoint,
    Closed,
    Connect,
    Effects,
    NextNumberReported,
    Opened,
    RefusalArrived,
    Reported,
    ReportId,
    SessionEvent,
    StreamEnded,
    Ticked,
    Welcomed,
)
from lockstep.session_machine import NEVER, SessionMachine
from lockstep.session_parcels import Piece
from lockstep.session_ports import Ports
from lockstep.v1 import orders_pb2
from lockstep.wire.v1 import columns_pb2

_MS: Final = 1_000_000


class SessionDriver:
    """One life of a session at its client."""

    def __init__(self, machine: SessionMachine, ports: Ports) -> None:
        self.machine = machine
        self._ports = ports
        self._lock = threading.Lock()
        self._planned_ns = NEVER
        """For when the timer is set, or is about to be."""

    # ---- any thread ----------------------------------------------------------------------------------------------

    def submit(self, piece: Piece, numbered: Callable[[int], None] | None = None) -> int | None:
        """Number a piece; None if there is no room for it now, or ever. It leaves at a later step.

        `numbered` gets the number before any answer can come.
        """
        now_ns = self._ports.now_ns()
        with self._lock:
            first_no = self.machine.submit(piece, now_ns)
            if numbered is not None and first_no is not None:
                numbered(first_no)
            due_ns = self.machine.deadline_ns
            sooner = due_ns < self._planned_ns
            if sooner:
                self._planned_ns = due_ns
        if sooner:
            self._ports.arm_soon()
        return first_no

    def checkpoint(self, last_seen: ReportId | None = None) -> Checkpoint:
        """State to go on from in another process; `last_seen`: the last row that the owner has dealt with."""
        with self._lock:
            return self.machine.checkpoint(last_seen)

    # ---- its own thread ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Have the session run."""
        self._step(Opened())

    def close(self) -> None:
        """The owner wants no more of it."""
        self._step(Closed())

    def on_time(self) -> None:
        """The time that `Ports.wake_at` named has come."""
        self._step(Ticked())

    def on_message(self, conn: int, message: bytes) -> None:
        """A gateway has said something.

        Raises:
            ProtocolFault: this is none of its messages. The connection is of no use any more.
        """
        try:
            event = _event(conn, message)
        except DecodeError as error:
            raise ProtocolFault(f"the gateway sent what can't be read: {error}") from error
        if event is not None:
            self._step(event)

    def on_ended(self, conn: int, reason: str, *, fatal_code: int = 0, retry_after_ms: int = 0) -> None:
        """A connection is gone. `fatal_code`: why it is of no use to try again. That of an abandoned one is no news."""
        if self.machine.holds(conn):
            self._step(StreamEnded(conn, reason, self._ports.jitter_ppm(), fatal_code, retry_after_ms))

    def arm(self) -> None:
        """Set the timer for the machine's next deadline."""
        with self._lock:
            due_ns = self._planned_ns = self.machine.deadline_ns
        self._ports.wake_at(due_ns)

    def _step(self, event: SessionEvent) -> None:
        now_ns = self._ports.now_ns()
        with self._lock:
            effects = self.machine.step(event, now_ns)
        self._perform(effects)
        self.arm()

    def _perform(self, effects: Effects) -> None:
        ports = self._ports
        if effects.disconnect:
            ports.disconnect(effects.disconnect)
        if effects.connect is not None:
            self._connect(effects.connect)
        if effects.send:
            ports.log_sent(effects.send)
            ports.send(effects.send)
        if effects.reports is not None:
            ports.log_reported(effects.reports)
            ports.deliver(effects.reports)
        if effects.failure is not None:
            ports.on_failed(effects.failure)
        ports.on_step(answered=effects.answered)

    def _connect(self, connect: Connect) -> None:
        wall_ms = self._ports.wall_ns() // _MS
        with self._lock:
            connection = self.machine.number_connection(wall_ms)
        self._ports.connect(connect.conn, connect.address, _hello(connect, connection))


def _event(conn: int, message: bytes) -> SessionEvent | None:
    """What a gateway's message means; None: a newer gateway says more than this version knows."""
    response = columns_pb2.SessionResponse.FromString(message)
    match response.WhichOneof("message"):
        case "report_batch":
            return Reported(conn, decode_report_batch(response.report_batch, message))
        case "welcome":
            welcome = orders_pb2.Welcome.FromString(response.welcome)
            follows = welcome.next_number_follows
            return Welcomed(conn, welcome.stamp.epoch, welcome.credit, welcome.max_batch, follows)
        case "refusal":
            said = orders_pb2.Refusal.FromString(response.refusal)
            return RefusalArrived(conn, said.from_no, said.code, said.text, said.retryable, said.retry_after_ms)
        case "next_number":
            number = orders_pb2.NextNumber.FromString(response.next_number)
            executed_no = number.executed_no if number.HasField("executed_no") else -1
            return NextNumberReported(conn, number.next_no, executed_no)
        case "reports":
            return Reported(conn, decode_reports(orders_pb2.Reports.FromString(response.reports)))
        case _:
            return None


def _hello(connect: Connect, connection: int) -> bytes:
    hello = orders_pb2.Hello(
        session_id=connect.session_id,
        next_no=connect.next_no,
        columnar=True,
        cancel_on_disconnect_ms=connect.cancel_on_disconnect_ms,
        connection=connection,
        last_epoch=connect.last_epoch,
        asks_next_no=connect.asks_next_no,
    )
    hello.last_seen.seq = connect.last_seen.seq
    hello.last_seen.index = connect.last_seen.index
    return orders_pb2.SessionRequest(hello=hello).SerializeToString()
