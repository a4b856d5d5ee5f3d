"""Heartbeats on a liveness link (`watch.py`): what one says, its bytes, and the connection that carries them.

In a cluster with sealed links each heartbeat has a seal before it (`lockstep.stream.sealing`).
"""

import socket
import struct
from dataclasses import field

from lockstep.runtime.seals import Seals, WatchSeal
from lockstep.stream.sealing import SEAL_PREFIX, SEAL_SIZE, Drop
from lockstep.stream.values import frozen

_FRAME = struct.Struct("<IHHBBHIQQQQQ")
_MAGIC = 0x4857534C  # "LSWH"
_VERSION = 2
_PREFIX = struct.pack("<IH", _MAGIC, _VERSION)
_READ_BYTES = 64 * _FRAME.size
_LOW_BITS = 2**32 - 1


class MalformedFrame(ValueError):
    """A heartbeat of a foreign protocol or version."""


@frozen
class PeerStatus:
    """What a process says of itself in each heartbeat. `role` and `flags` mean what the processes agree on."""

    member: int
    incarnation: int
    role: int = 0
    flags: int = 0
    epoch: int = 0
    """The highest that it knows of; an engine's is its promise."""
    accepted_epoch: int = 0
    """A sequencer's: epoch of the newest forced failover with accepted data loss; 0: it knows of none."""
    delivered_epoch: int = 0
    """A gateway's, with `delivered_seq`: how far it has delivered, and under which epoch that was."""
    delivered_seq: int = 0
    wall_ms: int = field(default=0, compare=False)
    """Its wall clock when the heartbeat was sent: Unix time in ms below 2**48; 0: it does not say."""


def encode_status(status: PeerStatus) -> bytes:
    """One heartbeat frame: little endian, fixed size."""
    numbers = (status.incarnation, status.epoch, status.accepted_epoch, status.delivered_epoch, status.delivered_seq)
    wall = (status.wall_ms >> 32, status.wall_ms & _LOW_BITS)
    return _FRAME.pack(_MAGIC, _VERSION, status.member, status.role, status.flags, *wall, *numbers)


def decode_status(frame: bytes | bytearray, offset: int = 0) -> PeerStatus:
    """Reads one frame at `offset`; raises MalformedFrame."""
    magic, version, member, role, flags, high, low, *numbers = _FRAME.unpack_from(frame, offset)
    if magic != _MAGIC or version != _VERSION:
        raise MalformedFrame(f"heartbeat with magic {magic:#x} version {version}, not {_MAGIC:#x} version {_VERSION}")
    incarnation, epoch, accepted_epoch, delivered_epoch, delivered_seq = numbers
    wall_ms = high << 32 | low
    return PeerStatus(member, incarnation, role, flags, epoch, accepted_epoch, delivered_epoch, delivered_seq, wall_ms)


class Wire:
    """One non-blocking connection that carries frames both ways.

    `seal`: of both directions, at the end that knows whom it has connected to; `seals`: at the other end, which learns
    it from the first frame that it can open, and sends nothing before. Neither: nothing is sealed.
    """

    __slots__ = (
        "_inbox",
        "_outbox",
        "_prefix",
        "_seal",
        "_seals",
        "_size",
        "heard_ns",
        "send_due_ns",
        "sock",
    )

    def __init__(
        self, sock: socket.socket, now_ns: int, *, seal: WatchSeal | None = None, seals: Seals | None = None
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._seal = seal
        self._seals = seals
        sealed = seal is not None or seals is not None
        self._size = _FRAME.size + SEAL_SIZE if sealed else _FRAME.size
        self._prefix = SEAL_PREFIX if sealed else _PREFIX
        self.heard_ns = now_ns
        self.send_due_ns = now_ns
        self._inbox = bytearray()  # less than one frame between calls
        self._outbox = b""  # rest of a frame that the kernel took in part

    @property
    def stranger(self) -> bool:
        """Whether it is not known yet who the other end is."""
        return self._seals is not None and self._seal is None

    def receive(self, now_ns: int) -> PeerStatus | None:
        """The newest whole frame that has arrived, if any. Raises EOFError at the end, OSError, MalformedFrame."""
        newest: PeerStatus | None = None
        while True:
            try:
                chunk = self.sock.recv(_READ_BYTES)
            except BlockingIOError:
                return newest
            if not chunk:
                raise EOFError
            self._inbox += chunk
            whole = len(self._inbox) // self._size * self._size
            if whole:
                frame = self._opened(bytes(self._inbox[whole - self._size : whole]))
                if frame is not None:
                    self.heard_ns = now_ns
                    newest = decode_status(frame)
                del self._inbox[:whole]
            # Foreign bytes are found even if they end before a whole frame.
            if not self._prefix.startswith(self._inbox[: len(self._prefix)]):
                raise MalformedFrame("not a heartbeat of this version")
            if len(chunk) < _READ_BYTES:
                return newest

    def send(self, frame: bytes) -> None:
        """Sends one frame, or nothing if the other side does not read: a late beat says nothing. Raises OSError."""
        if self.stranger:
            return
        data = self._outbox or (frame if self._seal is None else self._seal.seal((frame,)) + frame)
        try:
            taken = self.sock.send(data)
        except BlockingIOError:
            return
        self._outbox = data[taken:]

    def _opened(self, raw: bytes) -> bytes | None:
        """The frame; None: its key is not known here, which passes."""
        seal = self._seal
        if self._seals is None and seal is None:
            return raw
        if seal is None:
            assert self._seals is not None, "it was looked at"
            seal = self._seals.watched_by(raw)
            if seal is None:
                raise MalformedFrame("a heartbeat of nobody who is known")
        found = seal.open(raw)
        if found is Drop.UNKNOWN_KEY:
            return None
        if isinstance(found, Drop):
            raise MalformedFrame(f"a heartbeat that is {found.value}")
        if self._seal is None:
            self._seal = seal
            self.send_due_ns = 0
        return found
