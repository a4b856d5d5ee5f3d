"""Directed Aeron links of one process, which survive the death of the media driver.

One publication per directed link: Aeron holds a publication back for its slowest subscriber, so a shared one would let
a dead receiver stop the living ones. A link never blocks and never raises because of its peer: what can't be offered
now waits in a bounded queue, and what does not fit there is dropped and counted. Sequence numbers above this layer find
the loss.

Aeron's client notices a dead driver only after seconds, offers ending in back pressure and polls in silence until then.
So `Transport.check` watches the driver's claim file (`driver.py`), and `rebuild` makes a new client and new
publications and subscriptions inside the same link objects.

Single-threaded: all of one `Transport` belongs to one thread.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import pyaeron

from lockstep.runtime.doorbell import Ringer, bell_address
from lockstep.runtime.driver import claim_path, driver_pid, environment, ready_held
from lockstep.runtime.faults import EnvironmentFault
from lockstep.runtime.seals import Open, Seal, Seals
from lockstep.runtime.topology import Link

_CLAIM_CHECK_NS = 20_000_000
_HEARTBEAT_CHECK_NS = 100_000_000
# ADMIN_ACTION means that the term was just rotated: the next attempt decides.
_OFFER_ATTEMPTS = 3
# The client's own thread handles the driver's answers and naps this long between looks; opening a link's end takes two
# naps: 4 ms (32 ms with Aeron's default, which would slow `rebuild`). An idle client costs 1.1 % of a core (0.3 %).
# The binding's own setting for it has no effect.
_CLIENT_ENVIRONMENT = {"AERON_CLIENT_IDLE_SLEEP_DURATION": "2ms"}
_WAIT_STEP_S = 0.005
# Flags of a fragment's header: the first of its message, the last of it.
_BEGIN = 0x80
_END = 0x40
_WHOLE = _BEGIN | _END


class Buffer(Protocol):
    """Anything contiguous with the buffer protocol: bytes, bytearray, memoryview, NumPy array. Offered without copy."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


class DriverUnavailable(EnvironmentFault):
    """There is no live media driver in the directory, or it does not answer. The text names the remedy."""


class MessageTooLong(ValueError):
    """A message longer than an eighth of the link's term buffer; see `DriverOptions`."""


class DriverState(Enum):
    """What `Transport.check` found."""

    LIVE = "live"
    HUNG = "hung"
    """The driver's process lives but its heartbeat stands still. Links work until their windows are full."""
    DEAD = "dead"
    """The driver died or was replaced. No link works until `rebuild`."""
    DETACHED = "detached"
    """The driver lives but has cut this client off (this process was paused too long). `rebuild` attaches anew."""


def ipc_link(name: str, stream_id: int, bell: str = "") -> Link:
    """A link between two processes of one host; `bell` is the receiver's name if it has a doorbell."""
    return Link(name, "aeron:ipc", stream_id, bell)


def udp_link(name: str, host: str, port: int, stream_id: int, mtu: int = 8192) -> Link:
    """A link across hosts; `host` and `port` are the receiver's; `mtu` in bytes, a multiple of 32."""
    address = f"[{host}]" if ":" in host else host
    return Link(name, f"aeron:udp?endpoint={address}:{port}|mtu={mtu}", stream_id)


def wait_for_driver(directory: Path | str, timeout_s: float) -> None:
    """Returns once a driver is ready in `directory`; raises DriverUnavailable after `timeout_s` seconds."""
    give_up_s = time.monotonic() + timeout_s
    while driver_pid(Path(directory)) is None:
        if time.monotonic() >= give_up_s:
            raise DriverUnavailable(
                f"no media driver runs in {directory}: start one with `lockstep driver --config FILE`"
            )
        time.sleep(_WAIT_STEP_S)


class OutboundLink:
    """The sending end of a link. Messages that leave arrive in order; see the module for which ones may be lost."""

    __slots__ = (
        "_publication",
        "_queue",
        "_queue_limit_bytes",
        "_ringer",
        "_seal",
        "dropped",
        "link",
        "pending_bytes",
        "sent",
    )

    def __init__(self, link: Link, queue_limit_bytes: int, directory: Path, seal: Seal | None = None) -> None:
        self.link = link
        self._seal = seal
        self._ringer = Ringer(bell_address(directory, link.bell)) if link.bell else None
        self._queue_limit_bytes = queue_limit_bytes
        self._publication: Any = None
        self._queue: deque[bytes] = deque()
        self.pending_bytes = 0
        """Bytes waiting in the queue: 0 to the limit."""
        self.dropped = 0
        """Messages dropped since the link was made."""
        self.sent = 0
        """Messages handed to Aeron since the link was made."""

    @property
    def connected(self) -> bool:
        """True while the link has a receiver, as far as Aeron knows; a dead one stays for the liveness time."""
        return bool(not self._publication.is_closed and self._publication.is_connected)

    def send(self, *buffers: Buffer, ring: bool = True) -> bool:
        """Sends the concatenation of `buffers` as one message; `ring` False: the receiver need not wake up for it.

        True: offered, or queued behind back pressure (`flush` sends it later). False: dropped, because there is no
        receiver or the queue is full. Raises MessageTooLong.
        """
        if self._seal is not None:
            buffers = (self._seal(_as_bytes(buffers)), *buffers)
        if not self._queue or not self._drain():
            outcome = self._offer(buffers)
            if outcome is True:
                self.sent += 1
                if ring and self._ringer is not None:
                    self._ringer.ring()
                return True
            if outcome is False:
                self.dropped += 1
                return False
        message = b"".join(buffers)
        if self.pending_bytes + len(message) > self._queue_limit_bytes:
            self.dropped += 1
            return False
        self._queue.append(message)
        self.pending_bytes += len(message)
        return True

    def flush(self) -> int:
        """Offers what waits in the queue; returns how many messages left. Call it on every turn of the loop."""
        if not self._queue:
            return 0
        before = self.sent
        self._drain()
        return self.sent - before

    def clear(self) -> None:
        """Drops what waits in the queue."""
        self.dropped += len(self._queue)
        self._queue.clear()
        self.pending_bytes = 0

    def _drain(self) -> bool:
        """Offers queued messages in order; True if some must still wait."""
        while self._queue:
            message = self._queue[0]
            try:
                outcome = self._offer((message,))
            except MessageTooLong:
                self._queue.popleft()
                self.pending_bytes -= len(message)
                self.dropped += 1
                raise
            if outcome is None:
                return True
            if outcome is False:
                self.clear()
                return False
            self._queue.popleft()
            self.pending_bytes -= len(message)
            self.sent += 1
            if self._ringer is not None:
                self._ringer.ring()
        return False

    def _offer(self, buffers: tuple[Buffer, ...]) -> bool | None:
        """True: gone. False: no receiver. None: back pressure."""
        publication = self._publication
        try:
            for _ in range(_OFFER_ATTEMPTS):
                # The vectored call costs 0.9 us more.
                result = publication.offer(buffers[0]) if len(buffers) == 1 else publication.offerv(buffers)
                if result is True:
                    return True
                if result is not pyaeron.ADMIN_ACTION:
                    break
        except (pyaeron.PublicationClosed, pyaeron.ResourceClosed):
            return False
        except pyaeron.AeronError as error:
            if "max_message_length" not in str(error):
                raise
            size = sum(memoryview(buffer).nbytes for buffer in buffers)
            raise MessageTooLong(
                f"message of {size} bytes on link {self.link.name}: the limit is an eighth of the term buffer; "
                "send less at once or raise the driver's ipc_term_bytes / udp_term_bytes"
            ) from error
        return False if result is pyaeron.NOT_CONNECTED else None

    def attach(self, client: Any) -> None:
        """For the transport: makes the publication with this client."""
        self._publication = client.add_exclusive_publication(self.link.channel, self.link.stream_id)

    def detach(self) -> None:
        """For the transport: closes the publication; what was queued is dropped."""
        self.clear()
        if self._publication is not None:
            self._publication.close()


def _as_bytes(buffers: tuple[Buffer, ...]) -> tuple[bytes, ...]:
    return tuple(buffer if type(buffer) is bytes else memoryview(buffer).tobytes() for buffer in buffers)


class InboundLink:
    """The receiving end of a link.

    A sender that restarts is a new sender to Aeron: messages of its former life that were not polled yet may arrive
    between those of the new one. Epochs and incarnations above this layer distinguish them.
    """

    __slots__ = ("_arrived", "_open", "_parts", "_subscription", "full", "link", "received")

    def __init__(self, link: Link, opened: Open | None = None) -> None:
        self.link = link
        self._open = opened
        self._subscription: Any = None
        self._arrived: deque[bytes] = deque()
        self._parts: dict[int, list[bytes]] = {}  # sender's session -> fragments of the message that it has begun
        self.received = 0
        """Messages handed to the handler since the link was made."""
        self.full = False
        """The last poll has taken as many fragments as it was to take: there may be more, which have rung already."""

    @property
    def connected(self) -> bool:
        """True while the link has a sender, as far as Aeron knows."""
        return bool(not self._subscription.is_closed and self._subscription.is_connected)

    def poll(self, handler: Callable[[bytes], None], limit: int) -> int:
        """Hands up to `limit` fragments' worth of whole messages to `handler`; returns how many messages.

        A message of more than one fragment (64 KiB on IPC, the MTU on UDP) is read to its end, as far as that has come:
        0 means that there is no whole message. On a sealed link the handler gets what was opened. If it raises,
        those behind the one it failed on come with the next poll.
        """
        # Collected first, so that the handler may raise, or close and rebuild this link, outside Aeron's callback.
        try:
            # Reassembled here: the binding's assembler lives for one poll and loses a message that spans two.
            taken = self._subscription.poll(self._collect, limit, assemble=False)
            while taken and not self._arrived:
                taken = self._subscription.poll(self._collect, limit, assemble=False)
            self.full = taken >= limit
        except pyaeron.ResourceClosed:
            return 0
        arrived, opened = self._arrived, self._open
        count = 0
        while arrived:
            message: Any = arrived.popleft()
            if opened is not None:
                message = opened(message)
                if type(message) is not bytes:
                    continue  # counted as dropped, and why, by the seals
            self.received += 1
            count += 1
            handler(message)
        return count

    def _collect(self, view: Any, header: Any) -> None:
        flags = header.flags & _WHOLE
        if flags == _WHOLE:
            self._arrived.append(view.tobytes())
            return
        session = header.session_id
        if flags & _BEGIN:
            self._forget_gone_senders()
            self._parts[session] = [view.tobytes()]
            return
        parts = self._parts.get(session)
        if parts is None:
            return  # the middle of a message that began before this end was opened
        parts.append(view.tobytes())
        if flags & _END:
            self._arrived.append(b"".join(self._parts.pop(session)))

    def _forget_gone_senders(self) -> None:
        """Drops the begun messages of senders that ended in the middle of one."""
        for session in list(self._parts):
            if self._subscription.image_by_session_id(session) is None:
                del self._parts[session]

    def attach(self, client: Any) -> None:
        """For the transport: makes the subscription with this client."""
        self._subscription = client.add_subscription(self.link.channel, self.link.stream_id)

    def detach(self) -> None:
        """For the transport: closes the subscription; a message that has arrived in part is lost."""
        self._parts.clear()
        if self._subscription is not None:
            self._subscription.close()


class Transport:
    """This process's Aeron client and its links.

    `driver_timeout_s` bounds how long an unanswering driver may hold up opening a link, and is the silence after which
    Aeron itself gives the client up. `hang_ms` is the age of the driver's heartbeat that counts as HUNG (the driver
    renews it every 100 ms).

    `seals`: of the links that are sealed; None: no link is. `on_attached`: called when there is a new Aeron client.

    Raises DriverUnavailable if no driver is ready in `directory`; `wait_for_driver` waits for one.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        driver_timeout_s: float = 10.0,
        hang_ms: int = 500,
        seals: Seals | None = None,
        on_attached: Callable[[], None] = lambda: None,
    ) -> None:
        self._seals = seals
        self._on_attached = on_attached
        self.directory = Path(directory)
        self._driver_timeout_ms = int(driver_timeout_s * 1000)
        self._hang_ms = hang_ms
        self._client: Any = None
        self._claim_fd = -1  # the driver's claim file; -1 while not attached
        self._claim = b""
        self._state = DriverState.DEAD
        self._fault = ""
        self._next_claim_check_ns = 0
        self._next_heartbeat_check_ns = 0
        self._outbound: list[OutboundLink] = []
        self._inbound: list[InboundLink] = []
        self._attach()

    @property
    def fault(self) -> str:
        """What Aeron's client last complained of, for the log; may follow the state by a moment; empty if nothing."""
        return self._fault

    @property
    def state(self) -> DriverState:
        """What the last `check` found. From any thread."""
        return self._state

    def outbound(self, link: Link, *, queue_limit_bytes: int) -> OutboundLink:
        """Opens the sending end of `link`. Takes some ms. Raises DriverUnavailable."""
        seal = self._seals.sealing(link) if self._seals is not None else None
        end = OutboundLink(link, queue_limit_bytes, self.directory, seal)
        with self._driver_errors():
            end.attach(self._client)
        self._outbound.append(end)
        return end

    def inbound(self, link: Link) -> InboundLink:
        """Opens the receiving end of `link`. Takes some ms. Raises DriverUnavailable."""
        end = InboundLink(link, self._seals.opening(link) if self._seals is not None else None)
        with self._driver_errors():
            end.attach(self._client)
        self._inbound.append(end)
        return end

    def check(self, now_ns: int) -> DriverState:
        """The state of the driver; cheap enough for every turn of a loop. `now_ns` is of a monotonic clock.

        A dead driver shows within 20 ms of its process's end, a hung one within `hang_ms` + 200 ms. DEAD and DETACHED
        stay until `rebuild`.
        """
        if now_ns >= self._next_claim_check_ns and self._state in (DriverState.LIVE, DriverState.HUNG):
            self._next_claim_check_ns = now_ns + _CLAIM_CHECK_NS
            if os.pread(self._claim_fd, 64, 0) != self._claim or not ready_held(self._claim_fd):
                self._state = DriverState.DEAD
            elif self._client.is_closed:
                self._state = DriverState.DETACHED
            elif now_ns >= self._next_heartbeat_check_ns:
                self._next_heartbeat_check_ns = now_ns + _HEARTBEAT_CHECK_NS
                beats = pyaeron.is_driver_active(str(self.directory), self._hang_ms)
                self._state = DriverState.LIVE if beats else DriverState.HUNG
        return self._state

    def rebuild(self) -> None:
        """Attaches to the driver that runs now and re-opens every link; their owners keep the same objects.

        Whatever was queued or under way is lost (queued messages count as dropped). Raises DriverUnavailable if no
        driver is ready; then the state is DEAD and `rebuild` may be tried again.
        """
        self._detach()
        try:
            self._attach()
            with self._driver_errors():
                for inbound in self._inbound:
                    inbound.attach(self._client)
                for outbound in self._outbound:
                    outbound.attach(self._client)
        except DriverUnavailable:
            self._detach()
            raise

    def close(self) -> None:
        """Closes every link and the client. Always call it on an orderly exit: peers see it at once only then."""
        self._detach()
        self._inbound.clear()
        self._outbound.clear()

    def _attach(self) -> None:
        wait_for_driver(self.directory, 0)
        try:
            self._claim_fd = os.open(claim_path(self.directory), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise DriverUnavailable(f"the media driver in {self.directory} has just ended: start it again") from None
        # A driver that goes between this and the attaching shows in `check`: its claim is no longer held.
        self._claim = os.pread(self._claim_fd, 64, 0)
        try:
            with self._driver_errors(), environment(_CLIENT_ENVIRONMENT):
                context = pyaeron.Context(
                    dir=str(self.directory),
                    driver_timeout_ms=self._driver_timeout_ms,
                    # Aeron's default handler ends the whole process.
                    error_handler=self._on_fault,
                )
                self._client = pyaeron.Aeron(context=context)
        except DriverUnavailable:
            self._detach()
            raise
        self._state = DriverState.LIVE
        self._next_claim_check_ns = 0
        self._next_heartbeat_check_ns = 0
        # The client has a thread of its own, a new one each time.
        self._on_attached()

    def _detach(self) -> None:
        for inbound in self._inbound:
            inbound.detach()
        for outbound in self._outbound:
            outbound.detach()
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._claim_fd >= 0:
            os.close(self._claim_fd)
            self._claim_fd = -1
        self._state = DriverState.DEAD

    def _on_fault(self, code: int, text: str) -> None:
        # Called by the client's own thread; one assignment, which `check` needs not see: it looks at the client itself.
        self._fault = f"{text} ({code})"

    @contextlib.contextmanager
    def _driver_errors(self) -> Iterator[None]:
        if self._client is None and self._claim_fd < 0:
            raise DriverUnavailable(f"not attached to the media driver in {self.directory}: rebuild first")
        try:
            yield
        except (pyaeron.DriverTimeout, pyaeron.ResourceClosed) as error:
            raise DriverUnavailable(f"the media driver in {self.directory} does not answer: {error}") from error
        except pyaeron.AeronError as error:
            # A dying driver shows in several errors; a live driver's refusal (a bad channel) is the caller's.
            if self._client is None or self._client.is_closed or not ready_held(self._claim_fd):
                raise DriverUnavailable(f"the media driver in {self.directory} went away: {error}") from error
            raise
