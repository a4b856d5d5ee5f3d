"""The I/O around the session machine: one event loop, one gRPC stream at a time, one timer.

Commands may be submitted from any thread (a lock guards the machine, which is fast and never blocks); everything else
happens in the loop's thread. Submitting never sends: it numbers, and makes sure that the loop's timer is set. So all
effects are done in one thread, in order.
"""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from lockstep.channel import Channels, fatal_code
from lockstep.client_log import ClientLog
from lockstep.columns import ReportColumns, decode_report_batch, decode_reports
from lockstep.delivery import BatchCallback, CommandHandle, Handles, ReportQueue, last_id
from lockstep.errors import LockstepError, ProtocolFault, Refused, SessionEnded, Unavailable
from lockstep.session_events import (
    Checkpoint,
    Closed,
    Connect,
    Effects,
    Opened,
    Parcel,
    RefusalArrived,
    Reported,
    SessionEvent,
    SessionLimits,
    StreamEnded,
    Ticked,
    Welcomed,
)
from lockstep.session_machine import Piece, SessionMachine, State
from lockstep.v1 import orders_pb2
from lockstep.wire.v1 import columns_pb2

_NEVER: Final = 2**63 - 1
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ShellOptions:
    """How a session delivers."""

    on_batch: BatchCallback | None = None
    """Called in the loop's thread for each batch of reports; replaces the queue behind the iterators."""
    settle_s: float = 0.1
    """After taking up a checkpoint: how long it must be quiet before new commands are numbered."""
    log: ClientLog | None = None
    """Where it is written down what was sent and told; the shell closes it."""


class SessionShell:
    """One session over real connections. The loop that runs it must be the one that `channels` belong to."""

    def __init__(
        self,
        channels: Channels,
        checkpoint: Checkpoint,
        limits: SessionLimits,
        options: ShellOptions,
        *,
        resumed: bool,
    ) -> None:
        self.machine = SessionMachine(checkpoint, limits)
        self.queue = ReportQueue(asyncio.get_running_loop(), checkpoint.last_seen)
        self._loop = asyncio.get_running_loop()
        self._channels = channels
        self._options = options
        self._resumed = resumed
        self._lock = threading.Lock()
        self._handles = Handles()
        self._outbox = _Outbox()
        self._conversation: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._planned_ns = _NEVER
        self._moved = asyncio.Event()
        self._room_listeners: list[Callable[[], None]] = []
        self._error: LockstepError | None = None
        self._last_break = ""

    # ---- any thread --------------------------------------------------------------------------------------------

    def submit(self, piece: Piece) -> int | None:
        """Number a piece; None if there is no room for it now. Raises SessionEnded."""
        with self._lock:
            first_no = self.machine.submit(piece, time.monotonic_ns())
            if first_no is None:
                self.raise_if_ended()
            wake = self._plan()
        if wake:
            self._loop.call_soon_threadsafe(self._arm)
        return first_no

    def submit_tracked(self, piece: Piece) -> CommandHandle | None:
        """Like `submit`, for one command, with a handle for its outcome."""
        with self._lock:
            first_no = self.machine.submit(piece, time.monotonic_ns())
            if first_no is None:
                self.raise_if_ended()
            # Under the lock, so that the answer can't come before the handle is known.
            handle = None if first_no is None else self._handles.add(first_no)
            wake = self._plan()
        if wake:
            self._loop.call_soon_threadsafe(self._arm)
        return handle

    def checkpoint(self) -> Checkpoint:
        """State as of the last row that the owner was given."""
        with self._lock:
            return self.machine.checkpoint(self.queue.delivered if self._owner_reads else None)

    @property
    def _owner_reads(self) -> bool:
        """Whether the owner takes the reports one after the other (if not, he goes by the handles alone)."""
        return self.has_callback or self.queue.consumed

    @property
    def has_callback(self) -> bool:
        """Whether reports go to a callback instead of the queue."""
        return self._options.on_batch is not None

    def raise_if_ended(self) -> None:
        """Raises SessionEnded if the session will never take or answer a command again."""
        if self.machine.ended:
            raise SessionEnded(f"the session is {self.machine.state.value}; open a new one") from self._error

    def on_room(self, listener: Callable[[], None]) -> None:
        """Have `listener` called in the loop's thread whenever commands were answered, and at the end."""
        self._room_listeners.append(listener)

    @property
    def why_silent(self) -> str:
        """State of the connection in words, for error messages."""
        words = f"the session is {self.machine.state.value}, {self.machine.unanswered} commands unanswered"
        return f"{words}; last break: {self._last_break}" if self._last_break else words

    def _plan(self) -> bool:
        """Whether the loop has to be told of an earlier deadline."""
        deadline_ns = self.machine.deadline_ns
        if deadline_ns >= self._planned_ns:
            return False
        self._planned_ns = deadline_ns
        return True

    # ---- loop thread -------------------------------------------------------------------------------------------

    async def open(self, timeout_s: float) -> None:
        """Connect, and wait for the gateway's Welcome (and for quiet, if the session was taken up).

        Raises:
            Unavailable: no gateway said Welcome within `timeout_s` seconds.
            Refused: a gateway refused the session for good.
        """
        self._step(Opened())
        try:
            async with asyncio.timeout(timeout_s):
                while self.machine.state is not State.OPEN:
                    self._moved.clear()
                    if self._error is not None:
                        raise self._error
                    await self._moved.wait()
        except TimeoutError:
            tried = ", ".join(self._channels.addresses)
            self._step(Closed())
            if self._options.log is not None:
                self._options.log.close()
            raise Unavailable(
                f"no gateway took the session within {timeout_s} s (tried {tried}; last: "
                f"{self._last_break or 'silence'}); check that the cluster runs and that the address is right"
            ) from None
        if self._resumed:
            rows = -1
            while rows != self.machine.counters.rows:
                rows = self.machine.counters.rows
                await asyncio.sleep(self._options.settle_s)

    async def close(self, drain_s: float) -> Checkpoint:
        """Wait up to `drain_s` seconds for answers, then end the session here. The cluster keeps its part."""
        deadline = self._loop.time() + drain_s
        while self.machine.unanswered and not self.machine.ended:
            self._moved.clear()
            left = deadline - self._loop.time()
            if left <= 0:
                break
            try:
                async with asyncio.timeout(left):
                    await self._moved.wait()
            except TimeoutError:
                break
        checkpoint = self.checkpoint()
        if not self.machine.ended:
            self._step(Closed())
            self._end(SessionEnded("the session was closed"), failed=False)
        return checkpoint

    def _step(self, event: SessionEvent) -> None:
        with self._lock:
            effects = self.machine.step(event, time.monotonic_ns())
        self._perform(effects)
        self._arm()

    def _arm(self) -> None:
        """Set the timer for the machine's next deadline."""
        with self._lock:
            deadline_ns = self.machine.deadline_ns
            self._planned_ns = deadline_ns
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline_ns < _NEVER:
            delay_s = max(0, deadline_ns - time.monotonic_ns()) / 1e9
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._step(Ticked())

    def _perform(self, effects: Effects) -> None:
        if effects.disconnect and self._conversation is not None:
            self._conversation.cancel()
            self._conversation = None
        if effects.connect is not None:
            self._outbox = _Outbox()
            self._conversation = self._loop.create_task(self._converse(effects.connect, self._outbox))
            self._conversation.add_done_callback(self._on_conversation_done)
        if effects.send:
            if self._options.log is not None:
                self._options.log.sent(effects.send)
            self._outbox.parcels.extend(effects.send)
            self._outbox.filled.set()
        if effects.reports is not None:
            self._deliver(effects.reports)
        if effects.failure is not None:
            self._end(Refused(effects.failure.code, effects.failure.text), failed=True)
        self._moved.set()
        if effects.answered:
            self._tell_room()

    def _deliver(self, batch: ReportColumns) -> None:
        # Written down first: what the owner acts on must stand in his log.
        if self._options.log is not None:
            self._options.log.told(batch)
        # The owner may ask for a checkpoint as soon as a handle is done, so the rows are his before that.
        if self._options.on_batch is not None:
            self._options.on_batch(batch)
            self.queue.delivered = last_id(batch)
        else:
            self.queue.put(batch)
        self._handles.resolve(batch)

    def _tell_room(self) -> None:
        for listener in self._room_listeners:
            listener()

    def _end(self, error: LockstepError, *, failed: bool) -> None:
        if self._error is not None:
            return
        self._error = error
        if self._options.log is not None:
            self._options.log.close()
        if failed:
            ended = SessionEnded(f"the session failed: {error}")
            ended.__cause__ = error
        else:
            ended = SessionEnded(str(error))
        self._handles.fail(ended)
        self.queue.close(ended if failed else None)
        self._moved.set()
        self._tell_room()

    # ---- one connection ----------------------------------------------------------------------------------------

    async def _converse(self, connect: Connect, outbox: "_Outbox") -> None:
        call = self._channels.session_call(connect.address)
        writer: asyncio.Task[None] | None = None
        status, reason = grpc.StatusCode.OK, "the gateway ended the stream"
        try:
            with self._lock:
                connection = self.machine.number_connection(time.time_ns() // 1_000_000)
            await call.write(_hello(connect, connection))
            writer = self._loop.create_task(_write(call, outbox))
            while (message := await call.read()) is not grpc.aio.EOF:
                self._on_message(connect.conn, message)
                if self.queue.full:
                    await self.queue.room()
        except grpc.aio.AioRpcError as error:
            status, reason = error.code(), error.details() or error.code().name
        except asyncio.InvalidStateError:
            # The call ended under our hands; its status says why.
            status, reason = await call.code(), await call.details()
        except ProtocolFault as error:
            reason = str(error)
        finally:
            if writer is not None:
                writer.cancel()
            call.cancel()
        self._last_break = f"{self._channels.address(connect.address)}: {status.name} {reason}"
        jitter_ppm = random.randrange(_MILLION)  # noqa: S311 - spreads clients in time, keeps no secret
        self._step(StreamEnded(connect.conn, reason, jitter_ppm, int(fatal_code(status))))

    def _on_message(self, conn: int, message: bytes) -> None:
        response = columns_pb2.SessionResponse.FromString(message)
        match response.WhichOneof("message"):
            case "report_batch":
                self._step(Reported(conn, decode_report_batch(response.report_batch, message)))
            case "welcome":
                welcome = orders_pb2.Welcome.FromString(response.welcome)
                self._step(Welcomed(conn, welcome.stamp.epoch, welcome.credit, welcome.max_batch))
            case "refusal":
                refusal = orders_pb2.Refusal.FromString(response.refusal)
                self._step(
                    RefusalArrived(
                        conn, refusal.from_no, refusal.code, refusal.text, refusal.retryable, refusal.retry_after_ms
                    )
                )
            case "reports":
                self._step(Reported(conn, decode_reports(orders_pb2.Reports.FromString(response.reports))))
            case _:
                # A newer gateway may say more than this version knows.
                return

    def _on_conversation_done(self, task: "asyncio.Task[None]") -> None:
        """A callback of the owner raised, or this package has a bug: end loudly, never hang."""
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        with self._lock:
            self.machine.step(Closed(), time.monotonic_ns())
        fault = LockstepError(f"handling of reports raised {error!r}")
        fault.__cause__ = error
        self._end(fault, failed=True)


class _Outbox:
    """What is to be written on one connection; it dies with it, and the machine sends again what was in it."""

    def __init__(self) -> None:
        self.parcels: deque[Parcel] = deque()
        self.filled = asyncio.Event()


async def _write(call: Any, outbox: _Outbox) -> None:
    try:
        while True:
            while outbox.parcels:
                await call.write(outbox.parcels.popleft().encode())
            outbox.filled.clear()
            await outbox.filled.wait()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        # The reader of the same call gets the status and says what has to be said.
        return


def _hello(connect: Connect, connection: int) -> bytes:
    hello = orders_pb2.Hello(
        session_id=connect.session_id,
        next_no=connect.next_no,
        columnar=True,
        cancel_on_disconnect_ms=connect.cancel_on_disconnect_ms,
        connection=connection,
        last_epoch=connect.last_epoch,
    )
    hello.last_seen.seq = connect.last_seen.seq
    hello.last_seen.index = connect.last_seen.index
    return orders_pb2.SessionRequest(hello=hello).SerializeToString()
