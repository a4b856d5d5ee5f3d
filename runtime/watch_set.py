"""Many watched peers behind one selector."""

from __future__ import annotations

import select
import socket

from lockstep.runtime.watch import PeerEvent, PeerStatus, PeerWatch

# How often the peers' own timers (heartbeats, deadlines, reconnects) are looked at.
_SWEEP_NS = 4_000_000


class WatchSet:
    """Many watched peers behind one selector: a poll costs one system call when nothing happens."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[str, PeerWatch] = {}
        self._registered: dict[str, tuple[socket.socket, int, bool]] = {}  # by name: socket, its number, connecting
        self._names: dict[int, str] = {}  # by the socket's number
        self._sweep_due_ns = 0

    def add(self, watch: PeerWatch) -> PeerWatch:
        """Adds a peer; raises ValueError if its name is taken."""
        if watch.name in self._watches:
            raise ValueError(f"peer {watch.name} is watched already")
        self._watches[watch.name] = watch
        self._sweep_due_ns = 0
        return watch

    def remove(self, name: str) -> None:
        """Stops watching the peer and closes its connection; raises KeyError if it is not watched."""
        watch = self._watches.pop(name)
        watch.close()
        self._register(watch)

    def __getitem__(self, name: str) -> PeerWatch:
        return self._watches[name]

    def set_identity(self, identity: PeerStatus) -> None:
        """Changes what this process says of itself to every peer."""
        for watch in self._watches.values():
            watch.set_identity(identity)

    def fileno(self) -> int:
        """A descriptor that becomes readable when a poll has something to do besides its timers."""
        return self._epoll.fileno()

    def poll(self, now_ns: int) -> list[PeerEvent]:
        """Polls the peers that have something, and all when a sweep of the timers is due; returns what changed."""
        ready = [self._names[fd] for fd, _mask in self._epoll.poll(0)]
        events: list[PeerEvent] = []
        polled = ready
        if now_ns >= self._sweep_due_ns:
            self._sweep_due_ns = now_ns + _SWEEP_NS
            polled = list(self._watches)
        for name in polled:
            watch = self._watches[name]
            events += watch.poll(now_ns, readable=name in ready)
            sock, _fd, connecting = self._registered.get(name, (None, -1, watch.connecting))
            if sock is not watch.sock or connecting is not watch.connecting:
                self._register(watch)
        return events

    def close(self) -> None:
        """Closes every connection and the selector."""
        for watch in self._watches.values():
            watch.close()
        self._epoll.close()

    def _register(self, watch: PeerWatch) -> None:
        name, sock, connecting = watch.name, watch.sock, watch.connecting
        before, fd, _connecting = self._registered.pop(name, (None, -1, False))
        if before is not None:
            del self._names[fd]
            # A closed socket has left the selector by itself.
            if before.fileno() == fd:
                self._epoll.unregister(fd)
        if sock is not None:
            self._names[sock.fileno()] = name
            self._registered[name] = (sock, sock.fileno(), connecting)
            self._epoll.register(sock.fileno(), select.EPOLLOUT if connecting else select.EPOLLIN)
