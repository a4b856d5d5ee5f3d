"""Timers of simulated processes."""

from collections.abc import Callable
from typing import Final

from lockstep.trials.simulation.host import Host

NEVER: Final = 2**63 - 1


class HostTimer:
    """Rings in the life in which it was set, when the process has time."""

    def __init__(self, host: Host, action: Callable[[], None]) -> None:
        self._host = host
        self._life = host.life
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """See `Timer`."""
        self._action = None

    def ring(self) -> None:
        """It is time."""
        host = self._host
        if self._action is None or not host.alive or host.life != self._life:
            return
        if not host.responsive:
            host.kernel.after(host.tick_ns(), self.ring)
            return
        action, self._action = self._action, None
        action()
        host.wake()


class Alarm:
    """Gives a process a turn at one time: that which was named last, in the life in which it was made."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._life = host.life
        self._due_ns = NEVER

    def set(self, due_ns: int) -> None:
        """Name the time; `NEVER` leaves it as it is."""
        if due_ns < NEVER and due_ns != self._due_ns:
            self._due_ns = due_ns
            self._host.kernel.after(max(0, due_ns - self._host.kernel.now_ns), self._ring, due_ns)

    def _ring(self, due_ns: int) -> None:
        if self._host.life == self._life and due_ns == self._due_ns:
            self._due_ns = NEVER
            self._host.wake()
