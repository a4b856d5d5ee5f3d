"""What the gateway's driver needs of the world: a clock, timers, links, a disk, the engines, and who wants to know.

Two worlds supply it: the process (`shell.py`) and the simulation (`trials/simulation/gateway_host.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lockstep.gateway.disconnects import Watch
from lockstep.gateway.sessions import Admission
from lockstep.runtime.downlink import LeftBehind
from lockstep.runtime.inquiry import Inquiry, Todo
from lockstep.stream.messages import Receipt, Release, Submit
from lockstep.stream.records import Commands, Events


class Timer(Protocol):
    """One that was set."""

    def cancel(self) -> None:
        """It does not come."""


class Ports(Protocol):
    """Called by the driver, in its own loop alone. What has a body here may be left out.

    Nothing that it is given is called after the driver's end.
    """

    def now_ns(self) -> int:
        """The monotonic clock."""

    def wall_ns(self) -> int:
        """The host's wall clock."""

    def at(self, due_ns: int, action: Callable[[], None]) -> Timer:
        """Call back at this time, or, where it has come, as soon as everything is done that has come till now."""

    def send(self, sequencer: int, frame: Submit) -> bool:
        """Give a frame to the link to a sequencer (0: there is none); whether it took it."""

    def store(self, entries: Sequence[tuple[int, Commands]], forget_through: int, watched: Sequence[Watch]) -> bool:
        """Write to the intake log; whether that is done. If not, this gateway ends."""

    def ask(self, inquiry: Inquiry, heard: Callable[[Todo], bool], client: str | None = None) -> None:
        """Play an inquiry. `heard` gets each step that brings pages, or the end; it says whether to go on.

        `client`: whose turn of searching history it takes; None: nobody's.
        """

    def on_frames(self, frames: Sequence[Receipt | Release]) -> None:
        """Frames have come."""
        return

    def on_stored(self, entries: Sequence[tuple[int, Commands]]) -> None:
        """Commands stand in the intake log."""
        return

    def on_submit(self, admission: Admission) -> None:
        """A client's commands were looked at."""
        return

    def on_events(self, events: Events) -> None:
        """Committed events were delivered to the streams: for whoever else wants them."""
        return

    def on_left_behind(self, why: LeftBehind, *, accepted: bool) -> None:
        """The driver has to end, and another one to begin. `accepted`: an operator is known to have had it so."""

    def note(self, text: str, **values: Any) -> None:
        """For people."""
