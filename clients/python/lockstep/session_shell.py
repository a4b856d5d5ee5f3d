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
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from lockstep.arguments import LONGEST_S, span
from lockstep.callbacks import call_plain
from lockstep.channel import Channels, fatal_code, retry_after_ms
from lockstep.client_log import ClientLog
from lockstep.columns import ReportColumns, decode_report_batch, decode_reports
from lockstep.delivery import BatchCallback, CommandHandle, Handles, ReportQueue
from lockstep.errors import LockstepError, ProtocolFault, Refused, SessionEnded, Unavailable
from lockstep.newer_asyncio import timeout
from lockstep.ownership import Owner
from lockstep.session_events import (
    Checkpoint,
    Closed,
    Connect,
    Effects,
    NextNumberTold,
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
from lockstep.session_machine import SessionMachine, State
from lockstep.session_parcels import Piece
from lockstep.session_rows import last_id
from lockstep.v1 import orders_pb2
from lockstep.wire.v1 import columns_pb2

_NEVER: Final = 2**63 - 1
_SETTLE_S: Final = 0.1
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ShellOptions:
    """How a session delivers."""

    on_batch: BatchCallback | None = None
    """Called in the loop's thread for each batch of reports; replaces the queue behind the iterators."""
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
        self.machine = SessionMachine(checkpoint, limits, taken_up=resumed)
        self.owner = Owner(threading.get_ident())
        self.queue = ReportQueue(asyncio.get_running_loop(), checkpoint.last_seen, self.owner)
        self._loop = asyncio.get_running_loop()
        self._channels = channels
        self._options = options
        self._lock = threading.Lock()
        self._handles = Handles(self.owner)
        self._outbox = _Outbox()
        self._conversation: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._planned_ns = _NEVER
        self._moved = asyncio.Event()
        self._room_listeners: list[Callable[[], None]] = []
        # The first reason for which the session ended, and whether that is a failure. It never changes.
        self._reason: LockstepError | None = None
        self._failed = False
        self._finished = False
        self._last_break = ""

    # ---- any thread --------------------------------------------------------------------------------------------

    def submit(self, piece: Piece) -> int | None:
        """Number a piece; None if there is no room for it now.

        Raises:
            SessionEnded: with the reason.
        """
        first_no, _ = self._number(piece, track=False)
        return first_no

    def submit_tracked(self, piece: Piece) -> CommandHandle | None:
        """Like `submit`, for one command, with a handle for its outcome."""
        _, handle = self._number(piece, track=True)
        return handle

    def _number(self, piece: Piece, *, track: bool) -> tuple[int | None, CommandHandle | None]:
        self.owner.check_process("a session's command")
        handle = None
        with self._lock:
            first_no = self.machine.submit(piece, time.monotonic_ns())
            if first_no is None:
                self.raise_if_ended()
            elif track:
                # Under the lock, so that the answer can't come before the handle is known.
                handle = self._handles.add(first_no)
            wake = self._plan()
        if wake:
            self._loop.call_soon_threadsafe(self._arm)
        return first_no, handle

    def checkpoint(self) -> Checkpoint:
        """State as of the last row that the owner was given."""
        self.owner.check_process("checkpoint()")
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
        """Raises SessionEnded, with the first reason, if the session will never take or answer a command again."""
        if self._reason is not None or self.machine.ended:
            raise self._ended()

    def _ended(self) -> SessionEnded:
        """Why the session ended, in an exception of its own for each who asks."""
        reason, failed = self._reason, self._failed
        if reason is None and self.machine.failure is not None:
            # The machine has just failed, in the loop's thread, which is about to say so.
            reason, failed = _refused(self.machine), True
        if reason is None or not failed:
            return SessionEnded(str(reason or "the session was closed"))
        ended = SessionEnded(f"the session failed: {reason}")
        ended.__cause__ = reason
        return ended

    def on_room(self, listener: Callable[[], None]) -> None:
        """Have `listener` called in the loop's thread whenever commands were answered, and at the end."""
        self._room_listeners.append(listener)

    @property
    def why_silent(self) -> str:
        """State of the connection in words, for error messages."""
        count = f"{self.machine.unanswered} commands unanswered"
        if self._reason is not None or self.machine.ended:
            return f"{self._ended()}; {count}"
        words = f"the session is {self.machine.state.value}, {count}"
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
        """Connect, and wait for the gateway's Welcome; if the session was taken up, until its past is known, too.

        Raises:
            Unavailable: no gateway got so far within `timeout_s` seconds.
            Refused: a gateway refused the session for good.
        """
        try:
            self._step(Opened())
            async with timeout(timeout_s):
                while not self.machine.may_number:
                    self._moved.clear()
                    if self._reason is not None:
                        raise self._reason
                    await self._moved.wait()
                if self.machine.must_guess:
                    await self._settle()
        except asyncio.TimeoutError:
            raise self._abandon(self._why_not_open(timeout_s)) from None
        except BaseException:
            # Refused, or the caller was cancelled: nobody owns what goes on here.
            self._abandon(Unavailable("the session was not opened"))
            raise

    async def _settle(self) -> None:
        """A gateway of a version that does not say how far the session had come: wait until it brings no more."""
        rows = -1
        while rows != self.machine.counters.rows:
            rows = self.machine.counters.rows
            await asyncio.sleep(_SETTLE_S)

    def _why_not_open(self, timeout_s: float) -> Unavailable:
        tried = ", ".join(self._channels.addresses)
        if self.machine.state is State.OPEN:
            return Unavailable(
                f"a gateway took the session ({tried}), but within {timeout_s} s it did not say how far the session's "
                "former owner had come, or not all of that was answered; try again"
            )
        return Unavailable(
            f"no gateway took the session within {timeout_s} s (tried {tried}; last: "
            f"{self._last_break or 'silence'}); check that the cluster runs and that the address is right"
        )

    def _abandon(self, error: Unavailable) -> Unavailable:
        if not self.machine.ended:
            self._step(Closed())
        self._end(error, failed=True)
        return error

    async def close(self, drain_s: float) -> Checkpoint:
        """Wait up to `drain_s` seconds for answers, then end the session here. The cluster keeps its part."""
        self.owner.check_process("close()")
        deadline = self._loop.time() + span("drain_s", drain_s, -LONGEST_S, LONGEST_S)
        while self.machine.unanswered and not self.machine.ended:
            self._moved.clear()
            left = deadline - self._loop.time()
            if left <= 0:
                break
            try:
                async with timeout(left):
                    await self._moved.wait()
            except asyncio.TimeoutError:
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
        try:
            self._step(Ticked())
        except Exception as error:  # noqa: BLE001 - top of a shell: who waits for the session is told
            self._fail(error)

    def _perform(self, effects: Effects) -> None:
        if effects.disconnect and self._conversation is not None:
            self._conversation.cancel()
            self._conversation = None
        if effects.connect is not None:
            self._outbox = _Outbox()
            self._conversation = self._spawn(self._converse(effects.connect, self._outbox))
        if effects.send:
            if self._options.log is not None:
                self._options.log.sent(effects.send)
            self._outbox.parcels.extend(effects.send)
            self._outbox.filled.set()
        if effects.reports is not None:
            self._deliver(effects.reports)
        if effects.failure is not None:
            self._end(_refused(self.machine), failed=True)
        self._moved.set()
        if effects.answered:
            self._tell_room()

    def _deliver(self, batch: ReportColumns) -> None:
        # Written down first: what the owner acts on must stand in his log.
        if self._options.log is not None:
            self._options.log.told(batch)
        # The owner may ask for a checkpoint as soon as a handle is done, so the rows are his before that.
        if self._options.on_batch is not None:
            call_plain(self._options.on_batch, batch)
            self.queue.delivered = last_id(batch)
        else:
            self.queue.put(batch)
        self._handles.resolve(batch)

    def _tell_room(self) -> None:
        for listener in self._room_listeners:
            listener()

    def _end(self, error: LockstepError, *, failed: bool) -> None:
        """Tell everybody who waits for the session that it ended; the first reason stays."""
        with self._lock:
            if self._reason is None:
                self._reason, self._failed = error, failed
        if self._finished:
            return
        self._finished = True
        if self._options.log is not None:
            self._options.log.close()
        self._handles.fail(self._ended)
        self.queue.close(self._ended if self._failed else None)
        self._moved.set()
        self._tell_room()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """A task of the session: if it breaks, the session ends with its reason."""
        task = self._loop.create_task(work)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """A callback of the owner raised, a file could not be written, or this package has a bug: end, never hang."""
        if isinstance(error, LockstepError):
            fault = error
        else:
            fault = LockstepError(f"handling of its messages raised {error!r}")
            fault.__cause__ = error
        with self._lock:
            if self._reason is None:
                self._reason, self._failed = fault, True
            # Where the machine's own numbering broke, it says so again here, and is closed all the same.
            with suppress(AssertionError):
                self.machine.step(Closed(), time.monotonic_ns())
        for handle in (self._conversation, self._timer):
            if handle is not None:
                handle.cancel()
        self._end(fault, failed=True)

    # ---- one connection ----------------------------------------------------------------------------------------

    async def _converse(self, connect: Connect, outbox: "_Outbox") -> None:
        call = self._channels.session_call(connect.address)
        writer: asyncio.Task[None] | None = None
        status, reason, pause_ms = grpc.StatusCode.OK, "the gateway ended the stream", 0
        try:
            with self._lock:
                connection = self.machine.number_connection(time.time_ns() // 1_000_000)
            await call.write(_hello(connect, connection))
            writer = self._spawn(_write(call, outbox))
            while (message := await call.read()) is not grpc.aio.EOF:
                self._on_message(connect.conn, message)
                if self.queue.full:
                    await self.queue.room()
        except grpc.aio.AioRpcError as error:
            status, reason, pause_ms = error.code(), error.details() or error.code().name, retry_after_ms(error)
        except asyncio.InvalidStateError:
            # The call ended under our hands; its status says why.
            status, reason = await call.code(), await call.details()
        except ProtocolFault as error:
            reason = str(error)
        finally:
            if writer is not None:
                writer.cancel()
            call.cancel()
        self._channels.on_break(connect.address, reason)
        self._last_break = f"{self._channels.address(connect.address)}: {status.name} {reason}"
        jitter_ppm = random.randrange(_MILLION)  # noqa: S311 - spreads clients in time, keeps no secret
        self._step(StreamEnded(connect.conn, reason, jitter_ppm, int(fatal_code(status)), pause_ms))

    def _on_message(self, conn: int, message: bytes) -> None:
        response = columns_pb2.SessionResponse.FromString(message)
        match response.WhichOneof("message"):
            case "report_batch":
                self._step(Reported(conn, decode_report_batch(response.report_batch, message)))
            case "welcome":
                welcome = orders_pb2.Welcome.FromString(response.welcome)
                follows = welcome.next_number_follows
                self._step(Welcomed(conn, welcome.stamp.epoch, welcome.credit, welcome.max_batch, follows))
            case "refusal":
                refusal = orders_pb2.Refusal.FromString(response.refusal)
                self._step(
                    RefusalArrived(
                        conn, refusal.from_no, refusal.code, refusal.text, refusal.retryable, refusal.retry_after_ms
                    )
                )
            case "next_number":
                told = orders_pb2.NextNumber.FromString(response.next_number)
                executed_no = told.executed_no if told.HasField("executed_no") else -1
                self._step(NextNumberTold(conn, told.next_no, executed_no))
            case "reports":
                self._step(Reported(conn, decode_reports(orders_pb2.Reports.FromString(response.reports))))
            case _:
                # A newer gateway may say more than this version knows.
                return


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


def _refused(machine: SessionMachine) -> Refused:
    if machine.failure is None:
        raise AssertionError("a session failed without a reason")
    return Refused(machine.failure.code, machine.failure.text)


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
