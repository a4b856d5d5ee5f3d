"""How a process waits without polling: its peers on the same host ring after they have put something on a link.

Aeron's shared-memory links have no file descriptor to wait on, so their receiver would have to poll, and polling costs
a fifth of a core a process even when there is nothing to do. So each link between two processes of one host has a
doorbell beside it: a Unix datagram socket of the receiver, to which the sender writes an empty datagram after each
message. The receiver sleeps in `poll` on it, and wakes within some ten microseconds.

A ring carries nothing and may be lost (a receiver that is busy, or gone): the receiver looks at its links before it
sleeps and never sleeps longer than it was told. Links from other hosts cannot ring; a process that has some polls as
`lockstep.runtime.idle` does.
"""

from __future__ import annotations

import hashlib
import select
import socket
from pathlib import Path
from typing import Final

from lockstep.runtime.idle import Idle

MAX_WAIT_MS: Final = 5
# The smallest that the kernel grants: after a few rings that nobody has heard, further ones are dropped by the sender.
_SEND_BUFFER = 1


class DoorbellTaken(RuntimeError):
    """Another process of this host has the same name in the same cluster; the text says which."""


def bell_address(directory: Path | str, name: str) -> bytes:
    """Address (in the abstract namespace) of a member's doorbell; `directory` is the host's media driver's."""
    place = hashlib.blake2b(str(directory).encode(), digest_size=12).hexdigest()
    return f"\0lockstep-{place}-{name}".encode()


class Doorbell:
    """The receiver's end. `idle` and `watch` belong to one thread, `ring` may be called from any.

    `poll_us`: longest sleep in microseconds if some link cannot ring; None: all can. `wait_ms`: longest sleep then.
    """

    def __init__(
        self, directory: Path | str, name: str, *, poll_us: int | None = None, wait_ms: int = MAX_WAIT_MS
    ) -> None:
        """Raises DoorbellTaken."""
        self._wait_ms = wait_ms
        self._address = bell_address(directory, name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind(self._address)
        except OSError as error:
            self._socket.close()
            raise DoorbellTaken(
                f"another process called {name} runs on this host with the media driver in {directory}: "
                "stop it, or give this one an id of its own"
            ) from error
        self._ringer = Ringer(self._address)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poller = None if poll_us is None else Idle(max_park_us=max(20, poll_us), quiet_park_us=max(1000, poll_us))

    def fileno(self) -> int:
        """Readable when somebody has rung."""
        return self._socket.fileno()

    def watch(self, fd: int) -> None:
        """Wakes also when this descriptor becomes readable (an epoll's own descriptor will do)."""
        self._poll.register(fd, select.POLLIN)

    def idle(self, work: int, *, drained: bool = False) -> None:
        """Call it once per turn with the amount of work the turn has done: returns at once after work, else sleeps.

        `drained`: the turn has taken all that had come when it began. Then it sleeps after work, too: whoever puts
        something on a link rings behind that, so that what came meanwhile has rung, or is going to.
        """
        if self._poller is not None:
            self._poller.idle(work)
        elif (not work or drained) and self._poll.poll(self._wait_ms):
            self.hear()

    def ring(self) -> None:
        """Ends the sleep of the owner, for other threads of this process."""
        self._ringer.ring()

    def close(self) -> None:
        """Nobody can ring any more."""
        self._socket.close()
        self._ringer.close()

    def hear(self) -> None:
        """Consume the rings that wait, for an owner that waits for the descriptor itself."""
        try:
            while True:
                self._socket.recv(1)
        except BlockingIOError:
            return


class Ringer:
    """A sender's end of one doorbell. It has a socket of its own, so that a deaf receiver silences no other bell."""

    __slots__ = ("_address", "_socket")

    def __init__(self, address: bytes) -> None:
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def ring(self) -> None:
        """Never blocks; does nothing where nobody listens."""
        try:
            self._socket.sendto(b"", self._address)
        except (BlockingIOError, ConnectionRefusedError):
            # Enough rings wait already, or the receiver is not there: it looks at its links when it comes.
            return

    def close(self) -> None:
        """Ends it."""
        self._socket.close()
