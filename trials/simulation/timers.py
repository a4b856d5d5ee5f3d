"""Timers of simulated processes."""

from collections.abc import Callable

from lockstep.trials.simulation.host import Host


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
