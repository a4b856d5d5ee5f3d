"""The I/O around the session's driver: one event loop, one gRPC stream at a time, one timer.

Commands may be submitted from any thread; everything else happens in the loop's thread.
"""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from lockstep.arguments import LONGEST_S, span
from lockstep.callbacks import call_plain
from lockstep.channel import Channels, fatal_code, retry_after_ms
from lockstep.client_log import ClientLog
from lockstep.columns import ReportColumns
from lockstep.delivery import BatchCallback, CommandHandle, Handles, ReportQueue
from lockstep.errors import LockstepError, ProtocolFault, Refused, SessionEnded, Unavailable
from lockstep.newer_asyncio import timeout
from lockstep.ownership import Owner
from lockstep.session_driver import SessionDriver
from lockstep.session_events import Checkpoint, Failure, Parcel, SessionLimits
from lockstep.session_machine import NEVER, SessionMachine, State
from lockstep.session_parcels import Piece
from lockstep.session_ports import Ports
from lockstep.session_rows import last_id

_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ShellOptions:
    """How a session delivers."""

    on_batch: BatchCallback | None = None
    """Called in the loop's thread for each batch of reports; replaces the queue behind the iterators."""
    log: ClientLog | None = None
    """Where it is written down what was sent and received; the shell closes it."""


class SessionShell(Ports):
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
        self._driver = SessionDriver(self.machine, self)
        self.owner = Owner(threading.get_ident())
        self.queue = ReportQueue(asyncio.get_running_loop(), checkpoint.last_seen, self.owner)
        self._loop = asyncio.get_running_loop()
        self._channels = channels
        self._options = options
        self._handles = Handles(self.owner)
        self._outbox = _Outbox()
        self._conversation: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._moved = asyncio.Event()
        self._room_listeners: list[Callable[[], None]] = []
        # The first reason for which the session ended, and whether that is a failure. It never changes.
        self._reason: tuple[LockstepError, bool] | None = None
        self._finished = False
        self._last_break = ""

    # ---- any thread --------------------------------------------------------------------------------------------

    def submit(self, piece: Piece) -> int | None:
        """Number a piece; None if there is no room for it now.

        Raises:
            SessionEnded: with the reason.
        """
        return self._number(piece, None)

    def submit_tracked(self, piece: Piece) -> CommandHandle | None:
        """Like `submit`, for one command, with a handle for its outcome."""
        handles: list[CommandHandle] = []
        self._number(piece, lambda number: handles.append(self._handles.add(number)))
        return handles[0] if handles else None

    def _number(self, piece: Piece, numbered: Callable[[int], None] | None) -> int | None:
        self.owner.check_process("a session's command")
        first_no = self._driver.submit(piece, numbered)
        if first_no is None:
            self.raise_if_ended()
        return first_no

    def checkpoint(self) -> Checkpoint:
        """State as of the last row that the owner was given."""
        self.owner.check_process("checkpoint()")
        return self._driver.checkpoint(self.queue.delivered if self._owner_reads else None)

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
        reason, failed = self._reason or (None, False)
        failure = self.machine.failure
        if reason is None and failure is not None:
            # The machine has just failed, in the loop's thread, which is about to say so.
            reason, failed = _refused(failure), True
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

    # ---- loop thread -------------------------------------------------------------------------------------------

    async def open(self, timeout_s: float) -> None:
        """Connect, and wait for the gateway's Welcome; if the session was taken up, until its past is known, too.

        Raises:
            Unavailable: no gateway got so far within `timeout_s` seconds.
            Refused: a gateway refused the session for good.
        """
        try:
            self._driver.open()
            async with timeout(timeout_s):
                while not self.machine.may_number:
                    self._moved.clear()
                    if self._reason is not None:
                        raise self._reason[0]
                    await self._moved.wait()
        except asyncio.TimeoutError:
            raise self._abandon(self._why_not_open(timeout_s)) from None
        except BaseException:
            # Refused, or the caller was cancelled: nobody owns what goes on here.
            self._abandon(Unavailable("the session was not opened"))
            raise

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
            self._driver.close()
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
            self._driver.close()
            self._end(SessionEnded("the session was closed"), failed=False)
        return checkpoint

    # ---- the driver's ports --------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """See `Ports`."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """See `Ports`."""
        return time.time_ns()

    def jitter_ppm(self) -> int:
        """See `Ports`."""
        return random.randrange(_MILLION)  # noqa: S311 - spreads clients in time, keeps no secret

    def wake_at(self, due_ns: int) -> None:
        """See `Ports`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ns < NEVER:
            delay_s = max(0, due_ns - time.monotonic_ns()) / 1e9
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def arm_soon(self) -> None:
        """See `Ports`."""
        self._loop.call_soon_threadsafe(self._driver.arm)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self._driver.on_time()
        except Exception as error:  # noqa: BLE001 - top of a shell: who waits for the session hears it
            self._fail(error)

    def connect(self, conn: int, address: int, hello: bytes) -> None:
        """See `Ports`."""
        self._outbox = _Outbox()
        self._conversation = self._spawn(self._converse(conn, address, hello, self._outbox))

    def disconnect(self, conn: int) -> None:
        """See `Ports`."""
        del conn
        if self._conversation is not None:
            self._conversation.cancel()
            self._conversation = None

    def log_sent(self, parcels: tuple[Parcel, ...]) -> None:
        """See `Ports`."""
        if self._options.log is not None:
            self._options.log.sent(parcels)

    def send(self, parcels: tuple[Parcel, ...]) -> None:
        """See `Ports`."""
        self._outbox.parcels.extend(parcels)
        self._outbox.filled.set()

    def log_reported(self, batch: ReportColumns) -> None:
        """See `Ports`."""
        if self._options.log is not None:
            self._options.log.reported(batch)

    def deliver(self, batch: ReportColumns) -> None:
        """See `Ports`."""
        # The owner may ask for a checkpoint as soon as a handle is done, so the rows are his before that.
        if self._options.on_batch is not None:
            call_plain(self._options.on_batch, batch)
            self.queue.delivered = last_id(batch)
        else:
            self.queue.put(batch)
        self._handles.resolve(batch)

    def on_failed(self, failure: Failure) -> None:
        """See `Ports`."""
        self._end(_refused(failure), failed=True)

    def on_step(self, *, answered: bool) -> None:
        """See `Ports`."""
        self._moved.set()
        if answered:
            self._tell_room()

    # ---- the end -------------------------------------------------------------------------------------------------

    def _tell_room(self) -> None:
        for listener in self._room_listeners:
            listener()

    def _end(self, error: LockstepError, *, failed: bool) -> None:
        """Inform everybody who waits for the session that it ended; the first reason stays."""
        if self._reason is None:
            self._reason = error, failed
        if self._finished:
            return
        self._finished = True
        self._handles.fail(self._ended)
        self.queue.close(self._ended if self._reason[1] else None)
        self._moved.set()
        self._tell_room()
        if self._options.log is not None:
            # Behind all that: nobody waits for a log that can't be closed. A caller of close() hears of it.
            with suppress(Exception) if failed else nullcontext():
                self._options.log.close()

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
        if self._reason is None:
            self._reason = fault, True
        # Where the machine's own numbering broke, or a file, that is said again here, and it is closed all the same.
        with suppress(Exception):
            self._driver.close()
        for handle in (self._conversation, self._timer):
            if handle is not None:
                handle.cancel()
        self._end(fault, failed=True)

    # ---- one connection ----------------------------------------------------------------------------------------

    async def _converse(self, conn: int, address: int, hello: bytes, outbox: "_Outbox") -> None:
        call = self._channels.session_call(address)
        writer: asyncio.Task[None] | None = None
        status, reason, pause_ms = grpc.StatusCode.OK, "the gateway ended the stream", 0
        try:
            await call.write(hello)
            writer = self._spawn(_write(call, outbox))
            while (message := await call.read()) is not grpc.aio.EOF:
                self._driver.on_message(conn, message)
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
        self._channels.on_break(address, reason)
        self._last_break = f"{self._channels.address(address)}: {status.name} {reason}"
        self._driver.on_ended(conn, reason, fatal_code=int(fatal_code(status)), retry_after_ms=pause_ms)


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


def _refused(failure: Failure) -> Refused:
    return Refused(failure.code, failure.text)
