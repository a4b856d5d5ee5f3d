"""One simulated process: it lives, hangs, dies and comes back; it has an inbox and a clock of its own.

A process handles what has come in turns, like the real main loops. A turn begins a little after something has come, or
when the process wants to look at the time. While it is paused or waits for its disk, things pile up in its inbox.
"""

from typing import Any

from lockstep.stream.delivery_mark import NOTHING_DELIVERED, DeliveryMark
from lockstep.trials.simulation.kernel import Kernel
from lockstep.trials.simulation.world import World


class Host:
    """Base of all processes."""

    def __init__(self, world: World, kind: str, id: int) -> None:
        self.world = world
        self.kernel: Kernel = world.kernel
        self.kind = kind
        self.id = id
        self.name = f"{kind}-{id}"
        self.alive = False
        self.paused = False
        self.life = 0
        """Counts the starts; what was meant for a former life is not delivered."""
        self.inbox: list[Any] = []
        self.busy = False
        """Waits for its disk."""
        self.clock_skew_ns = 0
        """How far its wall clock is off now; it may change at any moment."""
        self.clock_wild_ns = 0
        """And what it is off beyond all reason: of one sequencer of a cluster at the most."""
        self._wake_due = False

    @property
    def responsive(self) -> bool:
        """It would answer a heartbeat."""
        return self.alive and not self.paused

    def set_clock(self, skew_ns: int) -> None:
        """Set its wall clock so far ahead of the true time (negative: behind), while it runs."""
        self.clock_skew_ns = skew_ns
        self.world.judge.on_clock_set(skew_ns)

    def wall_ns(self) -> int:
        """What its wall clock says."""
        return self.kernel.now_ns + self.clock_skew_ns + self.clock_wild_ns

    # ---- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life."""
        if self.alive:
            return
        self.life += 1
        self.alive, self.paused, self.busy, self._wake_due = True, False, False, False
        self.inbox.clear()
        self.kernel.note(f"{self.name} starts (life {self.life})")
        self.on_start()
        self.kernel.after(self.kernel.between(0, 5_000_000), self._tick, self.life)
        self.world.on_change(self)

    def crash(self) -> None:
        """Die at once."""
        if not self.alive:
            return
        self.kernel.note(f"{self.name} dies")
        self.alive = False
        self.inbox.clear()
        self.on_crash()
        self.world.on_change(self)

    def pause(self) -> None:
        """Stand still (SIGSTOP, a stalled machine)."""
        if self.responsive:
            self.kernel.note(f"{self.name} pauses")
            self.paused = True
            self.world.on_change(self)

    def resume(self) -> None:
        """Go on."""
        if self.alive and self.paused:
            self.kernel.note(f"{self.name} goes on")
            self.paused = False
            self.world.on_change(self)
            self.wake()

    # ---- turns ---------------------------------------------------------------------------------------------------

    def post(self, item: Any) -> None:
        """Something came."""
        if self.alive:
            self.inbox.append(item)
            if not self._wake_due:
                self.wake()

    def wake(self) -> None:
        """Have a turn soon."""
        if self.alive and not self.paused and not self.busy and not self._wake_due:
            self._wake_due = True
            self.kernel.after(self.kernel.between(5_000, 80_000), self._turn, self.life)

    def _turn(self, life: int) -> None:
        if life != self.life or not self.alive:
            return
        self._wake_due = False
        if not self.paused and not self.busy:
            self.on_turn()

    def _tick(self, life: int) -> None:
        if life != self.life or not self.alive:
            return
        if self.responsive and not self.busy and not self._wake_due:
            self.on_turn()
        self.kernel.after(self.tick_ns(), self._tick, life)

    # ---- for the kinds -------------------------------------------------------------------------------------------

    def tick_ns(self) -> int:
        """When to look at the time next."""
        return 15_000_000

    def status_epoch(self) -> int:
        """The epoch in its heartbeats; 0: it sends none."""
        return 0

    def delivered(self) -> DeliveryMark:
        """Gateways: how far it has delivered, as its heartbeats say."""
        return NOTHING_DELIVERED

    mute = False
    """Its heartbeats say that its media driver is lost."""

    def on_start(self) -> None:
        """Build the machine from what the disk holds."""

    def on_crash(self) -> None:
        """Lose what is not on the disk."""

    def on_turn(self) -> None:
        """Handle what has come."""


def hears(host: Host, peer: Host) -> bool:
    """Whether a peer's heartbeats arrive now."""
    network = host.world.network
    return peer.responsive and network.reaches(host, peer) and network.reaches(peer, host)
