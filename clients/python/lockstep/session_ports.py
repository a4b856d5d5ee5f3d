"""What a session's driver needs of the world: clocks, dice, a timer, connections, an owner, and who wants to know.

Two worlds supply it: the asyncio shell (`session_shell.py`) and the simulation of the cluster's house.
"""

from typing import Protocol

from lockstep.columns import ReportColumns
from lockstep.session_events import Failure, Parcel


class Ports(Protocol):
    """Called by the driver, once for a message or a burst; in its own thread, but for `now_ns` and `arm_soon`.

    What has a body here may be left out.
    """

    def now_ns(self) -> int:
        """The monotonic clock; from any thread."""

    def wall_ns(self) -> int:
        """The host's wall clock."""

    def jitter_ppm(self) -> int:
        """Chance, 0 to 999 999: it spreads clients in time."""

    def wake_at(self, due_ns: int) -> None:
        """Call `SessionDriver.on_time` then, and no longer at the time that was said before; `NEVER`: not at all."""

    def arm_soon(self) -> None:
        """From any thread: have `SessionDriver.arm` called soon, in the driver's own."""

    def connect(self, conn: int, address: int, hello: bytes) -> None:
        """Open a stream to this address (modulo their number), and write the Hello on it first.

        What comes on it goes to `SessionDriver.on_message`, and its end to `on_ended`, both with `conn`.
        """

    def disconnect(self, conn: int) -> None:
        """Give a connection up: nothing more is written on it."""

    def send(self, parcels: tuple[Parcel, ...]) -> None:
        """Write these, in order, on the connection that was opened last."""

    def deliver(self, batch: ReportColumns) -> None:
        """Hand reports to the owner."""

    def log_sent(self, parcels: tuple[Parcel, ...]) -> None:
        """Write down what is about to be sent."""
        return

    def log_reported(self, batch: ReportColumns) -> None:
        """Write down what is about to be handed out."""
        return

    def on_failed(self, failure: Failure) -> None:
        """The session is over, for this reason."""
        return

    def on_step(self, *, answered: bool) -> None:
        """Something happened. `answered`: commands were answered, so there is room for others."""
        return
