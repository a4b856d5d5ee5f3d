"""What a feed's driver needs of the world: a clock, timers, engines, and who writes to the readers.

The process supplies it (`shell.py`); nothing here knows whether a reader is a gRPC call or a WebSocket.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lockstep.marketdata.feed_events import Refusal
from lockstep.runtime.downlink import LeftBehind
from lockstep.runtime.inquiry import Inquiry, Todo
from lockstep.runtime.snapshot_reader import Snapshot


class Timer(Protocol):
    """One that was set."""

    def cancel(self) -> None:
        """It does not come."""


class Writer(Protocol):
    """The way to one reader."""

    def write(self, frame: bytes) -> bool:
        """Write a whole frame; whether more may follow now. If not, `FeedDriver.on_ready` says when."""

    def end(self, refusal: Refusal) -> None:
        """End the connection, with a reason."""


class Ports(Protocol):
    """Called by the driver, in its own loop alone. What has a body here may be left out."""

    def now_ns(self) -> int:
        """The monotonic clock."""

    def at(self, due_ns: int, action: Callable[[], None]) -> Timer:
        """Call back at this time, or, where it has come, soon."""

    def ask(self, inquiry: Inquiry, heard: Callable[[Todo], bool]) -> None:
        """Play an inquiry. `heard` gets each step that brings pages, or the end; it says whether to go on."""

    def fetch_snapshot(self, engines: Sequence[int], heard: Callable[[Snapshot | str | None], None]) -> None:
        """The newest snapshot of the first of these engines that has one. None: none has one; text: why not."""

    def fetch_band(self, seq: int, heard: Callable[[int], None]) -> None:
        """Which band the command at `seq` has set, in millionths; `heard` is not called if that can't be read."""

    def send_datagrams(self, datagrams: Sequence[bytes]) -> None:
        """Send these on the feed's line."""
        return

    def on_events(self, count: int, took_ns: int) -> None:
        """So many events were taken in."""
        return

    def on_left_behind(self, why: LeftBehind) -> None:
        """The driver has to end, and another one to begin."""

    def note(self, text: str, **values: Any) -> None:
        """For people."""
