"""TCP liveness links: every process that decides watches its peers through one connection each.

Its end of file (or reset) is immediate evidence of a crash: the kernel closes a killed process's sockets within a
millisecond. What does not close a connection (a hang, a partition, a stopped process) shows as silence beyond an
adaptive deadline (`detector.py`). Both sides send a heartbeat every interval; the server's carry its status.

Polled, without threads: `WatchServer.poll` and `WatchSet.poll` (`watch_set.py`) cost one system call each when nothing
happens. None of this decides anything: it reports evidence to the state machines.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto

from lockstep.runtime.heartbeats import MalformedFrame as MalformedFrame
from lockstep.runtime.heartbeats import PeerStatus as PeerStatus
from lockstep.runtime.heartbeats import Wire, encode_status
from lockstep.runtime.seals import Seals, WatchSeal
from lockstep.stream.detector import HeartbeatDetector
from lockstep.stream.values import frozen

_MS = 1_000_000
_WALL_LIMIT_MS = 2**48 - 1
_INTERVAL_NS = 20 * _MS
_BACKLOG = 64
# A gap of so many intervals shows that the peer stood still.
_STALL = 3
# In a cluster with sealed links: connections whose other end has not shown who it is. A member does so at once.
_STRANGERS = 64
_STRANGER_NS = 2_000 * _MS
# A watcher that neither speaks nor closes is beyond a partition; it comes back with a new connection.
_WATCHER_SILENCE_NS = 5_000 * _MS
_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EINTR})


class DownReason(Enum):
    """Why a peer counts as down."""

    EOF = "eof"
    """Its connection ended or was reset: it crashed or closed."""
    HANG = "hang"
    """Silence beyond the deadline: it hangs, is stopped, or is out of reach."""
    REFUSED = "refused"
    """Nothing listens at its address, or no route leads there. Not reported of a peer that is known to be gone."""
    PROTOCOL = "protocol"
    """What answers there is not a Lockstep process of this version."""


@frozen
class PeerUp:
    """The peer answers: for the first time, after it was down, or again in a new incarnation."""

    name: str
    incarnation: int
    status: PeerStatus


@frozen
class PeerDown:
    """The peer went down. `incarnation` is that of its last life seen; 0 if it never answered."""

    name: str
    reason: DownReason
    incarnation: int


PeerEvent = PeerUp | PeerDown


@frozen
class WatchOptions:
    """Times of one watched link, in ns. See `HeartbeatDetector` for floor, cap and factor."""

    interval_ns: int = _INTERVAL_NS
    floor_ns: int = 100 * _MS
    cap_ns: int = 250 * _MS
    factor: int = 4
    connect_timeout_ns: int = 250 * _MS
    """How long a connection may take to be made and to bring the first heartbeat."""
    backoff_min_ns: int = 20 * _MS
    backoff_max_ns: int = 500 * _MS
    hang_retry_ns: int = 1_000 * _MS
    """A connection silent for so long after its deadline is replaced (it may have died in a partition)."""


class WatchServer:
    """Lets peers watch this process. `host` and `port` to listen on (port 0: any; see `.port`).

    Each heartbeat carries the time that `wall_ns` shows when it is sent. `seals`: nobody hears any who has not shown
    that it is a member.

    Raises OSError if the address can't be bound; the text names it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        member: int,
        incarnation: int,
        *,
        interval_ns: int = _INTERVAL_NS,
        wall_ns: Callable[[], int] = time.time_ns,
        seals: Seals | None = None,
    ) -> None:
        self._seals = seals
        self._interval_ns = interval_ns
        self._wall_ns = wall_ns
        self._status = PeerStatus(member, incarnation)
        self._announce = False
        self._wires: dict[int, Wire] = {}
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((host, port))
            self._listener.listen(_BACKLOG)
        except OSError as error:
            self._listener.close()
            raise OSError(error.errno, f"cannot listen for watchers on {host}:{port}: {error.strerror}") from error
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.malformed = 0
        """Connections dropped because they did not speak the heartbeat protocol."""
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """A descriptor that becomes readable when a poll has something to do besides its timers."""
        return self._epoll.fileno()

    @property
    def watchers(self) -> int:
        """How many peers are connected."""
        return len(self._wires)

    @property
    def status(self) -> PeerStatus:
        """What the heartbeats say now."""
        return self._status

    def set_status(
        self, role: int, epoch: int, *, flags: int = 0, accepted_epoch: int = 0, delivered: tuple[int, int] = (0, 0)
    ) -> None:
        """What the heartbeats say; `delivered`: (epoch, seq). A new role, epoch or flag goes out with the next poll."""
        before = self._status
        self._status = PeerStatus(before.member, before.incarnation, role, flags, epoch, accepted_epoch, *delivered)
        if (before.role, before.epoch, before.flags) != (role, epoch, flags):
            self._announce = True

    def poll(self, now_ns: int) -> int:
        """Accepts, reads and sends what is due; returns the number of connections that had something."""
        ready = self._epoll.poll(0)
        for fd, _mask in ready:
            if fd == self._listener.fileno():
                self._accept(now_ns)
            elif fd in self._wires:
                self._read(fd, now_ns)
        due = [fd for fd, wire in self._wires.items() if self._announce or now_ns >= wire.send_due_ns]
        if due:
            wall_ms = min(max(self._wall_ns() // _MS, 0), _WALL_LIMIT_MS)
            frame = encode_status(replace(self._status, wall_ms=wall_ms))
            for fd in due:
                self._wires[fd].send_due_ns = now_ns + self._interval_ns
                self._beat(fd, frame, now_ns)
        self._announce = False
        return len(ready)

    def close(self) -> None:
        """End every connection, which the watchers notice at once."""
        for fd in list(self._wires):
            self._drop(fd)
        self._listener.close()
        self._epoll.close()

    def _accept(self, now_ns: int) -> None:
        while True:
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            if self._seals is not None:
                strangers = [fd for fd, wire in self._wires.items() if wire.stranger]
                if len(strangers) >= _STRANGERS:
                    self._drop(strangers[0])
            self._wires[sock.fileno()] = Wire(sock, now_ns, seals=self._seals)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, fd: int, now_ns: int) -> None:
        try:
            self._wires[fd].receive(now_ns)
        except MalformedFrame:
            self.malformed += 1
            self._drop(fd)
        except (EOFError, OSError):
            self._drop(fd)

    def _beat(self, fd: int, frame: bytes, now_ns: int) -> None:
        wire = self._wires[fd]
        if now_ns - wire.heard_ns > (_STRANGER_NS if wire.stranger else _WATCHER_SILENCE_NS):
            self._drop(fd)
            return
        try:
            wire.send(frame)
        except OSError:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        self._wires.pop(fd).sock.close()


class _Phase(Enum):
    IDLE = auto()  # no connection; the next attempt is due at `_retry_ns`
    CONNECTING = auto()
    GREETING = auto()  # connected, no heartbeat yet
    TALKING = auto()  # heartbeats have arrived; up or hung


class PeerWatch:
    """Watches one peer: connects, reconnects with backoff, reports PeerUp and PeerDown, each only on a change.

    `identity` is what this side says of itself. The host name is resolved once, here. Poll it alone, or many through
    a `WatchSet`. `seal`: of this link, where links are sealed. Raises OSError if the name does not resolve.
    """

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        *,
        identity: PeerStatus | None = None,
        options: WatchOptions | None = None,
        seal: WatchSeal | None = None,
    ) -> None:
        self.name = name
        self._seal = seal
        self.status: PeerStatus | None = None
        """The newest heartbeat's content; stays after the peer went down. None before the first."""
        self.beats = 0
        """How often there was something newer."""
        self.stalled_ns = 0
        """How long, all together, it stood still while it counted as up: gaps of several heartbeats and more."""
        self.up = False
        self.down_reason: DownReason | None = None
        """Why it is down; None while it is up or was never tried."""
        self._options = options or WatchOptions()
        self._frame = encode_status(identity or PeerStatus(0, 0))
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._family, self._address = found[0], found[4]
        self._phase = _Phase.IDLE
        self._wire: Wire | None = None
        self._detector = self._new_detector()
        self._retry_ns = 0
        self._backoff_ns = self._options.backoff_min_ns
        self._give_up_ns = 0  # when the current attempt counts as unanswered

    @property
    def sock(self) -> socket.socket | None:
        """The present connection, for a selector; it changes only inside `poll`."""
        return None if self._wire is None else self._wire.sock

    @property
    def connecting(self) -> bool:
        """True while `sock` is to be watched for becoming writable."""
        return self._phase is _Phase.CONNECTING

    @property
    def timeout_ns(self) -> int:
        """The silence that the detector tolerates now."""
        return self._detector.timeout_ns

    def set_identity(self, identity: PeerStatus) -> None:
        """Changes what this side says of itself."""
        self._frame = encode_status(identity)

    def poll(self, now_ns: int, *, readable: bool = True) -> list[PeerEvent]:
        """Does what is due and returns what changed. `readable=False` saves the read (the selector saw nothing)."""
        self._give_up_ns += self._detector.note_tick(now_ns)
        events: list[PeerEvent] = []
        if self._phase is _Phase.IDLE:
            if now_ns < self._retry_ns:
                return events
            self._connect(now_ns, events)
        elif self._phase is _Phase.CONNECTING and readable:
            self._finish_connect(now_ns, events)
        if readable and self._phase in (_Phase.GREETING, _Phase.TALKING):
            self._read(now_ns, events)
        self._check_deadlines(now_ns, events)
        self._beat(now_ns, events)
        return events

    def close(self) -> None:
        """Ends the connection; a later poll would connect again."""
        if self._wire is not None:
            self._wire.sock.close()
            self._wire = None
        self._phase = _Phase.IDLE

    def _new_detector(self) -> HeartbeatDetector:
        options = self._options
        return HeartbeatDetector(
            interval_ns=options.interval_ns, floor_ns=options.floor_ns, factor=options.factor, cap_ns=options.cap_ns
        )

    def _connect(self, now_ns: int, events: list[PeerEvent]) -> None:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        self._wire = Wire(sock, now_ns, seal=self._seal)
        self._phase = _Phase.CONNECTING
        # A peer that is known to hang keeps its attempt longer: each new one takes a place in its backlog.
        known_down = self.down_reason is not None
        self._give_up_ns = now_ns + (self._options.hang_retry_ns if known_down else self._options.connect_timeout_ns)
        self._finish_connect(now_ns, events)

    def _finish_connect(self, now_ns: int, events: list[PeerEvent]) -> None:
        assert self._wire is not None, "a connection attempt without a socket"
        outcome = self._wire.sock.connect_ex(self._address)
        if outcome in _IN_PROGRESS:
            return
        if outcome not in (0, errno.EISCONN):
            self._lose(DownReason.REFUSED, now_ns, events)
            return
        self._phase = _Phase.GREETING
        self._detector = self._new_detector()
        self._detector.note_tick(now_ns)

    def _read(self, now_ns: int, events: list[PeerEvent]) -> None:
        assert self._wire is not None, "a phase with a connection but no socket"
        try:
            status = self._wire.receive(now_ns)
        except (MalformedFrame, EOFError, OSError) as error:
            reason = DownReason.PROTOCOL if isinstance(error, MalformedFrame) else DownReason.EOF
            self._lose(reason, now_ns, events)
            return
        if status is None:
            return
        self._phase = _Phase.TALKING
        gap_ns = self._detector.on_heartbeat(now_ns)
        if self.up and gap_ns >= _STALL * self._options.interval_ns:
            self.stalled_ns += gap_ns
        self._backoff_ns = self._options.backoff_min_ns
        self.status = status
        self.beats += 1
        if not self.up:
            self.up = True
            self.down_reason = None
            events.append(PeerUp(self.name, status.incarnation, status))

    def _check_deadlines(self, now_ns: int, events: list[PeerEvent]) -> None:
        if self._phase is _Phase.TALKING:
            if not self._detector.expired(now_ns):
                return
            if self.up:
                # The connection stays: a peer that only hung goes on with it.
                self._report_down(DownReason.HANG, events)
                self._give_up_ns = now_ns + self._options.hang_retry_ns
            elif now_ns > self._give_up_ns:
                self._lose(DownReason.HANG, now_ns, events)
        elif self._phase in (_Phase.CONNECTING, _Phase.GREETING) and now_ns > self._give_up_ns:
            if self.down_reason is None:
                self._report_down(DownReason.HANG, events)
                self._give_up_ns = now_ns + self._options.hang_retry_ns
            else:
                self._lose(DownReason.HANG, now_ns, events)

    def _beat(self, now_ns: int, events: list[PeerEvent]) -> None:
        if self._phase not in (_Phase.GREETING, _Phase.TALKING) or self._wire is None:
            return
        if now_ns < self._wire.send_due_ns:
            return
        self._wire.send_due_ns = now_ns + self._options.interval_ns
        try:
            self._wire.send(self._frame)
        except OSError:
            self._lose(DownReason.EOF, now_ns, events)

    def _lose(self, reason: DownReason, now_ns: int, events: list[PeerEvent]) -> None:
        """The connection is of no use any more: report, and try again after the backoff."""
        self.close()
        self._retry_ns = now_ns + self._backoff_ns
        self._backoff_ns = min(2 * self._backoff_ns, self._options.backoff_max_ns)
        self._report_down(reason, events)

    def _report_down(self, reason: DownReason, events: list[PeerEvent]) -> None:
        # A peer that hung and then is gone has crashed: stronger evidence, worth reporting.
        stronger = self.down_reason is DownReason.HANG and reason in (DownReason.EOF, DownReason.REFUSED)
        if self.up or self.down_reason is None or stronger:
            events.append(PeerDown(self.name, reason, 0 if self.status is None else self.status.incarnation))
        if self.up or self.down_reason is None or reason is not DownReason.HANG:
            self.down_reason = reason
        self.up = False
