"""Connections to an exposition server: how many at once, and who gives way. From any thread."""

import socket
import threading
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

MUTE: Final = 8
"""Connections that have not sent all of their headers."""
MUTE_OF_ONE: Final = 2
"""Those of one address; loopback, where several programs may scrape, has all of `MUTE`."""
ANSWERED: Final = 16
"""Connections whose request is there."""
_HELLO_S: Final = 1.5
"""For the TLS handshake and all headers, however slowly they come."""


class Readers:
    """All connections of one server. Who asks at once is never kept out by those that say nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mute: dict[socket.socket, tuple[str, threading.Timer]] = {}
        """With their addresses, and what ends them; the oldest first."""
        self._answered: set[socket.socket] = set()

    def enter(self, connection: socket.socket, address: str) -> None:
        """A new connection. Where there is no room for it, the oldest that has not sent its headers gives way."""
        with self._lock:
            of_its_own = [one for one, (other, _) in self._mute.items() if other == address]
            if len(of_its_own) >= MUTE_OF_ONE and not _is_loopback(address):
                self._end(of_its_own[0])
            elif len(self._mute) >= MUTE:
                self._end(next(iter(self._mute)))
            self._mute[connection] = address, cut_off_after(_HELLO_S, connection)

    def _end(self, connection: socket.socket) -> None:
        self._forget(connection)
        shut_down(connection)

    def _forget(self, connection: socket.socket) -> bool:
        """It is mute no more; whether it was."""
        _, hello = self._mute.pop(connection, (None, None))
        if hello is None:
            return False
        hello.cancel()
        return True

    def on_headers(self, connection: socket.socket) -> bool:
        """Its headers are there; whether it is to be answered."""
        with self._lock:
            if not self._forget(connection) or len(self._answered) >= ANSWERED:
                return False
            self._answered.add(connection)
            return True

    def leave(self, connection: socket.socket) -> None:
        """It is over."""
        with self._lock:
            self._forget(connection)
            self._answered.discard(connection)

    def end_mute(self) -> None:
        """End those that have not sent their headers."""
        with self._lock:
            for connection in list(self._mute):
                self._end(connection)


def cut_off_after(seconds: float, connection: socket.socket) -> threading.Timer:
    """What ends the connection by then unless it is cancelled."""
    timer = threading.Timer(seconds, shut_down, (connection,))
    timer.daemon = True
    timer.start()
    return timer


def shut_down(connection: socket.socket) -> None:
    """End a connection that another thread reads or writes, which notices at once."""
    with suppress(OSError):
        # Not that of TLS, which says good-bye first: nobody may be there to hear it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _is_loopback(address: str) -> bool:
    with suppress(ValueError):
        return ip_address(address).is_loopback
    return False
